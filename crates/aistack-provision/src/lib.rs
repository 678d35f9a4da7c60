//! Brings the machine to what is declared: images, models, databases.

pub mod images;
pub mod models;
pub mod postgres;
pub mod qdrant;
