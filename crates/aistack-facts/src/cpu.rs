//! Processors: `/proc/cpuinfo` for what they are, sysfs for how many.
//!
//! Formats: `arch/x86/kernel/cpu/proc.c` and `arch/arm64/kernel/cpuinfo.c` of
//! Linux; `Documentation/ABI/stable/sysfs-devices-system-cpu` for the topology.
//! Only the first processor's paragraph of `/proc/cpuinfo` is read on x86: the
//! kernel makes the text up as it is read, and the counts are in sysfs. (The
//! procfs crates read the whole file, and fail on all of it for one odd line.)

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use crate::error::Error;
use crate::facts::{Cpu, CpuVendor, System};
use crate::reader::{Extent, Reader, printable};

pub(crate) const CPUINFO_PATH: &str = "proc/cpuinfo";
const CPU_PATH: &str = "sys/devices/system/cpu";
const NODE_PATH: &str = "sys/devices/system/node";

/// Extensions that llama.cpp, vLLM and their like are built or dispatched for.
const X86_FEATURES: [&str; 15] = [
    "amx_bf16",
    "amx_int8",
    "amx_tile",
    "avx",
    "avx2",
    "avx512_bf16",
    "avx512_vnni",
    "avx512bw",
    "avx512f",
    "avx512vl",
    "avx_vnni",
    "bmi2",
    "f16c",
    "fma",
    "sse4_2",
];
const ARM_FEATURES: [&str; 8] = [
    "asimd", "asimddp", "asimdhp", "bf16", "i8mm", "sme", "sve", "sve2",
];

/// All of them, for the schema of the facts.
#[cfg(feature = "schema")]
pub(crate) const FEATURES: [&[&str]; 2] = [&X86_FEATURES, &ARM_FEATURES];

/// Highest number of a processor that is believed; the kernel's own limit is 8192.
const MAX_CPU: u32 = 65_535;

/// The processors, and what else `/proc/cpuinfo` tells.
pub(crate) struct CpuReading {
    pub(crate) facts: Cpu,
    /// Whether the processor says that a hypervisor runs below (x86 only).
    pub(crate) hypervisor: bool,
}

/// Reads the processors; `first` is the first paragraph of `/proc/cpuinfo`.
pub(crate) fn read(
    reader: &mut Reader,
    first: io::Result<Vec<u8>>,
) -> Result<(System, CpuReading), Error> {
    let (first, failure) = match first {
        Ok(bytes) => (String::from_utf8_lossy(&bytes).into_owned(), None),
        Err(error) => (String::new(), Some(aistack_machine::text::io(&error))),
    };
    let first_paragraph = first.split("\n\n").next().unwrap_or_default();
    let keys = fields(first_paragraph);

    if let Some(seen) = unsupported(&keys) {
        return Err(Error::Unsupported {
            path: reader.full(CPUINFO_PATH),
            seen,
        });
    }
    let system = if keys.contains_key("CPU implementer") {
        System::Aarch64
    } else if keys.contains_key("vendor_id") {
        System::X86_64
    } else {
        let seen = failure.unwrap_or_else(|| "names no processor".to_owned());
        let meaning = "the processor's vendor, model and features are unknown, and the system is taken to be this program's own";
        reader.note(CPUINFO_PATH, seen, meaning);
        own_system()
    };

    let (vendor, model) = match system {
        System::X86_64 => (x86_vendor(&keys), x86_model(reader, &keys)),
        System::Aarch64 => arm_vendor_and_model(reader),
    };
    let (flags, known): (_, &[&str]) = match system {
        System::X86_64 => (keys.get("flags"), &X86_FEATURES),
        System::Aarch64 => (keys.get("Features"), &ARM_FEATURES),
    };
    let flags: BTreeSet<&str> =
        flags.map_or_else(BTreeSet::new, |line| line.split_whitespace().collect());
    let mut features: Vec<String> = known
        .iter()
        .filter(|name| flags.contains(**name))
        .map(ToString::to_string)
        .collect();
    features.sort_unstable();

    let counts = topology_of_sysfs(reader).unwrap_or_else(|| topology_of_cpuinfo(reader));
    let facts = Cpu {
        vendor,
        model,
        sockets: counts.sockets,
        cores: counts.cores,
        threads: counts.threads,
        numa_nodes: numa_nodes(reader),
        features,
    };
    let hypervisor = flags.contains("hypervisor");
    Ok((system, CpuReading { facts, hypervisor }))
}

/// `key : value` lines; the last of a key wins.
fn fields(text: &str) -> BTreeMap<&str, &str> {
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(key, value)| (key.trim(), value.trim()))
        .collect()
}

/// Names an architecture that is surely not ours.
fn unsupported(keys: &BTreeMap<&str, &str>) -> Option<&'static str> {
    let has_flag = |flag| {
        keys.get("flags")
            .is_none_or(|flags| flags.split_whitespace().any(|seen| seen == flag))
    };
    if keys.get("vendor_id") == Some(&"IBM/S390") {
        Some("of IBM Z")
    } else if keys.contains_key("vendor_id") && !has_flag("lm") {
        Some("a 32-bit x86")
    } else if keys.contains_key("CPU implementer")
        && keys
            .get("CPU architecture")
            .is_some_and(|n| matches!(*n, "5TEJ" | "6" | "7"))
    {
        Some("a 32-bit ARM")
    } else if keys.contains_key("hart") {
        Some("a RISC-V")
    } else if keys
        .get("cpu")
        .is_some_and(|name| name.starts_with("POWER"))
    {
        Some("a POWER")
    } else {
        None
    }
}

fn own_system() -> System {
    if cfg!(target_arch = "aarch64") {
        System::Aarch64
    } else {
        System::X86_64
    }
}

fn x86_vendor(keys: &BTreeMap<&str, &str>) -> CpuVendor {
    match keys.get("vendor_id") {
        Some(&"AuthenticAMD") => CpuVendor::Amd,
        Some(&"GenuineIntel") => CpuVendor::Intel,
        _ => CpuVendor::Other,
    }
}

fn x86_model(reader: &mut Reader, keys: &BTreeMap<&str, &str>) -> Option<String> {
    let name = keys.get("model name").filter(|name| !name.is_empty())?;
    let model = printable(name);
    if model.is_none() {
        reader.note(
            CPUINFO_PATH,
            "the model name is no text",
            "the model is unknown",
        );
    }
    model
}

/// ARM kernels print numbers, per core, and cores of several kinds may be
/// mixed: so the whole file counts, and the model names each kind once.
fn arm_vendor_and_model(reader: &mut Reader) -> (CpuVendor, Option<String>) {
    let Ok(bytes) = reader.read(CPUINFO_PATH, Extent::Whole) else {
        return (CpuVendor::Arm, None);
    };
    let text = String::from_utf8_lossy(&bytes);
    let mut vendor = CpuVendor::Arm;
    let mut names = BTreeSet::new();
    for paragraph in text.split("\n\n") {
        let keys = fields(paragraph);
        let number = |key| {
            keys.get(key)
                .and_then(|value: &&str| value.strip_prefix("0x"))
                .and_then(|digits| u32::from_str_radix(digits, 16).ok())
        };
        let Some(implementer) = number("CPU implementer") else {
            continue;
        };
        if implementer == 0x61 {
            vendor = CpuVendor::Apple;
        }
        if let Some(name) = number("CPU part").and_then(|part| arm_core(implementer, part)) {
            names.insert(name);
        }
    }
    let model = names.into_iter().collect::<Vec<_>>().join(" + ");
    (vendor, (!model.is_empty()).then_some(model))
}

/// Marketing names of ARM Ltd's cores by main id register, from
/// `arch/arm64/include/asm/cputype.h` of Linux.
fn arm_core(implementer: u32, part: u32) -> Option<&'static str> {
    if implementer != 0x41 {
        return None;
    }
    Some(match part {
        0xd03 => "Cortex-A53",
        0xd04 => "Cortex-A35",
        0xd05 => "Cortex-A55",
        0xd07 => "Cortex-A57",
        0xd08 => "Cortex-A72",
        0xd09 => "Cortex-A73",
        0xd0a => "Cortex-A75",
        0xd0b => "Cortex-A76",
        0xd0c => "Neoverse-N1",
        0xd0d => "Cortex-A77",
        0xd40 => "Neoverse-V1",
        0xd41 => "Cortex-A78",
        0xd42 => "Cortex-A78AE",
        0xd44 => "Cortex-X1",
        0xd46 => "Cortex-A510",
        0xd47 => "Cortex-A710",
        0xd48 => "Cortex-X2",
        0xd49 => "Neoverse-N2",
        0xd4b => "Cortex-A78C",
        0xd4d => "Cortex-A715",
        0xd4e => "Cortex-X3",
        0xd4f => "Neoverse-V2",
        0xd80 => "Cortex-A520",
        0xd81 => "Cortex-A720",
        0xd82 => "Cortex-X4",
        0xd84 => "Neoverse-V3",
        0xd85 => "Cortex-X925",
        0xd87 => "Cortex-A725",
        0xd8e => "Neoverse-N3",
        _ => return None,
    })
}

struct Topology {
    sockets: Option<u32>,
    cores: Option<u32>,
    threads: Option<u32>,
}

/// Counts from sysfs: one file a core and one a socket, since each lists its siblings.
fn topology_of_sysfs(reader: &mut Reader) -> Option<Topology> {
    let path = format!("{CPU_PATH}/online");
    let meaning = "the processors are counted from /proc/cpuinfo";
    let online = reader.value(&path, meaning)?;
    let Some(online) = parse_list(&online) else {
        reader.note(&path, format!("{online:?} is no list of numbers"), meaning);
        return None;
    };
    let cores = groups(reader, &online, "core_cpus_list")?;
    let sockets = groups(reader, &online, "package_cpus_list")?;
    Some(Topology {
        sockets: Some(sockets),
        cores: Some(cores),
        threads: count(online.len()),
    })
}

/// Into how many groups the file `topology/<name>` divides the processors.
fn groups(reader: &mut Reader, online: &BTreeSet<u32>, name: &str) -> Option<u32> {
    let mut seen = BTreeSet::new();
    let mut groups = 0;
    for cpu in online {
        if !seen.insert(*cpu) {
            continue;
        }
        let path = format!("{CPU_PATH}/cpu{cpu}/topology/{name}");
        let meaning = "the processors are counted from /proc/cpuinfo";
        let siblings = reader.value(&path, meaning)?;
        let Some(siblings) = parse_list(&siblings) else {
            reader.note(
                &path,
                format!("{siblings:?} is no list of numbers"),
                meaning,
            );
            return None;
        };
        seen.extend(siblings);
        groups += 1;
    }
    Some(groups)
}

/// Counts from `/proc/cpuinfo`, where there is no sysfs.
fn topology_of_cpuinfo(reader: &mut Reader) -> Topology {
    let text = reader.read(CPUINFO_PATH, Extent::Whole).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let mut sockets = BTreeSet::new();
    let mut cores = BTreeSet::new();
    let mut threads = 0;
    for keys in text.split("\n\n").map(fields) {
        if !keys.contains_key("processor") {
            continue;
        }
        threads += 1;
        if let (Some(socket), Some(core)) = (keys.get("physical id"), keys.get("core id")) {
            sockets.insert((*socket).to_owned());
            cores.insert(((*socket).to_owned(), (*core).to_owned()));
        }
    }
    let known = |n: usize| count(n).filter(|n| *n > 0);
    Topology {
        sockets: known(sockets.len()),
        cores: known(cores.len()),
        threads: known(threads),
    }
}

/// NUMA nodes with processors: nodes of memory alone (CXL, the GPUs of a Grace
/// Hopper) don't count. A kernel without NUMA has one.
fn numa_nodes(reader: &mut Reader) -> u32 {
    let meaning = "one NUMA node is assumed";
    for name in ["has_cpu", "online"] {
        let path = format!("{NODE_PATH}/{name}");
        let Some(text) = reader.value(&path, meaning) else {
            continue;
        };
        match parse_list(&text).and_then(|nodes| count(nodes.len())) {
            Some(nodes) if nodes > 0 => return nodes,
            _ => reader.note(&path, format!("{text:?} is no list of numbers"), meaning),
        }
    }
    1
}

fn count(n: usize) -> Option<u32> {
    u32::try_from(n).ok()
}

/// The kernel's list format: `0-3,8,10-11` (`Documentation/admin-guide/cputopology.rst`).
fn parse_list(text: &str) -> Option<BTreeSet<u32>> {
    let mut numbers = BTreeSet::new();
    for range in text.split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last) = (first.parse::<u32>().ok()?, last.parse::<u32>().ok()?);
        if first > last || last > MAX_CPU {
            return None;
        }
        numbers.extend(first..=last);
    }
    Some(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_the_kernel() {
        let list = |text| parse_list(text).map(|set| set.into_iter().collect::<Vec<_>>());
        assert_eq!(list("0"), Some(vec![0]));
        assert_eq!(list("0-3,8,10-11"), Some(vec![0, 1, 2, 3, 8, 10, 11]));
        for odd in [
            "",
            "a",
            "3-1",
            "0-",
            "0-65536",
            "0-4294967295",
            "-1",
            "0,,1",
        ] {
            assert_eq!(list(odd), None, "{odd:?}");
        }
    }

    #[test]
    fn other_architectures_are_named() {
        for (text, seen) in [
            ("vendor_id : IBM/S390\nfeatures : esan3", Some("of IBM Z")),
            (
                "vendor_id : GenuineIntel\nflags : fpu vme",
                Some("a 32-bit x86"),
            ),
            ("vendor_id : GenuineIntel\nflags : fpu lm", None),
            ("vendor_id : GenuineIntel", None),
            (
                "CPU implementer : 0x41\nCPU architecture: 7",
                Some("a 32-bit ARM"),
            ),
            ("CPU implementer : 0x41\nCPU architecture: 8", None),
            ("hart : 0\nisa : rv64imafdc", Some("a RISC-V")),
            ("cpu : POWER9, altivec supported", Some("a POWER")),
            ("", None),
        ] {
            assert_eq!(unsupported(&fields(text)), seen, "{text:?}");
        }
    }
}
