//! The model against the schema, and against files that are wrong.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::fs;
use std::path::{Path, PathBuf};

use aistack_schema::{LoadError, Probe, SCHEMA, Scope, Stack, default_path};
use serde_json::{Value, json};

const SAMPLE: &str = include_str!("fixtures/stack.json");

/// Fields of a service that may be left out, and what they are then.
const OPTIONAL: [(&str, &str); 6] = [
    ("setup", "[]"),
    ("engine", "null"),
    ("postgres", "null"),
    ("qdrant", "null"),
    ("integrity", "[]"),
    ("ids", "null"),
];

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(path)
}

fn schema() -> jsonschema::Validator {
    let text = fs::read_to_string(repository("schemas/stack.schema.json")).unwrap();
    jsonschema::validator_for(&serde_json::from_str(&text).unwrap()).unwrap()
}

#[track_caller]
fn assert_follows_schema(document: &Value) {
    let errors: Vec<String> = schema()
        .iter_errors(document)
        .map(|error| format!("{} at {}", error, error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{errors:#?}");
}

fn sample() -> Value {
    serde_json::from_str(SAMPLE).unwrap()
}

fn parse(document: &Value) -> Result<Stack, LoadError> {
    Stack::parse(Path::new("/x/stack.json"), document.to_string().as_bytes())
}

#[test]
fn the_sample_follows_the_schema_parses_and_comes_back_the_same() {
    assert_follows_schema(&sample());
    let stack = parse(&sample()).unwrap();
    let written = serde_json::to_value(&stack).unwrap();
    assert_follows_schema(&written);
    assert_eq!(written, sample());
    assert!(matches!(
        stack.services["redis"].health,
        Some(Probe::Redis(_))
    ));
}

#[test]
fn what_the_modules_render_parses_and_comes_back_the_same() {
    // Not there where only the crates were unpacked.
    let Ok(hosts) = fs::read_dir(repository("tests/rendered")) else {
        return;
    };
    let files: Vec<PathBuf> = hosts
        .map(|host| host.unwrap().path().join("stack.json"))
        .filter(|file| file.exists())
        .collect();
    assert!(!files.is_empty(), "tests/rendered has no stack.json");
    for file in files {
        let mut document: Value =
            serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
        assert_follows_schema(&document);
        // What may be left out is written all the same.
        for service in document["services"].as_object_mut().unwrap().values_mut() {
            let service = service.as_object_mut().unwrap();
            for (field, default) in OPTIONAL {
                service
                    .entry(field)
                    .or_insert_with(|| serde_json::from_str(default).unwrap());
            }
        }
        let stack = Stack::load(&file).unwrap();
        assert_eq!(
            serde_json::to_value(&stack).unwrap(),
            with_defaults(document),
            "{}",
            file.display()
        );
    }
}

/// What may be left out stands there when the model writes it.
fn with_defaults(mut document: Value) -> Value {
    let default = |object: &mut Value, key: &str, value: Value| {
        object.as_object_mut().unwrap().entry(key).or_insert(value);
    };
    default(&mut document, "models", json!({}));
    for model in document["models"].as_object_mut().unwrap().values_mut() {
        default(model, "tokenFile", json!(null));
    }
    for service in document["services"].as_object_mut().unwrap().values_mut() {
        for file in service["files"].as_array_mut().unwrap() {
            default(file, "unit", json!(null));
        }
    }
    document
}

#[test]
fn models_and_units_of_files_may_be_left_out() {
    let mut document = sample();
    document.as_object_mut().unwrap().remove("models");
    let file = document.pointer_mut("/services/llama-cpp/files/0").unwrap();
    file.as_object_mut().unwrap().remove("unit");
    assert_follows_schema(&document);
    let stack = parse(&document).unwrap();
    assert!(stack.models.is_empty());
    assert_eq!(stack.services["llama-cpp"].files[0].unit, None);
}

#[test]
fn what_is_wrong_in_a_model_names_its_place() {
    let hash = "F".repeat(64);
    for (field, value, words) in [
        ("sha256", json!(hash), "models.llama.sha256 is"),
        ("url", json!("ftp://a/b"), "models.llama.url is"),
        ("url", json!("https:///b"), "models.llama.url is"),
        (
            "url",
            json!("https://a/b\nheader = x"),
            "models.llama.url is",
        ),
        ("url", json!("https://a/\"b"), "models.llama.url is"),
        ("url", json!("http://a/b"), "would send its token"),
        (
            "url",
            json!("http://127.0.0.1.example/b"),
            "would send its token",
        ),
        ("path", json!("model.gguf"), "models.llama.path is"),
        ("path", json!("/models/.."), "which names no file"),
        ("unit", json!("--now.service"), "models.llama.unit is"),
        ("tokenFile", json!("token"), "models.llama.tokenFile is"),
    ] {
        let mut document = sample();
        document["models"]["llama"][field] = value;
        let message = parse(&document).unwrap_err().to_string();
        assert!(message.contains(words), "{field}: {message}");
    }
    for url in [
        "http://127.0.0.1:8000/b",
        "http://[::1]/b",
        "http://localhost/b",
    ] {
        let mut document = sample();
        document["models"]["llama"]["url"] = json!(url);
        assert!(parse(&document).is_ok(), "{url}");
    }

    let mut document = sample();
    let model = document["models"]["llama"].clone();
    document["models"]["../x"] = model;
    document["services"]["llama-cpp"]["files"][0]["unit"] = json!("model.target");
    let message = parse(&document).unwrap_err().to_string();
    for words in [
        "models has \"../x\"",
        "which models.../x has already",
        "services.llama-cpp.files[].unit is \"model.target\"",
    ] {
        assert!(message.contains(words), "{words}: {message}");
    }
}

/// Whatever the schema refuses, the model refuses, and the other way round.
#[test]
fn model_and_schema_refuse_the_same() {
    let (qdrant, postgres) = ("/services/qdrant", "/services/postgres/postgres");
    let changes: Vec<(String, Value)> = vec![
        ("/extra".into(), json!(1)),
        (format!("{qdrant}/extra"), json!(1)),
        (format!("{qdrant}/image/extra"), json!(1)),
        (format!("{qdrant}/ports/0/extra"), json!(1)),
        (format!("{qdrant}/ports/0/host"), json!(0)),
        (format!("{qdrant}/ports/0/host"), json!(65_536)),
        (format!("{qdrant}/ports/0/container"), json!(-1)),
        (format!("{qdrant}/ports/0/protocol"), json!("sctp")),
        (format!("{qdrant}/data/0/mode"), json!("750")),
        (format!("{qdrant}/data/0/mode"), json!("0780")),
        (format!("{qdrant}/data/0/mode"), json!("00750")),
        (format!("{qdrant}/data/0/owner"), json!({ "uid": 1 })),
        (
            format!("{qdrant}/data/0/owner"),
            json!({ "uid": -1, "gid": 0 }),
        ),
        (format!("{qdrant}/image/digest"), json!("sha256:12")),
        (
            format!("{qdrant}/image/digest"),
            json!(format!("sha256:{}", "A".repeat(64))),
        ),
        (format!("{qdrant}/health"), json!({})),
        (format!("{qdrant}/health"), json!({ "icmp": {} })),
        (
            format!("{qdrant}/health"),
            json!({ "http": { "url": "http://a" }, "tcp": { "address": "::1", "port": 1 } }),
        ),
        (
            format!("{qdrant}/health"),
            json!({ "tcp": { "address": "::1", "port": 0 } }),
        ),
        (
            format!("{qdrant}/gpu"),
            json!({ "backend": "metal", "devices": [] }),
        ),
        (format!("{qdrant}/setup"), json!([[]])),
        (format!("{qdrant}/setup"), json!(["one"])),
        ("/models/llama/extra".into(), json!(1)),
        ("/models/llama/sha256".into(), json!("12")),
        ("/models/llama/sizeMiB".into(), json!(-1)),
        ("/models/llama/sizeMiB".into(), json!(1.5)),
        ("/models/llama/url".into(), json!("ftp://a/b")),
        ("/models/-x".into(), sample()["models"]["llama"].clone()),
        ("/services/llama-cpp/files/0/unit".into(), json!(1)),
        (format!("{qdrant}/qdrant/extra"), json!(1)),
        (format!("{qdrant}/qdrant"), json!({})),
        (format!("{qdrant}/qdrant"), json!("http")),
        (format!("{qdrant}/qdrant/apiKeySource"), json!(1)),
        (format!("{qdrant}/qdrant/collections/0/extra"), json!(1)),
        (format!("{qdrant}/qdrant/collections/0/size"), json!(0)),
        (format!("{qdrant}/qdrant/collections/0/size"), json!(65_537)),
        (
            format!("{qdrant}/qdrant/collections/0/distance"),
            json!("cosine"),
        ),
        (format!("{postgres}/extra"), json!(1)),
        (format!("{postgres}/major"), json!(0)),
        (format!("{postgres}/major"), json!("18")),
        (format!("{postgres}/roles/0/extra"), json!(1)),
        (format!("{postgres}/databases/0/extra"), json!(1)),
        (format!("{postgres}/databases/0/migrations"), json!(1)),
        (format!("{postgres}/databases/0/extensions"), json!("one")),
        (format!("{qdrant}/integrity"), json!(null)),
        (
            format!("{qdrant}/integrity"),
            json!([{ "kind": "duckdb", "path": "/a", "option": "o" }]),
        ),
        ("/scope".into(), json!("root")),
        ("/schema".into(), json!(2)),
    ];
    let schema = schema();
    for (at, value) in changes {
        let mut document = sample();
        let (parent, key) = at.rsplit_once('/').unwrap();
        document.pointer_mut(parent).unwrap()[key] = value;
        assert!(!schema.is_valid(&document), "the schema accepts {at}");
        assert!(parse(&document).is_err(), "the model accepts {at}");
    }
}

#[test]
fn every_field_that_the_schema_requires_is_required() {
    let schema = schema();
    let document = sample();
    let objects = [
        "",
        "/services/qdrant",
        "/services/qdrant/image",
        "/services/qdrant/ports/0",
        "/services/qdrant/data/0",
        "/services/postgres/data/0/owner",
        "/services/postgres/secrets/0",
        "/services/llama-cpp/files/0",
        "/models/llama",
        "/services/llama-cpp/gpu",
        "/services/qdrant/metrics",
        "/services/postgres/postgres",
        "/services/postgres/postgres/roles/0",
        "/services/postgres/postgres/databases/0",
        "/services/qdrant/qdrant",
        "/services/qdrant/qdrant/collections/0",
        "/services/redis/integrity/0",
        "/services/qdrant/health/http",
        "/services/redis/health/redis",
    ];
    for object in objects {
        let keys = document
            .pointer(object)
            .unwrap()
            .as_object()
            .unwrap()
            .keys();
        for key in keys {
            let mut cut = sample();
            cut.pointer_mut(object)
                .unwrap()
                .as_object_mut()
                .unwrap()
                .remove(key);
            assert_eq!(
                parse(&cut).is_ok(),
                schema.is_valid(&cut),
                "without {object}/{key}"
            );
        }
    }
}

#[test]
fn another_schema_is_said_before_anything_else() {
    for (schema, words) in [
        (
            json!(2),
            "has schema 2, this aistack reads schema 1: the modules are newer",
        ),
        (json!(0), "the file is older than this program"),
        (json!("1"), "has schema \"1\""),
        (json!(null), "has schema no number"),
        (json!(1.5), "has schema 1.5"),
    ] {
        // Nothing else of it is in the known form.
        let document = json!({ "schema": schema, "completely": "different" });
        let message = parse(&document).unwrap_err().to_string();
        assert!(message.starts_with("/x/stack.json "), "{message}");
        assert!(message.contains(words), "{message}");
    }
    for document in [json!({}), json!([]), json!("text"), json!(null)] {
        let error = parse(&document).unwrap_err();
        assert!(matches!(error, LoadError::WrongSchema { .. }), "{error}");
    }
}

#[test]
fn errors_of_form_name_the_place() {
    let mut document = sample();
    document["services"]["qdrant"]["ports"][1]["host"] = json!(70_000);
    let message = parse(&document).unwrap_err().to_string();
    assert!(
        message.contains("services.qdrant.ports[1].host"),
        "{message}"
    );
    assert!(message.contains("70000"), "{message}");

    let mut document = sample();
    document["services"]["qdrant"]["portz"] = json!([]);
    let message = parse(&document).unwrap_err().to_string();
    assert!(message.contains("unknown field `portz`"), "{message}");
    assert!(message.contains("services.qdrant"), "{message}");
}

#[test]
fn contradictions_are_all_said_at_once() {
    let mut document = sample();
    document["scope"] = json!("user");
    document["dataRoot"] = json!("relative");
    document["target"] = json!("local-ai.service");
    let services = document["services"].as_object_mut().unwrap();
    let qdrant = &mut services["qdrant"];
    qdrant["unit"] = json!("local-ai-redis.service");
    qdrant["needs"] = json!(["qdrant", "absent"]);
    qdrant["image"]["archive"] = json!("a.tar");
    qdrant["health"] = json!({ "http": { "url": "https://127.0.0.1/" } });
    let redis = &mut services["redis"];
    redis["pullUnit"] = json!("--force.service");
    redis["container"] = json!("-rm");
    redis["data"][0]["host"] = json!("data");
    let Err(LoadError::Invalid { problems, .. }) = parse(&document) else {
        unreachable!("it is valid")
    };
    for words in [
        "user is empty",
        "dataRoot is \"relative\"",
        "target is \"local-ai.service\"",
        "services.redis.unit is \"local-ai-redis.service\", which services.qdrant has",
        "services.qdrant.needs names the service itself",
        "enable services.aiStack.absent",
        "services.qdrant.image.archive",
        "services.qdrant.health.http.url",
        "services.redis.pullUnit",
        "services.redis.container",
        "services.redis.data.data.host",
    ] {
        assert!(
            problems.iter().any(|problem| problem.contains(words)),
            "{words}: {problems:#?}"
        );
    }
    assert_eq!(problems.len(), 11, "{problems:#?}");
}

#[test]
fn what_is_declared_of_databases_must_agree_with_itself() {
    let mut document = sample();
    let long = "x".repeat(64);
    let postgres = &mut document["services"]["postgres"]["postgres"];
    postgres["port"] = json!("absent");
    postgres["user"] = json!("--help");
    postgres["database"] = json!("a b");
    postgres["passwordSource"] = json!("relative");
    postgres["versionFile"] = json!("PG_VERSION");
    let role = json!({ "name": "app", "passwordSource": "p", "option": "o.users.app" });
    postgres["roles"] = json!([role, role]);
    let database = json!({
        "name": long, "owner": "", "extensions": ["a\0b"], "migrations": "m", "option": "o.databases.x",
    });
    postgres["databases"] = json!([database, database]);
    let qdrant = &mut document["services"]["qdrant"];
    qdrant["ports"][0]["protocol"] = json!("udp");
    qdrant["qdrant"]["apiKeySource"] = json!("k");
    let collection =
        json!({ "name": "../x", "size": 65_536, "distance": "Dot", "option": "o.collections.x" });
    qdrant["qdrant"]["collections"] = json!([collection, collection]);
    qdrant["integrity"] = json!([{ "kind": "sqlite", "path": "webui.db", "option": "o.data" }]);
    let Err(LoadError::Invalid { problems, .. }) = parse(&document) else {
        unreachable!("it is valid")
    };
    for words in [
        "postgres.port is \"absent\", which is not among the service's TCP ports",
        "postgres.user is \"--help\"",
        "postgres.database is \"a b\"",
        "postgres.passwordSource is \"relative\", not an absolute path",
        "postgres.versionFile is \"PG_VERSION\"",
        "postgres.roles.app.passwordSource is \"p\"",
        "postgres.roles.app is named twice, or is the superuser: change o.users.app",
        "is named twice: change o.databases.x",
        ".migrations is \"m\", not an absolute path",
        ".owner is \"\": PostgreSQL takes names of 1 to 63 bytes",
        ".extensions is \"a\\0b\"",
        "xxx\": PostgreSQL takes names",
        "qdrant.port is \"http\", which is not among the service's TCP ports",
        "qdrant.apiKeySource is \"k\"",
        "is named twice: change o.collections.x",
        "collections.../x: a name has",
        "qdrant.integrity[].path is \"webui.db\"",
    ] {
        assert!(
            problems.iter().any(|problem| problem.contains(words)),
            "{words}: {problems:#?}"
        );
    }
}

#[test]
fn a_port_on_every_address_is_reached_on_loopback() {
    let mut document = sample();
    for (address, reached) in [
        ("0.0.0.0", "127.0.0.1"),
        ("::", "::1"),
        ("192.0.2.1", "192.0.2.1"),
    ] {
        document["services"]["qdrant"]["ports"][0]["address"] = json!(address);
        let stack = parse(&document).unwrap();
        let port = stack.services["qdrant"].port("http").unwrap();
        assert_eq!(port.reachable().ip().to_string(), reached);
    }
}

#[test]
fn urls_of_probes() {
    for (url, valid) in [
        ("http://127.0.0.1:8080/health", true),
        ("http://[::1]:8080/", true),
        ("http://[::1]/", true),
        ("http://localhost", true),
        ("http://127.0.0.1:0/", false),
        ("http://127.0.0.1:99999/", false),
        ("http://:80/", false),
        ("http:///health", false),
        ("127.0.0.1:80", false),
    ] {
        let mut document = sample();
        document["services"]["qdrant"]["health"] = json!({ "http": { "url": url } });
        assert_eq!(parse(&document).is_ok(), valid, "{url}");
    }
}

#[test]
fn files_that_cannot_be_read() {
    let directory = tempfile::tempdir().unwrap();
    let absent = directory.path().join("stack.json");
    let message = |path: &Path| Stack::load(path).unwrap_err().to_string();
    assert!(message(&absent).contains("does not exist"));
    assert!(message(&absent).contains("switch"));
    assert!(message(directory.path()).contains("name the file itself"));
    assert!(message(Path::new("/dev/zero")).contains("not a regular file"));
    let large = directory.path().join("large");
    let file = fs::File::create(&large).unwrap();
    file.set_len(8 * 1024 * 1024 + 1).unwrap();
    assert!(message(&large).contains("larger than 8 MiB"));

    fs::write(&absent, &SAMPLE[..SAMPLE.len() / 2]).unwrap();
    assert!(message(&absent).contains("is not valid JSON"));
    fs::write(&absent, [0xff, 0xfe]).unwrap();
    assert!(message(&absent).contains("is not valid JSON"));
    fs::write(&absent, "").unwrap();
    assert!(message(&absent).contains("is not valid JSON"));
}

#[test]
fn default_paths() {
    let path = |scope, config: Option<&str>, home: Option<&str>| {
        default_path(scope, config.map(Path::new), home.map(Path::new))
    };
    assert_eq!(
        path(Scope::System, None, None),
        Some("/etc/aistack/stack.json".into())
    );
    assert_eq!(
        path(Scope::User, Some("/c"), Some("/h")),
        Some("/c/aistack/stack.json".into())
    );
    for unset in [None, Some(""), Some("relative")] {
        assert_eq!(
            path(Scope::User, unset, Some("/h")),
            Some("/h/.config/aistack/stack.json".into())
        );
    }
    assert_eq!(path(Scope::User, None, None), None);
    assert_eq!(SCHEMA, 1);
}
