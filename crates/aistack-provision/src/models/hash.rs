//! SHA-256 as text.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read};

use sha2::{Digest, Sha256};

/// Large enough that the system calls don't count beside the hashing.
pub const BUFFER: usize = 256 * 1024;

/// The digest as 64 lower-case hexadecimal digits.
pub fn text(digest: Sha256) -> String {
    digest
        .finalize()
        .iter()
        .fold(String::new(), |mut text, byte| {
            // Writing to a String doesn't fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}

/// Feeds the rest of `file` to `digest`; how many bytes that were.
pub fn feed(digest: &mut Sha256, file: &mut File) -> io::Result<u64> {
    let mut buffer = vec![0; BUFFER];
    let mut length = 0;
    loop {
        let count = match file.read(&mut buffer) {
            Ok(0) => return Ok(length),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        digest.update(buffer.get(..count).unwrap_or_default());
        length += count as u64;
    }
}
