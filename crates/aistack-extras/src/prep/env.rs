//! The `.env` of the stack: what is missing is added at its end, and nothing else is
//! touched.
//!
//! Files are read as compose does: `KEY=value`, `export KEY=value`, comments, and values
//! in quotes that go over several lines.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use crate::prep::file::{self, FileError};
use crate::prep::model;
use crate::prep::plan::{Gpu, Plan};

const MAX_BYTES: u64 = 1024 * 1024;

/// Why the file can't be merged into; it is then as it was.
#[derive(Debug, thiserror::Error)]
pub enum EnvError {
    /// It has Windows' line ends, which would become part of the values.
    #[error("{} has Windows' line ends (CRLF) in line {line}: convert it with `sed -i 's/\\r$//'`; nothing was changed", path.display())]
    Crlf {
        /// The file.
        path: PathBuf,
        /// The first such line.
        line: usize,
    },
    /// A key stands there twice, and readers differ in which one counts.
    #[error("{} has {key} in line {first} and in line {second}: remove one of them; nothing was changed", path.display())]
    Duplicate {
        /// The file.
        path: PathBuf,
        /// The key.
        key: String,
        /// Line of the first.
        first: usize,
        /// Line of the second.
        second: usize,
    },
    /// A line is neither a comment nor an assignment.
    #[error("{} line {line} is neither a comment nor KEY=value; nothing was changed", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line.
        line: usize,
    },
    /// A quote is never closed.
    #[error("{} opens a quote in line {line} that is never closed; nothing was changed", path.display())]
    Quote {
        /// The file.
        path: PathBuf,
        /// The line.
        line: usize,
    },
    /// It is no UTF-8 text.
    #[error("{} is no UTF-8 text; nothing was changed", path.display())]
    Text {
        /// The file.
        path: PathBuf,
    },
    /// A value that no reader would take the same way.
    #[error(
        "{key} would be {value:?}, which cannot be written into an .env so that all readers understand it: choose a path without quotes, backslashes and control characters"
    )]
    Value {
        /// The key.
        key: &'static str,
        /// The value.
        value: String,
    },
    /// It leads out of what is declared.
    #[error("{} is a link to {}, which lies neither in the configuration nor in the checkout: name that file itself; nothing was changed", path.display(), target.display())]
    Link {
        /// The file.
        path: PathBuf,
        /// Where it leads.
        target: PathBuf,
    },
    /// It can't be read or written.
    #[error(transparent)]
    File(#[from] FileError),
}

/// What a merge does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Merge {
    /// The file that is written: a link's target.
    pub path: PathBuf,
    /// What was there; none: no file.
    pub before: Option<String>,
    /// What it becomes.
    pub after: String,
    /// The keys that are added.
    pub added: Vec<&'static str>,
    /// The keys that were there with another value, which is the user's.
    pub kept: Vec<&'static str>,
    /// Why there is no proposal for vLLM.
    pub no_model: Option<String>,
}

/// The values that the stack shall find, in their order.
#[must_use]
pub fn values(plan: &Plan, cards: &[Gpu]) -> (Vec<(&'static str, String)>, Option<String>) {
    let folder = |name: &str| plan.data_root.join(name).to_string_lossy().into_owned();
    let mut values = vec![
        ("POSTGRES_DATA_DIR", folder("postgres")),
        ("REDIS_DATA_DIR", folder("redis")),
        ("QDRANT_DATA_DIR", folder("qdrant")),
        ("VLLM_MODELS_DIR", folder("vllm-models")),
    ];
    match model::propose(cards) {
        Ok(proposal) => {
            values.extend([
                ("VLLM_MODEL", proposal.model.to_owned()),
                ("VLLM_GPU_MEM", proposal.gpu_memory.to_owned()),
                ("VLLM_MAX_LEN", proposal.max_length.to_string()),
            ]);
            (values, None)
        }
        Err(why) => (values, Some(why)),
    }
}

/// What a merge into `path` would do; nothing is written.
///
/// # Errors
/// When the file can't be read or is not one that can be merged into.
pub fn plan(plan: &Plan, cards: &[Gpu], path: &Path) -> Result<Merge, EnvError> {
    let (values, no_model) = values(plan, cards);
    let path = target(plan, path)?;
    let before = match file::read(&path, MAX_BYTES)? {
        None => None,
        Some(bytes) => {
            Some(String::from_utf8(bytes).map_err(|_| EnvError::Text { path: path.clone() })?)
        }
    };
    let text = before.clone().unwrap_or_default();
    let there = parse(&path, &text)?;

    let mut added = Vec::new();
    let mut kept = Vec::new();
    let mut lines = String::new();
    for (key, value) in values {
        let line = format!("{key}={}", quote(key, &value)?);
        match there.get(key) {
            None => {
                added.push(key);
                lines.push_str(&line);
                lines.push('\n');
            }
            Some(entry) if entry.value == value => {}
            Some(_) => kept.push(key),
        }
    }
    let mut after = text;
    if !added.is_empty() {
        if !after.is_empty() {
            if !after.ends_with('\n') {
                after.push('\n');
            }
            after.push('\n');
        }
        after.push_str("# Added by `aistack prep`; values that were there are not touched.\n");
        after.push_str(&lines);
    }
    Ok(Merge {
        path,
        before,
        after,
        added,
        kept,
        no_model,
    })
}

impl Merge {
    /// Whether the file becomes another.
    #[must_use]
    pub fn changes(&self) -> bool {
        !self.added.is_empty()
    }

    /// Writes the file, all or nothing.
    ///
    /// # Errors
    /// When it can't be written; it is then as it was.
    pub fn write(&self) -> Result<(), EnvError> {
        if self.changes() {
            file::write(&self.path, self.after.as_bytes())?;
        }
        Ok(())
    }

    /// The difference as `diff -u` prints it; empty: none.
    #[must_use]
    pub fn diff(&self) -> String {
        if !self.changes() {
            return String::new();
        }
        let path = self.path.display();
        let before = self.before.as_deref().unwrap_or_default();
        let old: Vec<&str> = before.lines().collect();
        let context = old.len().min(3);
        let first = old.len() - context;
        let new: Vec<&str> = self.after.lines().skip(old.len()).collect();
        let range = |from: usize, count: usize| match count {
            0 => format!("{from},0"),
            _ => format!("{},{count}", from + 1),
        };
        let mut text = match self.before {
            None => "--- /dev/null\n".to_owned(),
            Some(_) => format!("--- {path}\n"),
        };
        let _ = writeln!(
            text,
            "+++ {path}\n@@ -{} +{} @@",
            range(first, context),
            range(first, context + new.len())
        );
        let unended = !before.is_empty() && !before.ends_with('\n');
        for (at, line) in old.iter().enumerate().skip(first) {
            if unended && at + 1 == old.len() {
                let _ = writeln!(text, "-{line}\n\\ No newline at end of file\n+{line}");
            } else {
                let _ = writeln!(text, " {line}");
            }
        }
        for line in new {
            let _ = writeln!(text, "+{line}");
        }
        text
    }
}

/// The file that is written: `path`, or what it links to within what is declared.
fn target(plan: &Plan, path: &Path) -> Result<PathBuf, EnvError> {
    if !path.is_symlink() {
        return Ok(path.to_owned());
    }
    let looked = |cause| FileError::new("followed", path, cause);
    let target = fs::canonicalize(path).map_err(looked)?;
    let within = [&plan.config_root, &plan.expected_location]
        .into_iter()
        .filter_map(|folder| fs::canonicalize(folder).ok())
        .any(|folder| target.starts_with(folder));
    if within {
        Ok(target)
    } else {
        Err(EnvError::Link {
            path: path.to_owned(),
            target,
        })
    }
}

/// A value as compose and the others read it back: bare where nothing is special in it,
/// else in single quotes, within which nothing is.
fn quote(key: &'static str, value: &str) -> Result<String, EnvError> {
    let bare = |c: char| c.is_ascii_alphanumeric() || "_./:@%+=,-".contains(c);
    if !value.is_empty() && value.chars().all(bare) {
        Ok(value.to_owned())
    } else if value.is_empty()
        || value
            .chars()
            .any(|c| c.is_control() || c == '\'' || c == '\\' || c == char::REPLACEMENT_CHARACTER)
    {
        Err(EnvError::Value {
            key,
            value: value.to_owned(),
        })
    } else {
        Ok(format!("'{value}'"))
    }
}

/// A key of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    line: usize,
    /// Its value, as far as it matters whether it is ours.
    value: String,
}

fn parse(path: &Path, text: &str) -> Result<BTreeMap<String, Entry>, EnvError> {
    let path = || path.to_owned();
    if let Some(at) = text.find('\r') {
        let line = text.bytes().take(at).filter(|&byte| byte == b'\n').count() + 1;
        return Err(EnvError::Crlf { path: path(), line });
    }
    let mut there: BTreeMap<String, Entry> = BTreeMap::new();
    // Some editors begin a file with a mark of its encoding.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut lines = text.lines().enumerate();
    while let Some((at, line)) = lines.next() {
        let line_number = at + 1;
        let words = line.trim();
        if words.is_empty() || words.starts_with('#') {
            continue;
        }
        let words = words
            .strip_prefix("export")
            .filter(|rest| rest.starts_with([' ', '\t']))
            .map_or(words, str::trim_start);
        // `KEY` alone passes on what the environment has; it is the user's word as well.
        let (key, value) = words.split_once('=').unwrap_or((words, ""));
        let (key, value) = (key.trim(), value.trim());
        let first = key.chars().next();
        if !first.is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
            || !key
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c))
        {
            return Err(EnvError::Line {
                path: path(),
                line: line_number,
            });
        }
        let value = match value.chars().next() {
            Some(quote @ ('"' | '\'')) => {
                let mut rest = value.get(1..).unwrap_or_default().to_owned();
                let mut inner = String::new();
                loop {
                    if let Some(end) = closing(&rest, quote) {
                        inner.push_str(rest.get(..end).unwrap_or_default());
                        break inner;
                    }
                    inner.push_str(&rest);
                    inner.push('\n');
                    let Some((_, next)) = lines.next() else {
                        return Err(EnvError::Quote {
                            path: path(),
                            line: line_number,
                        });
                    };
                    next.clone_into(&mut rest);
                }
            }
            _ => value
                .split_once(" #")
                .map_or(value, |(value, _)| value.trim_end())
                .to_owned(),
        };
        let entry = Entry {
            line: line_number,
            value,
        };
        if let Some(first) = there.get(key) {
            return Err(EnvError::Duplicate {
                path: path(),
                key: key.to_owned(),
                first: first.line,
                second: line_number,
            });
        }
        there.insert(key.to_owned(), entry);
    }
    Ok(there)
}

/// Where the quote closes.
fn closing(text: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    text.char_indices().find_map(|(at, c)| {
        if escaped {
            escaped = false;
            None
        } else if c == '\\' {
            escaped = true;
            None
        } else {
            (c == quote).then_some(at)
        }
    })
}
