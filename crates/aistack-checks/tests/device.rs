//! What is concluded from captured logs, answers and a made `/proc`.
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests fail as tests do"
)]

use std::cell::RefCell;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use aistack_checks::device::{Device, Engine, Machine, Question, Source, ask, llama_cpp, vllm};
use aistack_machine::cgroup::Manager;
use aistack_machine::handles::Handles;
use aistack_machine::nodes::{NodeError, examine};

fn log(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/logs");
    fs::read_to_string(folder.join(name).with_extension("log")).unwrap()
}

fn gpu(device: &Device) -> &str {
    match device {
        Device::Gpu(why) => why,
        other => panic!("{other:?}"),
    }
}

fn cpu(device: &Device) -> &str {
    match device {
        Device::Cpu(why) => why,
        other => panic!("{other:?}"),
    }
}

fn unknown(device: &Device) -> &str {
    match device {
        Device::Unknown(why) => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn engines_are_known_by_their_images() {
    for (image, engine) in [
        ("ghcr.io/ggml-org/llama.cpp", Engine::LlamaCpp),
        ("docker.io/ollama/ollama", Engine::Ollama),
        ("docker.io/vllm/vllm-openai", Engine::Vllm),
        ("docker.io/rocm/vllm", Engine::Vllm),
        ("localhost/my-ollama", Engine::Ollama),
        ("ghcr.io/open-webui/open-webui", Engine::Other),
        ("docker.io/someone/ollamaria", Engine::Other),
    ] {
        assert_eq!(Engine::of_image(image), engine, "{image}");
    }
}

#[test]
fn logs_of_llama_cpp() {
    let of = |name| llama_cpp(&log(name));
    assert_eq!(
        gpu(&of("llama-cpp-cuda").unwrap()),
        "it put 33 of 33 layers on the GPU (CUDA0 (NVIDIA GeForce RTX 4090) (0000:2b:00.0) - 23520 MiB free)"
    );
    assert!(gpu(&of("llama-cpp-vulkan").unwrap()).starts_with("it put 29 of 29 layers"));
    assert!(cpu(&of("llama-cpp-llvmpipe").unwrap()).contains("which is the processor"));
    assert_eq!(
        cpu(&of("llama-cpp-cpu-verbose").unwrap()),
        "all of its model is in the main memory"
    );
    assert_eq!(
        cpu(&of("llama-cpp-no-gpu").unwrap()),
        "its log says: warning: no usable GPU found, --gpu-layers option will be ignored"
    );
    // Since 2026 it says nothing of devices unless it is asked to: no evidence.
    assert_eq!(of("llama-cpp-quiet"), None);
    assert_eq!(llama_cpp(""), None);
}

#[test]
fn odd_lines_of_llama_cpp() {
    for (text, starts) in [
        (
            "load_tensors: offloaded 0/33 layers to GPU",
            "it put 0 of 33",
        ),
        (
            "load_tensors: CUDA_Host model buffer size = 99.0 MiB",
            "all of its model",
        ),
        (
            "x common_param:   - CPU : Some Processor (1 MiB, 1 MiB free)",
            "the devices that it found are: CPU",
        ),
        ("ggml_vulkan: No devices found.", "its log says: "),
        (
            "ggml_cuda_init: failed to initialize CUDA: no CUDA-capable device is detected",
            "its log says: ggml_cuda_init",
        ),
    ] {
        let device = llama_cpp(text).unwrap();
        assert!(cpu(&device).starts_with(starts), "{device:?}");
    }
    for nothing in [
        "offloaded x/y layers to GPU",
        "offloaded 1 layers to GPU",
        "offloaded 99999999999/1 layers to GPU",
        "x common_param:   - CUDA0 : NVIDIA (1 MiB, 1 MiB free)",
    ] {
        assert_eq!(llama_cpp(nothing), None, "{nothing}");
    }
    // Of two loads the later one counts.
    let twice = "loading model tensors\noffloaded 9/9 layers to GPU\nloading model tensors\noffloaded 0/9 layers to GPU\n";
    cpu(&llama_cpp(twice).unwrap());
    // A part on the GPU is on the GPU.
    gpu(&llama_cpp("load_tensors: SYCL0 model buffer size = 604.15 MiB").unwrap());
}

#[test]
fn logs_of_vllm() {
    let of = |platform: &str| {
        vllm(&format!(
            "INFO 10-28 13:27:43 [__init__.py:224] Automatically detected platform {platform}.\n"
        ))
    };
    gpu(&of("cuda").unwrap());
    gpu(&of("rocm").unwrap());
    cpu(&of("cpu").unwrap());
    assert_eq!(of("tpu"), None);
    cpu(&vllm("No platform detected, vLLM is running on UnspecifiedPlatform").unwrap());
    assert_eq!(vllm("INFO nothing"), None);
}

/// A machine that says what a test lays down.
struct Fake {
    answer: Result<&'static str, &'static str>,
    log: Result<String, String>,
    handles: Handles,
    asked: Mutex<RefCell<Vec<String>>>,
}

impl Source for Fake {
    fn get(&self, url: &str) -> Result<String, String> {
        self.asked.lock().unwrap().borrow_mut().push(url.to_owned());
        self.answer.map(str::to_owned).map_err(str::to_owned)
    }

    fn log(&self, _: &Question<'_>) -> Result<String, String> {
        self.log.clone()
    }

    fn handles(&self, _: Manager, _: &str) -> Handles {
        self.handles.clone()
    }
}

fn fake() -> Fake {
    Fake {
        answer: Ok("{}"),
        log: Ok(String::new()),
        handles: Handles {
            processes: 2,
            ..Handles::default()
        },
        asked: Mutex::default(),
    }
}

fn question(engine: Engine) -> Question<'static> {
    Question {
        engine,
        unit: "local-ai-x.service",
        container: "local-ai-x",
        owner: Manager::System,
        api: Some("http://127.0.0.1:1"),
        health: Some("http://127.0.0.1:1/health"),
    }
}

fn nodes(names: &[&str]) -> Handles {
    Handles {
        processes: 2,
        hidden: 0,
        nodes: names.iter().map(|name| (*name).to_owned()).collect(),
    }
}

#[test]
fn ollama_by_its_models_and_its_start() {
    let of = |answer, log: Result<String, String>| {
        let fake = Fake {
            answer: Ok(answer),
            log,
            ..fake()
        };
        ask(&question(Engine::Ollama), &fake)
    };
    let quiet = || Ok(String::new());
    let whole = r#"{"models":[{"name":"llama3.2:3b","size":3000,"size_vram":3000,"digest":"x"}]}"#;
    assert_eq!(gpu(&of(whole, quiet())), "llama3.2:3b (100% on the GPU)");
    let part = r#"{"models":[{"name":"a","size":3000,"size_vram":1},{"name":"b","size":9,"size_vram":0}]}"#;
    assert_eq!(
        gpu(&of(part, quiet())),
        "a (0% on the GPU); on the processor: b"
    );
    let none = r#"{"models":[{"name":"a","size":3000,"size_vram":0}]}"#;
    assert_eq!(cpu(&of(none, quiet())), "a has nothing in a GPU's memory");
    // Numbers that make no sense.
    let odd = r#"{"models":[{"name":"a\u0007","size":0,"size_vram":18446744073709551615}]}"#;
    assert_eq!(gpu(&of(odd, quiet())), "a (100% on the GPU)");

    for empty in [r#"{"models":[]}"#, r#"{"models":null}"#, "{}"] {
        assert_eq!(unknown(&of(empty, quiet())), "no model is loaded");
        assert_eq!(
            unknown(&of(empty, Err("no podman".to_owned()))),
            "no model is loaded"
        );
        assert_eq!(
            unknown(&of(empty, Ok(log("ollama-cuda")))),
            "no model is loaded; when it started it found NVIDIA GeForce RTX 4090 (CUDA)"
        );
        assert!(cpu(&of(empty, Ok(log("ollama-cpu")))).contains("it found no GPU"));
        // The processor stands beside a GPU in some releases.
        let both = log("ollama-cuda") + &log("ollama-cpu");
        unknown(&of(empty, Ok(both)));
    }
    for broken in ["", "[]", "<html>", r#"{"models":[{"name":1}]}"#] {
        assert!(unknown(&of(broken, quiet())).starts_with("GET /api/ps: the answer is not"));
    }
    let refused = Fake {
        answer: Err("connection refused"),
        ..fake()
    };
    assert_eq!(
        unknown(&ask(&question(Engine::Ollama), &refused)),
        "GET /api/ps: connection refused"
    );
    let mut silent = question(Engine::Ollama);
    silent.api = None;
    unknown(&ask(&silent, &refused));
}

#[test]
fn handles_decide_where_the_log_is_silent() {
    let of = |engine, handles| {
        ask(
            &question(engine),
            &Fake {
                handles,
                log: Ok(log("llama-cpp-quiet")),
                ..fake()
            },
        )
    };
    assert_eq!(
        gpu(&of(
            Engine::LlamaCpp,
            nodes(&["/dev/nvidia-uvm", "/dev/nvidia0", "/dev/nvidiactl"])
        )),
        "its processes have /dev/nvidia-uvm open"
    );
    for node in ["/dev/kfd", "/dev/dri/renderD128", "/dev/dxg"] {
        gpu(&of(Engine::LlamaCpp, nodes(&[node])));
        gpu(&of(Engine::Other, nodes(&[node])));
    }
    // To ask how a card is, or to show a screen, is not to compute.
    for node in ["/dev/nvidiactl", "/dev/nvidia0", "/dev/dri/card1"] {
        cpu(&of(Engine::LlamaCpp, nodes(&[node])));
    }
    assert_eq!(
        cpu(&of(Engine::LlamaCpp, nodes(&[]))),
        "none of its processes has a GPU's device node open, though its model is loaded"
    );
    cpu(&of(Engine::Vllm, nodes(&[])));
    // What loads its model later may not have done so yet.
    assert!(
        unknown(&of(Engine::Other, nodes(&[]))).ends_with("it may not have loaded a model yet")
    );
}

#[test]
fn what_cannot_be_seen_is_unknown() {
    let llama = question(Engine::LlamaCpp);
    let loading = Fake {
        answer: Err("status 503"),
        ..fake()
    };
    assert!(unknown(&ask(&llama, &loading)).contains("it is not well yet: status 503"));
    let unasked = Question {
        health: None,
        ..llama
    };
    unknown(&ask(&unasked, &fake()));
    let hidden = |processes, hidden| Fake {
        handles: Handles {
            processes,
            hidden,
            ..Handles::default()
        },
        log: Err("no podman".to_owned()),
        ..fake()
    };
    assert!(unknown(&ask(&llama, &hidden(2, 1))).contains("its log could not be read: no podman"));
    assert_eq!(unknown(&ask(&llama, &hidden(0, 0))), "it has no processes");
    // A node that is seen counts, whatever else is hidden.
    let mut seen = hidden(2, 1);
    seen.handles.nodes.insert("/dev/kfd".to_owned());
    gpu(&ask(&llama, &seen));
}

/// Lays a process below `root`.
fn process(root: &Path, pid: &str, group: &str, files: &[&str]) {
    let folder = root.join("proc").join(pid);
    fs::create_dir_all(folder.join("fd")).unwrap();
    fs::write(folder.join("cgroup"), group).unwrap();
    for (number, target) in files.iter().enumerate() {
        symlink(target, folder.join("fd").join(number.to_string())).unwrap();
    }
}

#[test]
fn processes_are_found_by_their_control_group() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    let unit = "local-ai-x.service";
    let system = "0::/system.slice/local-ai-x.service/libpod-payload-abc/nested.service\n";
    process(root, "10", system, &["/dev/null", "socket:[1]", "/dev/kfd"]);
    process(
        root,
        "11",
        "0::/system.slice/local-ai-x.service/runtime\n",
        &["/dev/dri/renderD128", "pipe:[2]"],
    );
    process(
        root,
        "12",
        "0::/user.slice/user-1000.slice/user@1000.service/app.slice/local-ai-x.service\n",
        &["/dev/nvidia-uvm"],
    );
    process(
        root,
        "13",
        "0::/system.slice/local-ai-xx.service\n",
        &["/dev/nvidia-uvm"],
    );
    // The old hierarchies.
    process(
        root,
        "14",
        "12:devices:/other.service\n1:name=systemd:/system.slice/old.service\n",
        &["/dev/nvidiactl"],
    );
    // Both, of which either may be empty.
    for (pid, group) in [
        ("19", "9:name=systemd:/\n0::/system.slice/both.service\n"),
        ("20", "1:name=systemd:/system.slice/both.service\n0::/\n"),
    ] {
        process(root, pid, group, &[]);
    }
    // A kernel's thread, one that has ended meanwhile, and what is no process.
    process(root, "15", "0::/\n", &[]);
    fs::create_dir_all(root.join("proc/16")).unwrap();
    fs::create_dir_all(root.join("proc/self")).unwrap();
    fs::write(root.join("proc/17"), "").unwrap();
    process(root, "18", "\u{fffd}\n\n::::", &[]);

    let machine = Machine::new(root, None, Duration::from_secs(1));
    let of = |owner, unit| machine.handles(owner, unit);
    assert_eq!(
        of(Manager::System, unit),
        nodes(&["/dev/kfd", "/dev/dri/renderD128"])
    );
    assert_eq!(
        of(Manager::User(1000), unit),
        Handles {
            processes: 1,
            ..nodes(&["/dev/nvidia-uvm"])
        }
    );
    assert_eq!(of(Manager::User(1001), unit), Handles::default());
    assert_eq!(of(Manager::System, "nested.service"), Handles::default());
    assert_eq!(of(Manager::System, "old.service").processes, 1);
    assert_eq!(of(Manager::System, "both.service").processes, 2);
    let nothing = tempfile::tempdir().unwrap();
    let machine = Machine::new(nothing.path(), None, Duration::from_secs(1));
    assert_eq!(machine.handles(Manager::System, unit), Handles::default());
}

#[test]
fn open_files_that_are_not_shown_are_counted() {
    let root = tempfile::tempdir().unwrap();
    process(root.path(), "10", "0::/system.slice/x.service\n", &[]);
    fs::remove_dir(root.path().join("proc/10/fd")).unwrap();
    let machine = Machine::new(root.path(), None, Duration::from_secs(1));
    let handles = machine.handles(Manager::System, "x.service");
    assert_eq!((handles.processes, handles.hidden), (1, 1));
}

/// A folder with a `podman` that is a shell script.
fn podman(script: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("podman");
    fs::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&file, PermissionsExt::from_mode(0o755)).unwrap();
    folder
}

#[test]
fn the_log_is_read_from_both_streams_and_not_for_ever() {
    let read = |script: &str, limit| {
        let folder = podman(script);
        let machine = Machine::new(Path::new("/"), Some(folder.path().into()), limit);
        machine.log(&question(Engine::LlamaCpp))
    };
    let patient = Duration::from_secs(20);
    let both = read("echo \"out $*\"; echo err >&2", patient).unwrap();
    assert_eq!(
        both.split_whitespace().collect::<Vec<_>>(),
        ["out", "logs", "local-ai-x", "err"]
    );
    let error = read("echo 'no such container' >&2; exit 125", patient).unwrap_err();
    assert_eq!(error, "`podman logs local-ai-x` failed: no such container");

    let start = Instant::now();
    let error = read("sleep 30", Duration::from_millis(200)).unwrap_err();
    assert!(error.contains("gave no answer within 200ms"), "{error}");
    // A log without an end is read as far as the limit.
    let much = read("exec yes offloaded", patient).unwrap();
    assert!(
        (4_000_000..4_300_000).contains(&much.len()),
        "{}",
        much.len()
    );
    assert!(start.elapsed() < Duration::from_secs(15));
}

#[test]
fn device_nodes() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    let look = |path: &str, by_user| examine(root, Path::new(path), by_user);
    assert!(matches!(
        look("/dev/kfd", true),
        Err(NodeError::Missing {
            is_empty: false,
            ..
        })
    ));
    fs::create_dir_all(root.join("dev/dri/by-path")).unwrap();
    fs::write(root.join("dev/dri/card0"), "").unwrap();
    assert!(matches!(
        look("/dev/dri", false),
        Err(NodeError::Missing { is_empty: true, .. })
    ));
    fs::write(root.join("dev/dri/renderD128"), "").unwrap();
    fs::write(root.join("dev/kfd"), "").unwrap();
    for by_user in [false, true] {
        assert!(look("/dev/dri", by_user).is_ok());
        assert!(look("/dev/kfd", by_user).is_ok());
    }
}
