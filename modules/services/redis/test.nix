{
  marker = {
    write.exec = [
      "redis-cli"
      "set"
      "marker"
      "kept"
    ];
    read.exec = [
      "redis-cli"
      "get"
      "marker"
    ];
    expect = "kept";
  };
  checks = [
    {
      name = "appends every write";
      exec = [
        "redis-cli"
        "config"
        "get"
        "appendonly"
      ];
      expect = "yes";
    }
    {
      name = "forgets nothing";
      exec = [
        "redis-cli"
        "config"
        "get"
        "maxmemory-policy"
      ];
      expect = "noeviction";
    }
  ];
}
