//! Where an engine answers: what the stacks declare, then `AISTACK_ENDPOINT`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use aistack_stack::Stack;

/// The engines, the best for a client first.
const ENGINES: [&str; 5] = ["litellm", "llama-cpp", "vllm", "ollama", "tgi"];

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
    let declared = ENGINES.into_iter().flat_map(|name| {
        stacks.iter().filter_map(move |stack| {
            let service = stack.services.get(name)?;
            let port = service.ports.iter().find(|port| port.name == "http")?;
            let address = match port.address {
                IpAddr::V4(address) if address.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
                IpAddr::V6(address) if address.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
                other => other,
            };
            Some(Endpoint {
                url: format!("http://{}/v1", SocketAddr::new(address, port.host.get())),
                from: service.option.clone(),
            })
        })
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
