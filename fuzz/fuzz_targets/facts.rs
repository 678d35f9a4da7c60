//! Any bytes as the files of a machine: facts or an error, never a panic. Pieces of the
//! input, apart by the byte 0xff, are laid into the files that are read.
#![no_main]

use std::fs;

use libfuzzer_sys::fuzz_target;

const FILES: [&str; 12] = [
    "proc/cpuinfo",
    "proc/meminfo",
    "proc/self/mountinfo",
    "proc/mounts",
    "etc/subuid",
    "etc/subgid",
    "etc/os-release",
    "etc/cdi/a.yaml",
    "sys/bus/pci/devices/0000:01:00.0/vendor",
    "sys/bus/pci/devices/0000:01:00.0/device",
    "sys/bus/pci/devices/0000:01:00.0/class",
    "sys/class/kfd/kfd/topology/nodes/0/properties",
];

fuzz_target!(|bytes: &[u8]| {
    let root = tempfile::tempdir_in("/dev/shm").unwrap();
    for (file, piece) in FILES.iter().zip(bytes.split(|&byte| byte == 0xff)) {
        let path = root.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, piece).unwrap();
    }
    match aistack_facts::read(root.path()) {
        Ok(reading) => {
            let json = reading.facts.to_json();
            assert_eq!(aistack_machine::text::json(&json), json);
            for note in reading.notes {
                let text = note.to_string();
                assert_eq!(aistack_machine::text::block(&text), text);
            }
        }
        Err(error) => {
            let text = error.to_string();
            assert_eq!(aistack_machine::text::block(&text), text);
        }
    }
});
