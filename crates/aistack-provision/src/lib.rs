//! Brings the machine to what is declared: images, models, databases.

pub mod images;
pub mod models;
pub mod postgres;
pub mod qdrant;
pub mod rotate;
pub mod setup;
pub mod stores;
