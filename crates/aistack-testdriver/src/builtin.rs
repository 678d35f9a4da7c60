//! The scenarios that come with the program: `tests/scenarios`, and `quick`.

use std::path::Path;

use crate::scenario::{Scenario, ScenarioError};
use crate::values::Values;

/// Names and documents.
pub const ALL: [(&str, &str); 9] = [
    ("quick", include_str!("../../../tests/scenarios/quick.toml")),
    ("boot", include_str!("../../../tests/scenarios/boot.toml")),
    ("kill", include_str!("../../../tests/scenarios/kill.toml")),
    ("hang", include_str!("../../../tests/scenarios/hang.toml")),
    (
        "recreate",
        include_str!("../../../tests/scenarios/recreate.toml"),
    ),
    (
        "survive-reset",
        include_str!("../../../tests/scenarios/survive-reset.toml"),
    ),
    (
        "before-reboot",
        include_str!("../../../tests/scenarios/before-reboot.toml"),
    ),
    (
        "after-reboot",
        include_str!("../../../tests/scenarios/after-reboot.toml"),
    ),
    (
        "port-taken",
        include_str!("../../../tests/scenarios/port-taken.toml"),
    ),
];

fn text(name: &str) -> Option<(&'static Path, &'static [u8])> {
    ALL.iter()
        .find(|(known, _)| *known == name)
        .map(|(name, text)| (Path::new(name), text.as_bytes()))
}

/// The scenario of that name; none: there is none.
#[must_use]
pub fn find(name: &str) -> Option<Result<Scenario, ScenarioError>> {
    text(name).map(|(path, text)| Scenario::parse(path, text))
}

/// The same with the values of a stack in its texts.
#[must_use]
pub fn find_on(name: &str, values: &Values) -> Option<Result<Scenario, ScenarioError>> {
    text(name).map(|(path, text)| Scenario::parse_on(path, text, values))
}
