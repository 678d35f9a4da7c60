{
  marker = {
    write.exec = [
      "redis-cli"
      # An error is an exit code, not only a text.
      "-e"
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
