# A stand-in that lets the configuration evaluate. Put the output of
# `nixos-generate-config --show-hardware-config` on this machine in its place.
{
  nixpkgs.hostPlatform = "x86_64-linux";

  fileSystems."/" = {
    device = "/dev/disk/by-label/nixos";
    fsType = "ext4";
  };
}
