//! Every probe against servers that behave, and against servers that don't.
//!
//! The servers are real sockets on 127.0.0.1 with a port of the kernel's choice.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use aistack_checks::probe::{Outcome, run, run_all};
use aistack_machine::probe::{Answer, Method, ProbeError, Request, Stage, exchange};
use aistack_schema::{HttpProbe, Probe, SocketProbe};

const LONG: Duration = Duration::from_secs(10);
const SHORT: Duration = Duration::from_millis(300);
/// What a machine under load may add to a time-out.
const SLACK: Duration = Duration::from_secs(2);

/// Serves every connection with `behave`, on a thread of its own.
fn server(behave: impl Fn(TcpStream) + Send + Sync + Clone + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let behave = behave.clone();
            thread::spawn(move || behave(stream.unwrap()));
        }
    });
    address
}

/// Reads what the probe sends, then answers and closes.
fn answers(answer: impl Into<Vec<u8>>) -> SocketAddr {
    let answer = answer.into();
    server(move |mut stream| {
        read_some(&mut stream);
        drop(stream.write_all(&answer));
    })
}

/// Answers, then keeps the connection open and says nothing more.
fn answers_and_hangs(answer: &'static [u8]) -> SocketAddr {
    server(move |mut stream| {
        read_some(&mut stream);
        drop(stream.write_all(answer));
        thread::sleep(Duration::from_mins(1));
    })
}

/// Answers a byte every 20 ms.
fn drips(answer: impl Into<Vec<u8>>) -> SocketAddr {
    let answer = answer.into();
    server(move |mut stream| {
        read_some(&mut stream);
        for byte in &answer {
            if stream.write_all(&[*byte]).is_err() {
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
    })
}

/// Sends `begin`, then `again` until the other side hangs up.
fn never_stops(begin: &'static [u8], again: &'static [u8]) -> SocketAddr {
    server(move |mut stream| {
        read_some(&mut stream);
        drop(stream.write_all(begin));
        while stream.write_all(again).is_ok() {}
    })
}

fn read_some(stream: &mut TcpStream) {
    drop(stream.read(&mut [0; 4096]));
}

/// A port that nothing listens on: it was free a moment ago.
fn closed_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
}

fn http(address: SocketAddr) -> Probe {
    Probe::Http(HttpProbe {
        url: format!("http://{address}/health"),
    })
}

fn socket(address: SocketAddr) -> SocketProbe {
    SocketProbe {
        address: address.ip(),
        port: address.port().try_into().unwrap(),
    }
}

fn every_protocol(address: SocketAddr) -> [Probe; 3] {
    [
        http(address),
        Probe::Redis(socket(address)),
        Probe::Postgres(socket(address)),
    ]
}

fn well(outcome: Outcome) -> String {
    outcome.result.expect("well").answer
}

fn error(outcome: Outcome) -> ProbeError {
    outcome.result.expect_err("not well")
}

#[track_caller]
fn times_out(probe: &Probe) {
    let start = Instant::now();
    let error = error(run(probe, SHORT));
    let took = start.elapsed();
    assert!(
        matches!(
            error,
            ProbeError::TimedOut {
                stage: Stage::Answer,
                ..
            }
        ),
        "{probe:?}: {error:?}"
    );
    assert!(took >= SHORT, "{probe:?} gave up after {took:?}");
    assert!(took < SHORT + SLACK, "{probe:?} took {took:?}");
}

#[test]
fn http_2xx_is_well() {
    for status in ["200 OK", "204 No Content", "299 Odd"] {
        let at = answers(format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n"));
        assert_eq!(
            well(run(&http(at), LONG)),
            format!("status {}", &status[..3])
        );
    }
}

#[test]
fn http_2xx_is_well_whatever_becomes_of_the_body() {
    let start = Instant::now();
    let hangs = answers_and_hangs(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf");
    assert_eq!(well(run(&http(hangs), LONG)), "status 200");
    let endless = never_stops(b"HTTP/1.1 200 OK\r\n\r\n", &[b'x'; 16384]);
    assert_eq!(well(run(&http(endless), LONG)), "status 200");
    assert!(start.elapsed() < LONG);
}

#[test]
fn http_error_says_status_and_reason() {
    let at =
        answers("HTTP/1.1 503 Busy\r\ncontent-length: 27\r\n\r\n{\"error\": \"Loading\n model\"}");
    let message = error(run(&http(at), LONG)).to_string();
    assert_eq!(
        message,
        "answered status 503: {\"error\": \"Loading model\"}"
    );
}

#[test]
fn http_error_with_an_endless_or_hanging_body_is_bounded() {
    let start = Instant::now();
    for at in [
        never_stops(b"HTTP/1.1 500 No\r\n\r\n", &[b'x'; 16384]),
        answers_and_hangs(b"HTTP/1.1 500 No\r\ncontent-length: 9\r\n\r\n"),
    ] {
        let error = error(run(&http(at), LONG));
        assert!(
            matches!(error, ProbeError::Status { code: 500, .. }),
            "{error:?}"
        );
        assert!(error.to_string().len() < 200);
    }
    assert!(start.elapsed() < LONG);
}

#[test]
fn http_redirect_is_not_followed() {
    // Well, if one went there.
    let at = server(|mut stream| {
        let mut request = [0; 4096];
        let length = stream.read(&mut request).unwrap();
        let answer: &[u8] = if request[..length].starts_with(b"GET /login ") {
            b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
        } else {
            b"HTTP/1.1 302 Found\r\nlocation: /login\r\ncontent-length: 0\r\n\r\n"
        };
        drop(stream.write_all(answer));
    });
    let error = error(run(&http(at), LONG));
    assert_eq!(
        error.to_string(),
        "answered status 302, a redirect to \"/login\""
    );
}

#[test]
fn http_huge_head_is_refused() {
    let start = Instant::now();
    for (begin, again) in [
        (
            &b"HTTP/1.1 200 OK\r\n"[..],
            &b"x-more: aaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n"[..],
        ),
        (b"HTTP/1.1 200 OK\r\nx-long: ", &[b'a'; 4096]),
    ] {
        let error = error(run(&http(never_stops(begin, again)), LONG));
        assert!(matches!(error, ProbeError::Garbage { .. }), "{error:?}");
    }
    assert!(start.elapsed() < LONG);
}

#[test]
fn http_url_that_is_none() {
    for url in [
        "http://",
        "http://127.0.0.1:99999/",
        "http://[::1/",
        "nonsense",
    ] {
        let probe = Probe::Http(HttpProbe {
            url: url.to_owned(),
        });
        let error = error(run(&probe, LONG));
        assert!(matches!(error, ProbeError::Url { .. }), "{url}: {error:?}");
    }
}

#[test]
fn tcp_is_well_when_it_connects() {
    let at = answers_and_hangs(b"");
    assert_eq!(
        well(run(&Probe::Tcp(socket(at)), LONG)),
        "accepts connections"
    );
}

#[test]
fn redis_answers() {
    let ask = |answer: &'static str| run(&Probe::Redis(socket(answers(answer))), LONG);
    assert_eq!(well(ask("+PONG\r\n")), "PONG");
    assert_eq!(
        well(ask("-NOAUTH Authentication required.\r\n")),
        "alive, answers with the error \"NOAUTH Authentication required.\""
    );
    assert!(well(ask("-DENIED Redis is running in protected mode\r\n")).starts_with("alive"));
    assert!(matches!(
        error(ask("-LOADING Redis is loading the dataset in memory\r\n")),
        ProbeError::NotReady { .. }
    ));
    for garbage in [
        "+OK\r\n",
        "+PONG",
        ":1\r\n",
        "-\r\n",
        "HTTP/1.1 400 Bad\r\n\r\n",
    ] {
        let error = error(ask(garbage));
        assert!(
            matches!(error, ProbeError::Garbage { .. }),
            "{garbage:?}: {error:?}"
        );
    }
}

#[test]
fn redis_answer_may_come_in_pieces() {
    let at = drips("+PONG\r\n");
    assert_eq!(well(run(&Probe::Redis(socket(at)), LONG)), "PONG");
}

#[test]
fn postgres_answers() {
    let ask = |answer: &[u8]| run(&Probe::Postgres(socket(answers(answer))), LONG);
    assert_eq!(well(ask(b"S")), "answers, with TLS");
    assert_eq!(well(ask(b"N")), "answers, without TLS");

    let message = |code: &str, text: &str| {
        let fields = format!("SFATAL\0C{code}\0M{text}\0\0");
        let length = u32::try_from(fields.len() + 4).unwrap().to_be_bytes();
        [b"E", &length[..], fields.as_bytes()].concat()
    };
    assert_eq!(
        well(ask(&message("0A000", "unsupported frontend protocol"))),
        "alive, answers with the error \"0A000 unsupported frontend protocol\""
    );
    let starting = error(ask(&message("57P03", "the database system is starting up")));
    assert!(starting.to_string().contains("starting up"), "{starting}");

    for garbage in [
        &b"HTTP/1.1 400"[..],
        b"SS",
        b"X",
        b"ERR unknown command\r\n",
        b"E\0\0\xff\xffx\0\0",
    ] {
        let error = error(ask(garbage));
        assert!(
            matches!(error, ProbeError::Garbage { .. }),
            "{garbage:?}: {error:?}"
        );
    }
}

#[test]
fn postgres_is_asked_with_the_documented_request() {
    let at = server(|mut stream| {
        let mut request = [0; 8];
        stream.read_exact(&mut request).unwrap();
        let code = u32::from_be_bytes(request[4..].try_into().unwrap());
        let reply: &[u8] = if request[..4] == [0, 0, 0, 8] && code == 80_877_103 {
            b"N"
        } else {
            b"?"
        };
        stream.write_all(reply).unwrap();
    });
    assert_eq!(
        well(run(&Probe::Postgres(socket(at)), LONG)),
        "answers, without TLS"
    );
}

#[test]
fn nothing_listens() {
    for probe in every_protocol(closed_port())
        .into_iter()
        .chain([Probe::Tcp(socket(closed_port()))])
    {
        let error = error(run(&probe, LONG));
        assert!(matches!(error, ProbeError::Refused), "{probe:?}: {error:?}");
    }
}

#[test]
fn a_server_that_hangs_costs_the_time_out() {
    for probe in every_protocol(answers_and_hangs(b"")) {
        times_out(&probe);
    }
}

#[test]
fn a_server_that_never_accepts_costs_the_time_out() {
    // The kernel completes the handshake for a listener that never accepts.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    for probe in every_protocol(listener.local_addr().unwrap()) {
        times_out(&probe);
    }
}

#[test]
fn a_server_that_drips_costs_the_time_out_in_all() {
    // Each byte comes in time; the whole answer doesn't.
    times_out(&http(drips(
        "HTTP/1.1 200 OK\r\nx-slow: aaaaaaaaaaaaaaaaaaaaaa\r\n\r\n",
    )));
    times_out(&Probe::Redis(socket(drips("-".repeat(100)))));
    times_out(&Probe::Postgres(socket(drips("E".repeat(100)))));
}

#[test]
fn a_server_that_closes_at_once() {
    for probe in every_protocol(server(drop)) {
        let error = error(run(&probe, LONG));
        assert!(
            matches!(error, ProbeError::Closed | ProbeError::Garbage { .. }),
            "{probe:?}: {error:?}"
        );
    }
}

#[test]
fn an_endless_stream_of_garbage_is_cut() {
    let start = Instant::now();
    for probe in every_protocol(never_stops(b"", &[0xff; 16384])) {
        let error = error(run(&probe, LONG));
        assert!(
            matches!(error, ProbeError::Garbage { .. }),
            "{probe:?}: {error:?}"
        );
        assert!(error.to_string().len() < 250, "{error}");
    }
    for first in [b"+", b"-"] {
        let at = never_stops(first, &[b'a'; 16384]);
        let error = error(run(&Probe::Redis(socket(at)), LONG));
        assert!(matches!(error, ProbeError::Garbage { .. }), "{error:?}");
    }
    assert!(start.elapsed() < LONG);
}

#[test]
fn all_run_at_once_and_keep_their_order() {
    let slow = |millis: u64| {
        server(move |mut stream| {
            read_some(&mut stream);
            thread::sleep(Duration::from_millis(millis));
            drop(stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"));
        })
    };
    let mut probes: Vec<Probe> = (0..12).map(|_| http(slow(400))).collect();
    probes[3] = http(closed_port());
    let start = Instant::now();
    let outcomes = run_all(&probes.iter().collect::<Vec<_>>(), LONG);
    // One after another they would take 4.4 s.
    assert!(start.elapsed() < Duration::from_secs(3));
    for (at, outcome) in outcomes.into_iter().enumerate() {
        assert_eq!(outcome.result.is_ok(), at != 3, "{at}");
    }
}

fn asked(address: SocketAddr, headers: &[(&str, &str)], most: usize) -> Result<Answer, ProbeError> {
    let url = format!("http://{address}/x");
    let request = Request {
        method: Method::Get,
        url: &url,
        headers,
        body: &[],
    };
    exchange(&request, SHORT, most)
}

#[test]
fn a_request_carries_its_headers_and_body_and_brings_the_answer_back() {
    let (sender, receiver) = std::sync::mpsc::channel();
    let address = server(move |mut stream| {
        let mut bytes = Vec::new();
        let mut buffer = [0; 4096];
        while !bytes.ends_with(b"the body") {
            let count = stream.read(&mut buffer).unwrap();
            bytes.extend(&buffer[..count]);
        }
        drop(sender.send(String::from_utf8(bytes).unwrap()));
        drop(stream.write_all(b"HTTP/1.1 409 Conflict\r\ncontent-length: 4\r\n\r\ntold"));
    });
    let url = format!("http://{address}/a/b");
    let request = Request {
        method: Method::Put,
        url: &url,
        headers: &[("api-key", "sesame"), ("content-type", "text/plain")],
        body: b"the body",
    };
    let answer = exchange(&request, LONG, 4).unwrap();
    assert_eq!((answer.status, answer.body.as_slice()), (409, &b"told"[..]));
    let seen = receiver.recv().unwrap().to_ascii_lowercase();
    assert!(seen.starts_with("put /a/b http/1.1\r\n"), "{seen}");
    for header in [
        "api-key: sesame",
        "content-type: text/plain",
        "content-length: 8",
    ] {
        assert!(seen.contains(&format!("\r\n{header}\r\n")), "{seen}");
    }
}

#[test]
fn answers_are_bounded_in_size_and_time() {
    let body = |count: usize| {
        let text = "x".repeat(count);
        answers(format!(
            "HTTP/1.1 200 OK\r\ncontent-length: {count}\r\n\r\n{text}"
        ))
    };
    assert_eq!(asked(body(1024), &[], 1024).unwrap().body.len(), 1024);
    for address in [
        body(1025),
        never_stops(b"HTTP/1.1 200 OK\r\n\r\n", &[b'x'; 4096]),
    ] {
        let message = asked(address, &[], 1024).unwrap_err().to_string();
        assert!(message.contains("a body of more than 1 KiB"), "{message}");
    }
    for address in [
        server(|_| thread::sleep(Duration::from_mins(1))),
        answers_and_hangs(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nxxx"),
        drips("HTTP/1.1 200 OK\r\ncontent-length: 900\r\n\r\nxxx".to_owned() + &"x".repeat(897)),
    ] {
        let start = Instant::now();
        let error = asked(address, &[], 1024).unwrap_err();
        assert!(matches!(error, ProbeError::TimedOut { .. }), "{error}");
        assert!(start.elapsed() < SHORT + SLACK);
    }
    // Less than was promised.
    let cut = asked(
        answers("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nxxx"),
        &[],
        1024,
    );
    assert!(matches!(cut, Err(ProbeError::Closed)), "{cut:?}");
    assert!(matches!(
        asked(closed_port(), &[], 1),
        Err(ProbeError::Refused)
    ));
    // Not followed: the body is the answer of who was asked.
    let moved = "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n";
    assert_eq!(asked(answers(moved), &[], 1).unwrap().status, 302);
}

#[test]
fn no_error_holds_a_header() {
    let error = asked(answers("garbage"), &[("api-key", "sesame\nopen")], 1).unwrap_err();
    assert!(!error.to_string().contains("sesame"), "{error}");
}
