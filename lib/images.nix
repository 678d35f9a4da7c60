# References of container images.
{ lib }:
rec {
  # "name:tag@sha256:…" -> { name, tag, digest }; a registry's port is not a tag.
  parseImage =
    reference:
    let
      m = builtins.match "([^@]+)(@(sha256:[0-9a-f]{64}))?" reference;
      named = builtins.match "(.*/[^/:]+|[^/:]+)(:([^/:]+))?" (builtins.elemAt m 0);
    in
    if reference == null then
      {
        reference = null;
        name = null;
        tag = null;
        digest = null;
      }
    else if m == null || named == null then
      throw "services.aiStack: \"${reference}\" is not a valid image reference: write registry/name:tag@sha256:digest"
    else
      {
        inherit reference;
        name = builtins.elemAt named 0;
        tag = builtins.elemAt named 2;
        digest = builtins.elemAt m 2;
      };

  # The reference of an entry of the image lock.
  lockedReference =
    entry:
    entry.name
    + lib.optionalString (entry.tag != null) ":${entry.tag}"
    + lib.optionalString (entry.digest != null) "@${entry.digest}";
}
