//! Devices on the PCI bus, from sysfs (`Documentation/ABI/testing/sysfs-bus-pci` of Linux).

use crate::reader::{Reader, is_missing};

pub(crate) const DEVICES_PATH: &str = "sys/bus/pci/devices";

/// A PCI address; the order is that of the buses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Slot {
    domain: u32,
    pub(crate) bus: u8,
    pub(crate) device: u8,
    function: u8,
}

impl Slot {
    /// The place that KFD names by a number: bus, device and function in 16 bits.
    pub(crate) fn of_location(domain: u32, location: u16) -> Self {
        let [bus, rest] = location.to_be_bytes();
        Self {
            domain,
            bus,
            device: rest >> 3,
            function: rest & 7,
        }
    }

    /// Reads `0000:01:00.0`; domains above `ffff` (Intel VMD) have more digits.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (domain, rest) = text.split_once(':')?;
        let (bus, rest) = rest.split_once(':')?;
        let (device, function) = rest.split_once('.')?;
        (domain.len() >= 4 && bus.len() == 2 && device.len() == 2 && function.len() == 1)
            .then_some(())?;
        Some(Self {
            domain: u32::from_str_radix(domain, 16).ok()?,
            bus: u8::from_str_radix(bus, 16).ok()?,
            device: u8::from_str_radix(device, 16).ok()?,
            function: u8::from_str_radix(function, 16).ok()?,
        })
    }
}

/// A device of one of the wanted classes.
#[derive(Clone, Debug)]
pub(crate) struct PciDevice {
    pub(crate) address: Slot,
    pub(crate) slot: String,
    /// Class and subclass: `0x0300`.
    pub(crate) class: u16,
    pub(crate) vendor_id: u16,
    pub(crate) device_id: u16,
    pub(crate) driver: Option<String>,
}

impl PciDevice {
    /// Its directory below the root.
    pub(crate) fn path(&self) -> String {
        format!("{DEVICES_PATH}/{}", self.slot)
    }
}

/// The devices whose class is wanted, by address. Of all others only the class is read.
pub(crate) fn devices(reader: &mut Reader, wanted: impl Fn(u16) -> bool) -> Vec<PciDevice> {
    let meaning = "the device is left out";
    let names = match reader.list(DEVICES_PATH, meaning) {
        Ok(names) => names,
        // Boards without PCI are no oddity; a machine without sysfs is.
        Err(error) if is_missing(&error) && reader.exists("sys/bus") => return Vec::new(),
        Err(error) => {
            let seen = aistack_machine::text::io(&error);
            reader.note(DEVICES_PATH, seen, "no GPU is seen");
            return Vec::new();
        }
    };
    let mut devices: Vec<PciDevice> = names
        .into_iter()
        .filter_map(|slot| device(reader, slot, &wanted))
        .collect();
    devices.sort_by_key(|device| device.address);
    devices
}

fn device(reader: &mut Reader, slot: String, wanted: impl Fn(u16) -> bool) -> Option<PciDevice> {
    let path = format!("{DEVICES_PATH}/{slot}");
    let Some(address) = Slot::parse(&slot) else {
        reader.note(&path, "is no PCI address", "the device is left out");
        return None;
    };
    // 24 bits: class, subclass, programming interface.
    let class = u16::try_from(hex(reader, &path, "class")? >> 8).ok()?;
    if !wanted(class) {
        return None;
    }
    let vendor_id = u16::try_from(hex(reader, &path, "vendor")?).ok()?;
    let device_id = u16::try_from(hex(reader, &path, "device")?).ok()?;
    let link = format!("{path}/driver");
    let driver = match reader.link_name(&link) {
        Ok(driver) => Some(driver),
        Err(error) => {
            if !is_missing(&error) {
                reader.note(
                    &link,
                    aistack_machine::text::io(&error),
                    "the driver is unknown",
                );
            }
            None
        }
    };
    Some(PciDevice {
        address,
        slot,
        class,
        vendor_id,
        device_id,
        driver,
    })
}

/// A number as sysfs prints it: `0x030000`.
fn hex(reader: &mut Reader, device: &str, name: &str) -> Option<u32> {
    let meaning = "the device is left out";
    let path = format!("{device}/{name}");
    let notes = reader.note_count();
    let Some(text) = reader.value(&path, meaning) else {
        if reader.note_count() == notes {
            reader.note(&path, "is missing or empty", meaning);
        }
        return None;
    };
    let limit = if name == "class" { 0xff_ffff } else { 0xffff };
    let number = text
        .strip_prefix("0x")
        .and_then(|digits| u32::from_str_radix(digits, 16).ok())
        .filter(|number| *number <= limit);
    if number.is_none() {
        reader.note(
            &path,
            format!("{text:?} is no number of that kind"),
            meaning,
        );
    }
    number
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_sort_as_the_buses_do() {
        let slots = [
            "0000:01:00.0",
            "0000:0a:00.0",
            "0000:a0:00.0",
            "10000:01:00.0",
        ];
        let parsed: Vec<_> = slots
            .iter()
            .map(|slot| Slot::parse(slot).unwrap())
            .collect();
        assert!(parsed.is_sorted(), "{parsed:?}");
    }

    #[test]
    fn places_are_those_of_the_slots() {
        for (slot, domain, location) in [
            ("0000:03:00.0", 0, 0x0300),
            ("0000:c6:1f.7", 0, 0xc6ff),
            ("0001:00:02.1", 1, 0x0011),
        ] {
            assert_eq!(
                Slot::parse(slot),
                Some(Slot::of_location(domain, location)),
                "{slot}"
            );
        }
    }

    #[test]
    fn odd_slots_are_none() {
        for odd in [
            "",
            "0000:01:00",
            "0000:01.0",
            "zz:01:00.0",
            "0000:1:00.0",
            "0000:01:00.10",
            "00000000f:01:00.0x",
        ] {
            assert_eq!(Slot::parse(odd), None, "{odd:?}");
        }
    }
}
