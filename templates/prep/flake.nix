{
  description = "A machine made ready for AI-Optimizer, for one user on any distribution";

  inputs = {
    nixpkgs.url = "github:NixOS/nixpkgs/nixos-26.05";
    home-manager = {
      url = "github:nix-community/home-manager/release-26.05";
      inputs.nixpkgs.follows = "nixpkgs";
    };
    aistack = {
      url = "github:aistack-nix/aistack";
      inputs.nixpkgs.follows = "nixpkgs";
      inputs.home-manager.follows = "home-manager";
    };
  };

  outputs =
    {
      nixpkgs,
      home-manager,
      aistack,
      ...
    }:
    let
      system = "x86_64-linux";
    in
    {
      homeConfigurations.me = home-manager.lib.homeManagerConfiguration {
        pkgs = nixpkgs.legacyPackages.${system};
        modules = [
          aistack.homeModules.aiOptimizerPrep
          ./home.nix
          ./prep.nix
        ];
      };

      packages.${system} = {
        inherit (aistack.packages.${system}) aistack;
        inherit (home-manager.packages.${system}) home-manager;
      };
    };
}
