//! Whether an engine computes on what was declared for it.

use aistack_machine::cgroup::Manager;
use aistack_schema::{Backend, Probe, Scope, Service};

use super::service::journal;
use crate::device::{Device, Engine, Machine, Question};
use crate::finding::Found;

pub(super) fn backend_name(backend: Backend) -> &'static str {
    match backend {
        Backend::Cuda => "CUDA",
        Backend::Rocm => "ROCm",
        Backend::Vulkan => "Vulkan",
        Backend::Sycl => "SYCL",
        Backend::Cpu => "CPU",
    }
}

/// Asks what the engine computes on.
pub(super) fn used(machine: &Machine, owner: Manager, service: &Service) -> Device {
    let health = match &service.health {
        Some(Probe::Http(probe)) => Some(probe.url.as_str()),
        _ => None,
    };
    let api = service
        .ports
        .iter()
        .find(|port| port.name == "http")
        .map(|port| format!("http://{}", port.socket()));
    let question = Question {
        engine: Engine::of_image(&service.image.name),
        unit: &service.unit,
        container: &service.container,
        owner,
        api: api.as_deref(),
        health,
    };
    crate::device::ask(&question, machine)
}

/// None: nothing can be said, and nothing can be wrong.
pub(super) fn computes_on(
    scope: Scope,
    service: &Service,
    declared: Backend,
    device: Device,
) -> Option<Found> {
    Some(match (declared, device) {
        (Backend::Cpu, Device::Cpu(why)) => {
            Found::Well(format!("computes on the processor, as declared: {why}"))
        }
        // An engine that hasn't loaded a model, for the most part.
        (Backend::Cpu, Device::Unknown(_)) => return None,
        (_, Device::Gpu(why)) => Found::Well(format!("computes on the GPU: {why}")),
        (_, Device::Unknown(why)) => {
            Found::Unseen(format!("what it computes on is unknown: {why}"))
        }
        (_, Device::Cpu(why)) => Found::Bad(
            format!("computes on the processor, though a GPU is declared: {why}"),
            Some(format!(
                "`aistack facts` says what the GPU lacks; {}; {}.gpus = [ ] if the processor is \
                 meant",
                journal(scope, service),
                service.option
            )),
        ),
    })
}
