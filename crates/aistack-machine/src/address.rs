//! Whether two addresses on one port are in each other's way, and whether what listens
//! is what was declared: the one rule for every command.
//!
//! The ledger of the Nix modules (`lib/addresses.nix`) has the same rule for what is
//! declared; `tests/fixtures/addresses.json` holds the cases that both are tested with.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const ANY_V4: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
const ANY_V6: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);

/// The address, an IPv4-mapped IPv6 one (`::ffff:127.0.0.1`) as IPv4.
#[must_use]
pub fn canonical(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

/// Whether a listener on it takes connections to every address of its family.
#[must_use]
pub fn is_wildcard(address: IpAddr) -> bool {
    canonical(address).is_unspecified()
}

/// Where a program on this host reaches a listener on `address`: loopback for one on
/// every address.
#[must_use]
pub fn reachable(address: IpAddr) -> IpAddr {
    match canonical(address) {
        ANY_V4 => Ipv4Addr::LOCALHOST.into(),
        ANY_V6 => Ipv6Addr::LOCALHOST.into(),
        other => other,
    }
}

/// Whether two declared listeners on one port are in each other's way. A wildcard meets
/// everything: programs open `::` for `0.0.0.0` as well, and that takes IPv4 peers too
/// (`bindv6only` is off by default).
#[must_use]
pub fn meet(one: IpAddr, other: IpAddr) -> bool {
    is_wildcard(one) || is_wildcard(other) || canonical(one) == canonical(other)
}

/// An address that something listens on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound {
    /// The address.
    pub address: IpAddr,
    /// Whether a socket on `::` leaves IPv4 peers to others; none: not known.
    pub only_v6: Option<bool>,
}

/// How what listens relates to a declared address on the same port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// It is what was declared.
    AsDeclared,
    /// It is the IPv4 half of a declared `::`: as declared together with the other half.
    Half,
    /// It includes the declared address, and more.
    Wider,
    /// It is another address.
    Elsewhere,
}

impl Bound {
    /// Whether it takes IPv4 peers that another listener on an IPv4 address expects.
    fn takes_v4(self) -> bool {
        self.only_v6 != Some(true)
    }

    /// How it relates to a declared address.
    #[must_use]
    pub fn fit(self, declared: IpAddr) -> Fit {
        let (mine, wanted) = (canonical(self.address), canonical(declared));
        match (mine, wanted) {
            _ if mine == wanted => Fit::AsDeclared,
            // Programs in Go open :: for 0.0.0.0.
            (ANY_V6, ANY_V4) if self.takes_v4() => Fit::AsDeclared,
            (ANY_V4, ANY_V6) => Fit::Half,
            (ANY_V6, IpAddr::V6(_)) | (ANY_V4, IpAddr::V4(_)) => Fit::Wider,
            (ANY_V6, IpAddr::V4(_)) if self.takes_v4() => Fit::Wider,
            _ => Fit::Elsewhere,
        }
    }

    /// Whether nothing else can listen on the declared address while this is open.
    #[must_use]
    pub fn blocks(self, declared: IpAddr) -> bool {
        match self.fit(declared) {
            Fit::AsDeclared | Fit::Half | Fit::Wider => true,
            // A declared wildcard takes what is already taken of its family, and :: is
            // opened for both.
            Fit::Elsewhere => match canonical(declared) {
                ANY_V6 => true,
                ANY_V4 => canonical(self.address).is_ipv4(),
                _ => false,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn table() -> Value {
        serde_json::from_str(include_str!("../tests/fixtures/addresses.json")).unwrap()
    }

    /// As the table writes it: IPv6 in eight groups.
    fn spelt(address: IpAddr) -> String {
        match canonical(address) {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => address
                .segments()
                .map(|group| format!("{group:x}"))
                .join(":"),
        }
    }

    fn address(value: &Value) -> IpAddr {
        value.as_str().unwrap().parse().unwrap()
    }

    #[test]
    fn the_table_holds() {
        let table = table();
        let list = |name: &str| table[name].as_array().unwrap().clone();
        for case in list("spellings") {
            let text = case["text"].as_str().unwrap();
            let seen = text.parse().ok().map(spelt);
            assert_eq!(seen.as_deref(), case["canonical"].as_str(), "{text:?}");
        }
        for case in list("wildcards") {
            assert!(is_wildcard(address(&case)), "{case}");
        }
        for case in list("loopback") {
            assert!(canonical(address(&case)).is_loopback(), "{case}");
        }
        for case in list("meet") {
            let (one, other) = (address(&case["one"]), address(&case["other"]));
            let wanted = case["meet"].as_bool().unwrap();
            assert_eq!(meet(one, other), wanted, "{case}");
            assert_eq!(meet(other, one), wanted, "{case}");
        }
    }

    #[test]
    fn what_listens_against_what_is_declared() {
        use Fit::{AsDeclared, Elsewhere, Half, Wider};
        for (bound, only_v6, declared, fit, blocks) in [
            ("127.0.0.1", None, "127.0.0.1", AsDeclared, true),
            ("127.0.0.1", None, "127.0.0.2", Elsewhere, false),
            ("127.0.0.1", None, "0.0.0.0", Elsewhere, true),
            ("127.0.0.1", None, "::", Elsewhere, true),
            ("0.0.0.0", None, "127.0.0.1", Wider, true),
            ("0.0.0.0", None, "::1", Elsewhere, false),
            ("0.0.0.0", None, "::", Half, true),
            ("::", None, "127.0.0.1", Wider, true),
            ("::", Some(false), "0.0.0.0", AsDeclared, true),
            ("::", Some(true), "127.0.0.1", Elsewhere, false),
            ("::", Some(true), "0.0.0.0", Elsewhere, false),
            ("::", Some(true), "::1", Wider, true),
            ("::1", None, "0.0.0.0", Elsewhere, false),
            ("::1", None, "::", Elsewhere, true),
            ("::1", None, "127.0.0.1", Elsewhere, false),
            ("::ffff:127.0.0.1", None, "127.0.0.1", AsDeclared, true),
            ("::ffff:0.0.0.0", None, "127.0.0.1", Wider, true),
        ] {
            let socket = Bound {
                address: bound.parse().unwrap(),
                only_v6,
            };
            let declared: IpAddr = declared.parse().unwrap();
            let seen = (socket.fit(declared), socket.blocks(declared));
            assert_eq!(seen, (fit, blocks), "{bound} {only_v6:?} {declared}");
        }
    }
}
