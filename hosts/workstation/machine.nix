# The machine's own configuration, apart from the stack: replace it with yours.
{
  networking.hostName = "workstation";
  nixpkgs.hostPlatform = "x86_64-linux";
  boot.loader.systemd-boot.enable = true;
  fileSystems."/" = {
    device = "/dev/disk/by-label/nixos";
    fsType = "ext4";
  };
  users.users.ai = {
    isNormalUser = true;
    extraGroups = [ "wheel" ];
  };
  system.stateVersion = "26.05";
}
