//! The facts themselves: the shape that `schemas/facts.schema.json` describes.

use std::collections::BTreeMap;

use aistack_machine::{Backend, nullable};
use serde::{Deserialize, Serialize};

/// Number of the schema that this crate reads and writes.
pub const SCHEMA: u32 = 1;

/// Everything that the Nix side knows of a machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Facts {
    /// Always [`SCHEMA`].
    #[cfg_attr(feature = "schema", schemars(extend("const" = 1)))]
    pub schema: u32,
    /// The machine's Nix system.
    pub system: System,
    /// Its processors.
    pub cpu: Cpu,
    /// Its main memory.
    pub memory: Memory,
    /// Every display controller and processing accelerator on the PCI bus, by slot.
    pub gpus: Vec<Gpu>,
    /// The GPU that defaults use; null when none accelerates inference.
    pub primary: Option<Primary>,
    /// Backend of the primary GPU, else [`Backend::Cpu`].
    pub backend: Backend,
    /// Why that backend, in words for people.
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub backend_reason: String,
    /// What containers can ask for by name, at the time of reading.
    pub cdi: Cdi,
    /// How the machine boots; null when `/sys` doesn't tell.
    pub firmware: Option<Firmware>,
    /// `none`, the hypervisor (`kvm`, `qemu`, `vmware`, `hyperv`, `virtualbox`,
    /// `xen`, `microvm`, `other`) or `container-` and the container manager.
    #[cfg_attr(
        feature = "schema",
        schemars(regex(
            pattern = r"^(none|kvm|qemu|vmware|hyperv|virtualbox|xen|microvm|other|container-[a-z0-9-]+)$"
        ))
    )]
    pub virtualisation: String,
    /// Version of the control group hierarchy that systemd uses: 1 (also the
    /// hybrid one) or 2; null when nothing tells.
    #[cfg_attr(feature = "schema", schemars(extend("enum" = [1, 2, null])))]
    pub cgroup_version: Option<u8>,
    /// Types of the file systems that matter to containers.
    pub file_systems: FileSystems,
    /// Who may run rootless containers.
    pub subordinate_ids: SubordinateIds,
}

impl Facts {
    /// The facts as JSON text: indented, closed by a newline, the same for the same facts.
    #[must_use]
    pub fn to_json(&self) -> String {
        // A tree of strings, numbers and lists always has a JSON form.
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }
}

/// A Nix system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum System {
    /// 64-bit x86.
    #[serde(rename = "x86_64-linux")]
    X86_64,
    /// 64-bit ARM.
    #[serde(rename = "aarch64-linux")]
    Aarch64,
}

/// The processors of a machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Cpu {
    /// Who made the processor.
    pub vendor: CpuVendor,
    /// Its name as the kernel prints it; on ARM the names of its kinds of core.
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub model: Option<String>,
    /// Physical packages that are online.
    #[cfg_attr(feature = "schema", schemars(range(min = 1)))]
    pub sockets: Option<u32>,
    /// Physical cores that are online, over all sockets.
    #[cfg_attr(feature = "schema", schemars(range(min = 1)))]
    pub cores: Option<u32>,
    /// Hardware threads that are online, over all sockets.
    #[cfg_attr(feature = "schema", schemars(range(min = 1)))]
    pub threads: Option<u32>,
    /// NUMA nodes that have processors.
    #[cfg_attr(feature = "schema", schemars(range(min = 1)))]
    pub numa_nodes: u32,
    /// Instruction set extensions that inference engines are built for, sorted.
    #[cfg_attr(feature = "schema", schemars(transform = features))]
    pub features: Vec<String>,
}

/// Who made a processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum CpuVendor {
    /// AMD.
    Amd,
    /// Intel.
    Intel,
    /// Whoever builds ARM cores, Apple excepted.
    Arm,
    /// Apple.
    Apple,
    /// Anyone else, or not known.
    Other,
}

/// The main memory of a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Memory {
    /// What the kernel manages, in MiB, to the nearest 256: the kernel's own
    /// share differs from release to release.
    #[serde(rename = "totalMiB")]
    #[cfg_attr(feature = "schema", schemars(extend("multipleOf" = 256)))]
    pub total_mib: Option<u64>,
}

/// A display controller or processing accelerator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(transform = by_vendor))]
pub struct Gpu {
    /// PCI address: domain, bus, device and function, as in `0000:01:00.0`.
    #[cfg_attr(
        feature = "schema",
        schemars(regex(pattern = r"^[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-9a-f]$"))
    )]
    pub slot: String,
    /// PCI class and subclass as four hex digits: `0300` VGA, `0302` 3D,
    /// `0380` display, `1200` processing accelerator.
    #[cfg_attr(
        feature = "schema",
        schemars(regex(pattern = r"^(03[0-9a-f]{2}|1200)$"))
    )]
    pub class: String,
    /// PCI vendor and device id: `10de:2684`.
    #[cfg_attr(
        feature = "schema",
        schemars(regex(pattern = r"^[0-9a-f]{4}:[0-9a-f]{4}$"))
    )]
    pub pci_id: String,
    /// Whose card it is.
    pub vendor: GpuVendor,
    /// Its name in hwdata's `pci.ids`, else in its driver's words; null when neither tells.
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub name: Option<String>,
    /// Kernel driver that is bound to it, null when none is.
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub driver: Option<String>,
    /// Whether it shares the main memory with the processor; null when not known.
    pub integrated: Option<bool>,
    /// Its own memory in MiB; null when not known, or when it has none.
    #[serde(rename = "vramMiB")]
    #[cfg_attr(feature = "schema", schemars(range(min = 1)))]
    pub vram_mib: Option<u64>,
    /// Why the memory isn't known, in words for people; null when it is.
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub vram_reason: Option<String>,
    /// What inference engines can use it with.
    pub backend: Backend,
    /// Why that backend, in words for people.
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub reason: String,
    /// What is known of NVIDIA's cards alone.
    #[serde(flatten)]
    pub nvidia: Option<Nvidia>,
    /// What is known of AMD's cards alone.
    #[serde(flatten)]
    pub amd: Option<Amd>,
}

/// What decides about the driver of an NVIDIA card.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Nvidia {
    /// Its generation; null when not known.
    pub architecture: Option<Architecture>,
    /// CUDA's number for what it can do (`8.9`); null when not known.
    #[cfg_attr(feature = "schema", schemars(regex(pattern = r"^[0-9]+\.[0-9]$")))]
    pub compute_capability: Option<String>,
    /// Whether NVIDIA's open kernel modules run it: Turing and later.
    pub open_kernel_module: bool,
    /// The branch of drivers that still runs it, as nixpkgs names it; null: the current one.
    pub driver_branch: Option<DriverBranch>,
}

/// NVIDIA's generations, by age.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Architecture {
    /// 2006 to 2010: the first with CUDA.
    Tesla,
    /// 2010 to 2012.
    Fermi,
    /// 2012 to 2014.
    Kepler,
    /// 2014 to 2016: the first that CUDA 12 runs on.
    Maxwell,
    /// 2016 to 2018.
    Pascal,
    /// 2017.
    Volta,
    /// 2018 to 2020: the first that the open kernel modules run.
    Turing,
    /// 2020 to 2022.
    Ampere,
    /// 2022.
    Hopper,
    /// 2022 to 2024.
    Ada,
    /// From 2024 on.
    Blackwell,
    /// From 2026 on.
    Rubin,
}

/// A branch of NVIDIA's drivers for cards that the current one has dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum DriverBranch {
    /// Maxwell, Pascal and Volta.
    #[serde(rename = "legacy_580")]
    Legacy580,
    /// Kepler.
    #[serde(rename = "legacy_470")]
    Legacy470,
    /// Fermi.
    #[serde(rename = "legacy_390")]
    Legacy390,
    /// The generation before, and what is older.
    #[serde(rename = "legacy_340")]
    Legacy340,
}

/// What decides about `ROCm` on an AMD card.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Amd {
    /// What compilers call its instruction set (`gfx1100`); null when not known.
    #[serde(deserialize_with = "nullable")]
    #[cfg_attr(feature = "schema", schemars(regex(pattern = r"^gfx[0-9a-f]{3,5}$")))]
    pub gfx_target: Option<String>,
}

/// The card that defaults use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Primary {
    /// Its slot, one of [`Facts::gpus`].
    #[cfg_attr(
        feature = "schema",
        schemars(regex(pattern = r"^[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-9a-f]$"))
    )]
    pub slot: String,
    /// Why it and not another, in words for people.
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub reason: String,
}

/// What the Container Device Interface offers. It is made anew at each boot, so
/// that `--check` leaves it out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Cdi {
    /// Kinds of devices (`nvidia.com/gpu`), each with its devices' names, both
    /// sorted; without names that identify a card (UUIDs).
    #[cfg_attr(feature = "schema", schemars(extend("propertyNames" = { "pattern": "^[A-Za-z][A-Za-z0-9_.-]*/[A-Za-z][A-Za-z0-9_-]*$" }, "additionalProperties" = { "type": "array", "minItems": 1, "uniqueItems": true, "items": { "type": "string", "minLength": 1 } })))]
    pub kinds: BTreeMap<String, Vec<String>>,
}

/// Whose card it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum GpuVendor {
    /// NVIDIA.
    Nvidia,
    /// AMD (and ATI).
    Amd,
    /// Intel.
    Intel,
    /// A hypervisor's.
    Virtual,
    /// A server's management controller.
    Bmc,
    /// Anyone else.
    Other,
}

/// How a machine boots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Firmware {
    /// UEFI.
    Uefi,
    /// A PC BIOS, or a virtual machine's direct kernel boot.
    Bios,
    /// A boot loader that hands over a device tree.
    DeviceTree,
}

/// Types of file systems, as the kernel names them (`ext4`, `btrfs`, `zfs`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct FileSystems {
    /// Of `/`.
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub root: Option<String>,
    /// Of the mount that holds `/var/lib/containers`.
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub containers: Option<String>,
}

/// Subordinate user and group ids, which rootless containers need.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct SubordinateIds {
    /// Names of the users that have at least 65536 of both, sorted.
    #[cfg_attr(feature = "schema", schemars(inner(length(min = 1)), extend("uniqueItems" = true)))]
    pub users: Vec<String>,
}

/// The instruction set extensions that are looked for.
#[cfg(feature = "schema")]
fn features(schema: &mut schemars::Schema) {
    let known: Vec<&str> = crate::cpu::FEATURES.concat();
    schema.insert("items".to_owned(), serde_json::json!({ "enum": known }));
    schema.insert("uniqueItems".to_owned(), true.into());
}

/// The fields of a vendor's cards belong to those cards alone, and a card without a known
/// size of memory has a reason.
#[cfg(feature = "schema")]
fn by_vendor(schema: &mut schemars::Schema) {
    let only = |vendor: &str, fields: &[&str]| {
        let none: serde_json::Map<_, _> = fields
            .iter()
            .map(|field| ((*field).to_owned(), false.into()))
            .collect();
        serde_json::json!({
            "if": { "properties": { "vendor": { "const": vendor } } },
            "then": { "required": fields },
            "else": { "properties": none },
        })
    };
    let nvidia = [
        "architecture",
        "computeCapability",
        "openKernelModule",
        "driverBranch",
    ];
    let rules = [only("nvidia", &nvidia), only("amd", &["gfxTarget"])];
    schema.insert("allOf".to_owned(), rules.into_iter().collect());
    let memory = serde_json::json!([
        { "properties": { "vramMiB": { "type": "null" }, "vramReason": { "type": "string" } } },
        { "properties": { "vramMiB": { "type": "integer" }, "vramReason": { "type": "null" } } },
    ]);
    schema.insert("oneOf".to_owned(), memory);
}
