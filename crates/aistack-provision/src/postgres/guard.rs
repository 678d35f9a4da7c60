//! A connection whose server must prove that it knows the password before it is asked
//! for anything.
//!
//! The protocol lets a server ask for the password in the clear, or for none at all, and
//! the client library does what it is asked. A stranger who listens on the server's port
//! would get the password so. Of the ways to authenticate, only SCRAM-SHA-256 shows the
//! server nothing of the password and lets the client verify the server: the library
//! checks the server's signature (`ScramSha256::finish`) before it sends anything more.
//! This filter, between the socket and the library, ends the connection when the server
//! asks for something else, or says that all is well without that proof.
//!
//! Format of the messages: `PostgreSQL`'s documentation, "Message Formats"
//! (<https://www.postgresql.org/docs/current/protocol-message-formats.html>): a byte for
//! the kind, four for the length with themselves; `R` is the authentication, its first
//! four bytes what is asked for (0: nothing more, 3: the password in the clear, 5: MD5,
//! 10 to 12: SASL).

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The largest message that a server may send before it has proved who it is, in bytes.
const MOST_BEFORE: usize = 64 * 1024;
/// How much a server may send over one connection, in bytes: the statements here have
/// short answers.
const MOST: u64 = 256 * 1024 * 1024;

/// What the start of a server's answer says about how it wants to authenticate.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    /// What was read and is not a whole message yet.
    partial: Vec<u8>,
    /// Whether the server sent its signature.
    signed: bool,
    /// Whether the authentication is over.
    open: bool,
}

impl Gate {
    /// Takes more bytes of the server; what of them the library may see.
    ///
    /// # Errors
    /// When the server asks for the password in another way than SCRAM, or for none.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> io::Result<Vec<u8>> {
        if self.open {
            return Ok(bytes.to_vec());
        }
        self.partial.extend_from_slice(bytes);
        let mut passed = 0;
        while let Some(length) = self.message(passed)? {
            passed += length;
            if self.open {
                passed = self.partial.len();
            }
        }
        let rest = self.partial.split_off(passed);
        Ok(std::mem::replace(&mut self.partial, rest))
    }

    /// The length of the whole message that begins at `start`; none: it is not whole.
    fn message(&mut self, start: usize) -> io::Result<Option<usize>> {
        if self.open {
            return Ok(None);
        }
        let Some((head, rest)) = self
            .partial
            .get(start..)
            .and_then(<[u8]>::split_first_chunk::<5>)
        else {
            return Ok(None);
        };
        let [kind, length @ ..] = *head;
        // The length counts itself.
        let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
        if !(4..=MOST_BEFORE).contains(&length) {
            return Err(refused("sends what is not PostgreSQL's protocol"));
        }
        let Some(body) = rest.get(..length - 4) else {
            return Ok(None);
        };
        match kind {
            b'R' => {
                let code = body
                    .first_chunk::<4>()
                    .map(|code| u32::from_be_bytes(*code));
                match code {
                    Some(10 | 11) => {}
                    Some(12) => self.signed = true,
                    Some(0) if self.signed => self.open = true,
                    Some(0) => {
                        return Err(refused(
                            "takes the connection without proof that it knows the password",
                        ));
                    }
                    Some(3) => return Err(refused("asks for the password in the clear")),
                    Some(5) => return Err(refused("asks for the password's MD5 hash")),
                    _ => return Err(refused("asks to authenticate in a way that is not SCRAM")),
                }
            }
            // An error, a notice, another version of the protocol.
            b'E' | b'N' | b'v' => {}
            _ => return Err(refused("sends what is not PostgreSQL's protocol")),
        }
        Ok(Some(length + 1))
    }
}

fn refused(what: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::PermissionDenied,
        format!(
            "the server {what}. The password was not sent: it goes only to a server that proves by \
             SCRAM-SHA-256 that it knows it. Is another program on the port, or does the server \
             keep the password as MD5 (`SHOW password_encryption`)?"
        ),
    )
}

/// A socket behind a [`Gate`].
pub(crate) struct Guarded<S> {
    socket: S,
    gate: Gate,
    /// What the library may see and has not taken.
    passed: Vec<u8>,
    taken: usize,
    /// How much the server has sent.
    seen: u64,
}

impl<S> Guarded<S> {
    /// A guarded socket, of which nothing was read.
    pub(crate) fn new(socket: S) -> Self {
        Self {
            socket,
            gate: Gate::default(),
            passed: Vec::new(),
            taken: 0,
            seen: 0,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            let left = self.passed.get(self.taken..).unwrap_or_default();
            if !left.is_empty() {
                let now = left.get(..buffer.remaining()).unwrap_or(left);
                let count = now.len();
                buffer.put_slice(now);
                self.taken += count;
                return Poll::Ready(Ok(()));
            }
            let mut space = [0; 8192];
            let mut read = ReadBuf::new(&mut space);
            ready!(Pin::new(&mut self.socket).poll_read(context, &mut read))?;
            if read.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            self.seen += read.filled().len() as u64;
            if self.seen > MOST {
                return Poll::Ready(Err(io::Error::other(format!(
                    "the server sent more than {} MiB",
                    MOST / 1024 / 1024
                ))));
            }
            self.passed = self.gate.take(read.filled())?;
            self.taken = 0;
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guarded<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u8, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len() + 4).unwrap();
        [&[kind], &length.to_be_bytes()[..], body].concat()
    }

    fn ask(code: u32) -> Vec<u8> {
        message(b'R', &[&code.to_be_bytes()[..], b"rest\0"].concat())
    }

    #[test]
    fn scram_passes_in_any_pieces() {
        let all = [
            message(b'N', b"SNOTICE\0\0"),
            ask(10),
            ask(11),
            ask(12),
            ask(0),
            // After the authentication any byte passes.
            message(b'S', b"a\0b\0"),
            vec![0xff; 20],
        ]
        .concat();
        for size in [1, 2, 5, 7, 64, all.len()] {
            let mut gate = Gate::default();
            let seen: Vec<u8> = all
                .chunks(size)
                .flat_map(|piece| gate.take(piece).unwrap())
                .collect();
            assert_eq!(seen, all, "pieces of {size}");
        }
    }

    #[test]
    fn everything_else_is_refused_before_the_library_sees_it() {
        for (bytes, words) in [
            (ask(3), "in the clear"),
            (ask(5), "MD5"),
            (ask(7), "not SCRAM"),
            (ask(0), "without proof"),
            ([ask(10), ask(0)].concat(), "without proof"),
            ([ask(10), ask(11), ask(0)].concat(), "without proof"),
            ([ask(10), ask(3)].concat(), "in the clear"),
            (message(b'R', b""), "not SCRAM"),
            (message(b'Z', b"I"), "not PostgreSQL's"),
            (b"HTTP/1.1 400 Bad Request".to_vec(), "not PostgreSQL's"),
            (vec![b'E', 0, 0, 0, 0], "not PostgreSQL's"),
            (vec![b'R', 0xff, 0xff, 0xff, 0xff], "not PostgreSQL's"),
        ] {
            for size in [1, bytes.len()] {
                let mut gate = Gate::default();
                let error = bytes
                    .chunks(size)
                    .find_map(|piece| gate.take(piece).err())
                    .unwrap()
                    .to_string();
                assert!(error.contains(words), "{bytes:?}: {error}");
            }
        }
    }
}
