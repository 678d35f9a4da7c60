# What services can read of the stack and of each other: the argument `stack` of a service's
# module, and `services.aiStack.interface` for other modules. docs/services.md explains it.
#
#   scope dataRoot address portOffset facts gpu network modelsDir models
#                           options of the stack
#   enabled NAME            whether that service is enabled
#   config NAME             the service's configuration
#   host NAME               the service's name on the network of the containers
#   port NAME PORT          the service's port on that network, as text
#   target NAME PORT        "host:port"
#   url NAME PORT           "http://host:port"
#   secret NAME SECRET      file on the host with a secret of the service, or null
#   requested NAME          values that the other enabled services request from it (`requests`)
#   engines                 OpenAI-compatible endpoints of the enabled services, see `engineOf`
#   enginesFor NAME         the same without those of NAME
#   engineNames             names of the engines that clients may use, the best rank first
#   engine NAME             the engine with that name, for null the best one; null if there is none
#   metrics                 Prometheus endpoints of the enabled services, see `metricsOf`
{ lib, util }:
cfg:
let
  inherit (lib)
    concatMap
    filter
    optional
    sortOn
    ;

  inherit (cfg) enabledNames;

  engineOf =
    name:
    let
      s = cfg.${name};
      apiKeySource = if s.openai.secret == null then null else stack.secret name s.openai.secret;
    in
    {
      inherit name apiKeySource;
      inherit (s.openai)
        models
        embedding
        rank
        anyModel
        ;
      url = "${stack.url name "http"}/v1";
      hostUrl = "http://${util.bracket (util.reachable s.address)}:${toString s.ports.http.host}/v1";
      # The variable with this engine's key, for a client of several engines.
      apiKeyVariable =
        if apiKeySource == null then
          null
        else
          "ENGINE_KEY_${lib.toUpper (builtins.replaceStrings [ "-" ] [ "_" ] name)}";
    };

  metricsOf =
    name:
    let
      inherit (cfg.${name}) metrics;
    in
    {
      inherit name;
      inherit (metrics) path panels;
      target = stack.target name metrics.port;
      token = if metrics.secret == null then null else stack.secret name metrics.secret;
    };

  ranked = sortOn (e: e.rank) (filter (e: e.rank != null) stack.engines);

  stack = {
    inherit (cfg)
      scope
      dataRoot
      address
      portOffset
      facts
      gpu
      network
      modelsDir
      models
      ;
    enabled = name: builtins.elem name enabledNames;
    config = name: cfg.${name};
    host = name: "local-ai-${name}";
    port = name: port: toString cfg.${name}.ports.${port}.container;
    target = name: port: "${stack.host name}:${stack.port name port}";
    url = name: port: "http://${stack.target name port}";
    secret = import ./secret-source.nix cfg;
    requested =
      name:
      concatMap (other: optional (cfg.${other}.requests ? ${name}) cfg.${other}.requests.${name}) (
        lib.remove name enabledNames
      );
    engines = map engineOf (filter (name: cfg.${name}.openai != null) enabledNames);
    enginesFor = name: filter (e: e.name != name) stack.engines;
    engineNames = map (e: e.name) ranked;
    engine = name: lib.findFirst (e: name == null || e.name == name) null ranked;
    metrics = map metricsOf (filter (name: cfg.${name}.metrics.enable) enabledNames);
  };
in
stack
