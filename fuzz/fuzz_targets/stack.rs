//! Any bytes are a stack or one printable line that names the file.
#![no_main]

use std::path::Path;

use aistack_schema::Stack;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Err(error) = Stack::parse(Path::new("stack.json"), bytes) {
        let text = error.to_string();
        assert!(text.starts_with("stack.json"), "{text:?}");
        // Several problems stand on a line each; nothing of them moves a terminal.
        assert_eq!(aistack_machine::text::block(&text), text);
    }
});
