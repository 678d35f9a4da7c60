# Whose home it is.
{
  home = {
    username = "me";
    homeDirectory = "/home/me";
    # The release that this home was begun with; it does not change with updates.
    stateVersion = "26.05";
  };

  programs.home-manager.enable = true;
}
