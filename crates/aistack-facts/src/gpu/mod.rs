//! What each GPU can be used with.
//!
//! A card is what its PCI vendor id says, never what its class is called: a
//! server's management controller is "VGA compatible" too. Facts say what a
//! card *can* do on a host whose drivers the Nix modules choose, so an NVIDIA
//! card is `cuda` even while `nouveau` is bound to it; the reason says so.
//!
//! The device ids are those of the PCI ID project (pci-ids.ucw.cz, 2026-08-22).
//! The tables hold only what is certain: a card that no table knows gets the
//! backend that surely works, and `integrated` null.

mod amd;
mod choice;
mod intel;
mod nvidia;

use aistack_machine::Backend;

use crate::facter::Report;
use crate::facts::{Amd, Gpu, GpuVendor};
use crate::kfd::{self, Kfd};
use crate::names;
use crate::nvml::{Answer, Nvml};
use crate::pci::{self, PciDevice};
use crate::reader::Reader;
use crate::vram::{self, Vram};

pub(crate) use choice::choose;

/// Drivers that hold a card for a virtual machine.
const PASS_THROUGH: [&str; 3] = ["vfio-pci", "pci-stub", "pciback"];

const PROCESSING_ACCELERATOR: u16 = 0x1200;

/// What is read of cards beside the PCI bus.
#[derive(Default)]
struct Beside {
    /// From `pci.ids`, or in the words of the card's driver.
    name: Option<String>,
    kfd: Option<Kfd>,
    nvml: Option<Answer>,
}

/// Whether a class is a display controller's or a processing accelerator's.
pub(crate) fn is_gpu(class: u16) -> bool {
    class >> 8 == 0x03 || class == PROCESSING_ACCELERATOR
}

/// Every display controller (class 03) and processing accelerator (class 1200),
/// by slot, and those that only a report of another tool shows.
///
/// `main_memory_mib` is what the kernel manages.
pub(crate) fn read(
    reader: &mut Reader,
    report: Option<&Report>,
    nvml: &mut dyn Nvml,
    main_memory_mib: Option<u64>,
) -> Vec<Gpu> {
    let mut devices = pci::devices(reader, is_gpu);
    if let Some(report) = report {
        report.merge_cards(reader, &mut devices);
    }
    devices.sort_by_key(|device| device.address);

    let ids: Vec<names::Id> = devices.iter().map(|d| (d.vendor_id, d.device_id)).collect();
    let mut names = report.map(Report::names).unwrap_or_default();
    names.extend(names::read(reader, &ids));
    let mut kfd = if devices.iter().any(|d| vendor(d) == GpuVendor::Amd) {
        kfd::read(reader)
    } else {
        kfd::Nodes::new()
    };
    devices
        .iter()
        .map(|device| {
            let mut beside = Beside {
                name: names.get(&(device.vendor_id, device.device_id)).cloned(),
                ..Beside::default()
            };
            match vendor(device) {
                GpuVendor::Nvidia if device.driver.as_deref() == Some("nvidia") => {
                    let model = nvidia_model(reader, device);
                    beside.name = beside.name.or(model);
                    beside.nvml = Some(nvml.card(&device.slot));
                }
                GpuVendor::Amd => beside.kfd = kfd.remove(&device.address),
                _ => {}
            }
            let mut gpu = describe(device, &beside);
            let vram = vram::read(
                reader,
                device,
                &gpu,
                &beside_memory(&beside),
                main_memory_mib,
            );
            match vram {
                Vram::Known(mib) => gpu.vram_mib = Some(mib),
                Vram::Unknown(reason) => gpu.vram_reason = Some(reason),
            }
            gpu
        })
        .collect()
}

/// What libraries and topologies said of a card's memory.
fn beside_memory(beside: &Beside) -> vram::Beside<'_> {
    vram::Beside {
        kfd_bytes: beside.kfd.as_ref().and_then(|kfd| kfd.memory_bytes),
        nvml: beside.nvml.as_ref(),
    }
}

/// A card's name in the words of NVIDIA's driver, which lists the cards that it
/// could start (`/proc/driver/nvidia/gpus/<slot>/information`).
fn nvidia_model(reader: &mut Reader, device: &PciDevice) -> Option<String> {
    const FOLDER: &str = "proc/driver/nvidia/gpus";
    let path = format!("{FOLDER}/{}/information", device.slot);
    let meaning = "the card may not work";
    let Some(text) = reader.lines_of(&path, meaning) else {
        if reader.exists(FOLDER) && !reader.exists(&path) {
            reader.note(
                &path,
                "is missing: the nvidia driver could not start the card",
                meaning,
            );
        }
        return None;
    };
    let model = text.lines().find_map(|line| line.strip_prefix("Model:"))?;
    crate::reader::printable(model)
}

fn describe(device: &PciDevice, beside: &Beside) -> Gpu {
    let vendor = vendor(device);
    let id = device.device_id;
    let integrated = match vendor {
        GpuVendor::Nvidia => nvidia::integrated(id),
        GpuVendor::Amd => amd::integrated(id),
        GpuVendor::Intel => intel::integrated(device),
        GpuVendor::Virtual | GpuVendor::Bmc | GpuVendor::Other => None,
    };
    let nvidia = (vendor == GpuVendor::Nvidia).then(|| {
        let mut facts = nvidia::facts(id);
        if facts.compute_capability.is_none()
            && let Some(Answer::Card { capability, .. }) = &beside.nvml
        {
            facts.compute_capability.clone_from(capability);
        }
        facts
    });
    let amd = (vendor == GpuVendor::Amd).then(|| Amd {
        gfx_target: beside
            .kfd
            .as_ref()
            .and_then(|kfd| amd::target_of_version(kfd.target_version))
            .or_else(|| amd::chip(id).map(|(_, target)| target.to_owned())),
    });
    let target = amd.as_ref().and_then(|amd| amd.gfx_target.as_deref());
    let (backend, reason) = backend(device, vendor, integrated, target);
    Gpu {
        slot: device.slot.clone(),
        class: format!("{:04x}", device.class),
        pci_id: format!("{:04x}:{:04x}", device.vendor_id, device.device_id),
        vendor,
        name: beside.name.clone(),
        driver: device.driver.clone(),
        integrated,
        vram_mib: None,
        vram_reason: None,
        backend,
        reason,
        nvidia,
        amd,
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

fn backend(
    device: &PciDevice,
    vendor: GpuVendor,
    integrated: Option<bool>,
    target: Option<&str>,
) -> (Backend, String) {
    let driver = device.driver.as_deref();
    if let Some(driver) = driver.filter(|driver| PASS_THROUGH.contains(driver)) {
        let reason = format!("bound to {driver}: kept for a virtual machine, not for this host");
        return (Backend::Cpu, reason);
    }
    match vendor {
        GpuVendor::Nvidia => nvidia::backend(device.device_id, driver),
        GpuVendor::Amd => amd::backend(device.device_id, target, driver, integrated),
        GpuVendor::Intel => intel::backend(device, driver, integrated),
        GpuVendor::Virtual => (Backend::Cpu, "virtual display, computes nothing".to_owned()),
        GpuVendor::Bmc => (
            Backend::Cpu,
            "display of the server's management controller, computes nothing".to_owned(),
        ),
        GpuVendor::Other if device.vendor_id == 0x1da3 => (
            Backend::Cpu,
            "Habana accelerator, which no engine of the stack uses".to_owned(),
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Describes a card by slot, class, ids and driver.
    fn card(slot: &str, class: u16, id: &str, driver: Option<&str>) -> Gpu {
        let hex = |text: &str| u16::from_str_radix(text, 16).unwrap();
        let (vendor, device) = id.split_once(':').unwrap();
        let device = PciDevice {
            address: crate::pci::Slot::parse(slot).unwrap(),
            slot: slot.to_owned(),
            class,
            vendor_id: hex(vendor),
            device_id: hex(device),
            driver: driver.map(str::to_owned),
        };
        describe(&device, &Beside::default())
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
            (vga, "1002:66a1", Some("amdgpu"), Amd, no, Vulkan),
            (vga, "1002:7480", Some("amdgpu"), Amd, no, Rocm),
            (vga, "1002:1586", Some("amdgpu"), Amd, yes, Rocm),
            (vga, "1002:164e", Some("amdgpu"), Amd, yes, Vulkan),
            (vga, "1002:68f9", Some("radeon"), Amd, no, Cpu),
            (vga, "1002:7fff", Some("amdgpu"), Amd, None, Vulkan),
            // Intel by device, or by its place.
            (vga, "8086:56a5", Some("i915"), Intel, no, Sycl),
            (vga, "8086:e20b", Some("xe"), Intel, no, Sycl),
            (0x0380, "8086:0bd5", Some("i915"), Intel, no, Sycl),
            (vga, "8086:4905", Some("i915"), Intel, no, Vulkan),
            (vga, "8086:ffff", Some("xe"), Intel, None, Vulkan),
            // Before generation 9: no Vulkan 1.2.
            (vga, "8086:0046", Some("i915"), Intel, None, Cpu),
            (vga, "8086:0102", Some("i915"), Intel, None, Cpu),
            (vga, "8086:0116", Some("i915"), Intel, None, Cpu),
            (vga, "8086:0166", None, Intel, None, Cpu),
            (vga, "8086:0412", Some("i915"), Intel, None, Cpu),
            (vga, "8086:0d26", Some("i915"), Intel, None, Cpu),
            (vga, "8086:0f31", Some("i915"), Intel, None, Cpu),
            (vga, "8086:1616", Some("i915"), Intel, None, Cpu),
            (vga, "8086:22b1", Some("i915"), Intel, None, Cpu),
            // Generation 9 and later.
            (vga, "8086:1912", Some("i915"), Intel, None, Vulkan),
            (vga, "8086:5a85", Some("i915"), Intel, None, Vulkan),
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
            (vec![radeon(), nvidia()], Some("0000:05:00.0")),
        ] {
            let slot = choose(&gpus).primary.map(|primary| primary.slot);
            assert_eq!(slot.as_deref(), chosen);
        }
    }

    /// A library that knows one card.
    struct Fake(Answer);

    impl Nvml for Fake {
        fn card(&mut self, slot: &str) -> Answer {
            assert_eq!(slot, "0000:01:00.0");
            self.0.clone()
        }
    }

    #[test]
    fn what_nvidias_library_says_of_memory() {
        let root = tempfile::tempdir().unwrap();
        let device = root.path().join("sys/bus/pci/devices/0000:01:00.0");
        std::fs::create_dir_all(&device).unwrap();
        for (name, text) in [
            ("class", "0x030000"),
            ("vendor", "0x10de"),
            ("device", "0x3fff"),
        ] {
            std::fs::write(device.join(name), text).unwrap();
        }
        std::os::unix::fs::symlink("drivers/nvidia", device.join("driver")).unwrap();
        let said = |answer| {
            let mut reader = Reader::open(root.path()).unwrap();
            let gpu = read(&mut reader, None, &mut Fake(answer), None).remove(0);
            let capability = gpu.nvidia.unwrap().compute_capability;
            (gpu.vram_mib, gpu.vram_reason, capability)
        };
        let known = |memory_bytes| Answer::Card {
            memory_bytes,
            capability: Some("13.0".to_owned()),
        };
        assert_eq!(
            said(known(Some(24_564 << 20))),
            (Some(24_564), None, Some("13.0".to_owned()))
        );
        assert_eq!(
            said(known(None)),
            (
                None,
                Some("it shares the main memory".to_owned()),
                Some("13.0".to_owned())
            )
        );
        let why = "NVIDIA's library says: the GPU is lost".to_owned();
        assert_eq!(said(Answer::Silent(why.clone())), (None, Some(why), None));
    }

    #[test]
    fn the_choice_counts_memory_and_capability_among_equals() {
        let card = |slot: &str, id: &str, vram_mib| Gpu {
            vram_mib,
            ..card(slot, 0x0300, id, Some("nvidia"))
        };
        let primary = |gpus: &[Gpu]| choose(gpus).primary.unwrap();
        // An RTX 4060 and an RTX 3090.
        let (small, large) = ("10de:2882", "10de:2204");
        let chosen = primary(&[
            card("0000:01:00.0", small, Some(8188)),
            card("0000:02:00.0", large, Some(24_576)),
        ]);
        assert_eq!(chosen.slot, "0000:02:00.0");
        assert_eq!(
            chosen.reason,
            "of the GPUs that engines can use: it has the most memory"
        );
        // Before the driver tells of all of them, the newer one.
        for vram in [None, Some(24_576)] {
            let chosen = primary(&[
                card("0000:01:00.0", large, vram),
                card("0000:02:00.0", small, None),
            ]);
            assert_eq!(chosen.slot, "0000:02:00.0");
            assert!(chosen.reason.ends_with("the highest compute capability"));
        }
        let chosen = primary(&[
            card("0000:01:00.0", large, None),
            card("0000:02:00.0", large, None),
        ]);
        assert_eq!(chosen.slot, "0000:01:00.0");
        assert!(chosen.reason.ends_with("it has the lowest slot"));
    }
}
