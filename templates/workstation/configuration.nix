# The machine itself: its name, its users, how it boots.
{
  networking.hostName = "workstation";

  boot.loader.systemd-boot.enable = true;
  boot.loader.efi.canTouchEfiVariables = true;

  users.users.me = {
    isNormalUser = true;
    extraGroups = [ "wheel" ];
  };

  # The release that this machine was installed with; it does not change with updates.
  system.stateVersion = "26.05";
}
