# The file on the host that holds a secret of a service: the user's, the one that is made at
# the first start, or another service's; null where there is none.
cfg: name: secret:
let
  s = cfg.${name};
  declared = s.secrets.${secret} or null;
in
s.secretEnv.${secret} or (
  if declared == null then
    null
  else if declared.generate then
    "${cfg.dataRoot}/secrets/${name}/${secret}"
  else
    declared.source
)
