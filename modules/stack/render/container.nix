# A resolved service as the [Container] section of its quadlet, through quadlet-nix.
{
  lib,
  util,
  cfg,
}:
let
  inherit (lib) mapAttrsToList optional;

  ids = import ../ids.nix { inherit lib; };
  rootless = cfg.scope == "user";

  section =
    s:
    let
      c = s.config;
    in
    {
      name = s.container;
      image = s.image.reference;
      # The image unit brings it; a start never waits on a download inside podman.
      pull = "never";
      # Not `.network`, for which quadlet writes Requires=: see containerUnit.
      networks = [ cfg.network ];
      networkAliases = [ s.name ];
      publishPorts = map (
        p:
        "${util.bracket p.address}:${toString p.host}:${toString p.container}"
        + lib.optionalString (p.protocol != "tcp") "/${p.protocol}"
      ) s.ports;
      volumes =
        map (d: "${d.host}:${d.container}${lib.optionalString d.readOnly ":ro"}") s.data
        ++ mapAttrsToList (target: file: "${file}:${target}:ro") s.configFiles
        # Not what is mounted below: that would be writable. A user's podman may not leave it out
        # (the kernel: a mount with locked children), and has no more than that user's rights.
        ++ map (m: "${m.host}:${m.container}:ro,${if rootless then "rslave" else "bind"}") (c.mounts);
      inherit (c) entrypoint;
      environments = s.environment;
      exec =
        let
          words = c.command;
        in
        if words == [ ] then (if c.extraArgs == [ ] then null else c.extraArgs) else words;
      secrets = map (
        secret:
        if secret.target ? env then
          "${secret.name},type=env,target=${secret.target.env}"
        else
          "${secret.name},type=mount,target=${secret.target.file},mode=0400"
          + lib.optionalString (c.runAs != null) ",uid=${toString c.runAs.uid},gid=${toString c.runAs.gid}"
      ) s.secrets;
      devices = if s.gpu == null then [ ] else s.gpu.devices;

      # podman's own default is 10 s, and the unit's time-out never gets to podman: quadlet stops
      # with `podman rm -f`, which waits for this (podman-systemd.unit(5), StopTimeout).
      inherit (c) stopTimeout;

      notify = "healthy";
      healthCmd = c.health.command;
      healthInterval = "${toString c.health.interval}s";
      healthTimeout = "${toString c.health.timeout}s";
      healthRetries = c.health.retries;
      # A short interval until the first healthy answer, so that dependants need not wait
      # for a whole one.
      healthStartupCmd = c.health.command;
      healthStartupInterval = "2s";
      healthStartupTimeout = "${toString c.health.timeout}s";
      # 0: no limit; the unit's time-out is the limit.
      healthStartupRetries = 0;
      # The unit's restart brings it back.
      healthOnFailure = "kill";

      dropCapabilities = [ "all" ];
      addCapabilities = lib.attrNames c.capabilities;
      noNewPrivileges = true;
      # Folders in a home are not labelled for containers; see the option.
      securityLabelDisable = if cfg.selinuxLabels then null else true;
      readOnly = if c.readOnlyRoot then true else null;
      runInit = if c.init then true else null;
      tmpfses = c.tmpfs;
      user = if c.runAs == null then null else "${toString c.runAs.uid}:${toString c.runAs.gid}";
      # The image's user is the owner of the stack outside, who then owns the data.
      userns =
        if rootless && c.runAs != null && s.data != [ ] then
          "keep-id:uid=${toString c.runAs.uid},gid=${toString c.runAs.gid}"
        else
          null;
      uidMaps = ids.uidMaps s.ids;
      gidMaps = ids.gidMaps s.ids;
      # Render and video groups of the user, where podman would drop them.
      addGroups =
        optional (
          rootless
          && (
            c.groups != [ ] || lib.any (lib.hasPrefix "/dev/") (if s.gpu == null then [ ] else s.gpu.devices)
          )
        ) "keep-groups"
        ++ lib.optionals (s.ids != null) (map (g: toString g.container) s.ids.groups);
      ulimits = c.ulimits;
      pidsLimit = c.resources.pids;
      shmSize = c.resources.shm;
      # Not by the keys of newer versions: podman 5.4 is in stable distributions.
      podmanArgs =
        optional (c.resources.memory != null) "--memory=${util.memoryLimit c.resources.memory}"
        ++ optional (c.resources.cpus != null) "--cpus=${toString c.resources.cpus}";
    };
in
# Written so that systemd expands nothing in it.
s: util.systemd.literals (section s)
