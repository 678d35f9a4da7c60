//! Reports of nixos-facter (`facter.json`): what another tool saw of a machine.
//!
//! A report fills what the machine itself can't show where the facts are read (a
//! container without sysfs, a tree of a few files). Where both say something the
//! machine wins, and a note says what differs. Format: `pkg/facter` and
//! `pkg/hwinfo` of nixos-facter, versions 1 and 2.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use aistack_machine::file;
use serde::Deserialize;

use crate::facts::{Firmware, System};
use crate::names::Id;
use crate::pci::{PciDevice, Slot};
use crate::reader::{Reader, printable};

/// The largest report that is read, in bytes; those of large servers have 2 MiB.
const MAX_REPORT: u64 = 64 * 1024 * 1024;

const WINS: &str = "the machine's own is used";

/// Why a report could not be used.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The file can't be read.
    #[error("cannot read the report {}: {}; write it with `nixos-facter -o {}`", path.display(), aistack_machine::text::io(seen), path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        seen: io::Error,
    },
    /// It is no JSON, or no report.
    #[error("{} is no report of nixos-facter: {seen}; write it with `nixos-facter -o {}`", path.display(), path.display())]
    NotAReport {
        /// The file.
        path: PathBuf,
        /// What was seen instead.
        seen: String,
    },
}

/// What a report says of the things that facts hold.
#[derive(Clone, Debug)]
pub struct Report {
    path: PathBuf,
    system: Option<String>,
    virtualisation: Option<String>,
    uefi: Option<bool>,
    cards: Vec<Card>,
}

#[derive(Clone, Debug)]
struct Card {
    slot: String,
    address: Slot,
    class: u16,
    id: Id,
    driver: Option<String>,
    name: Option<String>,
}

#[derive(Deserialize)]
struct Written {
    system: Option<String>,
    virtualisation: Option<String>,
    uefi: Option<Uefi>,
    hardware: Hardware,
}

#[derive(Deserialize)]
struct Uefi {
    supported: Option<bool>,
}

#[derive(Deserialize)]
struct Hardware {
    #[serde(default)]
    graphics_card: Vec<WrittenCard>,
}

#[derive(Deserialize)]
struct WrittenCard {
    base_class: Option<Number>,
    sub_class: Option<Number>,
    vendor: Option<Number>,
    device: Option<Number>,
    sysfs_bus_id: Option<String>,
    driver: Option<String>,
}

/// Version 1 has hexadecimal text beside the number, version 2 the number alone.
#[derive(Deserialize)]
struct Number {
    hex: Option<String>,
    value: Option<u32>,
    name: Option<String>,
}

impl Number {
    fn get(&self) -> Option<u16> {
        match (&self.hex, self.value) {
            (Some(hex), _) => u16::from_str_radix(hex, 16).ok(),
            (None, Some(value)) => u16::try_from(value).ok(),
            (None, None) => None,
        }
    }
}

impl Report {
    /// Reads a report.
    ///
    /// # Errors
    ///
    /// A [`ReportError`] when the file can't be read or is no report.
    pub fn load(path: &Path) -> Result<Self, ReportError> {
        let bytes = file::read(path, MAX_REPORT).map_err(|seen| ReportError::Unreadable {
            path: path.to_path_buf(),
            seen: seen.into(),
        })?;
        let written: Written =
            serde_json::from_slice(&bytes).map_err(|error| ReportError::NotAReport {
                path: path.to_path_buf(),
                seen: error.to_string(),
            })?;
        Ok(Self {
            path: path.to_path_buf(),
            system: written.system,
            virtualisation: written.virtualisation,
            uefi: written.uefi.and_then(|uefi| uefi.supported),
            // Cards that are on no PCI bus (Hyper-V's on its own bus) have no slot.
            cards: written
                .hardware
                .graphics_card
                .iter()
                .filter_map(card)
                .collect(),
        })
    }

    /// Puts the report's cards beside the machine's.
    pub(crate) fn merge_cards(&self, reader: &mut Reader, devices: &mut Vec<PciDevice>) {
        let bus_is_seen = reader.exists(crate::pci::DEVICES_PATH);
        for card in &self.cards {
            let (vendor, device) = card.id;
            let ids = format!("{vendor:04x}:{device:04x}");
            let slot = &card.slot;
            let Some(seen) = devices.iter().find(|seen| seen.address == card.address) else {
                if bus_is_seen {
                    let differs = format!("has the card {ids} in slot {slot}, where now none is");
                    self.note(reader, &differs, "the card is left out");
                } else {
                    devices.push(PciDevice {
                        address: card.address,
                        slot: slot.clone(),
                        class: card.class,
                        vendor_id: vendor,
                        device_id: device,
                        driver: card.driver.clone(),
                    });
                }
                continue;
            };
            let now = format!("{:04x}:{:04x}", seen.vendor_id, seen.device_id);
            if now != ids {
                let differs = format!("has the card {ids} in slot {slot}, where now {now} is");
                self.note(reader, &differs, WINS);
            } else if seen.driver != card.driver {
                let say = |driver: &Option<String>| match driver {
                    Some(driver) => format!("the driver {driver}"),
                    None => "no driver".to_owned(),
                };
                let differs = format!(
                    "has {} for the card in slot {slot}, now {} is bound",
                    say(&card.driver),
                    say(&seen.driver)
                );
                self.note(reader, &differs, WINS);
            }
        }
        for device in devices.iter() {
            let known = self.cards.iter().any(|card| card.address == device.address);
            // hwinfo counts accelerators without a display among other things.
            if !known && device.class >> 8 == 0x03 {
                let differs = format!(
                    "has no card in slot {}, where now {:04x}:{:04x} is",
                    device.slot, device.vendor_id, device.device_id
                );
                self.note(reader, &differs, WINS);
            }
        }
    }

    /// The names that the report has for its cards.
    pub(crate) fn names(&self) -> BTreeMap<Id, String> {
        self.cards
            .iter()
            .filter_map(|card| Some((card.id, card.name.clone()?)))
            .collect()
    }

    /// Fills the firmware in, or notes that it differs.
    pub(crate) fn merge_firmware(&self, reader: &mut Reader, seen: &mut Option<Firmware>) {
        match (self.uefi, *seen) {
            (Some(true), None) => *seen = Some(Firmware::Uefi),
            (Some(uefi), Some(firmware)) if uefi != (firmware == Firmware::Uefi) => {
                let differs = format!(
                    "says that the machine boots {}by UEFI",
                    if uefi { "" } else { "not " }
                );
                self.note(reader, &differs, WINS);
            }
            _ => {}
        }
    }

    /// Notes where the report is of another kind of machine.
    pub(crate) fn compare(&self, reader: &mut Reader, system: System, virtualisation: &str) {
        let own = match system {
            System::X86_64 => "x86_64-linux",
            System::Aarch64 => "aarch64-linux",
        };
        if let Some(reported) = &self.system
            && reported != own
        {
            let differs = format!("has the system {reported:?}, this is {own}");
            self.note(reader, &differs, WINS);
        }
        // Its words are those of systemd-detect-virt.
        let reported = match self.virtualisation.as_deref() {
            Some("microsoft") => "hyperv",
            Some("oracle") => "virtualbox",
            Some(word @ ("none" | "kvm" | "qemu" | "vmware" | "xen")) => word,
            Some(_) | None => return,
        };
        if reported != virtualisation {
            let differs =
                format!("has the virtualisation {reported:?}, this is {virtualisation:?}");
            self.note(reader, &differs, WINS);
        }
    }

    fn note(&self, reader: &mut Reader, seen: &str, meaning: &'static str) {
        reader.note_of(&self.path, seen, meaning);
    }
}

fn card(written: &WrittenCard) -> Option<Card> {
    let slot = written.sysfs_bus_id.clone()?;
    let get = |number: &Option<Number>| number.as_ref().and_then(Number::get);
    let class = get(&written.base_class)?.checked_mul(0x100)? | get(&written.sub_class)?;
    let text = |text: &Option<String>| text.as_deref().and_then(printable);
    Some(Card {
        address: Slot::parse(&slot)?,
        slot,
        class,
        id: (get(&written.vendor)?, get(&written.device)?),
        driver: text(&written.driver),
        name: text(&written.device.as_ref()?.name),
    })
    .filter(|card| crate::gpu::is_gpu(card.class))
}
