//! Names of PCI devices, from hwdata's `pci.ids` (format: its own head).
//!
//! The list has 1.6 MiB. Parsing all of it takes 20 ms, four times as long as
//! everything else that is read here; so only the lines of the wanted devices
//! are handed to the parser.

use std::collections::BTreeMap;

use pciid_parser::Database;

use crate::reader::{Extent, Reader, is_missing, plain, printable};

/// Where distributions have the list, NixOS last.
const PATHS: [&str; 4] = [
    "usr/share/hwdata/pci.ids",
    "usr/share/misc/pci.ids",
    "run/current-system/sw/share/hwdata/pci.ids",
    "run/current-system/sw/share/pci.ids",
];

/// A list that the package brings along, for machines without one (NixOS has
/// none unless a user installs it).
const PACKAGED: Option<&str> = option_env!("AISTACK_PCI_IDS");

const MEANING: &str = "names of GPUs are unknown";

/// A vendor's and a device's id.
pub(crate) type Id = (u16, u16);

/// The names of devices, as far as a list below the root has them.
pub(crate) fn read(reader: &mut Reader, wanted: &[Id]) -> BTreeMap<Id, String> {
    if wanted.is_empty() {
        return BTreeMap::new();
    }
    for path in PATHS {
        match reader.read(path, Extent::Whole) {
            Ok(list) => return look_up(reader, path, &list, wanted),
            Err(error) if is_missing(&error) => {}
            Err(error) => reader.note(path, plain(&error), MEANING),
        }
    }
    // Not for a captured tree: its facts would depend on the machine that reads it.
    match PACKAGED {
        Some(path) if reader.is_live() => match std::fs::read(path) {
            Ok(list) => look_up(reader, path, &list, wanted),
            Err(_) => BTreeMap::new(),
        },
        _ => BTreeMap::new(),
    }
}

fn look_up(reader: &mut Reader, path: &str, list: &[u8], wanted: &[Id]) -> BTreeMap<Id, String> {
    let part = part(list, wanted);
    let database = match Database::parse_db(part.as_slice()) {
        Ok(database) => database,
        Err(error) => {
            reader.note(path, error, MEANING);
            return BTreeMap::new();
        }
    };
    wanted
        .iter()
        .filter_map(|&(vendor, device)| {
            let name = database.get_device_info(vendor, device, 0, 0).device_name?;
            let name: String = printable(name)?.chars().take(128).collect();
            Some(((vendor, device), name))
        })
        .collect()
}

/// The lines of the list that name the wanted devices and their vendors.
fn part(list: &[u8], wanted: &[Id]) -> Vec<u8> {
    let mut part = Vec::new();
    let mut vendors: Vec<u16> = wanted.iter().map(|id| id.0).collect();
    vendors.sort_unstable();
    vendors.dedup();
    for vendor in vendors {
        let head = format!("{vendor:04x}  ");
        let Some(section) = section(list, head.as_bytes()) else {
            continue;
        };
        let heads: Vec<String> = wanted
            .iter()
            .filter(|id| id.0 == vendor)
            .map(|id| format!("\t{:04x}  ", id.1))
            .collect();
        for (at, line) in section.split(|byte| *byte == b'\n').enumerate() {
            if at == 0 || heads.iter().any(|head| line.starts_with(head.as_bytes())) {
                // One odd byte must not cost the other names.
                part.extend_from_slice(String::from_utf8_lossy(line).as_bytes());
                part.push(b'\n');
            }
        }
    }
    part
}

/// From a vendor's line to the next vendor's.
fn section<'a>(list: &'a [u8], head: &[u8]) -> Option<&'a [u8]> {
    let mut rest = list;
    loop {
        if rest.starts_with(head) {
            break;
        }
        let end = rest.iter().position(|byte| *byte == b'\n')?;
        rest = rest.get(end + 1..)?;
    }
    let mut len = 0;
    for line in rest.split_inclusive(|byte| *byte == b'\n') {
        if len > 0 && !matches!(line.first(), Some(b'\t' | b'#' | b'\n')) {
            break;
        }
        len += line.len();
    }
    rest.get(..len)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "# head\n1013  Cirrus Logic\n\t0038  GD 7548\n\t00b8  GD 5446\n\t\t1af4 1100  QEMU Virtual Machine\n# Cirrus, too\n\t00bc  GD 5480\n10de  NVIDIA Corporation\n\t2684  AD102 [GeForce RTX 4090]\n\nC 03  Display controller\n\t00  VGA compatible controller\n";

    #[test]
    fn only_what_is_wanted_is_parsed() {
        let part = part(LIST.as_bytes(), &[(0x1013, 0x00b8), (0x10de, 0x2684)]);
        assert_eq!(
            String::from_utf8(part).unwrap(),
            "1013  Cirrus Logic\n\t00b8  GD 5446\n10de  NVIDIA Corporation\n\t2684  AD102 [GeForce RTX 4090]\n"
        );
        assert_eq!(part_of(&[(0x8086, 0x56a0)]), "");
        assert_eq!(part_of(&[(0x10de, 0xffff)]), "10de  NVIDIA Corporation\n");
    }

    fn part_of(wanted: &[Id]) -> String {
        String::from_utf8(part(LIST.as_bytes(), wanted)).unwrap()
    }
}
