//! Any bytes are a header or a refusal; any shape of a model is an estimate or a refusal.
#![no_main]

use std::io::Write as _;

use aistack_gguf::{MAX_KEPT, Settings, estimate, largest_context, read_header, read_model};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(header) = read_header(bytes) else {
        return;
    };
    let kept: usize = header.metadata.keys().map(String::len).sum();
    assert!(kept as u64 <= MAX_KEPT);

    // The rest wants a file; of one that is as long as its tensors say, if that is no hole
    // larger than a file may have.
    let Ok(mut file) = tempfile::NamedTempFile::new() else {
        return;
    };
    let length = u64::try_from(header.needed).unwrap_or(u64::MAX);
    if file.write_all(bytes).is_err()
        || (length > bytes.len() as u64 && file.as_file().set_len(length).is_err())
    {
        return;
    }
    if let Ok(model) = read_model(file.path()) {
        for parallel in [1, 4] {
            let settings = Settings {
                parallel,
                ..Settings::default()
            };
            let _ = estimate(&model, &settings);
            let _ = largest_context(&model, &settings, 4096);
        }
    }
});
