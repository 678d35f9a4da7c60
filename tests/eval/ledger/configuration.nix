{
  imports = [ ./hardware-configuration.nix ];
  services.grafana.enable = true;
  services.gitea.enable = true;
  services.aiStack.ledger.extra = [
    {
      port = 9090;
      owner = "the backup agent";
    }
  ];
}
