# An option as a line of Markdown.
{ lib }:
let
  inherit (lib) filter removePrefix;

  # The text of a value, on one line.
  code =
    value:
    let
      text = value.text or value;
      flat = lib.concatStringsSep " " (
        filter (w: builtins.isString w && w != "") (builtins.split "[ \n\t]+" text)
      );
    in
    if value._type or null == "literalMD" then flat else "`${flat}`";
  text = value: lib.trim (value.text or value);

in
{
  # prefix -> an element of lib.optionAttrSetToDocList -> text
  entry =
    prefix: o:
    "- **`${removePrefix prefix o.name}`** (${lib.replaceStrings [ "\n" ] [ "\\n" ] o.type}${
      lib.optionalString (o ? default) ", default ${code o.default}"
    }): ${text o.description}${lib.optionalString (o ? example) " Example: ${code o.example}."}\n";
}
