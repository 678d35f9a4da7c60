{
  config,
  lib,
  option,
  ...
}:
let
  inherit (lib) mkOption types;
in
{
  imports = [ ../../../lib/kinds/llama-server.nix ];

  options = {
    longestChunk = mkOption {
      type = types.ints.positive;
      default = 2048;
      description = "Longest text that clients send, in tokens. `ubatchSize` and the context of one slot must be at least as large.";
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
      description = "How the vectors of the tokens are combined into one. `null`: as the model declares.";
    };
  };

  config = {
    description = "OpenAI-compatible server for embeddings, from one GGUF model";
    ports.http.preferred = 8083;
    # The server embeds a text in one physical batch, or refuses it.
    batchSize = 2048;
    ubatchSize = 2048;
    # A quantised cache costs embeddings more accuracy than it saves memory, and no prompt states are
    # kept.
    cacheTypeK = "f16";
    cacheTypeV = "f16";
    cacheRam = 0;
    openai.embedding = true;
    modeArgs = [
      "--embedding"
    ]
    ++ lib.optionals (config.pooling != null) [
      "--pooling"
      config.pooling
    ];
    checks."embeds a text" = {
      http = {
        port = "http";
        path = "/v1/embeddings";
        method = "POST";
        body = builtins.toJSON { input = "hi"; };
      };
      expect = "embedding";
    };
    assertions = [
      {
        assertion = config.ubatchSize >= config.longestChunk;
        message = "${option}.ubatchSize = ${toString config.ubatchSize} is smaller than longestChunk = ${toString config.longestChunk}: the server answers a longer text with an error. Raise ubatchSize (and batchSize), or split texts into shorter pieces and lower longestChunk.";
      }
      {
        assertion = config.contextSize == 0 || config.contextSize / config.parallel >= config.longestChunk;
        message = "${option}: a context of ${toString config.contextSize} tokens over ${toString config.parallel} slots leaves ${
          toString (config.contextSize / config.parallel)
        } for a text, and longestChunk = ${toString config.longestChunk}. Raise contextSize or lower parallel.";
      }
    ];
  };
}
