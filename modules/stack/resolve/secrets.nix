# The secrets of a service, as one list: from `secretEnv` and `secretFiles`, which users set,
# and from the service's own `secrets`. Each entry has its name for podman, the file with the
# value (`source`), whether that file is generated at the first start (`generate`), the option to
# change, and the place of the value in the container (`target`).
{
  lib,
  cfg,
  name,
}:
let
  inherit (lib)
    filterAttrs
    mapAttrs
    mapAttrs'
    mapAttrsToList
    nameValuePair
    ;

  names = import ./names.nix { inherit lib; };
  s = cfg.${name};
  option = "services.aiStack.${name}";
  sourceOf = import ../secret-source.nix cfg name;
  podmanName = key: "${names.container name}-${key}";

  inVariable =
    { generate }:
    mapAttrsToList (
      variable: source: {
        name = podmanName variable;
        inherit source generate;
        option = "${option}.secretEnv.${variable}";
        target.env = variable;
      }
    );

  own = filterAttrs (key: _: !(s.secretEnv ? ${key})) s.secrets;
  generated = filterAttrs (_: secret: secret.file == null && secret.generate) own;
  shared = filterAttrs (
    _: secret: secret.file == null && !secret.generate && secret.source != null
  ) own;
  files =
    s.secretFiles
    // mapAttrs' (_: secret: nameValuePair secret.file secret.source) (
      filterAttrs (_: secret: secret.file != null && secret.source != null) s.secrets
    );
in
inVariable { generate = false; } s.secretEnv
++ inVariable { generate = true; } (mapAttrs (key: _: sourceOf key) generated)
++ inVariable { generate = false; } (mapAttrs (_: secret: secret.source) shared)
++ mapAttrsToList (target: source: {
  name = podmanName (names.flat target);
  inherit source;
  generate = false;
  option = "${option}.secretFiles.\"${target}\"";
  target.file = target;
}) files
