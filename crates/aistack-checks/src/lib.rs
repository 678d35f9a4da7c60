//! Holds the machine against what is declared: units, ports, health, devices, data; before
//! a container starts ([`prestart`]) and while the stack runs ([`stack`]).

pub mod device;
pub mod finding;
pub mod ports;
pub mod prestart;
pub mod probe;
pub mod report;
pub mod stack;
pub mod tap;
