//! Finds ports that a tree of Nix files claims twice, without evaluating it.
//!
//! Every `.nix` file is parsed; options that are known to listen ([`paths`]) and
//! whose value is written out, or bound to a name in the same file, are claims. Two
//! claims are compared only when they are certainly for one host at one time: they
//! stand in one file for one host under the same conditions, or in files that one
//! file imports in any case, without conditions. What the two sides can't be told
//! to share is left alone: a report that is wrong costs more than one that is
//! missing.

mod compare;
mod paths;
mod resolve;
mod strings;
mod walk;
mod workers;

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use aistack_machine::file::{self, ReadError};
use ignore::{WalkBuilder, WalkState};
use rnix::TextSize;
use serde::Serialize;

use crate::portscan::compare::Node;
use crate::portscan::walk::FileFacts;
use crate::portscan::workers::End;

/// The largest file that is parsed, in bytes; larger ones are generated data.
const LARGEST: u64 = 1024 * 1024;

/// Bytes of stack for a thread. The parser limits its own depth, but a chain of
/// operators is as deep a tree as it is long, and a tree is dropped by recursion: this
/// is enough for [`LARGEST`] bytes of them. Only what is used is ever real memory.
const STACK: usize = 256 * 1024 * 1024;

/// How long one file may take. The largest that is read takes a fraction of a second;
/// but the parser's time grows with the square of some texts that no one writes.
const PATIENCE: Duration = Duration::from_secs(15);

/// How long all files together may take; a tree of 40,000 takes a few seconds.
const TOTAL: Duration = Duration::from_mins(1);

/// Folders whose files are about no host: they are parsed and not compared.
const ASIDE: [&str; 8] = [
    "test",
    "tests",
    "example",
    "examples",
    "fixtures",
    "testdata",
    "snapshots",
    "samples",
];

/// Why nothing could be scanned.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    /// The folder isn't there or can't be listed.
    #[error("{} cannot be scanned: {cause}; name a folder with Nix files", path.display())]
    Unreadable {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// There is nothing to read.
    #[error("{} has no .nix file that could be read", path.display())]
    Nothing {
        /// The folder.
        path: PathBuf,
        /// What was wrong with those that are there.
        problems: Vec<Problem>,
    },
    /// No threads could be started.
    #[error("no threads could be started: {0}")]
    Threads(io::Error),
}

use aistack_machine::Protocol;

/// What a scan found.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Ports that are claimed twice or more.
    pub duplicates: Vec<Duplicate>,
    /// Files that could not be read or parsed.
    pub problems: Vec<Problem>,
    /// How many files were parsed.
    pub files: usize,
    /// How many of them are in folders of tests and examples, which aren't compared.
    pub aside: usize,
    /// How many claims have a known port.
    pub claims: usize,
    /// How many options that claim a port have one that must be computed.
    pub computed: usize,
    /// How many ports firewall lists open; an opening is no claim.
    pub openings: usize,
}

/// One port and everything that claims it on one host.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Duplicate {
    /// The port; the first that they share.
    pub port: u16,
    /// TCP or UDP.
    pub protocol: Protocol,
    /// The claims, in order of file and line.
    pub claims: Vec<Claim>,
}

/// A claim and where it stands.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Claim {
    /// The option.
    pub option: String,
    /// Path of the file below the folder.
    pub file: PathBuf,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// Column after the end, where it ends in the same line.
    pub end_column: usize,
    /// The line's text.
    pub excerpt: String,
}

/// A file that was passed over.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// Path of the file below the folder.
    pub file: PathBuf,
    /// Line, from 1, where it is known.
    pub line: Option<usize>,
    /// Column, from 1.
    pub column: Option<usize>,
    /// What is wrong.
    pub message: String,
}

/// Scans every `.nix` file below `directory` that `.gitignore` doesn't exclude.
///
/// # Errors
/// When the folder can't be listed or no file in it could be read and parsed.
pub fn scan(directory: &Path) -> Result<Report, ScanError> {
    scan_within(directory, PATIENCE, TOTAL)
}

/// The same with other limits for each file and for all of them; what takes longer is a
/// [`Problem`].
///
/// # Errors
/// As [`scan`].
pub fn scan_within(
    directory: &Path,
    patience: Duration,
    total: Duration,
) -> Result<Report, ScanError> {
    let unreadable = |cause| ScanError::Unreadable {
        path: directory.to_owned(),
        cause,
    };
    if !fs::metadata(directory).map_err(unreadable)?.is_dir() {
        return Err(unreadable(io::Error::from(io::ErrorKind::NotADirectory)));
    }
    let start = Instant::now();
    let (paths, mut problems) = list(directory, start + total);
    let left = total.saturating_sub(start.elapsed());
    let read = workers::all(&paths, patience, left, read).map_err(ScanError::Threads)?;
    let mut files = Vec::new();
    for (path, end) in paths.into_iter().zip(read) {
        let below = path.strip_prefix(directory).unwrap_or(&path).to_owned();
        let fault = |message: String| Fault {
            place: None,
            message,
        };
        let read = match end {
            End::Done(read) => read,
            End::Late => Err(fault(format!(
                "was given up on after {} s; a file that people write takes far less",
                patience.as_secs()
            ))),
            End::Unread => Err(fault(format!(
                "was not read: the scan ended at its limit of {} s",
                total.as_secs()
            ))),
            End::Panicked => Err(fault(
                "cannot be parsed: the parser failed on it".to_owned(),
            )),
        };
        match read {
            Ok((text, facts)) => files.push((below, text, facts)),
            Err(fault) => problems.push(fault.of(below)),
        }
    }
    problems.sort_by(|a, b| a.file.cmp(&b.file));
    if files.is_empty() {
        return Err(ScanError::Nothing {
            path: directory.to_owned(),
            problems,
        });
    }
    Ok(report(files, problems))
}

/// The files with patterns that the walk reads in each folder, by itself and whole.
const PATTERNS: [&str; 2] = [".gitignore", ".ignore"];
/// The largest file of patterns that is read, in bytes.
const MAX_PATTERNS: u64 = 1024 * 1024;

/// A file of patterns that would hang the walk or fill the memory: a pipe, a device, or
/// one that is too large.
fn odd_patterns(folder: &Path) -> Option<PathBuf> {
    PATTERNS
        .iter()
        .map(|name| folder.join(name))
        .find(|path| match fs::metadata(path) {
            // A folder of that name can't be read, and does no harm.
            Ok(data) => !(data.is_dir() || (data.is_file() && data.len() <= MAX_PATTERNS)),
            Err(_) => false,
        })
}

/// Every `.nix` file, in order, and what could not be listed.
fn list(directory: &Path, deadline: Instant) -> (Vec<PathBuf>, Vec<Problem>) {
    let problem = |file: PathBuf, message: String| Problem {
        file,
        line: None,
        column: None,
        message,
    };
    let passed_over = |file: &Path| {
        problem(
            file.strip_prefix(directory).unwrap_or(file).to_owned(),
            format!(
                "is not a regular file of at most {} MiB, so its folder was not scanned",
                MAX_PATTERNS / 1024 / 1024
            ),
        )
    };
    if let Some(odd) = odd_patterns(directory) {
        return (Vec::new(), vec![passed_over(&odd)]);
    }
    // The folders above have patterns too, and may be anybody's.
    let whole = directory.canonicalize();
    let odd_above = whole
        .iter()
        .flat_map(|path| path.ancestors().skip(1))
        .find_map(odd_patterns);
    let parents = whole.is_ok() && odd_above.is_none();
    let (sender, receiver) = std::sync::mpsc::channel();
    let odd = Arc::new(Mutex::new(Vec::new()));
    let odd_ones = Arc::clone(&odd);
    WalkBuilder::new(directory)
        // A tree that isn't a repository may have a .gitignore all the same.
        .require_git(false)
        // The crate reads the files above also where it needs them for nothing, unless
        // no file of patterns is wanted at all.
        .parents(parents)
        .git_ignore(parents)
        .ignore(parents)
        // .git may be a file that names any other to be read.
        .git_exclude(false)
        .git_global(false)
        .filter_entry(move |entry| {
            if entry.file_type().is_some_and(|kind| kind.is_dir())
                && let Some(path) = odd_patterns(entry.path())
            {
                let mut odd = odd_ones.lock().unwrap_or_else(PoisonError::into_inner);
                odd.push(path);
                return false;
            }
            true
        })
        .build_parallel()
        .run(|| {
            let sender = sender.clone();
            Box::new(move |entry| {
                if Instant::now() > deadline {
                    return WalkState::Quit;
                }
                let found = match entry {
                    Ok(entry) => {
                        let is_nix = entry.path().extension().is_some_and(|end| end == "nix")
                            && entry.file_type().is_some_and(|kind| kind.is_file());
                        is_nix.then(|| Ok(entry.into_path()))
                    }
                    Err(error) => Some(Err(Problem {
                        file: PathBuf::new(),
                        line: None,
                        column: None,
                        message: error.to_string(),
                    })),
                };
                // The receiver outlives the walk.
                if let Some(found) = found {
                    drop(sender.send(found));
                }
                WalkState::Continue
            })
        });
    drop(sender);
    let (mut paths, mut problems) = (Vec::new(), Vec::new());
    for found in receiver {
        match found {
            Ok(path) => paths.push(path),
            Err(problem) => problems.push(problem),
        }
    }
    if Instant::now() > deadline {
        problems.push(problem(
            PathBuf::new(),
            "the folder was not listed to its end: the scan's limit of time was over".to_owned(),
        ));
    }
    problems.extend(odd_above.map(|path| {
        problem(
            path,
            format!(
                "is not a regular file of at most {} MiB, so no patterns were followed",
                MAX_PATTERNS / 1024 / 1024
            ),
        )
    }));
    let odd = odd.lock().unwrap_or_else(PoisonError::into_inner);
    problems.extend(odd.iter().map(|path| passed_over(path)));
    paths.sort_unstable();
    (paths, problems)
}

struct Fault {
    place: Option<(usize, usize)>,
    message: String,
}

impl Fault {
    fn of(self, file: PathBuf) -> Problem {
        Problem {
            file,
            line: self.place.map(|(line, _)| line),
            column: self.place.map(|(_, column)| column),
            message: self.message,
        }
    }
}

fn read(path: &Path) -> Result<(String, FileFacts), Fault> {
    let fault = |message: String| Fault {
        place: None,
        message,
    };
    let bytes = file::read(path, LARGEST).map_err(|error| {
        fault(match error {
            ReadError::TooLong(most) => format!(
                "is larger than {} MiB, so it is no configuration",
                most / 1024 / 1024
            ),
            other => format!("cannot be read: {other}"),
        })
    })?;
    let text = String::from_utf8(bytes).map_err(|_| fault("is not UTF-8".to_owned()))?;
    let facts = parse(&text)?;
    // Only claims need the text again, for their lines.
    let text = if facts.claims.is_empty() {
        String::new()
    } else {
        text
    };
    Ok((text, facts))
}

fn parse(text: &str) -> Result<FileFacts, Fault> {
    let parsed = rnix::Root::parse(text);
    if let Some(error) = parsed.errors().first() {
        return Err(Fault {
            place: offset(error).map(|at| {
                let (line, column, _) = locate(text, at);
                (line, column)
            }),
            message: format!("cannot be parsed: {error}"),
        });
    }
    let may_matter = [
        "port",
        "Port",
        "PORT",
        "ublish",
        "ExecStart",
        "listenStr",
        "modules",
    ]
    .iter()
    .any(|word| text.contains(word));
    if !may_matter {
        return Ok(FileFacts::default());
    }
    walk::facts(&parsed.tree()).ok_or_else(|| Fault {
        place: None,
        message: "cannot be followed: its names lead to each other without end".to_owned(),
    })
}

fn offset(error: &rnix::ParseError) -> Option<TextSize> {
    use rnix::ParseError as E;
    match error {
        E::Unexpected(at) | E::UnexpectedExtra(at) | E::UnexpectedDoubleBind(at) => {
            Some(at.start())
        }
        E::UnexpectedWanted(_, at, _) | E::DuplicatedArgs(at, _) => Some(at.start()),
        _ => None,
    }
}

/// Line and column from 1, and the line's text.
fn locate(text: &str, at: TextSize) -> (usize, usize, &str) {
    let at = usize::from(at).min(text.len());
    let before = text.get(..at).unwrap_or_default();
    let begin = before.rfind('\n').map_or(0, |newline| newline + 1);
    let line = text
        .get(begin..)
        .unwrap_or_default()
        .lines()
        .next()
        .unwrap_or_default();
    (
        before.matches('\n').count() + 1,
        text.get(begin..at).unwrap_or_default().chars().count() + 1,
        line,
    )
}

fn report(files: Vec<(PathBuf, String, FileFacts)>, problems: Vec<Problem>) -> Report {
    let numbers: HashMap<PathBuf, usize> = files
        .iter()
        .enumerate()
        .map(|(number, (path, ..))| (path.clone(), number))
        .collect();
    let mut texts = Vec::with_capacity(files.len());
    let mut nodes = Vec::with_capacity(files.len());
    for (path, text, facts) in files {
        let number = |target: &String| {
            let path = join(path.parent()?, target)?;
            numbers
                .get(&path)
                .or_else(|| numbers.get(&path.join("default.nix")))
                .copied()
        };
        let aside = path.parent().is_some_and(|folder| {
            folder.components().any(|part| {
                part.as_os_str()
                    .to_str()
                    .is_some_and(|part| ASIDE.contains(&part))
            })
        });
        nodes.push(Node {
            imports: facts.imports.iter().filter_map(number).collect(),
            hosts: facts
                .hosts
                .iter()
                .map(|(frame, paths)| (frame.clone(), paths.iter().filter_map(number).collect()))
                .collect(),
            facts,
            aside,
        });
        texts.push((path, text));
    }
    let duplicates = compare::duplicates(&nodes)
        .into_iter()
        .filter_map(|ids| duplicate(&ids, &nodes, &texts))
        .collect();
    let count = |of: fn(&FileFacts) -> usize| {
        nodes
            .iter()
            .filter(|node| !node.aside)
            .map(|node| of(&node.facts))
            .sum()
    };
    Report {
        duplicates,
        problems,
        files: nodes.len(),
        aside: nodes.iter().filter(|node| node.aside).count(),
        claims: count(|facts| facts.claims.len()),
        computed: count(|facts| facts.computed),
        openings: count(|facts| facts.openings),
    }
}

/// A path in a file, relative to the file's folder, without `.` and `..`. None: it
/// leaves the tree.
fn join(folder: &Path, target: &str) -> Option<PathBuf> {
    let mut path = folder.to_owned();
    for part in Path::new(target).components() {
        match part {
            Component::Normal(part) => path.push(part),
            Component::CurDir => {}
            Component::ParentDir => {
                if !path.pop() {
                    return None;
                }
            }
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(path)
}

fn duplicate(
    ids: &[compare::Id],
    nodes: &[Node],
    texts: &[(PathBuf, String)],
) -> Option<Duplicate> {
    let mut port = 0;
    let mut protocol = Protocol::Tcp;
    let mut claims = Vec::new();
    for &(file, at) in ids {
        let raw = nodes.get(file)?.facts.claims.get(at)?;
        let (path, text) = texts.get(file)?;
        port = port.max(raw.ports.first);
        protocol = raw.ports.protocol;
        let (line, column, excerpt) = locate(text, raw.start);
        let (end_line, end_column, _) = locate(text, raw.end);
        let user = raw.user.as_ref();
        claims.push(Claim {
            option: user.map_or_else(String::new, |user| format!("home-manager.users.{user}."))
                + &raw.option.join("."),
            file: path.clone(),
            line,
            column,
            end_column: if end_line == line {
                end_column
            } else {
                excerpt.chars().count() + 1
            },
            excerpt: excerpt.to_owned(),
        });
    }
    claims.sort_by(|a, b| (&a.file, a.line, a.column).cmp(&(&b.file, b.line, b.column)));
    Some(Duplicate {
        port,
        protocol,
        claims,
    })
}
