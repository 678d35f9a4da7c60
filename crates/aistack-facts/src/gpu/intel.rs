//! Intel's cards: which of them oneAPI serves.

use aistack_machine::Backend;

use super::PROCESSING_ACCELERATOR;
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

/// A family of Intel's graphics before generation 9.
struct Old {
    generation: &'static str,
    name: &'static str,
    ids: &'static [u16],
}

/// The device ids of Intel's graphics before generation 9, from Linux's
/// `include/drm/intel/pciids.h` (commit 0755a4e3e809); the generations are those of
/// `drivers/gpu/drm/i915/i915_pci.c` (`GEN2_FEATURES` … `GEN8_FEATURES`).
const OLD: [Old; 12] = [
    Old {
        generation: "1",
        name: "i810, i815",
        ids: &[0x7121, 0x7123, 0x7125, 0x1132],
    },
    Old {
        generation: "2",
        name: "i830 to i865",
        ids: &[0x3577, 0x2562, 0x3582, 0x358e, 0x2572],
    },
    Old {
        generation: "3",
        name: "i915 to G33, Pineview",
        ids: &[
            0x2582, 0x258a, 0x2592, 0x2772, 0x27a2, 0x27ae, 0x29b2, 0x29c2, 0x29d2, 0xa001, 0xa011,
        ],
    },
    Old {
        generation: "4",
        name: "i965 to G45",
        ids: &[
            0x2972, 0x2982, 0x2992, 0x29a2, 0x2a02, 0x2a12, 0x2a42, 0x2e02, 0x2e12, 0x2e22, 0x2e32,
            0x2e42, 0x2e92,
        ],
    },
    Old {
        generation: "5",
        name: "Ironlake",
        ids: &[0x0042, 0x0046],
    },
    Old {
        generation: "6",
        name: "Sandy Bridge",
        ids: &[0x0102, 0x0106, 0x010a, 0x0112, 0x0116, 0x0122, 0x0126],
    },
    Old {
        generation: "7",
        name: "Ivy Bridge",
        ids: &[0x0152, 0x0156, 0x015a, 0x0162, 0x0166, 0x016a],
    },
    Old {
        generation: "7",
        name: "Bay Trail",
        ids: &[0x0f30, 0x0f31, 0x0f32, 0x0f33],
    },
    Old {
        generation: "7.5",
        name: "Haswell",
        ids: &[
            0x0402, 0x0406, 0x040a, 0x040b, 0x040e, 0x0412, 0x0416, 0x041a, 0x041b, 0x041e, 0x0422,
            0x0426, 0x042a, 0x042b, 0x042e, 0x0a02, 0x0a06, 0x0a0a, 0x0a0b, 0x0a0e, 0x0a12, 0x0a16,
            0x0a1a, 0x0a1b, 0x0a1e, 0x0a22, 0x0a26, 0x0a2a, 0x0a2b, 0x0a2e, 0x0c02, 0x0c06, 0x0c0a,
            0x0c0b, 0x0c0e, 0x0c12, 0x0c16, 0x0c1a, 0x0c1b, 0x0c1e, 0x0c22, 0x0c26, 0x0c2a, 0x0c2b,
            0x0c2e,
        ],
    },
    Old {
        generation: "7.5",
        name: "Haswell with eDRAM",
        ids: &[
            0x0d02, 0x0d06, 0x0d0a, 0x0d0b, 0x0d0e, 0x0d12, 0x0d16, 0x0d1a, 0x0d1b, 0x0d1e, 0x0d22,
            0x0d26, 0x0d2a, 0x0d2b, 0x0d2e,
        ],
    },
    Old {
        generation: "8",
        name: "Broadwell",
        ids: &[
            0x1602, 0x1606, 0x160a, 0x160b, 0x160d, 0x160e, 0x1612, 0x1616, 0x161a, 0x161b, 0x161d,
            0x161e, 0x1622, 0x1626, 0x162a, 0x162b, 0x162d, 0x162e, 0x1632, 0x1636, 0x163a, 0x163b,
            0x163d, 0x163e,
        ],
    },
    Old {
        generation: "8",
        name: "Cherry Trail, Braswell",
        ids: &[0x22b0, 0x22b1, 0x22b2, 0x22b3],
    },
];

/// Why graphics before generation 9 run no engine: these need Vulkan 1.2. Since Mesa 22.3
/// anv serves generation 9 and later; what is left for 7 to 8 (hasvk) is not developed.
fn too_old(id: u16) -> Option<String> {
    let old = OLD.iter().find(|old| old.ids.contains(&id))?;
    Some(format!(
        "Intel graphics of generation {} ({}): engines need Vulkan 1.2, and Mesa's driver for it \
         (anv) serves generation 9 and later",
        old.generation, old.name
    ))
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
    if let Some(reason) = too_old(device.device_id) {
        return (Backend::Cpu, reason);
    }
    if let Some((backend, name)) = discrete(device.device_id) {
        return (backend, format!("{name}{bound}"));
    }
    let reason = match integrated {
        Some(true) => format!("integrated Intel GPU{bound}"),
        _ => format!("Intel GPU of no known family: Vulkan{bound}"),
    };
    (Backend::Vulkan, reason)
}
