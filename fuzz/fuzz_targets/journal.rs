//! Any bytes as the log of an engine and as the answer of Ollama.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    for device in [
        aistack_checks::device::llama_cpp(&text),
        aistack_checks::device::vllm(&text),
    ]
    .into_iter()
    .flatten()
    {
        let shown = format!("{device:?}");
        assert_eq!(aistack_machine::text::block(&shown), shown);
    }
    if let Err(error) = aistack_checks::device::loaded(&text) {
        assert_eq!(aistack_machine::text::block(&error), error);
    }
});
