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
      # The pull unit gets the image, so a start never waits for a download inside podman.
      pull = "never";
      # Without the suffix `.network`, because quadlet would write Requires= for it: see containerUnit.
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
        # Without the mounts below the folder, which would be writable. Rootless podman cannot exclude them
        # (the kernel refuses it for a mount with locked children), and it has only that user's rights.
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

      # podman's default is 10 s, and podman does not know the unit's time-out: quadlet stops a
      # container with `podman rm -f`, which waits for this time (podman-systemd.unit(5), StopTimeout).
      inherit (c) stopTimeout;

      notify = "healthy";
      healthCmd = c.health.command;
      healthInterval = "${toString c.health.interval}s";
      healthTimeout = "${toString c.health.timeout}s";
      healthRetries = c.health.retries;
      # A short interval until the first healthy answer, so that dependent services need not wait
      # for a whole health interval.
      healthStartupCmd = c.health.command;
      healthStartupInterval = "2s";
      healthStartupTimeout = "${toString c.health.timeout}s";
      # 0 means no limit; the unit's time-out is the limit.
      healthStartupRetries = 0;
      # The unit's Restart= starts the container again.
      healthOnFailure = "kill";

      dropCapabilities = [ "all" ];
      addCapabilities = lib.attrNames c.capabilities;
      noNewPrivileges = true;
      # Folders in a home have no label for containers; see the option.
      securityLabelDisable = if cfg.selinuxLabels then null else true;
      readOnly = if c.readOnlyRoot then true else null;
      runInit = if c.init then true else null;
      tmpfses = c.tmpfs;
      user = if c.runAs == null then null else "${toString c.runAs.uid}:${toString c.runAs.gid}";
      # Map the image's user to the owner of the stack, who then owns the data on the host.
      userns =
        if rootless && c.runAs != null && s.data != [ ] then
          "keep-id:uid=${toString c.runAs.uid},gid=${toString c.runAs.gid}"
        else
          null;
      uidMaps = ids.uidMaps s.ids;
      gidMaps = ids.gidMaps s.ids;
      # Keep the user's groups render and video, which podman would otherwise drop.
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
      # As arguments, because quadlet's keys for them need a newer podman than 5.4, which stable
      # distributions have.
      podmanArgs =
        optional (c.resources.memory != null) "--memory=${util.memoryLimit c.resources.memory}"
        ++ optional (c.resources.cpus != null) "--cpus=${toString c.resources.cpus}";
    };
in
# Escaped, so that systemd expands nothing in the values.
s: util.systemd.literals (section s)
