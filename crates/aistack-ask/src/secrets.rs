//! Whether a text holds what must not leave the machine.

const PREFIXES: [&str; 10] = [
    "sk-",
    "hf_",
    "ghp_",
    "gho_",
    "github_pat_",
    "glpat-",
    "xoxb-",
    "xoxp-",
    "AKIA",
    "AGE-SECRET-KEY-",
];

const NAMES: [&str; 12] = [
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "apikey",
    "api_key",
    "accesskey",
    "access_key",
    "secret_key",
    "privatekey",
    "private_key",
];

/// The first line (from 1) that looks like a secret, and why; none: there is none.
#[must_use]
pub fn find(text: &str) -> Option<(usize, String)> {
    text.lines()
        .enumerate()
        .find_map(|(at, line)| Some((at + 1, of_line(line)?)))
}

fn of_line(line: &str) -> Option<String> {
    if line.contains("PRIVATE KEY-----") {
        return Some("a private key".to_owned());
    }
    let words = || line.split(|c: char| !(c.is_ascii_alphanumeric() || "_-".contains(c)));
    if let Some(prefix) = PREFIXES.into_iter().find(|prefix| {
        words().any(|word| word.starts_with(prefix) && word.len() >= prefix.len() + 12)
    }) {
        return Some(format!("a key that begins with {prefix:?}"));
    }
    if line
        .split("Bearer ")
        .skip(1)
        .any(|rest| rest.chars().take_while(|&c| !ends(c)).count() >= 12)
    {
        return Some("a bearer token".to_owned());
    }
    if line.split("://").skip(1).any(has_password) {
        return Some("an address with a password".to_owned());
    }
    // `name = "value"`, `NAME=value`, `name: value`, several on a line.
    line.match_indices(['=', ':']).find_map(|(at, _)| {
        let name = line
            .get(..at)?
            .trim_end_matches([' ', '\t', '"', '\''])
            .rsplit(|c: char| !(c.is_ascii_alphanumeric() || "_-".contains(c)))
            .next()?
            .to_lowercase()
            .replace('-', "_");
        let named = NAMES.into_iter().any(|secret| name.ends_with(secret));
        let value = line.get(at + 1..)?.trim_start();
        (named && is_literal(value)).then(|| format!("a value for {name}"))
    })
}

/// Whether an address goes on with a name and a password.
fn has_password(address: &str) -> bool {
    let authority = address.split(['/', '"', '\'', ' ']).next().unwrap_or("");
    authority
        .rsplit_once('@')
        .and_then(|(person, _)| person.split_once(':'))
        .is_some_and(|(_, password)| !password.is_empty() && !refers(password))
}

/// Whether what stands behind the name is a value, and not where to find one.
fn is_literal(value: &str) -> bool {
    // Nix's long text, which may begin on the next line.
    if let Some(rest) = value.strip_prefix("\'\'") {
        let text = rest.split("\'\'").next().unwrap_or(rest).trim();
        return text.is_empty() && !rest.contains("\'\'") || text.len() >= 4 && !refers(text);
    }
    if let Some(quote) = value.chars().next().filter(|c| ['"', '\''].contains(c)) {
        let text = value.get(1..).unwrap_or_default();
        let text = text.split(quote).next().unwrap_or(text);
        return text.len() >= 4 && !refers(text);
    }
    let text = value.split(ends).next().unwrap_or(value);
    text.len() >= 6
        && !refers(text)
        && !text.contains("config.")
        && !["true", "false", "null"].contains(&text)
}

/// A path, a variable or a place to fill in. A hash as crypt(3) writes it is none of them.
fn refers(text: &str) -> bool {
    let hash = text
        .strip_prefix('$')
        .and_then(|rest| rest.split_once('$'))
        .is_some_and(|(method, rest)| {
            (1..=2).contains(&method.len())
                && method.chars().all(|c| c.is_ascii_alphanumeric())
                && rest.len() >= 10
        });
    !hash && text.starts_with(['/', '.', '$', '<', '{', '['])
}

/// What an unquoted value ends with.
fn ends(c: char) -> bool {
    c.is_whitespace() || [';', ',', '}', ']', ')', '"', '\''].contains(&c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_found_and_paths_to_them_are_none() {
        for text in [
            "a = 1;\npassword = \"hunter22\";",
            "services.x.settings.api_key = \"abcdef123\";",
            "OPENAI_API_KEY=abcdef123",
            "x = \"sk-abcdefghijklmnop1234\";",
            "-----BEGIN OPENSSH PRIVATE KEY-----",
            "token: abcdefgh",
            "{ password = \"hunter22\"; } # why",
            "x = { user = \"a\"; password = \"hunter22\"; };",
            "password = \"correct horse battery\";",
            "password = ''hunter22'';",
            "password = ''",
            "hashedPassword = \"$6$saltsalt$aaaaaaaaaaaaaaaa\";",
            "{\"user\": \"a\", \"client_secret\": \"abcdefgh\"}",
            "DATABASE_URL=postgres://a:hunter22@db/x",
            "curl -H 'Authorization: Bearer abcdefghijklmnop'",
        ] {
            assert!(find(text).is_some(), "{text}");
        }
        for text in [
            "passwordFile = \"/run/secrets/x\";",
            "password = config.sops.secrets.x.path;",
            "users.users.a.password = null;",
            "# the password is in the safe",
            "enableToken = true;",
            "token = \"${x}\";",
            "PASSWORD=$OTHER",
            "password = \"<yours>\";",
            "url = \"https://example.org:8443/a\";",
            "url = \"postgres://a:${password}@db/x\";",
            "url = \"postgres://a@db/x\";",
            "wantsPassword = x == y;",
        ] {
            assert_eq!(find(text), None, "{text}");
        }
        assert_eq!(find("a\nb\ntoken=abcdefgh").unwrap().0, 3);
    }
}
