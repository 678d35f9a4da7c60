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
  ids = import ./ids.nix { inherit lib; };

  unitOf = name: "local-ai-${name}";

  # The name in the store of a service's configuration file.
  configName =
    name: target:
    "${unitOf name}-${builtins.replaceStrings [ "/" ] [ "-" ] (lib.removePrefix "/" target)}";

  # Where the value of a service's variable lies: the user's file, or the one that is
  # made at the first start; null where there is neither.
  secretSource =
    cfg: def: name: variable:
    cfg.${name}.secretEnv.${variable} or (
      if def.secrets.${variable}.generate or false then
        "${cfg.dataRoot}/secrets/${name}/${variable}"
      else
        null
    );

  service =
    { cfg, stack }:
    name: definition:
    let
      s = cfg.${name};
      # With what a user may say otherwise.
      def = definition // {
        user = s.runAs;
      };
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
        { port, path, ... }:
        let
          to = socket port;
        in
        "http://${util.bracket to.address}:${toString to.port}${path}";

      metrics = def.metrics s._arguments;

      # A file for each variable: the user's, or one that is made on the first start.
      generated = filter (key: def.secrets.${key}.generate && !(s.secretEnv ? ${key})) (
        builtins.attrNames def.secrets
      );
      asked = {
        inherit (s.gpu) backend;
        inherit (s) gpus;
        inherit (cfg.gpu) cards;
      };
      devices = if def.gpu then gpu.devices asked else [ ];
      ownIds = ids.of {
        inherit (s.userNamespace) start;
        groups = map (group: {
          name = group;
          gid = cfg.hostGroups.${group};
        }) (lib.unique (def.groups ++ lib.optionals (lib.any (lib.hasPrefix "/dev/") devices) gpu.groups));
      };
      fileSecrets = s.secretFiles // def.secretFiles s._arguments;
      # Unless the user gives the variable another value.
      shared = lib.filterAttrs (key: source: source != null && !(s.secretEnv ? ${key})) (
        def.sharedSecrets s._arguments
      );
      # Under a name that says whose file it is; an equal text has an equal path, so that
      # only a change of it restarts the container.
      configTexts = def.configFiles s._arguments;
      configFiles = mapAttrs (target: builtins.toFile (configName name target)) configTexts;
    in
    {
      inherit name def option;
      inherit (def) description;
      config = s;
      unit = "${unitOf name}.service";
      pullUnit = "${unitOf name}-image.service";
      container = unitOf name;
      image =
        util.parseImage s.image
        // {
          archive = if s.imageArchive == null then null else toString s.imageArchive;
        }
        // lib.optionalAttrs (s.imageArchiveSha256 != null) { archiveSha256 = s.imageArchiveSha256; };
      inherit ports configFiles configTexts;
      ids = ownIds;
      health =
        if def.probe == null then
          null
        else
          mapAttrs (kind: p: if kind == "http" then { url = urlOf p; } else socket p.port) def.probe;
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
          else
            ids.onHost ownIds (
              if def.user == null then
                {
                  uid = 0;
                  gid = 0;
                }
              else
                def.user
            );
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
          source = secretSource cfg def name key;
          generate = true;
          option = "${option}.secretEnv.${key}";
          target.env = key;
        }) generated
        ++ mapAttrsToList (key: source: {
          name = secretName key;
          inherit source;
          generate = false;
          option = "${option}.secretEnv.${key}";
          target.env = key;
        }) shared
        ++ mapAttrsToList (target: path: {
          name = secretName (builtins.replaceStrings [ "/" ] [ "-" ] (lib.removePrefix "/" target));
          source = path;
          generate = false;
          option = "${option}.secretFiles.\"${target}\"";
          target.file = target;
        }) fileSecrets;
      files = def.files s._arguments;
      postgres = def.database s._arguments;
      qdrant = def.vectors s._arguments;
      integrity = def.integrity s._arguments;
      loader =
        let
          asked = def.loader s._arguments;
        in
        if asked == null || (asked.names == [ ] && asked.imports == [ ]) then
          null
        else
          asked // { unit = "${unitOf name}-models.service"; };
      setup = def.setup s._arguments;
      inherit (s) needs;
      # What is off is not waited for.
      wants = filter stack.on s.wants;
      gpu =
        if def.gpu then
          {
            inherit (s.gpu) backend memoryMiB;
            inherit devices;
            slots = gpu.claimed asked;
            unknown = gpu.unknown asked;
          }
        else
          null;
      # Where clients on the host talk to it, if it is an engine that they may talk to.
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
      metrics = if metrics == null then null else { url = urlOf metrics; };
      # The same for a Prometheus on the host.
      scrape =
        if metrics == null then
          null
        else
          let
            to = socket metrics.port;
          in
          {
            target = "${util.bracket to.address}:${toString to.port}";
            inherit (metrics) path;
            token = if metrics ? tokenVariable then secretSource cfg def name metrics.tokenVariable else null;
          };
    };

in
{
  inherit configName secretSource;

  stack =
    {
      cfg,
      stack,
      services,
    }:
    {
      inherit (cfg) scope dataRoot network;
      networkOptions = {
        # Containers of other networks do not reach these ones, and these not them
        # (podman-network-create(1), "isolate").
        isolate = "strict";
      };
      models = mapAttrs (name: m: {
        inherit (m)
          url
          sha256
          sizeMiB
          path
          unit
          tokenFile
          ;
        option = "services.aiStack.models.${name}";
      }) cfg.models;
      inherit (cfg.identity) host user;
      target = "local-ai.target";
      services = mapAttrs (service { inherit cfg stack; }) services;
    };

  # What the tools read: schemas/stack.schema.json. The hash covers what the
  # container is made from; paths of this tool stay out of it, so that a new version
  # of the tool restarts nothing.
  manifest = resolved: hashes: {
    inherit (resolved) models;
    schema = 1;
    inherit (resolved)
      host
      scope
      user
      dataRoot
      target
      network
      networkOptions
      ;
    services = mapAttrs (
      name: s:
      {
        inherit (s)
          description
          option
          unit
          pullUnit
          container
          image
          ports
          health
          files
          setup
          needs
          wants
          metrics
          ;
        inherit (s) data;
        gpu = if s.gpu == null then null else { inherit (s.gpu) backend devices; };
        configHash = hashes.${name};
        secrets = map (secret: removeAttrs secret [ "target" ]) s.secrets;
      }
      # What few services have is left out of the others.
      // lib.filterAttrs (_: v: v != null && v != [ ]) {
        ids = if s.ids == null then null else { inherit (s.ids) start size; };
        inherit (s)
          engine
          postgres
          qdrant
          integrity
          ;
      }
    ) resolved.services;
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
        ++ lib.optional (s.ids != null) {
          kind = "ids";
          of = "both";
          owner = owner s;
          option = "${s.option}.userNamespace.start";
          inherit (s.ids) start size;
        }
        ++ map (slot: {
          kind = "gpu";
          owner = owner s;
          option = "${s.option}.gpus";
          inherit slot;
        }) (if s.gpu == null then [ ] else s.gpu.slots)
      ) resolved.services
    );
}
