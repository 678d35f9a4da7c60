//! The model of `stack.json`: what one scope of one host declared.
//!
//! The format is `schemas/stack.schema.json`; the Nix modules write it and
//! the tools know nothing else of the Nix side. [`Stack::load`] reads a file and
//! gives either a stack whose parts agree with each other, or one error that
//! says which file, which place in it, and what to do.

mod address;
mod load;
mod loaded;
mod model;
mod validate;

pub use address::{keeps_secrets, shown};
pub use aistack_machine::{Backend, Protocol, Scope};
pub use load::{LoadError, MAX_BYTES, default_path};
pub use loaded::{Loaded, SelectError, list};
pub use model::{
    Collection, DataDirectory, Distance, Engine, Gpu, HttpProbe, Ids, Image, Integrity,
    IntegrityKind, Metrics, Mode, Model, Owner, Port, Postgres, PostgresDatabase, PostgresRole,
    Probe, Qdrant, RequiredPath, SCHEMA, Secret, Service, SocketProbe, Stack,
};
