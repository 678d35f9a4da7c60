//! NVIDIA's management library, which alone tells how much memory a card has.
//!
//! It comes with the driver and is loaded at run time by the `nvml-wrapper`
//! crate, where a card with that driver is. It talks to the running kernel, so
//! it is never asked for a captured tree.

use std::ffi::OsStr;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use nvml_wrapper::Nvml as Library;
use nvml_wrapper::error::NvmlError;

/// Where the library is: by the loader's own ways, then NixOS's folder of
/// drivers, WSL's, and those of distributions that a loader of Nix's doesn't search.
const PATHS: [&str; 6] = [
    "libnvidia-ml.so.1",
    "/run/opengl-driver/lib/libnvidia-ml.so.1",
    "/usr/lib/wsl/lib/libnvidia-ml.so.1",
    "/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1",
    "/usr/lib/aarch64-linux-gnu/libnvidia-ml.so.1",
    "/usr/lib64/libnvidia-ml.so.1",
];

/// How long the library may take for all cards. It starts them if nothing else
/// has, which takes seconds; a card that has fallen off its bus makes it hang.
const LIMIT: Duration = Duration::from_secs(10);

/// What the library says of a card.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It knows the card.
    Card {
        /// The card's memory, in bytes; none: the card has none of its own.
        memory_bytes: Option<u64>,
        /// `8.9`
        capability: Option<String>,
    },
    /// It can't be asked, or doesn't know the card: why, in words for people.
    Silent(String),
}

/// Whom to ask for NVIDIA's cards.
pub(crate) trait Nvml {
    /// What is known of the card in that slot.
    fn card(&mut self, slot: &str) -> Answer;
}

/// Nobody: the tree is another machine's.
pub(crate) struct Nobody;

impl Nvml for Nobody {
    fn card(&mut self, _: &str) -> Answer {
        Answer::Silent(
            "only NVIDIA's library tells, which answers for the running machine alone".to_owned(),
        )
    }
}

/// The library of this machine, loaded when it is first asked for.
#[derive(Default)]
pub(crate) struct Live {
    asked: Option<Result<Conversation, String>>,
}

struct Conversation {
    questions: mpsc::Sender<String>,
    answers: mpsc::Receiver<Result<Answer, String>>,
}

impl Nvml for Live {
    fn card(&mut self, slot: &str) -> Answer {
        let conversation = self.asked.get_or_insert_with(|| Ok(start()));
        let answer = match conversation {
            Err(why) => return Answer::Silent(why.clone()),
            Ok(conversation) => {
                // A thread that has ended closes the other end; the next line sees it.
                let _ = conversation.questions.send(slot.to_owned());
                conversation.answers.recv_timeout(LIMIT)
            }
        };
        match answer {
            Ok(Ok(answer)) => answer,
            Ok(Err(why)) => {
                self.asked = Some(Err(why.clone()));
                Answer::Silent(why)
            }
            Err(_) => {
                let why = format!(
                    "NVIDIA's library gave no answer within {} s",
                    LIMIT.as_secs()
                );
                self.asked = Some(Err(why.clone()));
                Answer::Silent(why)
            }
        }
    }
}

/// A thread of its own, since nothing can break off a call into the library;
/// when it hangs, it ends with the program.
fn start() -> Conversation {
    let (questions, asked) = mpsc::channel::<String>();
    let (answer, answers) = mpsc::channel();
    thread::spawn(move || {
        let library = load();
        for slot in asked {
            let said = match &library {
                Ok(library) => Ok(ask(library, &slot)),
                Err(why) => Err(why.clone()),
            };
            if answer.send(said).is_err() {
                return;
            }
        }
    });
    Conversation { questions, answers }
}

fn load() -> Result<Library, String> {
    for path in PATHS {
        match Library::builder().lib_path(OsStr::new(path)).init() {
            Ok(library) => return Ok(library),
            Err(NvmlError::LibloadingError(_) | NvmlError::LibraryNotFound) => {}
            Err(error) => return Err(said(&error)),
        }
    }
    Err("NVIDIA's library libnvidia-ml.so.1 was not found".to_owned())
}

fn ask(library: &Library, slot: &str) -> Answer {
    let card = match library.device_by_pci_bus_id(slot) {
        Ok(card) => card,
        Err(error) => return Answer::Silent(said(&error)),
    };
    let capability = card
        .cuda_compute_capability()
        .ok()
        .map(|capability| format!("{}.{}", capability.major, capability.minor));
    match card.memory_info() {
        Ok(memory) => Answer::Card {
            memory_bytes: Some(memory.total),
            capability,
        },
        // Its memory is the processor's (GB10).
        Err(NvmlError::NotSupported) => Answer::Card {
            memory_bytes: None,
            capability,
        },
        Err(error) => Answer::Silent(said(&error)),
    }
}

fn said(error: &NvmlError) -> String {
    format!("NVIDIA's library says: {error}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_asked_says_why() {
        assert!(matches!(Nobody.card("0000:01:00.0"), Answer::Silent(_)));
        // On a machine without NVIDIA's library, twice, the second time by memory.
        if let Err(why) = load() {
            let mut live = Live::default();
            for _ in 0..2 {
                assert_eq!(live.card("0000:01:00.0"), Answer::Silent(why.clone()));
            }
        }
    }
}
