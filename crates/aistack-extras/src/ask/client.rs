//! One question and its answer, as it comes.

use std::io::{self, BufRead, BufReader, Read};
use std::time::Duration;

use aistack_machine::probe::client;
use serde::{Deserialize, Serialize};
use ureq::Agent;

/// The longest line of a stream, in bytes; a real one has some hundred.
const MAX_LINE: usize = 1024 * 1024;
/// The most that is read for one answer, in bytes.
const MAX_STREAM: u64 = 16 * 1024 * 1024;
/// The longest answer, in bytes of its text.
pub const MAX_ANSWER: usize = 256 * 1024;
/// How long a server may take to say that it is there.
const GREETING: Duration = Duration::from_secs(3);

/// Who said something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The task.
    System,
    /// The person.
    User,
    /// The model.
    Assistant,
}

/// One turn of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Message {
    /// Who said it.
    pub role: Role,
    /// What.
    pub content: String,
}

impl Message {
    /// Something that was said.
    pub fn new(role: Role, content: impl Into<String>) -> Self {
        Self {
            role,
            content: content.into(),
        }
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Nothing answers there.
    #[error("{url} does not answer: {why}")]
    Unreachable {
        /// The endpoint.
        url: String,
        /// What was seen.
        why: String,
    },
    /// It answered with an error.
    #[error("{url} answered status {code}: {body}")]
    Status {
        /// The endpoint.
        url: String,
        /// The status code.
        code: u16,
        /// The beginning of what it said.
        body: String,
    },
    /// What came is no answer.
    #[error("{url} answered something that is no answer of a model: {seen}")]
    Garbage {
        /// The endpoint.
        url: String,
        /// What was seen.
        seen: String,
    },
    /// The answer has no end.
    #[error("{url} answered more than {} KiB and was cut off", MAX_ANSWER / 1024)]
    Endless {
        /// The endpoint.
        url: String,
    },
    /// Who reads the answer is gone.
    #[error("the answer could not be written: {0}")]
    Output(io::Error),
}

/// An endpoint that was heard of.
#[derive(Clone, Debug)]
pub struct Client {
    url: String,
    /// The model that is asked.
    pub model: String,
    key: Option<String>,
    limit: Duration,
}

#[derive(Deserialize)]
struct Models {
    data: Vec<Model>,
}

#[derive(Deserialize)]
struct Model {
    id: String,
}

#[derive(Deserialize)]
struct Chunk {
    #[serde(default)]
    choices: Vec<Choice>,
    error: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Choice {
    /// Of a stream.
    delta: Option<Content>,
    /// Of an answer in one piece.
    message: Option<Content>,
}

#[derive(Deserialize)]
struct Content {
    content: Option<String>,
}

#[derive(Serialize)]
struct Question<'a> {
    model: &'a str,
    messages: &'a [Message],
    stream: bool,
}

fn agent(limit: Duration) -> Agent {
    client()
        .timeout_global(Some(limit))
        .timeout_connect(Some(GREETING))
        .build()
        .new_agent()
}

impl Client {
    /// Asks the endpoint for its models; `model` is the one to use, else its first. An
    /// answer of the models may take `limit`, at most.
    ///
    /// # Errors
    /// When it doesn't answer within three seconds, or has no model.
    pub fn greet(
        url: &str,
        key: Option<&str>,
        model: Option<&str>,
        limit: Duration,
    ) -> Result<Self, AskError> {
        let mut client = Self {
            url: url.to_owned(),
            model: model.unwrap_or_default().to_owned(),
            key: key.map(str::to_owned),
            limit,
        };
        let request = agent(GREETING.min(limit)).get(format!("{url}/models"));
        let mut response = client
            .authorized(request)
            .call()
            .map_err(|error| client.unreachable(&error))?;
        let mut body = Vec::new();
        response
            .body_mut()
            .as_reader()
            .take(MAX_LINE as u64)
            .read_to_end(&mut body)
            .map_err(|error| client.unreachable(&error))?;
        client.check_status(response.status().as_u16(), &body)?;
        let models: Models = serde_json::from_slice(&body).map_err(|_| client.garbage(&body))?;
        if model.is_none() {
            client.model = models
                .data
                .into_iter()
                .map(|model| model.id)
                .next()
                .ok_or_else(|| client.garbage(b"it has no model"))?;
        }
        Ok(client)
    }

    /// Asks, and hands each piece of the answer to `piece` as it comes, without anything
    /// that a terminal would act on. The whole answer.
    ///
    /// # Errors
    /// When there is no answer in time, it has no end, or is something else.
    pub fn ask(
        &self,
        messages: &[Message],
        mut piece: impl FnMut(&str) -> io::Result<()>,
    ) -> Result<String, AskError> {
        let question = Question {
            model: &self.model,
            messages,
            stream: true,
        };
        let body = serde_json::to_vec(&question).map_err(|error| self.unreachable(&error))?;
        let request = agent(self.limit)
            .post(format!("{}/chat/completions", self.url))
            .header("content-type", "application/json");
        let mut response = self
            .authorized(request)
            .send(&body)
            .map_err(|error| self.unreachable(&error))?;
        let status = response.status().as_u16();
        if status != 200 {
            let mut body = Vec::new();
            // Whatever came before an error explains as well as it can.
            drop(
                response
                    .body_mut()
                    .as_reader()
                    .take(512)
                    .read_to_end(&mut body),
            );
            self.check_status(status, &body)?;
        }
        let mut lines = BufReader::new(response.body_mut().as_reader().take(MAX_STREAM));
        let mut answer = String::new();
        let mut line = Vec::new();
        let mut understood = false;
        loop {
            line.clear();
            let count = (&mut lines)
                .take(MAX_LINE as u64 + 1)
                .read_until(b'\n', &mut line)
                .map_err(|error| self.unreachable(&error))?;
            if count == 0 {
                break;
            }
            if count > MAX_LINE {
                return Err(self.garbage(b"a line without an end"));
            }
            let text = String::from_utf8_lossy(&line);
            let text = text.trim();
            let data = text.strip_prefix("data:").map_or(text, str::trim_start);
            if data == "[DONE]" {
                break;
            }
            // Comments, names of events, empty lines.
            if !data.starts_with('{') {
                if !understood && !data.is_empty() && data == text && !data.starts_with([':', 'e'])
                {
                    return Err(self.garbage(&line));
                }
                continue;
            }
            let chunk: Chunk = serde_json::from_str(data).map_err(|_| self.garbage(&line))?;
            if let Some(error) = chunk.error {
                return Err(self.garbage(error.to_string().as_bytes()));
            }
            understood = true;
            let content = chunk
                .choices
                .into_iter()
                .next()
                .and_then(|choice| choice.delta.or(choice.message)?.content)
                .unwrap_or_default();
            let content = aistack_machine::text::without_hidden(&content);
            answer.push_str(&content);
            if answer.len() > MAX_ANSWER {
                return Err(AskError::Endless {
                    url: aistack_schema::shown(&self.url),
                });
            }
            piece(&content).map_err(AskError::Output)?;
        }
        if answer.trim().is_empty() {
            return Err(self.garbage(b"it ended without a word"));
        }
        Ok(answer)
    }

    fn authorized<B>(&self, request: ureq::RequestBuilder<B>) -> ureq::RequestBuilder<B> {
        match &self.key {
            Some(key) => request.header("authorization", format!("Bearer {key}")),
            None => request,
        }
    }

    fn check_status(&self, code: u16, body: &[u8]) -> Result<(), AskError> {
        if code == 200 {
            return Ok(());
        }
        Err(AskError::Status {
            url: aistack_schema::shown(&self.url),
            code,
            body: aistack_machine::text::bytes(body, aistack_machine::text::QUOTE),
        })
    }

    fn unreachable(&self, why: &dyn std::fmt::Display) -> AskError {
        AskError::Unreachable {
            url: aistack_schema::shown(&self.url),
            // The library's errors may quote the address.
            why: aistack_machine::text::line(
                &why.to_string()
                    .replace(&self.url, &aistack_schema::shown(&self.url)),
                aistack_machine::text::QUOTE,
            ),
        }
    }

    fn garbage(&self, seen: &[u8]) -> AskError {
        AskError::Garbage {
            url: aistack_schema::shown(&self.url),
            seen: aistack_machine::text::bytes(seen, aistack_machine::text::QUOTE),
        }
    }
}
