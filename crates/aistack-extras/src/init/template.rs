//! The flake's templates with a machine's own values in place of the examples.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use aistack_facts::nix;
use aistack_facts::{Facts, Firmware, Gpu, GpuVendor, System};
use aistack_machine::Backend;

use crate::init::choice::{Choice, Service};
use crate::init::{Kind, Machine, Request};

/// A compiled-in template does not have what is to be replaced.
#[derive(Debug, thiserror::Error)]
#[error(
    "the template {file} in this program has no `{example}`; build it anew from a clean checkout"
)]
pub struct TemplateError {
    file: &'static str,
    example: &'static str,
}

macro_rules! template {
    ($path:literal) => {
        (
            $path,
            include_str!(concat!("../../../../templates/", $path)),
        )
    };
}

const WORKSTATION_FLAKE: (&str, &str) = template!("workstation/flake.nix");
const WORKSTATION_CONFIGURATION: (&str, &str) = template!("workstation/configuration.nix");
const WORKSTATION_HARDWARE: (&str, &str) = template!("workstation/hardware-configuration.nix");
const HOME_FLAKE: (&str, &str) = template!("home/flake.nix");
const HOME_HOME: (&str, &str) = template!("home/home.nix");

const EXAMPLE_SOURCE: &str = "\"github:aistack-nix/aistack\"";
const EXAMPLE_SYSTEM: &str = "\"x86_64-linux\"";
const EXAMPLE_BOOT: &str = "  boot.loader.systemd-boot.enable = true;
  boot.loader.efi.canTouchEfiVariables = true;
";

/// The files of the new configuration; `notes` gets what is left to do by hand.
pub fn fill(
    request: &Request,
    machine: &Machine<'_>,
    choice: &Choice,
    notes: &mut Vec<String>,
) -> Result<BTreeMap<PathBuf, String>, TemplateError> {
    let mut files = BTreeMap::new();
    let mut put = |name: &str, text: String| files.insert(PathBuf::from(name), text);

    let source = nix_string(request.source.as_str());
    let system = match machine.facts.system {
        System::X86_64 => "\"x86_64-linux\"",
        System::Aarch64 => "\"aarch64-linux\"",
    };
    match request.kind {
        Kind::Workstation => {
            let host = nix_string(request.host.as_str());
            put(
                "flake.nix",
                Text::of(WORKSTATION_FLAKE)
                    .replace(EXAMPLE_SOURCE, &source)?
                    .replace(
                        "nixosConfigurations.workstation",
                        &format!("nixosConfigurations.{}", attribute(request.host.as_str())),
                    )?
                    .done(),
            );
            put(
                "configuration.nix",
                Text::of(WORKSTATION_CONFIGURATION)
                    .replace("\"workstation\"", &host)?
                    .replace(
                        "users.users.me",
                        &format!("users.users.{}", attribute(request.user.as_str())),
                    )?
                    .replace(
                        EXAMPLE_BOOT,
                        &(boot(machine.facts, notes) + &unfree(machine.facts)),
                    )?
                    .done(),
            );
            put(
                "hardware-configuration.nix",
                if let Some(own) = machine.hardware_configuration {
                    own.to_owned()
                } else {
                    notes.push(
                        "hardware-configuration.nix is a stand-in: replace it on the machine with the output of `nixos-generate-config --show-hardware-config`".to_owned(),
                    );
                    Text::of(WORKSTATION_HARDWARE)
                        .replace(EXAMPLE_SYSTEM, system)?
                        .done()
                },
            );
        }
        Kind::Home => {
            let user = request.user.as_str();
            put(
                "flake.nix",
                Text::of(HOME_FLAKE)
                    .replace(EXAMPLE_SOURCE, &source)?
                    .replace(EXAMPLE_SYSTEM, system)?
                    .replace(
                        "homeConfigurations.me",
                        &format!("homeConfigurations.{}", attribute(user)),
                    )?
                    .done(),
            );
            put(
                "home.nix",
                Text::of(HOME_HOME)
                    .replace("\"me\"", &nix_string(user))?
                    .replace("\"/home/me\"", &nix_string(&format!("/home/{user}")))?
                    .done(),
            );
        }
    }
    put("facts.json", machine.facts.to_json());
    put("stack.nix", stack(machine.facts, choice));
    Ok(files)
}

/// A template whose examples are replaced one by one.
struct Text {
    file: &'static str,
    text: String,
}

impl Text {
    fn of((file, text): (&'static str, &'static str)) -> Self {
        Self {
            file,
            text: text.to_owned(),
        }
    }

    fn replace(self, example: &'static str, value: &str) -> Result<Self, TemplateError> {
        if !self.text.contains(example) {
            return Err(TemplateError {
                file: self.file,
                example,
            });
        }
        Ok(Self {
            file: self.file,
            text: self.text.replacen(example, value, 1),
        })
    }

    fn done(self) -> String {
        self.text
    }
}

/// How the machine boots, as the firmware asks for.
fn boot(facts: &Facts, notes: &mut Vec<String>) -> String {
    match facts.firmware {
        Some(Firmware::Uefi) | None => EXAMPLE_BOOT.to_owned(),
        Some(Firmware::Bios) => {
            notes.push(
                "configuration.nix: this machine boots by BIOS; check boot.loader.grub.device".to_owned(),
            );
            "  # The disk that the BIOS boots from.\n  boot.loader.grub.device = \"/dev/sda\";\n".to_owned()
        }
        Some(Firmware::DeviceTree) => {
            "  boot.loader.grub.enable = false;\n  boot.loader.generic-extlinux-compatible.enable = true;\n".to_owned()
        }
    }
}

/// What NVIDIA's driver needs said before nixpkgs takes it.
fn unfree(facts: &Facts) -> String {
    let needs = |gpu: &Gpu| gpu.vendor == GpuVendor::Nvidia && gpu.backend == Backend::Cuda;
    if facts.gpus.iter().any(needs) {
        "\n  # NVIDIA's driver is not free software; nixpkgs asks before it takes it.\n  nixpkgs.config.allowUnfree = true;\n".to_owned()
    } else {
        String::new()
    }
}

/// `stack.nix`: the chosen services with the reasons.
fn stack(facts: &Facts, choice: &Choice) -> String {
    let mut out =
        String::from("# The local AI stack, as `aistack init` chose it for this machine:\n");
    for line in machine_lines(facts) {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "#   {line}");
    }
    out.push_str("# Everything listens on 127.0.0.1 unless an option opens it.\n{\n  services.aiStack = {\n    enable = true;\n    facts = ./facts.json;\n");
    for service in &choice.services {
        out.push('\n');
        out.push_str(&service_text(service));
    }
    if !choice.left_out.is_empty() {
        out.push_str("\n    # Left out, and one line away:\n");
        for (name, why) in &choice.left_out {
            let _ = writeln!(out, "    # {name}.enable = true; # {why}");
        }
    }
    out.push_str("  };\n}\n");
    out
}

fn service_text(service: &Service) -> String {
    let name = &service.name;
    let ports: Vec<String> = service.ports.iter().map(|(_, p)| p.to_string()).collect();
    let mut out = format!("    # {}: {}\n", service.description, ports.join(", "));
    if service.moved.is_empty() && service.options.is_empty() {
        let _ = writeln!(out, "    {name}.enable = true;");
        return out;
    }
    let _ = writeln!(out, "    {name} = {{\n      enable = true;");
    for (option, value) in &service.options {
        let _ = writeln!(out, "      {option} = {value};");
    }
    for moved in &service.moved {
        let _ = writeln!(
            out,
            "      ports.{} = {}; # {} was in use",
            moved.port, moved.to, moved.from
        );
    }
    out.push_str("    };\n");
    out
}

fn machine_lines(facts: &Facts) -> Vec<String> {
    let mut lines = Vec::new();
    let threads = facts
        .cpu
        .threads
        .map(|t| format!(", {t} threads"))
        .unwrap_or_default();
    lines.push(comment_text(&format!(
        "{}{threads}",
        facts.cpu.model.as_deref().unwrap_or("an unnamed processor")
    )));
    if let Some(mib) = facts.memory.total_mib {
        lines.push(format!("{} GiB of memory", (mib + 512) / 1024));
    }
    let backend = backend_name(facts);
    lines.push(comment_text(&format!(
        "{backend}: {}",
        facts.backend_reason
    )));
    lines
}

/// The backend as Nix and JSON spell it.
fn backend_name(facts: &Facts) -> String {
    serde_json::to_value(facts.backend)
        .ok()
        .and_then(|v| v.as_str().map(str::to_owned))
        .unwrap_or_default()
}

/// One line of a comment: no line ends in it.
fn comment_text(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// A text as a Nix string. What NUL ends, arguments and names of files, holds none.
pub fn nix_string(text: &str) -> String {
    nix::string(text).unwrap_or_default()
}

/// A checked name as an attribute: quoted where it is no identifier.
fn attribute(name: &str) -> String {
    nix::attribute(name).unwrap_or_default()
}
