//! How much memory a card has of its own.

use aistack_machine::Backend;

use crate::facts::{Gpu, GpuVendor};
use crate::nvml::Answer;
use crate::pci::PciDevice;
use crate::reader::Reader;

const MIB: u64 = 1024 * 1024;

/// More than any card has, in MiB: 16 TiB.
const MAX_MIB: u64 = 16 * 1024 * 1024;

/// How many parts of a card are looked at (`tile0`, `tile1` …).
const MAX_TILES: usize = 16;

/// A card's own memory.
pub(crate) enum Vram {
    /// In MiB.
    Known(u64),
    /// Why it isn't known, in words for people.
    Unknown(String),
}

/// What is known of a card beside the files of the device itself.
pub(crate) struct Beside<'a> {
    pub(crate) kfd_bytes: Option<u64>,
    pub(crate) nvml: Option<&'a Answer>,
}

/// Reads it, from whoever knows.
pub(crate) fn read(
    reader: &mut Reader,
    device: &PciDevice,
    gpu: &Gpu,
    beside: &Beside<'_>,
    main_memory_mib: Option<u64>,
) -> Vram {
    let unknown = |why: &str| Vram::Unknown(why.to_owned());
    let bytes = match gpu.vendor {
        GpuVendor::Nvidia => match beside.nvml {
            Some(Answer::Card {
                memory_bytes: Some(bytes),
                ..
            }) => Some(*bytes),
            Some(Answer::Card { .. }) => return unknown("it shares the main memory"),
            Some(Answer::Silent(why)) => return unknown(why),
            None => None,
        },
        GpuVendor::Amd => number(reader, device, "mem_info_vram_total").or(beside.kfd_bytes),
        GpuVendor::Intel => intel(reader, device),
        GpuVendor::Virtual | GpuVendor::Bmc | GpuVendor::Other => {
            return unknown("not looked for: no engine uses it");
        }
    };
    let mib = bytes
        .map(|bytes| bytes / MIB)
        .filter(|mib| (1..=MAX_MIB).contains(mib));
    if gpu.integrated == Some(true) {
        return match mib {
            // The kernel lends a GPU up to half of the main memory; an owner who
            // has set more than that aside for it means it as the GPU's own.
            Some(mib) if main_memory_mib.is_some_and(|main| mib >= main / 2) => Vram::Known(mib),
            Some(mib) => Vram::Unknown(format!(
                "it shares the main memory; the firmware sets {mib} MiB of it aside"
            )),
            None => unknown("it shares the main memory"),
        };
    }
    match (mib, gpu.vendor) {
        (Some(mib), _) => Vram::Known(mib),
        (None, _) if gpu.backend == Backend::Cpu => unknown("not looked for: no engine uses it"),
        (None, GpuVendor::Nvidia) => unknown("only the nvidia driver tells, which is not bound"),
        (None, GpuVendor::Amd) if gpu.driver.as_deref() == Some("amdgpu") => {
            unknown("the amdgpu driver does not tell")
        }
        (None, GpuVendor::Amd) => unknown("only the amdgpu driver tells, which is not bound"),
        (None, _) => unknown(match gpu.driver.as_deref() {
            Some("xe") => "this kernel's xe driver does not tell",
            Some("i915") => "the i915 driver does not tell, the xe driver may",
            _ => "only the xe driver tells, which is not bound",
        }),
    }
}

/// xe has a file for each tile (`drivers/gpu/drm/xe`), the i915 driver that
/// Intel builds outside the kernel one for each card of DRM.
fn intel(reader: &mut Reader, device: &PciDevice) -> Option<u64> {
    let path = device.path();
    let mut sum: Option<u64> = None;
    for tile in 0..MAX_TILES {
        let file = format!("tile{tile}/physical_vram_size_bytes");
        let Some(bytes) = number(reader, device, &file) else {
            break;
        };
        sum = Some(sum.unwrap_or_default().saturating_add(bytes));
    }
    if sum.is_some() {
        return sum;
    }
    let drm = format!("{path}/drm");
    let cards = reader.list(&drm, "").unwrap_or_default();
    cards
        .iter()
        .filter(|name| name.starts_with("card"))
        .take(MAX_TILES)
        .find_map(|card| number(reader, device, &format!("drm/{card}/lmem_total_bytes")))
}

/// A number of bytes in a file of the device; none with a note when it is odd.
fn number(reader: &mut Reader, device: &PciDevice, file: &str) -> Option<u64> {
    let path = format!("{}/{file}", device.path());
    let meaning = "the memory of the card is unknown";
    let text = reader.value(&path, meaning)?;
    let number = match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => text.parse(),
    };
    match number {
        Ok(bytes) if bytes / MIB <= MAX_MIB => Some(bytes),
        _ => {
            reader.note(
                &path,
                format!("{text:?} is no number of bytes that a card has"),
                meaning,
            );
            None
        }
    }
}
