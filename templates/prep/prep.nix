# What AI-Optimizer, which you install yourself, needs of this machine: folders, reserved
# ports and a report. Nothing is installed, fetched or started.
{
  services.aiOptimizerPrep = {
    enable = true;
    # facts = ./facts.json; # what `aistack facts` says; else the tool looks

    # expectedLocation = "/home/me/Documents/AI-Optimizer";
    # ports.postgres = 5432;
  };
}
