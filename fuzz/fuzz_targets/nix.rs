//! Any bytes as a Nix file that `aistack ports scan` reads.
#![no_main]

use std::fs;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let folder = tempfile::tempdir_in("/dev/shm").unwrap();
    fs::write(folder.path().join("a.nix"), bytes).unwrap();
    // A folder without a file that can be read is an error, and that is all right.
    let within = (Duration::from_secs(5), Duration::from_secs(20));
    let Ok(report) = aistack_extras::portscan::scan_within(folder.path(), within.0, within.1)
    else {
        return;
    };
    for claim in report.duplicates.iter().flat_map(|two| &two.claims) {
        assert!(claim.line > 0 && claim.column > 0);
    }
});
