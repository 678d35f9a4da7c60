//! Text for people: tables, colours, durations.

use std::io::{self, Write};
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use serde::Serialize;

/// As it should be.
pub const GOOD: Style = AnsiColor::Green.on_default();
/// Not as it should be.
pub const BAD: Style = AnsiColor::Red.on_default().bold();
/// Neither: could not be seen.
pub const UNSURE: Style = AnsiColor::Yellow.on_default();
/// Titles and what is said beside.
pub const FAINT: Style = Style::new().dimmed();

/// Prints text; colours are dropped unless standard output is a terminal and
/// `NO_COLOR` is unset. A reader that has gone (`| head`) is no error. Of what others
/// wrote nothing that a terminal acts on is printed.
///
/// # Errors
/// When the output can't be written.
pub fn print(text: &str) -> io::Result<()> {
    write(&crate::text::coloured(text))
}

fn write(text: &str) -> io::Result<()> {
    let mut out = anstream::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            let what = format!("the output could not be written: {error}");
            Err(io::Error::new(error.kind(), what))
        }
        _ => Ok(()),
    }
}

/// One or more lines for standard output. Colours are not for these. A reader that has gone is no error.
pub fn say(text: &str) {
    drop(writeln!(io::stdout(), "{}", crate::text::block(text)));
}

/// The same for standard error.
pub fn complain(text: &str) {
    drop(writeln!(io::stderr(), "{}", crate::text::block(text)));
}

/// Prints a line, of which a terminal shows every character and acts on none.
#[macro_export]
macro_rules! say {
    ($($text:tt)*) => { $crate::output::say(&format!($($text)*)) };
}

/// The same on standard error.
#[macro_export]
macro_rules! complain {
    ($($text:tt)*) => { $crate::output::complain(&format!($($text)*)) };
}

/// Prints a value as JSON, indented.
///
/// # Errors
/// When the output can't be written.
pub fn print_json(value: &impl Serialize) -> io::Result<()> {
    let mut text = serde_json::to_string_pretty(value)
        .map_err(|error| io::Error::other(format!("the output is not JSON: {error}")))?;
    text.push('\n');
    write(&crate::text::json(&text))
}

/// One field of a table.
#[derive(Clone, Debug)]
pub struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    /// Plain text.
    #[must_use]
    pub fn plain(text: impl Into<String>) -> Self {
        Self::styled(text, Style::new())
    }

    /// Text in a style.
    #[must_use]
    pub fn styled(text: impl Into<String>, style: Style) -> Self {
        Self {
            text: crate::text::field(&text.into()),
            style,
        }
    }
}

/// Rows as lines with aligned columns, two spaces apart, none at the end.
#[must_use]
pub fn table(rows: &[Vec<Cell>]) -> Vec<String> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let widths: Vec<usize> = (0..columns)
        .map(|column| {
            rows.iter()
                // The last column of a row needs no width.
                .filter_map(|row| row.get(column).filter(|_| column + 1 < row.len()))
                .map(|cell| cell.text.chars().count())
                .max()
                .unwrap_or_default()
        })
        .collect();
    rows.iter()
        .map(|row| {
            let mut line = String::new();
            let mut owed = 0;
            for (cell, width) in row.iter().zip(&widths) {
                line.extend(std::iter::repeat_n(' ', owed));
                line.push_str(&paint(&cell.text, cell.style));
                owed = 2 + width.saturating_sub(cell.text.chars().count());
            }
            line.truncate(line.trim_end().len());
            line
        })
        .collect()
}

/// Text in a style.
#[must_use]
pub fn paint(text: &str, style: Style) -> String {
    if style.is_plain() || text.is_empty() {
        text.to_owned()
    } else {
        format!("{style}{text}{style:#}")
    }
}

/// A duration in its two largest units: `3 d 4 h`, `12 s`.
#[must_use]
pub fn span(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    let two = |large: u64, one: &str, small: u64, other: &str| {
        if small == 0 {
            format!("{large} {one}")
        } else {
            format!("{large} {one} {small} {other}")
        }
    };
    if days > 0 {
        two(days, "d", hours, "h")
    } else if hours > 0 {
        two(hours, "h", minutes, "min")
    } else if minutes > 0 {
        two(minutes, "min", seconds % 60, "s")
    } else {
        format!("{seconds} s")
    }
}

/// Seconds of a command line as a duration: positive, at most an hour.
///
/// # Errors
/// When it is no such number.
pub fn parse_seconds(text: &str) -> Result<Duration, String> {
    text.parse::<f64>()
        .ok()
        .filter(|seconds| *seconds > 0.0 && *seconds <= 3600.0)
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .filter(|duration| !duration.is_zero())
        .ok_or_else(|| "not a number of seconds above 0, up to 3600".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_by_what_is_seen_and_lines_end_without_spaces() {
        let rows = [
            vec![Cell::styled("ok", GOOD), Cell::plain("a"), Cell::plain("x")],
            vec![
                Cell::plain("NOT OK"),
                Cell::plain("länger"),
                Cell::plain(""),
            ],
        ];
        let lines: Vec<String> = table(&rows)
            .iter()
            .map(|line| anstream::adapter::strip_str(line).to_string())
            .collect();
        assert_eq!(lines, ["ok      a       x", "NOT OK  länger"]);
    }

    #[test]
    fn spans() {
        for (seconds, text) in [
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (3725, "1 h 2 min"),
            (86_400, "1 d"),
            (100_000, "1 d 3 h"),
        ] {
            assert_eq!(span(Duration::from_secs(seconds)), text);
        }
    }

    #[test]
    fn seconds() {
        assert_eq!(parse_seconds("0.25"), Ok(Duration::from_millis(250)));
        for bad in ["0", "-1", "nan", "inf", "1e9", "5s", "", "1e-30"] {
            assert!(parse_seconds(bad).is_err(), "{bad}");
        }
    }
}
