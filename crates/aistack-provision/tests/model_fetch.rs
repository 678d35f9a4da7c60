//! Fetching with the real curl, from servers that behave and from those that don't.
//!
//! The servers are real sockets on 127.0.0.1 with a port of the kernel's choice.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::Duration;

use aistack_provision::models::{FetchError, Fetched, MIB, Settings, State, fetch, state, verify};
use aistack_schema::Model;
use sha2::{Digest, Sha256};

/// Three MiB that no compression and no repetition makes look like others.
fn content() -> &'static [u8] {
    static CONTENT: OnceLock<Vec<u8>> = OnceLock::new();
    CONTENT.get_or_init(|| {
        let mut value: u32 = 1;
        let next = || {
            value ^= value << 13;
            value ^= value >> 17;
            value ^= value << 5;
            value.to_le_bytes()[0]
        };
        std::iter::repeat_with(next)
            .take(3 * usize::try_from(MIB).unwrap())
            .collect()
    })
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

/// Ends a test where there is no curl, and says so. Not by a macro of the standard
/// library's, whose output the test harness keeps to itself.
macro_rules! needs_curl {
    () => {
        let path = std::env::var_os("PATH").unwrap_or_default();
        if !std::env::split_paths(&path).any(|directory| directory.join("curl").exists()) {
            drop(writeln!(
                std::io::stderr(),
                "\nSKIP models with the real curl: it is not installed"
            ));
            return;
        }
    };
}

/// One request: its number (from 0, HEAD requests not counted) and its head.
struct Request {
    number: usize,
    head: String,
}

impl Request {
    /// The byte that a range begins at; none without a range.
    fn from(&self) -> Option<usize> {
        let line = self
            .head
            .lines()
            .find(|line| line.to_ascii_lowercase().starts_with("range:"))?;
        line.split("bytes=")
            .nth(1)?
            .trim_end()
            .trim_end_matches('-')
            .parse()
            .ok()
    }
}

struct Server {
    address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// Answers each GET with `behave`, on a thread of its own; a HEAD with 405.
    fn new(behave: impl Fn(&Request, &mut TcpStream) + Send + Sync + 'static) -> Self {
        Self::with_size(None, behave)
    }

    /// Likewise, and tells a size when it is asked for it with HEAD.
    fn with_size(
        size: Option<u64>,
        behave: impl Fn(&Request, &mut TcpStream) + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let heads = Arc::new(Mutex::new(Vec::<String>::new()));
        let (behave, seen) = (Arc::new(behave), Arc::clone(&heads));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (mut stream, behave, seen) =
                    (stream.unwrap(), Arc::clone(&behave), Arc::clone(&seen));
                thread::spawn(move || {
                    let mut head = Vec::new();
                    let mut byte = [0];
                    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) == 1 {
                        head.push(byte[0]);
                    }
                    let head = String::from_utf8(head).unwrap();
                    if head.starts_with("HEAD") {
                        let (status, length) = match size {
                            Some(size) => ("200 OK", size),
                            None => ("405 No", 0),
                        };
                        let headers = format!("content-length: {length}\r\n");
                        send(&mut stream, status, &headers, b"");
                        return;
                    }
                    let number = {
                        let mut seen = seen.lock().unwrap();
                        seen.push(head.clone());
                        seen.len() - 1
                    };
                    behave(&Request { number, head }, &mut stream);
                });
            }
        });
        Self { address, heads }
    }

    fn requests(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

fn send(stream: &mut TcpStream, status: &str, headers: &str, body: &[u8]) {
    let head = format!("HTTP/1.1 {status}\r\nconnection: close\r\n{headers}\r\n");
    // A client that has gone is the test's business.
    drop(stream.write_all(head.as_bytes()));
    drop(stream.write_all(body));
}

/// The whole content, or the range that was asked for; no more than `most` bytes
/// of it before the connection is cut.
fn ranges(request: &Request, stream: &mut TcpStream, content: &[u8], most: usize) {
    let total = content.len();
    let (status, headers, from) = match request.from() {
        None => ("200 OK", String::new(), 0),
        Some(from) if from >= total => {
            let headers = format!("content-range: bytes */{total}\r\ncontent-length: 0\r\n");
            return send(stream, "416 Range Not Satisfiable", &headers, b"");
        }
        Some(from) => (
            "206 Partial Content",
            format!("content-range: bytes {from}-{}/{total}\r\n", total - 1),
            from,
        ),
    };
    let rest = &content[from..];
    let headers = format!("{headers}content-length: {}\r\n", rest.len());
    send(stream, status, &headers, &rest[..rest.len().min(most)]);
}

/// The whole content whatever was asked for, cut after `most` bytes.
fn no_ranges(stream: &mut TcpStream, content: &[u8], most: usize) {
    let headers = format!("content-length: {}\r\n", content.len());
    send(
        stream,
        "200 OK",
        &headers,
        &content[..content.len().min(most)],
    );
}

struct Place {
    directory: tempfile::TempDir,
    model: Model,
}

impl Place {
    fn new(server: SocketAddr) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let model = Model {
            url: format!("http://{server}/m.gguf"),
            sha256: sha256(content()),
            size_mib: None,
            path: directory.path().join("m.gguf"),
            unit: "local-ai-model-m.service".to_owned(),
            option: "services.aiStack.models.m".to_owned(),
            token_file: None,
        };
        Self { directory, model }
    }

    fn nowhere() -> Self {
        // It was free a moment ago.
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        Self::new(free.local_addr().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn fetch(&self) -> (Result<Fetched, FetchError>, Vec<String>) {
        let mut said = Vec::new();
        let result = fetch("m", &self.model, &settings(), &mut |line| {
            said.push(line.to_owned());
        });
        (result, said)
    }

    #[track_caller]
    fn assert_fetched(&self) -> Vec<String> {
        let (result, said) = self.fetch();
        assert_eq!(result.unwrap(), Fetched::Downloaded, "{said:#?}");
        assert!(fs::read(&self.model.path).unwrap() == content(), "content");
        assert_eq!(self.model.path.metadata().unwrap().mode() & 0o7777, 0o644);
        assert_eq!(self.names(), [".m.gguf.sha256", "m.gguf"]);
        said
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.directory.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

fn settings() -> Settings {
    Settings {
        attempts: 3,
        wait: Duration::from_millis(10),
        connect: Duration::from_secs(5),
        stall: Duration::from_secs(1),
        patience: Duration::from_secs(5),
        path: std::env::var_os("PATH"),
    }
}

const HALF: usize = 1_500_000;

#[test]
fn a_model_is_fetched_once_and_then_known_without_reading_it() {
    needs_curl!();
    let server = Server::new(|request, stream| ranges(request, stream, content(), usize::MAX));
    let place = Place::new(server.address);
    assert_eq!(state("m", &place.model), State::Missing);
    place.assert_fetched();
    let present = State::Present { verified: true };
    assert_eq!(state("m", &place.model), present);
    assert_eq!(verify("m", &place.model), present);
    assert_eq!(place.fetch().0.unwrap(), Fetched::Known);
    assert_eq!(server.requests().len(), 1);

    // Changed behind its back: read again, and not touched.
    let changed = b"something else";
    fs::write(&place.model.path, changed).unwrap();
    let error = place.fetch().0.unwrap_err().to_string();
    assert!(error.contains(&place.model.sha256), "{error}");
    assert!(error.contains(&sha256(changed)), "{error}");
    assert_eq!(fs::read(&place.model.path).unwrap(), changed);
    // And that is remembered as well.
    let seen = sha256(changed);
    assert_eq!(state("m", &place.model), State::Wrong { seen });
}

#[test]
fn a_copy_made_by_hand_is_taken_by_its_hash() {
    let place = Place::nowhere();
    fs::write(&place.model.path, content()).unwrap();
    assert_eq!(state("m", &place.model), State::Present { verified: false });
    assert_eq!(place.fetch().0.unwrap(), Fetched::Verified);
    assert_eq!(place.fetch().0.unwrap(), Fetched::Known);
}

#[test]
fn what_was_interrupted_goes_on_from_there() {
    needs_curl!();
    let server = Server::new(|request, stream| {
        let most = if request.number == 0 {
            HALF
        } else {
            usize::MAX
        };
        ranges(request, stream, content(), most);
    });
    let place = Place::new(server.address);
    let said = place.assert_fetched();
    assert!(
        said.iter().any(|line| line.contains("next attempt")),
        "{said:#?}"
    );
    let requests = server.requests();
    assert_eq!(requests.len(), 2);
    assert!(
        requests[1].contains(&format!("Range: bytes={HALF}-")),
        "{requests:?}"
    );
}

#[test]
fn what_an_earlier_process_left_goes_on_from_there() {
    needs_curl!();
    let server = Server::new(|request, stream| ranges(request, stream, content(), usize::MAX));
    let place = Place::new(server.address);
    fs::write(place.path(".m.partial"), &content()[..HALF]).unwrap();
    let bytes = HALF as u64;
    assert_eq!(state("m", &place.model), State::Partial { bytes });
    place.assert_fetched();
    assert!(server.requests()[0].contains(&format!("Range: bytes={HALF}-")));
}

#[test]
fn a_partial_file_that_is_whole_needs_no_server() {
    let place = Place::nowhere();
    fs::write(place.path(".m.partial"), content()).unwrap();
    place.assert_fetched();
}

#[test]
fn a_server_without_ranges_is_asked_for_all_of_it() {
    needs_curl!();
    let server = Server::new(|_, stream| no_ranges(stream, content(), usize::MAX));
    let place = Place::new(server.address);
    fs::write(place.path(".m.partial"), &content()[..HALF]).unwrap();
    let said = place.assert_fetched();
    assert!(
        said.iter().any(|line| line.contains("starting anew")),
        "{said:#?}"
    );
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn a_server_without_ranges_that_always_cuts_is_given_up() {
    needs_curl!();
    let server = Server::new(|_, stream| no_ranges(stream, content(), HALF));
    let place = Place::new(server.address);
    let error = place.fetch().0.unwrap_err().to_string();
    assert!(
        error.contains("3 attempts in a row brought nothing new"),
        "{error}"
    );
    assert!(error.contains("1 MiB are kept"), "{error}");
    assert_eq!(place.names(), [".m.partial"]);
}

#[test]
fn attempts_that_bring_something_are_not_counted() {
    needs_curl!();
    let server = Server::new(|request, stream| ranges(request, stream, content(), 400_000));
    let place = Place::new(server.address);
    place.assert_fetched();
    assert_eq!(server.requests().len(), 8);
}

#[test]
fn leftovers_of_another_file_do_not_spoil_it() {
    needs_curl!();
    let server = Server::new(|request, stream| ranges(request, stream, content(), usize::MAX));
    for (length, words) in [(HALF, "once more"), (4_000_000, "starting anew")] {
        let place = Place::new(server.address);
        fs::write(place.path(".m.partial"), vec![7; length]).unwrap();
        let said = place.assert_fetched();
        assert!(said.iter().any(|line| line.contains(words)), "{said:#?}");
    }
}

#[test]
fn wrong_content_is_removed_and_both_hashes_are_named() {
    needs_curl!();
    let other = vec![1; 2_000_000];
    let seen = sha256(&other);
    let server = Server::new(move |request, stream| ranges(request, stream, &other, usize::MAX));
    let place = Place::new(server.address);
    let error = place.fetch().0.unwrap_err().to_string();
    assert!(
        error.contains(&seen) && error.contains(&place.model.sha256),
        "{error}"
    );
    assert!(error.contains("2000000 bytes"), "{error}");
    assert_eq!(place.names(), [""; 0]);
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn a_length_that_is_not_kept_is_no_model() {
    needs_curl!();
    // Says less than it has: what comes is cut, and has another hash.
    let server = Server::new(|_, stream| {
        send(stream, "200 OK", "content-length: 1000\r\n", content());
    });
    let place = Place::new(server.address);
    let error = place.fetch().0.unwrap_err();
    assert!(
        matches!(error, FetchError::Mismatch { bytes: 1000, .. }),
        "{error}"
    );

    // Says more than it has: waits for the rest in vain.
    let server = Server::new(|request, stream| {
        // The right beginning, but nothing after it.
        let all = &content()[..2_000_000];
        let from = request.from().unwrap_or(0);
        let headers = format!(
            "content-length: {}\r\ncontent-range: bytes {from}-3999999/4000000\r\n",
            4_000_000 - from
        );
        let status = if from == 0 {
            "200 OK"
        } else {
            "206 Partial Content"
        };
        send(stream, status, &headers, &all[from..]);
    });
    let place = Place::new(server.address);
    let error = place.fetch().0.unwrap_err();
    assert!(
        matches!(error, FetchError::GaveUp { kept: 2, .. }),
        "{error}"
    );
}

#[test]
fn a_refusal_is_not_tried_again_and_leaves_nothing() {
    needs_curl!();
    for (status, hint) in [
        ("404 Not Found", "correct services.aiStack.models.m.url"),
        ("401 Unauthorized", "services.aiStack.models.m.tokenFile"),
    ] {
        let server = Server::new(move |_, stream| {
            send(stream, status, "content-length: 4\r\n", b"page");
        });
        let place = Place::new(server.address);
        let error = place.fetch().0.unwrap_err().to_string();
        assert!(
            error.contains(&status[..3]) && error.contains(hint),
            "{error}"
        );
        assert_eq!(place.names(), [""; 0]);
        assert_eq!(server.requests().len(), 1);
    }
}

#[test]
fn a_busy_server_is_asked_again_when_it_says_so() {
    needs_curl!();
    let server = Server::new(|request, stream| {
        if request.number == 0 {
            let headers = "retry-after: 1\r\ncontent-length: 0\r\n";
            send(stream, "503 Service Unavailable", headers, b"");
        } else {
            ranges(request, stream, content(), usize::MAX);
        }
    });
    let place = Place::new(server.address);
    let said = place.assert_fetched();
    assert!(
        said.iter()
            .any(|line| line.ends_with("next attempt in 1 s")),
        "{said:#?}"
    );
}

#[test]
fn a_server_that_stalls_is_left_and_asked_again() {
    needs_curl!();
    let server = Server::new(|request, stream| {
        if request.number == 0 {
            ranges(request, stream, content(), HALF);
            thread::sleep(Duration::from_secs(30));
        } else {
            ranges(request, stream, content(), usize::MAX);
        }
    });
    let place = Place::new(server.address);
    let said = place.assert_fetched();
    assert!(said.iter().any(|line| line.contains("(28)")), "{said:#?}");
}

#[test]
fn nobody_there_is_tried_as_often_as_asked_and_leaves_nothing() {
    needs_curl!();
    let place = Place::nowhere();
    let (result, said) = place.fetch();
    let error = result.unwrap_err().to_string();
    assert!(error.contains("3 attempts"), "{error}");
    assert_eq!(
        said.iter()
            .filter(|line| line.contains("next attempt"))
            .count(),
        2
    );
    assert_eq!(place.names(), [""; 0]);
}

#[test]
fn more_than_was_declared_is_stopped() {
    needs_curl!();
    let server = Server::new(|_, stream| {
        // Without a length, and without an end.
        send(stream, "200 OK", "", b"");
        while stream.write_all(&[0; 8192]).is_ok() {}
    });
    let mut place = Place::new(server.address);
    place.model.size_mib = Some(2);
    let error = place.fetch().0.unwrap_err().to_string();
    assert!(
        error.contains("more than the 2 MiB that are declared"),
        "{error}"
    );
    assert_eq!(place.names(), [""; 0]);
}

#[test]
fn what_cannot_fit_is_not_begun() {
    needs_curl!();
    let server = Server::new(|request, stream| ranges(request, stream, content(), usize::MAX));
    let mut place = Place::new(server.address);
    // An exbibyte.
    place.model.size_mib = Some(1 << 40);
    let error = place.fetch().0.unwrap_err().to_string();
    assert!(
        error.contains("MiB free, and 1099511627776 MiB are still needed"),
        "{error}"
    );
    assert_eq!(server.requests().len(), 0);
    assert_eq!(place.names(), [""; 0]);
}

#[test]
fn the_size_that_a_server_tells_is_looked_at_before_anything_is_fetched() {
    needs_curl!();
    // An exbibyte.
    let server = Server::with_size(Some(1 << 60), |_, _| {});
    let place = Place::new(server.address);
    let error = place.fetch().0.unwrap_err();
    assert!(
        matches!(error, FetchError::NoSpace { needed, .. } if needed == 1 << 40),
        "{error}"
    );
    assert_eq!(server.requests().len(), 0);

    let server = Server::with_size(Some(3 * MIB), |request, stream| {
        ranges(request, stream, content(), usize::MAX);
    });
    let said = Place::new(server.address).assert_fetched();
    assert!(
        said.iter().any(|line| line == "m: 3 of 3 MiB (100 %)"),
        "{said:#?}"
    );
}

#[test]
fn a_token_goes_to_the_server_alone_and_never_to_a_command_line() {
    needs_curl!();
    let other = Server::new(|request, stream| ranges(request, stream, content(), usize::MAX));
    let elsewhere = other.address;
    let server = Server::new(move |_, stream| {
        // While curl runs, its arguments are there for everybody to read.
        for process in fs::read_dir("/proc").unwrap() {
            let path = process.unwrap().path().join("cmdline");
            let line = fs::read(path).unwrap_or_default();
            let line = String::from_utf8_lossy(&line);
            assert!(!line.contains("hf_S3same"), "{line}");
        }
        let headers = format!(
            "location: http://localhost:{}/m\r\ncontent-length: 0\r\n",
            elsewhere.port()
        );
        send(stream, "302 Found", &headers, b"");
    });
    let mut place = Place::new(server.address);
    let secrets = tempfile::tempdir().unwrap();
    let token = secrets.path().join("token");
    place.model.token_file = Some(token.clone());
    let private = |text: &str| {
        fs::write(&token, text).unwrap();
        fs::set_permissions(&token, PermissionsExt::from_mode(0o600)).unwrap();
    };
    private("two words\n");
    assert!(matches!(place.fetch().0, Err(FetchError::NoToken { .. })));
    private("a\"\nurl = \"http://evil/");
    assert!(matches!(place.fetch().0, Err(FetchError::NoToken { .. })));
    assert_eq!(server.requests().len(), 0);

    private("hf_S3same\n");
    place.assert_fetched();
    let asked = server.requests();
    assert!(
        asked[0].contains("Authorization: Bearer hf_S3same\r\n"),
        "{asked:?}"
    );
    assert!(!other.requests()[0].contains("hf_S3same"));

    fs::remove_file(&token).unwrap();
    fs::remove_file(&place.model.path).unwrap();
    let error = place.fetch().0.unwrap_err().to_string();
    assert!(error.contains("models.m.tokenFile"), "{error}");
}

#[test]
fn two_at_once_fetch_it_once() {
    needs_curl!();
    let server = Server::new(|request, stream| {
        thread::sleep(Duration::from_millis(500));
        ranges(request, stream, content(), usize::MAX);
    });
    let place = Place::new(server.address);
    let results: Vec<_> = thread::scope(|scope| {
        let running: Vec<_> = (0..4).map(|_| scope.spawn(|| place.fetch())).collect();
        running
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    let mut downloads = 0;
    for (result, said) in results {
        match result.unwrap() {
            Fetched::Downloaded => downloads += 1,
            Fetched::Known => assert!(said[0].contains("waiting"), "{said:?}"),
            Fetched::Verified => unreachable!("{said:?}"),
        }
    }
    assert_eq!(downloads, 1);
    assert_eq!(server.requests().len(), 1);
    assert_eq!(place.names(), [".m.gguf.sha256", "m.gguf"]);
}

#[test]
fn a_process_that_holds_the_lock_and_brings_nothing_is_named() {
    let place = Place::nowhere();
    let partial = place.path(".m.partial");
    let held = fs::File::create(&partial).unwrap();
    held.lock().unwrap();
    let mut settings = settings();
    settings.patience = Duration::from_millis(300);
    let mut said = Vec::new();
    let error = fetch("m", &place.model, &settings, &mut |line| {
        said.push(line.to_owned());
    })
    .unwrap_err();
    let me = format!("process {}", std::process::id());
    assert!(said[0].contains(&me), "{said:?}");
    assert!(
        matches!(error, FetchError::Lock(_)) && error.to_string().contains(&me),
        "{error}"
    );
}

#[test]
fn another_account_can_neither_lock_a_download_nor_lead_root_elsewhere() {
    use std::os::unix::fs::{PermissionsExt, chown};
    use std::os::unix::process::CommandExt;
    if aistack_machine::users::effective_uid() != 0 {
        eprintln!("\nSKIP only root can act as another account");
        return;
    }
    let server = Server::new(|_, mut stream| {
        // Some of it, and then nothing for a while.
        let _ = std::io::Write::write_all(
            &mut stream,
            b"HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n\r\nsome",
        );
        thread::sleep(Duration::from_secs(3));
    });
    let place = Place::new(server.address);
    fs::set_permissions(place.path(""), fs::Permissions::from_mode(0o755)).unwrap();
    let partial = place.path(".m.partial");
    fs::write(&partial, "so").unwrap();
    fs::set_permissions(&partial, fs::Permissions::from_mode(0o644)).unwrap();
    drop(place.fetch());
    let data = partial.metadata().unwrap();
    assert_eq!(data.permissions().mode() & 0o777, 0o600);
    let attack = std::process::Command::new("flock")
        .args(["--nonblock".as_ref(), partial.as_os_str(), "true".as_ref()])
        .uid(2001)
        .gid(2001)
        .output()
        .unwrap();
    assert!(!attack.status.success(), "{attack:?}");

    // A folder of eve's, who leads root to another one.
    let victim = tempfile::tempdir().unwrap();
    symlink(victim.path(), place.path("link")).unwrap();
    chown(place.path(""), Some(2001), Some(2001)).unwrap();
    let mut through = Place::new(server.address);
    through.model.path = place.path("link/m.gguf");
    let error = through.fetch().0.unwrap_err();
    assert!(matches!(error, FetchError::Unsafe(..)), "{error}");
    assert_eq!(fs::read_dir(victim.path()).unwrap().count(), 0);
}

#[test]
fn what_comes_to_the_target_meanwhile_is_left_alone() {
    needs_curl!();
    let late = Arc::new(Mutex::new(PathBuf::new()));
    let target = Arc::clone(&late);
    let server = Server::new(move |request, stream| {
        fs::write(&*target.lock().unwrap(), "by hand").unwrap();
        ranges(request, stream, content(), usize::MAX);
    });
    let place = Place::new(server.address);
    late.lock().unwrap().clone_from(&place.model.path);
    let error = place.fetch().0.unwrap_err();
    assert!(matches!(error, FetchError::Arrived { .. }), "{error}");
    assert_eq!(fs::read(&place.model.path).unwrap(), b"by hand");
    assert_eq!(place.names(), [".m.partial", "m.gguf"]);
}

#[test]
fn odd_targets_are_named_and_left_as_they_are() {
    let server = Server::new(|request, stream| ranges(request, stream, content(), usize::MAX));
    let place = Place::new(server.address);
    let target = &place.model.path;
    symlink("/nope/m.gguf", target).unwrap();
    let error = place.fetch().0.unwrap_err().to_string();
    assert!(
        error.contains("is a link to /nope/m.gguf, which does not exist"),
        "{error}"
    );
    let why = error;
    assert_eq!(state("m", &place.model), State::Unusable { why });

    // A link to the model is the model.
    let elsewhere = place.path("elsewhere");
    fs::write(&elsewhere, content()).unwrap();
    fs::remove_file(target).unwrap();
    symlink(&elsewhere, target).unwrap();
    assert_eq!(place.fetch().0.unwrap(), Fetched::Verified);
    assert!(target.symlink_metadata().unwrap().is_symlink());

    fs::remove_file(target).unwrap();
    fs::create_dir(target).unwrap();
    assert!(matches!(place.fetch().0, Err(FetchError::NoFile { .. })));
    fs::remove_dir(target).unwrap();

    // Nothing is fetched through a link that somebody laid.
    let victim = place.path("victim");
    fs::write(&victim, "precious").unwrap();
    symlink(&victim, place.path(".m.partial")).unwrap();
    assert!(matches!(
        place.fetch().0,
        Err(FetchError::Unwritable { .. })
    ));
    assert_eq!(fs::read(&victim).unwrap(), b"precious");
    fs::remove_file(&victim).unwrap();
    assert!(matches!(
        place.fetch().0,
        Err(FetchError::Unwritable { .. })
    ));
    assert!(!victim.exists());

    let mut place = Place::new(server.address);
    place.model.path = place.path("mnt/disk/m.gguf");
    let error = place.fetch().0.unwrap_err().to_string();
    assert!(
        error.contains("is missing: is its disk mounted?"),
        "{error}"
    );
    assert_eq!(place.names(), [""; 0]);
    assert_eq!(server.requests().len(), 0);
}

#[test]
fn a_machine_without_curl_says_so() {
    let place = Place::nowhere();
    // The usual places are looked at too, so only where it isn't there at all.
    if [
        "/usr/bin/curl",
        "/bin/curl",
        "/run/current-system/sw/bin/curl",
    ]
    .iter()
    .any(|path| Path::new(path).exists())
    {
        return;
    }
    let mut settings = settings();
    settings.path = None;
    let error = fetch("m", &place.model, &settings, &mut |_| {}).unwrap_err();
    assert!(error.to_string().contains("curl was not found"), "{error}");
}
