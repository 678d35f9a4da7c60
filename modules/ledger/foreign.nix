# Claims of other enabled modules of the same host: well-known services of nixpkgs that use
# similar ports, and the published ports of all other containers. An option that is missing in a
# version of nixpkgs, or that throws because it was removed, claims nothing.
{ config, lib }:
let
  inherit (lib)
    concatLists
    concatMap
    mapAttrsToList
    optional
    optionals
    ;

  inherit (config) services;
  published = import ./published.nix { inherit lib; };

  # Options that were removed throw when they are read.
  safely =
    default: value:
    let
      tried = builtins.tryEval value;
    in
    if tried.success then tried.value else default;

  # Addresses in the notation of programs: `*` for all, IPv6 in brackets.
  wildcard =
    address:
    if address == null || address == "*" then
      "0.0.0.0"
    else
      lib.removePrefix "[" (lib.removeSuffix "]" address);

  on = name: safely false (services.${name}.enable or false);

  port = owner: option: address: number: {
    kind = "port";
    owner = "${owner} (NixOS)";
    inherit option;
    address = wildcard address;
    port = number;
    protocol = "tcp";
  };
  directory = owner: option: path: {
    kind = "directory";
    owner = "${owner} (NixOS)";
    inherit option;
    path = toString path;
    exclusive = true;
  };

  # Most modules have one port and one address, in these options.
  simple =
    {
      name,
      portOption ? "port",
      addressOption ? "host",
      default,
      address ? "127.0.0.1",
    }:
    let
      read = option: fallback: lib.attrByPath (lib.splitString "." option) fallback services.${name};
      number = safely default (read portOption default);
    in
    optional (on name) (
      port "services.${name}" "services.${name}.${portOption}" (safely address (
        read addressOption address
      )) (if builtins.isString number then lib.toInt number else number)
    );

  simples = concatMap simple [
    {
      name = "ollama";
      default = 11434;
    }
    {
      name = "open-webui";
      default = 8080;
    }
    {
      name = "vllm";
      default = 8000;
    }
    {
      name = "litellm";
      default = 8080;
    }
    {
      name = "chromadb";
      default = 8000;
    }
    {
      name = "tabby";
      default = 11029;
    }
    {
      name = "prometheus";
      addressOption = "listenAddress";
      default = 9090;
      address = "0.0.0.0";
    }
    {
      name = "grafana";
      portOption = "settings.server.http_port";
      addressOption = "settings.server.http_addr";
      default = 3000;
    }
    {
      name = "loki";
      portOption = "configuration.server.http_listen_port";
      addressOption = "configuration.server.http_listen_address";
      default = 3100;
      address = "0.0.0.0";
    }
    {
      name = "dockerRegistry";
      addressOption = "listenAddress";
      default = 5000;
    }
    {
      name = "gitea";
      portOption = "settings.server.HTTP_PORT";
      addressOption = "settings.server.HTTP_ADDR";
      default = 3000;
      address = "0.0.0.0";
    }
    {
      name = "forgejo";
      portOption = "settings.server.HTTP_PORT";
      addressOption = "settings.server.HTTP_ADDR";
      default = 3000;
      address = "0.0.0.0";
    }
    {
      name = "jupyter";
      addressOption = "ip";
      default = 8888;
      address = "localhost";
    }
    {
      name = "jupyterhub";
      default = 8000;
      address = "0.0.0.0";
    }
  ];

  # The options are in `settings` since nixpkgs PR 528626. If `settings` is present, the old names
  # are not read, because they print warnings.
  llamaCpp =
    let
      new = services.llama-cpp ? settings;
      of = if new then services.llama-cpp.settings else services.llama-cpp;
      read = name: default: safely default (of.${name} or default);
    in
    optional (on "llama-cpp") (
      port "services.llama-cpp" "services.llama-cpp.${lib.optionalString new "settings."}port"
        (read "host" "127.0.0.1")
        (read "port" 8080)
    );

  # The API server of k3s: port and address are flags (docs.k3s.io, `k3s server`, Listeners).
  k3s =
    let
      flags = safely "" (toString (services.k3s.extraFlags or ""));
      flag =
        name: default:
        let
          found = builtins.match ".*--${name}[= ]+\"?([^ \"]+).*" flags;
        in
        if found == null then default else lib.head found;
    in
    optional (on "k3s") (
      port "services.k3s" "services.k3s.extraFlags (--https-listen-port)" (flag "bind-address" "0.0.0.0")
        (lib.toInt (flag "https-listen-port" "6443"))
    );

  qdrant =
    let
      settings = services.qdrant.settings.service or { };
      at =
        option: default:
        port "services.qdrant" "services.qdrant.settings.service.${option}" (settings.host or "127.0.0.1") (
          settings.${option} or default
        );
    in
    optionals (on "qdrant") [
      (at "http_port" 6333)
      (at "grpc_port" 6334)
      (directory "services.qdrant" "services.qdrant.settings.storage.storage_path" (
        services.qdrant.settings.storage.storage_path or "/var/lib/qdrant/storage"
      ))
    ];

  redis = concatLists (
    mapAttrsToList (
      name: s:
      optional (s.enable && s.port != 0) (
        port "services.redis.servers.${name}" "services.redis.servers.${name}.port" (
          if s.bind == null then null else lib.head (lib.splitString " " s.bind)
        ) s.port
      )
    ) (services.redis.servers or { })
  );

  postgresql = optionals (on "postgresql") [
    (port "services.postgresql" "services.postgresql.settings.port" (
      if services.postgresql.enableTCPIP then "0.0.0.0" else "127.0.0.1"
    ) (services.postgresql.settings.port or 5432))
    (directory "services.postgresql" "services.postgresql.dataDir" services.postgresql.dataDir)
  ];

  # Each exporter of Prometheus has its own port. Enabled exporters are found by their units:
  # reading every `enable` option would also read renamed options, which print warnings.
  exporters = concatMap (
    unit:
    let
      m = builtins.match "prometheus-(.+)-exporter" unit;
      name = lib.head m;
      exporter = services.prometheus.exporters.${name} or null;
    in
    optional (m != null && exporter != null) (
      port "services.prometheus.exporters.${name}" "services.prometheus.exporters.${name}.port"
        (exporter.listenAddress or "0.0.0.0")
        exporter.port
    )
  ) (lib.attrNames config.systemd.services);

  # A web server: its default ports, and the addresses of its virtual hosts.
  nginx =
    let
      hosts = lib.attrValues services.nginx.virtualHosts;
      plain = lib.any (h: h.listen == [ ] && !(h.onlySSL or false)) hosts;
      tls = lib.any (
        h: h.listen == [ ] && ((h.onlySSL or false) || (h.addSSL or false) || (h.forceSSL or false))
      ) hosts;
      at =
        option: default:
        port "services.nginx" "services.nginx.${option}" null (services.nginx.${option} or default);
    in
    optionals (on "nginx") (
      optional plain (at "defaultHTTPListenPort" 80)
      ++ optional tls (at "defaultSSLListenPort" 443)
      ++ lib.unique (
        concatMap (
          h:
          map (
            l:
            port "services.nginx" "services.nginx.virtualHosts.<name>.listen" l.addr (
              if l.port == null then 80 else l.port
            )
          ) (builtins.filter (l: !(lib.hasPrefix "unix:" l.addr)) h.listen)
        ) hosts
      )
    );

  # null means Caddy's default (nixpkgs, nixos/modules/services/web-servers/caddy). One of its two
  # ports may be disabled, so neither is claimed.
  caddy =
    let
      at =
        option: default:
        let
          number = services.caddy.${option} or default;
        in
        optional (number != null) (port "services.caddy" "services.caddy.${option}" null number);
    in
    optionals (on "caddy") (at "httpPort" 80 ++ at "httpsPort" 443);

  ociContainers = concatLists (
    mapAttrsToList (
      name: c:
      let
        option = "virtualisation.oci-containers.containers.${name}";
      in
      map (
        p:
        p
        // {
          kind = "port";
          owner = "${option} (NixOS)";
          option = "${option}.ports";
        }
      ) (concatMap published c.ports)
      # With the backend docker the name is docker's, so no podman name is claimed.
      ++ optional (config.virtualisation.oci-containers.backend == "podman") {
        kind = "name";
        owner = "${option} (NixOS)";
        inherit option;
        domain = "container";
        inherit name;
      }
    ) config.virtualisation.oci-containers.containers
  );
  # Accounts and their subordinate ids. A range that NixOS assigns automatically
  # (autoSubUidGidRange) begins at 100000 and stays below systemd's containers.
  accounts = concatLists (
    mapAttrsToList (
      name: u:
      let
        option = "users.users.${name}";
        range = of: start: size: part: {
          kind = "ids";
          inherit of;
          owner = "${option} (NixOS)";
          option = "${option}.${part}";
          inherit start size;
        };
      in
      optional (u.uid != null && u.uid >= 65536) (range "user" u.uid 1 "uid")
      ++ map (r: range "user" r.startUid r.count "subUidRanges") u.subUidRanges
      ++ map (r: range "group" r.startGid r.count "subGidRanges") u.subGidRanges
    ) config.users.users
  );
in
accounts
++ simples
++ llamaCpp
++ k3s
++ qdrant
++ redis
++ postgresql
++ exporters
++ nginx
++ caddy
++ ociContainers
