//! NVIDIA's cards: what follows from a chip's generation.

use aistack_machine::Backend;

use crate::facts::{Architecture, DriverBranch, Nvidia};

/// NVIDIA's ids rise with the generations: from GM108 (Maxwell) on a card runs
/// CUDA 12, what lies below is Kepler or older and does not.
const FIRST_MAXWELL: u16 = 0x1340;
/// From TU102 on the open kernel modules run a card.
const FIRST_TURING: u16 = 0x1e00;

/// Tegra's GPU on the bus (Thor) and those of Grace's small sisters (GB10,
/// N1X) share the processor's memory. Among the old ids are nForce chip sets.
pub(super) fn integrated(id: u16) -> Option<bool> {
    match id {
        0x2b00 | 0x2e03 | 0x2e06 | 0x2e12 | 0x2e13 | 0x2e2a => Some(true),
        _ => (id >= FIRST_MAXWELL).then_some(false),
    }
}

pub(super) fn backend(id: u16, driver: Option<&str>) -> (Backend, String) {
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

/// What a device id says of the driver.
pub(super) fn facts(id: u16) -> Nvidia {
    use Architecture::{Fermi, Kepler, Maxwell, Pascal, Tesla, Volta};
    let (architecture, capability) = chip(id).unzip();
    let driver_branch = match architecture {
        Some(Tesla) => Some(DriverBranch::Legacy340),
        Some(Fermi) => Some(DriverBranch::Legacy390),
        Some(Kepler) => Some(DriverBranch::Legacy470),
        Some(Maxwell | Pascal | Volta) => Some(DriverBranch::Legacy580),
        // What is older than every table has no later driver either.
        None if id < FIRST_MAXWELL => Some(DriverBranch::Legacy340),
        Some(_) | None => None,
    };
    Nvidia {
        architecture,
        compute_capability: capability.flatten().map(str::to_owned),
        open_kernel_module: architecture.map_or(id >= FIRST_TURING, |a| a >= Architecture::Turing),
        driver_branch,
    }
}

/// Generation and compute capability of the chip that has a device id. The ids
/// of one chip lie together; `nvidia-chips.txt` has the list that this is tested
/// against. Capabilities: CUDA Programming Guide, "Compute Capabilities".
fn chip(id: u16) -> Option<(Architecture, Option<&'static str>)> {
    use Architecture::{
        Ada, Ampere, Blackwell, Fermi, Hopper, Kepler, Maxwell, Pascal, Rubin, Tesla, Turing, Volta,
    };
    Some(match id {
        0x0190..=0x019f
        | 0x0400..=0x042f
        | 0x05e0..=0x06bf
        | 0x06e0..=0x06ff
        | 0x0840..=0x08af
        | 0x0a20..=0x0a7f
        | 0x0ca0..=0x0cbf
        | 0x10c0..=0x10df => (Tesla, None),
        0x06c0..=0x06df | 0x1080..=0x109f => (Fermi, Some("2.0")),
        0x0dc0..=0x0dff
        | 0x0e22..=0x0e3b
        | 0x0f00..=0x0f06
        | 0x1040..=0x107f
        | 0x1140
        | 0x1200..=0x1251 => (Fermi, Some("2.1")),
        0x0fc0..=0x0fff | 0x1180..=0x11ff => (Kepler, Some("3.0")),
        0x102d => (Kepler, Some("3.7")),
        0x1000..=0x103f | 0x1280..=0x12bf | 0x130b => (Kepler, Some("3.5")),
        0x13ad..=0x13ae | 0x13be..=0x13ff | 0x1400..=0x143f | 0x1610..=0x167f | 0x17c0..=0x17ff => {
            (Maxwell, Some("5.2"))
        }
        0x1340..=0x13bd | 0x1740..=0x179f => (Maxwell, Some("5.0")),
        0x15c0..=0x15ff | 0x1720..=0x172f => (Pascal, Some("6.0")),
        0x1b00..=0x1d7f => (Pascal, Some("6.1")),
        0x1d80..=0x1dff => (Volta, Some("7.0")),
        0x1e00..=0x1fff | 0x2180..=0x21ff => (Turing, Some("7.5")),
        0x2080..=0x20ff => (Ampere, Some("8.0")),
        0x2200..=0x223f | 0x2400..=0x25ff => (Ampere, Some("8.6")),
        0x2300..=0x23ff => (Hopper, Some("9.0")),
        0x2600..=0x28ff => (Ada, Some("8.9")),
        0x2900..=0x29ff => (Blackwell, Some("10.0")),
        // GB110, in B300.
        0x3180..=0x31ff => (Blackwell, Some("10.3")),
        0x3200..=0x323f | 0x3340 => (Blackwell, None),
        0x2b00 => (Blackwell, Some("11.0")),
        0x2b80..=0x2dff | 0x2f00..=0x2f8f => (Blackwell, Some("12.0")),
        0x2e00..=0x2e2f => (Blackwell, Some("12.1")),
        0x3000..=0x30ff => (Rubin, None),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs of ids with one chip each, as the PCI ID project has them.
    const CHIPS: &str = include_str!("nvidia-chips.txt");

    /// Generation and capability by the chip's name.
    fn of(chip: &str) -> Option<(Architecture, Option<&'static str>)> {
        use Architecture::{
            Ada, Ampere, Blackwell, Fermi, Hopper, Kepler, Maxwell, Pascal, Rubin, Tesla, Turing,
            Volta,
        };
        for (start, architecture, capability) in [
            ("G8", Tesla, None),
            ("G9", Tesla, None),
            ("GT2", Tesla, None),
            ("GF100", Fermi, Some("2.0")),
            ("GF110", Fermi, Some("2.0")),
            ("GF1", Fermi, Some("2.1")),
            ("GK210", Kepler, Some("3.7")),
            ("GK110", Kepler, Some("3.5")),
            ("GK180", Kepler, Some("3.5")),
            ("GK208", Kepler, Some("3.5")),
            ("GK1", Kepler, Some("3.0")),
            ("GM10", Maxwell, Some("5.0")),
            ("GM20", Maxwell, Some("5.2")),
            ("GP100", Pascal, Some("6.0")),
            ("GP10", Pascal, Some("6.1")),
            ("GV100", Volta, Some("7.0")),
            ("TU1", Turing, Some("7.5")),
            ("GA100", Ampere, Some("8.0")),
            ("GA10", Ampere, Some("8.6")),
            ("GH100", Hopper, Some("9.0")),
            ("AD10", Ada, Some("8.9")),
            ("GB10B", Blackwell, Some("11.0")),
            ("GB100", Blackwell, Some("10.0")),
            ("GB102", Blackwell, Some("10.0")),
            ("GB110", Blackwell, Some("10.3")),
            ("GB1", Blackwell, None),
            ("GB20B", Blackwell, Some("12.1")),
            ("GB20", Blackwell, Some("12.0")),
            ("GR10", Rubin, None),
        ] {
            if chip.starts_with(start) {
                return Some((architecture, capability));
            }
        }
        None
    }

    #[test]
    fn the_table_agrees_with_the_pci_ids() {
        let mut known = 0;
        let mut wrong = Vec::new();
        for line in CHIPS.lines().filter(|line| !line.starts_with('#')) {
            let (range, name) = line.split_once(' ').unwrap();
            let (first, last) = range.split_once('-').unwrap();
            let hex = |text| u16::from_str_radix(text, 16).unwrap();
            for id in [hex(first), hex(last)] {
                if chip(id) != of(name) {
                    wrong.push(format!("{id:04x} is {name}, not {:?}", chip(id)));
                }
                known += usize::from(of(name).is_some());
            }
        }
        assert_eq!(wrong, [] as [&str; 0]);
        assert!(known > 180, "{known}");
    }

    #[test]
    fn the_driver_follows_from_the_generation() {
        use DriverBranch::{Legacy340, Legacy390, Legacy470, Legacy580};
        for (id, open, branch, name) in [
            (0x2684, true, None, "RTX 4090"),
            (0x1b80, false, Some(Legacy580), "GTX 1080"),
            (0x13c2, false, Some(Legacy580), "GTX 970"),
            (0x1db6, false, Some(Legacy580), "V100"),
            (0x1eb8, true, None, "T4"),
            (0x128b, false, Some(Legacy470), "GT 710"),
            (0x1080, false, Some(Legacy390), "GTX 580"),
            (0x05e3, false, Some(Legacy340), "GTX 285"),
            (0x0041, false, Some(Legacy340), "6800"),
            (0x2330, true, None, "H100"),
            (0x2b85, true, None, "RTX 5090"),
            (0x3fff, true, None, "one to come"),
        ] {
            let facts = facts(id);
            assert_eq!(
                (facts.open_kernel_module, facts.driver_branch),
                (open, branch),
                "{name}"
            );
        }
        assert_eq!(facts(0x2684).compute_capability.as_deref(), Some("8.9"));
        assert_eq!(facts(0x3fff).architecture, None);
    }
}
