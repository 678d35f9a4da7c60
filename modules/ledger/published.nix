# Published ports in the notation of podman and docker -> [ { address, port, protocol } ].
#   "8080:80"  "127.0.0.1:8080:80/udp"  "[::1]:8080:80"  "8000-8003:9000-9003"
# A container port alone ("80") gets a random host port and claims none.
{ lib }:
text:
let
  m = builtins.match "((\\[[^]]*]|[^:]*):)?([0-9]+)(-([0-9]+))?:[0-9]+(-[0-9]+)?(/(tcp|udp|sctp))?" text;
  at = builtins.elemAt m;
  address =
    if at 1 == null || at 1 == "" then
      "0.0.0.0"
    else
      lib.removeSuffix "]" (lib.removePrefix "[" (at 1));
  from = lib.toIntBase10 (at 2);
  to = if at 4 == null then from else lib.toIntBase10 (at 4);
in
if m == null then
  [ ]
else
  map (port: {
    inherit address port;
    protocol = if at 7 == null then "tcp" else at 7;
  }) (lib.range from to)
