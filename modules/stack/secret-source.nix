# The file on the host with a secret of a service: the user's file, the file that is generated at
# the first start, or a file of another service. null if there is none.
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
