//! `schemas/` is what the Rust types say. `UPDATE_SCHEMAS=1` writes it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::fs;
use std::path::Path;

use schemars::JsonSchema;
use schemars::generate::{Contract, SchemaSettings};
use serde_json::{Map, Value, json};

/// The schema of `T`, as a file that is read (`Deserialize`) or written (`Serialize`).
fn of<T: JsonSchema>(contract: Contract) -> Value {
    let mut settings = SchemaSettings::draft2020_12();
    settings.contract = contract;
    let mut schema = settings
        .into_generator()
        .into_root_schema_for::<T>()
        .to_value();
    each(&mut schema, &mut exact);
    schema
}

/// Calls `change` with each object of a schema, the innermost first.
fn each(value: &mut Value, change: &mut dyn FnMut(&mut Map<String, Value>)) {
    match value {
        Value::Object(object) => {
            object.values_mut().for_each(|value| each(value, change));
            change(object);
        }
        Value::Array(list) => list.iter_mut().for_each(|value| each(value, change)),
        _ => {}
    }
}

/// What schemars leaves to formats, which validators need not know, becomes a rule.
fn exact(object: &mut Map<String, Value>) {
    match object.get("format").and_then(Value::as_str) {
        Some("ip") => {
            object.remove("format");
            let formats = json!([{ "format": "ipv4" }, { "format": "ipv6" }]);
            object.insert("anyOf".to_owned(), formats);
        }
        Some("uint32") => {
            object.remove("format");
            object.entry("maximum").or_insert(u32::MAX.into());
        }
        Some(format) if format.contains("int") || format == "double" => {
            object.remove("format");
        }
        _ => {}
    }
    let Some(fields) = object.get("properties").and_then(Value::as_object).cloned() else {
        return;
    };
    if object.get("type") != Some(&json!("object")) {
        return;
    }
    object.insert("additionalProperties".to_owned(), false.into());
    // A field that may be left out is never null; those of one vendor's cards are required there.
    let rules = object
        .get("allOf")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    let required: Vec<Value> = rules
        .map(|rule| &rule["then"]["required"])
        .chain(object.get("required"))
        .flat_map(|names| names.as_array().cloned().unwrap_or_default())
        .collect();
    if let Some(Value::Object(fields)) = object.get_mut("properties") {
        for (name, field) in fields {
            if !required.iter().any(|known| known == name) {
                not_null(field);
            }
        }
    }
    // A field of a file that is written has its place there, but may be left out when it is read.
    if let Some(Value::Array(required)) = object.get_mut("required") {
        required.retain(|name| fields[name.as_str().unwrap()].get("default").is_none());
    }
}

fn not_null(field: &mut Value) {
    let Value::Object(field) = field else { return };
    if field.get("default") == Some(&Value::Null) {
        field.remove("default");
    }
    if let Some(Value::Array(types)) = field.get_mut("type") {
        types.retain(|name| name != "null");
        if let [one] = types.as_slice() {
            let one = one.clone();
            field.insert("type".to_owned(), one);
        }
    }
    if let Some(Value::Array(kinds)) = field.get_mut("anyOf") {
        kinds.retain(|kind| kind != &json!({ "type": "null" }));
        if let [Value::Object(one)] = kinds.as_slice() {
            let one = one.clone();
            field.remove("anyOf");
            field.extend(one);
        }
    }
}

/// The schema of the file `name` of the folder, with its title and description.
fn schema(name: &str) -> Value {
    use Contract::{Deserialize, Serialize};
    let (schema, title, description) = match name {
        "ai-optimizer" => (
            of::<aistack_extras::prep::record::Record>(Serialize),
            "ai-optimizer.json",
            "How ready a machine is for AI-Optimizer. Written by `aistack prep`, by default to ~/.cache/nixos-quick-deploy/integration/ai-optimizer.json.",
        ),
        "facts" => (
            of::<aistack_facts::Facts>(Serialize),
            "aistack facts.json",
            "What the Nix side knows of a machine's hardware. Written by `aistack facts -o facts.json`, kept in git with the host that it describes. It has nothing that changes by itself and nothing that identifies the machine.",
        ),
        "image-contract" => (
            of::<aistack_provision::images::Contract>(Serialize),
            "aistack image contract",
            "What upstream's image is (pkgs/contracts/NAME.json), read from upstream's sources. Null: not known. Evaluation checks service definitions against it, `aistack images verify` compares it with the registry, and the stand-in images of the runtime stage are built from it.",
        ),
        "model-shape" => (
            of::<aistack_gguf::ModelShape>(Serialize),
            "Shape of a model",
            "What decides over the memory that llama.cpp needs for a model, as `aistack fit --json` prints it. The formula is in the documentation of the crate aistack-gguf.",
        ),
        "prep" => (
            of::<aistack_extras::prep::Plan>(Serialize),
            "aistack prep.json",
            "What services.aiOptimizerPrep declares, for `aistack prep`: /etc/aistack/prep.json or $XDG_CONFIG_HOME/aistack/prep.json.",
        ),
        "scenario" => (
            of::<aistack_testdriver::scenario::Scenario>(Deserialize),
            "aistack scenario",
            "Steps that `aistack-testdriver run` takes on a machine's stack. Written in TOML or JSON; docs/testing.md says what the steps do. In each text, ${stack} is the path of stack.json and ${$.a.b[0]} the value at that place of it.",
        ),
        "stack" => (
            of::<aistack_schema::Stack>(Serialize),
            "aistack stack.json",
            "What one scope of one host declared. Written by the Nix modules to /etc/aistack/stack.json (system scope) or $XDG_CONFIG_HOME/aistack/stack.json (user scope); the only thing that the tools know of the Nix side.",
        ),
        other => unreachable!("{other}: add its type here"),
    };
    let mut schema = schema;
    schema["title"] = title.into();
    schema["description"] = description.into();
    if name == "model-shape" {
        // Added by `aistack fit --json`, not part of the shape, and not read by the Nix side.
        schema["properties"]["fit"] = json!({
            "description": "Whether it fits the machine that was asked about.",
            "type": "object",
            "required": ["settings", "needs", "machine", "fits", "largestContext"],
            "properties": {
                "settings": { "type": "object" },
                "needs": { "type": "object" },
                "machine": { "type": "object" },
                "fits": { "type": "boolean" },
                "largestContext": { "type": ["integer", "null"], "minimum": 256 },
            },
        });
    }
    schema
}

#[test]
fn the_schemas_are_those_of_the_types() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas");
    let mut stale = Vec::new();
    let mut seen = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let file = path.file_name().unwrap().to_str().unwrap();
        let name = file.strip_suffix(".schema.json").unwrap();
        let text = serde_json::to_string_pretty(&schema(name)).unwrap() + "\n";
        if text != fs::read_to_string(&path).unwrap() {
            if std::env::var_os("UPDATE_SCHEMAS").is_some() {
                fs::write(&path, text).unwrap();
            } else {
                stale.push(file.to_owned());
            }
        }
        seen += 1;
    }
    assert_eq!(seen, 7);
    assert!(
        stale.is_empty(),
        "{} of schemas/ is not what the types say; write it by: UPDATE_SCHEMAS=1 cargo test -p xtask --test schemas",
        stale.join(", ")
    );
}
