//! Listening sockets from the kernel's `sock_diag` interface, as `ss` asks for them.
//!
//! Format: `sock_diag(7)` and `linux/inet_diag.h`. A request is a netlink header
//! of 16 bytes and `inet_diag_req_v2` (56); an answer a header, `inet_diag_msg`
//! (72) and attributes. Unlike the tables in `/proc/net` it says whether a v6
//! socket takes v4 peers, and in which cgroup the socket was made, both without
//! privileges; and the kernel walks the listening sockets alone.

use std::net::{IpAddr, SocketAddr};

use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, recv, send, socket_with,
};

use super::Socket;
use crate::Protocol;

const SOCK_DIAG_BY_FAMILY: u16 = 20;
const REQUEST_AND_DUMP: u16 = 0x301;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const SKV6ONLY: u16 = 11;
const CGROUP_ID: u16 = 21;
const HEADER: usize = 16;
const MESSAGE: usize = 72;
const INET: u8 = 2;
const INET6: u8 = 10;

/// One protocol and family to ask for: protocol number, and the one state that
/// means that a socket waits for peers (`TCP_LISTEN`, `TCP_CLOSE`).
const QUESTIONS: [(Protocol, u8, u8, u32); 4] = [
    (Protocol::Tcp, INET, 6, 1 << 10),
    (Protocol::Tcp, INET6, 6, 1 << 10),
    (Protocol::Udp, INET, 17, 1 << 7),
    (Protocol::Udp, INET6, 17, 1 << 7),
];

/// Asks the kernel.
///
/// # Errors
/// When it has no such interface (old kernels, sandboxes) or the answer can't be
/// read: the caller then reads the tables.
pub fn waiting() -> Result<Vec<Socket>, Errno> {
    let kernel = socket_with(
        AddressFamily::NETLINK,
        SocketType::RAW,
        SocketFlags::CLOEXEC,
        Some(netlink::SOCK_DIAG),
    )?;
    let mut found = Vec::new();
    let mut buffer = vec![0; 128 * 1024];
    for (protocol, family, number, states) in QUESTIONS {
        ask(&kernel, family, number, states)?;
        loop {
            let (_, length) = recv(&kernel, buffer.as_mut_slice(), RecvFlags::empty())?;
            let answer = buffer.get(..length).ok_or(Errno::MSGSIZE)?;
            if read(answer, protocol, &mut found)? {
                break;
            }
        }
    }
    Ok(found)
}

fn ask(kernel: &OwnedFd, family: u8, protocol: u8, states: u32) -> Result<(), Errno> {
    let mut request = Vec::with_capacity(72);
    request.extend(72_u32.to_ne_bytes());
    request.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    request.extend(REQUEST_AND_DUMP.to_ne_bytes());
    request.extend([0; 8]); // sequence, port
    request.extend([family, protocol, 0, 0]);
    request.extend(states.to_ne_bytes());
    request.extend([0; 48]); // any address
    send(kernel, &request, SendFlags::empty()).map(drop)
}

/// Reads one datagram of answers; true: it was the last.
fn read(mut answer: &[u8], protocol: Protocol, found: &mut Vec<Socket>) -> Result<bool, Errno> {
    while !answer.is_empty() {
        let length = word(answer, 0).ok_or(Errno::BADMSG)? as usize;
        let message = answer
            .get(..length)
            .filter(|_| length >= HEADER)
            .ok_or(Errno::BADMSG)?;
        match half(message, 4) {
            Some(NLMSG_DONE) => return Ok(true),
            Some(NLMSG_ERROR) => {
                let code = word(message, HEADER).map_or(0, u32::cast_signed);
                return Err(Errno::from_raw_os_error(code.saturating_neg()));
            }
            Some(SOCK_DIAG_BY_FAMILY) => {
                found.extend(message.get(HEADER..).and_then(|body| parse(body, protocol)));
            }
            _ => {}
        }
        answer = answer.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(false)
}

fn parse(body: &[u8], protocol: Protocol) -> Option<Socket> {
    let port = |at: usize| Some(u16::from_be_bytes(*body.get(at..)?.first_chunk()?));
    if protocol == Protocol::Udp && port(6)? != 0 {
        return None; // connected
    }
    let ip = match *body.first()? {
        INET => IpAddr::from(*body.get(8..)?.first_chunk::<4>()?),
        INET6 => IpAddr::from(*body.get(8..)?.first_chunk::<16>()?),
        _ => return None,
    };
    let mut socket = Socket {
        protocol,
        local: SocketAddr::new(ip, port(4)?),
        inode: u64::from(word(body, 68)?),
        uid: word(body, 64)?,
        only_v6: None,
        cgroup: None,
    };
    let mut attributes = body.get(MESSAGE..)?;
    while let (Some(length), Some(kind)) = (half(attributes, 0), half(attributes, 2)) {
        let length = usize::from(length);
        let Some(value) = attributes.get(4..length) else {
            break;
        };
        match kind {
            SKV6ONLY => socket.only_v6 = value.first().map(|&set| set != 0),
            CGROUP_ID => socket.cgroup = value.first_chunk().copied().map(u64::from_ne_bytes),
            _ => {}
        }
        attributes = attributes
            .get(length.next_multiple_of(4)..)
            .unwrap_or_default();
    }
    Some(socket)
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cut_answers_are_errors_or_nothing_but_no_panic() {
        let mut answer = Vec::new();
        answer.extend(108_u32.to_ne_bytes());
        answer.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
        answer.resize(16, 0);
        let mut body = vec![INET6, 10, 0, 0];
        body.extend(8080_u16.to_be_bytes());
        body.resize(MESSAGE, 0);
        body.extend([5, 0, 11, 0, 1, 0, 0, 0]);
        body.extend([12, 0, 21, 0]);
        body.extend(77_u64.to_ne_bytes());
        answer.extend(&body);
        answer.resize(108, 0);
        let mut found = Vec::new();
        assert_eq!(read(&answer, Protocol::Tcp, &mut found), Ok(false));
        assert_eq!(found[0].local.to_string(), "[::]:8080");
        assert_eq!(found[0].only_v6, Some(true));
        assert_eq!(found[0].cgroup, Some(77));
        for length in 0..answer.len() {
            let _ = read(&answer[..length], Protocol::Tcp, &mut Vec::new());
        }
        for length in 0..body.len() {
            let _ = parse(&body[..length], Protocol::Udp);
        }
    }
}
