//! A running ollama, over its HTTP interface.
//!
//! `POST /api/pull` answers with a line of JSON whenever something moved, so a
//! download of hours is told from one that hangs by the time between two lines.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use aistack_machine::probe::client;
use serde::Deserialize;
use ureq::Agent;

use crate::models::mib;

/// The largest list of models that is read, in bytes.
const MAX_TAGS: u64 = 16 * 1024 * 1024;
/// The longest line of a pull, in bytes; a real one has some hundred.
const MAX_LINE: u64 = 64 * 1024;
/// Layers below this many bytes (templates, licences) are not worth a line.
const LARGE: u64 = 10 * crate::models::MIB;
/// How long an answer that is not a pull may take.
const ANSWER: Duration = Duration::from_secs(30);

/// Why ollama did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
pub struct OllamaError {
    text: String,
    permanent: bool,
}

impl OllamaError {
    fn passing(text: String) -> Self {
        let permanent = false;
        Self { text, permanent }
    }

    /// Whether trying again won't help.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        self.permanent
    }
}

/// A model's name as ollama lists it: `latest` stands for no tag.
#[must_use]
pub fn with_tag(name: &str) -> String {
    let last = name.rsplit('/').next().unwrap_or(name);
    if last.contains(':') {
        name.to_owned()
    } else {
        format!("{name}:latest")
    }
}

/// A running ollama.
#[derive(Debug)]
pub struct Ollama {
    base: String,
}

#[derive(Deserialize)]
struct Tags {
    models: Option<Vec<Tag>>,
}

#[derive(Deserialize)]
struct Tag {
    name: String,
}

/// A line of a pull.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Step {
    status: String,
    digest: Option<String>,
    total: Option<u64>,
    completed: Option<u64>,
    error: Option<String>,
}

impl Ollama {
    /// The one that answers at `url`, of which only protocol, host and port count.
    #[must_use]
    pub fn at(url: &str) -> Self {
        let (protocol, rest) = url.split_once("://").unwrap_or(("http", url));
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        Self {
            base: format!("{protocol}://{authority}"),
        }
    }

    /// Where it answers, without a path.
    #[must_use]
    pub fn base(&self) -> &str {
        &self.base
    }

    fn agent(limit: Option<Duration>) -> Agent {
        client()
            .timeout_global(limit)
            .timeout_connect(Some(ANSWER))
            .build()
            .new_agent()
    }

    /// The names of the models in its library, each with a tag.
    ///
    /// # Errors
    /// When it doesn't answer, or not as ollama does.
    pub fn models(&self) -> Result<BTreeSet<String>, OllamaError> {
        let url = format!("{}/api/tags", self.base);
        let failed =
            |why: &dyn std::fmt::Display| OllamaError::passing(format!("GET {url}: {why}"));
        let mut response = Self::agent(Some(ANSWER))
            .get(&url)
            .call()
            .map_err(|error| failed(&error))?;
        if !response.status().is_success() {
            return Err(failed(&format!("status {}", response.status().as_u16())));
        }
        let mut text = Vec::new();
        response
            .body_mut()
            .as_reader()
            .take(MAX_TAGS)
            .read_to_end(&mut text)
            .map_err(|error| failed(&error))?;
        let tags: Tags = serde_json::from_slice(&text)
            .map_err(|error| failed(&format!("the answer is not ollama's: {error}")))?;
        let models = tags.models.unwrap_or_default();
        Ok(models.iter().map(|tag| with_tag(&tag.name)).collect())
    }

    /// Has it pull a model, and tells `say` each tenth of each large layer. Given
    /// up when nothing comes for `stall`.
    ///
    /// # Errors
    /// When it says that it failed, stops talking, or closes the connection early.
    pub fn pull(
        &self,
        name: &str,
        stall: Duration,
        say: &mut dyn FnMut(&str),
    ) -> Result<(), OllamaError> {
        let url = format!("{}/api/pull", self.base);
        let body = serde_json::json!({ "model": name, "stream": true }).to_string();
        let (sender, lines) = mpsc::channel();
        // Not joined: a connection that hangs must not keep us.
        thread::spawn(move || {
            // A receiver that has gone wants nothing more.
            drop(stream(&url, body, &sender).or_else(|error| sender.send(Err(error))));
        });
        let mut layer = (None, 0);
        loop {
            let line = match lines.recv_timeout(stall) {
                Ok(line) => line?,
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    return Err(OllamaError::passing(format!(
                        "it said nothing for {} s",
                        stall.as_secs_f64()
                    )));
                }
                Err(mpsc::RecvTimeoutError::Disconnected) => {
                    return Err(OllamaError::passing(
                        "it closed the connection before the model was there".to_owned(),
                    ));
                }
            };
            let step: Step = serde_json::from_str(&line).map_err(|error| {
                OllamaError::passing(format!("a line of its answer is not ollama's: {error}"))
            })?;
            if let Some(error) = step.error {
                return Err(OllamaError {
                    // The registry has no such model, or no such tag.
                    permanent: error.contains("file does not exist"),
                    text: error,
                });
            }
            if step.status == "success" {
                return Ok(());
            }
            if let (Some(total), Some(completed)) = (step.total, step.completed)
                && total >= LARGE
            {
                let tenths = (completed.saturating_mul(10) / total).min(10);
                if layer.0 != step.digest {
                    layer = (step.digest, 0);
                }
                if tenths > layer.1 {
                    layer.1 = tenths;
                    say(&format!(
                        "{} of {} MiB ({} %)",
                        mib(completed),
                        mib(total),
                        tenths * 10
                    ));
                }
            }
        }
    }
}

type Line = Result<String, OllamaError>;

/// Sends the request and then each line of the answer.
fn stream(url: &str, body: String, lines: &mpsc::Sender<Line>) -> Result<(), OllamaError> {
    let failed = |why: &dyn std::fmt::Display| OllamaError::passing(format!("POST {url}: {why}"));
    let mut response = Ollama::agent(None)
        .post(url)
        .header("content-type", "application/json")
        .send(body)
        .map_err(|error| failed(&error))?;
    let status = response.status();
    let mut reader = BufReader::new(response.body_mut().as_reader());
    if !status.is_success() {
        let mut text = String::new();
        // Whatever came before an error explains as well as it can.
        drop((&mut reader).take(MAX_LINE).read_to_string(&mut text));
        let said = serde_json::from_str::<Step>(&text).ok();
        let said = said.and_then(|step| step.error).unwrap_or_default();
        return Err(OllamaError {
            text: format!("POST {url}: status {}: {said}", status.as_u16()),
            permanent: status.is_client_error() && status.as_u16() != 429,
        });
    }
    loop {
        let mut line = String::new();
        let count = (&mut reader)
            .take(MAX_LINE)
            .read_line(&mut line)
            .map_err(|error| failed(&error))?;
        if count == 0 {
            return Ok(());
        }
        if !line.trim().is_empty() && lines.send(Ok(line)).is_err() {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_addresses() {
        for (name, full) in [
            ("llama3.2", "llama3.2:latest"),
            ("llama3.2:3b", "llama3.2:3b"),
            ("hf.co:443/a/b", "hf.co:443/a/b:latest"),
        ] {
            assert_eq!(with_tag(name), full);
        }
        for (url, base) in [
            ("http://127.0.0.1:11434/api/tags", "http://127.0.0.1:11434"),
            ("http://[::1]:1?x", "http://[::1]:1"),
        ] {
            assert_eq!(Ollama::at(url).base(), base);
        }
    }
}
