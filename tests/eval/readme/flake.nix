# flake.nix
{
  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-26.05";
  inputs.aistack.url = "github:aistack-nix/aistack";
  outputs = { nixpkgs, aistack, ... }: {
    nixosConfigurations.box = nixpkgs.lib.nixosSystem {
      modules = [
        ./box.nix
        aistack.nixosModules.default
        {
          services.aiStack = {
            enable = true;
            ollama.enable = true;
            open-webui.enable = true;
          };
        }
      ];
    };
  };
}
