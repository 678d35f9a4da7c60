# Amounts of memory.
{ lib }:
let
  inherit (lib) toInt toLower;
in
rec {
  # "4G", "512m", "1024" (MiB) -> MiB.
  toMiB =
    text:
    let
      m = builtins.match "([0-9]+)([kKmMgGtT]?)[iI]?[bB]?" text;
      n = toInt (builtins.elemAt m 0);
      unit = toLower (builtins.elemAt m 1);
    in
    if m == null then
      throw "services.aiStack: \"${text}\" is not a valid amount of memory: write a number and k, m, g or t, as in \"4g\""
    else if unit == "k" then
      n / 1024
    else if unit == "g" then
      n * 1024
    else if unit == "t" then
      n * 1024 * 1024
    else
      n;

  # The same in podman's spelling: a number alone would be bytes to it.
  memoryLimit = text: if builtins.match "[0-9]+" text != null then "${text}m" else text;
}
