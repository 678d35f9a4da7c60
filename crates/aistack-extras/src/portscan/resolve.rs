//! Values that can be told without evaluation: literals, and names that a `let`
//! or a `rec` of the same file binds to them.
//!
//! A name that the file binds hides what a `with` would bring, so a `with` in
//! between changes nothing; a name that it doesn't bind is not known.

use std::cell::Cell;

use rnix::ast::{self, Attr, Entry, Expr, HasEntry, InterpolPart, LiteralKind};
use rowan::ast::AstNode;

/// How much work one value may be; a circle, or names that double each other, end it.
const STEPS: u32 = 400;

/// The work that is left for one value.
struct Fuel(Cell<u32>);

impl Fuel {
    fn new() -> Self {
        Self(Cell::new(STEPS))
    }

    fn burn(&self) -> Option<()> {
        self.0.set(self.0.get().checked_sub(1)?);
        Some(())
    }
}

/// What stands for a part of a string that isn't known.
pub(crate) const UNKNOWN: char = '\u{fffc}';

/// Strips parentheses, `with`, `assert` and `let` around an expression, and follows
/// names to what they are bound to. None: not known.
pub(crate) fn resolve(expr: &Expr) -> Option<Expr> {
    follow(expr.clone(), &Fuel::new())
}

fn follow(expr: Expr, left: &Fuel) -> Option<Expr> {
    left.burn()?;
    match expr {
        Expr::Paren(it) => follow(it.expr()?, left),
        Expr::With(it) => follow(it.body()?, left),
        Expr::Assert(it) => follow(it.body()?, left),
        Expr::LetIn(it) => follow(it.body()?, left),
        Expr::Ident(it) => {
            let name = it.ident_token()?.text().to_owned();
            if matches!(name.as_str(), "true" | "false" | "null") {
                return Some(Expr::Ident(it));
            }
            follow(binding(it.syntax(), &name)?, left)
        }
        Expr::Select(it) => {
            // A default may be what counts.
            if it.default_expr().is_some() {
                return None;
            }
            let path = keys(&it.attrpath()?)?;
            let base = match it.expr()? {
                Expr::Ident(name) => {
                    let text = name.ident_token()?.text().to_owned();
                    let Some(value) = binding(name.syntax(), &text) else {
                        // `let ports.web = 1;`
                        let mut full = vec![text];
                        full.extend(path);
                        return follow(nested(name.syntax(), &full)?, left);
                    };
                    value
                }
                other => other,
            };
            let Expr::AttrSet(set) = follow(base, left)? else {
                return None;
            };
            follow(lookup(&set, &path, left)?, left)
        }
        other => Some(other),
    }
}

/// An integer, also one in a string.
pub(crate) fn integer(expr: &Expr) -> Option<i64> {
    integer_in(expr, &Fuel::new())
}

fn integer_in(expr: &Expr, left: &Fuel) -> Option<i64> {
    match follow(expr.clone(), left)? {
        Expr::Literal(it) => match it.kind() {
            LiteralKind::Integer(it) => it.value().ok(),
            _ => None,
        },
        Expr::Str(it) => {
            let text = string_of(&it, left);
            text.parse().ok()
        }
        Expr::Apply(it) if is_to_string(&it) => integer_in(&it.argument()?, left),
        _ => None,
    }
}

/// A string, with [`UNKNOWN`] where a part isn't known.
pub(crate) fn string(expr: &Expr) -> Option<String> {
    string_in(expr, &Fuel::new())
}

fn string_in(expr: &Expr, left: &Fuel) -> Option<String> {
    match follow(expr.clone(), left)? {
        Expr::Str(it) => Some(string_of(&it, left)),
        Expr::Apply(it) if is_to_string(&it) => {
            let argument = it.argument()?;
            integer_in(&argument, left)
                .map(|number| number.to_string())
                .or_else(|| string_in(&argument, left))
        }
        _ => None,
    }
}

fn string_of(text: &ast::Str, left: &Fuel) -> String {
    let mut whole = String::new();
    for part in text.normalized_parts() {
        match part {
            InterpolPart::Literal(literal) => whole.push_str(&literal),
            InterpolPart::Interpolation(it) => {
                match it.expr().and_then(|expr| string_in(&expr, left)) {
                    Some(text) => whole.push_str(&text),
                    None => whole.push(UNKNOWN),
                }
            }
        }
    }
    whole
}

fn is_to_string(apply: &ast::Apply) -> bool {
    apply
        .lambda()
        .and_then(|function| last_name(&function))
        .is_some_and(|name| name == "toString")
}

/// The last name of a function: `mkIf` of `lib.mkIf`.
pub(crate) fn last_name(function: &Expr) -> Option<String> {
    match function {
        Expr::Ident(it) => Some(it.ident_token()?.text().to_owned()),
        Expr::Select(it) => keys(&it.attrpath()?)?.pop(),
        Expr::Paren(it) => last_name(&it.expr()?),
        _ => None,
    }
}

/// The names of an attribute path; none: one of them is computed.
pub(crate) fn keys(path: &ast::Attrpath) -> Option<Vec<String>> {
    path.attrs().map(|attr| key(&attr)).collect()
}

/// One name of an attribute path that is written out.
pub(crate) fn key(attr: &Attr) -> Option<String> {
    match attr {
        Attr::Ident(it) => Some(it.ident_token()?.text().to_owned()),
        Attr::Str(it) => literal(it),
        Attr::Dynamic(it) => match it.expr()? {
            Expr::Str(it) => literal(&it),
            _ => None,
        },
    }
}

fn literal(text: &ast::Str) -> Option<String> {
    text.normalized_parts()
        .into_iter()
        .map(|part| match part {
            InterpolPart::Literal(literal) => Some(literal),
            InterpolPart::Interpolation(_) => None,
        })
        .collect()
}

fn entries(node: &rnix::SyntaxNode) -> Option<rowan::ast::AstChildren<Entry>> {
    if let Some(it) = ast::LetIn::cast(node.clone()) {
        return Some(it.entries());
    }
    ast::AttrSet::cast(node.clone())
        .filter(|set| set.rec_token().is_some())
        .map(|set| set.entries())
}

/// What the nearest `let` or `rec` around a place binds a name to. None: nothing,
/// a parameter, or something inherited.
fn binding(place: &rnix::SyntaxNode, name: &str) -> Option<Expr> {
    nested(place, &[name.to_owned()])
}

fn nested(place: &rnix::SyntaxNode, path: &[String]) -> Option<Expr> {
    let name = path.first()?;
    for node in place.ancestors().skip(1) {
        if let Some(lambda) = ast::Lambda::cast(node.clone())
            && binds(&lambda, name)
        {
            return None;
        }
        let mut bound = false;
        for entry in entries(&node).into_iter().flatten() {
            match entry {
                Entry::AttrpathValue(it) => {
                    let Some(keys) = it.attrpath().as_ref().and_then(keys) else {
                        continue;
                    };
                    if keys == path {
                        return it.value();
                    }
                    bound |= keys.first() == Some(name);
                }
                Entry::Inherit(it) => {
                    if it.attrs().any(|attr| key(&attr).as_ref() == Some(name)) {
                        // `inherit x;` in a `let` takes it from further out.
                        if it.from().is_some() {
                            return None;
                        }
                        bound = false;
                    }
                }
            }
        }
        if bound {
            return None;
        }
    }
    None
}

fn binds(lambda: &ast::Lambda, name: &str) -> bool {
    let is = |ident: Option<ast::Ident>| {
        ident
            .and_then(|ident| ident.ident_token())
            .is_some_and(|token| token.text() == name)
    };
    match lambda.param() {
        Some(ast::Param::IdentParam(it)) => is(it.ident()),
        Some(ast::Param::Pattern(it)) => {
            it.pat_entries().any(|entry| is(entry.ident()))
                || it.pat_bind().is_some_and(|bind| is(bind.ident()))
        }
        None => false,
    }
}

/// An attribute of a set, also where the set says it in pieces.
fn lookup(set: &ast::AttrSet, path: &[String], left: &Fuel) -> Option<Expr> {
    left.burn()?;
    set.attrpath_values().find_map(|entry| {
        let keys = keys(&entry.attrpath()?)?;
        let rest = path.strip_prefix(keys.as_slice())?;
        if rest.is_empty() {
            return entry.value();
        }
        match follow(entry.value()?, left)? {
            Expr::AttrSet(inner) => lookup(&inner, rest, left),
            _ => None,
        }
    })
}

/// The items of a list that are there in any case, through names and `++`.
pub(crate) fn items(expr: &Expr) -> Vec<Expr> {
    let mut found = Vec::new();
    collect(expr, &mut found, &Fuel::new());
    found
}

fn collect(expr: &Expr, found: &mut Vec<Expr>, left: &Fuel) {
    match follow(expr.clone(), left) {
        Some(Expr::List(it)) => found.extend(it.items()),
        Some(Expr::BinOp(it)) if it.operator() == Some(ast::BinOpKind::Concat) => {
            for side in [it.lhs(), it.rhs()].into_iter().flatten() {
                collect(&side, found, left);
            }
        }
        _ => {}
    }
}
