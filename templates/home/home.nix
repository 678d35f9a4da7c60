# The user and the home folder.
{
  home = {
    username = "me";
    homeDirectory = "/home/me";
    # The release with which this home was created. Do not change it with updates.
    stateVersion = "26.05";
  };

  programs.home-manager.enable = true;
}
