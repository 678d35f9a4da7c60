//! Whether containers can have the GPUs: CDI specs for NVIDIA's, device files for others.

use std::path::Path;

use aistack_facts::GpuVendor;
use aistack_machine::cdi::Devices;

use crate::prep::check::Check;
use crate::prep::plan::{Gpu, Plan};

/// What was seen.
#[derive(Clone, Debug)]
pub struct Toolkit {
    /// The cards: the declared ones, or those of the machine.
    pub cards: Vec<Gpu>,
    /// Whether NVIDIA's cards can be given to containers.
    pub nvidia: bool,
    /// One line each.
    pub checks: Vec<Check>,
}

impl Toolkit {
    /// Whether there is a card that computes.
    #[must_use]
    pub fn gpu_detected(&self) -> bool {
        self.cards
            .iter()
            .any(|card| ["nvidia", "amd", "intel"].contains(&card.vendor.as_str()))
    }
}

/// Looks at the cards and at what containers can ask for, below `root`.
#[must_use]
pub fn look(plan: &Plan, root: &Path) -> Toolkit {
    let mut checks = Vec::new();
    let cards = if let Some(cards) = &plan.gpus {
        cards.clone()
    } else {
        match aistack_facts::read(root) {
            Ok(reading) => reading.facts.gpus.iter().map(card).collect(),
            Err(error) => {
                checks.push(Check::skipped(
                    "gpu",
                    format!("the cards could not be seen: {error}"),
                ));
                Vec::new()
            }
        }
    };
    let of = |vendor: &str| cards.iter().filter(|card| card.vendor == vendor).count();
    let devices = Devices::read(root);
    let nvidia = devices
        .kinds()
        .any(|(kind, names)| kind == "nvidia.com/gpu" && !names.is_empty());
    match (of("nvidia"), nvidia) {
        (0, false) => {}
        (0, true) => checks.push(Check::info(
            "nvidia",
            "containers may ask for NVIDIA's cards, and no such card was seen",
        )),
        (count, true) => checks.push(Check::ok(
            "nvidia",
            format!(
                "{count} card(s); containers ask for them by CDI name: {}",
                devices
                    .devices()
                    .into_iter()
                    .filter(|name| name.starts_with("nvidia.com/gpu="))
                    .take(6)
                    .collect::<Vec<_>>()
                    .join(", ")
            ),
        )),
        (count, false) => checks.push(Check::not_ok(
            "nvidia",
            format!(
                "{count} card(s), but no CDI spec names nvidia.com/gpu: /etc/cdi, /var/run/cdi and \
                 /run/cdi were looked at{}",
                devices
                    .notes
                    .first()
                    .map(|note| format!("; {note}"))
                    .unwrap_or_default()
            ),
            "on NixOS set hardware.nvidia-container-toolkit.enable = true; elsewhere install \
             nvidia-container-toolkit and run `nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml`",
        )),
    }
    for (vendor, file) in [("amd", "dev/kfd"), ("intel", "dev/dri")] {
        let count = of(vendor);
        if count > 0 {
            let there = root.join(file).exists();
            let what = format!("{count} card(s), which need no toolkit");
            checks.push(if there {
                Check::ok(vendor, format!("{what}: containers take /{file}"))
            } else {
                Check::not_ok(
                    vendor,
                    format!("{what}, but /{file} is not there"),
                    "load the kernel's driver of the card (amdgpu, i915, xe)",
                )
            });
        }
    }
    if checks.is_empty() {
        checks.push(Check::info("gpu", "no GPU was seen; vLLM needs one"));
    }
    Toolkit {
        cards,
        nvidia,
        checks,
    }
}

fn card(gpu: &aistack_facts::Gpu) -> Gpu {
    Gpu {
        slot: gpu.slot.clone(),
        vendor: match gpu.vendor {
            GpuVendor::Nvidia => "nvidia",
            GpuVendor::Amd => "amd",
            GpuVendor::Intel => "intel",
            _ => "other",
        }
        .to_owned(),
        vram_mib: gpu.vram_mib,
    }
}
