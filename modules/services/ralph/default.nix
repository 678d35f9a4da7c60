{ lib, ... }:
let
  inherit (lib) mkOption types;
in
import ../../stack/agent.nix { inherit lib; } {
  description = "loop that gives a task to an agent until it is done";
  port = 8098;
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
  environment =
    { cfg, lib, ... }:
    {
      RALPH_MAX_ITERATIONS = toString cfg.maxIterations;
      RALPH_REQUIRE_APPROVAL = lib.boolToString cfg.requireApproval;
    };
}
