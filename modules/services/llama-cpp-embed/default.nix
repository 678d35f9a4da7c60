{ lib, ... }:
let
  inherit (lib) mkOption types;
  base = import ../llama-cpp { inherit lib; };
  default = value: option: option // { default = value; };
in
base
// {
  description = "OpenAI-compatible server for embeddings, from one GGUF model";
  ports.http = {
    container = 8080;
    host = 8083;
  };
  options = base.options // {
    # A text is embedded in one physical batch, or refused.
    batchSize = default 2048 base.options.batchSize;
    ubatchSize = default 2048 base.options.ubatchSize;
    # Embeddings lose more by a coarse cache than they save: nothing of it is kept.
    cacheTypeK = default "f16" base.options.cacheTypeK;
    cacheTypeV = default "f16" base.options.cacheTypeV;
    cacheRam = default 0 base.options.cacheRam;
    longestChunk = mkOption {
      type = types.ints.positive;
      default = 2048;
      description = "The longest text that clients send, in tokens. `ubatchSize` and the context of one slot must be at least that.";
    };
    pooling = mkOption {
      type = types.nullOr (
        types.enum [
          "none"
          "mean"
          "cls"
          "last"
          "rank"
        ]
      );
      default = null;
      description = "How the tokens' vectors become one; null: as the model says.";
    };
  };
  command =
    arguments@{ cfg, lib, ... }:
    base.command arguments
    ++ [ "--embedding" ]
    ++ lib.optionals (cfg.pooling != null) [
      "--pooling"
      cfg.pooling
    ];
  assertions =
    arguments@{ cfg, option, ... }:
    base.assertions arguments
    ++ [
      {
        assertion = cfg.ubatchSize >= cfg.longestChunk;
        message = "${option}.ubatchSize = ${toString cfg.ubatchSize} is smaller than longestChunk = ${toString cfg.longestChunk}: the server answers such a text with an error. Raise ubatchSize (and batchSize), or cut texts shorter and lower longestChunk.";
      }
      {
        assertion = cfg.contextSize == 0 || cfg.contextSize / cfg.parallel >= cfg.longestChunk;
        message = "${option}: a context of ${toString cfg.contextSize} tokens over ${toString cfg.parallel} slots leaves ${
          toString (cfg.contextSize / cfg.parallel)
        } for a text, and longestChunk = ${toString cfg.longestChunk}. Raise contextSize or lower parallel.";
      }
    ];
  engineRank = null;
  openai = args: base.openai args // { embedding = true; };
}
