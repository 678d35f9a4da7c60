//! Makes text of others printable.
//!
//! Answers of servers, names of files, lines of journals and the errors that quote them
//! may hold anything: escape codes that write to a terminal's title or clear it, line
//! breaks that forge a line of output, marks that make text read in another order than it
//! stands. Whatever shows such text passes it through here first.
//!
//! [`line`] and [`bytes`] are for a part of a message, [`field`] for what must keep its
//! length, [`block`], [`coloured`] and [`json`] for a whole output.

use std::fmt::Write as _;

/// What an ordinary message may quote, in characters.
pub const QUOTE: usize = 160;
/// What a whole error may be long, in characters.
pub const ERROR: usize = 2000;

/// Whether a terminal acts on a character, or it hides or reorders what is next to it.
///
/// The control characters (C0, DEL and C1, which holds a second escape character); line
/// and paragraph separators; the marks of Unicode's bidirectional algorithm (UAX #9) with
/// the invisible characters next to them; the byte order mark; annotations, tags and
/// variation selectors, which are not shown and may carry text.
#[must_use]
pub fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{00ad}'
                | '\u{034f}'
                | '\u{061c}'
                | '\u{115f}'..='\u{1160}'
                | '\u{17b4}'..='\u{17b5}'
                | '\u{180b}'..='\u{180f}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{3164}'
                | '\u{fe00}'..='\u{fe0e}'
                | '\u{feff}'
                | '\u{ffa0}'
                | '\u{fff0}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e0fff}'
        )
}

/// Text as one line of at most `most` characters: white space, line breaks and control
/// characters become single spaces, other hidden characters `U+FFFD`; a text that is
/// longer ends with `…`.
#[must_use]
pub fn line(text: &str, most: usize) -> String {
    let mut shown = String::new();
    let mut count = 0;
    let mut gap = false;
    for character in text.chars() {
        if character.is_whitespace() || character.is_control() {
            gap = true;
            continue;
        }
        let character = if is_hidden(character) {
            char::REPLACEMENT_CHARACTER
        } else {
            character
        };
        let needed = 1 + usize::from(gap && count > 0);
        if count + needed > most {
            shown.push('…');
            break;
        }
        if gap && count > 0 {
            shown.push(' ');
        }
        gap = false;
        shown.push(character);
        count += needed;
    }
    shown
}

/// Bytes as one line of at most `most` characters, see [`line`].
#[must_use]
pub fn bytes(bytes: &[u8], most: usize) -> String {
    // A character has four bytes at most; what white space takes does not matter here.
    let enough = most.saturating_mul(4).saturating_add(1024);
    let cut = bytes.get(..enough);
    let shown = line(&String::from_utf8_lossy(cut.unwrap_or(bytes)), most);
    if cut.is_some_and(|cut| cut.len() < bytes.len()) && !shown.ends_with('…') {
        return format!("{shown}…");
    }
    shown
}

/// An error with its causes as one line of at most [`ERROR`] characters.
#[must_use]
pub fn error(error: &dyn std::fmt::Display) -> String {
    line(&format!("{error:#}"), ERROR)
}

/// An error with its sources as one line of at most [`ERROR`] characters.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let _ = write!(text, ": {error}");
        cause = error.source();
    }
    line(&text, ERROR)
}

/// Text of several lines without anything that a terminal acts on: line breaks and tabs
/// stay, other hidden characters become `U+FFFD`.
#[must_use]
pub fn block(text: &str) -> String {
    text.chars()
        .map(|character| match character {
            '\n' | '\t' => character,
            hidden if is_hidden(hidden) => char::REPLACEMENT_CHARACTER,
            shown => shown,
        })
        .collect()
}

/// Text of as many characters, for a field of a table or a line with a mark below it: a
/// hidden character becomes `U+FFFD`, one of white space a space.
#[must_use]
pub fn field(text: &str) -> String {
    text.chars()
        .map(|character| match character {
            space if space.is_whitespace() => ' ',
            hidden if is_hidden(hidden) => char::REPLACEMENT_CHARACTER,
            shown => shown,
        })
        .collect()
}

/// Text of several lines without its hidden characters; line breaks and tabs stay. For
/// code that is used again, where [`block`] would put a mark that is not code.
#[must_use]
pub fn without_hidden(text: &str) -> String {
    text.chars()
        .filter(|&character| matches!(character, '\n' | '\t') || !is_hidden(character))
        .collect()
}

/// As [`block`], where the colours of this program's own output stay: `ESC [`, digits and
/// semicolons, `m`.
#[must_use]
pub fn coloured(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut left = text;
    while let Some((before, after)) = left.split_once("\u{1b}[") {
        shown.push_str(&block(before));
        let digits = after
            .find(|c: char| !c.is_ascii_digit() && c != ';')
            .unwrap_or(after.len());
        let (code, rest) = after.split_at(digits);
        if let Some(rest) = rest.strip_prefix('m') {
            shown.push_str("\u{1b}[");
            shown.push_str(code);
            shown.push('m');
            left = rest;
        } else {
            shown.push(char::REPLACEMENT_CHARACTER);
            shown.push('[');
            left = after;
        }
    }
    shown.push_str(&block(left));
    shown
}

/// A JSON document in which hidden characters are written as `\uXXXX`: the same document,
/// which a terminal does not act on. They can only stand within strings there.
#[must_use]
pub fn json(document: &str) -> String {
    let mut shown = String::with_capacity(document.len());
    for character in document.chars() {
        if character != '\n' && is_hidden(character) {
            let mut units = [0; 2];
            for unit in character.encode_utf16(&mut units) {
                // Writing to a String doesn't fail.
                let _ = write!(shown, "\\u{unit:04x}");
            }
        } else {
            shown.push(character);
        }
    }
    shown
}

/// Bytes as lower-case hexadecimal digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    let mut digits = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // Writing to a String doesn't fail.
        let _ = write!(digits, "{byte:02x}");
    }
    digits
}

/// What the system said, without the number that Rust appends (`(os error 13)`).
#[must_use]
pub fn io(error: &std::io::Error) -> String {
    let text = error.to_string();
    let end = text.find(" (os error").unwrap_or(text.len());
    line(text.get(..end).unwrap_or(&text), ERROR)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: &str =
        "a\u{1b}]0;owned\u{7}\u{9b}2J\r\nb\u{202e}c\u{2028}d\u{2069}\0\u{85}e\u{e0041}";

    #[test]
    fn nothing_that_a_terminal_acts_on_is_left() {
        assert_eq!(
            line(HOSTILE, 100),
            "a ]0;owned 2J b\u{fffd}c d\u{fffd} e\u{fffd}"
        );
        for shown in [
            line(HOSTILE, 100),
            bytes(HOSTILE.as_bytes(), 100),
            error(&HOSTILE),
        ] {
            assert!(!shown.contains(is_hidden), "{shown:?}");
            assert_eq!(shown.lines().count(), 1);
        }
        assert_eq!(field("a\tb\u{1b}c\u{202e}"), "a b\u{fffd}c\u{fffd}");
        assert_eq!(
            without_hidden("\u{feff}a\u{1b}[2J\n\tb\u{200b}"),
            "a[2J\n\tb"
        );
        let colours = "\u{1b}[1;31mred\u{1b}[0m \u{1b}[2J\u{1b}]0;x\u{7}\u{1b}[31";
        assert_eq!(
            coloured(colours),
            "\u{1b}[1;31mred\u{1b}[0m \u{fffd}[2J\u{fffd}]0;x\u{fffd}\u{fffd}[31"
        );
        assert_eq!(
            json("{\n\"a\": \"\u{9b}\u{202e}\u{e0041}ä\"}"),
            "{\n\"a\": \"\\u009b\\u202e\\udb40\\udc41ä\"}"
        );
        let kept = block("one\n\ttwo\u{1b}[2J\u{202e}\r\n");
        assert_eq!(kept, "one\n\ttwo\u{fffd}[2J\u{fffd}\u{fffd}\n");
    }

    #[test]
    fn every_character_is_judged() {
        for c in (0..=0x0010_ffff).filter_map(char::from_u32) {
            let shown = line(&format!("x{c}y"), 10);
            assert!(!shown.contains(is_hidden), "{c:?}: {shown:?}");
            assert!(shown.starts_with('x') && shown.ends_with('y'), "{c:?}");
        }
        for c in ['a', 'ä', '中', '🦙', '…', '\u{fffd}', '\u{301}', '\u{fe0f}'] {
            assert!(!is_hidden(c), "{c:?}");
        }
    }

    #[test]
    fn lines_are_bounded() {
        assert_eq!(line("", 5), "");
        assert_eq!(line(" a  b ", 5), "a b");
        assert_eq!(line("abcde", 5), "abcde");
        assert_eq!(line("abcdef", 5), "abcde…");
        assert_eq!(line("abcd fg", 5), "abcd…");
        assert_eq!(line("äöüäöü", 3), "äöü…");
        assert_eq!(line("abc   ", 3), "abc");
        assert_eq!(line("abc", 0), "…");
        assert_eq!(bytes(b"\xff\xfe ok", 10), "\u{fffd}\u{fffd} ok");
        let long = vec![b' '; 1_000_000];
        assert!(bytes(&long, 10).chars().count() <= 11);
        assert_eq!(bytes(&vec![b'x'; 1_000_000], 10), "xxxxxxxxxx…");
    }

    #[test]
    fn the_systems_errors_have_no_numbers() {
        let error = std::io::Error::from_raw_os_error(13);
        assert_eq!(io(&error), "Permission denied");
        assert_eq!(io(&std::io::Error::other("a\nb")), "a b");
    }
}
