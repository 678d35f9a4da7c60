{
  description = "A service for aistack";

  inputs.aistack.url = "github:aistack-nix/aistack";

  # Import one of them next to aistack's own module. It adds the options `services.aiStack.hello`.
  outputs =
    { aistack, ... }:
    {
      nixosModules.default = aistack.lib.mkService ./hello;
      homeModules.default = aistack.lib.mkService ./hello;
    };
}
