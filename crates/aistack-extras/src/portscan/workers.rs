//! One job for each file, on all processors, with a limit for each.
//!
//! A job that takes too long can't be stopped. It is given up on: its thread ends with that
//! job, and another takes its place for the other jobs.

use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::portscan::STACK;

/// How a job ended.
#[derive(Debug)]
pub(crate) enum End<T> {
    Done(T),
    /// It was not done within the limit.
    Late,
    /// The limit for all of them was over before it began.
    Unread,
    Panicked,
}

/// What the threads share.
struct Shared<T, F> {
    paths: Vec<PathBuf>,
    next: AtomicUsize,
    job: F,
    /// What each thread is at, and since when.
    busy: Mutex<Vec<Option<(usize, Instant)>>>,
    results: Sender<(usize, End<T>)>,
}

/// Does the job for every path; the ends are in the paths' order. `limit` is for each
/// job, `total` for all of them: what has not begun by then is not begun.
///
/// # Errors
/// When no thread can be started.
pub(crate) fn all<T: Send + 'static>(
    paths: &[PathBuf],
    limit: Duration,
    total: Duration,
    job: impl Fn(&Path) -> T + Send + Sync + 'static,
) -> io::Result<Vec<End<T>>> {
    let (results, ends) = mpsc::channel();
    let shared = Arc::new(Shared {
        paths: paths.to_vec(),
        next: AtomicUsize::new(0),
        job,
        busy: Mutex::new(Vec::new()),
        results,
    });
    let threads = thread::available_parallelism().map_or(1, usize::from);
    for _ in 0..threads.min(paths.len()) {
        start(&shared)?;
    }
    let mut done: Vec<Option<End<T>>> = paths.iter().map(|_| None).collect();
    let mut left = paths.len();
    // How many of the missing ends it is: none, when it was given up on before.
    let mut record = |at: usize, end: End<T>| match done.get_mut(at) {
        Some(place @ None) => {
            *place = Some(end);
            1
        }
        _ => 0,
    };
    let look = (limit / 2).min(Duration::from_millis(100));
    let begun = Instant::now();
    while left > 0 {
        if begun.elapsed() > total {
            // Each thread ends after its job.
            shared.next.store(paths.len(), Ordering::Relaxed);
            for at in overdue(&shared, Duration::ZERO) {
                record(at, End::Late);
            }
            break;
        }
        match ends.recv_timeout(look) {
            Ok((at, end)) => left -= record(at, end),
            // There is always a sender: `shared` has one.
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                for at in overdue(&shared, limit) {
                    left -= record(at, End::Late);
                    start(&shared)?;
                }
            }
        }
    }
    Ok(done
        .into_iter()
        .map(|end| end.unwrap_or(End::Unread))
        .collect())
}

/// The jobs that have been under way for too long; each is named once.
fn overdue<T, F>(shared: &Shared<T, F>, limit: Duration) -> Vec<usize> {
    let mut busy = shared.busy.lock().unwrap_or_else(PoisonError::into_inner);
    busy.iter_mut()
        .filter_map(|slot| {
            slot.take_if(|(_, since)| since.elapsed() > limit)
                .map(|(at, _)| at)
        })
        .collect()
}

fn start<T, F>(shared: &Arc<Shared<T, F>>) -> io::Result<()>
where
    T: Send + 'static,
    F: Fn(&Path) -> T + Send + Sync + 'static,
{
    let shared = Arc::clone(shared);
    let slot = {
        let mut busy = shared.busy.lock().unwrap_or_else(PoisonError::into_inner);
        busy.push(None);
        busy.len() - 1
    };
    let run = move || {
        // What was noted before.
        let note = |what: Option<(usize, Instant)>| {
            let mut busy = shared.busy.lock().unwrap_or_else(PoisonError::into_inner);
            busy.get_mut(slot)
                .and_then(|place| std::mem::replace(place, what))
        };
        loop {
            let at = shared.next.fetch_add(1, Ordering::Relaxed);
            let Some(path) = shared.paths.get(at) else {
                return;
            };
            let _ = note(Some((at, Instant::now())));
            let end = panic::catch_unwind(AssertUnwindSafe(|| (shared.job)(path)))
                .map_or(End::Panicked, End::Done);
            // A thread that was given up on has been replaced, and ends here.
            let given_up = note(None).is_none();
            // Nobody listens any more when the others are done.
            if given_up || shared.results.send((at, end)).is_err() {
                return;
            }
        }
    };
    thread::Builder::new().stack_size(STACK).spawn(run)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(names: &[&str]) -> Vec<PathBuf> {
        names.iter().map(PathBuf::from).collect()
    }

    /// A job for each name: `slow` takes for ever, `bad` panics.
    fn job(path: &Path) -> String {
        match path.to_str() {
            Some("slow") => loop {
                thread::park();
            },
            Some("bad") => std::panic::resume_unwind(Box::new(())),
            other => other.unwrap_or_default().to_owned(),
        }
    }

    #[test]
    fn what_takes_for_ever_is_given_up_on_and_the_rest_is_done() {
        // More of them than there are threads at first.
        let threads = thread::available_parallelism().map_or(1, usize::from);
        let mut names = vec!["slow"; threads + 1];
        names.extend(["a", "bad", "b", "slow", "c"]);
        let ends = all(
            &paths(&names),
            Duration::from_millis(300),
            Duration::from_mins(1),
            job,
        )
        .unwrap_or_default();
        let told: Vec<String> = ends
            .into_iter()
            .map(|end| match end {
                End::Done(name) => name,
                End::Late => "late".to_owned(),
                End::Unread => "unread".to_owned(),
                End::Panicked => "panicked".to_owned(),
            })
            .collect();
        let mut wanted = vec!["late"; threads + 1];
        wanted.extend(["a", "panicked", "b", "late", "c"]);
        assert_eq!(told, wanted);
    }

    #[test]
    fn nothing_to_do() {
        let second = Duration::from_secs(1);
        assert!(all(&[], second, second, job).is_ok_and(|ends| ends.is_empty()));
    }

    #[test]
    fn all_of_them_have_a_limit_and_threads_that_were_given_up_on_end() {
        static ENDED: AtomicUsize = AtomicUsize::new(0);
        static BEGUN: AtomicUsize = AtomicUsize::new(0);
        let threads = thread::available_parallelism().map_or(1, usize::from);
        let names = vec!["slow"; threads + 20];
        let slow = |_: &Path| {
            BEGUN.fetch_add(1, Ordering::Relaxed);
            thread::sleep(Duration::from_millis(1500));
            ENDED.fetch_add(1, Ordering::Relaxed);
        };
        let start = Instant::now();
        let limit = Duration::from_millis(300);
        let ends = all(&paths(&names), limit, 2 * limit, slow).unwrap_or_default();
        assert!(start.elapsed() < Duration::from_millis(1500));
        assert_eq!(ends.len(), names.len());
        let unread = ends.iter().filter(|end| matches!(end, End::Unread)).count();
        assert!(unread > 0 && ends.iter().any(|end| matches!(end, End::Late)));
        thread::sleep(Duration::from_millis(2500));
        let begun = BEGUN.load(Ordering::Relaxed);
        assert_eq!(begun, ENDED.load(Ordering::Relaxed));
        assert_eq!(begun + unread, names.len(), "no job begins after the limit");
    }
}
