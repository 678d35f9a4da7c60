//! Any bytes as what an HTTP server answers: an answer or an error on one printable line.
#![no_main]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, OnceLock};
use std::thread;
use std::time::Duration;

use aistack_machine::probe::{Method, Request, exchange};
use libfuzzer_sys::fuzz_target;

/// A server that answers each connection with the next bytes it was given.
static SERVER: OnceLock<(SocketAddr, Mutex<Sender<Vec<u8>>>)> = OnceLock::new();

fuzz_target!(|bytes: &[u8]| {
    let (address, answers) = SERVER.get_or_init(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, receiver) = channel::<Vec<u8>>();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let answer = receiver.recv().unwrap();
                let _ = stream.read(&mut [0; 4096]);
                let _ = stream.write_all(&answer);
            }
        });
        (address, Mutex::new(sender))
    });
    answers.lock().unwrap().send(bytes.to_vec()).unwrap();
    let url = format!("http://{address}/");
    let request = Request {
        method: Method::Get,
        url: &url,
        headers: &[],
        body: b"",
    };
    match exchange(&request, Duration::from_secs(2), 64 * 1024) {
        Ok(answer) => assert!(answer.body.len() <= 64 * 1024),
        Err(error) => {
            let text = error.to_string();
            assert!(!text.contains(aistack_machine::text::is_hidden), "{text:?}");
        }
    }
});
