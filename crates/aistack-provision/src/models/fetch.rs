//! From a declared model to its file.

use std::ffi::OsString;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use aistack_machine::{directory, secret, trusted};
use aistack_schema::Model;

use crate::models::curl::{Curl, Request, Verdict};
use crate::models::error::FetchError;
use crate::models::partial::Partial;
use crate::models::stamp::Stamp;
use crate::models::state::{look, partial_path, read};
use crate::models::{MIB, mib};

/// The longest wait between two attempts, unless the server asks for more.
const LONGEST_WAIT: Duration = Duration::from_mins(1);
/// A slow download says how far it is at least this often.
const QUIET: Duration = Duration::from_mins(1);

/// How a model is fetched.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How often in a row an attempt may bring nothing new.
    pub attempts: u32,
    /// The wait after the first of them; each further one is twice as long, at most a minute.
    pub wait: Duration,
    /// How long a connection may take.
    pub connect: Duration,
    /// How long less than 1 KiB a second may come, in whole seconds.
    pub stall: Duration,
    /// How long another process that fetches the model may bring nothing new.
    pub patience: Duration,
    /// The value of `PATH`, to find curl.
    pub path: Option<OsString>,
}

/// How a model came to be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fetched {
    /// It was there, unchanged since its hash was seen last.
    Known,
    /// It was there, and was read to see its hash.
    Verified,
    /// It was fetched.
    Downloaded,
}

/// Brings the model `name` to its path: nothing is done when it is there with
/// the declared hash, else it is fetched, going on from what an earlier attempt
/// left. Progress goes to `say`, a line at a time.
///
/// Two at once don't disturb each other: the second waits for the first.
///
/// # Errors
/// When another file is there (it is left alone), and when the model can't be
/// had; what was fetched of it is then kept, unless it is wrong.
pub fn fetch(
    name: &str,
    model: &Model,
    settings: &Settings,
    say: &mut dyn FnMut(&str),
) -> Result<Fetched, FetchError> {
    if let Some(how) = there(model)? {
        return Ok(how);
    }
    let folder = model.path.parent().unwrap_or(Path::new("/"));
    // Never made: an empty folder in the place of a disk that isn't mounted would
    // take the model, and hide it when the disk comes.
    directory::examine(folder, None)
        .map_err(|error| FetchError::Folder(error, model.option.clone()))?;
    trusted::check(folder).map_err(|error| FetchError::Unsafe(error, model.option.clone()))?;
    let path = partial_path(name, model);
    let partial = Partial::lock(&path, settings.patience, &mut |holder| {
        say(&format!("{name}: {holder} fetches it; waiting for that"));
    })?;
    // Who had the lock until now may have brought it, whether we waited or came just after.
    match there(model).transpose() {
        None => {}
        Some(result) => {
            partial.remove_if_empty();
            return result;
        }
    }
    let mut job = Job {
        name,
        model,
        settings,
        partial,
        url: shown(&model.url),
        total: model.size_mib.map(|size| size.saturating_mul(MIB)),
        say,
    };
    match job.run() {
        Ok(()) => {
            let file = job.partial.place(&model.path)?;
            // Without a stamp it is read once more, that is all.
            drop(Stamp::new(&model.sha256, &file).map(|stamp| stamp.write(&model.path)));
            Ok(Fetched::Downloaded)
        }
        Err(error) => {
            job.partial.remove_if_empty();
            Err(error)
        }
    }
}

/// How the file is there; none when nothing is.
fn there(model: &Model) -> Result<Option<Fetched>, FetchError> {
    let Some(file) = look(&model.path)? else {
        return Ok(None);
    };
    let (seen, how) = match Stamp::of(&model.path, &file) {
        Some(stamp) => (stamp.sha256, Fetched::Known),
        None => (read(&model.path, file)?, Fetched::Verified),
    };
    if seen == model.sha256 {
        return Ok(Some(how));
    }
    Err(FetchError::Wrong {
        path: model.path.clone(),
        expected: model.sha256.clone(),
        seen,
        option: model.option.clone(),
    })
}

/// The URL without what may be secret in it: user, password, signed query.
fn shown(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    let Some((protocol, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let host = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host);
    format!("{protocol}://{host}/{path}")
}

struct Job<'a> {
    name: &'a str,
    model: &'a Model,
    settings: &'a Settings,
    partial: Partial,
    url: String,
    total: Option<u64>,
    say: &'a mut dyn FnMut(&str),
}

impl Job<'_> {
    /// Has the partial file hold the whole model.
    fn run(&mut self) -> Result<(), FetchError> {
        self.partial.take_up()?;
        if self.partial.length() > 0 && self.partial.sha256() == self.model.sha256 {
            // Ended between the last byte and the move.
            return Ok(());
        }
        let curl = Curl::new(
            self.settings.path.as_deref(),
            self.settings.connect,
            self.settings.stall,
        )?;
        let token = self.token()?;
        let request = Request {
            url: &self.model.url,
            token: token.as_deref(),
        };
        if self.total.is_none() {
            self.total = curl.size(request);
        }
        self.check_space()?;

        let mut resumed = self.partial.length() > 0;
        if resumed {
            (self.say)(&format!(
                "{}: going on after {} MiB from {}",
                self.name,
                mib(self.partial.length()),
                self.url
            ));
        } else {
            (self.say)(&format!("{}: fetching {}", self.name, self.url));
        }
        loop {
            self.download(&curl, request)?;
            let seen = self.partial.sha256();
            if seen == self.model.sha256 {
                return Ok(());
            }
            let bytes = self.partial.length();
            // Nothing of it is of use, here or to the next start.
            self.partial.start_anew()?;
            if !resumed {
                return Err(FetchError::Mismatch {
                    url: self.url.clone(),
                    bytes,
                    expected: self.model.sha256.clone(),
                    seen,
                    option: self.model.option.clone(),
                });
            }
            // What was taken up may have been of another file, by an earlier declaration.
            resumed = false;
            (self.say)(&format!(
                "{}: together with what was there before it has the SHA-256 {seen}, and {} is \
                 declared: fetching all of it once more",
                self.name, self.model.sha256
            ));
        }
    }

    fn token(&self) -> Result<Option<String>, FetchError> {
        let Some(path) = &self.model.token_file else {
            return Ok(None);
        };
        let option = self.model.option.clone();
        let value = secret::read(path).map_err(|cause| FetchError::Token {
            option: option.clone(),
            cause,
        })?;
        String::from_utf8(value)
            .ok()
            .filter(|token| {
                token
                    .bytes()
                    .all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\')
            })
            .map(Some)
            .ok_or_else(|| FetchError::NoToken {
                path: path.clone(),
                option,
            })
    }

    fn check_space(&self) -> Result<(), FetchError> {
        let Some(total) = self.total else {
            return Ok(());
        };
        let needed = total.saturating_sub(self.partial.length());
        // A file system that doesn't say (some network ones) may have room.
        let Ok(space) = rustix::fs::fstatvfs(self.partial.file()) else {
            return Ok(());
        };
        let free = space.f_bavail.saturating_mul(space.f_frsize);
        if space.f_blocks == 0 || free >= needed {
            return Ok(());
        }
        Err(FetchError::NoSpace {
            path: self
                .model
                .path
                .parent()
                .unwrap_or(Path::new("/"))
                .to_owned(),
            free: free / MIB,
            needed: needed.div_ceil(MIB),
            option: self.model.option.clone(),
        })
    }

    /// Transfers until the server has sent all of it.
    fn download(&mut self, curl: &Curl, request: Request) -> Result<(), FetchError> {
        let mut furthest = self.partial.length();
        let (mut fruitless, mut wait) = (0, self.settings.wait);
        loop {
            let from = self.partial.length();
            let ended = self.transfer(curl, request, from)?;
            // Whatever happened after its last byte.
            if self.partial.sha256() == self.model.sha256 {
                return Ok(());
            }
            match ended.verdict() {
                Verdict::Complete => return Ok(()),
                Verdict::Anew if from > 0 => {
                    (self.say)(&format!(
                        "{}: the server can't go on from the middle; starting anew",
                        self.name
                    ));
                    self.partial.start_anew()?;
                    continue;
                }
                Verdict::Never => {
                    return Err(FetchError::Refused {
                        url: self.url.clone(),
                        seen: ended.said,
                        status: ended.status,
                        option: self.model.option.clone(),
                    });
                }
                Verdict::Anew | Verdict::Again => {}
            }
            if self.partial.length() > furthest {
                furthest = self.partial.length();
                (fruitless, wait) = (0, self.settings.wait);
            }
            fruitless += 1;
            if fruitless >= self.settings.attempts {
                return Err(FetchError::GaveUp {
                    url: self.url.clone(),
                    attempts: self.settings.attempts,
                    seen: ended.said,
                    kept: mib(self.partial.length()),
                });
            }
            let pause = ended.retry_after.unwrap_or(wait).max(wait);
            (self.say)(&format!(
                "{}: {} after {} MiB; next attempt in {} s",
                self.name,
                ended.said,
                mib(self.partial.length()),
                pause.as_secs_f64()
            ));
            thread::sleep(pause);
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }

    fn transfer(
        &mut self,
        curl: &Curl,
        request: Request,
        from: u64,
    ) -> Result<crate::models::curl::Ended, FetchError> {
        let mut progress = Progress::new(self.total, from);
        // Declared sizes are often rounded, so some more may come.
        let limit = self.model.size_mib.map(|size| {
            (
                size,
                size.saturating_mul(MIB + MIB / 10).saturating_add(MIB),
            )
        });
        let (name, say, partial) = (self.name, &mut self.say, &mut self.partial);
        let ended = curl.fetch(request, from, |pipe| {
            partial.take(pipe, |length| {
                if let Some(line) = progress.line(length) {
                    say(&format!("{name}: {line}"));
                }
                match limit {
                    Some((size, most)) if length > most => Err(FetchError::TooLarge {
                        url: self.url.clone(),
                        size,
                        option: self.model.option.clone(),
                    }),
                    _ => Ok(()),
                }
            })
        });
        if matches!(ended, Err(FetchError::TooLarge { .. })) {
            self.partial.start_anew()?;
        }
        ended
    }
}

/// When to say how far a download is: each tenth of it, and at least each minute.
struct Progress {
    total: Option<u64>,
    tenths: u64,
    last: Instant,
}

impl Progress {
    fn new(total: Option<u64>, from: u64) -> Self {
        let total = total.filter(|&total| total > 0);
        Self {
            total,
            tenths: tenths(from, total),
            last: Instant::now(),
        }
    }

    fn line(&mut self, length: u64) -> Option<String> {
        let tenths = tenths(length, self.total);
        if tenths <= self.tenths && self.last.elapsed() < QUIET {
            return None;
        }
        self.tenths = tenths;
        self.last = Instant::now();
        Some(match self.total {
            Some(total) => format!(
                "{} of {} MiB ({} %)",
                mib(length),
                mib(total),
                length.saturating_mul(100) / total
            ),
            None => format!("{} MiB", mib(length)),
        })
    }
}

fn tenths(length: u64, total: Option<u64>) -> u64 {
    total.map_or(0, |total| (length.saturating_mul(10) / total).min(10))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_do_not_hold_what_may_be_secret() {
        assert_eq!(
            shown("https://me:pw@host:1/a/b?sig=secret#x"),
            "https://host:1/a/b"
        );
        assert_eq!(shown("https://host"), "https://host/");
    }

    #[test]
    fn progress_is_said_each_tenth() {
        let mut progress = Progress::new(Some(100 * MIB), 0);
        let said: Vec<String> = (1..=100)
            .filter_map(|length| progress.line(length * MIB))
            .collect();
        assert_eq!(said.len(), 10, "{said:?}");
        assert_eq!(said[2], "30 of 100 MiB (30 %)");
        let mut unknown = Progress::new(None, 0);
        assert_eq!(unknown.line(MIB), None);
        assert_eq!(Progress::new(Some(0), 0).line(MIB), None);
    }
}
