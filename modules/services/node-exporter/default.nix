{ config, lib, ... }:
let
  inherit (lib) mkOption types;

  root = "/host/root";
in
{
  options.fileSystems = mkOption {
    type = types.listOf (types.strMatching "/.*");
    default = [ "/" ];
    example = [
      "/"
      "/home"
    ];
    description = "Mount points of the host whose sizes are reported. In system scope the default is every entry of NixOS's `fileSystems` without the options `noauto` and `nofail`.";
  };

  config = {
    description = "metrics of the machine";
    lock = "node-exporter";
    ports.http.container = 9100;
    runAs = {
      uid = 65534;
      gid = 65534;
    };
    readOnlyRoot = true;
    # As the first process it would end with an error when it is stopped.
    init = true;
    # All mounts are read-only. The machine's network counters are not visible, because the
    # container has its own network. One mount for each file system: podman makes a mount
    # read-only, but not the file systems that are mounted below it.
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
    ]
    ++ map (path: {
      host = path;
      container = lib.removeSuffix "/" "${root}${path}";
      why = "how full the file system is";
    }) config.fileSystems;
    health = {
      http = {
        port = "http";
        path = "/";
      };
      client = "wget";
      startTimeout = 120;
    };
    metrics = {
      port = "http";
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
    resources.memory = "256m";
    command = [
      "--path.procfs=/host/proc"
      "--path.sysfs=/host/sys"
      "--path.rootfs=${root}"
      # For a mount point that is missing in the container, the size of its parent file system would
      # be reported.
      "--collector.filesystem.mount-points-include=^(${
        lib.concatMapStringsSep "|" lib.escapeRegex config.fileSystems
      })$"
      "--no-collector.netdev"
      "--no-collector.netclass"
      "--no-collector.netstat"
      "--no-collector.sockstat"
    ]
    ++ config.extraArgs;
    checks."counts the machine's memory" = {
      http = {
        port = "http";
        path = "/metrics";
      };
      expect = "node_memory_MemTotal_bytes";
    };
  };
}
