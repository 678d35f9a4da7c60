//! `aistack ask`, `generate`, `review`, `chat` and the shell functions, against servers
//! that behave and servers that don't.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod fakes;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use fakes::{Machine, closed_port, have, outcome, service, skip, stack};
use serde_json::json;

/// The bodies of the questions that came.
type Asked = Arc<Mutex<Vec<String>>>;

/// A server with one model; `answer` writes what comes after the head of an answer.
fn serve(
    answer: impl Fn(&mut TcpStream, usize) -> std::io::Result<()> + Send + Sync + 'static,
) -> (u16, Asked) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let asked = Asked::default();
    let kept = Arc::clone(&asked);
    let answer = Arc::new(answer);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, kept, answer) =
                (stream.unwrap(), Arc::clone(&kept), Arc::clone(&answer));
            thread::spawn(move || drop(turn(&mut stream, &kept, &*answer)));
        }
    });
    (port, asked)
}

fn turn(
    stream: &mut TcpStream,
    asked: &Asked,
    answer: &dyn Fn(&mut TcpStream, usize) -> std::io::Result<()>,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut head = String::new();
    while reader.read_line(&mut head)? > 2 {}
    let length = head
        .to_lowercase()
        .split_once("content-length: ")
        .and_then(|(_, rest)| rest.lines().next()?.parse().ok())
        .unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n")?;
    if head.starts_with("GET") {
        return stream.write_all(br#"{"data":[{"id":"tiny"}]}"#);
    }
    let count = {
        let mut asked = asked.lock().unwrap();
        asked.push(String::from_utf8(body).unwrap());
        asked.len()
    };
    answer(stream, count)
}

/// A piece of a stream.
fn piece(text: &str) -> Vec<u8> {
    let chunk = json!({ "choices": [{ "delta": { "content": text } }] });
    format!("data: {chunk}\n\n").into_bytes()
}

/// A server that says this, whole.
fn says(pieces: &'static [&'static str]) -> (u16, Asked) {
    serve(move |stream, _| {
        for text in pieces {
            stream.write_all(&piece(text))?;
        }
        stream.write_all(b"data: [DONE]\n\n")
    })
}

fn at(port: u16, arguments: &[&str]) -> (i32, String, String) {
    let machine = Machine::new();
    let url = format!("http://127.0.0.1:{port}/v1");
    let mut words = arguments.to_vec();
    words.extend(["--endpoint", &url]);
    outcome(machine.aistack(&words))
}

#[test]
fn an_answer_comes_as_text_and_nothing_else() {
    let (port, asked) = says(&["Hel", "lo\u{1b}[2J\u{1b}]0;title\u{7}", "\u{202e}!"]);
    let (code, out, err) = at(port, &["ask", "who", "are", "you"]);
    assert_eq!((code, out.as_str()), (0, "Hello[2J]0;title!\n"), "{err}");
    assert!(asked.lock().unwrap()[0].contains("who are you"));
    assert!(asked.lock().unwrap()[0].contains("\"model\":\"tiny\""));
}

#[test]
fn an_answer_in_one_piece_and_bytes_that_are_no_text_do_as_well() {
    let (port, _) = serve(|stream, _| {
        stream.write_all(b"{\"choices\":[{\"message\":{\"content\":\"a\xff\xfeb\"}}]}")
    });
    let (code, out, err) = at(port, &["ask", "x"]);
    assert_eq!(code, 0, "{err}");
    assert_eq!(out, "a\u{fffd}\u{fffd}b\n");
}

#[test]
fn hostile_answers_end_in_one_line_and_in_time() {
    let start = Instant::now();
    let servers: [(u16, &str); 5] = [
        // No end.
        (
            serve(|stream, _| {
                loop {
                    stream.write_all(&piece(&"x".repeat(4000)))?;
                }
            })
            .0,
            "was cut off",
        ),
        // A line of 100 MB.
        (
            serve(|stream, _| {
                stream.write_all(b"data: {\"")?;
                for _ in 0..100 {
                    stream.write_all(&vec![b'x'; 1_000_000])?;
                }
                Ok(())
            })
            .0,
            "line without an end",
        ),
        (
            serve(|stream, _| stream.write_all(b"<html>\x1b[31mhello")).0,
            "no answer of a model",
        ),
        (serve(|_, _| Ok(())).0, "without a word"),
        (
            serve(|stream, _| stream.write_all(b"data: {\"error\":{\"message\":\"too long\"}}\n"))
                .0,
            "too long",
        ),
    ];
    for (port, words) in servers {
        let (code, out, err) = at(port, &["ask", "x"]);
        assert_eq!(code, 1, "{words}: {err}");
        assert!(err.contains(words), "{words}: {err}");
        assert!(!err.contains('\x1b') && err.lines().count() == 1, "{err:?}");
        assert!(out.len() < 300_000);
    }
    assert!(start.elapsed() < Duration::from_mins(1));
}

#[test]
fn a_server_that_says_nothing_or_drips_costs_the_time_out() {
    for drip in [false, true] {
        let (port, _) = serve(move |stream, _| {
            loop {
                thread::sleep(Duration::from_millis(50));
                if drip {
                    stream.write_all(b":")?;
                }
            }
        });
        let start = Instant::now();
        let (code, _, err) = at(port, &["ask", "x", "--timeout", "1"]);
        assert_eq!(code, 1);
        assert!(err.contains("does not answer"), "{err}");
        assert!(start.elapsed() < Duration::from_secs(10));
    }
}

#[test]
fn without_an_endpoint_there_is_one_line() {
    for command in [&["ask", "x"][..], &["generate", "x"], &["chat"]] {
        let (code, out, err) = at(closed_port(), command);
        assert_eq!((code, out.as_str()), (1, ""));
        assert_eq!(err.lines().count(), 1, "{err}");
    }
    let machine = Machine::new();
    let mut command = machine.aistack(&["ask", "--check"]);
    command.env_remove("AISTACK_ENDPOINT");
    let (code, _, err) = outcome(command);
    assert_eq!(code, 1);
    assert!(err.contains("no model answers"), "{err}");
}

#[test]
fn the_declared_engine_is_asked_before_the_variable() {
    let (declared, _) = says(&["declared"]);
    let (named, _) = says(&["named"]);
    let machine = Machine::new();
    let mut engine = service("vllm");
    engine["engine"] = json!({ "url": format!("http://127.0.0.1:{declared}/v1"), "rank": 3 });
    let mut manifest = stack(&[("vllm", engine)]);
    manifest["scope"] = json!("user");
    manifest["user"] = json!(fakes::user());
    machine.write("home/.config/aistack/stack.json", &manifest.to_string());
    let ask = || {
        let mut command = machine.aistack(&["ask", "x"]);
        command.env("AISTACK_ENDPOINT", format!("http://127.0.0.1:{named}/v1/"));
        outcome(command)
    };
    assert_eq!(ask().1, "declared\n");
    let closed = manifest
        .to_string()
        .replace(&declared.to_string(), &closed_port().to_string());
    machine.write("home/.config/aistack/stack.json", &closed);
    assert_eq!(ask().1, "named\n");
}

#[test]
fn nix_that_does_not_parse_goes_back_with_the_error_and_is_never_printed() {
    let (port, asked) = serve(|stream, count| {
        let text = if count < 3 {
            "```nix\n{ a = ; }\n```"
        } else {
            "Here:\n```nix\n{ a = 1; }\n```\nDone."
        };
        stream.write_all(&piece(text))
    });
    let (code, out, _) = at(port, &["generate", "set a"]);
    assert_eq!((code, out.as_str()), (0, "{ a = 1; }\n"));
    let questions = asked.lock().unwrap().clone();
    assert_eq!(questions.len(), 3);
    assert!(questions[1].contains("does not parse as Nix"));
    // The task and the last try alone.
    assert_eq!(questions[2].matches("does not parse as Nix").count(), 1);
    assert!(questions[2].contains("set a"));

    let (port, asked) = says(&["Sorry, I cannot."]);
    let (code, out, err) = at(port, &["generate", "x"]);
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(
        err.contains("no Nix that is any good") && err.contains("does not parse"),
        "{err}"
    );
    assert_eq!(asked.lock().unwrap().len(), 3);
}

#[test]
fn nix_that_does_not_evaluate_goes_back_where_nix_is_at_hand() {
    let (port, asked) = serve(|stream, count| {
        stream.write_all(&piece(if count < 2 {
            "{ a = b; }"
        } else {
            "{ a = 1; }"
        }))
    });
    let url = format!("http://127.0.0.1:{port}/v1");
    let machine = Machine::new();
    let generate =
        || outcome(machine.aistack(&["generate", "--evaluate", "set a", "--endpoint", &url]));
    machine.program("fake-bin/nix", "nix");
    let (code, out, err) = generate();
    assert_eq!((code, out.as_str()), (0, "{ a = 1; }\n"), "{err}");
    assert!(
        err.contains("does not evaluate: undefined variable"),
        "{err}"
    );
    assert!(asked.lock().unwrap()[1].contains("That does not evaluate: undefined variable"));
    // It has no file, no address and no store to build in.
    for line in machine.calls().lines() {
        for bound in ["--store dummy://", "restrict-eval true", "pure-eval true"] {
            assert!(line.contains(bound), "{line}");
        }
    }

    asked.lock().unwrap().clear();
    machine.write("nix-broken", "");
    let (code, out, err) = generate();
    assert_eq!((code, out.as_str()), (0, "{ a = b; }\n"));
    assert!(
        err.contains("parsed and not evaluated") && err.contains("it is broken"),
        "{err}"
    );
}

#[test]
fn a_file_with_a_secret_is_not_sent() {
    let (port, asked) = says(&["fine"]);
    let machine = Machine::new();
    let secret = machine.write("a.nix", "{\n  password = \"hunter22\";\n}\n");
    let (code, _, err) = at(port, &["review", secret.to_str().unwrap()]);
    assert_eq!(code, 1);
    assert!(err.contains("line 2") && err.contains("not sent"), "{err}");
    assert!(!err.contains("hunter22"));
    assert!(asked.lock().unwrap().is_empty());
    let plain = machine.write("b.nix", "{ services.x.enable = true; }\n");
    assert_eq!(at(port, &["review", plain.to_str().unwrap()]).0, 0);
    assert!(asked.lock().unwrap()[0].contains("services.x.enable"));
    let large = machine.write("c.nix", &" ".repeat(70_000));
    assert_eq!(at(port, &["review", large.to_str().unwrap()]).0, 2);
}

#[test]
fn a_chat_remembers_and_ends_with_its_input() {
    let (port, asked) = says(&["yes"]);
    let machine = Machine::new();
    let url = format!("http://127.0.0.1:{port}/v1");
    let mut command = machine.aistack(&["chat", "--endpoint", &url]);
    command.write_stdin("one\n\ntwo\nexit\nthree\n");
    let (code, out, err) = outcome(command);
    assert_eq!((code, out.as_str()), (0, "yes\nyes\n"), "{err}");
    let questions = asked.lock().unwrap().clone();
    assert_eq!(questions.len(), 2);
    assert!(questions[1].contains("one") && questions[1].contains("two"));
}

/// Sources the functions under a shell and runs a script.
fn shell(machine: &Machine, shell: &str, script: &str) -> (i32, String, String) {
    let functions = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../share/aistack.sh");
    let mut command = assert_cmd::Command::new(shell);
    command
        .args(["-euc", &format!(". '{}'\n{script}", functions.display())])
        .env("AISTACK", env!("CARGO_BIN_EXE_aistack"))
        .env("HOME", machine.path("home"))
        .env("AI_OPTIMIZER_DATA_ROOT", machine.path("data-root"))
        .env("AI_OPTIMIZER_CONFIG_ROOT", machine.path("config-root"))
        .env("AI_OPTIMIZER_DIR", machine.path("AI-Optimizer"))
        .env_remove("XDG_CONFIG_HOME")
        .env_remove("AISTACK_ENDPOINT");
    outcome(command)
}

#[test]
fn each_old_function_is_its_command_with_its_arguments() {
    let commands = [
        ("check_docker_podman_ready", "prep check-runtime"),
        ("check_nvidia_container_toolkit", "prep check-gpu-toolkit"),
        (
            "prepare_shared_data_directories",
            "prep prepare-directories",
        ),
        ("detect_port_conflicts", "prep detect-port-conflicts"),
        ("ensure_docker_network_ready", "prep ensure-network"),
        ("save_integration_status", "prep save-status"),
        ("get_ai_optimizer_status", "prep status"),
        ("show_ai_optimizer_info", "prep info"),
        ("ai_generate_nix_config", "generate"),
        ("ai_review_config", "review"),
        ("ai_chat", "ask"),
        ("ai_interactive_help", "chat"),
    ];
    let machine = Machine::new();
    machine.program("fake-bin/arguments", "arguments");
    let program = machine.path("fake-bin/arguments");
    for name in ["bash", "dash"].into_iter().filter(|name| have(name)) {
        for (function, command) in commands {
            let script = format!("AISTACK={}\n{function} a 'b  c' '*'", program.display());
            let (code, out, err) = shell(&machine, name, &script);
            let wanted = format!("{}\na\nb  c\n*\n", command.replace(' ', "\n"));
            // The program's own verdict is the function's.
            assert_eq!((code, out), (3, wanted), "{name} {function}: {err}");
        }
    }
}

#[test]
fn the_old_functions_are_there_and_do_no_harm_without_anything() {
    for name in ["bash", "dash"] {
        if !have(name) {
            skip(&format!(
                "no {name} here, so that the functions were not tried in it"
            ));
            continue;
        }
        let machine = Machine::new();
        let (code, out, err) = shell(
            &machine,
            name,
            "for f in check_docker_podman_ready check_nvidia_container_toolkit \
             prepare_shared_data_directories detect_port_conflicts ensure_docker_network_ready \
             save_integration_status check_ai_optimizer_installed get_ai_optimizer_status \
             show_ai_optimizer_info ai_check_availability ai_generate_nix_config \
             ai_review_config ai_chat ai_interactive_help; do\n\
             case $(command -V $f) in *function*) ;; *) echo \"$f is missing\"; exit 9 ;; esac\ndone\n\
             get_ai_optimizer_status\n\
             if check_ai_optimizer_installed >/dev/null; then exit 8; fi\n\
             if ai_check_availability; then exit 7; fi\n\
             ai_chat hello\nai_generate_nix_config x\nai_interactive_help\n\
             prepare_shared_data_directories >/dev/null\necho end",
        );
        assert_eq!(
            (code, out.as_str()),
            (0, "not_installed\nend\n"),
            "{name}: {err}"
        );
        assert_eq!(err.matches("skipped").count(), 3, "{err}");
        assert_eq!(err.lines().count(), 3, "{err}");
        assert!(machine.path("data-root/backups").is_dir());

        machine.write("AI-Optimizer/compose.yaml", "services: {}\n");
        let (_, out, _) = shell(
            &machine,
            name,
            "check_ai_optimizer_installed >/dev/null && echo yes",
        );
        assert_eq!(out, "yes\n");
        let (port, _) = says(&["hello"]);
        let ask = format!(
            "AISTACK_ENDPOINT=http://127.0.0.1:{port}/v1; export AISTACK_ENDPOINT\n\
             ai_check_availability && ai_chat hi"
        );
        assert_eq!(shell(&machine, name, &ask).1, "hello\n");
        // Without the program as well.
        let (code, out, _) = shell(
            &machine,
            name,
            "AISTACK=/nowhere/aistack\nget_ai_optimizer_status",
        );
        assert_eq!((code, out.as_str()), (0, "not_installed\n"));
    }
}
