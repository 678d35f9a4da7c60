//! The Nix text is Nix, and says what the JSON says.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests fail as tests do"
)]

use std::path::Path;

use aistack_facts::nix::{HEADER, NixError, print, print_facts};
use proptest::prelude::*;
use rnix::ast::{self, Attr, Entry, Expr, HasEntry as _, InterpolPart, LiteralKind};
use serde_json::{Map, Value, json};

/// Reads the part of Nix that the printer writes.
fn evaluate(expr: &Expr) -> Value {
    match expr {
        Expr::Ident(ident) => match ident.ident_token().unwrap().text() {
            "null" => Value::Null,
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            other => panic!("identifier {other}"),
        },
        Expr::Literal(literal) => match literal.kind() {
            LiteralKind::Integer(number) => number.value().unwrap().into(),
            other => panic!("literal {other:?}"),
        },
        Expr::Paren(paren) => evaluate(&paren.expr().unwrap()),
        Expr::UnaryOp(minus) => {
            assert_eq!(minus.operator(), Some(ast::UnaryOpKind::Negate));
            (-evaluate(&minus.expr().unwrap()).as_i64().unwrap()).into()
        }
        Expr::Str(text) => Value::String(string(text)),
        Expr::List(list) => list.items().map(|item| evaluate(&item)).collect(),
        Expr::AttrSet(set) => {
            assert!(set.rec_token().is_none());
            let mut object = Map::new();
            for entry in set.entries() {
                let Entry::AttrpathValue(entry) = entry else {
                    panic!("inherit");
                };
                let path: Vec<Attr> = entry.attrpath().unwrap().attrs().collect();
                let [attr] = path.as_slice() else {
                    panic!("a path of {} attributes", path.len());
                };
                let name = match attr {
                    Attr::Ident(ident) => ident.ident_token().unwrap().text().to_owned(),
                    Attr::Str(text) => string(text),
                    Attr::Dynamic(_) => panic!("dynamic attribute"),
                };
                let value = evaluate(&entry.value().unwrap());
                assert_eq!(object.insert(name, value), None, "an attribute twice");
            }
            Value::Object(object)
        }
        other => panic!("{other:?}"),
    }
}

fn string(text: &ast::Str) -> String {
    text.normalized_parts()
        .into_iter()
        .map(|part| match part {
            InterpolPart::Literal(text) => text,
            InterpolPart::Interpolation(_) => panic!("an interpolation"),
        })
        .collect()
}

fn parse(text: &str) -> Value {
    let root = rnix::Root::parse(text);
    assert_eq!(root.errors(), [], "{text}");
    evaluate(&root.tree().expr().unwrap())
}

#[test]
fn facts_of_every_machine() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    for entry in std::fs::read_dir(fixtures).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            let facts = aistack_facts::read(&path).unwrap().facts;
            let text = print_facts(&facts).unwrap();
            assert!(text.starts_with(HEADER) && text.ends_with("}\n"));
            assert_eq!(
                parse(&text),
                serde_json::to_value(&facts).unwrap(),
                "{}",
                path.display()
            );
        }
    }
}

/// One of each thing that the printer must take care of.
fn odd() -> Value {
    json!({
        "if": "\"\\ ${a} $${b} $c $\n\r\t",
        "a-b'": [-1, 0, true],
        "a.b": {},
        "": null,
        "list": [],
        "1x": [{"k": []}],
    })
}

#[test]
fn text_of_each_kind() {
    let value = odd();
    insta::assert_snapshot!("kinds", print(&value).unwrap());
    assert_eq!(parse(&print(&value).unwrap()), value);
}

/// The real evaluator's word: `cargo test -p aistack-facts --test nix -- --ignored`.
#[test]
#[ignore = "needs nix: in PATH, or named by AISTACK_NIX"]
fn nix_says_the_same() {
    let machine = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/hybrid-amd-nvidia");
    let facts = aistack_facts::read(&machine).unwrap().facts;
    let odd = odd();
    let text = format!(
        "[\n{}\n{}]",
        print_facts(&facts).unwrap(),
        print(&odd).unwrap()
    );
    let nix = std::env::var_os("AISTACK_NIX").unwrap_or_else(|| "nix".into());
    let output = std::process::Command::new(nix)
        .args(["--extra-experimental-features", "nix-command"])
        .args(["eval", "--json", "--expr", &text])
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(said, json!([facts, odd]));
}

#[test]
fn what_nix_cannot_say_is_refused() {
    for number in [json!(i64::MIN), json!(u64::MAX), json!(1.5)] {
        assert_eq!(
            print(&json!([number])),
            Err(NixError::Number(number.to_string()))
        );
    }
    assert_eq!(print(&json!("a\0b")), Err(NixError::Nul("a\0b".to_owned())));
    assert_eq!(
        print(&json!({"a\0b": 1})),
        Err(NixError::Nul("a\0b".to_owned()))
    );
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[^\0]{0,12}",
        "[\"\\\\${}\n\r\t'a]{0,10}",
        Just("rec".to_owned()),
        "[a-z_][a-z0-9_'-]{0,6}",
    ]
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (i64::MIN + 1..=i64::MAX).prop_map(Value::from),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 48, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((text(), inner), 0..6)
                .prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn any_value_is_read_back_as_it_was(value in value()) {
        prop_assert_eq!(parse(&print(&value).unwrap()), value);
    }
}
