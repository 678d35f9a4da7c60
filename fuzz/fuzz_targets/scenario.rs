//! Any bytes as a scenario, in both formats: a scenario or an error, never a panic.
#![no_main]

use std::path::Path;

use aistack_testdriver::scenario::Scenario;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    drop(Scenario::parse(Path::new("a.toml"), bytes));
    drop(Scenario::parse(Path::new("a.json"), bytes));
});
