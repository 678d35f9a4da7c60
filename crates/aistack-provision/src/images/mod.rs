//! The lock of the container images, and images for machines without a network.
//!
//! [`Lock`] is `pkgs/images.json`. [`Skopeo`] asks registries through the real
//! `skopeo`. [`Contract`] is what upstream's image is said to be. [`Bundler`] writes archives of images into a folder with a
//! `bundle.json`, which [`Bundle`] reads on the other machine.

mod archive;
mod bundle;
mod config;
mod contract;
mod contracts;
mod error;
mod lock;
mod manifest;
mod skopeo;

pub use archive::{ArchiveError, Checked, check};
pub use bundle::{ARCHIVES, Archive, Bundle, Bundler, Made};
pub use config::{Config, Difference};
pub use contract::{Contract, Pid1};
pub use contracts::Contracts;
pub use error::{BundleError, ContractError, LockError, RegistryError};
pub use lock::{Entry, Lock};
pub use manifest::Manifest;
pub use skopeo::{Raw, Skopeo};

/// An image that is declared somewhere, with the tag, the digest, or both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// The lock's key, or the service.
    pub label: String,
    /// Registry and repository.
    pub name: String,
    /// Tag.
    pub tag: Option<String>,
    /// `sha256:` and 64 hexadecimal digits.
    pub digest: Option<String>,
}

impl Image {
    /// What a registry is asked for: the digest where there is one, since skopeo
    /// takes no reference with both.
    #[must_use]
    pub fn source(&self) -> String {
        match &self.digest {
            Some(digest) => format!("{}@{digest}", self.name),
            None => self.tagged(),
        }
    }

    /// Name and tag, which is what an archive can bring.
    #[must_use]
    pub fn tagged(&self) -> String {
        format!("{}:{}", self.name, self.tag.as_deref().unwrap_or("latest"))
    }
}

/// The name that images have for this machine's processor.
#[must_use]
pub fn architecture() -> &'static str {
    // Rust's names on the left, Go's, which images use, on the right.
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        "powerpc64" => "ppc64le",
        "loongarch64" => "loong64",
        other => other,
    }
}

/// A digest as lower-case hexadecimal digits.
fn hex(digest: sha2::Sha256) -> String {
    aistack_machine::text::hex(&sha2::Digest::finalize(digest))
}

/// Bytes as whole MiB, rounded up, for messages.
#[must_use]
pub fn mib(bytes: u64) -> u64 {
    bytes.div_ceil(1024 * 1024)
}
