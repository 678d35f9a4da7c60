_: {
  checks = [
    {
      name = "counts the machine's memory";
      http = {
        port = "http";
        path = "/metrics";
      };
      expect = "node_memory_MemTotal_bytes";
    }
  ];
}
