//! Names that end up in Nix text: checked once, then safe to write.

use std::fmt;

/// A name that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Not a host name.
    #[error(
        "\"{0}\" is no host name: use 1 to 63 letters, digits and hyphens, with no hyphen at either end"
    )]
    Host(String),
    /// Not a user name.
    #[error(
        "\"{0}\" is no user name: use lower-case letters, digits, hyphens and underscores, beginning with a letter or underscore, at most 32"
    )]
    User(String),
    /// Not the URL of a flake.
    #[error(
        "\"{0}\" is no flake reference: use something like github:owner/repo or path:/absolute/folder, without spaces, quotes, backslashes or dollar signs"
    )]
    Source(String),
}

macro_rules! text_type {
    ($(#[$doc:meta])* $name:ident, $error:ident, $valid:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $name(String);

        impl $name {
            /// Checks a text.
            ///
            /// # Errors
            ///
            /// When it is none; the error says what is allowed.
            pub fn new(text: &str) -> Result<Self, NameError> {
                let valid: fn(&str) -> bool = $valid;
                if valid(text) {
                    Ok(Self(text.to_owned()))
                } else {
                    Err(NameError::$error(text.to_owned()))
                }
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text_type!(
    /// A host name as NixOS takes it (`networking.hostName`).
    HostName,
    Host,
    |text| {
        (1..=63).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !text.starts_with('-')
            && !text.ends_with('-')
    }
);

text_type!(
    /// A user name as `useradd` takes it.
    UserName,
    User,
    |text| {
        (1..=32).contains(&text.len())
            && text
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_')
            && text.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
    }
);

text_type!(
    /// Where a flake gets aistack from: a flake reference.
    SourceUrl,
    Source,
    |text| {
        !text.is_empty()
            && text.contains(':')
            && !text
                .chars()
                .any(|c| c.is_whitespace() || c.is_control() || matches!(c, '"' | '\\' | '$'))
    }
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_names() {
        for good in ["box", "a", "node-1", "X9"] {
            HostName::new(good).unwrap();
        }
        for bad in ["", "-a", "a-", "a.b", "a b", "\"; evil", &"a".repeat(64)] {
            HostName::new(bad).unwrap_err();
        }
    }

    #[test]
    fn user_names() {
        for good in ["ann", "_x", "a-1"] {
            UserName::new(good).unwrap();
        }
        for bad in ["", "Ann", "1a", "a b", "ann\n"] {
            UserName::new(bad).unwrap_err();
        }
    }

    #[test]
    fn sources() {
        for good in [
            "github:a/b",
            "path:/srv/aistack",
            "git+ssh://host/x?ref=main",
        ] {
            SourceUrl::new(good).unwrap();
        }
        for bad in ["", "nocolon", "path:/a b", "x:\"", "x:${y}"] {
            SourceUrl::new(bad).unwrap_err();
        }
    }
}
