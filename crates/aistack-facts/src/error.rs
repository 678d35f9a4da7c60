//! Why facts could not be read, written or compared.

use std::io;
use std::path::PathBuf;

use crate::cpu::CPUINFO_PATH;
use crate::facts::SCHEMA;
use crate::memory::MEMINFO_PATH;

/// Why no facts could be read at all.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The root directory can't be opened.
    #[error(
        "cannot open {} as the root directory to read from: {}; give a directory that holds proc/ and sys/",
        root.display(), aistack_machine::text::io(seen)
    )]
    Root {
        /// What was given as root.
        root: PathBuf,
        /// What the system said.
        seen: io::Error,
    },
    /// There is no `/proc` below the root.
    #[error(
        "cannot read {} ({cpuinfo}), nor {} ({meminfo}): mount /proc there, or give with --root the directory that holds proc/ and sys/",
        root.join(CPUINFO_PATH).display(), root.join(MEMINFO_PATH).display()
    )]
    NoProc {
        /// The root that was read.
        root: PathBuf,
        /// What the system said to `/proc/cpuinfo`.
        cpuinfo: String,
        /// What the system said to `/proc/meminfo`.
        meminfo: String,
    },
    /// The machine is of an architecture that aistack doesn't know.
    #[error(
        "{}: the processor is {seen}; aistack knows x86_64-linux and aarch64-linux only",
        path.display()
    )]
    Unsupported {
        /// The file that tells.
        path: PathBuf,
        /// The architecture, in words.
        seen: &'static str,
    },
}

/// Why declared facts could not be compared with the machine's.
#[derive(Debug, thiserror::Error)]
pub enum DeclaredError {
    /// The file can't be read.
    #[error(
        "cannot read the declared facts {}: {}; write them with `aistack facts -o {}`",
        path.display(), aistack_machine::text::io(seen), path.display()
    )]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        seen: io::Error,
    },
    /// The file holds no JSON.
    #[error("{} is not JSON ({seen}): compare with the JSON form, as `aistack facts -o FILE` writes it", path.display())]
    NotJson {
        /// The file.
        path: PathBuf,
        /// What the parser said, or that it is Nix text.
        seen: String,
    },
    /// The file holds JSON, but no facts.
    #[error(
        "{} holds no facts: {seen}; write them with `aistack facts -o {}`",
        path.display(), path.display()
    )]
    NotFacts {
        /// The file.
        path: PathBuf,
        /// What was seen instead.
        seen: &'static str,
    },
    /// The file holds facts of another schema.
    #[error(
        "{} holds facts of schema {seen}, this aistack compares schema {SCHEMA}: write them anew with `aistack facts -o {}`, or use the aistack that wrote them",
        path.display(), path.display()
    )]
    OtherSchema {
        /// The file.
        path: PathBuf,
        /// The schema number in the file.
        seen: String,
    },
}

/// Why facts could not be written. The file is then as it was before.
#[derive(Debug, thiserror::Error)]
pub enum SaveError {
    /// The file exists and holds something else.
    #[error(
        "{} exists and holds no facts: it is left as it is; name another file, or add --force to replace it",
        path.display()
    )]
    NotFacts {
        /// The file.
        path: PathBuf,
    },
    /// The path names a directory, a device, a dangling link …
    #[error("{} is {seen}: name a file to write the facts to, or leave out -o to print them", path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
        /// What it is, in words.
        seen: &'static str,
    },
    /// The system refused.
    #[error("cannot {doing} {}: {}; nothing was written", path.display(), aistack_machine::text::io(seen))]
    Io {
        /// What was tried.
        doing: &'static str,
        /// On which path.
        path: PathBuf,
        /// What the system said.
        seen: io::Error,
    },
}
