//! Where an engine answers: what the stacks declare, then `AISTACK_ENDPOINT`.

use aistack_stack::Stack;

/// An endpoint that may answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// `http://…/v1`, without a slash at its end.
    pub url: String,
    /// Who says so: a service, or the variable.
    pub from: String,
}

/// Everything that may answer, the first choice first.
#[must_use]
pub fn candidates(stacks: &[&Stack], variable: Option<&str>) -> Vec<Endpoint> {
    let mut declared: Vec<_> = stacks
        .iter()
        .flat_map(|stack| stack.services.values())
        .filter_map(|service| Some((service.engine.as_ref()?, service)))
        .collect();
    // Stable: of two stacks the first is asked first.
    declared.sort_by_key(|(engine, _)| engine.rank);
    let declared = declared.into_iter().map(|(engine, service)| Endpoint {
        url: engine.url.clone(),
        from: service.option.clone(),
    });
    let named = variable
        .map(|url| url.trim().trim_end_matches('/'))
        .filter(|url| !url.is_empty())
        .map(|url| Endpoint {
            url: url.to_owned(),
            from: "AISTACK_ENDPOINT".to_owned(),
        });
    declared.chain(named).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use aistack_stack::Engine;
    use std::path::Path;

    fn stack(engines: &[(&str, u16, &str)]) -> Stack {
        let text = include_bytes!("../../aistack-stack/tests/fixtures/stack.json");
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
}
