{
  description = "A NixOS machine with a local AI stack";

  inputs = {
    nixpkgs.url = "github:NixOS/nixpkgs/nixos-26.05";
    aistack = {
      url = "github:aistack-nix/aistack";
      inputs.nixpkgs.follows = "nixpkgs";
    };
  };

  outputs =
    { nixpkgs, aistack, ... }:
    {
      nixosConfigurations.workstation = nixpkgs.lib.nixosSystem {
        modules = [
          aistack.nixosModules.default
          ./configuration.nix
          ./hardware-configuration.nix
          ./stack.nix
        ];
      };

      # `nix run .#aistack -- facts`, before and after the first switch.
      packages = aistack.packages;
    };
}
