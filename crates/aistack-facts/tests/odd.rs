//! Trees that are odd, truncated or half missing: facts stay truthful, notes say what is unknown.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests fail as tests do"
)]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use aistack_facts::{CpuVendor, Error, Facts, GpuVendor, System, read};
use aistack_machine::Backend;
use tempfile::TempDir;

const CPUINFO: &str = "processor\t: 0\nvendor_id\t: AuthenticAMD\nmodel name\t: Test  CPU\nphysical id\t: 0\ncore id\t\t: 0\nflags\t\t: fpu lm avx avx2 fma\n\n";
const MEMINFO: &str = "MemTotal:        8130440 kB\n";
const MOUNTS: &str = "21 1 259:2 / / rw shared:1 - ext4 /dev/a rw\n24 23 0:22 / /sys/fs/cgroup rw shared:7 - cgroup2 cgroup2 rw\n";

/// A machine that reads without a note and has no GPU.
struct Tree(TempDir);

impl Tree {
    fn new() -> Self {
        let tree = Self(tempfile::tempdir().unwrap());
        tree.file("proc/cpuinfo", CPUINFO)
            .file("proc/meminfo", MEMINFO)
            .file("proc/self/mountinfo", MOUNTS)
            .dir("sys/bus/pci/devices")
            .dir("sys/firmware/efi");
        tree
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn dir(&self, path: &str) -> &Self {
        fs::create_dir_all(self.path().join(path)).unwrap();
        self
    }

    fn file(&self, path: &str, content: impl AsRef<[u8]>) -> &Self {
        let path = self.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
        self
    }

    fn link(&self, path: &str, target: &str) -> &Self {
        let path = self.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink(target, path).unwrap();
        self
    }

    fn remove(&self, path: &str) -> &Self {
        let path = self.path().join(path);
        if path.is_dir() {
            fs::remove_dir_all(path).unwrap();
        } else {
            fs::remove_file(path).unwrap();
        }
        self
    }

    fn gpu(&self, slot: &str, class: &str, id: (&str, &str), driver: Option<&str>) -> &Self {
        let device = format!("sys/bus/pci/devices/{slot}");
        self.file(&format!("{device}/class"), class)
            .file(&format!("{device}/vendor"), id.0)
            .file(&format!("{device}/device"), id.1);
        if let Some(driver) = driver {
            self.link(
                &format!("{device}/driver"),
                &format!("../../drivers/{driver}"),
            );
        }
        self
    }

    /// The facts and the notes, with the tree's own path taken off.
    #[track_caller]
    fn read(&self) -> (Facts, Vec<String>) {
        let reading = read(self.path()).unwrap();
        let prefix = format!("{}/", self.path().display());
        let notes = reading
            .notes
            .iter()
            .map(|note| note.to_string().replace(&prefix, ""))
            .collect();
        (reading.facts, notes)
    }
}

fn primary(facts: &Facts) -> Option<&str> {
    facts.primary.as_ref().map(|primary| primary.slot.as_str())
}

/// Some note begins so.
#[track_caller]
fn assert_noted(notes: &[String], start: &str) {
    assert!(
        notes.iter().any(|note| note.starts_with(start)),
        "{start:?} is not in {notes:#?}"
    );
}

#[test]
fn the_plain_tree_reads_without_a_note() {
    let (facts, notes) = Tree::new().read();
    assert_eq!(notes, [] as [&str; 0]);
    assert_eq!(facts.system, System::X86_64);
    assert_eq!(facts.cpu.model.as_deref(), Some("Test CPU"));
    assert_eq!(facts.cpu.features, ["avx", "avx2", "fma"]);
    assert_eq!(facts.memory.total_mib, Some(7936));
    assert_eq!(facts.backend_reason, "no GPU on the PCI bus");
    assert_eq!(facts.virtualisation, "none");
}

#[test]
fn no_proc_is_one_clear_error() {
    let root = tempfile::tempdir().unwrap();
    let error = read(root.path()).unwrap_err();
    assert!(matches!(error, Error::NoProc { .. }));
    let text = error.to_string();
    let path = root.path().display();
    assert_eq!(
        text,
        format!(
            "cannot read {path}/proc/cpuinfo (No such file or directory), nor {path}/proc/meminfo \
             (No such file or directory): mount /proc there, or give with --root the directory \
             that holds proc/ and sys/"
        )
    );

    let file = Tree::new();
    file.remove("proc").file("proc", "not a directory");
    assert!(matches!(read(file.path()), Err(Error::NoProc { .. })));
}

#[test]
fn a_root_that_is_none_is_an_error() {
    let root = tempfile::tempdir().unwrap();
    let missing = root.path().join("missing");
    assert!(matches!(read(&missing), Err(Error::Root { .. })));
    fs::write(&missing, "").unwrap();
    let error = read(&missing).unwrap_err().to_string();
    assert!(error.contains("Not a directory"), "{error}");
}

#[test]
fn half_of_proc_is_enough() {
    let tree = Tree::new();
    tree.remove("proc/cpuinfo");
    let (facts, notes) = tree.read();
    assert_noted(
        &notes,
        "proc/cpuinfo: No such file or directory; the processor's vendor",
    );
    assert_eq!(facts.cpu.vendor, CpuVendor::Other);
    assert_eq!((facts.cpu.cores, facts.cpu.threads), (None, None));
    assert_eq!(facts.memory.total_mib, Some(7936));

    let tree = Tree::new();
    tree.remove("proc/meminfo");
    let (facts, notes) = tree.read();
    assert_noted(
        &notes,
        "proc/meminfo: No such file or directory; the size of the memory",
    );
    assert_eq!(facts.memory.total_mib, None);
    assert_eq!(facts.cpu.vendor, CpuVendor::Amd);
}

#[test]
fn truncated_and_garbled_proc() {
    for cpuinfo in [
        &b""[..],
        b"\xff\xfe\0",
        b"processor",
        b"::::\n\n\n",
        b"\n\n",
    ] {
        let tree = Tree::new();
        tree.file("proc/cpuinfo", cpuinfo);
        let (facts, notes) = tree.read();
        assert_noted(&notes, "proc/cpuinfo: names no processor");
        assert_eq!(facts.cpu.model, None);
    }
    // Cut in the middle of the flags.
    let tree = Tree::new();
    tree.file("proc/cpuinfo", &CPUINFO[..CPUINFO.len() - 8]);
    assert_eq!(tree.read().0.cpu.features, ["avx"]);
    // A model that is no text.
    tree.file(
        "proc/cpuinfo",
        b"processor : 0\nvendor_id : GenuineIntel\nmodel name : \xff\xff\n",
    );
    let (facts, notes) = tree.read();
    assert_noted(&notes, "proc/cpuinfo: the model name is no text");
    assert_eq!(facts.cpu.model, None);

    for meminfo in ["", "MemTotal: 12", "MemFree: 1 kB"] {
        let tree = Tree::new();
        tree.file("proc/meminfo", meminfo);
        let (facts, notes) = tree.read();
        assert_noted(&notes, "proc/meminfo: has no line");
        assert_eq!(facts.memory.total_mib, None);
    }
}

#[test]
fn another_architecture_is_an_error() {
    let tree = Tree::new();
    tree.file(
        "proc/cpuinfo",
        "processor : 0\nhart : 1\nisa : rv64imafdcv\n",
    );
    let error = read(tree.path()).unwrap_err();
    assert!(
        error.to_string().contains("the processor is a RISC-V"),
        "{error}"
    );
}

#[test]
fn directories_pipes_and_links_in_place_of_files() {
    let tree = Tree::new();
    tree.remove("proc/meminfo").dir("proc/meminfo");
    assert_noted(&tree.read().1, "proc/meminfo: is a directory");

    // A pipe without a writer would hang a plain read.
    let tree = Tree::new();
    tree.remove("proc/meminfo");
    rustix::fs::mkfifoat(
        rustix::fs::CWD,
        tree.path().join("proc/meminfo"),
        0o600.into(),
    )
    .unwrap();
    assert_noted(&tree.read().1, "proc/meminfo: is a pipe");

    let tree = Tree::new();
    tree.remove("proc/meminfo").link("proc/meminfo", "meminfo");
    assert_noted(
        &tree.read().1,
        "proc/meminfo: Too many levels of symbolic links",
    );
}

#[test]
fn links_stay_below_the_root() {
    let tree = Tree::new();
    // On the machine itself these lead to its own files.
    tree.file("store/subid", "ann:100000:65536\n")
        .link("etc/subuid", "/store/subid")
        .link("etc/subgid", "../../../../../../../../store/subid");
    assert_eq!(tree.read().0.subordinate_ids.users, ["ann"]);

    // A link to a file that exists outside, and not below the root.
    let outside = tempfile::tempdir().unwrap();
    let secret = outside.path().join("subid");
    fs::write(&secret, "eve:100000:65536\n").unwrap();
    let tree = Tree::new();
    tree.link("etc/subuid", secret.to_str().unwrap())
        .link("etc/subgid", secret.to_str().unwrap());
    let (facts, notes) = tree.read();
    assert_eq!(facts.subordinate_ids.users, [] as [&str; 0]);
    assert_eq!(notes, [] as [&str; 0]);
}

#[test]
fn no_sysfs() {
    let tree = Tree::new();
    tree.remove("sys");
    let (facts, notes) = tree.read();
    assert_noted(
        &notes,
        "sys/bus/pci/devices: No such file or directory; no GPU is seen",
    );
    assert_noted(&notes, "sys/firmware: is missing");
    assert_eq!(facts.gpus, []);
    assert_eq!(facts.firmware, None);
    assert_eq!(facts.cpu.threads, Some(1));
}

#[test]
fn odd_devices_are_left_out_and_the_others_stay() {
    let nvidia = ("0x10de\n", "0x2684\n");
    let tree = Tree::new();
    tree.gpu("0000:01:00.0", "0x030000\n", nvidia, Some("nvidia"))
        .gpu("garbage", "0x030000\n", nvidia, None)
        .gpu("0000:02:00.0", "zebra\n", nvidia, None)
        .gpu("0000:03:00.0", "", nvidia, None)
        .gpu("0000:04:00.0", "0x030000\n", ("10de\n", "0x2684\n"), None)
        .gpu(
            "0000:05:00.0",
            "0x030000\n",
            ("0x10de\n", "0x12684\n"),
            None,
        )
        .gpu("0000:06:00.0", "0x1030000\n", nvidia, None)
        .gpu("0000:07:00.0", "0x030000\n", nvidia, None)
        .remove("sys/bus/pci/devices/0000:07:00.0/device")
        .gpu(
            "0000:08:00.0",
            "0x020000\n",
            ("nonsense", "nobody reads"),
            None,
        )
        .dir("sys/bus/pci/devices/0000:09:00.0")
        .link("sys/bus/pci/devices/0000:0a:00.0", "../../../gone");
    fs::write(
        tree.path().join("sys/bus/pci/devices/0000:02:00.0/class"),
        b"\xff\xff",
    )
    .unwrap();
    let (facts, notes) = tree.read();
    let slots: Vec<_> = facts.gpus.iter().map(|gpu| gpu.slot.as_str()).collect();
    assert_eq!(slots, ["0000:01:00.0"]);
    let device = "sys/bus/pci/devices";
    assert_eq!(
        notes,
        [
            format!("{device}/0000:02:00.0/class: is no text; the device is left out"),
            format!("{device}/0000:03:00.0/class: is missing or empty; the device is left out"),
            format!(
                "{device}/0000:04:00.0/vendor: \"10de\" is no number of that kind; the device is left out"
            ),
            format!(
                "{device}/0000:05:00.0/device: \"0x12684\" is no number of that kind; the device is left out"
            ),
            format!(
                "{device}/0000:06:00.0/class: \"0x1030000\" is no number of that kind; the device is left out"
            ),
            format!("{device}/0000:07:00.0/device: is missing or empty; the device is left out"),
            format!("{device}/0000:09:00.0/class: is missing or empty; the device is left out"),
            format!("{device}/0000:0a:00.0/class: is missing or empty; the device is left out"),
            format!("{device}/garbage: is no PCI address; the device is left out"),
        ]
    );
}

#[test]
fn a_driver_that_is_no_link_is_unknown() {
    let tree = Tree::new();
    tree.gpu("0000:01:00.0", "0x030000\n", ("0x10de", "0x2684"), None)
        .file("sys/bus/pci/devices/0000:01:00.0/driver", "nvidia");
    let (facts, notes) = tree.read();
    assert_eq!(facts.gpus[0].driver, None);
    assert_noted(
        &notes,
        "sys/bus/pci/devices/0000:01:00.0/driver: is no symbolic link; the driver is unknown",
    );
}

#[test]
fn gpus_are_sorted_by_address_not_by_text() {
    let id = ("0x10de", "0x2330");
    let tree = Tree::new();
    tree.gpu("10000:01:00.0", "0x030200", id, None)
        .gpu("0000:c1:00.0", "0x030200", id, None)
        .gpu("e000:01:00.0", "0x030200", id, None);
    let (facts, _) = tree.read();
    let slots: Vec<_> = facts.gpus.iter().map(|gpu| gpu.slot.as_str()).collect();
    assert_eq!(slots, ["0000:c1:00.0", "e000:01:00.0", "10000:01:00.0"]);
    assert_eq!(primary(&facts), Some("0000:c1:00.0"));
}

#[test]
fn the_primary_gpu_is_the_one_that_computes() {
    let aspeed = ("0x1a03", "0x2000");
    let nvidia = ("0x10de", "0x2684");
    let intel = ("0x8086", "0xa7a0");

    // The card is a virtual machine's: the integrated one is left.
    let tree = Tree::new();
    tree.gpu("0000:00:02.0", "0x030000", intel, Some("i915"))
        .gpu("0000:01:00.0", "0x030000", nvidia, Some("vfio-pci"));
    let (facts, _) = tree.read();
    assert_eq!(primary(&facts), Some("0000:00:02.0"));
    assert_eq!(facts.backend, Backend::Vulkan);
    assert_eq!(facts.gpus[1].backend, Backend::Cpu);
    assert!(facts.gpus[1].reason.contains("vfio-pci"));

    // A management controller is never primary, though it is VGA compatible.
    let tree = Tree::new();
    tree.gpu("0000:02:00.0", "0x030000", aspeed, Some("ast"));
    let (facts, _) = tree.read();
    assert_eq!(primary(&facts), None);
    assert_eq!(facts.backend, Backend::Cpu);
    assert_eq!(facts.gpus[0].vendor, GpuVendor::Bmc);
    assert_eq!(
        facts.backend_reason,
        "no GPU that accelerates inference (0000:02:00.0: display of the server's management controller, computes nothing)"
    );
}

#[test]
fn topology_that_is_nonsense_is_counted_elsewhere() {
    let tree = Tree::new();
    tree.file("sys/devices/system/cpu/online", "0-4294967295\n");
    let (facts, notes) = tree.read();
    assert_noted(
        &notes,
        "sys/devices/system/cpu/online: \"0-4294967295\" is no list",
    );
    assert_eq!(
        (facts.cpu.sockets, facts.cpu.cores, facts.cpu.threads),
        (Some(1), Some(1), Some(1))
    );

    tree.file("sys/devices/system/cpu/online", "0-1\n")
        .file(
            "sys/devices/system/cpu/cpu0/topology/core_cpus_list",
            "all\n",
        )
        .file("sys/devices/system/node/has_cpu", "many\n");
    let (facts, notes) = tree.read();
    assert_noted(
        &notes,
        "sys/devices/system/cpu/cpu0/topology/core_cpus_list: \"all\"",
    );
    assert_noted(&notes, "sys/devices/system/node/has_cpu: \"many\"");
    assert_eq!((facts.cpu.threads, facts.cpu.numa_nodes), (Some(1), 1));
}

#[test]
fn mounts_and_control_groups() {
    let tree = Tree::new();
    tree.remove("proc/self/mountinfo");
    let (facts, notes) = tree.read();
    assert_noted(
        &notes,
        "proc/self/mountinfo: is missing; types of file systems are unknown",
    );
    assert_noted(
        &notes,
        "sys/fs/cgroup: is no mounted control group hierarchy",
    );
    assert_eq!(
        (facts.file_systems.root, facts.cgroup_version),
        (None, None)
    );

    tree.file("sys/fs/cgroup/cgroup.controllers", "cpu");
    assert_eq!(tree.read().0.cgroup_version, Some(2));

    tree.file(
        "proc/self/mountinfo",
        format!("{MOUNTS}what is this\n\u{1}\n"),
    );
    let (facts, notes) = tree.read();
    assert_noted(&notes, "proc/self/mountinfo: 2 of 4 lines are no mounts");
    assert_eq!(facts.file_systems.containers.as_deref(), Some("ext4"));

    // The hybrid hierarchy is the old one.
    tree.file(
        "proc/self/mountinfo",
        "21 1 0:1 / / rw - ext4 a rw\n22 21 0:2 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n23 22 0:3 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n",
    );
    assert_eq!(tree.read().0.cgroup_version, Some(1));
}

#[test]
fn subordinate_ids() {
    let tree = Tree::new();
    tree.file("etc/subuid", b"# comment\n\nann:100000:65536\nbob:1:30000\nbob:40000:40000\nonly:1:65536\nsmall:1:65535\n\xff\xff:1:65536\nhalf:1\n")
        .file("etc/subgid", "small:1:65536\nbob:1:65536\nann:100000:65536\n");
    let (facts, notes) = tree.read();
    assert_eq!(facts.subordinate_ids.users, ["ann", "bob"]);
    assert_eq!(
        notes,
        [
            "etc/subuid: line 8 is not `name:first:count`; the line is left out",
            "etc/subuid: line 9 is not `name:first:count`; the line is left out",
        ]
    );
}

#[test]
fn virtualisation() {
    let dmi = |vendor: &str, product: &str, flag: bool| {
        let tree = Tree::new();
        tree.file("sys/class/dmi/id/sys_vendor", vendor)
            .file("sys/class/dmi/id/product_name", product);
        if flag {
            tree.file("proc/cpuinfo", CPUINFO.replace("lm", "lm hypervisor"));
        }
        tree
    };
    let kvm_clock = |tree: Tree| {
        let path = "sys/devices/system/clocksource/clocksource0/available_clocksource";
        tree.file(path, "kvm-clock tsc acpi_pm \n");
        tree
    };
    for (tree, expected) in [
        (
            dmi("QEMU", "Standard PC (i440FX + PIIX, 1996)", true),
            "qemu",
        ),
        (
            kvm_clock(dmi("QEMU", "Standard PC (i440FX + PIIX, 1996)", true)),
            "kvm",
        ),
        (dmi("QEMU", "KVM Virtual Machine", false), "kvm"),
        (dmi("innotek GmbH", "VirtualBox", true), "virtualbox"),
        (
            dmi("Microsoft Corporation", "Virtual Machine", true),
            "hyperv",
        ),
        (
            dmi("Microsoft Corporation", "Surface Laptop", false),
            "none",
        ),
        (dmi("Xen", "HVM domU", true), "xen"),
        (
            kvm_clock(dmi("Google", "Google Compute Engine", true)),
            "kvm",
        ),
        (kvm_clock(dmi("Amazon EC2", "m5.large", true)), "kvm"),
        (dmi("Amazon EC2", "m5.metal", false), "none"),
        (dmi("Nobody", "Nothing", true), "other"),
        (dmi("", "", true), "microvm"),
        (
            dmi("Oracle Corporation", "ORACLE SERVER X9-2", false),
            "none",
        ),
    ] {
        let vendor = fs::read_to_string(tree.path().join("sys/class/dmi/id/sys_vendor")).unwrap();
        assert_eq!(tree.read().0.virtualisation, expected, "{vendor}");
    }

    let tree = Tree::new();
    tree.file("sys/hypervisor/type", "xen\n");
    assert_eq!(tree.read().0.virtualisation, "xen");
    tree.file("proc/xen/capabilities", "control_d\n");
    assert_eq!(tree.read().0.virtualisation, "none");

    let tree = Tree::new();
    tree.file(
        "sys/firmware/devicetree/base/hypervisor/compatible",
        "linux,kvm\0",
    );
    assert_eq!(tree.read().0.virtualisation, "kvm");
}

#[test]
fn containers() {
    let tree = Tree::new();
    tree.file("run/systemd/container", "systemd-nspawn\n");
    assert_eq!(tree.read().0.virtualisation, "container-systemd-nspawn");
    tree.file("run/systemd/container", "Not A Name!\n");
    let (facts, notes) = tree.read();
    assert_eq!(facts.virtualisation, "none");
    assert_noted(&notes, "run/systemd/container: \"Not A Name!\" is no name");

    // The mark alone is also left in disks made from images.
    let tree = Tree::new();
    tree.file("run/.containerenv", "");
    assert_eq!(tree.read().0.virtualisation, "none");
    let own = "30 21 0:9 /x /etc/hostname rw - tmpfs tmpfs rw\n";
    tree.file("proc/self/mountinfo", format!("{MOUNTS}{own}"));
    assert_eq!(tree.read().0.virtualisation, "container-podman");
    tree.remove("run/.containerenv").file(".dockerenv", "");
    assert_eq!(tree.read().0.virtualisation, "container-docker");

    let tree = Tree::new();
    tree.file(
        "proc/sys/kernel/osrelease",
        "5.15.167.4-microsoft-standard-WSL2\n",
    );
    assert_eq!(tree.read().0.virtualisation, "container-wsl");
}

const DEVICE: &str = "sys/bus/pci/devices/0000:03:00.0";

fn radeon() -> Tree {
    let tree = Tree::new();
    tree.gpu(
        "0000:03:00.0",
        "0x030000\n",
        ("0x1002", "0x744c"),
        Some("amdgpu"),
    );
    tree
}

fn vram(facts: &Facts) -> (Option<u64>, Option<&str>) {
    let gpu = &facts.gpus[0];
    (gpu.vram_mib, gpu.vram_reason.as_deref())
}

#[test]
fn memory_that_is_nonsense_is_unknown_and_noted() {
    for (content, seen) in [
        (&b"lots\n"[..], "\"lots\" is no number of bytes"),
        (b"-1\n", "\"-1\" is no number of bytes"),
        (b"99999999999999999999\n", "is no number of bytes"),
        (b"18446744073709551615\n", "is no number of bytes"),
        (b"\xff\xfe\n", "is no text"),
    ] {
        let tree = radeon();
        tree.file(&format!("{DEVICE}/mem_info_vram_total"), content);
        let (facts, notes) = tree.read();
        assert_eq!(
            vram(&facts),
            (None, Some("the amdgpu driver does not tell"))
        );
        assert_eq!(notes.len(), 1, "{notes:#?}");
        assert!(notes[0].contains(seen), "{notes:#?}");
        assert!(notes[0].ends_with("the memory of the card is unknown"));
    }
    // Cut off: what is missing is unknown, without a word.
    for content in ["", "\n", "0\n"] {
        let tree = radeon();
        tree.file(&format!("{DEVICE}/mem_info_vram_total"), content);
        assert_eq!(tree.read().0.gpus[0].vram_mib, None, "{content:?}");
    }
}

#[test]
fn compute_nodes_that_are_odd_cost_only_themselves() {
    const NODES: &str = "sys/devices/virtual/kfd/kfd/topology/nodes";
    let tree = radeon();
    tree.file(&format!("{NODES}/0/properties"), "gfx_target_version 0\n")
        // Cut off in the middle of a line.
        .file(&format!("{NODES}/1/properties"), "gfx_target_version 1100")
        .file(
            &format!("{NODES}/2/properties"),
            b"\xff\xff 1\nlocation_id 99999999999\n",
        )
        .dir(&format!("{NODES}/3/properties"))
        // A GPU that went away while it was looked for.
        .dir(&format!("{NODES}/4"))
        .file(
            &format!("{NODES}/5/properties"),
            "gfx_target_version 110001\nlocation_id 768\ndomain 0\n",
        )
        .file(
            &format!("{NODES}/5/mem_banks/0/properties"),
            "heap_type 1\nsize_in_bytes 1073741824\n",
        )
        .file(
            &format!("{NODES}/5/mem_banks/1/properties"),
            "heap_type 2\nsize_in_bytes 18446744073709551615\n",
        );
    let (facts, notes) = tree.read();
    let amd = facts.gpus[0].amd.as_ref().unwrap();
    // What the kernel says counts more than the table of ids.
    assert_eq!(amd.gfx_target.as_deref(), Some("gfx1101"));
    assert_eq!(
        notes,
        [format!(
            "{NODES}/3/properties: is a directory; the gfx target may be unknown"
        )]
    );
    // Banks that add up to nonsense.
    assert_eq!(
        vram(&facts),
        (None, Some("the amdgpu driver does not tell"))
    );
    tree.remove(&format!("{NODES}/5/mem_banks/1"));
    assert_eq!(vram(&tree.read().0), (Some(1024), None));
    // The driver's own number beside them.
    tree.file(&format!("{DEVICE}/mem_info_vram_total"), "2147483648\n");
    assert_eq!(vram(&tree.read().0), (Some(2048), None));
}

#[test]
fn a_gpu_that_vanishes_while_it_is_read_is_left_out_or_unknown() {
    // After its class was read.
    let tree = radeon();
    tree.remove(&format!("{DEVICE}/vendor"))
        .remove(&format!("{DEVICE}/device"))
        .remove(&format!("{DEVICE}/driver"));
    let (facts, notes) = tree.read();
    assert_eq!(facts.gpus, []);
    assert_noted(&notes, &format!("{DEVICE}/vendor: is missing or empty"));

    // After its ids were read.
    let tree = radeon();
    tree.remove(&format!("{DEVICE}/driver"));
    let (facts, notes) = tree.read();
    assert_eq!(notes, [] as [&str; 0]);
    assert_eq!(
        vram(&facts),
        (
            None,
            Some("only the amdgpu driver tells, which is not bound")
        )
    );
}

#[test]
fn the_memory_of_integrated_gpus_is_the_machines() {
    let apu = |aside: u64| {
        let tree = Tree::new();
        tree.gpu(
            "0000:03:00.0",
            "0x030000\n",
            ("0x1002", "0x1586"),
            Some("amdgpu"),
        )
        .file(
            &format!("{DEVICE}/mem_info_vram_total"),
            format!("{}\n", aside << 20),
        );
        tree.read().0
    };
    // The machine has 7936 MiB beside it.
    assert_eq!(
        vram(&apu(512)),
        (
            None,
            Some("it shares the main memory; the firmware sets 512 MiB of it aside")
        )
    );
    assert_eq!(vram(&apu(3967)).0, None);
    assert_eq!(vram(&apu(3968)), (Some(3968), None));
}

#[test]
fn lists_of_names_that_are_odd() {
    let name = |list: &[u8]| {
        let tree = radeon();
        tree.file("usr/share/hwdata/pci.ids", list);
        let (facts, notes) = tree.read();
        (facts.gpus[0].name.clone(), notes)
    };
    let named = |list: &[u8]| name(list).0;
    let good = b"1002  AMD\n\t744c  Navi 31\n";
    assert_eq!(named(good).as_deref(), Some("Navi 31"));
    assert_eq!(named(b""), None);
    assert_eq!(named(b"1002  AMD\n"), None);
    assert_eq!(named(b"1002  AMD"), None);
    assert_eq!(named(b"1002  AMD\n10de  NVIDIA\n\t744c  X\n"), None);
    // Bytes that are no text cost the names that have them, and no other.
    assert_eq!(named(b"1002  AMD\n\t744c  N\xff\n"), None);
    assert_eq!(
        named(b"1002  A\xffMD\n\t744b  \xff\n\t744c  Navi 31\n").as_deref(),
        Some("Navi 31")
    );
    let (long, notes) = name(&[&b"1002  AMD\n\t744c  "[..], &b"x".repeat(100_000)].concat());
    assert_eq!((long.unwrap().len(), notes), (128, Vec::<String>::new()));
}

#[test]
fn a_card_that_its_driver_could_not_start_is_noted() {
    let tree = Tree::new();
    tree.gpu(
        "0000:01:00.0",
        "0x030000\n",
        ("0x10de", "0x2684"),
        Some("nvidia"),
    );
    let (_, notes) = tree.read();
    assert_eq!(notes, [] as [&str; 0], "no /proc/driver/nvidia at all");
    tree.file(
        "proc/driver/nvidia/gpus/0000:02:00.0/information",
        "Model: \t\t NVIDIA GeForce RTX 4090\n",
    );
    let (facts, notes) = tree.read();
    assert_noted(
        &notes,
        "proc/driver/nvidia/gpus/0000:01:00.0/information: is missing: the nvidia driver could not start the card; the card may not work",
    );
    assert_eq!(facts.gpus[0].name, None);
    // Cut off.
    tree.file("proc/driver/nvidia/gpus/0000:01:00.0/information", "Model:");
    assert_eq!(tree.read().0.gpus[0].name, None);
    tree.file(
        "proc/driver/nvidia/gpus/0000:01:00.0/information",
        "IRQ: 1\nModel: \t\t NVIDIA GeForce RTX 4090\n",
    );
    assert_eq!(
        tree.read().0.gpus[0].name.as_deref(),
        Some("NVIDIA GeForce RTX 4090")
    );
}

#[test]
fn a_broken_cdi_spec_hides_nothing_of_the_others() {
    let tree = Tree::new();
    tree.file(
        "etc/cdi/nvidia.yaml",
        "cdiVersion: 0.5.0\nkind: nvidia.com/gpu\ndevices:\n- name: 0\n- name: all\n- name: GPU-6a3b2c1d-0000-1111-2222-333344445555\n",
    )
    .file("etc/cdi/cut.json", "{\"cdiVersion\": \"0.5.0\", \"ki")
    .file("run/cdi/empty.json", "")
    .file("run/cdi/bytes.yaml", b"\xff\xfe")
    .dir("run/cdi/folder.json")
    .link("run/cdi/gone.yaml", "nowhere")
    .file("run/cdi/README", "no spec");
    let (facts, notes) = tree.read();
    let kinds: Vec<_> = facts.cdi.kinds.into_iter().collect();
    assert_eq!(
        kinds,
        [(
            "nvidia.com/gpu".to_owned(),
            vec!["0".to_owned(), "all".to_owned()]
        )]
    );
    let starts = [
        "etc/cdi/cut.json: is no CDI spec in JSON: EOF",
        "run/cdi/bytes.yaml: is no CDI spec in YAML: ",
        "run/cdi/empty.json: is empty; CDI devices may be missing",
        "run/cdi/folder.json: cannot be read: is a directory",
        "run/cdi/gone.yaml: cannot be read: No such file",
    ];
    assert_eq!(notes.len(), starts.len(), "{notes:#?}");
    for (note, start) in notes.iter().zip(starts) {
        assert!(note.starts_with(start), "{note}");
    }
}
