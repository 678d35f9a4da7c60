//! Addresses that secrets are sent to.

use url::{Host, Url};

/// Whether nobody on the way can read what is sent there: it is encrypted, or it never
/// leaves this machine.
#[must_use]
pub fn keeps_secrets(address: &str) -> bool {
    let Ok(url) = Url::parse(address) else {
        return false;
    };
    match (url.scheme(), url.host()) {
        ("https", Some(_)) => true,
        ("http", Some(Host::Domain(name))) => name == "localhost",
        ("http", Some(Host::Ipv4(address))) => address.is_loopback(),
        ("http", Some(Host::Ipv6(address))) => address.to_canonical().is_loopback(),
        _ => false,
    }
}

/// An address for a message: without a user, a password, a query and a fragment, which may
/// be secret.
#[must_use]
pub fn shown(address: &str) -> String {
    let Ok(mut url) = Url::parse(address) else {
        return "an address that is not a URL".to_owned();
    };
    // Both fail only for addresses that can have neither.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    url.set_fragment(None);
    // The parser adds a slash to a host without a path.
    let text = match url.path() {
        "/" => url.as_str().trim_end_matches('/'),
        _ => url.as_str(),
    };
    aistack_machine::text::line(text, aistack_machine::text::QUOTE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_stay_on_this_machine_or_are_encrypted() {
        for (address, keeps) in [
            ("https://example.org/x", true),
            ("HTTPS://example.org/x", true),
            ("http://localhost/x", true),
            ("http://localhost:80/x", true),
            ("http://127.0.0.1:8080", true),
            ("http://127.9.9.9", true),
            ("http://[::1]:80/x", true),
            ("http://[::ffff:127.0.0.1]/x", true),
            ("http://example.org/x", false),
            // A host after what looks like a host.
            ("http://localhost:80@example.org/x", false),
            ("http://127.0.0.1@example.org", false),
            ("http://localhost:x@example.org:80/", false),
            ("http://localhost\\@example.org/", true),
            ("http://localhost#@example.org/", true),
            ("http://example.org#@localhost/", false),
            ("http://example.org?@localhost/", false),
            ("http://localhost.example.org", false),
            ("http://[fe80::1]/", false),
            ("HTTP://example.org", false),
            ("ftp://localhost/x", false),
            ("localhost", false),
            ("", false),
        ] {
            assert_eq!(keeps_secrets(address), keeps, "{address}");
        }
    }

    #[test]
    fn messages_hold_no_password_of_an_address() {
        for (address, seen) in [
            ("http://me:sesame@host:1/v1", "http://host:1/v1"),
            ("https://me@host/v1/?key=sesame#sesame", "https://host/v1/"),
            ("http://a:sesame@b@host/v1", "http://host/v1"),
            ("http://127.0.0.1:41001", "http://127.0.0.1:41001"),
            ("http://me:sesame@", "an address that is not a URL"),
        ] {
            assert_eq!(shown(address), seen);
        }
        assert!(!shown("http://h/\u{1b}[2J\n").contains(char::is_control));
    }
}
