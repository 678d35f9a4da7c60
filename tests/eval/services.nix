# Evaluation tests of the service format: a service out of tree, overrides by a user, and the
# interface.
{
  lib,
  self,
  nixos,
  on,
  equal,
  throws,
}:
let
  # A user's flake with one service.
  foreign = self.lib.template ../../templates/service;
  host =
    service:
    nixos [
      foreign.nixosModules.default
      {
        services.aiStack = {
          enable = true;
          hello = {
            enable = true;
          }
          // service;
        };
      }
    ];
  stackOf = service: (host service).services.aiStack;

  # Evaluates a service from its module.
  alone =
    module: service:
    (import ../../lib/core.nix { inherit lib; } { } [
      (self.lib.mkService {
        name = "hello";
        inherit module;
      })
      {
        services.aiStack = {
          enable = true;
          hello = {
            enable = true;
          }
          // service;
        };
      }
    ]).config.services.aiStack;
  plain = {
    description = "x";
    image = "registry.example/x:1";
    ports.http.container = 80;
    health.command = "true";
  };
in
{
  "a service out of tree has at most 20 lines" =
    let
      lines = lib.splitString "\n" (
        lib.trim (builtins.readFile ../../templates/service/hello/default.nix)
      );
    in
    if lib.length lines <= 20 then null else "${toString (lib.length lines)} lines";
  "docs/services.md shows the template's service" =
    if
      lib.hasInfix (builtins.readFile ../../templates/service/hello/default.nix) (
        builtins.readFile ../../docs/services.md
      )
    then
      null
    else
      "it has another text";
  "a service out of tree is in ledger, quadlets, stack.json and scenarios" =
    let
      config = host { };
      stack = config.services.aiStack;
      container = config.virtualisation.quadlet.containers.local-ai-hello.containerConfig;
    in
    equal
      {
        ledger =
          lib.hasInfix "127.0.0.1:8080/tcp" stack.ledger.table
          && lib.hasInfix "services.aiStack.hello.ports.http" stack.ledger.table;
        inherit (container) publishPorts dropCapabilities;
        manifest = stack.manifest.services.hello.health.http.url;
        checks = map (c: {
          inherit (c) name expect;
        }) stack.scenarios.hello.checks;
        file = stack.resolved.services.hello.configTexts."/usr/share/nginx/html/index.html";
      }
      {
        ledger = true;
        publishPorts = [ "127.0.0.1:8080:8080" ];
        dropCapabilities = [ "all" ];
        manifest = "http://127.0.0.1:8080/";
        checks = [
          {
            name = "shows its greeting";
            expect = "hello";
          }
        ];
        file = "hello";
      };
  "a service out of tree has a page" =
    let
      page = self.lib.servicePage ../../templates/service/hello;
      words = [
        "`ports.http`: 8080 on the host"
        "shows its greeting"
        "**`greeting`**"
      ];
    in
    equal (lib.filter (word: !(lib.hasInfix word page)) words) [ ];
  "the checks of a service out of tree follow its configuration" = equal (map (c: c.expect)
    (stackOf { greeting = "moin"; }).scenarios.hello.checks
  ) [ "moin" ];
  "a port of a service out of tree meets the others' in the ledger" =
    let
      config = nixos [
        foreign.nixosModules.default
        {
          services.aiStack = {
            enable = true;
            hello.enable = true;
            llama-cpp = {
              enable = true;
              model = "m.gguf";
            };
          };
        }
      ];
    in
    equal
      (map (c: [
        c.a.option
        c.b.option
      ]) config.services.aiStack.ledger.conflicts)
      [
        [
          "services.aiStack.hello.ports.http"
          "services.aiStack.llama-cpp.ports.http"
        ]
      ];

  "a user overrides each value of a service without mkForce" =
    let
      seen =
        (alone
          (
            plain
            // {
              environment.A = "theirs";
              environment.B = "theirs";
              checks.old.exec = [ "true" ];
              command = [ "theirs" ];
              resources.memory = "1g";
              metrics.port = "http";
            }
          )
          {
            ports.http = 8888;
            environment.A = "mine";
            environment.B = null;
            checks.new.exec = [ "true" ];
            command = [ "mine" ];
            resources.memory = "2g";
            metrics = false;
            description = "mine";
          }
        ).resolved.services.hello;
    in
    equal
      {
        inherit (seen) environment metrics description;
        inherit (seen.config) command;
        checks = lib.attrNames seen.config.checks;
        inherit (seen.config.resources) memory;
        port = map (p: [
          p.host
          p.container
        ]) seen.ports;
      }
      {
        environment.A = "mine";
        metrics = null;
        description = "mine";
        command = [ "mine" ];
        checks = [
          "new"
          "old"
        ];
        memory = "2g";
        port = [
          [
            8888
            80
          ]
        ];
      };
  "a module that a service imports yields to the service" =
    equal
      (alone (
        plain
        // {
          imports = [
            {
              resources.memory = "1g";
              resources.shm = "1g";
            }
          ];
          resources.memory = "3g";
        }
      ) { }).hello.resources
      {
        memory = "3g";
        shm = "1g";
        pids = 2048;
        cpus = null;
      };
  "a mkDefault of the user's wins over the service" =
    equal (alone plain { description = lib.mkDefault "mine"; }).hello.description
      "mine";

  "an unknown field of a service is an error" = throws (alone (plain // { port = 80; }) { }).resolved;
  "a wrong type in a service is an error" =
    throws
      (alone (plain // { ports.http.container = "eighty"; }) { }).resolved.services.hello.ports;
  "a service without a description is an error" =
    throws
      (alone (removeAttrs plain [ "description" ]) { }).manifest;
  "two services of one name are an error" =
    throws
      (import ../../lib/core.nix { inherit lib; } { } [
        (self.lib.mkService {
          name = "hello";
          module = plain;
        })
        (self.lib.mkService ../../templates/service/hello)
      ]).config.services.aiStack.hello.enable;
  "a folder without default.nix is no service" = throws (self.lib.mkService ../../templates/service);
  "a name that no container can have is refused" = throws (
    self.lib.mkService {
      name = "My_Service";
      module = { };
    }
  );
  "the same service may be imported twice" =
    equal
      (import ../../lib/core.nix { inherit lib; } { } [
        (self.lib.mkService ../../templates/service/hello)
        (self.lib.mkService ../../templates/service/hello)
      ]).config.services.aiStack.hello.enable
      false;

  "a service that nobody mentions is not evaluated" =
    equal
      (import ../../lib/core.nix { inherit lib; } { } [
        (self.lib.mkService {
          name = "broken";
          module = throw "it was evaluated";
        })
        { services.aiStack.enable = true; }
      ]).config.services.aiStack.enabledNames
      [ ];

  "the interface tells where a service is" =
    let
      stack =
        (on {
          redis = {
            enable = true;
            passwordFile = "/run/secrets/redis";
          };
        }).services.aiStack.interface;
    in
    equal
      [
        (stack.enabled "redis")
        (stack.enabled "qdrant")
        (stack.enabled "nobody")
        (stack.url "redis" "redis")
        (stack.secret "redis" "password")
        (stack.secret "redis" "other")
      ]
      [
        true
        false
        false
        "http://local-ai-redis:6379"
        "/run/secrets/redis"
        null
      ];
  "a service asks another one for something" =
    let
      stack =
        (on {
          qdrant = {
            enable = true;
            collections.best-practices.size = 8;
          };
          hybrid-coordinator = {
            enable = true;
            image = "registry.example/x:1";
          };
        }).services.aiStack;
    in
    equal
      (map (c: [
        c.name
        c.size
      ]) stack.manifest.services.qdrant.qdrant.collections)
      [
        [
          "best-practices"
          8
        ]
        [
          "codebase-context"
          384
        ]
        [
          "error-solutions"
          384
        ]
        [
          "interaction-history"
          384
        ]
        [
          "skills-patterns"
          384
        ]
      ];
}
