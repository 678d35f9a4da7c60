//! Whether a text holds what must not leave the machine.

const PREFIXES: [&str; 12] = [
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
    "-----BEGIN OPENSSH PRIVATE KEY",
    "-----BEGIN RSA PRIVATE KEY",
];

const NAMES: [&str; 8] = [
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "apikey",
    "api_key",
    "privatekey",
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
    // `name = "value"`, `NAME=value`, `name: value`; a path to a file is none.
    let (name, value) = line.split_once(['=', ':'])?;
    let name = name.trim().to_lowercase().replace('-', "_");
    let last = name.rsplit(['.', ' ', '"']).find(|part| !part.is_empty())?;
    let named = NAMES.into_iter().any(|secret| last.ends_with(secret));
    let value = value
        .trim()
        .trim_end_matches([';', ','])
        .trim_matches(['"', '\'']);
    let literal = value.len() >= 6
        && !value.starts_with(['/', '.', '$', '<', '{', '['])
        && !value.contains(char::is_whitespace)
        && !value.contains("config.")
        && !["true", "false", "null"].contains(&value);
    (named && literal).then(|| format!("a value for {last}"))
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
        ] {
            assert_eq!(find(text), None, "{text}");
        }
        assert_eq!(find("a\nb\ntoken=abcdefgh").unwrap().0, 3);
    }
}
