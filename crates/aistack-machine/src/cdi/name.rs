//! Names of devices: `vendor/class=device`.

/// A CDI name, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Name<'a> {
    /// `nvidia.com`
    pub vendor: &'a str,
    /// `gpu`
    pub class: &'a str,
    /// `all`
    pub device: &'a str,
}

/// Why a text is no CDI name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is no CDI name: they read vendor.com/class=device")]
pub struct NameError;

impl<'a> Name<'a> {
    /// Takes `nvidia.com/gpu=all` apart.
    ///
    /// # Errors
    /// When it is no such name; a path (`/dev/kfd`) never is.
    pub fn parse(text: &'a str) -> Result<Self, NameError> {
        let (kind, device) = text.split_once('=').ok_or(NameError)?;
        let (vendor, class) = parse_kind(kind).ok_or(NameError)?;
        if !is_device(device) {
            return Err(NameError);
        }
        Ok(Self {
            vendor,
            class,
            device,
        })
    }

    /// Vendor and class: `nvidia.com/gpu`.
    #[must_use]
    pub fn kind(&self) -> String {
        format!("{}/{}", self.vendor, self.class)
    }
}

/// Vendor and class of a kind, when it is one.
pub(crate) fn parse_kind(kind: &str) -> Option<(&str, &str)> {
    let (vendor, class) = kind.split_once('/')?;
    let vendor_fits = fits(vendor, |c| matches!(c, '_' | '-' | '.'))
        && vendor.starts_with(|c: char| c.is_ascii_alphabetic());
    let class_fits = fits(class, |c| matches!(c, '_' | '-'))
        && class.starts_with(|c: char| c.is_ascii_alphabetic());
    (vendor_fits && class_fits).then_some((vendor, class))
}

/// Whether that is a device's name.
pub(crate) fn is_device(name: &str) -> bool {
    fits(name, |c| matches!(c, '_' | '-' | '.' | ':'))
}

/// Letters and digits at both ends, those or `also` between.
fn fits(text: &str, also: fn(char) -> bool) -> bool {
    let ends = |c: char| c.is_ascii_alphanumeric();
    text.len() <= 253
        && text.starts_with(ends)
        && text.ends_with(ends)
        && text.chars().all(|c| ends(c) || also(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (text, kind, device) in [
            ("nvidia.com/gpu=all", "nvidia.com/gpu", "all"),
            ("nvidia.com/gpu=0", "nvidia.com/gpu", "0"),
            ("nvidia.com/gpu=1:0", "nvidia.com/gpu", "1:0"),
            ("amd.com/gpu=0", "amd.com/gpu", "0"),
        ] {
            let name = Name::parse(text).unwrap();
            assert_eq!((name.kind().as_str(), name.device), (kind, device));
        }
        for odd in [
            "",
            "/dev/kfd",
            "/dev/dri=x",
            "nvidia.com/gpu",
            "nvidia.com/gpu=",
            "nvidia.com=0",
            "nvidia.com/gpu/x=0",
            "nvidia.com/gpu=a b",
            "nvidia.com/gpu=-a",
            "1vendor.com/gpu=a",
            "nvidia.com/gpu=\u{fc}",
        ] {
            assert_eq!(Name::parse(odd), Err(NameError), "{odd:?}");
        }
    }
}
