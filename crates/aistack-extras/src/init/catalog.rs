//! The catalog of services as the Nix side declares it: `catalog.json` beside this
//! file is rendered from `modules/services`, so ports and descriptions are stated
//! there alone. A check holds the two equal.

use std::collections::BTreeMap;

use serde::Deserialize;

const TEXT: &str = include_str!("catalog.json");

/// The compiled-in catalog cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the catalog in this program is broken: {0}; build it anew from a clean checkout")]
pub struct CatalogError(#[from] serde_json::Error);

/// One service of the catalog.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// One line for people.
    pub description: String,
    /// Default host port by the port's name.
    pub ports: BTreeMap<String, u16>,
}

/// Services by name.
pub type Catalog = BTreeMap<String, Entry>;

/// Reads the compiled-in catalog.
pub fn read() -> Result<Catalog, CatalogError> {
    Ok(serde_json::from_str(TEXT)?)
}

#[cfg(test)]
mod tests {
    #[test]
    fn has_the_engines() {
        let catalog = super::read().unwrap();
        assert_eq!(catalog["ollama"].ports["http"], 11434);
        assert!(!catalog["qdrant"].description.is_empty());
    }
}
