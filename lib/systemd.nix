# Text for systemd's files. systemd expands `%` in most values (specifiers) and `$` in
# commands (systemd.unit(5), systemd.service(5)); both are doubled to stay as they are. What
# a quadlet says ends on podman's command line in `ExecStart=`: quadlet quotes the words and
# leaves these two signs (containers/podman, pkg/systemd/parser/split.go).
{ lib }:
rec {
  path = lib.replaceStrings [ "%" ] [ "%%" ];
  literal = lib.replaceStrings [ "%" "$" ] [ "%%" "$$" ];
  # Every string in a value.
  literals =
    value:
    if builtins.isString value then
      literal value
    else if builtins.isList value then
      map literals value
    else if builtins.isAttrs value then
      lib.mapAttrs (_: literals) value
    else
      value;
  # One word of a list or of a command line, also with white space in it.
  word =
    text:
    if builtins.match "[^[:space:]\"'\\;]+" text != null then
      text
    else
      "\"${lib.replaceStrings [ "\\" "\"" ] [ "\\\\" "\\\"" ] text}\"";
  exec = lib.concatMapStringsSep " " (text: word (literal text));

  # The target of a scope that a boot reaches.
  bootTarget = {
    system = "multi-user.target";
    user = "default.target";
  };
}
