//! Which model vLLM is proposed, from the memory of the largest card.

use crate::prep::plan::Gpu;

/// What is proposed, as the `.env` has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// Name on Hugging Face.
    pub model: &'static str,
    /// Share of the card's memory that vLLM takes.
    pub gpu_memory: &'static str,
    /// Longest text in tokens.
    pub max_length: u32,
}

/// Least memory in MiB, whether it is quantised for NVIDIA's kernels, and the proposal.
/// Weights (two bytes a parameter; AWQ about 0.75), 56 KiB a token of cache for 7 B, and
/// 2 GiB for the engine fit into the share. All under the Apache licence.
const TIERS: [(u64, bool, Proposal); 4] = [
    (
        // 29.5 GB of weights.
        47_000,
        false,
        Proposal {
            model: "Qwen/Qwen2.5-Coder-14B-Instruct",
            gpu_memory: "0.85",
            max_length: 16_384,
        },
    ),
    (
        // 15.2 GB of weights.
        23_000,
        false,
        Proposal {
            model: "Qwen/Qwen2.5-Coder-7B-Instruct",
            gpu_memory: "0.85",
            max_length: 8192,
        },
    ),
    (
        // 5.6 GB of weights.
        11_000,
        true,
        Proposal {
            model: "Qwen/Qwen2.5-Coder-7B-Instruct-AWQ",
            gpu_memory: "0.85",
            max_length: 8192,
        },
    ),
    (
        // 3.1 GB of weights.
        7500,
        false,
        Proposal {
            model: "Qwen/Qwen2.5-Coder-1.5B-Instruct",
            gpu_memory: "0.80",
            max_length: 4096,
        },
    ),
];

/// The proposal for these cards; why there is none, in words.
///
/// # Errors
/// When no card of NVIDIA or AMD has enough memory that is known.
pub fn propose(cards: &[Gpu]) -> Result<Proposal, String> {
    let usable = || {
        cards
            .iter()
            .filter(|card| card.vendor == "nvidia" || card.vendor == "amd")
    };
    if usable().next().is_none() {
        return Err("no card of NVIDIA or AMD is there, which vLLM needs".to_owned());
    }
    let Some((card, memory)) = usable()
        .filter_map(|card| Some((card, card.vram_mib?)))
        .max_by_key(|(_, memory)| *memory)
    else {
        return Err("the memory of the card is not known".to_owned());
    };
    TIERS
        .into_iter()
        .find(|(least, quantised, _)| memory >= *least && (!quantised || card.vendor == "nvidia"))
        .map(|(_, _, proposal)| proposal)
        .ok_or_else(|| format!("{memory} MiB of card {} are too few for vLLM", card.slot))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn card(vendor: &str, vram_mib: Option<u64>) -> Gpu {
        Gpu {
            slot: "0000:01:00.0".to_owned(),
            vendor: vendor.to_owned(),
            vram_mib,
        }
    }

    #[test]
    fn the_largest_card_decides() {
        for (cards, model) in [
            (vec![("nvidia", 81_920)], "14B-Instruct"),
            (vec![("nvidia", 8192), ("nvidia", 24_564)], "7B-Instruct"),
            (vec![("nvidia", 16_380)], "7B-Instruct-AWQ"),
            // Quantised for NVIDIA alone.
            (vec![("amd", 16_368)], "1.5B-Instruct"),
            (vec![("nvidia", 8188), ("intel", 90_000)], "1.5B-Instruct"),
        ] {
            let cards: Vec<_> = cards.iter().map(|(v, m)| card(v, Some(*m))).collect();
            assert!(propose(&cards).unwrap().model.ends_with(model), "{cards:?}");
        }
    }

    #[test]
    fn without_a_fitting_card_there_is_a_reason() {
        for (cards, word) in [
            (vec![], "no card"),
            (vec![card("intel", Some(16_000))], "no card"),
            (vec![card("amd", None)], "not known"),
            (vec![card("nvidia", Some(4096))], "4096 MiB"),
        ] {
            assert!(propose(&cards).unwrap_err().contains(word));
        }
    }

    #[test]
    fn what_is_proposed_fits() {
        for (least, quantised, proposal) in TIERS {
            let billions: f64 = proposal
                .model
                .split('-')
                .find_map(|part| part.strip_suffix('B')?.parse().ok())
                .unwrap();
            let bytes_each = if quantised { 0.75 } else { 2.0 };
            let weights = billions * 1.05 * bytes_each * 1e9 / 1024. / 1024.;
            let cache = billions / 7. * 56. * f64::from(proposal.max_length) / 1024.;
            let share: f64 = proposal.gpu_memory.parse().unwrap();
            #[allow(clippy::cast_precision_loss)]
            let room = least as f64 * share;
            assert!(
                weights + cache + 2048. <= room,
                "{}: {weights} {cache} {room}",
                proposal.model
            );
        }
    }
}
