//! Runs a plan: groups, tries, time-outs, cleanups, and an end that is asked for.
//!
//! Every duration is of the monotonic clock: setting the time of day meanwhile
//! changes nothing.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use aistack_checks::finding::Finding;
use aistack_machine::command::Bounds;
use serde::{Serialize, Serializer};

use crate::machine::{Machine, StepError, lock};
use crate::plan::{Need, Plan, Planned, PlannedGroup, Try};

/// How often a step that waits looks whether it has to end.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How long a try may go on after its time or after the end was asked for, to end
/// by itself; then it is left behind.
const GRACE: Duration = Duration::from_millis(500);
/// How many steps of a group run at the same time.
const AT_ONCE: usize = 64;
/// How long the journal's end may take to be found.
const JOURNAL_LIMIT: Duration = Duration::from_secs(10);
/// How long podman may take to name the containers that are there at the beginning.
const LOOK_LIMIT: Duration = Duration::from_secs(30);

/// One step that was run, or passed over.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Done {
    /// Name of the scenario.
    pub scenario: String,
    /// Name of the group.
    pub group: String,
    /// Name of the step.
    pub name: String,
    /// What was found.
    #[serde(serialize_with = "word")]
    pub finding: Finding,
    /// What was seen, where it did not pass.
    pub message: Option<String>,
    /// How many times it was tried.
    pub tries: u32,
    /// How long it took, in milliseconds.
    pub duration_ms: f64,
}

/// The word of a test for what was found.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn word<S: Serializer>(finding: &Finding, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(match finding {
        Finding::Ok => "passed",
        Finding::NotOk => "failed",
        Finding::Skipped => "skipped",
    })
}

/// Runs plans on a machine.
pub struct Runner<'a> {
    /// The machine.
    pub machine: Arc<Machine>,
    /// The signal that asked for the end; 0: none did.
    pub stop: Arc<AtomicUsize>,
    /// Is told of each step as soon as it is done.
    pub listener: &'a (dyn Fn(&Done) + Sync),
}

struct Outcome {
    finding: Finding,
    message: Option<String>,
    tries: u32,
    duration: Duration,
}

impl Outcome {
    fn skipped(why: &str) -> Self {
        Self {
            finding: Finding::Skipped,
            message: Some(why.to_owned()),
            tries: 0,
            duration: Duration::ZERO,
        }
    }
}

impl Runner<'_> {
    /// Runs the plan to its end, with what cleans up after it.
    #[must_use]
    pub fn run(&self, plan: &Plan) -> Vec<Done> {
        let done = Mutex::new(Vec::new());
        let say = |group: &str, name: &str, outcome: Outcome| {
            let step = Done {
                scenario: plan.name.clone(),
                group: group.to_owned(),
                name: name.to_owned(),
                finding: outcome.finding,
                message: outcome
                    .message
                    .map(|text| aistack_machine::text::bytes(text.as_bytes(), 600)),
                tries: outcome.tries,
                duration_ms: (outcome.duration.as_secs_f64() * 1e5).round() / 1e2,
            };
            let mut done = lock(&done);
            (self.listener)(&step);
            done.push(step);
        };
        if plan.needs(&Need::Journal) {
            self.machine.begin_journal(&Bounds {
                limit: JOURNAL_LIMIT,
                stop: Arc::clone(&self.stop),
            });
        }
        if plan.needs(&Need::OldContainers) {
            self.machine.remember_all(&Bounds {
                limit: LOOK_LIMIT,
                stop: Arc::clone(&self.stop),
            });
        }
        // What has begun is cleaned up after, the last first.
        let started: Mutex<Vec<&Planned>> = Mutex::default();
        let mut broken: Option<String> = None;
        for group in &plan.groups {
            let begin = Instant::now();
            if self.group(group, &mut broken, &started, &say) && broken.is_none() {
                broken = Some(format!("{} failed", group.name));
            }
            if let Some(limit) = group.limit
                && begin.elapsed() > limit
                && !self.stopped()
            {
                let outcome = Outcome {
                    finding: Finding::NotOk,
                    message: Some(too_long(begin.elapsed(), limit)),
                    tries: 1,
                    duration: begin.elapsed(),
                };
                say(&group.name, "the whole group is quick enough", outcome);
                if !group.keep_going && broken.is_none() {
                    broken = Some(format!("{} took too long", group.name));
                }
            }
        }
        let never = Arc::new(AtomicUsize::new(0));
        let started = started.into_inner().unwrap_or_else(PoisonError::into_inner);
        for step in started.into_iter().rev().flat_map(|step| &step.cleanup) {
            say("cleanup", &step.name, self.step(step, &never));
        }
        self.machine.release_all();
        done.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::SeqCst) != 0
    }

    /// Runs a group; whether one of its steps failed and that ends the scenario.
    fn group<'p>(
        &self,
        group: &'p PlannedGroup,
        broken: &mut Option<String>,
        begun: &Mutex<Vec<&'p Planned>>,
        say: &(dyn Fn(&str, &str, Outcome) + Sync),
    ) -> bool {
        let run = |step: &'p Planned, before: Option<&str>| -> bool {
            let outcome = match before {
                _ if self.stopped() => Outcome::skipped("interrupted"),
                Some(why) => Outcome::skipped(why),
                None => {
                    if !step.cleanup.is_empty() {
                        lock(begun).push(step);
                    }
                    self.step(step, &self.stop)
                }
            };
            let failed = outcome.finding == Finding::NotOk;
            say(&group.name, &step.name, outcome);
            failed
        };
        if group.parallel {
            let before = broken.as_deref();
            let mut failed = false;
            for steps in group.steps.chunks(AT_ONCE) {
                failed |= thread::scope(|threads| {
                    let running: Vec<_> = steps
                        .iter()
                        .map(|step| threads.spawn(|| run(step, before)))
                        .collect();
                    running
                        .into_iter()
                        .map(|thread| thread.join().unwrap_or(true))
                        .fold(false, |failed, this| failed | this)
                });
            }
            return failed && !group.keep_going;
        }
        for step in &group.steps {
            let failed = run(step, broken.as_deref());
            if failed && !group.keep_going && broken.is_none() {
                *broken = Some(format!("not run, because this failed: {}", step.name));
            }
        }
        false
    }

    /// Runs one step with all its tries.
    fn step(&self, planned: &Planned, stop: &Arc<AtomicUsize>) -> Outcome {
        let begin = Instant::now();
        let stopped = || stop.load(Ordering::SeqCst) != 0;
        let mut pause = planned.retry.map_or(Duration::ZERO, |retry| retry.every.0);
        let mut tries = 0;
        let result = loop {
            tries += 1;
            let left = planned.timeout.saturating_sub(begin.elapsed());
            let limit = planned
                .retry
                .map_or(left, |retry| left.min(retry.attempt.0));
            let bounds = Bounds {
                limit,
                stop: Arc::clone(stop),
            };
            let result = self.attempt(&planned.run, &bounds);
            let (Err(StepError::Failed(_)), Some(retry)) = (&result, planned.retry) else {
                break result;
            };
            let left = planned.timeout.saturating_sub(begin.elapsed());
            let last = retry
                .tries
                .is_some_and(|most| tries >= u32::from(most.get()));
            if stopped() || last || pause >= left {
                break result;
            }
            sleep(pause, &stopped);
            if stopped() {
                break result;
            }
            pause = pause.mul_f64(retry.factor).min(retry.longest.0);
        };
        let duration = begin.elapsed();
        let (finding, message) = match result {
            Ok(()) => match planned.limit {
                Some(limit) if duration > limit => {
                    (Finding::NotOk, Some(too_long(duration, limit)))
                }
                _ => (Finding::Ok, None),
            },
            Err(StepError::Skipped(why)) => (Finding::Skipped, Some(why)),
            Err(StepError::Failed(why)) if stopped() => {
                (Finding::NotOk, Some(format!("interrupted; {why}")))
            }
            Err(StepError::Failed(why)) if tries > 1 => (
                Finding::NotOk,
                Some(format!(
                    "{why} (tried {tries} times in {:.1} s)",
                    duration.as_secs_f64()
                )),
            ),
            Err(StepError::Failed(why)) => (Finding::NotOk, Some(why)),
        };
        Outcome {
            finding,
            message,
            tries,
            duration,
        }
    }

    /// One try, on a thread of its own: whatever blocks in there does not block us.
    fn attempt(&self, run: &Arc<Try>, bounds: &Bounds) -> Result<(), StepError> {
        let timed_out = || {
            let limit = bounds.limit.as_secs_f64();
            Err(StepError::Failed(format!("no end within {limit:.3} s")))
        };
        if bounds.limit.is_zero() {
            return timed_out();
        }
        let (sender, receiver) = mpsc::channel();
        let (machine, run) = (Arc::clone(&self.machine), Arc::clone(run));
        let inner = bounds.clone();
        let spawned = thread::Builder::new()
            .name("step".to_owned())
            .spawn(move || drop(sender.send(run(&machine, &inner))));
        if let Err(error) = spawned {
            return Err(StepError::Failed(format!("no thread for it: {error}")));
        }
        let end = Instant::now() + bounds.limit + GRACE;
        let mut asked_to_end: Option<Instant> = None;
        loop {
            match receiver.recv_timeout(LOOK_EVERY) {
                Ok(result) => return result,
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(StepError::Failed("its thread ended early".to_owned()));
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
            if bounds.stop.load(Ordering::SeqCst) != 0 {
                let asked = *asked_to_end.get_or_insert_with(Instant::now);
                if asked.elapsed() > GRACE {
                    return Err(StepError::Failed("it did not end at once".to_owned()));
                }
            }
            if Instant::now() > end {
                return timed_out();
            }
        }
    }
}

fn too_long(took: Duration, limit: Duration) -> String {
    format!(
        "it took {:.2} s, more than {} s",
        took.as_secs_f64(),
        limit.as_secs_f64()
    )
}

/// Sleeps, unless the end is asked for.
fn sleep(duration: Duration, stopped: &impl Fn() -> bool) {
    let begin = Instant::now();
    while !stopped() {
        let left = duration.saturating_sub(begin.elapsed());
        if left.is_zero() {
            return;
        }
        thread::sleep(left.min(LOOK_EVERY));
    }
}
