{ ... }:
{
  description = "metrics of the machine";
  image = "node-exporter";
  ports.http = {
    container = 9100;
    host = 9100;
  };
  user = {
    uid = 65534;
    gid = 65534;
  };
  readOnlyRoot = true;
  # As the first process it ends with an error when it is stopped.
  init = true;
  # Read, never written; the machine's own network counters stay out of sight, because
  # it has a network of its own.
  mounts = [
    {
      host = "/proc";
      container = "/host/proc";
      why = "processor, memory, pressure";
    }
    {
      host = "/sys";
      container = "/host/sys";
      why = "temperatures, clocks, devices";
    }
    {
      host = "/";
      container = "/host/root";
      why = "how full the file systems are";
    }
  ];
  probe.http = {
    port = "http";
    path = "/";
  };
  client = "wget";
  metrics = {
    port = "http";
    path = "/metrics";
    panels = [
      {
        title = "Processor in use";
        expr = "1 - avg(rate(node_cpu_seconds_total{mode=\"idle\"}[5m]))";
        unit = "percentunit";
        legend = "all cores";
      }
      {
        title = "Memory in use";
        expr = "1 - node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes";
        unit = "percentunit";
      }
      {
        title = "File systems in use";
        expr = "1 - node_filesystem_avail_bytes{fstype!~\"tmpfs|overlay|ramfs\"} / node_filesystem_size_bytes";
        unit = "percentunit";
        legend = "{{mountpoint}}";
      }
    ];
  };
  startTimeout = 120;
  resources.memory = "256m";
  command =
    { cfg, ... }:
    [
      "--path.procfs=/host/proc"
      "--path.sysfs=/host/sys"
      "--path.rootfs=/host/root"
      "--no-collector.netdev"
      "--no-collector.netclass"
      "--no-collector.netstat"
      "--no-collector.sockstat"
    ]
    ++ cfg.extraArgs;
}
