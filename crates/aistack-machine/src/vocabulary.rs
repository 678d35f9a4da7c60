//! Words that every part of the project shares.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};

/// Whose systemd and podman run something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// The machine's: root's containers, declared by NixOS.
    System,
    /// One user's: rootless containers, declared by Home Manager.
    User,
}

impl Scope {
    /// The name, as files and options write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
        }
    }

    /// ` --user` in user scope, for the commands of systemd that messages propose.
    #[must_use]
    pub fn flag(self) -> &'static str {
        match self {
            Self::System => "",
            Self::User => " --user",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Transport protocol of a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        })
    }
}

/// What inference engines run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Backend {
    /// NVIDIA's CUDA.
    Cuda,
    /// AMD's `ROCm`.
    Rocm,
    /// Vulkan, through the kernel's own drivers and Mesa.
    Vulkan,
    /// Intel's SYCL (oneAPI, Level Zero).
    Sycl,
    /// No GPU.
    Cpu,
}

impl Backend {
    /// Whether it is a GPU's.
    #[must_use]
    pub fn is_accelerated(self) -> bool {
        self != Self::Cpu
    }
}

/// A field that must be there, though its value may be `null`.
///
/// Without this serde takes a missing field for `null`; the schemas do not.
///
/// # Errors
/// When the value is of another type.
pub fn nullable<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Option::deserialize(deserializer)
}
