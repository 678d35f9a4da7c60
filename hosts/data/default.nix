# The data services of a small fleet, with passwords and keys from files.
{
  imports = [ ./machine.nix ];

  services.aiStack = {
    enable = true;
    address = "0.0.0.0";
    # Deployed remotely: a generation whose services do not become healthy is rolled back.
    verify = {
      enable = true;
      rollback = true;
    };
    postgres = {
      enable = true;
      openFirewall = true;
      secretEnv.POSTGRES_PASSWORD = "/run/secrets/postgres";
      resources.memory = "16g";
    };
    redis = {
      enable = true;
      openFirewall = true;
      passwordFile = "/run/secrets/redis";
    };
    qdrant = {
      enable = true;
      openFirewall = true;
      secretEnv.QDRANT__SERVICE__API_KEY = "/run/secrets/qdrant";
    };
  };
}
