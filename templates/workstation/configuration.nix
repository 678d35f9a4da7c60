# The machine itself: its name, its users, how it boots.
{
  networking.hostName = "workstation";

  boot.loader.systemd-boot.enable = true;
  boot.loader.efi.canTouchEfiVariables = true;

  users.users.me = {
    isNormalUser = true;
    extraGroups = [ "wheel" ];
  };

  # The release with which this machine was installed. Do not change it with updates.
  system.stateVersion = "26.05";
}
