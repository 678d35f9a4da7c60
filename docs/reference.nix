# The part of a service's page that follows from its module, as Markdown: image, ports, data,
# limits, secrets, checks, and the options that only this service has.
{ lib }:
{
  # The evaluated core, with the service in it: ../lib/core.nix.
  core,
  name,
}:
let
  inherit (lib)
    concatMapStrings
    concatStringsSep
    filter
    mapAttrsToList
    optional
    ;

  s = core.config.services.aiStack.${name};
  render = import ./option.nix { inherit lib; };

  # What a service without anything of its own has.
  bare = import ../modules/stack/service { inherit lib; } {
    name = "x";
    module = { };
    interface = { };
  };
  common = lib.attrNames (bare.getSubOptions [ ]);
  prefix = "services.aiStack.${name}.";
  own =
    filter
      (
        o:
        !(o.internal or false)
        && !(lib.elem (lib.head (lib.splitString "." (lib.removePrefix prefix o.name))) common)
      )
      (
        filter (o: lib.hasPrefix prefix o.name) (
          lib.optionAttrSetToDocList core.options.services.aiStack.${name}
        )
      );

  list = texts: concatStringsSep "; " texts;
  row = title: texts: lib.optionalString (texts != [ ]) "| ${title} | ${list texts} |\n";
  secretText =
    secret: s:
    "`${secret}`${
      lib.optionalString (s.description != "") " (${s.description})"
    }${lib.optionalString s.generate ", made at the first start"}";
in
''
  | | |
  | --- | --- |
''
+ row "image" (optional (s.container && s.image != null) "`${s.image}`")
+ row "ports" (
  mapAttrsToList (
    port: p:
    "`ports.${port}`: ${toString p.preferred} on the host, ${toString p.container}/${p.protocol} in the container"
  ) s.ports
)
+ row "data" (
  mapAttrsToList (
    volume: v:
    "`data.${volume}`: `<dataRoot>/${v.folder}` on the host, `${v.path}` in the container${lib.optionalString v.readOnly ", read-only"}"
  ) s.data
)
+ lib.optionalString s.container (
  row "memory" (optional (s.resources.memory != null) "at most ${s.resources.memory}")
  + row "start" [ "at most ${toString s.health.startTimeout} s to the first healthy answer" ]
)
+ row "needs" (map (n: "`${n}`") s.needs)
+ row "secrets" (mapAttrsToList secretText s.secrets)
+ row "metrics" (optional s.metrics.enable "`${s.metrics.path}` of the port `${s.metrics.port}`")
+ row "checks" (lib.attrNames s.checks)
+ lib.optionalString (
  own != [ ]
) "\nOptions of this service alone:\n\n${concatMapStrings (render.entry prefix) own}"
