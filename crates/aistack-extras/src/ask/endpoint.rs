//! Where an engine answers: what the stacks declare, then `AISTACK_ENDPOINT`.

use std::net::SocketAddr;
use std::path::PathBuf;

use aistack_schema::{Engine, Scope, Service, Stack};

/// An endpoint that may answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// `http://…/v1`, without a slash at its end.
    pub url: String,
    /// Who says so: a service, or the variable.
    pub from: String,
    /// Whose key it is sent.
    pub key: Key,
}

/// The key that an endpoint is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Key {
    /// None.
    None,
    /// The one in `AISTACK_API_KEY`: the user named this endpoint.
    Variable,
    /// The declared one of a service.
    Declared {
        /// Whose systemd runs the service.
        scope: Scope,
        /// Its unit.
        unit: String,
        /// Where its port is, which must be the unit's before the key is sent.
        address: SocketAddr,
        /// The file with the key.
        source: PathBuf,
    },
}

impl Endpoint {
    /// Why the key in `AISTACK_API_KEY` does not go there, though it is for this endpoint:
    /// others could read it on the way.
    #[must_use]
    pub fn exposes_key(&self) -> Option<String> {
        let exposes = self.key == Key::Variable && !aistack_schema::keeps_secrets(&self.url);
        exposes.then(|| {
            format!(
                "{} was not asked: AISTACK_API_KEY would go there unencrypted. Use https, or unset it",
                aistack_schema::shown(&self.url)
            )
        })
    }
}

fn key(stack: &Stack, service: &Service, engine: &Engine) -> Key {
    let address = service
        .ports
        .iter()
        .map(aistack_schema::Port::reachable)
        .find(|address| engine.url == format!("http://{address}/v1"));
    match (&engine.api_key_source, address) {
        (Some(source), Some(address)) => Key::Declared {
            scope: stack.scope,
            unit: service.unit.clone(),
            address,
            source: source.clone(),
        },
        _ => Key::None,
    }
}

/// Everything that may answer, the first choice first.
#[must_use]
pub fn candidates(stacks: &[&Stack], variable: Option<&str>) -> Vec<Endpoint> {
    let mut declared: Vec<_> = stacks
        .iter()
        .flat_map(|stack| stack.services.values().map(move |service| (stack, service)))
        .filter_map(|(stack, service)| Some((service.engine.as_ref()?, stack, service)))
        .collect();
    // Stable: of two stacks the first is asked first.
    declared.sort_by_key(|(engine, ..)| engine.rank);
    let declared = declared
        .into_iter()
        .map(|(engine, stack, service)| Endpoint {
            url: engine.url.clone(),
            from: service.option.clone(),
            key: key(stack, service, engine),
        });
    let named = variable
        .map(|url| url.trim().trim_end_matches('/'))
        .filter(|url| !url.is_empty())
        .map(|url| Endpoint {
            url: url.to_owned(),
            from: "AISTACK_ENDPOINT".to_owned(),
            key: Key::Variable,
        });
    declared.chain(named).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use aistack_schema::Engine;
    use std::path::Path;

    fn stack(engines: &[(&str, u16, &str)]) -> Stack {
        let text = include_bytes!("../../../aistack-schema/tests/fixtures/stack.json");
        let mut stack = Stack::parse(Path::new("stack.json"), text).unwrap();
        let service = stack.services.values().next().unwrap().clone();
        stack.services = engines
            .iter()
            .map(|(name, rank, url)| {
                let mut service = service.clone();
                service.option = format!("services.aiStack.{name}");
                service.engine = Some(Engine {
                    url: (*url).to_owned(),
                    rank: *rank,
                    api_key_source: Some("/run/secrets/key".into()),
                });
                ((*name).to_owned(), service)
            })
            .collect();
        stack
    }

    #[test]
    fn ranks_order_the_engines_of_all_stacks_and_the_variable_is_last() {
        let system = stack(&[("ollama", 4, "http://a/v1"), ("vllm", 3, "http://b/v1")]);
        let mut user = stack(&[
            ("llama-cpp", 2, "http://c/v1"),
            ("ollama", 4, "http://d/v1"),
        ]);
        // What is no engine is none, whatever its ports are called.
        user.services.get_mut("ollama").unwrap().engine = None;
        let urls: Vec<String> = candidates(&[&system, &user], Some(" http://e/v1/ "))
            .into_iter()
            .map(|endpoint| endpoint.url)
            .collect();
        assert_eq!(
            urls,
            ["http://c/v1", "http://b/v1", "http://a/v1", "http://e/v1"]
        );
        let both = candidates(&[&user, &stack(&[("litellm", 2, "http://f/v1")])], None);
        assert_eq!(both[0].url, "http://c/v1", "of equals the first stack's");
    }

    #[test]
    fn the_user_s_key_is_for_the_endpoint_that_the_user_names() {
        let mut stack = stack(&[("litellm", 1, "http://127.0.0.1:4000/v1")]);
        let keys: Vec<Key> = candidates(&[&stack], Some("https://hosted.example/v1"))
            .into_iter()
            .map(|endpoint| endpoint.key)
            .collect();
        // Its port is not where the engine's address says: nobody can prove whose it is.
        assert_eq!(keys, [Key::None, Key::Variable]);

        let service = stack.services.get_mut("litellm").unwrap();
        let address = service.ports[0].reachable();
        service.engine.as_mut().unwrap().url = format!("http://{address}/v1");
        let unit = service.unit.clone();
        assert_eq!(
            candidates(&[&stack], None)[0].key,
            Key::Declared {
                scope: stack.scope,
                unit,
                address,
                source: "/run/secrets/key".into()
            }
        );
    }

    #[test]
    fn the_key_does_not_go_to_another_machine_unencrypted() {
        for (url, exposes) in [
            ("https://api.example.org/v1", false),
            ("http://127.0.0.1:2/v1", false),
            ("http://api.example.org/v1", true),
            ("http://localhost:80@api.example.org/v1", true),
        ] {
            let named = candidates(&[], Some(url)).remove(0);
            assert_eq!(named.exposes_key().is_some(), exposes, "{url}");
        }
        let refused = candidates(&[], Some("http://me:sesame@api.example.org/v1"))
            .remove(0)
            .exposes_key()
            .unwrap();
        assert!(
            refused.starts_with("http://api.example.org/v1 was not asked")
                && !refused.contains("sesame"),
            "{refused}"
        );
    }
}
