//! Any text becomes one printable line within its bound.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    for most in [0, 1, 7, 160] {
        let line = aistack_machine::text::bytes(bytes, most);
        assert!(!line.contains(aistack_machine::text::is_hidden), "{line:?}");
        assert!(line.chars().count() <= most + 1, "{line:?}");
        assert_eq!(aistack_machine::text::line(&line, most + 1), line);
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        let block = aistack_machine::text::block(text);
        assert_eq!(aistack_machine::text::block(&block), block);
        assert_eq!(
            aistack_machine::text::field(text).chars().count(),
            text.chars().count()
        );
        let json = serde_json::to_string(text).unwrap();
        let shown = aistack_machine::text::json(&json);
        assert_eq!(serde_json::from_str::<String>(&shown).unwrap(), text);
        let coloured = aistack_machine::text::coloured(text);
        assert_eq!(aistack_machine::text::coloured(&coloured), coloured);
    }
});
