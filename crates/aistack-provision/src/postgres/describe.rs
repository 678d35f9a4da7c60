//! The server's errors in one line each.

use std::error::Error as _;
use std::io;

use tokio_postgres::Error;
use tokio_postgres::error::{DbError, ErrorPosition, SqlState};

/// Code, message, detail and hint of a server's error; else what the client says.
pub fn sql(error: &Error) -> String {
    let Some(said) = error.as_db_error() else {
        return printable(&match error.source() {
            Some(cause) => format!("{error}: {cause}"),
            None => error.to_string(),
        });
    };
    let mut text = format!(
        "{} {}: {}",
        said.severity(),
        said.code().code(),
        said.message()
    );
    for more in [said.detail(), said.hint()].into_iter().flatten() {
        text.push_str("; ");
        text.push_str(more);
    }
    printable(&text)
}

/// What a server said, which anybody who listens on its port can be, and any role that
/// raises an error.
pub fn printable(text: &str) -> String {
    aistack_machine::text::line(text, aistack_machine::text::ERROR)
}

/// Line and column (from 1) of the place in `text` that a server's error names.
pub fn place(error: &DbError, text: &str) -> Option<(usize, usize)> {
    let Some(ErrorPosition::Original(position)) = error.position() else {
        return None;
    };
    // It counts characters, from 1.
    let before = usize::try_from(*position).ok()?.checked_sub(1)?;
    let (mut line, mut column) = (1, 1);
    for character in text.chars().take(before) {
        if character == '\n' {
            (line, column) = (line + 1, 1);
        } else {
            column += 1;
        }
    }
    Some((line, column))
}

/// Whether the server refused the password (or the user, which it does not tell apart).
pub fn is_password(error: &Error) -> bool {
    error.code() == Some(&SqlState::INVALID_PASSWORD)
}

/// Whether the server is not there now: starting, stopping, full, or the connection
/// ended.
pub fn is_transient(error: &Error) -> bool {
    match error.code() {
        Some(code) => [
            SqlState::CANNOT_CONNECT_NOW,
            SqlState::ADMIN_SHUTDOWN,
            SqlState::CRASH_SHUTDOWN,
            SqlState::TOO_MANY_CONNECTIONS,
        ]
        .contains(code),
        None => {
            error.is_closed()
                || error
                    .source()
                    .and_then(|cause| cause.downcast_ref::<io::Error>())
                    .is_some_and(is_lost)
        }
    }
}

/// Whether an error of the socket is that of a server that went away; others are about
/// what it said.
fn is_lost(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::NotConnected
            | io::ErrorKind::UnexpectedEof
            | io::ErrorKind::TimedOut
            | io::ErrorKind::Interrupted
    )
}
