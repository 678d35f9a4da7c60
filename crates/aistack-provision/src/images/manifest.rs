//! What a registry answers for a reference: one image, or an index of several.

use serde::Deserialize;

/// A manifest, as far as it is of interest here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Manifest {
    /// An image for each platform.
    Index(Vec<Instance>),
    /// One image.
    Single {
        /// Its layers and its configuration together, in bytes.
        bytes: u64,
    },
}

/// An image of an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// Digest of its own manifest.
    pub digest: String,
    /// `linux` …
    pub os: String,
    /// `amd64`, `arm64` …
    pub architecture: String,
}

#[derive(Deserialize)]
struct Document {
    manifests: Option<Vec<Descriptor>>,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
}

#[derive(Deserialize)]
struct Descriptor {
    digest: String,
    #[serde(default)]
    size: u64,
    platform: Option<Platform>,
}

#[derive(Deserialize)]
struct Platform {
    os: String,
    architecture: String,
}

impl Manifest {
    /// Reads one, of OCI's kind or of Docker's second.
    ///
    /// # Errors
    /// When it is neither, in words for people.
    pub fn parse(text: &[u8]) -> Result<Self, String> {
        let document: Document = serde_json::from_slice(text).map_err(|error| error.to_string())?;
        match document {
            Document {
                manifests: Some(manifests),
                ..
            } => Ok(Self::Index(
                manifests
                    .into_iter()
                    .filter_map(|entry| {
                        let platform = entry.platform?;
                        Some(Instance {
                            digest: entry.digest,
                            os: platform.os,
                            architecture: platform.architecture,
                        })
                    })
                    // Attestations stand in an index as images of no platform.
                    .filter(|instance| instance.os != "unknown")
                    .collect(),
            )),
            Document {
                config: Some(config),
                layers: Some(layers),
                ..
            } => Ok(Self::Single {
                bytes: layers
                    .iter()
                    .fold(config.size, |sum, layer| sum.saturating_add(layer.size)),
            }),
            _ => Err("it has neither manifests nor config and layers".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_and_indexes_are_told_apart() {
        let single = br#"{"config":{"digest":"a","size":5},"layers":[{"digest":"b","size":7}]}"#;
        assert_eq!(Manifest::parse(single), Ok(Manifest::Single { bytes: 12 }));
        let index = br#"{"manifests":[
            {"digest":"a","size":5,"platform":{"os":"linux","architecture":"arm64"}},
            {"digest":"b","size":5,"platform":{"os":"unknown","architecture":"unknown"}}]}"#;
        let Ok(Manifest::Index(instances)) = Manifest::parse(index) else {
            unreachable!("no index")
        };
        assert_eq!(instances.len(), 1);
        for text in ["{}", "[]", "", r#"{"layers":[]}"#] {
            assert!(Manifest::parse(text.as_bytes()).is_err(), "{text}");
        }
    }
}
