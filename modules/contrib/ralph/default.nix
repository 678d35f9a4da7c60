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
      description = "Number of rounds after which the loop gives a task up. There is no value for \"no limit\".";
    };
    requireApproval = mkOption {
      type = types.bool;
      default = true;
      description = "Require a person's approval before a change is kept.";
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
