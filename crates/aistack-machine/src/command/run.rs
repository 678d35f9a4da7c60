//! Running programs within a bounded time.

use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use memchr::memmem;

use super::{Bounds, CommandError, Finished, line};
use crate::family;

/// The most that is kept of what a program writes, in bytes: more is no answer to a
/// question, and would fill the memory within seconds.
pub(super) const MOST_OUTPUT: u64 = 64 * 1024 * 1024;

/// How often a program that can be stopped is looked at.
const STOP_EVERY: Duration = Duration::from_millis(20);

/// Runs `command` with `input` on its standard input until it ends, at most
/// `limit` long, and keeps what it writes.
///
/// # Errors
/// When it can't be started or doesn't end in time. A status that isn't zero is
/// no error here: see [`Finished::status`].
pub fn run(
    command: Command,
    input: Option<Vec<u8>>,
    limit: Duration,
) -> Result<Finished, CommandError> {
    run_until(command, input, limit, None, all)
}

/// As [`run`], in a process group of its own, so that a Ctrl-C meant for this
/// program does not end it: the bounds say when it has to.
///
/// # Errors
/// As [`run`], and when it was stopped.
pub fn run_bounded(
    mut command: Command,
    input: Option<Vec<u8>>,
    bounds: &Bounds,
) -> Result<Finished, CommandError> {
    command.process_group(0);
    run_until(command, input, bounds.limit, Some(&bounds.stop), all)
}

/// As [`run_bounded`], for a program that may write more than should be kept: which of
/// the byte strings are in its output. An empty one never is.
///
/// # Errors
/// As [`run_bounded`], and when it ends with a status that isn't zero.
pub fn search(
    mut command: Command,
    strings: &[Vec<u8>],
    bounds: &Bounds,
) -> Result<Vec<bool>, CommandError> {
    command.process_group(0);
    let strings = strings.to_vec();
    let found = move |pipe: &mut dyn Read| {
        let found = found_in(pipe, &strings);
        found.into_iter().map(u8::from).collect()
    };
    let done = run_until(command, None, bounds.limit, Some(&bounds.stop), found)?;
    if done.status.success() {
        Ok(done.stdout.iter().map(|&found| found != 0).collect())
    } else {
        Err(done.into_error())
    }
}

/// Reads to the end, with no more in memory than a block and the longest string.
fn found_in(pipe: &mut dyn Read, strings: &[Vec<u8>]) -> Vec<bool> {
    const BLOCK: usize = 64 * 1024;
    let overlap = strings.iter().map(Vec::len).max().unwrap_or(0);
    let mut found = vec![false; strings.len()];
    let mut kept = Vec::new();
    loop {
        let from = kept.len();
        let block = u64::try_from(BLOCK).unwrap_or(u64::MAX);
        // What came before an error still counts.
        let count = pipe.take(block).read_to_end(&mut kept).unwrap_or(0);
        for (string, found) in strings.iter().zip(&mut found) {
            *found = *found || (!string.is_empty() && memmem::find(&kept, string).is_some());
        }
        if count == 0 && kept.len() == from {
            return found;
        }
        kept.drain(..kept.len().saturating_sub(overlap));
    }
}

fn all(pipe: &mut dyn Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    // What came before an error still counts.
    drop(pipe.take(MOST_OUTPUT + 1).read_to_end(&mut bytes));
    bytes
}

/// Runs `command` as long as it takes, with its own output shown as it comes.
///
/// # Errors
/// When it can't be started or fails.
pub fn run_shown(mut command: Command) -> Result<(), CommandError> {
    let line = line(&command);
    let program = PathBuf::from(command.get_program());
    let status = command
        .stdin(Stdio::null())
        .status()
        .map_err(|cause| CommandError::Start { program, cause })?;
    if status.success() {
        Ok(())
    } else {
        Err(CommandError::Failed {
            command: line,
            status,
            stderr: "see its messages above".to_owned(),
        })
    }
}

/// As [`run_shown`], and stopped when it and the programs that it started neither read
/// nor write anything for `silence`. A slow download may take as long as it needs; one
/// that stands still is stopped.
///
/// # Errors
/// As [`run_shown`], and when it was stopped.
pub fn run_watched(mut command: Command, silence: Duration) -> Result<(), CommandError> {
    let line = line(&command);
    let program = PathBuf::from(command.get_program());
    let mut child = command
        .stdin(Stdio::null())
        .spawn()
        .map_err(|cause| CommandError::Start {
            program: program.clone(),
            cause,
        })?;
    let pause = (silence / 20).clamp(Duration::from_millis(10), Duration::from_secs(2));
    let mut last = (family::activity(child.id()), Instant::now());
    loop {
        let ended = child.try_wait().map_err(|cause| CommandError::Start {
            program: program.clone(),
            cause,
        })?;
        if let Some(status) = ended {
            return if status.success() {
                Ok(())
            } else {
                Err(CommandError::Failed {
                    command: line,
                    status,
                    stderr: "see its messages above".to_owned(),
                })
            };
        }
        thread::sleep(pause);
        let now = family::activity(child.id());
        if now.abs_diff(last.0) > family::NOTHING {
            last = (now, Instant::now());
        } else if last.1.elapsed() >= silence {
            family::kill(child.id());
            drop(child.kill());
            drop(child.wait());
            return Err(CommandError::Silent {
                command: line,
                silence,
            });
        }
    }
}

fn run_until(
    mut command: Command,
    input: Option<Vec<u8>>,
    limit: Duration,
    stop: Option<&AtomicUsize>,
    read: impl FnOnce(&mut dyn Read) -> Vec<u8> + Send + 'static,
) -> Result<Finished, CommandError> {
    let deadline = Instant::now() + limit;
    let stopped = || stop.is_some_and(|stop| stop.load(Ordering::SeqCst) != 0);
    let text = line(&command);
    let program = PathBuf::from(command.get_program());
    let mut child = command
        .stdin(if input.is_some() {
            Stdio::piped()
        } else {
            Stdio::null()
        })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|cause| CommandError::Start { program, cause })?;

    if let (Some(mut pipe), Some(input)) = (child.stdin.take(), input) {
        // A program that ends without reading closes the pipe; its status tells.
        thread::spawn(move || drop(pipe.write_all(&input)));
    }
    // Threads of their own, not joined: a grandchild that keeps a pipe open
    // must not keep us.
    let stdout = collect(child.stdout.take(), read);
    let stderr = collect(child.stderr.take(), all);
    let wait = |end: &mpsc::Receiver<Vec<u8>>| loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let slice = stop.map_or(left, |_| left.min(STOP_EVERY));
        match end.recv_timeout(slice) {
            Ok(bytes) => return Some(bytes),
            Err(RecvTimeoutError::Timeout) if !left.is_zero() && !stopped() => {}
            Err(_) => return None,
        }
    };
    // Nobody reads on after too much: a program that goes on writing gets SIGPIPE.
    let enough = |text: &Option<Vec<u8>>| {
        text.as_ref()
            .is_none_or(|text| text.len() as u64 <= MOST_OUTPUT)
    };
    let (stdout, stderr) = match wait(&stdout) {
        stdout if enough(&stdout) => (stdout, wait(&stderr)),
        stdout => (stdout, None),
    };
    let too_much = !(enough(&stdout) && enough(&stderr));
    if !too_much && let (Some(stdout), Some(stderr)) = (stdout, stderr) {
        // Both pipes are closed, so it has ended or is about to.
        loop {
            match child.try_wait() {
                Ok(Some(status)) => {
                    return Ok(Finished {
                        command: text,
                        status,
                        stdout,
                        stderr: joined(&stderr),
                    });
                }
                Ok(None) if Instant::now() < deadline && !stopped() => {
                    thread::sleep(Duration::from_micros(200));
                }
                _ => break,
            }
        }
    }
    // Already gone is as good as killed; the wait takes it off the process table.
    if stop.is_some()
        && let Ok(pid) = i32::try_from(child.id())
        && let Some(group) = rustix::process::Pid::from_raw(pid)
    {
        rustix::process::kill_process_group(group, rustix::process::Signal::KILL).ok();
    }
    drop(child.kill());
    drop(child.wait());
    if too_much {
        return Err(CommandError::TooMuch { command: text });
    }
    if stopped() {
        return Err(CommandError::Interrupted { command: text });
    }
    Err(CommandError::TimedOut {
        command: text,
        limit,
    })
}

fn joined(text: &[u8]) -> String {
    String::from_utf8_lossy(text)
        .lines()
        .map(|line| crate::text::line(line, crate::text::ERROR))
        .filter(|line| !line.is_empty())
        .collect::<Vec<_>>()
        .join("; ")
}

fn collect(
    pipe: Option<impl Read + Send + 'static>,
    read: impl FnOnce(&mut dyn Read) -> Vec<u8> + Send + 'static,
) -> mpsc::Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let bytes = pipe.map(|mut pipe| read(&mut pipe)).unwrap_or_default();
        drop(sender.send(bytes));
    });
    receiver
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::fs::PermissionsExt;
    use std::sync::Arc;

    use crate::command::find;

    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn strings_are_found_wherever_they_lie_in_a_long_output() {
        let strings = ["needle", "none", "", "12345x"].map(|text| text.as_bytes().to_vec());
        let bounds = Bounds {
            limit: Duration::from_secs(20),
            stop: Arc::default(),
        };
        // Also across the end of a block.
        for before in [0, 65_533, 65_536, 131_070] {
            let script =
                format!("head -c {before} /dev/zero; printf needle12345; sleep 0.1; echo x");
            assert_eq!(
                search(shell(&script), &strings, &bounds).unwrap(),
                [true, false, false, true],
                "{before}"
            );
        }
        assert!(search(shell("echo needle; exit 3"), &strings, &bounds).is_err());
    }

    #[test]
    fn input_reaches_the_program_and_output_comes_back() {
        let done = run(
            shell("cat; echo bad >&2; exit 3"),
            Some(b"value".to_vec()),
            Duration::from_secs(10),
        )
        .unwrap();
        assert_eq!(done.stdout, b"value");
        assert_eq!(done.stderr, "bad");
        assert_eq!(done.status.code(), Some(3));
    }

    #[test]
    fn a_program_that_hangs_is_stopped_even_with_a_grandchild_on_its_pipes() {
        let start = Instant::now();
        let error = run(
            shell("sleep 30 & sleep 30"),
            None,
            Duration::from_millis(200),
        );
        assert!(
            matches!(error, Err(CommandError::TimedOut { .. })),
            "{error:?}"
        );
        assert!(start.elapsed() < Duration::from_secs(5));
    }

    #[test]
    fn a_program_is_stopped_from_outside_with_what_it_started() {
        let directory = tempfile::tempdir().unwrap();
        let mark = directory.path().join("mark");
        let bounds = Bounds {
            limit: Duration::from_secs(30),
            stop: Arc::default(),
        };
        let stop = Arc::clone(&bounds.stop);
        thread::spawn(move || {
            thread::sleep(Duration::from_millis(100));
            stop.store(2, Ordering::SeqCst);
        });
        let start = Instant::now();
        let script = format!("(sleep 1; : > {}) & wait", mark.display());
        let error = run_bounded(shell(&script), None, &bounds);
        assert!(
            matches!(error, Err(CommandError::Interrupted { .. })),
            "{error:?}"
        );
        assert!(start.elapsed() < Duration::from_millis(900));
        thread::sleep(Duration::from_millis(1300));
        assert!(!mark.exists(), "a grandchild went on");
    }

    #[test]
    fn much_output_does_not_block() {
        let done = run(
            shell("head -c 1000000 /dev/zero; head -c 1000000 /dev/zero >&2"),
            None,
            Duration::from_secs(10),
        )
        .unwrap();
        assert_eq!(done.stdout.len(), 1_000_000);
    }

    #[test]
    fn endless_output_ends_the_program_and_not_the_memory() {
        for script in ["exec yes", "exec yes >&2", "trap '' PIPE; yes; sleep 30"] {
            let start = Instant::now();
            let error = run(shell(script), None, Duration::from_mins(1));
            assert!(
                matches!(error, Err(CommandError::TooMuch { .. })),
                "{script}"
            );
            assert!(start.elapsed() < Duration::from_secs(20), "{script}");
        }
    }

    #[test]
    fn path_comes_before_the_usual_directories_and_files_must_be_executable() {
        let root = tempfile::tempdir().unwrap();
        let make = |path: &str, mode: u32| {
            let file = root.path().join(path);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(&file, "").unwrap();
            std::fs::set_permissions(&file, PermissionsExt::from_mode(mode)).unwrap();
            file
        };
        let usual = make("usr/bin/podman", 0o755);
        let path = OsStr::new("/opt/a:relative:/opt/b");
        let found = || find(root.path(), Some(path), &[], "podman");
        assert_eq!(found(), Some(usual));
        make("opt/a/podman", 0o644);
        let listed = make("opt/b/podman", 0o755);
        assert_eq!(found(), Some(listed));
        assert_eq!(find(root.path(), None, &[], "absent"), None);
    }
}
