# Prepares this machine for AI-Optimizer, which you install yourself: folders, reserved ports and a
# report. Nothing is installed, downloaded or started.
{
  services.aiOptimizerPrep = {
    enable = true;
    # facts = ./facts.json; # from `aistack facts`; optional

    # expectedLocation = "/home/me/Documents/AI-Optimizer";
    # ports.postgres = 5432;
  };
}
