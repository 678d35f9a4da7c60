//! Brings a qdrant to what is declared: collections of vectors. One that is there is
//! compared, and never changed or deleted.
//!
//! The interface is qdrant's REST API (<https://api.qdrant.tech>): `GET` and `PUT` of
//! `/collections/{name}`, with the key in the header `api-key`.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use aistack_machine::probe::{Answer, Method, ProbeError, Request, exchange};
use aistack_schema::Collection;
use serde::Deserialize;
use serde_json::json;

/// The largest answer that is read, in bytes: what qdrant says of a collection has
/// some hundreds.
const MOST: usize = 1024 * 1024;

/// Why a qdrant gave no answer that helps.
#[derive(Debug, thiserror::Error)]
pub enum QdrantError {
    /// It could not be asked, or didn't answer in time or in its protocol.
    #[error("{url}: {cause}")]
    NoAnswer {
        /// What was asked.
        url: String,
        /// Why not.
        cause: ProbeError,
    },
    /// The address is not known to be the container's, so that the key was not sent.
    #[error("{url}: the API key was not sent: {why}")]
    Stranger {
        /// What was to be asked.
        url: String,
        /// Why.
        why: String,
    },
    /// The key is wrong or missing.
    #[error("{url}: answered status {status}: {}", key_hint(*with_key))]
    Key {
        /// What was asked.
        url: String,
        /// 401 or 403.
        status: u16,
        /// Whether a key was sent.
        with_key: bool,
    },
    /// The key's file holds something that no header can.
    #[error(
        "the API key holds white space or characters other than those of ASCII: write another to its file"
    )]
    BadKey,
    /// It refused.
    #[error("{url}: answered status {status}: {body}")]
    Status {
        /// What was asked.
        url: String,
        /// The status code.
        status: u16,
        /// The beginning of the body.
        body: String,
    },
    /// The answer is something else.
    #[error("{url}: the answer is not qdrant's: {why}; is another program on its port?")]
    Garbage {
        /// What was asked.
        url: String,
        /// What was wrong with it.
        why: String,
    },
}

fn key_hint(with_key: bool) -> &'static str {
    if with_key {
        "it has another API key than the file; a restart of the service hands it the file's"
    } else {
        "it asks for an API key, and none is declared"
    }
}

impl QdrantError {
    /// Whether another attempt may go better: it is not there now, or busy.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::NoAnswer { cause, .. } => matches!(
                cause,
                ProbeError::Refused | ProbeError::Closed | ProbeError::Io(_)
            ),
            Self::Status { status, .. } => matches!(status, 502..=504),
            _ => false,
        }
    }
}

/// What was found in a declared collection's place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing.
    Absent,
    /// A collection of the declared size and distance.
    AsDeclared,
    /// A collection of other vectors, in words: `size 768, distance Dot`.
    Other(String),
}

/// Proves, before each request with a key, that the address is the declared container's;
/// an error in words.
pub type Prove<'a> = &'a (dyn Fn() -> Result<(), String> + Sync);

/// A qdrant.
pub struct Qdrant<'a> {
    base: String,
    key: Option<String>,
    limit: Duration,
    prove: Prove<'a>,
}

impl fmt::Debug for Qdrant<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Qdrant")
            .field("base", &self.base)
            .finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct Described {
    result: DescribedResult,
}

#[derive(Deserialize)]
struct DescribedResult {
    config: DescribedConfig,
}

#[derive(Deserialize)]
struct DescribedConfig {
    params: DescribedParams,
}

#[derive(Deserialize)]
struct DescribedParams {
    /// Left out of a collection of sparse vectors alone.
    vectors: Option<Vectors>,
}

/// One kind of vectors without a name, or several by their names.
#[derive(Deserialize)]
#[serde(untagged)]
enum Vectors {
    One(Vector),
    Named(BTreeMap<String, Vector>),
}

#[derive(Deserialize)]
struct Vector {
    size: u64,
    distance: String,
}

impl<'a> Qdrant<'a> {
    /// A qdrant at `address`, each request of which may take `limit`. The key is sent only
    /// where `prove` says that the address is the container's.
    ///
    /// # Errors
    /// When the key can't be in a header.
    pub fn new(
        address: SocketAddr,
        key: Option<Vec<u8>>,
        limit: Duration,
        prove: Prove<'a>,
    ) -> Result<Self, QdrantError> {
        let key = key
            .map(|key| {
                String::from_utf8(key)
                    .ok()
                    .filter(|key| key.bytes().all(|byte| byte.is_ascii_graphic()))
                    .ok_or(QdrantError::BadKey)
            })
            .transpose()?;
        Ok(Self {
            base: format!("http://{address}"),
            key,
            limit,
            prove,
        })
    }

    /// Looks at a declared collection.
    ///
    /// # Errors
    /// When it gives no answer, refuses, or answers something else.
    pub fn look(&self, declared: &Collection) -> Result<Found, QdrantError> {
        let url = self.url(declared);
        let answer = self.ask(Method::Get, &url, &[])?;
        if answer.status == 404 {
            return Ok(Found::Absent);
        }
        let body = self.well(&url, answer)?;
        let described: Described =
            serde_json::from_slice(&body).map_err(|error| QdrantError::Garbage {
                url,
                why: error.to_string(),
            })?;
        let shown = |vector: &Vector| {
            let distance = aistack_machine::text::bytes(vector.distance.as_bytes(), 20);
            format!("size {}, distance {distance}", vector.size)
        };
        Ok(match described.result.config.params.vectors {
            Some(Vectors::One(vector))
                if vector.size == u64::from(declared.size.get())
                    && vector.distance == declared.distance.name() =>
            {
                Found::AsDeclared
            }
            Some(Vectors::One(vector)) => Found::Other(shown(&vector)),
            Some(Vectors::Named(named)) if !named.is_empty() => Found::Other(format!(
                "named vectors ({})",
                named
                    .iter()
                    .take(8)
                    .map(|(name, vector)| format!(
                        "{}: {}",
                        aistack_machine::text::bytes(name.as_bytes(), 40),
                        shown(vector)
                    ))
                    .collect::<Vec<_>>()
                    .join("; ")
            )),
            Some(Vectors::Named(_)) | None => Found::Other("no dense vectors".to_owned()),
        })
    }

    /// Makes a declared collection; false: it is there meanwhile.
    ///
    /// # Errors
    /// When it gives no answer or refuses.
    pub fn make(&self, declared: &Collection) -> Result<bool, QdrantError> {
        let url = self.url(declared);
        let body = json!({
            "vectors": { "size": declared.size, "distance": declared.distance.name() },
        });
        let answer = self.ask(Method::Put, &url, body.to_string().as_bytes())?;
        // 409, and 400 of versions before 1.8.
        if answer.status == 409
            || (answer.status == 400
                && String::from_utf8_lossy(&answer.body).contains("already exists"))
        {
            return Ok(false);
        }
        self.well(&url, answer)?;
        Ok(true)
    }

    // The name has no character that a path would need to escape (`Stack::problems`).
    fn url(&self, declared: &Collection) -> String {
        format!("{}/collections/{}", self.base, declared.name)
    }

    fn ask(&self, method: Method, url: &str, body: &[u8]) -> Result<Answer, QdrantError> {
        let mut headers = vec![("accept", "application/json")];
        if method == Method::Put {
            headers.push(("content-type", "application/json"));
        }
        if let Some(key) = &self.key {
            (self.prove)().map_err(|why| QdrantError::Stranger {
                url: url.to_owned(),
                why,
            })?;
            headers.push(("api-key", key));
        }
        let request = Request {
            method,
            url,
            headers: &headers,
            body,
        };
        exchange(&request, self.limit, MOST).map_err(|cause| QdrantError::NoAnswer {
            url: url.to_owned(),
            cause,
        })
    }

    fn well(&self, url: &str, answer: Answer) -> Result<Vec<u8>, QdrantError> {
        match answer.status {
            200..=299 => Ok(answer.body),
            status @ (401 | 403) => Err(QdrantError::Key {
                url: url.to_owned(),
                status,
                with_key: self.key.is_some(),
            }),
            status => Err(QdrantError::Status {
                url: url.to_owned(),
                status,
                body: aistack_machine::text::bytes(&answer.body, 200),
            }),
        }
    }
}

/// What is declared, in the words of [`Found::Other`].
#[must_use]
pub fn declared(collection: &Collection) -> String {
    let Collection { size, distance, .. } = collection;
    format!("size {size}, distance {distance}")
}
