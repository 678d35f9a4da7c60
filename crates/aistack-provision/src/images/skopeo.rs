//! The real skopeo, asked about registries.

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use aistack_machine::command::{self, CommandError, Finished, extended_path, find};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::images::Image;
use crate::images::config::Config;
use crate::images::error::RegistryError;
use crate::images::manifest::Manifest;

/// How long a registry may take to answer a question.
const QUESTION_LIMIT: Duration = Duration::from_mins(2);

/// A manifest as the registry sent it.
#[derive(Clone, Debug)]
pub struct Raw {
    /// The digest of its bytes: of an index, the index's own.
    pub digest: String,
    /// What it says.
    pub manifest: Manifest,
}

/// The skopeo program.
#[derive(Clone, Debug)]
pub struct Skopeo {
    program: PathBuf,
    path: OsString,
    insecure: Vec<String>,
    has_policy: bool,
}

/// What skopeo ended for, out of the lines of its log; all it said, where there is
/// no such line: `time="…" level=fatal msg="…"`.
fn reason(stderr: &str) -> String {
    let message = stderr
        .rsplit_once("level=fatal msg=")
        .and_then(|(_, rest)| serde_json::Deserializer::from_str(rest).into_iter().next())
        .and_then(Result::<String, _>::ok);
    message.unwrap_or_else(|| stderr.to_owned())
}

#[derive(Deserialize)]
struct Document {
    #[serde(default)]
    os: String,
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    config: Option<Config>,
}

impl Skopeo {
    /// Finds the program in `path` (the value of `PATH`), then in the usual
    /// places. The registries in `insecure` (`HOST:PORT`) are asked without TLS
    /// or without looking at their certificate.
    ///
    /// # Errors
    /// When there is no skopeo.
    pub fn new(path: Option<&OsStr>, insecure: &[String]) -> Result<Self, CommandError> {
        let program = find(Path::new("/"), path, &[], "skopeo")
            .ok_or(CommandError::NotFound { program: "skopeo" })?;
        let home = std::env::var_os("HOME").map(PathBuf::from);
        let policies = [
            home.map(|home| home.join(".config/containers/policy.json")),
            Some(PathBuf::from("/etc/containers/policy.json")),
        ];
        Ok(Self {
            program,
            path: extended_path(path),
            insecure: insecure.to_vec(),
            has_policy: policies.iter().flatten().any(|policy| policy.exists()),
        })
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.env("PATH", &self.path);
        if !self.has_policy {
            // Without any, skopeo refuses to copy. What is copied is known by its digest.
            command.arg("--insecure-policy");
        }
        command
    }

    /// Whether `name` lies in a registry that is asked without TLS.
    fn is_insecure(&self, name: &str) -> bool {
        let registry = name.split('/').next().unwrap_or_default();
        self.insecure.iter().any(|known| known == registry)
    }

    fn inspect(
        &self,
        name: &str,
        at: &str,
        architecture: Option<&str>,
        options: &[&str],
    ) -> Result<Finished, RegistryError> {
        let mut command = self.command();
        if let Some(architecture) = architecture {
            command.args(["--override-os", "linux", "--override-arch", architecture]);
        }
        command.arg("inspect").args(options);
        if self.is_insecure(name) {
            command.arg("--tls-verify=false");
        }
        command.arg(format!("docker://{at}"));
        let mut done = command::run(command, None, QUESTION_LIMIT)?;
        if done.status.success() {
            Ok(done)
        } else {
            done.stderr = reason(&done.stderr);
            Err(done.into_error().into())
        }
    }

    /// The manifest that a reference stands for.
    ///
    /// `inspect --raw` gives what the registry has, byte by byte. Its hash is the
    /// digest, that of the index where there is one; `{{.Digest}}` would be the
    /// same, but only where the index has an image for this machine.
    ///
    /// # Errors
    /// When the registry can't be asked, or what it has is no image.
    pub fn raw(&self, name: &str, at: &str) -> Result<Raw, RegistryError> {
        let done = self.inspect(name, at, None, &["--raw"])?;
        let manifest = Manifest::parse(&done.stdout).map_err(|why| RegistryError::Manifest {
            at: at.to_owned(),
            why,
        })?;
        let digest =
            Sha256::digest(&done.stdout)
                .iter()
                .fold("sha256:".to_owned(), |mut text, byte| {
                    // Writing to a String doesn't fail.
                    let _ = write!(text, "{byte:02x}");
                    text
                });
        Ok(Raw { digest, manifest })
    }

    fn document(
        &self,
        name: &str,
        at: &str,
        architecture: &str,
    ) -> Result<Document, RegistryError> {
        let done = self.inspect(name, at, Some(architecture), &["--config", "--raw"])?;
        serde_json::from_slice(&done.stdout).map_err(|error| RegistryError::Manifest {
            at: at.to_owned(),
            why: error.to_string(),
        })
    }

    /// How the image says that it is run: its configuration for that processor.
    ///
    /// # Errors
    /// When the registry can't be asked, or what it has is no image.
    pub fn config(
        &self,
        name: &str,
        at: &str,
        architecture: &str,
    ) -> Result<Config, RegistryError> {
        let document = self.document(name, at, architecture)?;
        Ok(document.config.unwrap_or_default())
    }

    /// Whether the image is in its registry, with the declared digest where there
    /// is one, and for that processor. What was found comes back.
    ///
    /// # Errors
    /// When it is not, or the registry can't be asked.
    pub fn verify(&self, image: &Image, architecture: &str) -> Result<Raw, RegistryError> {
        let at = image.source();
        let raw = self.raw(&image.name, &at)?;
        if let Some(declared) = &image.digest
            && *declared != raw.digest
        {
            return Err(RegistryError::Digest {
                at,
                seen: raw.digest,
            });
        }
        let seen: Vec<String> = match &raw.manifest {
            Manifest::Index(instances) => instances
                .iter()
                .map(|instance| format!("{}/{}", instance.os, instance.architecture))
                .collect(),
            Manifest::Single { .. } => {
                let config = self.document(&image.name, &at, architecture)?;
                vec![format!("{}/{}", config.os, config.architecture)]
            }
        };
        if seen.contains(&format!("linux/{architecture}")) {
            Ok(raw)
        } else {
            Err(RegistryError::Architecture {
                at,
                wanted: architecture.to_owned(),
                seen,
            })
        }
    }

    /// What the image's layers take for one processor, in bytes, compressed as
    /// the registry has them.
    ///
    /// # Errors
    /// When the registry can't be asked.
    pub fn size(&self, image: &Image, raw: &Raw, architecture: &str) -> Result<u64, RegistryError> {
        match &raw.manifest {
            Manifest::Single { bytes } => Ok(*bytes),
            Manifest::Index(instances) => {
                let fits = instances
                    .iter()
                    .find(|one| one.os == "linux" && one.architecture == architecture);
                let Some(instance) = fits else { return Ok(0) };
                let at = format!("{}@{}", image.name, instance.digest);
                match self.raw(&image.name, &at)?.manifest {
                    Manifest::Single { bytes } => Ok(bytes),
                    Manifest::Index(_) => Ok(0),
                }
            }
        }
    }

    /// Copies one image into the new archive `file` of the folder `directory`,
    /// under the reference `tagged`, with its own messages shown as they come.
    ///
    /// # Errors
    /// When skopeo can't be run or fails.
    pub fn archive(
        &self,
        image: &Image,
        architecture: &str,
        directory: &Path,
        file: &str,
        temporary: &Path,
    ) -> Result<(), RegistryError> {
        let mut command = self.command();
        command
            .current_dir(directory)
            .args(["--override-os", "linux", "--override-arch", architecture])
            .arg("--tmpdir")
            .arg(temporary)
            // An archive has no place for signatures.
            .args(["copy", "--retry-times", "3", "--remove-signatures"]);
        if self.is_insecure(&image.name) {
            command.arg("--src-tls-verify=false");
        }
        command
            .arg(format!("docker://{}", image.source()))
            .arg(format!("oci-archive:{file}:{}", image.tagged()));
        Ok(command::run_shown(command)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_taken_out_of_the_log() {
        let log = r#"time="a" level=warning msg="x"; time="b" level=fatal msg="no \"t\": unknown""#;
        assert_eq!(reason(log), r#"no "t": unknown"#);
        for other in ["plain", "level=fatal msg=bare", "level=fatal msg=\"cut"] {
            assert_eq!(reason(other), other);
        }
    }
}
