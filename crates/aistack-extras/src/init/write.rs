//! Puts files into a directory: all of them or none, and none over another.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// Nothing was written, for this reason.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// Files are there already.
    #[error("{} already: {}; nothing was written. Choose another directory, or move {} away", exist(.0), list(.0), if .0.len() == 1 { "it" } else { "them" })]
    Exists(Vec<PathBuf>),
    /// The target is something else than a directory.
    #[error("{0} is no directory; nothing was written. Choose another one")]
    NotADirectory(PathBuf),
    /// The disk said no.
    #[error("cannot {what} {path}: {error}; nothing was written")]
    Io {
        /// What was tried.
        what: &'static str,
        /// On which path.
        path: PathBuf,
        /// What was seen.
        error: io::Error,
    },
}

fn exist(paths: &[PathBuf]) -> &'static str {
    if paths.len() == 1 {
        "this file exists"
    } else {
        "these files exist"
    }
}

fn list(paths: &[PathBuf]) -> String {
    paths
        .iter()
        .map(|p| p.display().to_string())
        .collect::<Vec<_>>()
        .join(", ")
}

/// Writes `files` (text by relative path) into `dir`, which is made when it is missing.
///
/// Each file is first written beside its place and then linked to its name, which
/// fails when the name exists, so that two runs at once overwrite nothing either. On an
/// error what was made is removed again.
///
/// # Errors
///
/// [`WriteError`]; then the disk is as it was.
pub fn write(dir: &Path, files: &BTreeMap<PathBuf, String>) -> Result<(), WriteError> {
    if dir.symlink_metadata().is_ok() && !dir.is_dir() {
        return Err(WriteError::NotADirectory(dir.to_owned()));
    }
    let there: Vec<PathBuf> = files
        .keys()
        .map(|name| dir.join(name))
        .filter(|path| path.symlink_metadata().is_ok())
        .collect();
    if !there.is_empty() {
        return Err(WriteError::Exists(there));
    }

    let mut made = Made::default();
    made.directory(dir)?;
    for (name, text) in files {
        made.file(dir, &dir.join(name), text)?;
    }
    made.keep();
    Ok(())
}

/// What this call has made so far; removed again unless it is kept.
#[derive(Default)]
struct Made {
    directories: Vec<PathBuf>,
    files: Vec<PathBuf>,
}

impl Made {
    fn directory(&mut self, dir: &Path) -> Result<(), WriteError> {
        // From the topmost missing one down, so that each can be removed again.
        let missing: Vec<&Path> = dir
            .ancestors()
            .take_while(|p| !p.as_os_str().is_empty() && p.symlink_metadata().is_err())
            .collect();
        for path in missing.into_iter().rev() {
            fs::create_dir(path).map_err(|error| WriteError::Io {
                what: "make the directory",
                path: path.to_owned(),
                error,
            })?;
            self.directories.push(path.to_owned());
        }
        Ok(())
    }

    fn file(&mut self, dir: &Path, path: &Path, text: &str) -> Result<(), WriteError> {
        let failed = |what| {
            move |error| WriteError::Io {
                what,
                path: path.to_owned(),
                error,
            }
        };
        let mut temporary = tempfile::Builder::new()
            .prefix(".aistack-init-")
            .tempfile_in(dir)
            .map_err(failed("make a file for"))?;
        temporary
            .write_all(text.as_bytes())
            .and_then(|()| temporary.as_file().sync_all())
            .map_err(failed("write"))?;
        // As if it had been made the ordinary way; a temporary file is its owner's alone.
        readable(temporary.path()).map_err(failed("set the mode of"))?;
        temporary.persist_noclobber(path).map_err(|e| {
            if e.error.kind() == io::ErrorKind::AlreadyExists {
                WriteError::Exists(vec![path.to_owned()])
            } else {
                failed("name")(e.error)
            }
        })?;
        self.files.push(path.to_owned());
        Ok(())
    }

    fn keep(mut self) {
        self.files.clear();
        self.directories.clear();
    }
}

fn readable(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(0o644))
}

impl Drop for Made {
    fn drop(&mut self) {
        // Best effort: the error that led here is what the caller hears of.
        for file in self.files.drain(..).rev() {
            let _ = fs::remove_file(file);
        }
        for directory in self.directories.drain(..).rev() {
            let _ = fs::remove_dir(directory);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(names: &[&str]) -> BTreeMap<PathBuf, String> {
        names
            .iter()
            .map(|n| (PathBuf::from(n), format!("text of {n}")))
            .collect()
    }

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(dir)
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn makes_the_directory_and_its_parents() {
        let t = tempfile::tempdir().unwrap();
        let dir = t.path().join("a/b");
        write(&dir, &files(&["x", "y"])).unwrap();
        assert_eq!(names(&dir), ["x", "y"]);
        assert_eq!(fs::read_to_string(dir.join("x")).unwrap(), "text of x");
    }

    #[test]
    fn overwrites_nothing_and_names_what_is_there() {
        let t = tempfile::tempdir().unwrap();
        fs::write(t.path().join("y"), "mine").unwrap();
        let error = write(t.path(), &files(&["x", "y", "z"])).unwrap_err();
        assert!(
            matches!(&error, WriteError::Exists(paths) if paths == &[t.path().join("y")]),
            "{error}"
        );
        assert_eq!(names(t.path()), ["y"]);
        assert_eq!(fs::read_to_string(t.path().join("y")).unwrap(), "mine");
    }

    #[test]
    fn a_dangling_link_is_something_that_is_there() {
        let t = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("nowhere", t.path().join("x")).unwrap();
        write(t.path(), &files(&["x"])).unwrap_err();
        assert_eq!(names(t.path()), ["x"]);
    }

    #[test]
    fn a_failure_half_way_leaves_nothing() {
        let t = tempfile::tempdir().unwrap();
        let dir = t.path().join("new");
        // The second file's folder does not exist, so its name cannot be linked.
        let error = write(&dir, &files(&["a", "no/such/b"])).unwrap_err();
        assert!(error.to_string().contains("no/such/b"), "{error}");
        assert!(!dir.exists());
    }

    #[test]
    fn a_file_in_place_of_the_directory() {
        let t = tempfile::tempdir().unwrap();
        let file = t.path().join("f");
        fs::write(&file, "").unwrap();
        assert!(matches!(
            write(&file, &files(&["x"])),
            Err(WriteError::NotADirectory(_))
        ));
    }
}
