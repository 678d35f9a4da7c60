//! AMD's compute nodes, as the kernel's KFD lists them
//! (`Documentation/gpu/amdgpu` of Linux; `drivers/gpu/drm/amd/amdkfd/kfd_topology.c`).

use std::collections::BTreeMap;

use crate::pci::Slot;
use crate::reader::{Reader, is_missing};

const NODES_PATH: &str = "sys/devices/virtual/kfd/kfd/topology/nodes";

/// More nodes than any machine has; a list that long is nonsense.
const MAX_NODES: usize = 1024;

/// A GPU's own memory, public or private (`HSA_MEM_HEAP_TYPE_FB_*`).
const FRAME_BUFFER_HEAPS: [u64; 2] = [1, 2];

/// What KFD says of a GPU.
pub(crate) struct Kfd {
    /// `110000` is `gfx1100`.
    pub(crate) target_version: u32,
    /// The banks of its own memory together; none: no such bank is listed.
    pub(crate) memory_bytes: Option<u64>,
}

/// The GPUs by their place on the bus.
pub(crate) type Nodes = BTreeMap<Slot, Kfd>;

pub(crate) fn read(reader: &mut Reader) -> Nodes {
    let meaning = "the gfx target may be unknown";
    let names = match reader.list(NODES_PATH, meaning) {
        Ok(names) => names,
        // Without the amdgpu driver there is no KFD.
        Err(error) if is_missing(&error) => return Nodes::new(),
        Err(error) => {
            reader.note(NODES_PATH, aistack_machine::text::io(&error), meaning);
            return Nodes::new();
        }
    };
    names
        .iter()
        .take(MAX_NODES)
        .filter_map(|name| node(reader, &format!("{NODES_PATH}/{name}")))
        .collect()
}

fn node(reader: &mut Reader, path: &str) -> Option<(Slot, Kfd)> {
    let properties = properties(reader, &format!("{path}/properties"))?;
    let target_version = u32::try_from(*properties.get("gfx_target_version")?).ok()?;
    // Processors are nodes, too.
    if target_version == 0 {
        return None;
    }
    let location = u16::try_from(*properties.get("location_id")?).ok()?;
    let domain = u32::try_from(properties.get("domain").copied().unwrap_or_default()).ok()?;
    let address = Slot::of_location(domain, location);

    let banks = format!("{path}/mem_banks");
    let mut memory_bytes: Option<u64> = None;
    for bank in reader.list(&banks, "").unwrap_or_default().iter().take(16) {
        let Some(bank) = self::properties(reader, &format!("{banks}/{bank}/properties")) else {
            continue;
        };
        let heap = bank.get("heap_type").copied().unwrap_or_default();
        if FRAME_BUFFER_HEAPS.contains(&heap)
            && let Some(size) = bank.get("size_in_bytes")
        {
            memory_bytes = Some(memory_bytes.unwrap_or_default().saturating_add(*size));
        }
    }
    let kfd = Kfd {
        target_version,
        memory_bytes,
    };
    Some((address, kfd))
}

/// Lines of a name and a number.
fn properties(reader: &mut Reader, path: &str) -> Option<BTreeMap<String, u64>> {
    // In a container the nodes of other containers' cards can't be read.
    let text = reader.lines_of(path, "the gfx target may be unknown")?;
    Some(
        text.lines()
            .filter_map(|line| {
                let (name, value) = line.split_once(' ')?;
                Some((name.to_owned(), value.trim().parse().ok()?))
            })
            .collect(),
    )
}
