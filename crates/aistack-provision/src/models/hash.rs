//! SHA-256 as text.

use std::fs::File;
use std::io::{self, Read};

use sha2::{Digest, Sha256};

/// Large enough that the system calls don't count beside the hashing.
pub const BUFFER: usize = 256 * 1024;

/// The digest as 64 lower-case hexadecimal digits.
pub fn text(digest: Sha256) -> String {
    aistack_machine::text::hex(&digest.finalize())
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
