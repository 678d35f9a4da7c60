# What a configuration, NixOS or Home Manager, renders to: the text of each file by
# its name in tests/rendered/<name>/. Store paths are reduced to the package's name,
# so that the text does not depend on a revision of nixpkgs.
{ lib }:
config:
let
  inherit (lib)
    concatStrings
    concatStringsSep
    filterAttrs
    mapAttrs
    mapAttrs'
    mapAttrsToList
    nameValuePair
    ;

  cfg = config.services.aiStack;
  prep = config.services.aiOptimizerPrep;
  system = cfg.scope == "system";
  containers = mapAttrsToList (_: s: s.container) cfg.resolved.services;

  configName = (import ../../modules/stack/resolve/names.nix { inherit lib; }).configFile;

  storePath = "${builtins.storeDir}/[0-9a-df-np-sv-z]{32}-([-a-zA-Z0-9+._?=]+)";
  reduce =
    text:
    concatStrings (
      map (
        part:
        if builtins.isList part then
          "${builtins.storeDir}/${(builtins.parseDrvName (lib.head part)).name}"
        else
          part
      ) (builtins.split storePath (withoutHash (builtins.unsafeDiscardStringContext text)))
    );
  # quadlet-nix hashes the text with its store paths.
  withoutHash =
    text:
    concatStrings (
      builtins.filter builtins.isString (builtins.split "X-QuadletNixConfigHash=[0-9a-f]+\n" text)
    );

  # The text of a unit, as Home Manager writes it.
  ini = lib.generators.toINI {
    listsAsDuplicateKeys = true;
    mkKeyValue =
      key: value: "${key}=${if builtins.isBool value then lib.boolToString value else toString value}";
  };

  quadlets =
    mapAttrs' (_: q: nameValuePair "quadlet/${q.ref}" q._configText) (
      filterAttrs (name: _: builtins.elem name containers) config.virtualisation.quadlet.containers
    )
    // mapAttrs' (_: q: nameValuePair "quadlet/${q.ref}" q._configText) (
      filterAttrs (name: _: name == cfg.network) config.virtualisation.quadlet.networks
    );

  userUnit =
    file:
    let
      kinds = {
        ".target" = config.systemd.user.targets;
        ".service" = config.systemd.user.services;
        ".path" = config.systemd.user.paths;
        ".timer" = config.systemd.user.timers;
      };
      kind = lib.head (lib.filter (k: lib.hasSuffix k file) (lib.attrNames kinds));
      unit = kinds.${kind}.${lib.removeSuffix kind file};
    in
    ini (
      filterAttrs (_: section: section != { }) (
        mapAttrs (_: filterAttrs (_: v: v != null && v != [ ])) unit
      )
    );
  unitText = file: if system then config.systemd.units.${file}.text else userUnit file;

  units =
    mapAttrs' (file: _: nameValuePair "units/${file}" (unitText file)) cfg.units
    // lib.optionalAttrs system (
      lib.listToAttrs (
        map (
          name:
          nameValuePair "units/${name}.service.d/overrides.conf" config.systemd.units."${name}.service".text
        ) containers
      )
    );

  tmpfiles =
    if system then
      concatStrings (
        mapAttrsToList
          (
            path: rules:
            concatStrings (
              mapAttrsToList (
                type: r: "${type} ${path} ${r.mode} ${r.user} ${r.group} ${r.age} ${r.argument}\n"
              ) rules
            )
          )
          (
            config.systemd.tmpfiles.settings.local-ai
            // config.systemd.tmpfiles.settings.ai-optimizer-prep or { }
          )
      )
    else
      concatStringsSep "\n" config.systemd.user.tmpfiles.rules + "\n";

  # Of the folder that the tools look into.
  etc =
    name:
    if system then
      config.environment.etc."aistack/${name}".text
    else
      config.xdg.configFile."aistack/${name}".text;
in
mapAttrs (_: reduce) (
  quadlets
  // units
  // {
    "stack.json" = etc "stack.json";
    "tmpfiles.conf" = tmpfiles;
  }
  // lib.optionalAttrs (cfg.verify.enable && cfg.verify.rollback) {
    "rollback.sh" = "#!/bin/sh\n" + cfg.verify.rollbackScript;
  }
  # Values that the GPUs of a host change in the system.
  // lib.optionalAttrs (system && config.hardware.graphics.enable) {
    "gpu.json" = builtins.toJSON {
      inherit (config.services.xserver) videoDrivers;
      # Of the project alone: drivers bring more, and each version of nixpkgs others.
      extraPackages = lib.intersectLists [ "intel-compute-runtime" ] (
        map lib.getName config.hardware.graphics.extraPackages
      );
      lact = config.services.lact.enable;
      nvidia =
        if config.services.aiStack.gpu.nvidia.enable then
          {
            inherit (config.hardware.nvidia) open branch;
            modesetting = config.hardware.nvidia.modesetting.enable;
            containerToolkit = config.hardware.nvidia-container-toolkit.enable;
          }
        else
          null;
    };
  }
  // {
    "ledger.txt" = cfg.ledger.table;
  }
  # Files of the store that containers read or the tool is given, by their names there.
  // lib.concatMapAttrs (
    name: s: mapAttrs' (target: nameValuePair "store/${configName name target}") s.configTexts
  ) cfg.resolved.services
  # What people's own programs read.
  // mapAttrs' (path: nameValuePair "home/${lib.removePrefix "." path}") cfg.userFiles
  // {
    "scenarios.json" = etc "scenarios.json";
  }
  // lib.optionalAttrs prep.enable {
    "prep.json" = etc "prep.json";
  }
)
