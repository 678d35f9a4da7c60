//! What may reach a terminal.

/// The text without anything that a terminal acts on or that hides what is there:
/// control characters but newline and tab, and marks that reorder or hide text.
#[must_use]
pub fn plain(text: &str) -> String {
    text.chars()
        .filter(|&c| {
            c == '\n'
                || c == '\t'
                || !(c.is_control()
                    || matches!(c,
                        '\u{200b}'..='\u{200f}'
                        | '\u{202a}'..='\u{202e}'
                        | '\u{2060}'..='\u{2069}'
                        | '\u{feff}'
                        | '\u{e0000}'..='\u{e007f}'))
        })
        .collect()
}

/// The first block of code of an answer, or the whole of it where there is none.
#[must_use]
pub fn code(answer: &str) -> &str {
    let Some((_, rest)) = answer.split_once("```") else {
        return answer.trim();
    };
    // The rest of the fence's line is the language.
    let inside = rest.split_once('\n').map_or("", |(_, inside)| inside);
    inside
        .split_once("```")
        .map_or(inside, |(code, _)| code)
        .trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_codes_do_not_pass() {
        assert_eq!(
            plain("a\x1b[2J\x1b]0;x\x07b\r\n\tc\u{9b}d"),
            "a[2J]0;xb\n\tcd"
        );
        assert_eq!(plain("if \u{202e}} \u{2066}x\u{200b}"), "if } x");
        assert_eq!(plain("äöü 漢字 🙂"), "äöü 漢字 🙂");
    }

    #[test]
    fn code_is_found_with_and_without_fences() {
        for (answer, found) in [
            ("Here:\n```nix\n{ a = 1; }\n```\nDone", "{ a = 1; }"),
            ("{ a = 1; }\n", "{ a = 1; }"),
            ("```\n{ }", "{ }"),
            ("```", ""),
        ] {
            assert_eq!(code(answer), found);
        }
    }
}
