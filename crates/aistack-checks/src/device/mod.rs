//! Which device an inference engine really computes on.
//!
//! An engine that finds no GPU says so in one line of its log, if at all, and
//! computes on the processor, ten times slower. Here it is asked: its API, its
//! log, and the device nodes that its processes hold open. The answer has three
//! values: what can't be seen is [`Device::Unknown`], never a guess.
//!
//! | Engine | Asked first | Then | Then |
//! |---|---|---|---|
//! | ollama | `GET /api/ps`: `size_vram` of the loaded models | `inference compute` lines of the log | |
//! | llama.cpp | placement of layers in the log (older releases, or `-lv 4`) | open device nodes | |
//! | vLLM | `Automatically detected platform` in the log | open device nodes | |
//! | others | open device nodes | | |

mod log;
mod ollama;
mod source;

use aistack_machine::cgroup::Manager;
use aistack_machine::handles::Handles;

pub use log::{llama_cpp, vllm};
pub use ollama::{loaded, ollama};
pub use source::{Machine, Source};

/// A program that runs models.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// llama.cpp's server; it loads its model before it is well.
    LlamaCpp,
    /// ollama, which loads models when they are asked for.
    Ollama,
    /// vLLM; it loads its model before it is well.
    Vllm,
    /// Anything else that was given a GPU.
    Other,
}

impl Engine {
    /// The engine in an image, by its name without registry's tag or digest.
    #[must_use]
    pub fn of_image(name: &str) -> Self {
        let has = |word: &str| name.split(['/', '-', '_']).any(|part| part == word);
        if has("llama.cpp") || name.contains("llama-cpp") || name.contains("llama-server") {
            Self::LlamaCpp
        } else if has("ollama") {
            Self::Ollama
        } else if has("vllm") {
            Self::Vllm
        } else {
            Self::Other
        }
    }

    /// Whether a well server of it has its model loaded.
    fn loads_at_start(self) -> bool {
        matches!(self, Self::LlamaCpp | Self::Vllm)
    }
}

/// What an engine computes on, and how that is known, in words for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Device {
    /// A GPU, with at least a part of the model.
    Gpu(String),
    /// The processor alone.
    Cpu(String),
    /// It can't be seen: why.
    Unknown(String),
}

/// An engine to be looked at.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// What it is.
    pub engine: Engine,
    /// Its systemd unit, whose control group holds its processes.
    pub unit: &'a str,
    /// Its container.
    pub container: &'a str,
    /// Whose it is.
    pub owner: Manager,
    /// Where its API is: `http://127.0.0.1:11434`.
    pub api: Option<&'a str>,
    /// What answers when it is well.
    pub health: Option<&'a str>,
}

/// Looks at an engine.
#[must_use]
pub fn ask(question: &Question<'_>, source: &dyn Source) -> Device {
    let handles = source.handles(question.owner, question.unit);
    if handles.processes == 0 {
        return Device::Unknown(match handles.hidden {
            0 => "it has no processes".to_owned(),
            _ => "its processes can't be seen by this user".to_owned(),
        });
    }
    let by_words = match question.engine {
        Engine::Ollama => {
            return ollama_device(question, source);
        }
        Engine::LlamaCpp => source.log(question).map(|log| llama_cpp(&log)),
        Engine::Vllm => source.log(question).map(|log| vllm(&log)),
        Engine::Other => Ok(None),
    };
    let log_error = match by_words {
        Ok(Some(device)) => return device,
        Ok(None) => None,
        Err(error) => Some(error),
    };
    by_handles(question, source, &handles, log_error.as_deref())
}

fn ollama_device(question: &Question<'_>, source: &dyn Source) -> Device {
    let Some(api) = question.api else {
        return Device::Unknown("it publishes no port to ask".to_owned());
    };
    let answer = match source.get(&format!("{}/api/ps", api.trim_end_matches('/'))) {
        Ok(answer) => answer,
        Err(error) => return Device::Unknown(format!("GET /api/ps: {error}")),
    };
    let models = match loaded(&answer) {
        Ok(models) => models,
        Err(error) => return Device::Unknown(format!("GET /api/ps: {error}")),
    };
    // What it found when it started only counts for a model to come.
    let log = if models.is_empty() {
        source.log(question).ok()
    } else {
        None
    };
    ollama(&models, log.as_deref())
}

fn by_handles(
    question: &Question<'_>,
    source: &dyn Source,
    handles: &Handles,
    log_error: Option<&str>,
) -> Device {
    let nodes = handles.computing();
    if !nodes.is_empty() {
        return Device::Gpu(format!("its processes have {} open", nodes.join(", ")));
    }
    let hidden = match (handles.hidden, log_error) {
        (0, _) => None,
        (_, None) => Some("the open files of its processes can't be seen by this user".to_owned()),
        (_, Some(error)) => Some(format!(
            "the open files of its processes can't be seen by this user, and its log could not \
             be read: {error}"
        )),
    };
    if let Some(why) = hidden {
        return Device::Unknown(why);
    }
    let none = "none of its processes has a GPU's device node open";
    if !question.engine.loads_at_start() {
        return Device::Unknown(format!("{none}: it may not have loaded a model yet"));
    }
    match question.health.map(|url| source.get(url)) {
        Some(Ok(_)) => Device::Cpu(format!("{none}, though its model is loaded")),
        Some(Err(error)) => Device::Unknown(format!("{none}, but it is not well yet: {error}")),
        None => Device::Unknown(format!("{none}: it may not have loaded its model yet")),
    }
}
