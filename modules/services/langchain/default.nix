{ lib, ... }:
import ../../stack/agent.nix { inherit lib; } {
  description = "service built with LangChain";
  port = 8096;
}
