//! Listening sockets, from tables captured in a network namespace of its own.
//! What was open there, as `ss -lntu` said: udp 0.0.0.0:5353 and `[::1]:5354`,
//! tcp 0.0.0.0:8080, 127.0.0.1:6333, `[::]:5432` (both families),
//! `[::ffff:127.0.0.1]:9090`, `[::1]:6379`; besides connections to some of them.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::path::Path;

use aistack_machine::Protocol;
use aistack_machine::sockets::{Exposure, Listening, SocketsError, try_bind};

fn captured() -> Listening {
    Listening::read(Path::new(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/fixtures/sockets"
    )))
    .unwrap()
}

fn exposure(protocol: Protocol, declared: &str) -> Exposure {
    captured().exposure(protocol, declared.parse().unwrap())
}

#[test]
fn exactly_what_listens_is_read() {
    let listed = |protocol| {
        let mut sockets: Vec<String> = captured()
            .of(protocol)
            .iter()
            .map(ToString::to_string)
            .collect();
        sockets.sort();
        sockets
    };
    assert_eq!(
        listed(Protocol::Tcp),
        [
            "0.0.0.0:8080",
            "127.0.0.1:6333",
            "[::1]:6379",
            "[::]:5432",
            "[::ffff:127.0.0.1]:9090"
        ]
    );
    // Not 127.0.0.1:6000, which is connected.
    assert_eq!(listed(Protocol::Udp), ["0.0.0.0:5353", "[::1]:5354"]);
}

#[test]
fn as_declared() {
    for declared in [
        "127.0.0.1:6333",
        "0.0.0.0:8080",
        "[::1]:6379",
        "[::]:5432",
        // Go programs open :: for 0.0.0.0.
        "0.0.0.0:5432",
        "127.0.0.1:9090",
    ] {
        assert_eq!(
            exposure(Protocol::Tcp, declared),
            Exposure::AsDeclared,
            "{declared}"
        );
    }
    assert_eq!(exposure(Protocol::Udp, "[::1]:5354"), Exposure::AsDeclared);
}

#[test]
fn wider_than_declared() {
    let wider = |address: &str| Exposure::Wider(address.parse::<IpAddr>().unwrap());
    assert_eq!(exposure(Protocol::Tcp, "127.0.0.1:8080"), wider("0.0.0.0"));
    assert_eq!(exposure(Protocol::Tcp, "127.0.0.1:5432"), wider("::"));
    assert_eq!(exposure(Protocol::Tcp, "[::1]:5432"), wider("::"));
    assert_eq!(exposure(Protocol::Udp, "127.0.0.1:5353"), wider("0.0.0.0"));
}

#[test]
fn elsewhere_or_nowhere() {
    let elsewhere = |address: &str| Exposure::Elsewhere(vec![address.parse().unwrap()]);
    assert_eq!(
        exposure(Protocol::Tcp, "192.0.2.7:6333"),
        elsewhere("127.0.0.1")
    );
    assert_eq!(
        exposure(Protocol::Tcp, "0.0.0.0:6333"),
        elsewhere("127.0.0.1")
    );
    assert_eq!(exposure(Protocol::Tcp, "127.0.0.1:6379"), elsewhere("::1"));
    // IPv4 on all addresses is not IPv6.
    assert_eq!(exposure(Protocol::Tcp, "[::1]:8080"), elsewhere("0.0.0.0"));
    assert_eq!(exposure(Protocol::Tcp, "127.0.0.1:5353"), Exposure::Nothing);
    assert_eq!(exposure(Protocol::Udp, "127.0.0.1:6333"), Exposure::Nothing);
    // The peer's end of a connection, and one that is closing.
    for peer in ["127.0.0.1:60654", "127.0.0.1:43232"] {
        assert_eq!(exposure(Protocol::Tcp, peer), Exposure::Nothing);
    }
}

#[test]
fn tables_that_are_missing_or_garbled() {
    let root = tempfile::tempdir().unwrap();
    let read = || Listening::read(root.path());
    assert!(matches!(read(), Err(SocketsError::Unreadable { .. })));

    let net = root.path().join("proc/net");
    fs::create_dir_all(&net).unwrap();
    fs::write(net.join("tcp"), "  sl  local_address\n").unwrap();
    // No IPv6 in this kernel.
    assert_eq!(read().unwrap(), Listening::default());

    for line in [
        "nonsense",
        "0: 0100007F:18BD",
        "0: 0100007F:18BD 00000000:0000 ZZ",
        "0: 0100007F:18BDD 00000000:0000 0A",
        "0: 0100007:18BD 00000000:0000 0A",
        "0: é00007F:18BD 00000000:0000 0A",
        "0: 0100007F 00000000:0000 0A",
    ] {
        fs::write(net.join("tcp6"), format!("head\n{line}\n")).unwrap();
        let error = read().unwrap_err();
        assert!(matches!(error, SocketsError::Garbled { .. }), "{line}");
        assert!(error.to_string().contains("proc/net/tcp6"), "{error}");
    }
}

#[test]
fn the_running_kernel_agrees() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let here = listener.local_addr().unwrap();
    let exposure = |at: SocketAddr| {
        Listening::read(Path::new("/"))
            .unwrap()
            .exposure(Protocol::Tcp, at)
    };
    assert_eq!(exposure(here), Exposure::AsDeclared);
    assert_eq!(
        try_bind(Protocol::Tcp, here).unwrap_err().kind(),
        std::io::ErrorKind::AddrInUse
    );
    drop(listener);
    assert!(try_bind(Protocol::Tcp, here).is_ok());
}
