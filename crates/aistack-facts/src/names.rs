//! Names of PCI devices, from hwdata's `pci.ids` (format: its own head).
//!
//! The list has 1.6 MiB. Parsing all of it takes 20 ms, ten times as long as
//! everything else that is read here; so only the lines of the wanted devices
//! are handed to the parser, and what comes after them isn't read.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader};

use pciid_parser::Database;

use crate::reader::{Reader, is_missing, printable};

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
        match reader.lines(path) {
            Ok(list) => return look_up(reader, path, list, wanted),
            Err(error) if is_missing(&error) => {}
            Err(error) => reader.note(path, aistack_machine::text::io(&error), MEANING),
        }
    }
    // Not for a captured tree: its facts would depend on the machine that reads it.
    match PACKAGED {
        Some(path) if reader.is_live() => match File::open(path) {
            Ok(list) => look_up(reader, path, BufReader::new(list), wanted),
            Err(_) => BTreeMap::new(),
        },
        _ => BTreeMap::new(),
    }
}

fn look_up(
    reader: &mut Reader,
    path: &str,
    list: impl BufRead,
    wanted: &[Id],
) -> BTreeMap<Id, String> {
    let part = match part(list, wanted) {
        Ok(part) => part,
        Err(error) => {
            reader.note(path, aistack_machine::text::io(&error), MEANING);
            return BTreeMap::new();
        }
    };
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
fn part(mut list: impl BufRead, wanted: &[Id]) -> io::Result<Vec<u8>> {
    let mut part = Vec::new();
    // Vendors still to come, each with the starts of its devices' lines.
    let mut vendors: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (vendor, device) in wanted {
        let devices = vendors.entry(format!("{vendor:04x}  ")).or_default();
        devices.push(format!("\t{device:04x}  "));
    }
    let mut devices = None;
    let mut line = Vec::new();
    loop {
        line.clear();
        if list.read_until(b'\n', &mut line)? == 0 {
            return Ok(part);
        }
        let keep = match line.first() {
            Some(b'\t') => {
                let mut devices = devices.iter().flatten();
                devices.any(|start: &String| line.starts_with(start.as_bytes()))
            }
            None | Some(b'#' | b'\n') => false,
            Some(_) => {
                // The next vendor: all that are wanted may have been.
                let start = line
                    .get(..6)
                    .and_then(|start| std::str::from_utf8(start).ok());
                devices = start.and_then(|start| vendors.remove(start));
                if devices.is_none() && vendors.is_empty() {
                    return Ok(part);
                }
                devices.is_some()
            }
        };
        if keep {
            // One odd byte must not cost the other names.
            part.extend_from_slice(String::from_utf8_lossy(&line).as_bytes());
            if !part.ends_with(b"\n") {
                part.push(b'\n');
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "# head\n1013  Cirrus Logic\n\t0038  GD 7548\n\t00b8  GD 5446\n\t\t1af4 1100  QEMU Virtual Machine\n# Cirrus, too\n\t00bc  GD 5480\n10de  NVIDIA Corporation\n\t2684  AD102 [GeForce RTX 4090]\n\nC 03  Display controller\n\t00  VGA compatible controller\n";

    #[test]
    fn only_what_is_wanted_is_parsed() {
        let part = part(LIST.as_bytes(), &[(0x1013, 0x00b8), (0x10de, 0x2684)]).unwrap();
        assert_eq!(
            String::from_utf8(part).unwrap(),
            "1013  Cirrus Logic\n\t00b8  GD 5446\n10de  NVIDIA Corporation\n\t2684  AD102 [GeForce RTX 4090]\n"
        );
        assert_eq!(part_of(&[(0x8086, 0x56a0)]), "");
        assert_eq!(part_of(&[(0x10de, 0xffff)]), "10de  NVIDIA Corporation\n");
    }

    fn part_of(wanted: &[Id]) -> String {
        String::from_utf8(part(LIST.as_bytes(), wanted).unwrap()).unwrap()
    }
}
