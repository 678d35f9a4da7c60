# Compares the files in tests/rendered with what the examples render to now:
# file -> null, or the fault.
{ lib, self }:
let
  root = ../rendered;
  content = path: if lib.hasSuffix ".json" path then builtins.fromJSON else (text: text);

  inGit =
    dir: prefix:
    lib.concatMapAttrs (
      name: type:
      if type == "directory" then
        inGit (dir + "/${name}") "${prefix}${name}/"
      else
        { "${prefix}${name}" = builtins.readFile (dir + "/${name}"); }
    ) (builtins.readDir dir);

  rendered = lib.concatMapAttrs (
    name: lib.mapAttrs' (file: text: lib.nameValuePair "${name}/${file}" text)
  ) self.lib.rendered;

  ending = text: if lib.hasSuffix "\n" text then text else text + "\n";
  normal = path: text: if lib.hasSuffix ".json" path then content path text else ending text;
  stored = inGit root "";
in
lib.mapAttrs (
  path: text:
  if !(stored ? ${path}) then
    "not in tests/rendered; write it with `tests/run render --update`"
  else if normal path stored.${path} != normal path text then
    "differs from tests/rendered; see it with `tests/run render`, take it with `tests/run render --update`"
  else
    null
) rendered
// {
  "the list of services in aistack init is current" =
    if lib.importJSON ../../crates/aistack-extras/src/init/catalog.json == self.lib.catalog then
      null
    else
      "differs from modules/services; take it with `tests/run render --update`";
}
// lib.mapAttrs (_: _: "in tests/rendered, but nothing renders to it") (
  removeAttrs stored (lib.attrNames rendered)
)
