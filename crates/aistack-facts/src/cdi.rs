//! What containers can ask for by a CDI name.

use std::io;

use aistack_machine::cdi::{Devices, Files};

use crate::facts::Cdi;
use crate::reader::{Extent, Reader};

/// The specs lie below the reader's root, as do the targets of links in it.
struct Tree<'a>(&'a Reader);

impl Files for Tree<'_> {
    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        self.0.names(folder).map(|names| names.0)
    }

    fn read(&self, path: &str, limit: usize) -> io::Result<Vec<u8>> {
        let bytes = self.0.read(path, Extent::Whole)?;
        if bytes.len() > limit {
            return Err(io::Error::other(format!("is longer than {limit} bytes")));
        }
        Ok(bytes)
    }
}

pub(crate) fn read(reader: &mut Reader) -> Cdi {
    let mut devices = Devices::read_from(&Tree(reader));
    for note in std::mem::take(&mut devices.notes) {
        reader.note(&note.path, note.seen, "CDI devices may be missing");
    }
    let kinds = devices.kinds().filter_map(|(kind, names)| {
        let names: Vec<String> = names
            .into_iter()
            .filter(|name| !identifies(name))
            .map(str::to_owned)
            .collect();
        (!names.is_empty()).then(|| (kind.to_owned(), names))
    });
    Cdi {
        kinds: kinds.collect(),
    }
}

/// Whether a device's name is, or holds, a UUID (`GPU-…`, `MIG-…`).
fn identifies(name: &str) -> bool {
    let is_uuid = |text: &str| {
        let lengths: Vec<usize> = text.split('-').map(str::len).collect();
        lengths == [8, 4, 4, 4, 12] && text.chars().all(|c| c == '-' || c.is_ascii_hexdigit())
    };
    name.char_indices()
        .filter_map(|(at, _)| name.get(at..at + 36))
        .any(is_uuid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_identify_a_card_are_known() {
        for name in [
            "GPU-6a3b2c1d-0000-1111-2222-333344445555",
            "MIG-6a3b2c1d-0000-1111-2222-333344445555",
            "6a3b2c1d-0000-1111-2222-333344445555",
        ] {
            assert!(identifies(name), "{name}");
        }
        for name in ["all", "0", "1:0", "gpu0", "0000-1111-2222-333344445555"] {
            assert!(!identifies(name), "{name}");
        }
    }
}
