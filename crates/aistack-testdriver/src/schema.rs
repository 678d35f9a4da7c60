//! The parts of `schemas/scenario.schema.json` that the types alone do not say.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};

use crate::fields::OneOrMore;
use crate::json_path::JsonPath;
use crate::scenario::{Common, Step};
use crate::steps;

/// A port is named by its number, or by a service's name for it.
pub(crate) fn port(schema: &mut Schema) {
    let rules = json!([
        { "required": ["number"], "properties": { "service": false, "port": false } },
        {
            "required": ["service"],
            "properties": { "number": false, "address": false, "protocol": false },
        },
    ]);
    schema.insert("oneOf".to_owned(), rules);
}

/// A request goes to a URL or to a service, and not each method has a body.
pub(crate) fn request(schema: &mut Schema) {
    let rules = json!([
        { "oneOf": [
            { "required": ["url"], "properties": { "service": false, "port": false, "path": false } },
            { "required": ["service"], "properties": { "url": false } },
        ] },
        {
            "if": { "required": ["body"] },
            "then": { "required": ["method"], "properties": { "method": { "enum": ["POST", "PUT", "PATCH"] } } },
        },
    ]);
    schema.insert("allOf".to_owned(), rules);
}

impl<T: JsonSchema, const MIN: usize> JsonSchema for OneOrMore<T, MIN> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "OneOrMore".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let one = generator.subschema_for::<T>();
        json_schema!({ "anyOf": [one, { "type": "array", "minItems": MIN, "items": one }] })
    }
}

impl JsonSchema for JsonPath {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "JsonPath".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": r"^\$(\.[^.\[]+|\['((?!'\])[\s\S])+'\]|\[[0-9]+\])*$",
        })
    }
}

impl JsonSchema for Step {
    fn schema_name() -> Cow<'static, str> {
        "Step".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = Common::json_schema(generator);
        let kinds = steps::schemas(generator);
        let one_of: Vec<Value> = kinds
            .iter()
            .map(|(name, _)| json!({ "required": [name] }))
            .collect();
        if let Some(Value::Object(fields)) = schema.get_mut("properties") {
            fields.extend(
                kinds
                    .into_iter()
                    .map(|(name, schema)| (name.to_owned(), schema.into())),
            );
        }
        schema.insert("oneOf".to_owned(), one_of.into());
        schema
    }
}
