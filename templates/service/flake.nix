{
  description = "A service of one's own for aistack";

  inputs.aistack.url = "github:aistack-nix/aistack";

  # Import one of them next to aistack's own module; then `services.aiStack.hello` is there.
  outputs =
    { aistack, ... }:
    {
      nixosModules.default = aistack.lib.mkService ./hello;
      homeModules.default = aistack.lib.mkService ./hello;
    };
}
