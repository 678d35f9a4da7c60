//! Any bytes are a CDI spec or a refusal, in both of its languages.
#![no_main]

use aistack_machine::cdi::{Devices, Files, Format, Name, parse};
use libfuzzer_sys::fuzz_target;

/// The same bytes as two specs of one folder and one of another.
struct Tree<'a>(&'a [u8]);

impl Files for Tree<'_> {
    fn list(&self, folder: &str) -> std::io::Result<Vec<String>> {
        Ok(match folder {
            "etc/cdi" => vec!["a.json".to_owned(), "b.yaml".to_owned()],
            "run/cdi" => vec!["c.yaml".to_owned()],
            _ => Vec::new(),
        })
    }

    fn read(&self, _: &str, _: usize) -> std::io::Result<Vec<u8>> {
        Ok(self.0.to_vec())
    }
}

fuzz_target!(|bytes: &[u8]| {
    for format in [Format::Json, Format::Yaml] {
        let Ok(spec) = parse(bytes, format) else {
            continue;
        };
        // Whatever is let through can be asked for by name.
        for device in &spec.devices {
            let name = format!("{}={device}", spec.kind);
            assert_eq!(Name::parse(&name).unwrap().kind(), spec.kind);
        }
    }
    let devices = Devices::read_from(&Tree(bytes));
    for name in devices.devices() {
        assert!(devices.has(&name));
    }
});
