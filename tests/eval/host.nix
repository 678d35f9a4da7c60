# Evaluation tests of values that the modules set on a host to avoid an error or a delay in nixpkgs or
# Home Manager.
{
  lib,
  self,
  nixos,
  withHome,
  equal,
}:
let
  system =
    stack:
    nixos [
      {
        services.aiStack = {
          enable = true;
        }
        // stack;
      }
    ];
  claims =
    config: map (c: { inherit (c) option address port; }) config.services.aiStack.ledger.claims;
  claim = option: config: lib.filter (c: lib.hasPrefix option c.option) (claims config);
  scraped =
    qdrant: more:
    (nixos [
      {
        services.prometheus = {
          enable = true;
          port = 9099;
        }
        // more;
        services.aiStack = {
          enable = true;
          qdrant = {
            enable = true;
          }
          // qdrant;
        };
      }
    ]).services.prometheus.checkConfig;
  key.secretEnv.QDRANT__SERVICE__API_KEY = "/run/secrets/qdrant";
  inherit (self.packages.x86_64-linux) aistack;
in
{
  # nixpkgs before 25.05 has such a line itself.
  "host: network-online.target is wanted when users have stacks" =
    let
      wanted =
        config:
        lib.count (unit: unit == "multi-user.target") (
          config.systemd.targets.network-online.wantedBy or [ ]
        );
      without = wanted (nixos [ ]);
    in
    equal
      [
        (wanted (nixos [ (withHome { redis.enable = true; }) ]))
        (wanted (system {
          redis.enable = true;
        }))
      ]
      [
        (without + 1)
        without
      ];
  "host: other accounts cannot list the data" =
    equal (system { }).systemd.tmpfiles.settings.local-ai."/var/lib/local-ai".d.mode
      "0711";
  "host: a user's target is not ordered after the units that it wants" =
    let
      unit =
        (nixos [ (withHome { redis.enable = true; }) ])
        .home-manager.users.ann.systemd.user.targets.local-ai.Unit;
    in
    equal
      [
        unit.DefaultDependencies
        unit.Conflicts
        unit.Before
      ]
      [
        false
        [ "shutdown.target" ]
        [ "shutdown.target" ]
      ];
  "host: a standalone home is activated with the preflight, a home of NixOS without it" =
    equal
      [
        ((nixos [ (withHome { }) ]).home-manager.users.ann.home.activation ? aistackPreflight)
        (self.homeConfigurations.ai.config.home.activation ? aistackPreflight)
      ]
      [
        false
        true
      ];
  # A job that waits for a download delays the end of the boot and all units that are ordered after it.
  "host: no container waits for an image, and a download is not a job" =
    let
      seen = stack: scope: {
        inherit (stack.units."local-ai-redis-image.service".Service) Type;
        waits = lib.filter (lib.hasSuffix "-image.service") (
          scope.virtualisation.quadlet.containers.local-ai-redis.unitConfig.After
          ++ scope.virtualisation.quadlet.containers.local-ai-redis.unitConfig.Wants
        );
      };
      host = system { redis.enable = true; };
      home = self.homeConfigurations.ai.config;
      none = {
        Type = "exec";
        waits = [ ];
      };
    in
    equal
      [
        (seen host.services.aiStack host)
        (seen home.services.aiStack home)
      ]
      [
        none
        none
      ];
  "host: the rollback scripts find all their programs" =
    let
      script = config: config.services.aiStack.verify.rollbackScript;
      commands =
        text:
        lib.concatMap (
          line:
          let
            m = builtins.match " *(exec )?(nix-env|flock|readlink|systemd-run).*" line;
          in
          lib.optional (m != null) (lib.elemAt m 1)
        ) (lib.splitString "\n" text);
    in
    equal
      [
        (commands (script (system { })))
        (commands (script self.homeConfigurations.ai.config))
        (lib.hasInfix ":/usr/bin" (script self.homeConfigurations.ai.config))
      ]
      [
        [ ]
        [ "systemd-run" ]
        true
      ];

  # ── together with other modules of NixOS ──
  "host: the build does not look for Prometheus's key files" =
    equal
      [
        (scraped key { })
        (scraped { } { })
        (scraped key { checkConfig = false; })
      ]
      [
        "syntax-only"
        true
        false
      ];
  "host: firewalld gets a zone instead of rules for an interface" =
    let
      config = nixos [
        {
          services.firewalld.enable = true;
          services.aiStack = {
            enable = true;
            redis.enable = true;
          };
        }
      ];
    in
    # nixpkgs of 2024 has rules for podman's own interfaces, which this project does not change.
    equal
      [
        (config.networking.firewall.interfaces ? local-ai)
        config.services.firewalld.zones.local-ai.interfaces
        (map (p: "${toString p.port}/${p.protocol}") config.services.firewalld.zones.local-ai.ports)
      ]
      [
        false
        [ "local-ai" ]
        [
          "53/tcp"
          "53/udp"
        ]
      ];
  "host: Ollama of NixOS on [::] claims all addresses" =
    equal
      (claim "services.ollama" (nixos [
        {
          services.ollama = {
            enable = true;
            host = "[::]";
          };
          services.aiStack.enable = true;
        }
      ]))
      [
        {
          option = "services.ollama.port";
          address = "::";
          port = 11434;
        }
      ];
  "host: the port of k3s is read from its flag" =
    equal
      (map
        (
          extraFlags:
          map (c: c.port) (
            claim "services.k3s.extraFlags" (nixos [
              {
                services.k3s = {
                  enable = true;
                  inherit extraFlags;
                };
                services.aiStack.enable = true;
              }
            ])
          )
        )
        [
          ""
          "--disable traefik --https-listen-port=7443"
        ]
      )
      [
        [ 6443 ]
        [ 7443 ]
      ];
  "host: Caddy without ports of its own claims none" =
    let
      foreign = import ../../modules/ledger/foreign.nix {
        inherit lib;
        config = {
          services = {
            caddy = {
              enable = true;
              httpPort = null;
              httpsPort = 8443;
            };
            llama-cpp = {
              enable = true;
              # As in nixpkgs since PR 528626.
              settings.port = 8181;
              port = throw "the old name was read";
            };
            prometheus.exporters = { };
          };
          systemd.services = { };
          users.users = { };
          virtualisation.oci-containers = {
            backend = "podman";
            containers = { };
          };
        };
      };
    in
    equal (map (c: "${c.option} ${toString c.port}") foreign) [
      "services.llama-cpp.settings.port 8181"
      "services.caddy.httpsPort 8443"
    ];

  # ── the package ──
  "package: contains the flake's address and the names of PCI devices" =
    equal
      [
        aistack.AISTACK_FLAKE
        (lib.hasSuffix "/share/hwdata/pci.ids" aistack.AISTACK_PCI_IDS)
        (lib.hasInfix "--locked" aistack.buildPhase)
      ]
      [
        "github:aistack-nix/aistack"
        true
        true
      ];
  "package: its tests find the programs that they run" = equal (lib.filter (
    name: !lib.any (p: lib.getName p == name) self.checks.x86_64-linux.tests.nativeBuildInputs
  ) [ "python3" ]) [ ];
}
