# Secrets from sops-nix, by its own modules: the stack takes the paths that they declare, and starts
# its containers after the units that they define.
# name -> null, or the value that was found.
{
  lib,
  self,
  inputs,
}:
let
  stack = secret: {
    services.aiStack = {
      enable = true;
      qdrant.enable = true;
      qdrant.secretEnv.QDRANT__SERVICE__API_KEY = secret;
    };
  };
  # A path on the machine, so that the test needs no encrypted file.
  secrets = {
    sops = {
      validateSopsFiles = false;
      age.keyFile = "/var/lib/sops/age.key";
      secrets.qdrant.sopsFile = "/etc/secrets.yaml";
    };
  };

  system =
    (lib.nixosSystem {
      modules = [
        ../../hosts/workstation/machine.nix
        self.nixosModules.default
        inputs.sops-nix.nixosModules.sops
        secrets
        { sops.useSystemdActivation = true; }
        ({ config, ... }: stack config.sops.secrets.qdrant.path)
      ];
    }).config;

  user =
    (inputs.home-manager.lib.homeManagerConfiguration {
      pkgs = import inputs.nixpkgs { system = "x86_64-linux"; };
      modules = [
        ../../home/ai
        self.homeModules.default
        inputs.sops-nix.homeManagerModules.sops
        secrets
        ({ config, ... }: stack config.sops.secrets.qdrant.path)
      ];
    }).config;

  # Whether sops-nix defines the unit, and the container starts after it.
  after =
    units: unit: containers:
    let
      container = containers.local-ai-qdrant.unitConfig;
    in
    if !(units ? ${unit}) then
      "sops-nix defines no unit ${unit}; it defines ${toString (lib.filter (lib.hasInfix "sops") (lib.attrNames units))}"
    else if !(lib.elem "${unit}.service" (lib.toList container.After)) then
      "the container starts after ${toString container.After}"
    else
      null;
in
{
  "sops-nix: containers of the system start after its unit" =
    after system.systemd.services "sops-install-secrets"
      system.virtualisation.quadlet.containers;
  "sops-nix: containers of a user start after its unit" =
    after user.systemd.user.services "sops-nix"
      user.virtualisation.quadlet.containers;
  "sops-nix: the stack reads the file that it writes" =
    let
      seen = system.services.aiStack.qdrant.secretEnv.QDRANT__SERVICE__API_KEY;
    in
    if seen == "/run/secrets/qdrant" then null else "the path is ${seen}";
}
