//! What stands in an answer.

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
