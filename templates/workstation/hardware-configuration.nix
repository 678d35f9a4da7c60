# A placeholder, so that the configuration evaluates. Replace it with the output of
# `nixos-generate-config --show-hardware-config` on this machine.
{
  nixpkgs.hostPlatform = "x86_64-linux";

  fileSystems."/" = {
    device = "/dev/disk/by-label/nixos";
    fsType = "ext4";
  };
}
