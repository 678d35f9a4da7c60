# From options to decisions. `stack` is the resolved stack: every value that a
# downstream file needs, stated once.
{ lib, util }:
let
  inherit (lib)
    concatLists
    filter
    mapAttrs
    mapAttrsToList
    ;

  published = import ./published.nix { inherit lib; };
  gpu = import ./gpu.nix { inherit lib; };

  unitOf = name: "local-ai-${name}";

  service =
    { cfg, stack }:
    name: def:
    let
      s = cfg.${name};
      option = "services.aiStack.${name}";
      secretName = key: "${unitOf name}-${key}";

      ports =
        mapAttrsToList (port: p: {
          name = port;
          protocol = p.protocol or "tcp";
          inherit (s) address;
          host = s.ports.${port};
          inherit (p) container;
          option = "${option}.ports.${port}";
        }) def.ports
        ++ mapAttrsToList (port: p: {
          name = port;
          inherit (s) address;
          inherit (p) protocol host container;
          option = "${option}.extraPorts.${port}.host";
        }) s.extraPorts;
      portNamed = port: lib.findFirst (p: p.name == port) (throw "${option}: no port ${port}") ports;
      socket = port: {
        address = util.reachable s.address;
        port = (portNamed port).host;
      };
      urlOf =
        { port, path }:
        let
          to = socket port;
        in
        "http://${util.bracket to.address}:${toString to.port}${path}";

      # A file for each variable: the user's, or one that is made on the first start.
      generated = filter (key: def.secrets.${key}.generate && !(s.secretEnv ? ${key})) (
        builtins.attrNames def.secrets
      );
      asked = {
        inherit (s.gpu) backend;
        inherit (s) gpus;
        inherit (cfg.gpu) cards;
      };
      fileSecrets = s.secretFiles // def.secretFiles s._arguments;
    in
    {
      inherit name def option;
      inherit (def) description;
      config = s;
      unit = "${unitOf name}.service";
      pullUnit = "${unitOf name}-image.service";
      container = unitOf name;
      image = util.parseImage s.image // {
        archive = if s.imageArchive == null then null else toString s.imageArchive;
      };
      inherit ports;
      health = mapAttrs (kind: p: if kind == "http" then { url = urlOf p; } else socket p.port) def.probe;
      data = mapAttrsToList (volume: v: {
        name = volume;
        host = s.data.${volume};
        container = v.path;
        readOnly = v.readOnly or false;
        # In user scope the container's user is mapped to the owner of the stack, and what
        # containers only read belongs to whoever puts it there.
        owner =
          if stack.scope == "user" || v.readOnly or false then
            null
          else if def.user == null then
            {
              uid = 0;
              gid = 0;
            }
          else
            def.user;
        mode = v.mode or "0700";
      }) def.data;
      secrets =
        mapAttrsToList (key: path: {
          name = secretName key;
          source = path;
          generate = false;
          option = "${option}.secretEnv.${key}";
          target.env = key;
        }) s.secretEnv
        ++ map (key: {
          name = secretName key;
          source = "${cfg.dataRoot}/secrets/${name}/${key}";
          generate = true;
          option = "${option}.secretEnv.${key}";
          target.env = key;
        }) generated
        ++ mapAttrsToList (target: path: {
          name = secretName (builtins.replaceStrings [ "/" ] [ "-" ] (lib.removePrefix "/" target));
          source = path;
          generate = false;
          option = "${option}.secretFiles.\"${target}\"";
          target.file = target;
        }) fileSecrets;
      files = def.files s._arguments;
      setup = def.setup s._arguments;
      inherit (s) needs;
      # What is off is not waited for.
      wants = filter stack.on s.wants;
      gpu =
        if def.gpu then
          {
            inherit (s.gpu) backend memoryMiB;
            devices = gpu.devices asked;
            slots = gpu.claimed asked;
            unknown = gpu.unknown asked;
          }
        else
          null;
      metrics = if def.metrics == null then null else { url = urlOf def.metrics; };
    };

in
{
  stack =
    {
      cfg,
      stack,
      services,
    }:
    {
      inherit (cfg) scope dataRoot network;
      inherit (cfg.identity) host user;
      target = "local-ai.target";
      services = mapAttrs (service { inherit cfg stack; }) services;
    };

  # What the tools read: docs/schemas/stack.schema.json. The hash covers what the
  # container is made from; paths of this tool stay out of it, so that a new version
  # of the tool restarts nothing.
  manifest = resolved: hashes: {
    schema = 1;
    inherit (resolved)
      host
      scope
      user
      dataRoot
      target
      network
      ;
    services = mapAttrs (name: s: {
      inherit (s)
        description
        option
        unit
        pullUnit
        container
        image
        ports
        health
        data
        files
        setup
        needs
        wants
        metrics
        ;
      gpu = if s.gpu == null then null else { inherit (s.gpu) backend devices; };
      configHash = hashes.${name};
      secrets = map (secret: removeAttrs secret [ "target" ]) s.secrets;
    }) resolved.services;
  };

  # What quadlets beside the stack's own publish and are called, in the same scope.
  quadletClaims =
    { resolved, quadlet }:
    let
      ours = mapAttrsToList (_: s: s.container) resolved.services;
      system = resolved.scope == "system";
      who = if system then "NixOS" else "user ${resolved.user}";
      of =
        kind: part: objects:
        concatLists (
          mapAttrsToList (
            name: q:
            let
              option = "virtualisation.quadlet.${kind}.${name}";
            in
            map (
              p:
              p
              // {
                kind = "port";
                owner = "${option} (${who})";
                option = "${option}.${part}.publishPorts";
              }
            ) (lib.concatMap published q.${part}.publishPorts)
            ++ [
              {
                kind = "name";
                owner = "${option} (${who})";
                inherit option;
                domain = if system then "container" else "container of ${resolved.user}";
                name = if q.${part}.name == null then name else q.${part}.name;
              }
            ]
          ) (removeAttrs objects ours)
        );
    in
    of "containers" "containerConfig" (quadlet.containers or { })
    ++ of "pods" "podConfig" (quadlet.pods or { });

  claims =
    resolved:
    let
      owner =
        s: "${s.option} (${if resolved.scope == "system" then "system" else "user ${resolved.user}"})";
      # Container names are unique for each engine: root's, and each user's.
      domain = if resolved.scope == "system" then "container" else "container of ${resolved.user}";
    in
    concatLists (
      mapAttrsToList (
        _: s:
        map (p: {
          kind = "port";
          owner = owner s;
          inherit (p) protocol address option;
          port = p.host;
        }) s.ports
        ++ map (d: {
          kind = "directory";
          owner = owner s;
          option = "${s.option}.data.${d.name}";
          path = d.host;
          exclusive = !d.readOnly;
        }) s.data
        ++ [
          {
            kind = "name";
            owner = owner s;
            inherit (s) option;
            inherit domain;
            name = s.container;
          }
        ]
        ++ map (slot: {
          kind = "gpu";
          owner = owner s;
          option = "${s.option}.gpus";
          inherit slot;
        }) (if s.gpu == null then [ ] else s.gpu.slots)
      ) resolved.services
    );
}
