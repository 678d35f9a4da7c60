//! The scenario types against the published schema, and documents that are wrong.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::fs;
use std::path::{Path, PathBuf};

use aistack_testdriver::builtin;
use aistack_testdriver::checks::ServiceChecks;
use aistack_testdriver::scenario::Scenario;
use aistack_testdriver::steps::KINDS;
use aistack_testdriver::values::Values;
use serde_json::{Value, json};

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(path)
}

fn document_of_the_schema() -> Value {
    let text = fs::read_to_string(repository("schemas/scenario.schema.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn schema() -> jsonschema::Validator {
    jsonschema::options()
        .should_validate_formats(true)
        .build(&document_of_the_schema())
        .unwrap()
}

fn parse(document: &Value) -> Result<Scenario, String> {
    Scenario::parse(Path::new("a.json"), document.to_string().as_bytes())
        .map_err(|error| error.to_string())
}

/// Each field of the format, once.
fn sample() -> Value {
    let text = json!({ "equals": "a", "contains": "a", "lacks": "b" });
    let steps = json!([
        { "name": "n", "timeout": 3.5, "limit": 1, "harmless": true,
          "retry": { "every": 0.5, "factor": 2, "longest": 4, "tries": 3, "attempt": 2 },
          "cleanup": [{ "continue-container": { "service": "redis" } }],
          "wait-healthy": { "service": "redis", "new": true } },
        { "wait-healthy": { "except": ["redis"] } },
        { "ports": { "service": "redis", "closed-on": "192.0.2.1" } },
        { "checks": { "service": "redis" } },
        { "http": { "url": "http://127.0.0.1:1/a", "method": "POST", "headers": { "a": "b" },
            "body": "x", "expect": { "status": 201, "headers": { "a": text }, "body": text,
            "json": [{ "path": "$.a['b c'][0]", "equals": null, "contains": "x", "exists": true }] } } },
        { "http": { "service": "qdrant", "port": "http", "path": "/" } },
        { "tcp": { "address": "127.0.0.1", "number": 80, "open": false } },
        { "tcp": { "service": "redis", "port": "redis" } },
        { "nothing-listens": { "address": "::1", "number": 80, "protocol": "udp" } },
        { "nothing-listens": { "service": "redis", "port": "redis" } },
        { "unit": { "unit": "a.service", "state": "not-found" } },
        { "unit": { "service": "redis" } },
        { "file": { "path": "/etc/x", "exists": true, "text": text } },
        { "file": { "path": "${$.dataRoot}/x", "text": { "contains": ["a", "b"] } } },
        { "exec": { "service": "redis", "argv": ["a", "b"], "input": "x", "exit": 3,
            "stdout": text, "stderr": text } },
        { "journal": { "unit": "a.service", "contains": "words" } },
        { "journal": { "service": "redis", "contains": ["some", "words"] } },
        { "journal": { "service": "redis", "lacks": "words" } },
        { "journal": { "contains": "words" } },
        { "container": { "service": "redis", "state": "gone" } },
        { "no-failed-units": {} },
        { "secrets": { "service": "redis" } },
        { "confined": { "service": "redis" } },
        { "kill-container": { "service": "redis", "signal": "TERM" } },
        { "stop-container": { "service": "redis" } },
        { "continue-container": {} },
        { "recreate-container": {} },
        { "reset-storage": {} },
        { "start-unit": { "unit": "a.service" } },
        { "stop-unit": { "service": "redis" } },
        { "restart-unit": { "unit": "a.service", "wait": false } },
        { "write-marker": { "service": "redis" } },
        { "read-marker": {} },
        { "take-port": { "number": 80 } },
        { "release-port": { "number": 80 } },
    ]);
    json!({
        "schema": 1, "name": "all", "description": "d", "requires": ["redis"],
        "groups": [
            { "name": "g", "parallel": true, "keep-going": true, "limit": 60, "steps": steps },
        ],
    })
}

/// Places of a document, with the document in which something else stands there.
fn changed(document: &Value) -> Vec<(String, Value)> {
    let mut places = Vec::new();
    collect(document, String::new(), &mut places);
    let others = [
        json!(null),
        json!(true),
        json!(0),
        json!(-1),
        json!(2.5),
        json!(99999),
        json!(""),
        json!("nonsense"),
        json!("-x"),
        json!("/x"),
        json!("two\nlines"),
        json!("$.a..b"),
        json!("GET"),
        json!("::1"),
        json!([]),
        json!([""]),
        json!({}),
        json!({ "unknown": 1 }),
    ];
    let mut all = Vec::new();
    for place in places {
        for other in &others {
            let mut copy = document.clone();
            *copy.pointer_mut(&place).unwrap() = other.clone();
            all.push((format!("{place} = {other}"), copy));
        }
        let (above, key) = place.rsplit_once('/').unwrap_or(("", ""));
        let mut cut = document.clone();
        match cut.pointer_mut(above) {
            Some(Value::Object(fields)) if !key.is_empty() => drop(fields.remove(key)),
            Some(Value::Array(list)) if !key.is_empty() => {
                drop(list.remove(key.parse::<usize>().unwrap()));
            }
            _ => {}
        }
        all.push((format!("{place} taken away"), cut));
        let mut more = document.clone();
        if let Some(Value::Object(fields)) = more.pointer_mut(&place) {
            fields.insert("unknown".to_owned(), json!({}));
            all.push((format!("{place} with more"), more.clone()));
            for field in ["service", "unit", "url", "number", "port", "body", "file"] {
                let mut more = document.clone();
                if let Some(Value::Object(fields)) = more.pointer_mut(&place) {
                    fields.entry(field).or_insert(json!("x"));
                }
                all.push((format!("{place} with {field}"), more));
            }
        }
    }
    all
}

fn collect(value: &Value, at: String, places: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                collect(field, format!("{at}/{name}"), places);
            }
        }
        Value::Array(list) => {
            for (index, item) in list.iter().enumerate() {
                collect(item, format!("{at}/{index}"), places);
            }
        }
        _ => {}
    }
    places.push(at);
}

#[test]
fn the_sample_has_every_step_and_follows_schema_and_types() {
    let document = sample();
    assert!(schema().is_valid(&document));
    parse(&document).unwrap();
    for action in KINDS {
        let steps = document["groups"][0]["steps"].as_array().unwrap();
        assert!(
            steps.iter().any(|step| step.get(action).is_some()),
            "{action}"
        );
    }
    let properties = &document_of_the_schema()["$defs"]["Step"]["properties"];
    let known: Vec<&str> = properties
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .filter(|name| !["name", "timeout", "limit", "retry", "harmless", "cleanup"].contains(name))
        .collect();
    let mut actions = KINDS.to_vec();
    actions.sort_unstable();
    assert_eq!(known, actions);
}

/// Whatever the schema refuses, the types refuse, and the other way round.
#[test]
fn types_and_schema_refuse_the_same() {
    let schema = schema();
    let all = changed(&sample());
    assert!(all.len() > 1500, "{}", all.len());
    let different: Vec<String> = all
        .into_iter()
        .filter_map(|(what, document)| {
            let (by_schema, by_types) = (schema.is_valid(&document), parse(&document));
            (by_schema != by_types.is_ok())
                .then(|| format!("{what}: schema {by_schema}, types {by_types:?}"))
        })
        .map(|text| text.chars().take(300).collect())
        .collect();
    assert!(different.is_empty(), "{}", different.join("\n"));
}

#[test]
fn built_in_scenarios_follow_the_schema() {
    let schema = schema();
    for (name, text) in builtin::ALL {
        assert_eq!(builtin::find(name).unwrap().unwrap().name.0, name);
        let document: Value = toml::from_str(text).unwrap();
        assert!(schema.is_valid(&document), "{name}");
    }
    let files = fs::read_dir(repository("tests/scenarios")).unwrap().count();
    assert_eq!(files, builtin::ALL.len());
}

/// Those of the runtime stage fill in what a stack of the snapshots says.
#[test]
fn the_runtime_stages_scenarios_follow_the_schema_and_fit_a_stack() {
    let schema = schema();
    let stack = repository("tests/rendered/everything/stack.json");
    let text: Value = serde_json::from_slice(&fs::read(&stack).unwrap()).unwrap();
    let values = Values::new(&stack, text);
    let mut seen = 0;
    for entry in fs::read_dir(repository("tests/runtime/scenarios")).unwrap() {
        let path = entry.unwrap().path();
        let document: Value = toml::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        assert!(schema.is_valid(&document), "{}", path.display());
        let scenario = Scenario::load_on(&path, &values).unwrap();
        assert_eq!(path.file_stem().unwrap().to_str(), Some(&*scenario.name));
        seen += 1;
    }
    assert!(seen > 10, "{seen}");
}

#[test]
fn errors_say_where_in_the_document() {
    let json = |text: &str| {
        Scenario::parse(Path::new("a.json"), text.as_bytes())
            .unwrap_err()
            .to_string()
    };
    let toml = |text: &str| {
        Scenario::parse(Path::new("a.toml"), text.as_bytes())
            .unwrap_err()
            .to_string()
    };
    let step = |step: &str| {
        toml(&format!(
            "schema = 1\nname = \"a\"\n[[groups]]\nsteps = [{{ ports = {{}} }}, {step}]\n"
        ))
    };
    for (error, words) in [
        (json("{"), "a.json is not valid JSON: EOF"),
        (
            toml("a = "),
            "a.toml is not valid TOML: TOML parse error at line 1",
        ),
        (
            toml("schema = 2"),
            "at schema: invalid value: integer `2`, expected schema 1",
        ),
        (
            toml("schema = 1\nname = \"a\""),
            "at the top level: missing field `groups`",
        ),
        (
            step("{ explode = {} }"),
            "at groups[0].steps[1].explode: unknown field `explode`, expected one of",
        ),
        (
            step("{ tcp = { number = 99999 } }"),
            "at groups[0].steps[1].tcp.number: invalid value: integer `99999`",
        ),
        (
            step("{ timeout = 3 }"),
            "at groups[0].steps[1]: the step does nothing",
        ),
        (
            step("{ ports = {}, checks = {} }"),
            "at groups[0].steps[1]: a step does one thing, this one does ports and checks",
        ),
        (
            step("{ timeout = 0, ports = {} }"),
            "at groups[0].steps[1].timeout: invalid value",
        ),
        (
            step("{ http = { service = \"a\", path = \"b\" } }"),
            "at groups[0].steps[1].http: the path must begin with /",
        ),
    ] {
        assert!(error.contains(words), "{error}");
        assert!(!error.contains('\n'), "{error}");
    }
}

#[test]
fn what_the_snapshots_ask_of_services_is_read() {
    let mut seen = 0;
    for entry in fs::read_dir(repository("tests/rendered")).unwrap() {
        let file = entry.unwrap().path().join("scenarios.json");
        if file.exists() {
            seen += ServiceChecks::load(&file).unwrap().0.len();
        }
    }
    assert!(seen > 10, "{seen}");
    let error = ServiceChecks::parse(
        Path::new("s.json"),
        br#"{"redis":{"checks":[{"name":"a","expect":"b"}]}}"#,
    );
    let error = error.unwrap_err().to_string();
    assert!(error.contains("redis.checks[0]"), "{error}");
}
