//! Which card the defaults use.

use aistack_machine::Backend;

use crate::facts::{Gpu, Primary};

/// The card that defaults use, and what that means for the whole machine.
pub(crate) struct Choice {
    pub(crate) primary: Option<Primary>,
    pub(crate) backend: Backend,
    pub(crate) reason: String,
}

/// Chooses among the cards that engines can use. In this order count: memory of
/// its own, the backend that most engines know, the amount of memory (where it
/// is known of all that are left), the compute capability, the lowest slot.
/// `gpus` are sorted by slot.
pub(crate) fn choose(gpus: &[Gpu]) -> Choice {
    let able: Vec<&Gpu> = gpus
        .iter()
        .filter(|gpu| gpu.backend.is_accelerated())
        .collect();
    let Some((best, why)) = best(able) else {
        let reason = if gpus.is_empty() {
            "no GPU on the PCI bus".to_owned()
        } else {
            let reasons: Vec<_> = gpus
                .iter()
                .map(|gpu| format!("{}: {}", gpu.slot, gpu.reason))
                .collect();
            format!("no GPU that accelerates inference ({})", reasons.join("; "))
        };
        return Choice {
            primary: None,
            backend: Backend::Cpu,
            reason,
        };
    };
    Choice {
        primary: Some(Primary {
            slot: best.slot.clone(),
            reason: why,
        }),
        backend: best.backend,
        reason: format!("{}: {}", best.slot, best.reason),
    }
}

/// The first of the best, and what it has over the others in words.
fn best(mut able: Vec<&Gpu>) -> Option<(&Gpu, String)> {
    let first = *able.first()?;
    if able.len() == 1 {
        return Some((first, "the only GPU that engines can use".to_owned()));
    }
    let mut why = Vec::new();
    let mut keep = |able: &mut Vec<&Gpu>, rank: &dyn Fn(&Gpu) -> u64, words: &str| {
        let most = able.iter().map(|gpu| rank(gpu)).max().unwrap_or_default();
        let before = able.len();
        able.retain(|gpu| rank(gpu) == most);
        if able.len() < before {
            why.push(words.to_owned());
        }
    };

    let own_memory = |gpu: &Gpu| match gpu.integrated {
        Some(false) => 2,
        None => 1,
        Some(true) => 0,
    };
    keep(&mut able, &own_memory, "it has memory of its own");
    let backend = |gpu: &Gpu| match gpu.backend {
        Backend::Cuda => 4,
        Backend::Rocm => 3,
        Backend::Sycl => 2,
        Backend::Vulkan => 1,
        Backend::Cpu => 0,
    };
    keep(&mut able, &backend, "most engines know its backend");
    // A card whose driver isn't loaded yet must not lose by that.
    if able.iter().all(|gpu| gpu.vram_mib.is_some()) {
        let memory = |gpu: &Gpu| gpu.vram_mib.unwrap_or_default();
        keep(&mut able, &memory, "it has the most memory");
    }
    let capability = |gpu: &Gpu| {
        gpu.nvidia
            .as_ref()
            .and_then(|nvidia| nvidia.compute_capability.as_deref())
            .and_then(|text| text.split_once('.'))
            .and_then(|(major, minor)| {
                Some(major.parse::<u64>().ok()? * 100 + minor.parse::<u64>().ok()?)
            })
            .unwrap_or_default()
    };
    keep(
        &mut able,
        &capability,
        "it has the highest compute capability",
    );
    if able.len() > 1 {
        why.push("it has the lowest slot".to_owned());
    }
    let words = format!("of the GPUs that engines can use: {}", why.join(", "));
    Some((*able.first()?, words))
}
