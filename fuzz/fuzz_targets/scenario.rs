//! Any bytes as a scenario, in both formats, and as what the services are asked: one or
//! an error on one line that names the file, never a panic.
#![no_main]

use std::fmt::Display;
use std::path::Path;

use aistack_testdriver::checks::ServiceChecks;
use aistack_testdriver::json_path::JsonPath;
use aistack_testdriver::scenario::Scenario;
use libfuzzer_sys::fuzz_target;

fn one_line(error: &impl Display, file: &str) {
    let text = error.to_string();
    assert!(text.starts_with(file), "{text}");
    assert!(!text.contains('\n'), "{text}");
}

fuzz_target!(|bytes: &[u8]| {
    for file in ["a.toml", "a.json"] {
        if let Err(error) = Scenario::parse(Path::new(file), bytes) {
            one_line(&error, file);
        }
    }
    if let Err(error) = ServiceChecks::parse(Path::new("s.json"), bytes) {
        one_line(&error, "s.json");
    }
    // What is taken for a place is written as it was read.
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Some(path) = JsonPath::parse(text)
    {
        assert_eq!(path.to_string(), text);
    }
});
