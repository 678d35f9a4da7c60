# Evaluation tests of the ledger without the stack: nixosModules.ledger and homeModules.ledger.
{
  lib,
  self,
  inputs,
  refuses,
  accepts,
  equal,
}:
let
  machine = ../../hosts/workstation/machine.nix;
  system = modules: lib.nixosSystem { modules = [ machine ] ++ modules; };
  host = modules: (system ([ self.nixosModules.ledger ] ++ modules)).config;
  quadlet = inputs.quadlet-nix.nixosModules.quadlet;
  # Without the assertions: Home Manager throws when one fails.
  ledgerOf =
    modules:
    (inputs.home-manager.lib.homeManagerConfiguration {
      pkgs = inputs.nixpkgs.legacyPackages.x86_64-linux;
      modules = [
        self.homeModules.ledger
        {
          assertions = lib.mkForce [ ];
          home = {
            username = "ann";
            homeDirectory = "/home/ann";
            stateVersion = "26.05";
          };
        }
      ]
      ++ modules;
    }).config.services.aiStack.ledger;
  claim = port: {
    kind = "port";
    protocol = "tcp";
    address = "127.0.0.1";
    owner = "services.mine";
    option = "services.mine.port";
    inherit port;
  };
  container = {
    image = "registry.example/x:1";
    publishPorts = [ "8080:80" ];
  };

  page = builtins.readFile ../../docs/ledger.md;
  shown =
    file: lib.hasInfix "```nix\n# ${file}\n${builtins.readFile (./ledger + "/${file}")}```" page;
  example =
    ((import ./ledger/flake.nix).outputs {
      inherit (inputs) nixpkgs;
      aistack = self;
    }).nixosConfigurations.box;
in
{
  "docs/ledger.md shows the files that this test evaluates" =
    equal
      (map shown [
        "flake.nix"
        "configuration.nix"
      ])
      [
        true
        true
      ];
  "docs/ledger.md shows the message of its example" =
    let
      failing = lib.filter (a: !a.assertion) example.config.assertions;
    in
    if lib.any (a: lib.hasInfix "```\n${a.message}\n```" page) failing then
      null
    else
      "the message is: ${lib.concatMapStringsSep " | " (a: a.message) failing}";
  "ledger alone: the example with another port evaluates" = accepts (
    (example.extendModules {
      modules = [ { services.gitea.settings.server.HTTP_PORT = 3001; } ];
    }).config
  );
  "ledger alone: a port that is claimed outside is respected" =
    refuses
      (host [
        {
          services.qdrant.enable = true;
          services.aiStack.ledger.extra = [
            {
              port = 6333;
              owner = "the proxy";
            }
          ];
        }
      ])
      [
        "the proxy"
        "change services.qdrant.settings.service.http_port"
      ];
  "ledger alone: quadlets and oci-containers" =
    refuses
      (host [
        quadlet
        {
          virtualisation.quadlet.containers.mine.containerConfig = container;
          virtualisation.oci-containers.containers.yours = {
            image = "registry.example/y:1";
            ports = [ "127.0.0.1:8080:80" ];
          };
        }
      ])
      [
        "virtualisation.quadlet.containers.mine.containerConfig.publishPorts"
        "virtualisation.oci-containers.containers.yours.ports"
      ];
  "ledger alone: the claims of any module" = refuses (host [
    { services.aiStack.ledger.claims = [ (claim 7000) ]; }
    {
      services.aiStack.ledger.extra = [
        {
          port = 7000;
          owner = "the proxy";
        }
      ];
    }
  ]) [ "change services.mine.port" ];
  "ledger alone: it changes nothing on a host" =
    let
      without = (system [ ]).config.system.build.toplevel.drvPath;
      config = host [ ];
    in
    equal
      [
        config.system.build.toplevel.drvPath
        (config.services.aiStack ? enable)
      ]
      [
        without
        false
      ];
  "ledger alone: next to the stack, which is disabled" = refuses (host [
    self.nixosModules.default
    {
      services.qdrant.enable = true;
      services.aiStack.ledger.extra = [
        {
          port = 6334;
          owner = "the proxy";
        }
      ];
    }
  ]) [ "the proxy" ];
  "ledger alone: a user's quadlets, and what is outside" =
    let
      ledger = ledgerOf [
        inputs.quadlet-nix.homeManagerModules.quadlet
        {
          virtualisation.quadlet.containers.mine.containerConfig = container;
          services.aiStack.ledger.extra = [
            {
              port = 8080;
              owner = "the proxy";
            }
          ];
        }
      ];
    in
    equal
      (map (word: lib.hasInfix word ledger.report) [
        "1 conflict"
        "virtualisation.quadlet.containers.mine (user ann): port 8080/tcp"
        "the proxy"
      ])
      [
        true
        true
        true
      ];
  "ledger alone: without quadlet-nix a user claims nothing" =
    equal (ledgerOf [ ]).table
      "nothing is claimed\n";
  "ledger alone: the host reads the claims of its users" =
    refuses
      (host [
        inputs.home-manager.nixosModules.home-manager
        {
          users.users.ann.isNormalUser = true;
          home-manager.users.ann = {
            imports = [ self.homeModules.ledger ];
            home.stateVersion = "26.05";
            services.aiStack.ledger.extra = [
              {
                port = 6333;
                address = "127.0.0.1";
                owner = "ann's notebook";
              }
            ];
          };
          services.qdrant.enable = true;
        }
      ])
      [
        "ann's notebook"
        "services.qdrant.settings.service.http_port"
      ];
}
