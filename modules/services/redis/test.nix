{
  cfg,
  lib,
  util,
  ...
}:
let
  redis = import ./parts.nix { inherit lib; };
  # As the server was started: `extraArgs` come last and win.
  started = util.lastArgument (redis.server cfg);
  # -e: an error is an exit code, not only a text.
  cli = words: redis.client cfg ([ "-e" ] ++ words);
  setting = name: wanted: {
    exec = cli [
      "config"
      "get"
      name
    ];
    expect = wanted;
  };
in
{
  marker = {
    write.exec = cli [
      "set"
      "marker"
      "kept"
    ];
    read.exec = cli [
      "get"
      "marker"
    ];
    expect = "kept";
  };
  checks = [
    (
      {
        name = "keeps its log of writes as declared";
      }
      // setting "appendonly" (started "--appendonly")
    )
    (
      {
        name = "evicts as declared";
      }
      // setting "maxmemory-policy" (started "--maxmemory-policy")
    )
  ];
}
