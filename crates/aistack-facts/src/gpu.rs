//! What each GPU can be used with.
//!
//! A card is what its PCI vendor id says, never what its class is called: a
//! server's management controller is "VGA compatible" too. Facts say what a
//! card *can* do on a host whose drivers the Nix modules choose, so an NVIDIA
//! card is `cuda` even while `nouveau` is bound to it; the reason says so.
//!
//! The device ids are those of the PCI ID project (pci-ids.ucw.cz, 2026-08-22).
//! The tables hold only what is certain: a card that no table knows gets the
//! backend that surely works, and `integrated` null. Names, VRAM and gfx
//! targets of every card are not read here.

use std::cmp::Reverse;

use crate::facts::{Backend, Gpu, GpuVendor};
use crate::pci::{self, PciDevice};
use crate::reader::Reader;

/// Drivers that hold a card for a virtual machine.
const PASS_THROUGH: [&str; 3] = ["vfio-pci", "pci-stub", "pciback"];

/// NVIDIA's ids rise with the generations: from GM108 (Maxwell) on a card runs
/// CUDA 12, what lies below is Kepler or older and does not.
const FIRST_MAXWELL: u16 = 0x1340;

const PROCESSING_ACCELERATOR: u16 = 0x1200;

/// Every display controller (class 03) and processing accelerator (class 1200), by slot.
pub(crate) fn read(reader: &mut Reader) -> Vec<Gpu> {
    let wanted = |class: u16| class >> 8 == 0x03 || class == PROCESSING_ACCELERATOR;
    pci::devices(reader, wanted).iter().map(describe).collect()
}

/// The card that defaults use, and what that means for the whole machine.
pub(crate) struct Choice {
    pub(crate) slot: Option<String>,
    pub(crate) backend: Backend,
    pub(crate) reason: String,
}

/// Chooses among the accelerated cards: one of its own memory first, then one
/// that may have it, then an integrated one; the lowest slot among equals.
/// `gpus` are sorted by slot.
pub(crate) fn choose(gpus: &[Gpu]) -> Choice {
    let rank = |gpu: &&Gpu| match gpu.integrated {
        Some(false) => 2,
        None => 1,
        Some(true) => 0,
    };
    // `min_by_key` keeps the first of equals.
    let best = gpus
        .iter()
        .filter(|gpu| gpu.backend.is_accelerated())
        .min_by_key(|gpu| Reverse(rank(gpu)));
    match (best, gpus.len()) {
        (Some(gpu), _) => Choice {
            slot: Some(gpu.slot.clone()),
            backend: gpu.backend,
            reason: format!("{}: {}", gpu.slot, gpu.reason),
        },
        (None, 0) => Choice {
            slot: None,
            backend: Backend::Cpu,
            reason: "no GPU on the PCI bus".to_owned(),
        },
        (None, _) => {
            let reasons: Vec<_> = gpus
                .iter()
                .map(|gpu| format!("{}: {}", gpu.slot, gpu.reason))
                .collect();
            Choice {
                slot: None,
                backend: Backend::Cpu,
                reason: format!("no GPU that accelerates inference ({})", reasons.join("; ")),
            }
        }
    }
}

fn describe(device: &PciDevice) -> Gpu {
    let vendor = vendor(device);
    let integrated = match vendor {
        GpuVendor::Nvidia => nvidia_integrated(device.device_id),
        GpuVendor::Amd => amd_integrated(device.device_id),
        GpuVendor::Intel => intel_integrated(device),
        GpuVendor::Virtual | GpuVendor::Bmc | GpuVendor::Other => None,
    };
    let (backend, reason) = backend(device, vendor, integrated);
    Gpu {
        slot: device.slot.clone(),
        class: format!("{:04x}", device.class),
        pci_id: format!("{:04x}:{:04x}", device.vendor_id, device.device_id),
        vendor,
        driver: device.driver.clone(),
        integrated,
        backend,
        reason,
    }
}

fn vendor(device: &PciDevice) -> GpuVendor {
    match (device.vendor_id, device.device_id) {
        (0x10de, _) => GpuVendor::Nvidia,
        (0x1002, _) => GpuVendor::Amd,
        (0x8086, _) => GpuVendor::Intel,
        // ASPEED, Matrox, and Huawei's Hi171x.
        (0x1a03 | 0x102b, _) | (0x19e5, 0x1711) => GpuVendor::Bmc,
        // virtio-gpu, Bochs, QXL, VMware, Cirrus (QEMU's old default), Hyper-V,
        // VirtualBox, Parallels, Xen, Amazon EC2.
        (0x1af4, 0x1050)
        | (0x1234, 0x1111)
        | (0x1b36 | 0x15ad | 0x1013 | 0x1414 | 0x80ee | 0x1ab8 | 0x5853 | 0x1d0f, _) => {
            GpuVendor::Virtual
        }
        _ => GpuVendor::Other,
    }
}

fn backend(device: &PciDevice, vendor: GpuVendor, integrated: Option<bool>) -> (Backend, String) {
    let driver = device.driver.as_deref();
    if let Some(driver) = driver.filter(|driver| PASS_THROUGH.contains(driver)) {
        let reason = format!("bound to {driver}: kept for a virtual machine, not for this host");
        return (Backend::Cpu, reason);
    }
    match vendor {
        GpuVendor::Nvidia => nvidia(device.device_id, driver),
        GpuVendor::Amd => amd(device.device_id, driver, integrated),
        GpuVendor::Intel => intel(device, driver, integrated),
        GpuVendor::Virtual => (Backend::Cpu, "virtual display, computes nothing".to_owned()),
        GpuVendor::Bmc => (
            Backend::Cpu,
            "display of the server's management controller, computes nothing".to_owned(),
        ),
        GpuVendor::Other => (
            Backend::Cpu,
            format!(
                "vendor {:04x} is not known to run inference engines",
                device.vendor_id
            ),
        ),
    }
}

/// Tegra's GPU on the bus (Thor) and those of Grace's small sisters (GB10,
/// N1X) share the processor's memory. Among the old ids are nForce chip sets.
fn nvidia_integrated(id: u16) -> Option<bool> {
    match id {
        0x2b00 | 0x2e03 | 0x2e06 | 0x2e12 | 0x2e13 | 0x2e2a => Some(true),
        _ => (id >= FIRST_MAXWELL).then_some(false),
    }
}

fn nvidia(id: u16, driver: Option<&str>) -> (Backend, String) {
    if id < FIRST_MAXWELL {
        let reason = "NVIDIA card older than Maxwell: CUDA 12 does not run on it";
        return (Backend::Cpu, reason.to_owned());
    }
    let reason = match driver {
        Some("nvidia") => "NVIDIA card with the nvidia driver".to_owned(),
        None => "NVIDIA card: needs the nvidia driver, now no driver is bound".to_owned(),
        Some(other) => format!("NVIDIA card: needs the nvidia driver, now {other} is bound"),
    };
    (Backend::Cuda, reason)
}

fn amd(id: u16, driver: Option<&str>, integrated: Option<bool>) -> (Backend, String) {
    let bound = match driver {
        Some("amdgpu") => String::new(),
        // The driver of the cards before GCN, for which there is no Vulkan.
        Some("radeon") => {
            let reason = "AMD card with the radeon driver, which has no Vulkan (cards from 2012 on may run with amdgpu)";
            return (Backend::Cpu, reason.to_owned());
        }
        None => ": needs the amdgpu driver, now no driver is bound".to_owned(),
        Some(other) => format!(": needs the amdgpu driver, now {other} is bound"),
    };
    if let Some((chip, target)) = rocm_chip(id) {
        let reason = format!("{chip} ({target}), which ROCm supports{bound}");
        return (Backend::Rocm, reason);
    }
    let reason = match integrated {
        Some(true) => format!("integrated AMD GPU: Vulkan needs no ROCm build for it{bound}"),
        _ => format!("AMD card that is not surely supported by ROCm: Vulkan{bound}"),
    };
    (Backend::Vulkan, reason)
}

/// Chips that AMD's own support matrix for `ROCm` 7 on Linux names, with their
/// gfx targets: Instinct MI100 and later, Radeon (PRO) of RDNA 2 to 4.
///
/// Left out, though their owners run them with an override of the target:
/// Navi 22, 23 and 24 (gfx1031, 1032, 1034) and Navi 33 (gfx1102).
fn rocm_chip(id: u16) -> Option<(&'static str, &'static str)> {
    Some(match id {
        0x738c | 0x738e => ("AMD Instinct MI100", "gfx908"),
        0x7408 | 0x740c | 0x740f => ("AMD Instinct MI200 series", "gfx90a"),
        0x74a0 | 0x74a1 | 0x74a2 | 0x74a5 | 0x74a9 | 0x74b5 | 0x74b9 | 0x74bd => {
            ("AMD Instinct MI300 series", "gfx942")
        }
        0x75a0 | 0x75a3 | 0x75a8 => ("AMD Instinct MI350 series", "gfx950"),
        0x73a1 | 0x73a2 | 0x73a3 | 0x73a5 | 0x73ab | 0x73ae | 0x73af | 0x73bf => {
            ("AMD Navi 21", "gfx1030")
        }
        0x7448 | 0x7449 | 0x744a | 0x744b | 0x744c | 0x745e => ("AMD Navi 31", "gfx1100"),
        0x7460 | 0x7461 | 0x7470 | 0x747e => ("AMD Navi 32", "gfx1101"),
        0x7590 => ("AMD Navi 44", "gfx1200"),
        0x7550 | 0x7551 => ("AMD Navi 48", "gfx1201"),
        _ => return None,
    })
}

/// AMD's ids are not ordered, but the graphics of its processors lie in a few
/// ranges, and the cards since Evergreen in others.
fn amd_integrated(id: u16) -> Option<bool> {
    match id {
        // Kaveri; RS780 to Stoney Ridge.
        0x1304..=0x131d | 0x9600..=0x99ff
        // Raphael's and Granite Ridge's small ones, consoles' chips sold as boards.
        | 0x164e | 0x13c0 | 0x13db | 0x13fb | 0x13fe
        // Raven, Picasso, Renoir, Lucienne, Cezanne, Barcelo, Mendocino, Van Gogh, Sephiroth.
        | 0x15dd | 0x15d8 | 0x1636 | 0x164c | 0x1638 | 0x15e7 | 0x1506 | 0x163f | 0x1435
        // Rembrandt, Phoenix, Hawk Point, Krackan, Strix, Strix Halo.
        | 0x164d | 0x1681 | 0x15bf | 0x15c8 | 0x164f | 0x1900 | 0x1901 | 0x1902 | 0x1114
        | 0x150e | 0x1586
        // MI300A: its memory is the processor's.
        | 0x74a0 => Some(true),
        0x6600..=0x6fff | 0x7300..=0x75ff => Some(false),
        _ => None,
    }
}

/// What Intel's discrete GPUs run, and under which name.
fn intel_discrete(id: u16) -> Option<(Backend, &'static str)> {
    match id {
        // Alchemist and its Flex cards; Battlemage.
        0x5690..=0x56c2 | 0xe202..=0xe2ff => Some((Backend::Sycl, "Intel Arc")),
        // Ponte Vecchio.
        0x0b69 | 0x0b6e | 0x0bd0..=0x0bdb => Some((Backend::Sycl, "Intel Data Center GPU Max")),
        // DG1: Xe-LP, which oneAPI no longer carries.
        0x4905..=0x4909 => Some((Backend::Vulkan, "Intel DG1")),
        _ => None,
    }
}

/// Intel's integrated GPU has been device 2 of bus 0 in every chipset and processor.
fn intel_integrated(device: &PciDevice) -> Option<bool> {
    if device.class == PROCESSING_ACCELERATOR {
        None
    } else if intel_discrete(device.device_id).is_some() {
        Some(false)
    } else {
        (device.address.bus == 0 && device.address.device == 2).then_some(true)
    }
}

fn intel(device: &PciDevice, driver: Option<&str>, integrated: Option<bool>) -> (Backend, String) {
    if device.class == PROCESSING_ACCELERATOR {
        let reason = "Intel NPU, which no engine of the stack uses";
        return (Backend::Cpu, reason.to_owned());
    }
    let bound = match driver {
        Some("i915" | "xe") => String::new(),
        // PowerVR cores in old Atoms.
        Some("gma500" | "gma500_gfx") => {
            return (
                Backend::Cpu,
                "Intel GMA 500, which has no Vulkan".to_owned(),
            );
        }
        None => ": needs the i915 or xe driver, now no driver is bound".to_owned(),
        Some(other) => format!(": needs the i915 or xe driver, now {other} is bound"),
    };
    if let Some((backend, name)) = intel_discrete(device.device_id) {
        return (backend, format!("{name}{bound}"));
    }
    let reason = match integrated {
        Some(true) => format!("integrated Intel GPU{bound}"),
        _ => format!("Intel GPU of no known family: Vulkan{bound}"),
    };
    (Backend::Vulkan, reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Describes a card by slot, class, ids and driver.
    fn card(slot: &str, class: u16, id: &str, driver: Option<&str>) -> Gpu {
        let hex = |text: &str| u16::from_str_radix(text, 16).unwrap();
        let (vendor, device) = id.split_once(':').unwrap();
        describe(&PciDevice {
            address: crate::pci::Slot::parse(slot).unwrap(),
            slot: slot.to_owned(),
            class,
            vendor_id: hex(vendor),
            device_id: hex(device),
            driver: driver.map(str::to_owned),
        })
    }

    #[test]
    fn cards() {
        use Backend::{Cpu, Cuda, Rocm, Sycl, Vulkan};
        use GpuVendor::{Amd, Bmc, Intel, Nvidia, Other, Virtual};
        let (vga, threed, accelerator) = (0x0300, 0x0302, PROCESSING_ACCELERATOR);
        let yes = Some(true);
        let no = Some(false);
        for (class, id, driver, vendor, integrated, backend) in [
            // NVIDIA, whatever is bound; but not to a virtual machine, and not Kepler.
            (vga, "10de:2684", Some("nvidia"), Nvidia, no, Cuda),
            (vga, "10de:2684", None, Nvidia, no, Cuda),
            (vga, "10de:2684", Some("nouveau"), Nvidia, no, Cuda),
            (vga, "10de:2684", Some("vfio-pci"), Nvidia, no, Cpu),
            (threed, "10de:1340", Some("nvidia"), Nvidia, no, Cuda),
            (vga, "10de:128b", Some("nouveau"), Nvidia, None, Cpu),
            (vga, "10de:2e12", Some("nvidia"), Nvidia, yes, Cuda),
            // AMD by its table.
            (accelerator, "1002:74a1", Some("amdgpu"), Amd, no, Rocm),
            (accelerator, "1002:74a0", Some("amdgpu"), Amd, yes, Rocm),
            (0x0380, "1002:740f", Some("amdgpu"), Amd, no, Rocm),
            (vga, "1002:73bf", Some("amdgpu"), Amd, no, Rocm),
            (vga, "1002:7550", None, Amd, no, Rocm),
            (vga, "1002:73df", Some("amdgpu"), Amd, no, Vulkan),
            (vga, "1002:67df", Some("amdgpu"), Amd, no, Vulkan),
            (vga, "1002:1586", Some("amdgpu"), Amd, yes, Vulkan),
            (vga, "1002:68f9", Some("radeon"), Amd, no, Cpu),
            (vga, "1002:7fff", Some("amdgpu"), Amd, None, Vulkan),
            // Intel by device, or by its place.
            (vga, "8086:56a5", Some("i915"), Intel, no, Sycl),
            (vga, "8086:e20b", Some("xe"), Intel, no, Sycl),
            (0x0380, "8086:0bd5", Some("i915"), Intel, no, Sycl),
            (vga, "8086:4905", Some("i915"), Intel, no, Vulkan),
            (vga, "8086:ffff", Some("xe"), Intel, None, Vulkan),
            (
                accelerator,
                "8086:7d1d",
                Some("intel_vpu"),
                Intel,
                None,
                Cpu,
            ),
            // "VGA compatible", and nothing that computes.
            (vga, "1a03:2000", Some("ast"), Bmc, None, Cpu),
            (vga, "102b:0538", Some("mgag200"), Bmc, None, Cpu),
            (vga, "19e5:1711", Some("hibmc-drm"), Bmc, None, Cpu),
            (vga, "1af4:1050", Some("virtio-pci"), Virtual, None, Cpu),
            (vga, "1b36:0100", Some("qxl"), Virtual, None, Cpu),
            (vga, "15ad:0405", Some("vmwgfx"), Virtual, None, Cpu),
            (vga, "1234:1111", Some("bochs-drm"), Virtual, None, Cpu),
            (vga, "1013:00b8", Some("cirrus"), Virtual, None, Cpu),
            (vga, "1414:5353", None, Virtual, None, Cpu),
            (vga, "80ee:beef", Some("vboxvideo"), Virtual, None, Cpu),
            // A virtio device that is no display, and someone unknown.
            (accelerator, "1af4:1045", None, Other, None, Cpu),
            (
                accelerator,
                "1da3:1020",
                Some("habanalabs"),
                Other,
                None,
                Cpu,
            ),
        ] {
            let gpu = card("0000:05:00.0", class, id, driver);
            assert_eq!(
                (gpu.vendor, gpu.integrated, gpu.backend),
                (vendor, integrated, backend),
                "{id} {driver:?}"
            );
            assert_eq!(gpu.pci_id, id);
        }
    }

    #[test]
    fn reasons_say_what_to_do() {
        let reason = |id, driver| card("0000:05:00.0", 0x0300, id, driver).reason;
        assert_eq!(
            reason("10de:2684", Some("nouveau")),
            "NVIDIA card: needs the nvidia driver, now nouveau is bound"
        );
        assert_eq!(
            reason("1002:744c", None),
            "AMD Navi 31 (gfx1100), which ROCm supports: needs the amdgpu driver, now no driver is bound"
        );
    }

    #[test]
    fn intels_integrated_gpu_is_where_it_always_was() {
        assert_eq!(
            card("0000:00:02.0", 0x0300, "8086:a7a0", None).integrated,
            Some(true)
        );
        assert_eq!(
            card("0000:00:02.0", 0x0300, "8086:56a0", None).integrated,
            Some(false)
        );
        assert_eq!(
            card("0000:00:03.0", 0x0300, "8086:a7a0", None).integrated,
            None
        );
    }

    #[test]
    fn the_choice() {
        let igpu = || card("0000:00:02.0", 0x0300, "8086:a7a0", Some("i915"));
        let unknown = || card("0000:01:00.0", 0x0300, "1002:7fff", Some("amdgpu"));
        let bmc = || card("0000:02:00.0", 0x0300, "1a03:2000", Some("ast"));
        let old = || card("0000:03:00.0", 0x0300, "10de:128b", Some("nouveau"));
        let radeon = || card("0000:04:00.0", 0x0300, "1002:744c", Some("amdgpu"));
        let nvidia = || card("0000:05:00.0", 0x0300, "10de:2684", Some("nvidia"));
        for (gpus, chosen) in [
            (vec![], None),
            (vec![bmc(), old()], None),
            (vec![igpu(), bmc()], Some("0000:00:02.0")),
            (vec![igpu(), unknown()], Some("0000:01:00.0")),
            (
                vec![igpu(), unknown(), bmc(), nvidia()],
                Some("0000:05:00.0"),
            ),
            (vec![radeon(), nvidia()], Some("0000:04:00.0")),
        ] {
            assert_eq!(choose(&gpus).slot.as_deref(), chosen);
        }
    }
}
