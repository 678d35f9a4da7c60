//! Any bytes as all that a PostgreSQL server answers: an error on one printable line.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let text = aistack_provision::postgres::refusal(bytes);
    assert!(!text.is_empty(), "connected without the password");
    assert!(!text.contains(aistack_machine::text::is_hidden), "{text:?}");
});
