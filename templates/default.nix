# The templates by name. The files of each folder are also what `aistack init` writes.
{
  workstation = {
    path = ./workstation;
    description = "One NixOS machine with a chat interface, an engine and a vector database";
    welcomeText = ''
      Next:

      1. replace hardware-configuration.nix with this machine's (`nixos-generate-config --show-hardware-config`)
      2. write the facts: `nix run .#aistack -- facts -o facts.json`
      3. choose services in stack.nix
      4. `sudo nixos-rebuild switch --flake .#workstation`, then `aistack check`
    '';
  };
  home = {
    path = ./home;
    description = "The stack of one user without root, on any distribution with podman";
    welcomeText = ''
      Next:

      1. set your name in home.nix, and write the facts: `nix run .#aistack -- facts -o facts.json`
      2. choose services in stack.nix
      3. `nix run .#home-manager -- switch --flake .#me`, then `aistack check`
    '';
  };
  prep = {
    path = ./prep;
    description = "Preparation for a separately installed AI-Optimizer, for one user on any distribution";
    welcomeText = ''
      Next:

      1. set your name in home.nix
      2. `nix run .#home-manager -- switch --flake .#me`, then `aistack prep info`
    '';
  };
  service = {
    path = ./service;
    description = "Your own service in twenty lines, for NixOS and Home Manager";
    welcomeText = ''
      Next:

      1. change hello/default.nix into your service; aistack's docs/services.md has the fields
      2. import this flake's nixosModules.default (or homeModules.default) next to aistack's
      3. set services.aiStack.hello.enable = true
    '';
  };
}
