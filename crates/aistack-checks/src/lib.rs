//! What is held against what is declared: ports, devices, health.

pub mod device;
pub mod ports;
pub mod probe;
