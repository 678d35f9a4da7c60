{
  description = "A local AI stack for NixOS and Home Manager: declared once, GPU used, ports that never collide, data that stays";

  inputs = {
    nixpkgs.url = "github:NixOS/nixpkgs/nixos-26.05";
    home-manager = {
      url = "github:nix-community/home-manager/release-26.05";
      inputs.nixpkgs.follows = "nixpkgs";
    };
    quadlet-nix.url = "github:SEIAROTg/quadlet-nix";
    # For tests/eval/sops.nix alone; a flake that does not run ours sets it to "".
    sops-nix = {
      url = "github:Mic92/sops-nix";
      inputs.nixpkgs.follows = "nixpkgs";
    };
    crane.url = "github:ipetkov/crane";
    rust-overlay = {
      url = "github:oxalica/rust-overlay";
      inputs.nixpkgs.follows = "nixpkgs";
    };
    # For `colmenaHive` alone; a flake that does not deploy ours sets it to "".
    colmena = {
      url = "github:zhaofengli/colmena";
      inputs.nixpkgs.follows = "nixpkgs";
      inputs.stable.follows = "nixpkgs";
    };
  };

  outputs =
    inputs@{
      self,
      nixpkgs,
      home-manager,
      quadlet-nix,
      crane,
      rust-overlay,
      colmena,
      ...
    }:
    let
      inherit (nixpkgs) lib;

      systems = [
        "x86_64-linux"
        "aarch64-linux"
      ];
      # One package set for each system, shared by all outputs.
      pkgsFor = lib.genAttrs systems (
        system:
        import nixpkgs {
          inherit system;
          overlays = [ self.overlays.default ];
        }
      );
      eachSystem = f: lib.genAttrs systems (system: f pkgsFor.${system});

      # crane with the toolchain that rust-toolchain.toml names.
      craneLib =
        pkgs:
        (crane.mkLib pkgs).overrideToolchain (
          p: (rust-overlay.lib.mkRustBin { } p).fromRustupToolchainFile ./rust-toolchain.toml
        );

      # treefmt and what treefmt.toml names.
      lintTools = pkgs: [
        (craneLib pkgs).rustfmt
        pkgs.deadnix
        pkgs.nixfmt
        pkgs.shellcheck
        pkgs.shfmt
        pkgs.statix
        pkgs.taplo
        pkgs.treefmt
      ];

      # The tool of this flake, on the user's package set, unless that or the configuration has
      # another.
      withPackage = {
        # Named, so that it counts once where several of our modules bring it.
        key = "aistack#withPackage";
        imports = [
          (
            { pkgs, ... }:
            {
              services.aiStack.package = lib.mkDefault (pkgs.aistack or (self.lib.rust pkgs).aistack);
            }
          )
        ];
      };

      folders = dir: lib.attrNames (lib.filterAttrs (_: t: t == "directory") (builtins.readDir dir));

      host =
        name:
        lib.nixosSystem {
          modules = [
            self.nixosModules.default
            home-manager.nixosModules.home-manager
            { home-manager.sharedModules = [ self.homeModules.default ]; }
            ./hosts/${name}
          ];
        };

      home =
        name:
        home-manager.lib.homeManagerConfiguration {
          pkgs = pkgsFor.x86_64-linux;
          modules = [
            self.homeModules.default
            ./home/${name}
          ];
        };
    in
    {
      nixosModules = {
        default.imports = [
          self.nixosModules.aiStack
          self.nixosModules.aiOptimizerPrep
        ];
        aiStack = {
          imports = [
            quadlet-nix.nixosModules.quadlet
            ./modules/nixos
            withPackage
          ];
        };
        # Also imports the aiStack options: both modules share one port ledger.
        aiOptimizerPrep.imports = [
          quadlet-nix.nixosModules.quadlet
          ./modules/prep/nixos.nix
          withPackage
        ];
        # The ledger alone: claims of the host and their conflicts, without the stack.
        ledger.imports = [
          ./modules/ledger/nixos.nix
          { services.aiStack.ledger.active = lib.mkDefault true; }
        ];
      };

      homeModules = {
        default.imports = [
          self.homeModules.aiStack
          self.homeModules.aiOptimizerPrep
        ];
        aiStack = {
          imports = [
            quadlet-nix.homeManagerModules.quadlet
            ./modules/home
            withPackage
          ];
        };
        aiOptimizerPrep.imports = [
          quadlet-nix.homeManagerModules.quadlet
          ./modules/prep/home.nix
          withPackage
        ];
        ledger.imports = [
          ./modules/ledger/home.nix
          { services.aiStack.ledger.active = lib.mkDefault true; }
        ];
      };

      overlays.default = final: _: {
        inherit (self.lib.rust final) aistack;
      };

      packages = eachSystem (
        pkgs:
        let
          rust = self.lib.rust pkgs;
        in
        {
          inherit (rust) aistack;
          default = rust.aistack;
        }
      );

      checks = eachSystem (
        pkgs:
        (self.lib.rust pkgs).checks
        // import ./tests/eval/checks.nix { inherit self inputs pkgs; }
        // lib.mapAttrs' (name: lib.nameValuePair "nixos-${name}") (
          import ./tests/nixos { inherit self inputs pkgs; }
        )
      );

      templates = import ./templates;

      nixosConfigurations = lib.genAttrs (folders ./hosts) host;
      homeConfigurations = lib.genAttrs (folders ./home) home;

      colmenaHive = colmena.lib.makeHive {
        meta = {
          description = "Engines on one host, data services on another";
          # Colmena reads `system` of it, which nixpkgs is about to remove (pkgs/top-level/aliases.nix).
          nixpkgs = pkgsFor.x86_64-linux // {
            system = "x86_64-linux";
          };
        };
        defaults.imports = [ self.nixosModules.default ];
        inference = {
          imports = [ ./hosts/inference ];
          deployment = {
            targetHost = "inference.example";
            tags = [ "gpu" ];
          };
        };
        data = {
          imports = [ ./hosts/data ];
          deployment = {
            targetHost = "data.example";
            tags = [ "storage" ];
          };
        };
      };

      lib = {
        # Makes a module from the definition of a service: docs/services.md.
        mkService = import ./lib/mk-service.nix { inherit lib; };
        # The reference part of its page, as Markdown.
        servicePage =
          service:
          import ./docs/reference.nix { inherit lib; } {
            name = service.name or (baseNameOf service);
            core = import ./lib/core.nix { inherit lib; } { } [ (self.lib.mkService service) ];
          };
        # Kinds of services: modules that a service's own module can import.
        kinds = {
          agent = ./lib/kinds/agent.nix;
          llama-server = ./lib/kinds/llama-server.nix;
        };
        # The crates on any package set: a host evaluates only its own package set.
        rust =
          pkgs:
          import ./pkgs {
            inherit (pkgs)
              lib
              curl
              hwdata
              makeBinaryWrapper
              nftables
              python3
              runCommandLocal
              skopeo
              ;
            flakeReference = "github:aistack-nix/aistack";
            craneLib = craneLib pkgs;
          };
        # What each example host and home renders to: name -> file -> text.
        rendered =
          let
            render = import ./tests/eval/rendered.nix { inherit lib; };
          in
          lib.mapAttrs (_: h: render h.config) self.nixosConfigurations
          // lib.mapAttrs' (n: h: lib.nameValuePair "home-${n}" (render h.config)) self.homeConfigurations;
        # Names, descriptions and default ports of all services, for the tools.
        catalog =
          let
            stack = self.nixosConfigurations.workstation.config.services.aiStack;
          in
          lib.genAttrs stack.serviceNames (name: {
            inherit (stack.${name}) description;
            ports = lib.mapAttrs (_: p: p.preferred) stack.${name}.ports;
          });
        # docs/options.md.
        optionsDoc =
          let
            inherit (self.nixosConfigurations.workstation.options) services;
          in
          import ./docs/options.nix { inherit lib; } {
            stack = self.nixosConfigurations.workstation.config.services.aiStack;
            options = services.aiStack;
            prep = services.aiOptimizerPrep;
          };
        # Generated parts of pages: file -> text between its marks.
        docParts =
          let
            core = import ./lib/core.nix { inherit lib; } { } [ ];
            folderOf =
              name:
              if builtins.pathExists (./modules/contrib + "/${name}") then
                "modules/contrib/${name}"
              else
                "modules/services/${name}";
          in
          lib.genAttrs' core.config.services.aiStack.serviceNames (
            name:
            lib.nameValuePair "${folderOf name}/README.md" (
              import ./docs/reference.nix { inherit lib; } { inherit core name; }
            )
          )
          // {
            "README.md" =
              "| service | host ports | what it is |\n| --- | --- | --- |\n"
              + lib.concatStrings (
                lib.mapAttrsToList (
                  name: entry:
                  "| [${name}](${folderOf name}/README.md) | ${
                    lib.concatMapStringsSep ", " toString (lib.attrValues entry.ports)
                  } | ${entry.description} |\n"
                ) self.lib.catalog
              );
          };
        # The evaluation tests: name -> null, or the value that was found.
        tests =
          import ./tests/eval/cases.nix { inherit self inputs; }
          // import ./tests/eval/readme.nix { inherit lib self inputs; }
          // import ./tests/eval/sops.nix { inherit lib self inputs; };
        # Hosts for benches/eval.sh: what the module, its services and the package cost.
        bench = import ./benches/hosts.nix { inherit lib self quadlet-nix; };
        # For benches/ledger.sh: the number of conflicts among n claims, all different.
        benchLedger = import ./benches/ledger.nix { inherit lib; };
        # The outputs of a template, or of a folder that `aistack init` made of one, with
        # the inputs of this flake in place of downloaded ones.
        template =
          dir:
          let
            flake = import (dir + "/flake.nix");
            outputs = flake.outputs (
              {
                inherit nixpkgs home-manager;
                aistack = self;
              }
              // {
                self = outputs // {
                  outPath = dir;
                };
              }
            );
          in
          outputs;
      };

      # treefmt with the programs that treefmt.toml names.
      formatter = eachSystem (
        pkgs:
        pkgs.writeShellApplication {
          name = "treefmt";
          runtimeInputs = lintTools pkgs;
          text = ''exec treefmt "$@"'';
        }
      );

      devShells = eachSystem (pkgs: {
        default = (craneLib pkgs).devShell {
          packages = lintTools pkgs ++ [
            pkgs.hyperfine
            pkgs.jq
            pkgs.just
            pkgs.python3
          ];
        };
      });
    };
}
