//! What engines write into their logs about their devices.

use crate::device::Device;

/// Devices that are the processor behind a GPU's interface: Mesa's and
/// Google's software renderers, and oneAPI's processor.
const SOFTWARE: [&str; 5] = [
    "llvmpipe",
    "lavapipe",
    "swiftshader",
    "opencl:cpu",
    "softpipe",
];

/// Starts of the names of llama.cpp's devices, as in `CUDA0` and `Vulkan1`.
const GPU_DEVICES: [&str; 6] = ["CUDA", "ROCm", "HIP", "Vulkan", "SYCL", "MUSA"];

/// What llama.cpp's log says.
///
/// Up to the spring of 2026 it told at its default verbosity where the layers
/// went; later releases do only with `-lv 4`. A log that says nothing of devices
/// is therefore no evidence of anything: `None`.
#[must_use]
pub fn llama_cpp(log: &str) -> Option<Device> {
    let mut offloaded = None;
    let mut buffers: Vec<(&str, f64)> = Vec::new();
    let mut using: Vec<&str> = Vec::new();
    let mut listed: Vec<&str> = Vec::new();
    let mut failure = None;
    for line in log.lines() {
        if line.contains("loading model tensors") {
            // A model that was loaded later counts.
            offloaded = None;
            buffers.clear();
        } else if let Some(layers) = between(line, "offloaded ", " layers to GPU") {
            offloaded = layers.split_once('/').and_then(|(some, all)| {
                Some((some.parse::<u32>().ok()?, all.parse::<u32>().ok()?))
            });
        } else if let Some((before, size)) = line.split_once(" model buffer size = ") {
            let device = before.split_whitespace().next_back().unwrap_or_default();
            let size = size.trim().trim_end_matches("MiB").trim();
            buffers.push((device, size.parse().unwrap_or_default()));
        } else if let Some((_, device)) = line.split_once(": using device ") {
            using.push(device.trim());
        } else if let Some((_, device)) = line.split_once("common_param:   - ") {
            // The list below `device_info:`.
            listed.push(device.trim());
        } else if [
            "no usable GPU found",
            "failed to initialize CUDA",
            "failed to initialize ROCm",
            "ggml_vulkan: No devices found",
            "no CUDA-capable device",
        ]
        .iter()
        .any(|words| line.contains(words))
        {
            failure.get_or_insert(line.trim());
        }
    }
    // `CUDA_Host` and `Vulkan_Host` are main memory.
    let is_gpu = |device: &str| {
        GPU_DEVICES.iter().any(|name| {
            let number = device.strip_prefix(name);
            number.is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
        })
    };
    let on_gpus: f64 = buffers
        .iter()
        .filter(|(device, _)| is_gpu(device))
        .map(|(_, size)| size)
        .sum();
    let software = using.iter().find(|device| is_software(device));

    // Software renderers take layers as well as a card does.
    if let Some(device) = software
        && !using.iter().any(|device| !is_software(device))
    {
        return Some(Device::Cpu(format!(
            "it computes on {}, which is the processor",
            aistack_machine::text::line(device, aistack_machine::text::QUOTE)
        )));
    }
    let where_to = match using.first() {
        Some(device) => format!(
            " ({})",
            aistack_machine::text::line(device, aistack_machine::text::QUOTE)
        ),
        None => String::new(),
    };
    match offloaded {
        Some((0, all)) => {
            return Some(Device::Cpu(format!("it put 0 of {all} layers on a GPU")));
        }
        Some((some, all)) => {
            return Some(Device::Gpu(format!(
                "it put {some} of {all} layers on the GPU{where_to}"
            )));
        }
        None => {}
    }
    if on_gpus > 0.0 {
        return Some(Device::Gpu(format!(
            "it put {on_gpus:.0} MiB of its model on the GPU{where_to}"
        )));
    }
    if let Some(line) = failure {
        return Some(Device::Cpu(format!(
            "its log says: {}",
            aistack_machine::text::line(line, aistack_machine::text::QUOTE)
        )));
    }
    if !buffers.is_empty() {
        return Some(Device::Cpu(
            "all of its model is in the main memory".to_owned(),
        ));
    }
    if !listed.is_empty() && !listed.iter().any(|device| is_gpu(device)) {
        return Some(Device::Cpu(format!(
            "the devices that it found are: {}",
            aistack_machine::text::line(&listed.join(", "), aistack_machine::text::QUOTE)
        )));
    }
    None
}

/// What vLLM's log says.
#[must_use]
pub fn vllm(log: &str) -> Option<Device> {
    let platform = log.lines().rev().find_map(|line| {
        let (_, rest) = line.split_once("Automatically detected platform ")?;
        Some(rest.trim().trim_end_matches('.'))
    });
    match platform {
        Some("cpu") => Some(Device::Cpu("it detected the platform cpu".to_owned())),
        Some(platform @ ("cuda" | "rocm" | "xpu")) => {
            Some(Device::Gpu(format!("it detected the platform {platform}")))
        }
        Some(_) => None,
        None => log
            .lines()
            .any(|line| line.contains("No platform detected"))
            .then(|| Device::Cpu("it detected no platform".to_owned())),
    }
}

fn is_software(device: &str) -> bool {
    let lower = device.to_ascii_lowercase();
    SOFTWARE.iter().any(|name| lower.contains(name))
}

fn between<'a>(line: &'a str, start: &str, end: &str) -> Option<&'a str> {
    let (_, rest) = line.split_once(start)?;
    Some(rest.split_once(end)?.0)
}
