//! What ollama says of its models and devices.

use serde::Deserialize;

use crate::device::Device;

/// A model that ollama has in memory (`GET /api/ps`).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Model {
    /// Its name.
    name: String,
    /// What it takes, in bytes.
    size: u64,
    /// What of that is in a GPU's memory, in bytes.
    #[serde(default)]
    size_vram: u64,
}

/// The models in an answer of `GET /api/ps`.
///
/// # Errors
/// When it is no such answer, in words for people.
pub fn loaded(answer: &str) -> Result<Vec<Model>, String> {
    #[derive(Deserialize)]
    struct Answer {
        models: Option<Vec<Model>>,
    }
    serde_json::from_str::<Answer>(answer)
        .map(|answer| answer.models.unwrap_or_default())
        .map_err(|error| format!("the answer is not ollama's: {error}"))
}

/// What ollama computes on, by its models and, when there are none, by its log.
#[must_use]
pub fn ollama(models: &[Model], log: Option<&str>) -> Device {
    let (mut accelerated, mut slow) = (Vec::new(), Vec::new());
    for model in models {
        let name = aistack_machine::text::line(&model.name, aistack_machine::text::QUOTE);
        // Percent of a size that is at most some terabytes.
        match model.size_vram.saturating_mul(100) / model.size.max(1) {
            0 if model.size_vram == 0 => slow.push(name),
            percent => accelerated.push(format!("{name} ({}% on the GPU)", percent.min(100))),
        }
    }
    match (accelerated.is_empty(), slow.is_empty()) {
        (false, true) => return Device::Gpu(accelerated.join(", ")),
        // A second model for which there is no room is on the processor, as it is said to be.
        (false, false) => {
            return Device::Gpu(format!(
                "{}; on the processor: {}",
                accelerated.join(", "),
                slow.join(", ")
            ));
        }
        (true, false) => {
            return Device::Cpu(format!("{} has nothing in a GPU's memory", slow.join(", ")));
        }
        (true, true) => {}
    }
    match log.and_then(found_at_start) {
        Some(Found::Nothing) => Device::Cpu(
            "no model is loaded, and when it started it found no GPU: it will compute on the \
             processor"
                .to_owned(),
        ),
        Some(Found::Gpu(name)) => Device::Unknown(format!(
            "no model is loaded; when it started it found {name}"
        )),
        None => Device::Unknown("no model is loaded".to_owned()),
    }
}

enum Found {
    Gpu(String),
    Nothing,
}

/// What the last start found: `msg="inference compute" … library=CUDA …
/// description="NVIDIA GeForce RTX 4090"`, a line for each device, or one with
/// `library=cpu` alone.
fn found_at_start(log: &str) -> Option<Found> {
    let mut found = None;
    for line in log.lines() {
        if !line.contains("msg=\"inference compute\"") {
            continue;
        }
        let field = |name: &str| {
            let (_, rest) = line.split_once(name)?;
            match rest.strip_prefix('"') {
                Some(quoted) => quoted.split('"').next(),
                None => rest.split_whitespace().next(),
            }
        };
        let library = field(" library=").unwrap_or_default();
        if library.eq_ignore_ascii_case("cpu") {
            // The processor may stand beside a GPU.
            found.get_or_insert(Found::Nothing);
        } else if !library.is_empty() {
            let name = field(" description=").or_else(|| field(" name="));
            found = Some(Found::Gpu(match name {
                Some(name) if !name.is_empty() => format!(
                    "{} ({library})",
                    aistack_machine::text::line(name, aistack_machine::text::QUOTE)
                ),
                _ => aistack_machine::text::line(library, aistack_machine::text::QUOTE),
            }));
        }
    }
    found
}
