# What other modules of the same host claim: well-known services of nixpkgs that use
# the ports of the stack. Read only where they are enabled; an option that a version
# of nixpkgs does not have claims nothing.
{ config, lib, ... }:
let
  inherit (lib)
    concatLists
    mapAttrsToList
    optional
    ;

  inherit (config) services;

  claim = owner: option: address: port: {
    kind = "port";
    owner = "${owner} (NixOS)";
    inherit option address port;
    protocol = "tcp";
  };

  # One service: where it is, and how to read its address and port.
  one =
    name: port: address:
    let
      s = services.${name} or { };
    in
    optional (s.enable or false) (
      claim "services.${name}" "services.${name}.port" (address s) (port s)
    );

  qdrant =
    let
      s = services.qdrant or { };
      settings = s.settings.service or { };
      at =
        option: default:
        claim "services.qdrant" "services.qdrant.settings.service.${option}" (settings.host or "127.0.0.1"
        ) (settings.${option} or default);
    in
    lib.optionals (s.enable or false) [
      (at "http_port" 6333)
      (at "grpc_port" 6334)
    ];

  redis = concatLists (
    mapAttrsToList (
      name: s:
      optional (s.enable && s.port != 0) (
        claim "services.redis.servers.${name}" "services.redis.servers.${name}.port" (
          if s.bind == null then "0.0.0.0" else lib.head (lib.splitString " " s.bind)
        ) s.port
      )
    ) (services.redis.servers or { })
  );

  postgresql =
    let
      s = services.postgresql or { };
    in
    optional (s.enable or false) (
      claim "services.postgresql" "services.postgresql.settings.port" (
        if s.enableTCPIP then "0.0.0.0" else "127.0.0.1"
      ) (s.settings.port or 5432)
    );
in
one "ollama" (s: s.port) (s: s.host)
++ one "open-webui" (s: s.port) (s: s.host)
++ one "llama-cpp" (s: s.port or 8080) (s: s.host or "127.0.0.1")
++ one "prometheus" (s: s.port) (s: s.listenAddress)
++ qdrant
++ postgresql
++ redis
