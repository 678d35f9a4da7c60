//! `SQLite` databases, as far as their first page tells of them.
//!
//! The format is "Database File Format" of the project
//! (<https://www.sqlite.org/fileformat2.html>, sections 1.3 "The Database Header"
//! and 1.6 "B-tree Pages"): page 1 begins with a header of 100 bytes, behind which
//! lies the root of the table `sqlite_schema`, with an entry for each table.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// What every database begins with.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";
/// Bytes of the header of the file.
const FILE_HEADER: usize = 100;
/// Bytes of page 1 that are read: the header of the file, and that of the page up to
/// the number of its cells.
const READ: usize = FILE_HEADER + 8;
/// An inner page of a table's tree (it has others below it, so entries).
const INNER: u8 = 0x05;
/// A leaf page of a table's tree.
const LEAF: u8 = 0x0d;

/// Why a file is not taken for a database that holds something.
#[derive(Debug, thiserror::Error)]
pub enum SqliteError {
    /// It has no byte.
    #[error("{} is empty, so it holds no SQLite database any more", path.display())]
    Empty {
        /// The path.
        path: PathBuf,
    },
    /// It is a database in which nothing was ever made, or everything was dropped.
    #[error("{} is an SQLite database without any table, so what it held is gone", path.display())]
    NoTable {
        /// The path.
        path: PathBuf,
    },
    /// It is something else, or its beginning was overwritten.
    #[error("{} is not an SQLite database: {why}", path.display())]
    Other {
        /// The path.
        path: PathBuf,
        /// What gave it away.
        why: &'static str,
    },
    /// This user may not look.
    #[error("{} cannot be seen by this user", path.display())]
    Hidden {
        /// The path.
        path: PathBuf,
    },
    /// The system can't say.
    #[error("{} cannot be read: {cause}", path.display())]
    Unreadable {
        /// The path.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
}

/// Whether `path` is an `SQLite` database with something in it; false: there is no
/// such file. Only some bytes of its first page are read, and nothing is written.
///
/// A database without entries that has a write-ahead log or a journal beside it is
/// taken for one that holds something: what it holds is then in there. Not so an
/// empty file, whose log and journal `SQLite` deletes when it opens it.
///
/// # Errors
/// When it is empty, has no table, is something else, or can't be read.
pub fn examine(path: &Path) -> Result<bool, SqliteError> {
    let path_buf = || path.to_owned();
    let unreadable = |cause: io::Error| match cause.kind() {
        io::ErrorKind::PermissionDenied => SqliteError::Hidden { path: path_buf() },
        _ => SqliteError::Unreadable {
            path: path_buf(),
            cause,
        },
    };
    let other = |why| SqliteError::Other {
        path: path_buf(),
        why,
    };
    // Without waiting: a pipe in the file's place must not hang the start.
    let nonblocking = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let file = match OpenOptions::new()
        .read(true)
        .custom_flags(nonblocking)
        .open(path)
    {
        Ok(file) => file,
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            return Ok(false);
        }
        Err(error) => return Err(unreadable(error)),
    };
    let data = file.metadata().map_err(unreadable)?;
    if !data.is_file() {
        return Err(other("it is not a regular file"));
    }
    if data.len() == 0 {
        return Err(SqliteError::Empty { path: path_buf() });
    }
    let page = beginning(file).map_err(unreadable)?;
    if !page.starts_with(MAGIC) {
        return Err(other("it does not begin as one"));
    }
    let Some(&[kind, _, _, first, second]) = page.get(FILE_HEADER..FILE_HEADER + 5) else {
        return Err(other("it ends within its first page"));
    };
    match kind {
        INNER => Ok(true),
        LEAF if u16::from_be_bytes([first, second]) > 0 => Ok(true),
        LEAF if ["-wal", "-journal"]
            .iter()
            .any(|suffix| holds_something(path, suffix)) =>
        {
            Ok(true)
        }
        LEAF => Err(SqliteError::NoTable { path: path_buf() }),
        _ => Err(other("its first page is not that of a schema")),
    }
}

fn beginning(file: File) -> io::Result<Vec<u8>> {
    let mut page = Vec::with_capacity(READ);
    file.take(READ as u64).read_to_end(&mut page)?;
    Ok(page)
}

/// Whether a file of that name and suffix has bytes in it.
fn holds_something(path: &Path, suffix: &str) -> bool {
    let mut beside = OsString::from(path);
    beside.push(suffix);
    Path::new(&beside)
        .metadata()
        .is_ok_and(|data| data.len() > 0)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::process::Command;

    use super::*;

    struct Folder(tempfile::TempDir);

    impl Folder {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
            let path = self.0.path().join(name);
            fs::write(&path, bytes).unwrap();
            path
        }
    }

    /// A first page of 4096 bytes with a number of entries on a page of some kind.
    fn page(kind: u8, cells: u16) -> Vec<u8> {
        let mut page = vec![0; 4096];
        page[..16].copy_from_slice(MAGIC);
        page[16..18].copy_from_slice(&4096_u16.to_be_bytes());
        page[100] = kind;
        page[103..105].copy_from_slice(&cells.to_be_bytes());
        page
    }

    /// What the program sqlite3 makes of some statements; none: there is no such program.
    fn made(folder: &Folder, name: &str, statements: &str) -> Option<PathBuf> {
        let path = folder.0.path().join(name);
        let Ok(output) = Command::new("sqlite3").arg(&path).arg(statements).output() else {
            eprintln!("SKIP: no sqlite3 here, so only pages made by hand are tried");
            return None;
        };
        assert!(output.status.success(), "{output:?}");
        Some(path)
    }

    #[test]
    fn what_is_not_there_is_no_error() {
        let folder = Folder::new();
        let file = folder.write("file", b"x");
        assert!(!examine(&folder.0.path().join("absent")).unwrap());
        assert!(!examine(&file.join("below")).unwrap());
    }

    #[test]
    fn entries_decide() {
        let folder = Folder::new();
        for (kind, cells, good) in [
            (LEAF, 1, true),
            (LEAF, 256, true),
            (LEAF, u16::MAX, true),
            (INNER, 0, true),
            (LEAF, 0, false),
        ] {
            let path = folder.write("db", &page(kind, cells));
            let seen = examine(&path);
            assert_eq!(seen.is_ok(), good, "{kind} {cells}: {seen:?}");
            if !good {
                assert!(matches!(seen, Err(SqliteError::NoTable { .. })));
            }
        }
    }

    #[test]
    fn what_a_log_beside_may_hold_is_not_called_gone() {
        let folder = Folder::new();
        let path = folder.write("db", &page(LEAF, 0));
        for suffix in ["db-wal", "db-journal"] {
            let beside = folder.write(suffix, b"");
            assert!(examine(&path).is_err(), "{suffix}");
            folder.write(suffix, b"x");
            assert!(examine(&path).unwrap(), "{suffix}");
            fs::remove_file(beside).unwrap();
        }
        // SQLite deletes the log of an empty file when it opens it.
        folder.write("db-wal", b"x");
        let path = folder.write("db", b"");
        assert!(matches!(examine(&path), Err(SqliteError::Empty { .. })));
    }

    #[test]
    fn what_is_no_database_is_said_so() {
        let folder = Folder::new();
        let whole = page(LEAF, 1);
        for (bytes, why) in [
            (&b"PRAGMA x"[..], "does not begin as one"),
            (&[0; 4096], "does not begin as one"),
            (&whole[..15], "does not begin as one"),
            (&whole[..16], "ends within its first page"),
            (&whole[..104], "ends within its first page"),
            (&page(0x0a, 1), "not that of a schema"),
            (&page(0, 1), "not that of a schema"),
        ] {
            let path = folder.write("db", bytes);
            let message = examine(&path).unwrap_err().to_string();
            assert!(message.contains(why), "{why}: {message}");
        }
        let message = examine(folder.0.path()).unwrap_err().to_string();
        assert!(message.contains("not a regular file"), "{message}");
        let pipe = folder.0.path().join("pipe");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &pipe,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR,
            0,
        )
        .unwrap();
        assert!(examine(&pipe).is_err());
    }

    #[test]
    fn databases_of_the_real_program() {
        let folder = Folder::new();
        let tables: Vec<String> = (0..300).map(|n| format!("t{n} (a, b)")).collect();
        let many = format!("CREATE TABLE {};", tables.join(";CREATE TABLE "));
        for (name, statements, good) in [
            ("one", "CREATE TABLE a (b);", true),
            ("many", many.as_str(), true),
            (
                "large",
                "PRAGMA page_size = 65536; CREATE TABLE a (b);",
                true,
            ),
            ("dropped", "CREATE TABLE a (b); DROP TABLE a;", false),
            ("never", "PRAGMA user_version = 1;", false),
            (
                "vacuumed",
                "CREATE TABLE a (b); DROP TABLE a; VACUUM;",
                false,
            ),
        ] {
            let Some(path) = made(&folder, name, statements) else {
                return;
            };
            let seen = examine(&path);
            assert_eq!(seen.is_ok(), good, "{name}: {seen:?}");
        }
    }
}
