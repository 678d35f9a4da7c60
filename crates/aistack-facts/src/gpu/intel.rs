//! Intel's cards: which of them oneAPI serves.

use super::PROCESSING_ACCELERATOR;
use crate::facts::Backend;
use crate::pci::PciDevice;

/// What Intel's discrete GPUs run, and under which name.
fn discrete(id: u16) -> Option<(Backend, &'static str)> {
    match id {
        // Alchemist and its Flex cards; Battlemage.
        0x4f80..=0x4f88 | 0x5690..=0x56c2 | 0xe202..=0xe2ff => Some((Backend::Sycl, "Intel Arc")),
        // Ponte Vecchio.
        0x0b69 | 0x0b6e | 0x0bd0..=0x0bdb => Some((Backend::Sycl, "Intel Data Center GPU Max")),
        // DG1: Xe-LP, which oneAPI no longer carries.
        0x4905..=0x4909 => Some((Backend::Vulkan, "Intel DG1")),
        _ => None,
    }
}

/// Intel's integrated GPU has been device 2 of bus 0 in every chipset and processor.
pub(super) fn integrated(device: &PciDevice) -> Option<bool> {
    if device.class == PROCESSING_ACCELERATOR {
        None
    } else if discrete(device.device_id).is_some() {
        Some(false)
    } else {
        (device.address.bus == 0 && device.address.device == 2).then_some(true)
    }
}

pub(super) fn backend(
    device: &PciDevice,
    driver: Option<&str>,
    integrated: Option<bool>,
) -> (Backend, String) {
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
    if let Some((backend, name)) = discrete(device.device_id) {
        return (backend, format!("{name}{bound}"));
    }
    let reason = match integrated {
        Some(true) => format!("integrated Intel GPU{bound}"),
        _ => format!("Intel GPU of no known family: Vulkan{bound}"),
    };
    (Backend::Vulkan, reason)
}
