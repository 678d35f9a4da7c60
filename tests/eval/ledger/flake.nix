{
  inputs.aistack.url = "github:aistack-nix/aistack";
  outputs =
    { nixpkgs, aistack, ... }:
    {
      nixosConfigurations.box = nixpkgs.lib.nixosSystem {
        modules = [
          aistack.nixosModules.ledger
          ./configuration.nix
        ];
      };
    };
}
