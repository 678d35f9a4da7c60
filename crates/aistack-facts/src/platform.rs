//! How the machine boots, and what it runs in.

use crate::facts::Firmware;
use crate::mounts::{self, Mount};
use crate::reader::{Reader, printable};

const DMI_PATH: &str = "sys/class/dmi/id";
const DEVICE_TREE_PATH: &str = "sys/firmware/devicetree/base";

/// UEFI leaves `/sys/firmware/efi` (`Documentation/ABI/testing/sysfs-firmware-efi`),
/// a device tree `/sys/firmware/devicetree`; a UEFI machine may have both.
pub(crate) fn firmware(reader: &mut Reader) -> Option<Firmware> {
    if reader.exists("sys/firmware/efi") {
        Some(Firmware::Uefi)
    } else if reader.exists(DEVICE_TREE_PATH) {
        Some(Firmware::DeviceTree)
    } else if reader.exists("sys/firmware") {
        Some(Firmware::Bios)
    } else {
        reader.note(
            "sys/firmware",
            "is missing",
            "the kind of firmware is unknown",
        );
        None
    }
}

/// What systemd-detect-virt(1) finds with `CPUID` and root's rights, as far as
/// world-readable files tell it. `hypervisor` is the processor's flag of that name.
pub(crate) fn virtualisation(reader: &mut Reader, mounts: &[Mount], hypervisor: bool) -> String {
    if let Some(manager) = container(reader, mounts) {
        return format!("container-{manager}");
    }
    machine(reader, hypervisor).to_owned()
}

/// The container manager's name (`/run/systemd/container`: systemd's container interface).
fn container(reader: &mut Reader, mounts: &[Mount]) -> Option<String> {
    let meaning = "it is not taken for a container";
    if let Some(name) = reader.value("run/systemd/container", meaning) {
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if name.chars().all(fits) {
            return Some(name);
        }
        reader.note(
            "run/systemd/container",
            format!("{name:?} is no name"),
            meaning,
        );
    }
    // Virtual machines whose disk was made from an image keep the marks of its
    // container; only a real one has its own /etc/hostname mounted.
    if mounts::has_mount_at(mounts, "/etc/hostname") {
        if reader.exists("run/.containerenv") {
            return Some("podman".to_owned());
        }
        if reader.exists(".dockerenv") {
            return Some("docker".to_owned());
        }
    }
    // WSL's kernels are named so: 5.15.167.4-microsoft-standard-WSL2
    let release = reader.value("proc/sys/kernel/osrelease", meaning)?;
    (release.contains("microsoft") || release.ends_with("WSL2")).then(|| "wsl".to_owned())
}

fn machine(reader: &mut Reader, hypervisor: bool) -> &'static str {
    let meaning = "virtualisation may be missed";
    if reader.value("sys/hypervisor/type", meaning).as_deref() == Some("xen") {
        // Xen's first domain has the hardware.
        let capabilities = reader.value("proc/xen/capabilities", meaning);
        let first = capabilities.is_some_and(|list| list.contains("control_d"));
        return if first { "none" } else { "xen" };
    }
    if let Some(name) = of_device_tree(reader) {
        return name;
    }

    let mut dmi = |name: &str| {
        reader
            .value(&format!("{DMI_PATH}/{name}"), meaning)
            .unwrap_or_default()
    };
    let vendors = [dmi("sys_vendor"), dmi("board_vendor"), dmi("bios_vendor")];
    let product = dmi("product_name");
    let from = |maker: &str| vendors.iter().any(|vendor| vendor.starts_with(maker));

    // These names are no real machine's, so they count even where the flag is hidden.
    if from("QEMU") || from("Bochs") || product.starts_with("Standard PC (") {
        // Machines of QEMU for ARM say in their product whether KVM runs them;
        // on x86 KVM's clock does.
        return if product.starts_with("KVM") || has_kvm_clock(reader) {
            "kvm"
        } else {
            "qemu"
        };
    }
    if from("VMware") || product.starts_with("VMware") {
        return "vmware";
    }
    if from("innotek GmbH") || product == "VirtualBox" {
        return "virtualbox";
    }
    if from("Xen") {
        return "xen";
    }
    if from("Microsoft Corporation") && product == "Virtual Machine" {
        return "hyperv";
    }
    if product.starts_with("KVM") {
        return "kvm";
    }
    if from("Parallels") || from("BHYVE") || from("Apple Virtualization") {
        return "other";
    }
    // Clouds sell bare machines under the same names: there the flag decides.
    if !hypervisor {
        return "none";
    }
    let named = vendors.iter().any(|vendor| !vendor.is_empty()) || !product.is_empty();
    match (has_kvm_clock(reader), named) {
        (true, true) => "kvm",
        // Firecracker, QEMU's microvm and crosvm have no DMI tables.
        (_, false) => "microvm",
        (false, true) => "other",
    }
}

/// On ARM a hypervisor node says it, as does QEMU's name for its board.
fn of_device_tree(reader: &mut Reader) -> Option<&'static str> {
    let meaning = "virtualisation may be missed";
    let mut strings = |path: String| {
        let text = reader.lines_of(&path, meaning).unwrap_or_default();
        text.split('\0')
            .filter_map(printable)
            .collect::<Vec<String>>()
    };
    let hypervisor = strings(format!("{DEVICE_TREE_PATH}/hypervisor/compatible"));
    let board = strings(format!("{DEVICE_TREE_PATH}/compatible"));
    let is = |name: &str| hypervisor.iter().any(|seen| seen.starts_with(name));
    if is("linux,kvm") {
        Some("kvm")
    } else if is("xen") {
        Some("xen")
    } else if is("vmware") {
        Some("vmware")
    } else if !hypervisor.is_empty() {
        Some("other")
    } else if board.iter().any(|name| name == "linux,dummy-virt") {
        Some("qemu")
    } else {
        None
    }
}

fn has_kvm_clock(reader: &mut Reader) -> bool {
    let path = "sys/devices/system/clocksource/clocksource0/available_clocksource";
    reader
        .value(path, "KVM may be missed")
        .is_some_and(|clocks| clocks.split(' ').any(|clock| clock == "kvm-clock"))
}
