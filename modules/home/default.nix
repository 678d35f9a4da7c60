# User scope: rootless containers under the user's systemd, on NixOS or any other
# distribution with podman.
{
  config,
  lib,
  osConfig ? null,
  pkgs,
  ...
}:
let
  inherit (lib)
    filterAttrs
    mapAttrs'
    mapAttrsToList
    mkDefault
    mkIf
    nameValuePair
    ;

  cfg = config.services.aiStack;
  util = import ../../lib { inherit lib; };
  # tmpfiles.d(5): fields can be quoted and contain specifiers, so both are escaped.
  word = path: util.systemd.word (util.systemd.path path);
  manifestFile = "aistack/stack.json";
  user = config.home.username;
  account = if osConfig == null then null else osConfig.users.users.${user} or null;

  # The nix package of Home Manager's configuration, else the one of nixpkgs: it may be missing in
  # the PATH of the user's systemd.
  nix = if (config.nix.package or null) != null then config.nix.package else pkgs.nix;

  named =
    kind:
    mapAttrs' (file: nameValuePair (lib.removeSuffix kind file)) (
      filterAttrs (file: _: lib.hasSuffix kind file) cfg.units
    );

  directories = lib.mergeAttrsList (
    lib.concatLists (mapAttrsToList (_: s: map (d: { ${d.host} = d; }) s.data) cfg.resolved.services)
    # Also if no service reads the models: the download unit does not create the folder, because its
    # disk could be missing.
    ++ lib.optional (cfg.models != { }) { ${cfg.modelsDir}.mode = "0755"; }
  );
in
{
  imports = [
    ../ledger/home.nix
    ../stack
  ];

  config = lib.mkMerge [
    { services.aiStack.scope = "user"; }

    (mkIf cfg.enable {
      services.aiStack = {
        dataRoot = mkDefault "${config.xdg.dataHome}/local-ai";
        identity = {
          host = if osConfig == null then "" else osConfig.networking.hostName;
          inherit user;
          manifestPath = "${config.xdg.configHome}/${manifestFile}";
        };
        verify.rollbackScript = ''
          set -eu
          # A user's systemd has another PATH on each distribution.
          PATH=$PATH:/run/current-system/sw/bin:/usr/bin:/bin
          state=''${XDG_STATE_HOME:-$HOME/.local/state}
          profile=$state/nix/profiles/home-manager
          # What was activated last: Home Manager, home-environment.nix, `current-home`.
          running=$state/home-manager/gcroots/current-home
          # An activation that ended before it set the profile leaves the generation before there.
          if [ ! -e "$running" ] || [ "$(readlink -f "$profile")" = "$(readlink -f "$running")" ]; then
            ${nix}/bin/nix-env --profile "$profile" --rollback
          else
            echo "the profile is not what runs: back to the profile"
          fi
          # In a unit of its own: the activation stops and starts the one that found the fault.
          exec systemd-run --user --collect --unit=local-ai-rollback-switch "$profile/activate"
        '';
      };

      assertions = [
        {
          assertion = osConfig == null || !cfg.verify.rollback;
          message = "services.aiStack.verify.rollback of user ${user}: Home Manager is a NixOS module here, so this home has no generations of its own. Set verify.rollback in the system's services.aiStack, or disable it here.";
        }
        {
          assertion = account == null || account.linger == true;
          message = "services.aiStack of user ${user}: without lingering the containers stop at logout and do not start at boot. Set users.users.${user}.linger = true, or import the NixOS module of aistack, which does.";
        }
        {
          assertion =
            account == null
            || account.autoSubUidGidRange
            || (account.subUidRanges != [ ] && account.subGidRanges != [ ]);
          message = "services.aiStack of user ${user}: rootless containers need subordinate ids. Set users.users.${user}.autoSubUidGidRange = true, or import the NixOS module of aistack, which does.";
        }
      ];

      xdg.configFile = {
        ${manifestFile}.text = builtins.toJSON cfg.manifest;
        "aistack/scenarios.json".text = builtins.toJSON cfg.scenarios;
      }
      // lib.optionalAttrs cfg.verify.testStack { "aistack/test-stack".text = ""; };
      home.packages = [ cfg.package ];
      home.file = lib.mapAttrs (_: text: { inherit text; }) cfg.userFiles;

      # Lingering, subordinate ids and pasta, which only the system can provide. The check runs before
      # anything is written, and its failure is not fatal, because the rest of the home does not
      # depend on it. On NixOS the assertions above check the same, and an activation at boot runs
      # before the user's systemd.
      home.activation.aistackPreflight = mkIf (osConfig == null) (
        lib.hm.dag.entryBefore [ "writeBoundary" ] ''
          ${cfg.package}/bin/aistack check --preflight || true
        ''
      );

      systemd.user = {
        tmpfiles.rules = [
          "d ${word cfg.dataRoot} 0700 - - -"
          "d ${word "${cfg.dataRoot}/secrets"} 0700 - - -"
        ]
        ++ mapAttrsToList (host: d: "d ${word host} ${d.mode} - - -") directories;

        # As in system scope: `aistack unit apply` restarts changed services.
        services = mapAttrs' (
          _: s: nameValuePair s.container { Unit.X-RestartIfChanged = mkDefault false; }
        ) cfg.resolved.services;
      };
    })

    # Outside of `mkIf cfg.enable`: the units of aiOptimizerPrep exist without a stack too.
    {
      systemd.user = {
        targets = named ".target";
        paths = named ".path";
        timers = named ".timer";
        services = named ".service";
      };
    }
  ];
}
