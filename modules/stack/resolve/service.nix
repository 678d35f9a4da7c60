# One service with all values resolved.
{
  lib,
  util,
  cfg,
}:
name:
let
  inherit (lib)
    filter
    filterAttrs
    mapAttrs
    mapAttrsToList
    ;

  gpu = import ../gpu.nix { inherit lib; };
  ids = import ../ids.nix { inherit lib; };
  names = import ./names.nix { inherit lib; };

  stack = cfg.interface;
  s = cfg.${name};
  option = "services.aiStack.${name}";

  ports =
    mapAttrsToList (port: p: {
      name = port;
      inherit (s) address;
      inherit (p) protocol host container;
      option = "${option}.ports.${port}";
    }) s.ports
    ++ mapAttrsToList (port: p: {
      name = port;
      inherit (s) address;
      inherit (p) protocol host container;
      option = "${option}.extraPorts.${port}.host";
    }) s.extraPorts;
  socket = port: {
    address = util.reachable s.address;
    port =
      (s.ports.${port}
        or (throw "${option} uses the port ${port}, which is not in ${option}.ports; it has ${lib.concatStringsSep ", " (builtins.attrNames s.ports)}")
      ).host;
  };
  hostPort =
    port:
    let
      to = socket port;
    in
    "${util.bracket to.address}:${toString to.port}";
  urlOf = endpoint: "http://${hostPort endpoint.port}${endpoint.path}";

  probes = filterAttrs (_: probe: probe != null) {
    inherit (s.health)
      http
      tcp
      redis
      postgres
      ;
  };

  wanted = {
    inherit (s.gpu) backend;
    inherit (s) gpus;
    inherit (cfg.gpu) cards;
  };
  devices = if s.gpu.supported then gpu.devices wanted else [ ];
  ownIds = ids.of {
    inherit (s.userNamespace) start;
    groups = map (group: {
      name = group;
      gid = cfg.hostGroups.${group};
    }) (lib.unique (s.groups ++ lib.optionals (lib.any (lib.hasPrefix "/dev/") devices) gpu.groups));
  };
  owner =
    if s.runAs == null then
      {
        uid = 0;
        gid = 0;
      }
    else
      s.runAs;
in
{
  inherit name option ports;
  config = s;
  inherit (s)
    description
    files
    integrity
    needs
    setup
    ;
  inherit (s.provision) postgres qdrant;
  container = names.container name;
  unit = "${names.container name}.service";
  pullUnit = "${names.container name}-image.service";
  image =
    util.parseImage s.image
    // {
      archive = if s.imageArchive == null then null else toString s.imageArchive;
    }
    // lib.optionalAttrs (s.imageArchiveSha256 != null) { archiveSha256 = s.imageArchiveSha256; };
  environment = filterAttrs (_: value: value != null) s.environment;
  configTexts = s.configFiles;
  configFiles = mapAttrs (target: builtins.toFile (names.configFile name target)) s.configFiles;
  ids = ownIds;
  health =
    if probes == { } then
      null
    else
      mapAttrs (kind: probe: if kind == "http" then { url = urlOf probe; } else socket probe.port) probes;
  data = mapAttrsToList (volume: v: {
    name = volume;
    inherit (v) host readOnly mode;
    container = v.path;
    # In user scope the container's user is mapped to the owner of the stack, so the folder needs no
    # other owner. A read-only folder keeps the owner who put the files there.
    owner = if stack.scope == "user" || v.readOnly then null else ids.onHost ownIds owner;
  }) s.data;
  secrets = import ./secrets.nix { inherit lib cfg name; };
  loader =
    if s.loader == null || (s.loader.names == [ ] && s.loader.imports == [ ]) then
      null
    else
      s.loader // { unit = "${names.container name}-models.service"; };
  # A disabled service is not waited for.
  wants = filter stack.enabled s.wants;
  gpu =
    if s.gpu.supported then
      {
        inherit (s.gpu) backend memoryMiB;
        inherit devices;
        slots = gpu.claimed wanted;
        unknown = gpu.unknown wanted;
      }
    else
      null;
  # Address for clients on the host, if the service is an engine for clients.
  engine =
    let
      found = stack.engine name;
    in
    if found == null then
      null
    else
      {
        url = found.hostUrl;
        inherit (found) rank;
      }
      // lib.optionalAttrs (found.apiKeySource != null) { inherit (found) apiKeySource; };
  metrics = if s.metrics.enable then { url = urlOf s.metrics; } else null;
  # Address for a Prometheus on the host.
  scrape =
    if s.metrics.enable then
      {
        target = hostPort s.metrics.port;
        inherit (s.metrics) path;
        token = if s.metrics.secret == null then null else stack.secret name s.metrics.secret;
      }
    else
      null;
}
