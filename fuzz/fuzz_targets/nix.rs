//! Any bytes as a Nix file that `aistack ports scan` reads.
#![no_main]

use std::fs;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let folder = tempfile::tempdir_in("/dev/shm").unwrap();
    fs::write(folder.path().join("a.nix"), bytes).unwrap();
    let report = aistack_portscan::scan_within(folder.path(), Duration::from_secs(5), Duration::from_secs(20)).unwrap();
    for claim in report.duplicates.iter().flat_map(|two| &two.claims) {
        assert!(claim.line > 0 && claim.column > 0);
    }
});
