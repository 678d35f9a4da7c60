//! Main memory: `MemTotal` of `/proc/meminfo` (`Documentation/filesystems/proc.rst` of Linux).

use std::io;

use crate::facts::Memory;
use crate::reader::Reader;

pub(crate) const MEMINFO_PATH: &str = "proc/meminfo";

/// The kernel keeps a share for itself that differs from release to release:
/// the total is given to the nearest of these, in KiB.
const STEP_KIB: u64 = STEP_MIB * 1024;
/// The same in MiB.
pub(crate) const STEP_MIB: u64 = 256;

pub(crate) fn read(reader: &mut Reader, meminfo: io::Result<Vec<u8>>) -> Memory {
    let meaning = "the size of the memory is unknown";
    let total = match meminfo {
        Ok(bytes) => {
            let total = total_kib(&String::from_utf8_lossy(&bytes));
            if total.is_none() {
                reader.note(MEMINFO_PATH, "has no line `MemTotal: <number> kB`", meaning);
            }
            total
        }
        Err(error) => {
            reader.note(MEMINFO_PATH, aistack_machine::text::io(&error), meaning);
            None
        }
    };
    Memory {
        total_mib: total.map(round_to_mib),
    }
}

fn total_kib(text: &str) -> Option<u64> {
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    value.trim().strip_suffix("kB")?.trim_end().parse().ok()
}

fn round_to_mib(kib: u64) -> u64 {
    kib.saturating_add(STEP_KIB / 2) / STEP_KIB * STEP_MIB
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn total_is_found_or_not() {
        assert_eq!(
            total_kib("MemTotal:       24684096 kB\nMemFree: 1 kB"),
            Some(24_684_096)
        );
        for odd in [
            "",
            "MemTotal:",
            "MemTotal: kB",
            "MemTotal: 12 MB",
            "MemTotal: -1 kB",
            "MemFree: 1 kB",
        ] {
            assert_eq!(total_kib(odd), None, "{odd:?}");
        }
    }

    #[test]
    fn a_kernel_update_changes_nothing() {
        // 64 GiB less what the kernel keeps.
        assert_eq!(round_to_mib(65_722_304), 64_256);
        assert_eq!(round_to_mib(65_722_304 - 20_000), 64_256);
        assert_eq!(round_to_mib(0), 0);
        assert_eq!(round_to_mib(u64::MAX), u64::MAX / STEP_KIB * STEP_MIB);
    }
}
