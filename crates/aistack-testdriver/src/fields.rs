//! Kinds of field that several parts of a scenario have.

use std::fmt;
use std::marker::PhantomData;
use std::net::IpAddr;
use std::num::NonZeroU16;
use std::ops::Deref;
use std::time::Duration;

use aistack_schema::Protocol;
use serde::{Deserialize, Deserializer, de};

/// A table of the document whose fields depend on each other.
pub trait Rules {
    /// Whether the fields fit together.
    ///
    /// # Errors
    /// The rule that they break.
    fn check(&self) -> Result<(), &'static str> {
        Ok(())
    }
}

/// A table that follows its [`Rules`]. serde would also take a list of the values for a
/// struct; the format does not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(transparent)
)]
pub struct Checked<T>(pub T);

impl<T> Deref for Checked<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<'de, T: Deserialize<'de> + Rules> Deserialize<'de> for Checked<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Table<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de> + Rules> de::Visitor<'de> for Table<T> {
            type Value = T;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("named fields")
            }

            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
                let table = T::deserialize(de::value::MapAccessDeserializer::new(map))?;
                table.check().map_err(de::Error::custom)?;
                Ok(table)
            }
        }

        deserializer.deserialize_map(Table(PhantomData)).map(Self)
    }
}

/// A field that may be absent, but not `null`.
pub(crate) fn present<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    T::deserialize(deserializer).map(Some)
}

pub(crate) fn yes() -> bool {
    true
}

/// A value that the format does not allow.
pub(crate) fn refused<E: de::Error>(found: de::Unexpected<'_>, expected: &str) -> E {
    E::invalid_value(found, &expected)
}

/// One line of text, not empty.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Line(
    #[cfg_attr(
        feature = "schema",
        schemars(regex(pattern = r"^[^\u0000-\u001f\u007f-\u009f]+$"))
    )]
    pub String,
);

impl Deref for Line {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Line {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.is_empty() || text.contains(char::is_control) {
            return Err(refused(de::Unexpected::Str(&text), "one line of text"));
        }
        Ok(Self(text))
    }
}

/// One value, or a list of at least `MIN`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OneOrMore<T, const MIN: usize = 1>(pub Vec<T>);

impl<T, const MIN: usize> Default for OneOrMore<T, MIN> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T, const MIN: usize> Deref for OneOrMore<T, MIN> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<'de, T: Deserialize<'de>, const MIN: usize> Deserialize<'de> for OneOrMore<T, MIN> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either<T, const MIN: usize>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>, const MIN: usize> de::Visitor<'de> for Either<T, MIN> {
            type Value = Vec<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("one value, or a list of them")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Vec<T>, E> {
                T::deserialize(de::value::StrDeserializer::new(text)).map(|one| vec![one])
            }

            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Vec<T>, A::Error> {
                T::deserialize(de::value::MapAccessDeserializer::new(map)).map(|one| vec![one])
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, list: A) -> Result<Vec<T>, A::Error> {
                let list = Vec::deserialize(de::value::SeqAccessDeserializer::new(list))?;
                if list.len() < MIN {
                    return Err(de::Error::invalid_length(list.len(), &"at least one"));
                }
                Ok(list)
            }
        }

        deserializer
            .deserialize_any(Either::<T, MIN>(PhantomData))
            .map(Self)
    }
}

/// A list that is not empty.
pub(crate) fn some<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    let list = Vec::deserialize(deserializer)?;
    if list.is_empty() {
        return Err(de::Error::invalid_length(0, &"at least one"));
    }
    Ok(list)
}

/// A number of seconds above 0, up to 3600.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(inline))]
pub struct Seconds(
    #[cfg_attr(
        feature = "schema",
        schemars(with = "f64", range(min = 0.001, max = 3600))
    )]
    pub Duration,
);

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let seconds = f64::deserialize(deserializer)?;
        Some(seconds)
            .filter(|seconds| (0.001..=3600.0).contains(seconds))
            .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
            .map(Self)
            .ok_or_else(|| refused(de::Unexpected::Float(seconds), "seconds from 0.001 to 3600"))
    }
}

/// How a step is tried again until its time is up, with growing pauses.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Retry {
    /// The first pause [default: 0.25 s].
    pub every: Seconds,
    /// The factor from one pause to the next, 1 to 10 [default: 1.5].
    #[serde(deserialize_with = "factor")]
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 10)))]
    pub factor: f64,
    /// The longest pause [default: 5 s].
    pub longest: Seconds,
    /// The largest number of tries [default: as many as the time allows].
    #[serde(deserialize_with = "present")]
    pub tries: Option<NonZeroU16>,
    /// The longest time of one try [default: 10 s].
    pub attempt: Seconds,
}

impl Rules for Retry {}

impl Default for Retry {
    fn default() -> Self {
        Self {
            every: Seconds(Duration::from_millis(250)),
            factor: 1.5,
            longest: Seconds(Duration::from_secs(5)),
            tries: None,
            attempt: Seconds(Duration::from_secs(10)),
        }
    }
}

fn factor<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    let factor = f64::deserialize(deserializer)?;
    if (1.0..=10.0).contains(&factor) {
        Ok(factor)
    } else {
        Err(refused(
            de::Unexpected::Float(factor),
            "a number from 1 to 10",
        ))
    }
}

/// One service, or each one of the stack.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(inline))]
pub struct Services {
    /// The service [default: each one of the stack].
    #[serde(default, deserialize_with = "present")]
    pub service: Option<String>,
}

/// A unit by its name, or that of a service.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(extend("oneOf" = [{ "required": ["unit"] }, { "required": ["service"] }])))]
pub struct UnitOf {
    /// Name of the unit.
    #[serde(default, deserialize_with = "present")]
    #[cfg_attr(feature = "schema", schemars(extend("pattern" = "^[^-]")))]
    pub unit: Option<Line>,
    /// The service whose unit it is.
    #[serde(default, deserialize_with = "present")]
    pub service: Option<String>,
}

impl Rules for UnitOf {
    fn check(&self) -> Result<(), &'static str> {
        match (&self.unit, &self.service) {
            (Some(unit), None) if unit.starts_with('-') => {
                Err("a unit's name does not begin with -")
            }
            (Some(_), None) | (None, Some(_)) => Ok(()),
            _ => Err("it needs either unit or service"),
        }
    }
}

/// A port by number, or by a service's name for it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(transform = crate::schema::port))]
pub struct PortOf {
    /// Address of the host [default: 127.0.0.1].
    #[serde(default, deserialize_with = "present")]
    pub address: Option<IpAddr>,
    /// Number of the port.
    #[serde(default, deserialize_with = "present")]
    pub number: Option<NonZeroU16>,
    /// TCP or UDP [default: tcp].
    #[serde(default, deserialize_with = "present")]
    pub protocol: Option<Protocol>,
    /// The service whose port it is.
    #[serde(default, deserialize_with = "present")]
    pub service: Option<String>,
    /// Name of the service's port [default: its first].
    #[serde(default, deserialize_with = "present")]
    pub port: Option<String>,
}

impl Rules for PortOf {
    fn check(&self) -> Result<(), &'static str> {
        let by_number = self.address.is_some() || self.protocol.is_some();
        match (self.number, &self.service, &self.port) {
            (Some(_), None, None) => Ok(()),
            (None, Some(_), _) if !by_number => Ok(()),
            _ => Err(
                "it needs either number (with address, protocol) or service (with the name of a port)",
            ),
        }
    }
}
