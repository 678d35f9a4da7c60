//! Reads a machine's hardware and prints it as facts for the Nix side.
//!
//! The facts are what the Nix modules know of a machine: they lie in git next
//! to the host that they describe, so they hold nothing that changes by itself
//! (no free memory, no host name) and nothing that identifies the machine (no
//! serial number, no MAC address). `schemas/facts.schema.json` describes
//! their JSON form.
//!
//! Every reader reads below a root directory, so that a tree captured from
//! another machine is read just as `/` is. No program is started.
//!
//! ```no_run
//! let reading = aistack_facts::read(std::path::Path::new("/"))?;
//! for note in &reading.notes {
//!     eprintln!("{note}");
//! }
//! println!("{}", reading.facts.to_json());
//! # Ok::<(), aistack_facts::Error>(())
//! ```

mod cdi;
mod cpu;
mod drift;
mod error;
mod facter;
mod facts;
mod gpu;
mod kfd;
mod memory;
mod mounts;
mod names;
pub mod nix;
mod nvml;
mod pci;
mod platform;
mod reader;
mod save;
mod subids;
mod vram;

use std::path::Path;

use reader::Reader;

pub use drift::{Difference, declared, drift};
pub use error::{DeclaredError, Error, SaveError};
pub use facter::{Report, ReportError};
pub use facts::{
    Amd, Architecture, Cdi, Cpu, CpuVendor, DriverBranch, Facts, FileSystems, Firmware, Gpu,
    GpuVendor, Memory, Nvidia, Primary, SCHEMA, SubordinateIds, System,
};
pub use reader::Note;
pub use save::{Saved, save};

/// What a machine says of itself, and what of it could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The facts; what could not be read is `null` or left out in them.
    pub facts: Facts,
    /// What could not be read, in the order in which it was tried.
    pub notes: Vec<Note>,
}

/// Reads the machine whose `/sys`, `/proc`, `/etc` and `/run` lie below `root`.
///
/// Odd, truncated or unreadable entries don't fail the reading: they become
/// `null` (or are left out) and a [`Note`] says so. Symbolic links are followed
/// within `root`, never out of it.
///
/// # Errors
///
/// [`Error::Root`] when `root` is no directory that can be opened,
/// [`Error::NoProc`] when neither `/proc/cpuinfo` nor `/proc/meminfo` can be
/// read below it, [`Error::Unsupported`] when the processor is neither `x86_64`
/// nor `aarch64`.
pub fn read(root: &Path) -> Result<Reading, Error> {
    read_with(root, None)
}

/// [`read`], with a report of nixos-facter that fills what the machine can't show.
///
/// # Errors
///
/// As those of [`read`].
pub fn read_with(root: &Path, report: Option<&Report>) -> Result<Reading, Error> {
    let mut reader = Reader::open(root)?;

    let cpuinfo = reader.read(cpu::CPUINFO_PATH, reader::Extent::FirstParagraph);
    let meminfo = reader.read(memory::MEMINFO_PATH, reader::Extent::Whole);
    if let (Err(cpuinfo), Err(meminfo)) = (&cpuinfo, &meminfo) {
        return Err(Error::NoProc {
            root: root.to_path_buf(),
            cpuinfo: aistack_machine::text::io(cpuinfo),
            meminfo: aistack_machine::text::io(meminfo),
        });
    }

    let (system, cpu) = cpu::read(&mut reader, cpuinfo)?;
    let memory = memory::read(&mut reader, meminfo);
    // NVIDIA's library speaks of the running machine, whatever tree is read.
    let (mut live, mut nobody) = (nvml::Live::default(), nvml::Nobody);
    let nvml: &mut dyn nvml::Nvml = if reader.is_live() {
        &mut live
    } else {
        &mut nobody
    };
    let gpus = gpu::read(&mut reader, report, nvml, memory.total_mib);
    let cdi = cdi::read(&mut reader);
    let mounts = mounts::read(&mut reader);
    let choice = gpu::choose(&gpus);

    let virtualisation = platform::virtualisation(&mut reader, &mounts, cpu.hypervisor);
    let mut firmware = platform::firmware(&mut reader);
    if let Some(report) = report {
        report.compare(&mut reader, system, &virtualisation);
        report.merge_firmware(&mut reader, &mut firmware);
    }

    let facts = Facts {
        schema: SCHEMA,
        system,
        memory,
        primary: choice.primary,
        backend: choice.backend,
        backend_reason: choice.reason,
        gpus,
        cdi,
        firmware,
        virtualisation,
        cgroup_version: mounts::cgroup_version(&mut reader, &mounts),
        file_systems: mounts::file_systems(&mut reader, &mounts),
        subordinate_ids: subids::read(&mut reader),
        cpu: cpu.facts,
    };
    Ok(Reading {
        facts,
        notes: reader.into_notes(),
    })
}
