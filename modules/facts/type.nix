# The type of facts.json: an option for each field of schemas/facts.schema.json, so that a
# misspelt key or a wrong value is an error that names it. A field that the file leaves out is
# null, or empty.
{ lib }:
let
  inherit (lib) mkOption types;
  inherit (types) nullOr;

  # The version of the format that these modules read.
  schema = 1;

  inherit (import ../../lib { inherit lib; }) backends;

  field =
    type: default: description:
    mkOption { inherit type default description; };
  # null: the machine does not report the value.
  known = type: field (nullOr type) null;
  required = type: description: mkOption { inherit type description; };

  submodule =
    description: options:
    types.submoduleWith {
      inherit description;
      modules = [ { inherit options; } ];
      # Every attribute is a field, even one named `config`.
      shorthandOnlyDefinesConfig = true;
    };

  text = types.str;
  count = types.ints.positive;
  slot = types.strMatching "[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\\.[0-9a-f]";

  # A display controller or processing accelerator.
  card = submodule "GPU" {
    slot = required slot "PCI address: domain, bus, device and function.";
    vendor = required (types.enum [
      "nvidia"
      "amd"
      "intel"
      "virtual"
      "bmc"
      "other"
    ]) "Vendor; `virtual` for the card of a hypervisor, `bmc` for that of a management controller.";
    backend = required (types.enum backends) "Backend with which inference engines can use the card.";
    reason = known text "Why that backend, in words.";
    class = known (types.strMatching "03[0-9a-f]{2}|1200") "PCI class and subclass: 0300 VGA, 0302 3D, 0380 display, 1200 processing accelerator.";
    pciId = known (types.strMatching "[0-9a-f]{4}:[0-9a-f]{4}") "PCI ids of vendor and device.";
    name = known text "Name in hwdata's list of PCI ids, else the driver's name for the card.";
    driver = known text "Kernel driver that is bound to the card.";
    integrated = known types.bool "Whether the card shares the processor's memory.";
    vramMiB = known count "Size of the card's own memory in MiB. `null`: the card has none, or its size is not known.";
    vramReason = known text "Why `vramMiB` is null, in words.";
    architecture = known (types.enum [
      "tesla"
      "fermi"
      "kepler"
      "maxwell"
      "pascal"
      "volta"
      "turing"
      "ampere"
      "hopper"
      "ada"
      "blackwell"
      "rubin"
    ]) "NVIDIA: generation of the chip.";
    computeCapability = known (types.strMatching "[0-9]+\\.[0-9]") "NVIDIA: CUDA's compute capability of the chip.";
    openKernelModule = known types.bool "NVIDIA: whether the open kernel modules support the card (Turing and later).";
    driverBranch =
      known
        (types.enum [
          "legacy_580"
          "legacy_470"
          "legacy_390"
          "legacy_340"
        ])
        "NVIDIA: the last driver branch that supports the card, by its name in nixpkgs. `null`: the current branch.";
    gfxTarget = known (types.strMatching "gfx[0-9a-f]{3,5}") "AMD: name of the instruction set.";
  };

  content = submodule "content of facts.json" {
    schema = known types.int "Version of the format.";
    system = known (types.enum [
      "x86_64-linux"
      "aarch64-linux"
    ]) "Nix system.";
    cpu = {
      vendor = known (types.enum [
        "amd"
        "intel"
        "arm"
        "apple"
        "other"
      ]) "Vendor of the processor.";
      model = known text "Name that the kernel prints; on ARM the names of the core types.";
      sockets = known count "Physical packages that are online.";
      cores = known count "Physical cores that are online, over all sockets.";
      threads = known count "Hardware threads that are online, over all sockets.";
      numaNodes = known count "NUMA nodes that have processors.";
      features =
        field (types.listOf text) [ ]
          "Instruction set extensions for which inference engines have builds.";
    };
    memory.totalMiB = known types.ints.unsigned "Main memory that the kernel manages, in MiB, to the nearest 256.";
    gpus =
      field (types.listOf card) [ ]
        "Every display controller and processing accelerator, by slot.";
    primary = known (submodule "GPU and reason" {
      slot = required slot "PCI address of the card.";
      reason = known text "Why this card and not another, in words.";
    }) "The card that defaults use. `null`: no card accelerates inference.";
    backend = field (types.enum backends) "cpu" "Backend of the primary card, else `cpu`.";
    backendReason = known text "Why that backend, in words.";
    cdi.kinds =
      field (types.attrsOf (types.listOf text)) { }
        "CDI names of devices that were available to containers when the facts were written, by kind. For information only.";
    firmware = known (types.enum [
      "uefi"
      "bios"
      "device-tree"
    ]) "How the machine boots.";
    virtualisation = known (types.strMatching "none|kvm|qemu|vmware|hyperv|virtualbox|xen|microvm|other|container-[a-z0-9-]+") "Virtual machine or container in which the machine runs; `none` on hardware.";
    cgroupVersion = known (types.enum [
      1
      2
    ]) "Version of the cgroup hierarchy; 1 includes the hybrid hierarchy.";
    fileSystems = {
      root = known text "Type of the file system at `/`.";
      containers = known text "Type of the file system that holds `/var/lib/containers`.";
    };
    subordinateIds.users =
      field (types.listOf text) [ ]
        "Users with at least 65536 subordinate user ids and as many group ids.";
  };

  # For a file of another version, only the version is read: the assertion below then reports it,
  # and not a field that only that version has.
  read =
    value:
    let
      found = if builtins.isAttrs value then value else lib.importJSON value;
    in
    if builtins.isInt (found.schema or null) && found.schema != schema then
      { inherit (found) schema; }
    else
      found;
in
{
  inherit card;

  # A path of a facts.json, its content, or null.
  facts = nullOr (types.coercedTo (types.either types.path (types.attrsOf types.raw)) read content);

  # OPTION is the name of the option that FACTS come from.
  assertion = option: facts: {
    assertion = facts == null || facts.schema == schema;
    message = "${option} has schema ${
      if facts.schema == null then "none" else toString facts.schema
    }, this version reads schema ${toString schema}: write the file again with `aistack facts -o facts.json`.";
  };
}
