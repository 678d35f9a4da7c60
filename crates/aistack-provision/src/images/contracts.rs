//! The contracts of the project's images, compiled in, or a folder of them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::images::contract::Contract;
use crate::images::error::ContractError;

/// The files of `pkgs/contracts`.
const COMPILED: [(&str, &str); 20] = [
    (
        "aider",
        include_str!("../../../../pkgs/contracts/aider.json"),
    ),
    (
        "alloy",
        include_str!("../../../../pkgs/contracts/alloy.json"),
    ),
    (
        "chromadb",
        include_str!("../../../../pkgs/contracts/chromadb.json"),
    ),
    (
        "goose",
        include_str!("../../../../pkgs/contracts/goose.json"),
    ),
    (
        "grafana",
        include_str!("../../../../pkgs/contracts/grafana.json"),
    ),
    (
        "litellm",
        include_str!("../../../../pkgs/contracts/litellm.json"),
    ),
    (
        "llama-cpp",
        include_str!("../../../../pkgs/contracts/llama-cpp.json"),
    ),
    ("loki", include_str!("../../../../pkgs/contracts/loki.json")),
    (
        "mindsdb",
        include_str!("../../../../pkgs/contracts/mindsdb.json"),
    ),
    (
        "node-exporter",
        include_str!("../../../../pkgs/contracts/node-exporter.json"),
    ),
    (
        "ollama",
        include_str!("../../../../pkgs/contracts/ollama.json"),
    ),
    (
        "open-webui",
        include_str!("../../../../pkgs/contracts/open-webui.json"),
    ),
    (
        "postgres",
        include_str!("../../../../pkgs/contracts/postgres.json"),
    ),
    (
        "prometheus",
        include_str!("../../../../pkgs/contracts/prometheus.json"),
    ),
    (
        "qdrant",
        include_str!("../../../../pkgs/contracts/qdrant.json"),
    ),
    (
        "redis",
        include_str!("../../../../pkgs/contracts/redis.json"),
    ),
    (
        "redisinsight",
        include_str!("../../../../pkgs/contracts/redisinsight.json"),
    ),
    ("tgi", include_str!("../../../../pkgs/contracts/tgi.json")),
    ("vllm", include_str!("../../../../pkgs/contracts/vllm.json")),
    (
        "vllm-rocm",
        include_str!("../../../../pkgs/contracts/vllm-rocm.json"),
    ),
];

/// Contracts by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contracts {
    by_name: BTreeMap<String, Contract>,
}

impl Contracts {
    /// Those of this version of aistack.
    ///
    /// # Errors
    /// When one of them isn't a contract, which a test excludes.
    pub fn compiled() -> Result<Self, ContractError> {
        let mut by_name = BTreeMap::new();
        for (name, text) in COMPILED {
            let path = Path::new("pkgs/contracts").join(format!("{name}.json"));
            by_name.insert(name.to_owned(), Contract::parse(&path, text.as_bytes())?);
        }
        Ok(Self { by_name })
    }

    /// Those of a folder: each `NAME.json` in it.
    ///
    /// # Errors
    /// When the folder can't be read, or one of the files isn't a contract.
    pub fn read(directory: &Path) -> Result<Self, ContractError> {
        let unreadable = |cause| ContractError::Unreadable {
            path: directory.to_owned(),
            cause,
        };
        let mut by_name = BTreeMap::new();
        for entry in fs::read_dir(directory).map_err(unreadable)? {
            let path = entry.map_err(unreadable)?.path();
            if path
                .extension()
                .is_some_and(|extension| extension == "json")
                && let Some(name) = path.file_stem().and_then(|name| name.to_str())
            {
                by_name.insert(name.to_owned(), Contract::read(&path)?);
            }
        }
        Ok(Self { by_name })
    }

    /// All of them, by name.
    pub fn all(&self) -> impl Iterator<Item = (&str, &Contract)> {
        self.by_name
            .iter()
            .map(|(name, contract)| (name.as_str(), contract))
    }

    /// The one of that name, or of the image of that repository.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<(&str, &Contract)> {
        self.all()
            .find(|(known, _)| *known == name)
            .or_else(|| self.of_image(name))
    }

    /// The one of the image of that repository.
    #[must_use]
    pub fn of_image(&self, repository: &str) -> Option<(&str, &Contract)> {
        self.all()
            .find(|(_, contract)| contract.image.as_deref() == Some(repository))
    }
}
