# The catalog: one folder below ../services is one service, its name the folder's.
# A definition is plain data, and functions of its own configuration and of the
# resolved stack; `knownFields` says what a definition may hold, so that a typo in
# one is an error that names it.
{ lib }:
let
  inherit (lib)
    attrNames
    concatStringsSep
    filterAttrs
    mapAttrs
    ;

  root = ../services;

  knownFields = {
    description = "one line, for people";
    image = "key of the image lock, or a set of them by GPU backend";
    ports = "name -> { container, host, protocol }";
    data = "name -> { path (in the container), dir (below dataRoot), readOnly, mode }";
    hides = "path in the image -> why its files, which a mount hides, are not needed";
    mounts = "{ cfg } -> folders of the host that it may read: [ { host, container, why } ]";
    user = "{ uid, gid } that the image runs as; null: root in the container";
    container = "false where there is nothing to run, only files for the user";
    userFiles = "{ cfg, stack } -> files below the user's home, path -> text";
    probe = "how to ask from the host: { http, tcp, redis or postgres }; null where it serves nothing";
    client = "curl, wget, python, bash or any: what asks for probe.http inside the container";
    healthCommand = "how podman asks inside the container, where it is not that";
    startTimeout = "seconds from start to the first healthy answer";
    stopTimeout = "seconds that it may take to end after SIGTERM";
    metrics = "{ port, path, tokenVariable, panels } of a Prometheus endpoint, or a function of the arguments to it or null";
    engineRank = "place among the engines that clients may talk to, the best first; null: it is none of them";
    openai = "{ cfg } -> { models, embedding, anyModel, apiKey } of an OpenAI-compatible endpoint at /v1 of port http";
    loader = "{ cfg, stack } -> { names, imports } that a unit of its own brings into the service";
    resources = "{ memory, pids, shm }";
    gpu = "whether it uses one";
    gpuMemory = "{ cfg } -> MiB that it takes on its GPU, or null where that is not known";
    needs = "services without which it cannot run";
    wants = "services that it uses when they are on; or { engines } -> those, with the engines' names by rank";
    readOnlyRoot = "whether the image runs on a read-only root file system";
    groups = "groups of the host whose files it may use, by name (system scope)";
    init = "whether podman's init is its first process: for a program that heeds no SIGTERM as that";
    tmpfs = "writable places that a read-only root needs";
    capabilities = "name -> why it is needed";
    ulimits = "limits beyond the defaults, by scope";
    secrets = "VARIABLE -> { generate, description }";
    secretFiles = "{ cfg } -> files in the container, from files on the host";
    sharedSecrets = "{ cfg, stack } -> VARIABLE -> file on the host that holds another service's secret";
    options = "the service's own options";
    environment = "{ cfg, stack } -> variables";
    configFiles = "{ cfg, stack } -> files in the container, path -> text; never secrets";
    entrypoint = "{ cfg } -> program in place of the image's entry point, or null";
    command = "{ cfg, stack } -> arguments of the image's entry point";
    settings = "other service -> { cfg } -> what it sets of that one when it is on";
    database = "{ cfg } -> roles, databases and migrations of a PostgreSQL server";
    vectors = "{ cfg } -> collections of a Qdrant server";
    integrity = "{ cfg } -> data that is looked at before the start";
    setup = "{ cfg, stack } -> commands run in the container once it is healthy";
    files = "{ cfg, stack } -> files that must exist before the start";
    assertions = "{ cfg, stack, option } -> assertions";
    warnings = "{ cfg, stack, option } -> warnings";
    authenticated = "{ cfg, ... } -> whether a client must prove who it is";
    authHint = "how to make it so";
  };

  # The probe that is asked from the host, asked from inside.
  askProbe =
    name: def:
    { util, ... }:
    let
      inherit (def.probe.http) port path;
    in
    (util.httpGet.${def.client}
      or (throw "modules/services/${name}/default.nix: client = \"${def.client}\" is none of ${concatStringsSep ", " (attrNames util.httpGet)}")
    )
      def.ports.${port}.container
      path;

  defaults = {
    image = null;
    ports = { };
    data = { };
    mounts = _: [ ];
    hides = { };
    container = true;
    userFiles = _: { };
    probe = null;
    user = null;
    startTimeout = 300;
    stopTimeout = 80;
    metrics = _: null;
    engineRank = null;
    openai = null;
    loader = _: null;
    resources = { };
    gpu = false;
    gpuMemory = _: null;
    needs = [ ];
    wants = [ ];
    readOnlyRoot = false;
    groups = [ ];
    init = false;
    tmpfs = [ ];
    capabilities = { };
    ulimits = _: [ ];
    secrets = { };
    secretFiles = _: { };
    sharedSecrets = _: { };
    options = { };
    environment = _: { };
    configFiles = _: { };
    entrypoint = _: null;
    command = _: [ ];
    settings = { };
    database = _: null;
    vectors = _: null;
    integrity = _: [ ];
    setup = _: [ ];
    files = _: [ ];
    assertions = _: [ ];
    warnings = _: [ ];
    authenticated = _: false;
    authHint = "put a reverse proxy with a login before it (the program has none of its own)";
  };

  check =
    name: def:
    let
      unknown = attrNames (removeAttrs def (attrNames knownFields));
    in
    if unknown == [ ] then
      defaults
      // lib.optionalAttrs (def ? client) { healthCommand = askProbe name def; }
      // def
      // lib.optionalAttrs (def ? metrics && !lib.isFunction def.metrics) { metrics = _: def.metrics; }
      // lib.optionalAttrs (lib.isFunction def.wants or null) { wants = def.wants { inherit engines; }; }
    else
      throw "modules/services/${name}/default.nix: unknown field ${concatStringsSep ", " unknown}; a definition may have ${concatStringsSep ", " (attrNames knownFields)}";

  definitions = mapAttrs (name: _: import (root + "/${name}") { inherit lib; }) (
    filterAttrs (_: type: type == "directory") (builtins.readDir root)
  );

  engines =
    let
      rank = name: definitions.${name}.engineRank or null;
    in
    lib.sortOn rank (lib.filter (name: rank name != null) (attrNames definitions));
in
mapAttrs check definitions
