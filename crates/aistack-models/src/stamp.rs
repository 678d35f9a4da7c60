//! What a file's hash was when it was read last.
//!
//! A model of 40 GB takes a minute to read, and units look for it at each boot.
//! A stamp beside it holds size and time of change together with the hash that
//! was seen; while these two are the same, so is the file.

use std::fs::{self, Metadata};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The largest stamp that is read, in bytes; a real one has about 110.
const MAX_BYTES: u64 = 4096;

/// A file's size, time of change and hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The hash that was seen, which need not be the declared one.
    pub sha256: String,
    size: u64,
    seconds: i64,
    nanoseconds: i64,
}

/// Where the stamp of the file at `path` lies: `.NAME.sha256` beside it.
fn place(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.sha256"))
}

impl Stamp {
    /// The stamp of a file with that hash.
    pub fn new(sha256: &str, data: &Metadata) -> Self {
        Self {
            sha256: sha256.to_owned(),
            size: data.size(),
            seconds: data.mtime(),
            nanoseconds: data.mtime_nsec(),
        }
    }

    /// The stamp of the file at `path`, when it is still that of `data`. An
    /// unusable stamp is as good as none: the file is then read anew.
    pub fn of(path: &Path, data: &Metadata) -> Option<Self> {
        let place = place(path);
        if place.metadata().ok()?.len() > MAX_BYTES {
            return None;
        }
        let stamp = Self::parse(&fs::read_to_string(place).ok()?)?;
        (Self::new(&stamp.sha256, data) == stamp).then_some(stamp)
    }

    fn parse(text: &str) -> Option<Self> {
        let mut words = text.split_ascii_whitespace();
        let sha256 = words.next()?.to_owned();
        let mut number = || words.next()?.parse().ok();
        let (size, seconds, nanoseconds) = (number()?, number()?, number()?);
        (sha256.len() == 64 && words.next().is_none()).then_some(Self {
            sha256,
            size: u64::try_from(size).ok()?,
            seconds,
            nanoseconds,
        })
    }

    /// Writes it beside the file at `path`, whole or not at all.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let place = place(path);
        let directory = place.parent().unwrap_or(Path::new("/"));
        let mut draft = tempfile::Builder::new()
            .prefix(".aistack-stamp-")
            // Other users may ask for the state as well.
            .permissions(fs::Permissions::from_mode(0o644))
            .tempfile_in(directory)?;
        writeln!(
            draft,
            "{} {} {} {}",
            self.sha256, self.size, self.seconds, self.nanoseconds
        )?;
        draft.persist(&place).map_err(|error| error.error)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_holds_while_the_file_is_the_same() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("m.gguf");
        fs::write(&path, "model").unwrap();
        let data = path.metadata().unwrap();
        assert_eq!(Stamp::of(&path, &data), None);
        let stamp = Stamp::new(&"a".repeat(64), &data);
        stamp.write(&path).unwrap();
        assert_eq!(Stamp::of(&path, &data), Some(stamp));
        assert!(directory.path().join(".m.gguf.sha256").exists());

        // Of the same size, but changed a second later.
        let file = fs::File::options().write(true).open(&path).unwrap();
        let later = data.modified().unwrap() + std::time::Duration::from_secs(1);
        file.set_modified(later).unwrap();
        assert_eq!(Stamp::of(&path, &path.metadata().unwrap()), None);
    }

    #[test]
    fn what_is_no_stamp_is_none() {
        let hash = "a".repeat(64);
        assert!(Stamp::parse(&format!("{hash} 1 2 3\n")).is_some());
        for text in [
            String::new(),
            "a 1 2 3".to_owned(),
            format!("{hash} 1 2"),
            format!("{hash} 1 2 3 4"),
            format!("{hash} -1 2 3"),
            format!("{hash} x 2 3"),
        ] {
            assert_eq!(Stamp::parse(&text), None, "{text:?}");
        }
    }
}
