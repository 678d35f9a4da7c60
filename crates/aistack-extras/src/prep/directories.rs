//! The folders and files that the stack finds: made where they are missing, never
//! emptied, and left to whomever containers gave them.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use aistack_machine::{lock, users};
use rustix::fs::{
    Access, AtFlags, CWD, FlockOperation, Mode, OFlags, accessat, fchmod, flock, fstat, openat,
};
use rustix::io::Errno;

use crate::prep::check::Check;
use crate::prep::claim::{self, Claim, ClaimError, Installation};
use crate::prep::file::{self, FileError};
use crate::prep::plan::Plan;

/// The folders of the data.
pub const FOLDERS: [&str; 7] = [
    "postgres",
    "redis",
    "qdrant",
    "vllm-models",
    "imports",
    "exports",
    "backups",
];

/// The marker's name.
pub const MARKER: &str = "README.txt";

/// The configuration's files beside `.env`, with what they begin as.
const FILES: [(&str, &str); 2] = [
    (
        "config.yaml",
        "# Configuration of AI-Optimizer's MCP server. Made empty by `aistack prep`, which\n\
         # leaves it alone from now on.\n",
    ),
    ("settings.json", "{}\n"),
];

/// How the data folder is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    /// This installation writes; refused when another does.
    Write,
    /// This installation writes from now on, whoever did before.
    TakeOver,
    /// Another one writes: nothing is changed in the data folder.
    ReadOnly,
}

/// Why the folders could not be prepared.
#[derive(Debug, thiserror::Error)]
pub enum DirectoriesError {
    /// Another installation writes, or its word can't be read.
    #[error(transparent)]
    Claim(#[from] ClaimError),
    /// Something can't be made.
    #[error(transparent)]
    File(#[from] FileError),
    /// Something else is in a folder's place.
    #[error("{} is no directory: move away what is there, or change {option}", path.display())]
    NoDirectory {
        /// The path.
        path: PathBuf,
        /// The option.
        option: &'static str,
    },
    /// It is another user's, and closed.
    #[error(
        "{} belongs to user id {owner} and this runs as user id {me}, which may not write there: \
         give it to that user (`chown`), or change {option}",
        path.display()
    )]
    NotOurs {
        /// The path.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
        /// Who runs this.
        me: u32,
        /// The option.
        option: &'static str,
    },
    /// Another run is at work.
    #[error(
        "{} is being prepared by another `aistack prep`: {holder} has it locked; wait until it \
         has ended",
        path.display()
    )]
    Busy {
        /// The data folder.
        path: PathBuf,
        /// The process that has the lock.
        holder: String,
    },
    /// There is nothing to share.
    #[error("{} is not there, so there is nothing to share: is its disk mounted?", path.display())]
    Absent {
        /// The data folder.
        path: PathBuf,
    },
}

const DATA: &str = "services.aiOptimizerPrep.dataRoot";
const CONFIG: &str = "services.aiOptimizerPrep.configRoot";

/// Makes what is missing; what was made and what was left, one line each.
///
/// # Errors
/// When another installation writes into the data folder, another run is at work, or
/// something can't be made. What this run made is then taken back.
pub fn prepare(
    plan: &Plan,
    root: &Path,
    share: Share,
    now: &str,
) -> Result<Vec<Check>, DirectoriesError> {
    // Before anything is looked at: what is below could be led elsewhere at any time.
    file::check_path(&plan.data_root)?;
    file::check_path(&plan.config_root)?;
    let mut made = Vec::new();
    let checks = make_all(plan, root, share, now, &mut made);
    if checks.is_err() {
        file::remove(&made);
    }
    let mut checks = checks?;
    // Last, since it can't be taken back.
    if share != Share::ReadOnly {
        checks.extend(close_folder(&plan.data_root)?);
        for folder in FOLDERS {
            checks.extend(close_folder(&plan.data_root.join(folder))?);
        }
    }
    checks.extend(close_folder(&plan.config_root)?);
    for name in FILES.map(|(name, _)| name).into_iter().chain([".env"]) {
        checks.extend(close(&plan.config_root.join(name)));
    }
    Ok(checks)
}

/// Makes what is missing, and notes in `made` what that was.
fn make_all(
    plan: &Plan,
    root: &Path,
    share: Share,
    now: &str,
    made: &mut Vec<PathBuf>,
) -> Result<Vec<Check>, DirectoriesError> {
    let data = &plan.data_root;
    let here = Installation::here(root);
    let mut checks = Vec::new();
    // Looked at before anything is made: a refusal leaves no trace.
    let there =
        is_writable_directory(&plan.config_root, CONFIG).and_then(|_| is_directory(data, DATA))?;
    if share == Share::ReadOnly {
        if !there {
            return Err(DirectoriesError::Absent { path: data.clone() });
        }
        checks.push(Check::ok(
            "data",
            match claim::read(data)? {
                Some(Claim { writer, .. }) => {
                    format!("{} is shared read-only; {writer} writes", data.display())
                }
                None => format!(
                    "{} is shared read-only; nobody has said to write",
                    data.display()
                ),
            },
        ));
    } else {
        let claim = if there { claim::read(data)? } else { None };
        if let Some(claim) = &claim
            && share == Share::Write
            && !claim.writer.is(&here)
        {
            return Err(ClaimError::Taken {
                root: data.clone(),
                claim: Box::new(claim.clone()),
            }
            .into());
        }
        is_writable_directory(data, DATA)?;
        for folder in FOLDERS {
            is_directory(&data.join(folder), DATA)?;
        }
        checks.extend(make(data, made)?);
        let _lock = lock_folder(data)?;
        if claim::take(data, &here, share == Share::TakeOver, now)? {
            // One that was taken over stays so.
            made.extend(claim.is_none().then(|| data.join(claim::FILE)));
            checks.push(Check::ok(
                "writer",
                format!("{} is the writer of {} now", here, data.display()),
            ));
        }
        for folder in FOLDERS {
            checks.extend(make(&data.join(folder), made)?);
        }
        checks.extend(write_new(
            "marker",
            &data.join(MARKER),
            &marker(plan),
            made,
        )?);
    }
    checks.extend(make(&plan.config_root, made)?);
    for (name, text) in FILES {
        checks.extend(write_new(
            "config",
            &plan.config_root.join(name),
            text,
            made,
        )?);
    }
    Ok(checks)
}

/// Makes a file that is missing.
fn write_new(
    name: &str,
    path: &Path,
    text: &str,
    made: &mut Vec<PathBuf>,
) -> Result<Option<Check>, DirectoriesError> {
    Ok(file::write_new(path, text.as_bytes())?.then(|| {
        made.push(path.to_owned());
        Check::ok(name, format!("made {}", path.display()))
    }))
}

/// Held as long as the value lives: one run at a time.
fn lock_folder(folder: &Path) -> Result<File, DirectoriesError> {
    let file = File::open(folder).map_err(|cause| FileError::new("opened", folder, cause))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Err(Errno::WOULDBLOCK) => Err(DirectoriesError::Busy {
            path: folder.to_owned(),
            holder: lock::holder(&file),
        }),
        // On a file system without locks the writer's name is the only one.
        _ => Ok(file),
    }
}

/// Whether it is there.
fn is_directory(path: &Path, option: &'static str) -> Result<bool, DirectoriesError> {
    let above = path.parent().unwrap_or(Path::new("/"));
    file::check_path(above)?;
    match fs::metadata(path) {
        Ok(data) if data.is_dir() => Ok(true),
        Ok(_) => Err(DirectoriesError::NoDirectory {
            path: path.to_owned(),
            option,
        }),
        // A link to nowhere is a disk that is not mounted.
        Err(error) if error.kind() == io::ErrorKind::NotFound && !path.is_symlink() => Ok(false),
        Err(error) => Err(FileError::new("looked at", path, error).into()),
    }
}

/// Whether it is there; an error when it is somebody else's and closed to us.
fn is_writable_directory(path: &Path, option: &'static str) -> Result<bool, DirectoriesError> {
    if !is_directory(path, option)? {
        return Ok(false);
    }
    let denied = accessat(CWD, path, Access::WRITE_OK, AtFlags::EACCESS)
        .is_err_and(|error| error == rustix::io::Errno::ACCESS);
    let owner = fs::metadata(path)
        .map_err(|cause| FileError::new("looked at", path, cause))?
        .uid();
    let me = users::effective_uid();
    if denied && owner != me {
        return Err(DirectoriesError::NotOurs {
            path: path.to_owned(),
            owner,
            me,
            option,
        });
    }
    Ok(true)
}

/// Makes a folder that is missing, with mode 700.
fn make(path: &Path, made: &mut Vec<PathBuf>) -> Result<Option<Check>, DirectoriesError> {
    if path.is_dir() {
        return Ok(None);
    }
    made.extend(file::make_folder(path)?);
    Ok(Some(Check::ok(
        "directory",
        format!("made {}", path.display()),
    )))
}

/// Closes a folder of ours to others. One that belongs to another user is a container's,
/// and stays as it is.
fn close_folder(path: &Path) -> Result<Option<Check>, DirectoriesError> {
    let shown = path.display();
    // The open folder is what is closed, whatever is at its path by then.
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let folder = match openat(CWD, path, flags | OFlags::PATH, Mode::empty()) {
        Ok(folder) => folder,
        // A link that this account laid (root's are followed when the path is checked).
        Err(Errno::LOOP | Errno::NOTDIR) if path.is_symlink() => {
            return Ok(Some(Check::info(
                "directory",
                format!("{shown} is a link, and what it leads to was left as it is"),
            )));
        }
        Err(errno) => return Err(FileError::new("opened", path, errno.into()).into()),
    };
    let data = fstat(&folder).map_err(|errno| FileError::new("looked at", path, errno.into()))?;
    let mode = data.st_mode & 0o7777;
    if data.st_uid != users::effective_uid() {
        return Ok(Some(Check::info(
            "directory",
            format!(
                "{shown} belongs to user id {}, as a container's folder does, and was left as \
                 it is, mode {mode:04o}",
                data.st_uid
            ),
        )));
    }
    if !is_open(mode) {
        return Ok(None);
    }
    openat(&folder, ".", flags | OFlags::RDONLY, Mode::empty())
        .and_then(|folder| fchmod(folder, Mode::RWXU))
        .map_err(|errno| FileError::new("closed to others", path, errno.into()))?;
    Ok(Some(Check::ok(
        "directory",
        format!("closed {shown} to others: mode 0700, was {mode:04o}"),
    )))
}

/// Closes a file of ours to others; a link is its target's owner's affair.
fn close(path: &Path) -> Option<Check> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(openat(CWD, path, flags | OFlags::RDONLY, Mode::empty()).ok()?);
    let data = file.metadata().ok()?;
    let mode = data.mode() & 0o7777;
    if !data.is_file() || !is_open(mode) {
        return None;
    }
    let shown = path.display();
    Some(if data.uid() != users::effective_uid() {
        Check::info(
            "config",
            format!(
                "{shown} belongs to user id {} and was left as it is",
                data.uid()
            ),
        )
    } else if let Err(error) = file.set_permissions(Permissions::from_mode(0o600)) {
        Check::not_ok(
            "config",
            format!("{shown} has mode {mode:04o} and cannot be closed to others: {error}"),
            format!("run `chmod 0600 {shown}`"),
        )
    } else {
        Check::ok(
            "config",
            format!("closed {shown} to others: mode 0600, was {mode:04o}"),
        )
    })
}

/// Whether others than the owner may do something.
fn is_open(mode: u32) -> bool {
    mode & 0o077 != 0
}

fn marker(plan: &Plan) -> String {
    format!(
        "These are the data of AI-Optimizer, a docker-compose stack that is installed by hand.\n\
         They lie outside of its checkout, so that they outlive it: deleting the checkout or\n\
         the containers leaves them, deleting this folder does not.\n\
         \n\
         Checkout:       {}\n\
         Configuration:  {}\n\
         Made by:        aistack prep (services.aiOptimizerPrep), layout {}\n\
         \n\
         Only one installation may write here; {} names it. To copy the data, stop the\n\
         stack first: the files of a running database are no backup.\n",
        plan.expected_location.display(),
        plan.config_root.display(),
        claim::LAYOUT,
        claim::FILE,
    )
}
