{ lib, ... }:
import ../../stack/agent.nix { inherit lib; } {
  description = "agent that plans and acts by itself";
  port = 8097;
}
