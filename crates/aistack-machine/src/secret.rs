//! Files that hold one secret each.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::podman::MAX_SECRET_BYTES;

/// Why a secret's file can't be used.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// There is no such file.
    #[error("{} does not exist: write the value to it (mode 0600) or let the secret manager do so", path.display())]
    Missing {
        /// The path.
        path: PathBuf,
    },
    /// A link to nowhere: typical of a secret manager that has not run.
    #[error("{} is a link to a file that does not exist: has the secret manager run?", path.display())]
    Dangling {
        /// The path.
        path: PathBuf,
    },
    /// It isn't a regular file.
    #[error("{} is not a regular file: name the file that holds the value", path.display())]
    NoFile {
        /// The path.
        path: PathBuf,
    },
    /// Others could read or change it.
    #[error("{} has mode {mode:04o}, so {}: run `chmod 0600 {}`", path.display(), danger(*mode), path.display())]
    Exposed {
        /// The path.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It is another account's, who could change it.
    #[error(
        "{} belongs to user id {owner}, who may read and change it: give it to user id {me}, which \
         runs this, or to root (`chown {me} {}`)",
        path.display(), path.display()
    )]
    Foreign {
        /// The path.
        path: PathBuf,
        /// Its owner.
        owner: u32,
        /// The account that runs this.
        me: u32,
    },
    /// There is nothing in it.
    #[error("{} is empty: write the value to it, or remove it where the value is to be generated", path.display())]
    Empty {
        /// The path.
        path: PathBuf,
    },
    /// podman doesn't take that much.
    #[error("{} holds more than {MAX_SECRET_BYTES} bytes, the most that podman takes: is it the right file?", path.display())]
    TooLarge {
        /// The path.
        path: PathBuf,
    },
    /// It can't be read.
    #[error("{} cannot be read: {cause}{}", path.display(), reader(cause))]
    Unreadable {
        /// The path.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// A generated value could not be stored.
    #[error("no value could be generated at {}: {}: {cause}", path.display(), tried.display())]
    NotGenerated {
        /// The path of the secret.
        path: PathBuf,
        /// The path that was being written.
        tried: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
}

fn danger(mode: u32) -> &'static str {
    if mode & 0o022 != 0 {
        "others may change it"
    } else if mode & 0o004 != 0 {
        "every user may read it"
    } else {
        "its group may read it"
    }
}

fn reader(cause: &io::Error) -> String {
    if cause.kind() == io::ErrorKind::PermissionDenied {
        format!(
            ": it must be readable by the user id {}, which runs this",
            crate::users::effective_uid()
        )
    } else {
        String::new()
    }
}

/// Reads a secret. One newline at the end is not part of the value, so that
/// `echo` and an editor write the same secret as a program that adds none.
///
/// # Errors
/// When the file is missing, unreadable, not a regular file, empty, larger than
/// podman takes, neither this account's nor root's, or open to anybody but its owner.
pub fn read(path: &Path) -> Result<Vec<u8>, SecretError> {
    let path_buf = || path.to_owned();
    let unreadable = |cause: io::Error| match cause.kind() {
        io::ErrorKind::NotFound if path.symlink_metadata().is_ok() => {
            SecretError::Dangling { path: path_buf() }
        }
        io::ErrorKind::NotFound => SecretError::Missing { path: path_buf() },
        _ => SecretError::Unreadable {
            path: path_buf(),
            cause,
        },
    };
    // Without waiting: a pipe in the file's place must not hang the start.
    let nonblocking = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(nonblocking)
        .open(path)
        .map_err(unreadable)?;
    // Of the open file, so that what is judged is what is read.
    let data = file.metadata().map_err(unreadable)?;
    if !data.is_file() {
        return Err(SecretError::NoFile { path: path_buf() });
    }
    let mode = data.mode() & 0o7777;
    let me = crate::users::effective_uid();
    if data.uid() != me && data.uid() != 0 {
        return Err(SecretError::Foreign {
            path: path_buf(),
            owner: data.uid(),
            me,
        });
    }
    if mode & 0o077 != 0 {
        return Err(SecretError::Exposed {
            path: path_buf(),
            mode,
        });
    }
    let mut value = Vec::new();
    file.take(MAX_SECRET_BYTES as u64 + 2)
        .read_to_end(&mut value)
        .map_err(unreadable)?;
    if value.last() == Some(&b'\n') {
        value.pop();
    }
    if value.is_empty() {
        Err(SecretError::Empty { path: path_buf() })
    } else if value.len() > MAX_SECRET_BYTES {
        Err(SecretError::TooLarge { path: path_buf() })
    } else {
        Ok(value)
    }
}

/// Makes the file with 32 random bytes in hexadecimal when nothing is there;
/// whether it did. Missing parent directories are made for the owner alone.
///
/// What is there is never replaced, not even when another process makes it at
/// the same moment, and no half-written file is ever at `path`.
///
/// # Errors
/// When the file can't be written.
pub fn generate(path: &Path) -> Result<bool, SecretError> {
    if path.symlink_metadata().is_ok() {
        return Ok(false);
    }
    let failed = |tried: &Path, cause: io::Error| SecretError::NotGenerated {
        path: path.to_owned(),
        tried: tried.to_owned(),
        cause,
    };
    let parent = path.parent().unwrap_or(Path::new("/"));
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(parent)
        .map_err(|cause| failed(parent, cause))?;

    let value = random().map_err(|cause| failed(path, cause))?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let draft = parent.join(format!(".{name}.{}", std::process::id()));
    let written = write_new(&draft, value.as_bytes());
    // A link, unlike a rename, fails when something is at `path` by now.
    let placed = written.and_then(|()| match fs::hard_link(&draft, path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        other => other.map(|()| true),
    });
    let removed = fs::remove_file(&draft);
    let made = placed.map_err(|cause| failed(&draft, cause))?;
    removed
        .and_then(|()| File::open(parent)?.sync_all())
        .map_err(|cause| failed(&draft, cause))?;
    Ok(made)
}

fn write_new(path: &Path, value: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(value)?;
    file.sync_all()
}

fn random() -> io::Result<String> {
    let mut bytes = [0_u8; 32];
    // Up to 256 bytes come whole once the kernel's generator is seeded (getrandom(2)).
    let count = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
    if count != bytes.len() {
        return Err(io::Error::other("the kernel gave too few random bytes"));
    }
    Ok(crate::text::hex(&bytes))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn file(name: &str, value: &[u8], mode: u32) -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(name);
        fs::write(&path, value).unwrap();
        fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
        (directory, path)
    }

    #[test]
    fn one_newline_at_the_end_is_not_part_of_the_value() {
        for (text, value) in [
            (&b"pa ss"[..], &b"pa ss"[..]),
            (b"pass\n", b"pass"),
            (b"pass\n\n", b"pass\n"),
            (b"a\nb\n", b"a\nb"),
        ] {
            let (_directory, path) = file("s", text, 0o600);
            assert_eq!(read(&path).unwrap(), value);
        }
    }

    #[test]
    fn modes_that_expose_are_refused() {
        for (mode, accepted) in [
            (0o600, true),
            (0o400, true),
            (0o440, false),
            (0o640, false),
            (0o644, false),
            (0o604, false),
            (0o620, false),
            (0o602, false),
        ] {
            let (_directory, path) = file("s", b"v", mode);
            let result = read(&path);
            assert_eq!(result.is_ok(), accepted, "{mode:o}: {result:?}");
            if let Err(error) = result {
                assert!(error.to_string().contains("chmod 0600"), "{error}");
            }
        }
    }

    #[test]
    fn a_file_of_another_account_is_refused() {
        if crate::users::effective_uid() != 0 {
            eprintln!("\nSKIP only root can give files away");
            return;
        }
        let (_directory, path) = file("s", b"v", 0o600);
        std::os::unix::fs::chown(&path, Some(2001), None).unwrap();
        let error = read(&path).unwrap_err();
        assert!(
            matches!(error, SecretError::Foreign { owner: 2001, .. }),
            "{error}"
        );
    }

    #[test]
    fn what_is_no_secret_is_named() {
        let (directory, path) = file("s", b"\n", 0o600);
        assert!(matches!(read(&path), Err(SecretError::Empty { .. })));
        let at = |name: &str| directory.path().join(name);
        assert!(matches!(read(&at("no")), Err(SecretError::Missing { .. })));
        assert!(matches!(
            read(directory.path()),
            Err(SecretError::NoFile { .. })
        ));
        std::os::unix::fs::symlink(at("no"), at("link")).unwrap();
        assert!(matches!(
            read(&at("link")),
            Err(SecretError::Dangling { .. })
        ));
        rustix::fs::mknodat(
            rustix::fs::CWD,
            at("pipe"),
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR,
            0,
        )
        .unwrap();
        assert!(matches!(read(&at("pipe")), Err(SecretError::NoFile { .. })));
        let (_other, large) = file("s", &vec![b'a'; MAX_SECRET_BYTES + 1], 0o600);
        assert!(matches!(read(&large), Err(SecretError::TooLarge { .. })));
        let (_other, most) = file("s", &vec![b'a'; MAX_SECRET_BYTES], 0o600);
        assert!(read(&most).is_ok());
    }

    #[test]
    fn a_generated_value_is_private_random_and_kept() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a/b/secret");
        assert!(generate(&path).unwrap());
        let value = read(&path).unwrap();
        assert_eq!(value.len(), 64);
        assert!(value.iter().all(u8::is_ascii_hexdigit));
        assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o600);
        let parent = path.parent().unwrap();
        assert_eq!(parent.metadata().unwrap().mode() & 0o777, 0o700);
        // No draft stays behind.
        assert_eq!(fs::read_dir(parent).unwrap().count(), 1);

        assert!(!generate(&path).unwrap());
        assert_eq!(read(&path).unwrap(), value);
        let other = directory.path().join("other");
        assert!(generate(&other).unwrap());
        assert_ne!(read(&other).unwrap(), value);
    }

    #[test]
    fn nothing_that_is_there_is_replaced() {
        let (directory, path) = file("s", b"", 0o600);
        assert!(!generate(&path).unwrap());
        assert_eq!(path.metadata().unwrap().len(), 0);
        let link = directory.path().join("link");
        std::os::unix::fs::symlink(directory.path().join("absent"), &link).unwrap();
        assert!(!generate(&link).unwrap());
        assert!(!directory.path().join("absent").exists());
    }
}
