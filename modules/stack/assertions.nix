# Faults that evaluation finds before a switch. Each message names the fault, the values and
# the option to change.
{ config, lib, ... }:
let
  inherit (lib)
    attrNames
    concatLists
    concatStringsSep
    filter
    mapAttrsToList
    mkIf
    ;

  cfg = config.services.aiStack;
  util = import ../../lib { inherit lib; };
  inherit (cfg.resolved) services;
  contract = import ./contract.nix { inherit lib; };

  # The properties of a container that the contract of its image restricts.
  facts =
    s:
    let
      c = s.config;
      quadlet = config.virtualisation.quadlet.containers.${s.container} or { };
      stopTimeout = quadlet.containerConfig.stopTimeout or null;
      root = {
        uid = 0;
        gid = 0;
      };
    in
    {
      inherit (s) option;
      image = c.image;
      inherit (s.image) tag;
      inherit (c)
        init
        hides
        entrypoint
        command
        openai
        ;
      user = c.runAs;
      capabilities = attrNames c.capabilities;
      # podman's default is 10 s.
      stopTimeout = if stopTimeout == null then 10 else stopTimeout;
      unitTimeout =
        let
          seconds = quadlet.serviceConfig.TimeoutStopSec or null;
        in
        if builtins.isInt seconds then seconds else null;
      health = c.health.command;
      environment =
        s.environment
        // lib.listToAttrs (
          lib.concatMap (
            secret: lib.optional (secret.target ? env) (lib.nameValuePair secret.target.env null)
          ) s.secrets
        );
      ports = map (p: { inherit (p) container protocol option; }) s.ports;
      mounts =
        map (d: {
          path = d.container;
          writable = !d.readOnly;
          # Ids inside the container: in both scopes the container's user owns the folder.
          owner = (if c.runAs == null then root else c.runAs) // {
            inherit (d) mode;
          };
          option = "${s.option}.data.${d.name}";
        }) s.data
        ++ map (target: {
          path = target;
          writable = false;
          owner = null;
          option = "its generated configuration";
        }) (attrNames s.configFiles);
    };

  # The name of a flag. A word without a dash can be the secret value itself, so it is not shown.
  shown = word: if lib.hasPrefix "-" word then word else "an argument";

  forService =
    _: s:
    let
      inherit (s) option name;
      c = s.config;
      exposed = !(util.isLoopback c.address);
      leaked = filter (var: util.looksSecret var s.environment.${var}) (attrNames s.environment);
      flags = util.secretFlags c.extraArgs;
      broken = filter (d: builtins.match "[^:[:cntrl:]]*" d.host == null) s.data;
      absent = filter (n: !(services ? ${n})) c.needs;
    in
    [
      {
        assertion = c.image != null;
        message = "${option} has no default image: set ${option}.image to a reference with a digest.";
      }
      {
        assertion = c.image == null || s.image.tag != "latest" || s.image.digest != null;
        message = "${option}.image = \"${toString c.image}\" has the tag `latest`, which can point to another image later: use a tag with a version and a digest.";
      }
      {
        assertion = exposed -> c.openFirewall;
        message = "${option}.address = \"${c.address}\" publishes ${name} beyond this machine (podman's ports bypass the firewall). If you want that, set ${option}.openFirewall = true; if not, use the address 127.0.0.1.";
      }
      {
        assertion = exposed -> (c.allowUnauthenticated || c.authenticated);
        message = "${option}.address = \"${c.address}\" opens ${name} to other machines without authentication. To require authentication, ${c.authHint}; to accept unauthenticated clients, set ${option}.allowUnauthenticated = true.";
      }
      {
        assertion = leaked == [ ];
        message = "${option}.environment: ${concatStringsSep ", " leaked} looks like a secret, and the value would be readable by everyone in the Nix store. Put it into a file and set ${
          concatStringsSep " and " (map (var: "${option}.secretEnv.${var}") leaked)
        } to its path.";
      }
      {
        assertion = flags == [ ];
        message = "${option}.extraArgs: the value of ${concatStringsSep ", " (map shown flags)} looks like a secret, which would be readable by everyone in the Nix store and in the list of processes. Put it into a file and set ${option}.secretEnv.VARIABLE or ${option}.secretFiles to its path (to ask clients for a key, ${c.authHint}).";
      }
      {
        assertion = broken == [ ];
        message = "${
          concatStringsSep ", " (map (d: "${option}.data.${d.name}") broken)
        }: the path of a folder must not contain a colon (podman separates paths by it), a line break or another control character.";
      }
      {
        assertion = s.gpu == null || s.gpu.unknown == [ ];
        message = "${option}.gpus lists ${concatStringsSep ", " s.gpu.unknown}, where this machine has no GPU for ${s.gpu.backend}. Its GPUs: ${
          if cfg.gpu.cards == [ ] then
            "none (services.aiStack.facts lists no GPU)"
          else
            lib.concatMapStringsSep ", " (c: "${c.slot} (${c.vendor}, ${c.backend})") cfg.gpu.cards
        }.";
      }
      {
        assertion = absent == [ ];
        message = "${option} needs ${concatStringsSep ", " absent}, which is not enabled: set ${
          concatStringsSep " and " (map (n: "services.aiStack.${n}.enable = true") absent)
        }, or change ${option}.needs.";
      }
    ]
    ++ c.assertions;

  # Check the contract only if the service's own assertions hold: a service without a model,
  # for example, has no valid command to check.
  withContract =
    name: s:
    let
      own = forService name s;
    in
    own
    ++ lib.optionals (s.config.contract != null && lib.all (a: a.assertion) own) (
      contract.check s.config.contract (facts s)
    );
in
{
  config.assertions = mkIf cfg.enable (concatLists (mapAttrsToList withContract services));
}
