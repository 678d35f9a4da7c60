//! Any bytes as the image lock, as a registry's manifest and as the list of a bundle: one
//! or an error on one printable line.
#![no_main]

use std::path::Path;

use aistack_provision::images::{Bundle, Lock, Manifest};
use libfuzzer_sys::fuzz_target;

fn printable(error: &dyn std::fmt::Display) {
    let text = error.to_string();
    assert!(!text.contains(aistack_machine::text::is_hidden), "{text:?}");
}

fuzz_target!(|bytes: &[u8]| {
    if let Err(error) = Lock::parse(Path::new("images.json"), bytes) {
        printable(&error);
    }
    if let Err(error) = Manifest::parse(bytes) {
        printable(&error);
    }
    match Bundle::parse(Path::new("bundle"), bytes) {
        Ok(bundle) => {
            for archive in bundle.archives() {
                assert!(!archive.file.contains('/'), "{:?}", archive.file);
            }
        }
        Err(error) => printable(&error),
    }
});
