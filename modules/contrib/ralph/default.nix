{ config, lib, ... }:
let
  inherit (lib) mkOption types;
in
{
  imports = [ ../../../lib/kinds/agent.nix ];

  options = {
    maxIterations = mkOption {
      type = types.ints.positive;
      default = 20;
      description = "Rounds after which a task is given up. There is no value for \"for ever\".";
    };
    requireApproval = mkOption {
      type = types.bool;
      default = true;
      description = "Ask before a change is kept.";
    };
  };

  config = {
    description = "loop that gives a task to an agent until it is done";
    ports.http.preferred = 8098;
    environment = {
      RALPH_MAX_ITERATIONS = toString config.maxIterations;
      RALPH_REQUIRE_APPROVAL = lib.boolToString config.requireApproval;
    };
  };
}
