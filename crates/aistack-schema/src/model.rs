//! The types of `stack.json`, field by field as in `schemas/stack.schema.json`.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::num::{NonZeroU16, NonZeroU32};
use std::path::PathBuf;

use aistack_machine::{Backend, Protocol, Scope, address, nullable};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The schema number that this program reads.
pub const SCHEMA: u64 = 1;

/// What one scope of one host declared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Stack {
    /// Number of the format, [`SCHEMA`].
    #[cfg_attr(feature = "schema", schemars(extend("const" = 1)))]
    pub schema: u64,
    /// Host name; empty where it is not known (a home used on any machine).
    pub host: String,
    /// Whose systemd and podman run the services.
    pub scope: Scope,
    /// Name of the owning user in user scope.
    #[serde(deserialize_with = "nullable")]
    pub user: Option<String>,
    /// Absolute path below which the data lies unless a service says otherwise.
    pub data_root: PathBuf,
    /// systemd target that groups the stack's units.
    pub target: String,
    /// Name of the podman network that the containers share.
    pub network: String,
    /// Options that the network was declared with, as `podman network create --opt` takes them.
    #[serde(default)]
    pub network_options: BTreeMap<String, String>,
    /// The services that are on, by name.
    pub services: BTreeMap<String, Service>,
    /// The model files that are fetched, by name.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(extend("propertyNames" = { "pattern": "^[A-Za-z0-9_][A-Za-z0-9._-]*$" })))]
    pub models: BTreeMap<String, Model>,
}

/// A model file that is fetched to a path of the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Model {
    /// Where it is fetched from: `https://…`, or `http://…`.
    #[cfg_attr(feature = "schema", schemars(regex(pattern = r"^https?://[^/?#]")))]
    pub url: String,
    /// SHA-256 of the whole file: 64 lower-case hexadecimal digits.
    #[cfg_attr(feature = "schema", schemars(regex(pattern = r"^[0-9a-f]{64}$")))]
    pub sha256: String,
    /// Its size in MiB, where it was declared.
    #[serde(rename = "sizeMiB", deserialize_with = "nullable")]
    pub size_mib: Option<u64>,
    /// Absolute path of the file.
    pub path: PathBuf,
    /// The systemd unit that fetches it.
    pub unit: String,
    /// Option path for messages, e.g. `services.aiStack.models.llama`.
    pub option: String,
    /// Absolute path of the file that holds a bearer token for the server.
    #[serde(default)]
    pub token_file: Option<PathBuf>,
}

/// One service: its units, its image, and what it claims of the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Service {
    /// What it is, in a few words.
    pub description: String,
    /// Option path for messages, e.g. `services.aiStack.qdrant`.
    pub option: String,
    /// The container's systemd unit.
    pub unit: String,
    /// The systemd unit that makes the image present.
    pub pull_unit: String,
    /// The container's name.
    pub container: String,
    /// Changes when the container's declaration changes.
    pub config_hash: String,
    /// What the container runs.
    pub image: Image,
    /// Published ports.
    pub ports: Vec<Port>,
    /// How to ask from the host whether it is well; none: no more than its unit says.
    #[serde(deserialize_with = "nullable")]
    pub health: Option<Probe>,
    /// Directories of the host that hold its data.
    pub data: Vec<DataDirectory>,
    /// Secrets that podman hands to the container.
    pub secrets: Vec<Secret>,
    /// Files and folders outside the data directories that it can't start without.
    pub files: Vec<RequiredPath>,
    /// Commands to run inside the container each time it has become healthy.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(inner(length(min = 1))))]
    pub setup: Vec<Vec<String>>,
    /// Services without which this one cannot run.
    pub needs: Vec<String>,
    /// Services that it uses when they are on.
    pub wants: Vec<String>,
    /// What it computes on, where it matters.
    #[serde(deserialize_with = "nullable")]
    pub gpu: Option<Gpu>,
    /// Where it can be scraped.
    #[serde(deserialize_with = "nullable")]
    pub metrics: Option<Metrics>,
    /// Where clients of an `OpenAI`-compatible endpoint reach it; none: it has none for them.
    #[serde(default)]
    pub engine: Option<Engine>,
    /// What its `PostgreSQL` server is to hold; none: it is not looked into.
    #[serde(default)]
    pub postgres: Option<Postgres>,
    /// What its qdrant is to hold; none: it is not looked into.
    #[serde(default)]
    pub qdrant: Option<Qdrant>,
    /// Files that must not be found emptied before the container starts.
    #[serde(default)]
    pub integrity: Vec<Integrity>,
    /// The user and group ids of the host that the container has to itself; none: it has the
    /// ids of the scope's owner.
    #[serde(default)]
    pub ids: Option<Ids>,
}

/// A range of user and group ids of the host. Id 0 in the container is the first of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Ids {
    /// The first id.
    #[cfg_attr(feature = "schema", schemars(range(min = 65536)))]
    pub start: u32,
    /// How many.
    #[cfg_attr(feature = "schema", schemars(range(min = 1)))]
    pub size: u32,
}

impl Service {
    /// The port of that name.
    #[must_use]
    pub fn port(&self, name: &str) -> Option<&Port> {
        self.ports.iter().find(|port| port.name == name)
    }
}

/// An `OpenAI`-compatible endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Engine {
    /// `http://HOST:PORT/v1`, without a slash at its end.
    #[cfg_attr(feature = "schema", schemars(regex(pattern = r"^http://")))]
    pub url: String,
    /// Of two engines the one with the smaller rank serves clients better.
    pub rank: u16,
    /// File with the key that it asks for; none: it asks for none.
    #[serde(
        default,
        rename = "apiKeySource",
        skip_serializing_if = "Option::is_none"
    )]
    #[cfg_attr(feature = "schema", schemars(extend("pattern" = "^/")))]
    pub api_key_source: Option<PathBuf>,
}

/// A container image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Image {
    /// What podman is given.
    pub reference: String,
    /// Registry and repository.
    pub name: String,
    /// Tag, for people.
    #[serde(deserialize_with = "nullable")]
    pub tag: Option<String>,
    /// `sha256:` and 64 hexadecimal digits.
    #[serde(deserialize_with = "nullable")]
    #[cfg_attr(
        feature = "schema",
        schemars(regex(pattern = r"^sha256:[0-9a-f]{64}$"))
    )]
    pub digest: Option<String>,
    /// Absolute path of an archive to load instead of a pull.
    #[serde(deserialize_with = "nullable")]
    pub archive: Option<PathBuf>,
    /// The archive's SHA-256, 64 hexadecimal digits; none: not declared.
    #[serde(
        rename = "archiveSha256",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    #[cfg_attr(feature = "schema", schemars(regex(pattern = r"^[0-9a-f]{64}$")))]
    pub archive_sha256: Option<String>,
}

/// A port of the host that leads to a port of the container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Port {
    /// Name within the service.
    pub name: String,
    /// TCP or UDP.
    pub protocol: Protocol,
    /// Address of the host.
    pub address: IpAddr,
    /// Port of the host.
    pub host: NonZeroU16,
    /// Port inside the container.
    pub container: NonZeroU16,
    /// Option path for messages.
    pub option: String,
}

impl Port {
    /// Where the host listens.
    #[must_use]
    pub fn socket(&self) -> SocketAddr {
        SocketAddr::new(self.address, self.host.get())
    }

    /// Where a program on the host connects to: where it listens, or loopback for
    /// a port that listens on every address (`0.0.0.0`, `::`).
    #[must_use]
    pub fn reachable(&self) -> SocketAddr {
        SocketAddr::new(address::reachable(self.address), self.host.get())
    }
}

/// How to ask a service whether it is well; exactly one kind a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Probe {
    /// Well when a GET is answered with a 2xx status.
    Http(HttpProbe),
    /// Well when a connection is accepted.
    Tcp(SocketProbe),
    /// Well when PING is answered in RESP.
    Redis(SocketProbe),
    /// Well when the server answers the `SSLRequest` of the `PostgreSQL` protocol.
    Postgres(SocketProbe),
}

/// Where to send a GET.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct HttpProbe {
    /// `http://…`; TLS is not spoken.
    pub url: String,
}

/// Where to connect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SocketProbe {
    /// Address of the host.
    pub address: IpAddr,
    /// Port of the host.
    pub port: NonZeroU16,
}

impl SocketProbe {
    /// Address and port together.
    #[must_use]
    pub fn socket(&self) -> SocketAddr {
        SocketAddr::new(self.address, self.port.get())
    }
}

/// A directory of the host that holds a service's data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct DataDirectory {
    /// Name within the service.
    pub name: String,
    /// Absolute path on the host.
    pub host: PathBuf,
    /// Absolute path inside the container.
    pub container: PathBuf,
    /// Whether the container may only read it.
    pub read_only: bool,
    /// Numeric owner on the host; none: the stack's own user.
    #[serde(deserialize_with = "nullable")]
    pub owner: Option<Owner>,
    /// Permission bits.
    pub mode: Mode,
}

/// Numeric owner of a directory on the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Owner {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

/// Permission bits, written as four octal digits that begin with 0 (`0750`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Mode(
    #[cfg_attr(
        feature = "schema",
        schemars(with = "String", regex(pattern = r"^0[0-7]{3}$"))
    )]
    pub u32,
);

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0{:03o}", self.0)
    }
}

impl Serialize for Mode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Mode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let digits = text.strip_prefix('0').filter(|rest| {
            rest.len() == 3 && rest.bytes().all(|digit| (b'0'..=b'7').contains(&digit))
        });
        digits
            .and_then(|digits| u32::from_str_radix(digits, 8).ok())
            .map(Self)
            .ok_or_else(|| {
                de::Error::invalid_value(
                    de::Unexpected::Str(&text),
                    &"four octal digits that begin with 0, like 0750",
                )
            })
    }
}

/// A secret, by the path of the file that holds its value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Secret {
    /// Name of the podman secret.
    pub name: String,
    /// Absolute path of the file that holds the value.
    pub source: PathBuf,
    /// Make the file with a random value when it is missing.
    pub generate: bool,
    /// Option path for messages.
    pub option: String,
}

/// A file or folder that must exist before the container starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RequiredPath {
    /// Absolute path.
    pub path: PathBuf,
    /// Option path for messages.
    pub option: String,
    /// The systemd unit that brings it, where one does.
    #[serde(default)]
    pub unit: Option<String>,
}

/// What a service computes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Gpu {
    /// The programming interface.
    pub backend: Backend,
    /// CDI names or device nodes.
    pub devices: Vec<String>,
}

/// Where a service can be scraped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Metrics {
    /// `http://…`
    pub url: String,
}

/// What a `PostgreSQL` server is to hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Postgres {
    /// Name of the service's port that the server is reached at.
    pub port: String,
    /// The superuser that the image makes.
    pub user: String,
    /// The first database that the image makes.
    pub database: String,
    /// Absolute path of the file that holds the superuser's password.
    pub password_source: PathBuf,
    /// Major version of the image; none: not known.
    #[serde(deserialize_with = "nullable")]
    pub major: Option<NonZeroU16>,
    /// Absolute path on the host of the data directory's `PG_VERSION`.
    pub version_file: PathBuf,
    /// Users that may log in.
    pub roles: Vec<PostgresRole>,
    /// Databases and what is in them.
    pub databases: Vec<PostgresDatabase>,
}

/// A user of a `PostgreSQL` server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct PostgresRole {
    /// Its name.
    pub name: String,
    /// Absolute path of the file that holds its password.
    pub password_source: PathBuf,
    /// Option path for messages.
    pub option: String,
}

/// A database of a `PostgreSQL` server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PostgresDatabase {
    /// Its name.
    pub name: String,
    /// The role that it is made for, and that its migrations run as.
    pub owner: String,
    /// Extensions that it has.
    pub extensions: Vec<String>,
    /// Absolute path of a directory with `V1__name.sql`, `V2__…`; none: no migrations.
    #[serde(deserialize_with = "nullable")]
    pub migrations: Option<PathBuf>,
    /// Option path for messages.
    pub option: String,
}

/// What a qdrant is to hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Qdrant {
    /// Name of the service's port that its HTTP interface is reached at.
    pub port: String,
    /// Absolute path of the file that holds the API key; none: it asks for none.
    #[serde(deserialize_with = "nullable")]
    pub api_key_source: Option<PathBuf>,
    /// Collections of vectors.
    pub collections: Vec<Collection>,
}

/// A collection of vectors.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Collection {
    /// Its name.
    pub name: String,
    /// Numbers in a vector, at most [`Collection::MOST`].
    #[cfg_attr(feature = "schema", schemars(range(max = 65536)))]
    pub size: NonZeroU32,
    /// How two vectors are compared.
    pub distance: Distance,
    /// Option path for messages.
    pub option: String,
}

impl Collection {
    /// The most numbers that qdrant takes in a vector (its API's `VectorParams.size`).
    pub const MOST: u32 = 65_536;
}

/// How two vectors are compared, in qdrant's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Distance {
    /// By their angle.
    Cosine,
    /// By their product.
    Dot,
    /// By the length between their ends.
    Euclid,
    /// By the sum of the differences.
    Manhattan,
}

impl Distance {
    /// The name as it stands in `stack.json` and in qdrant's API.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Cosine => "Cosine",
            Self::Dot => "Dot",
            Self::Euclid => "Euclid",
            Self::Manhattan => "Manhattan",
        }
    }
}

impl fmt::Display for Distance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A file that must not be found emptied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Integrity {
    /// What kind of file it is.
    pub kind: IntegrityKind,
    /// Absolute path; the file need not be there.
    pub path: PathBuf,
    /// Option path for messages.
    pub option: String,
}

/// A kind of file whose emptiness can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum IntegrityKind {
    /// An `SQLite` database.
    Sqlite,
}
