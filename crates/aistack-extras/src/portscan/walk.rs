//! One file: which options it sets, as far as ports are concerned.

use std::collections::BTreeMap;
use std::net::IpAddr;

use rnix::ast::{self, BinOpKind, Entry, Expr, HasEntry};
use rnix::{TextRange, TextSize};
use rowan::ast::AstNode;

use crate::portscan::Protocol;
use crate::portscan::paths::{self, Kind};
use crate::portscan::resolve::{self, UNKNOWN};
use crate::portscan::strings::{self, Found, Ports};

/// Sets within sets beyond this are no configuration.
const DEPTH: usize = 64;

/// How many expressions are looked at in a file beside one for each of its bytes, each
/// as often as a name leads to it. Names of modules that have each other twice would
/// double with each step.
const LOOKS: usize = 20_000;

/// How often the item of a list of modules is unwrapped: `import`, and its arguments.
const STEPS: usize = 16;

/// What one file says.
#[derive(Debug, Default)]
pub(crate) struct FileFacts {
    pub claims: Vec<RawClaim>,
    pub enables: Vec<Enable>,
    /// Paths that the module imports in any case.
    pub imports: Vec<String>,
    /// Each list of modules of a host: its frame, and the paths in it.
    pub hosts: Vec<(String, Vec<String>)>,
    /// Claims whose number is computed.
    pub computed: usize,
    /// Ports in firewall lists.
    pub openings: usize,
}

/// A port that an option claims.
#[derive(Clone, Debug)]
pub(crate) struct RawClaim {
    pub frame: String,
    pub user: Option<String>,
    /// The whole option.
    pub option: Vec<String>,
    pub owner: Vec<String>,
    /// What must hold for it, as text.
    pub conditions: Vec<String>,
    pub strength: Strength,
    pub ports: Ports,
    pub start: TextSize,
    pub end: TextSize,
}

/// Which of several values of one option counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Strength {
    Default,
    Normal,
    Forced,
}

/// Whether something is on.
#[derive(Clone, Debug)]
pub(crate) struct Enable {
    pub frame: String,
    pub user: Option<String>,
    pub owner: Vec<String>,
    pub state: State,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum State {
    On,
    Off,
    /// Depends on this.
    When(String),
}

#[derive(Clone)]
struct Context {
    path: Vec<String>,
    conditions: Vec<String>,
    strength: Strength,
    depth: usize,
}

impl Context {
    fn at(&self, keys: &[String]) -> Self {
        let mut inner = self.clone();
        inner.path.extend_from_slice(keys);
        inner
    }

    fn when(&self, condition: String) -> Self {
        let mut inner = self.clone();
        inner.conditions.push(condition);
        inner
    }

    fn ends_with(&self, key: &str) -> bool {
        self.path.last().is_some_and(|last| last == key)
    }
}

/// What stands beside a port: the address it is for.
#[derive(Debug)]
enum Beside {
    Address(IpAddr),
    Every,
    /// A host by name: the port is one to connect to.
    Elsewhere,
    Computed,
}

struct Walk {
    facts: FileFacts,
    beside: BTreeMap<Vec<String>, Vec<Beside>>,
    /// Containers whose ports are another network's.
    unpublished: Vec<Vec<String>>,
    pending: Vec<(Vec<String>, RawClaim)>,
    /// How much may still be looked at.
    left: usize,
}

/// Reads a parsed file. None: its names lead to more than a file can hold.
pub(crate) fn facts(root: &ast::Root) -> Option<FileFacts> {
    let mut walk = Walk {
        facts: FileFacts::default(),
        beside: BTreeMap::new(),
        unpublished: Vec::new(),
        pending: Vec::new(),
        left: LOOKS + usize::from(root.syntax().text_range().len()),
    };
    if let Some(expr) = root.expr() {
        walk.expr(
            &expr,
            &Context {
                path: Vec::new(),
                conditions: Vec::new(),
                strength: Strength::Normal,
                depth: 0,
            },
        );
    }
    (walk.left > 0).then(|| walk.finish())
}

impl Walk {
    fn expr(&mut self, expr: &Expr, context: &Context) {
        self.left = self.left.saturating_sub(1);
        if self.left == 0 {
            return;
        }
        let mut context = context.clone();
        context.depth += 1;
        if context.depth > DEPTH {
            return;
        }
        match expr {
            Expr::Paren(it) => self.maybe(it.expr(), &context),
            Expr::With(it) => self.maybe(it.body(), &context),
            Expr::Assert(it) => self.maybe(it.body(), &context),
            Expr::LetIn(it) => self.maybe(it.body(), &context),
            Expr::Lambda(it) => self.lambda(it, &context),
            Expr::AttrSet(it) => self.set(it, &context),
            Expr::List(_) => self.list(expr, &context),
            Expr::Apply(it) => self.apply(it, &context),
            Expr::IfElse(it) => {
                let text = it
                    .condition()
                    .map(|condition| words(condition.syntax()))
                    .unwrap_or_default();
                self.maybe(it.body(), &context.when(text.clone()));
                self.maybe(it.else_body(), &context.when(format!("not {text}")));
            }
            Expr::BinOp(it) => match it.operator() {
                // What the right side replaces isn't compared.
                Some(BinOpKind::Update) => {
                    if let Some(right @ Expr::AttrSet(_)) = it.rhs() {
                        self.expr(&right, &context);
                    }
                }
                Some(BinOpKind::Concat) => self.list(expr, &context),
                _ => self.leaf(expr, &context),
            },
            _ => self.leaf(expr, &context),
        }
    }

    fn maybe(&mut self, expr: Option<Expr>, context: &Context) {
        if let Some(expr) = expr {
            self.expr(&expr, context);
        }
    }

    /// A module's own function, not one that may be called for anything.
    fn lambda(&mut self, lambda: &ast::Lambda, context: &Context) {
        let is_module = matches!(lambda.param(), Some(ast::Param::Pattern(_)));
        if is_module || context.path.is_empty() {
            self.maybe(lambda.body(), context);
        }
    }

    fn set(&mut self, set: &ast::AttrSet, context: &Context) {
        for entry in set.entries() {
            match entry {
                Entry::AttrpathValue(it) => {
                    // A computed name may be anything, also the same twice.
                    let Some(keys) = it.attrpath().as_ref().and_then(resolve::keys) else {
                        continue;
                    };
                    // Declarations of options, and what modules say of themselves.
                    if context.path.is_empty()
                        && matches!(
                            keys.first().map(String::as_str),
                            Some("options" | "meta" | "_module")
                        )
                    {
                        continue;
                    }
                    self.maybe(it.value(), &context.at(&keys));
                }
                Entry::Inherit(it) => {
                    for attr in it.attrs() {
                        let Some(key) = resolve::key(&attr) else {
                            continue;
                        };
                        let inner = context.at(std::slice::from_ref(&key));
                        if it.from().is_some() {
                            self.unknown(&inner);
                        } else if let ast::Attr::Ident(name) = attr {
                            self.leaf(&Expr::Ident(name), &inner);
                        }
                    }
                }
            }
        }
    }

    fn apply(&mut self, apply: &ast::Apply, context: &Context) {
        // f a b is (f a) b
        let mut arguments = Vec::new();
        let mut function = Expr::Apply(apply.clone());
        while let Expr::Apply(it) = &function {
            let (Some(inner), Some(argument)) = (it.lambda(), it.argument()) else {
                return;
            };
            arguments.push(argument);
            function = inner;
            if arguments.len() > 4 {
                return;
            }
        }
        arguments.reverse();
        let Some(name) = resolve::last_name(&function) else {
            return self.leaf(&Expr::Apply(apply.clone()), context);
        };
        match (name.as_str(), arguments.as_slice()) {
            ("mkIf" | "optionalAttrs" | "optionals", [condition, value]) => {
                self.expr(value, &context.when(words(condition.syntax())));
            }
            ("mkMerge", [list]) => {
                for item in resolve::items(list) {
                    self.expr(&item, context);
                }
            }
            ("mkDefault" | "mkOptionDefault", [value]) | ("mkOverride", [_, value]) => {
                let mut inner = context.clone();
                inner.strength = Strength::Default;
                self.expr(value, &inner);
            }
            ("mkForce" | "mkVMOverride", [value]) => {
                let mut inner = context.clone();
                inner.strength = Strength::Forced;
                self.expr(value, &inner);
            }
            ("mkBefore" | "mkAfter", [value]) | ("mkOrder", [_, value]) => {
                self.expr(value, context);
            }
            (
                "nixosSystem"
                | "darwinSystem"
                | "homeManagerConfiguration"
                | "runNixOSTest"
                | "nixosTest"
                | "makeTest"
                | "makeHive",
                [argument],
            ) => {
                let start = u32::from(apply.syntax().text_range().start());
                self.expr(argument, &context.at(&[format!("{name} at {start}")]));
            }
            _ => self.leaf(&Expr::Apply(apply.clone()), context),
        }
    }

    fn list(&mut self, expr: &Expr, context: &Context) {
        if context.ends_with("imports") || context.ends_with("modules") {
            return self.modules(expr, context);
        }
        self.leaf(expr, context);
    }

    /// A list of modules: paths, and sets or functions in place.
    fn modules(&mut self, expr: &Expr, context: &Context) {
        let mut inner = context.clone();
        inner.path.pop();
        let is_import = context.ends_with("imports");
        let frame = paths_frame(if is_import {
            &inner.path
        } else {
            &context.path
        });
        let mut files = Vec::new();
        for item in resolve::items(expr) {
            // `(import ./x.nix { … })` is the module in that file. No module takes more
            // than a few steps: a name may stand for an import of itself.
            let mut module = resolve::resolve(&item);
            for _ in 0..STEPS {
                let Some(Expr::Apply(it)) = &module else {
                    break;
                };
                let function = it.lambda();
                module = match function.as_ref().and_then(resolve::last_name).as_deref() {
                    Some("import") => it.argument().and_then(|file| resolve::resolve(&file)),
                    Some(_) => None,
                    None => function.filter(|inner| matches!(inner, Expr::Apply(_))),
                };
            }
            match module {
                Some(Expr::PathRel(it)) if context.conditions.is_empty() => {
                    files.push(it.syntax().text().to_string());
                }
                Some(set @ (Expr::AttrSet(_) | Expr::Lambda(_))) => {
                    self.expr(&set, if is_import { &inner } else { context });
                }
                _ => {}
            }
        }
        if is_import && frame.is_empty() {
            self.facts.imports.extend(files);
        } else {
            self.facts.hosts.push((frame, files));
        }
    }

    /// A value that isn't a set.
    fn leaf(&mut self, expr: &Expr, context: &Context) {
        if context.ends_with("imports") || context.ends_with("modules") {
            return self.modules(expr, context);
        }
        let Some(place) = paths::place(&context.path) else {
            return;
        };
        if let Some(owner) = paths::enables(&place.option) {
            let state = match resolve::resolve(expr) {
                Some(Expr::Ident(it)) => match it.syntax().text().to_string().as_str() {
                    "true" => State::On,
                    "false" => State::Off,
                    other => State::When(other.to_owned()),
                },
                _ => State::When(words(expr.syntax())),
            };
            self.facts.enables.push(Enable {
                frame: place.frame,
                user: place.user,
                owner,
                state,
            });
            return;
        }
        let Some((owner, kind)) = paths::claim(&place.option) else {
            if let Some((last, parents)) = context.path.split_last()
                && paths::is_address(last)
            {
                let beside = beside(expr);
                self.beside
                    .entry(parents.to_vec())
                    .or_default()
                    .push(beside);
            }
            return;
        };
        let parents = context
            .path
            .split_last()
            .map(|(_, parents)| parents.to_vec())
            .unwrap_or_default();
        for (one, at) in self.values(expr, kind, &owner) {
            match one {
                Found::Claim(ports) => self.pending.push((
                    parents.clone(),
                    RawClaim {
                        frame: place.frame.clone(),
                        user: place.user.clone(),
                        option: place.option.clone(),
                        owner: owner.clone(),
                        conditions: context.conditions.clone(),
                        strength: context.strength,
                        ports,
                        start: at.start(),
                        end: at.end(),
                    },
                )),
                Found::Computed => self.facts.computed += 1,
                Found::Nothing => {}
            }
        }
    }

    /// The ports in an option's value, each with its place.
    fn values(&mut self, expr: &Expr, kind: Kind, owner: &[String]) -> Vec<(Found, TextRange)> {
        let range = expr.syntax().text_range();
        let strings = |read: &dyn Fn(&str) -> Found| {
            resolve::items(expr)
                .iter()
                .map(|item| {
                    let found = resolve::string(item).map_or(Found::Computed, |text| read(&text));
                    (found, item.syntax().text_range())
                })
                .collect()
        };
        match kind {
            Kind::Opening => {
                self.facts.openings += resolve::items(expr).len();
                Vec::new()
            }
            Kind::Number(protocol) => match resolve::resolve(expr) {
                Some(list) if is_list(&list) => resolve::items(&list)
                    .iter()
                    .filter(|item| !matches!(item, Expr::AttrSet(_)))
                    .map(|item| (number(item, protocol), item.syntax().text_range()))
                    .collect(),
                _ => vec![(number(expr, protocol), range)],
            },
            Kind::Published => strings(&strings::published),
            Kind::Streams(protocol) => strings(&|text| strings::stream(text, protocol)),
            Kind::Arguments => {
                let words: Vec<String> = resolve::items(expr)
                    .iter()
                    .map(|item| resolve::string(item).unwrap_or_else(|| UNKNOWN.to_string()))
                    .collect();
                let Some(found) = strings::arguments(&words) else {
                    self.unpublished.push(owner.to_vec());
                    return Vec::new();
                };
                found.into_iter().map(|one| (one, range)).collect()
            }
            Kind::Command => {
                // A list has one command: more are a one-shot's steps.
                let text = match resolve::resolve(expr) {
                    Some(list @ Expr::List(_)) => match resolve::items(&list).as_slice() {
                        [only] => resolve::string(only),
                        _ => None,
                    },
                    _ => resolve::string(expr),
                };
                text.map(|text| strings::command(&text))
                    .unwrap_or_default()
                    .into_iter()
                    .map(|one| (one, range))
                    .collect()
            }
        }
    }

    fn unknown(&mut self, context: &Context) {
        let claims = paths::place(&context.path)
            .and_then(|place| paths::claim(&place.option))
            .is_some_and(|(_, kind)| kind != Kind::Opening);
        self.facts.computed += usize::from(claims);
    }

    fn finish(mut self) -> FileFacts {
        for (parents, mut claim) in std::mem::take(&mut self.pending) {
            if self.unpublished.contains(&claim.owner) {
                continue;
            }
            let mut listens = true;
            for beside in self.beside.get(&parents).into_iter().flatten() {
                match beside {
                    Beside::Address(address) if claim.ports.address.is_none() => {
                        claim.ports.address = Some(*address);
                    }
                    Beside::Address(_) | Beside::Every => {}
                    Beside::Elsewhere => listens = false,
                    Beside::Computed => {
                        listens = false;
                        self.facts.computed += 1;
                    }
                }
            }
            if listens {
                self.facts.claims.push(claim);
            }
        }
        self.facts
    }
}

fn number(expr: &Expr, protocol: Protocol) -> Found {
    match resolve::integer(expr) {
        Some(port) => {
            u16::try_from(port)
                .ok()
                .filter(|&port| port > 0)
                .map_or(Found::Nothing, |port| {
                    Found::Claim(Ports {
                        first: port,
                        last: port,
                        protocol,
                        address: None,
                    })
                })
        }
        None if is_plain(expr) => Found::Nothing,
        None => Found::Computed,
    }
}

/// The host of a list of modules.
fn paths_frame(path: &[String]) -> String {
    match path {
        [config] if config == "config" => String::new(),
        path => path.join("."),
    }
}

fn beside(expr: &Expr) -> Beside {
    let Some(text) = resolve::string(expr) else {
        return if is_plain(expr) {
            Beside::Every
        } else {
            Beside::Computed
        };
    };
    if text.contains(UNKNOWN) {
        return Beside::Computed;
    }
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    match bare {
        "" | "*" | "any" | "all" => Beside::Every,
        "localhost" => Beside::Address(IpAddr::from([127, 0, 0, 1])),
        bare => match bare.parse::<IpAddr>() {
            Ok(address) if address.is_unspecified() => Beside::Every,
            Ok(address) => Beside::Address(address),
            Err(_) => Beside::Elsewhere,
        },
    }
}

fn is_list(expr: &Expr) -> bool {
    match expr {
        Expr::List(_) => true,
        Expr::BinOp(it) => it.operator() == Some(BinOpKind::Concat),
        _ => false,
    }
}

/// Whether it is written out, though not as a number: `null`, `true`, a string.
fn is_plain(expr: &Expr) -> bool {
    match resolve::resolve(expr) {
        Some(Expr::Ident(_) | Expr::Literal(_)) => true,
        Some(Expr::Str(_)) => resolve::string(expr).is_some_and(|text| !text.contains(UNKNOWN)),
        _ => false,
    }
}

/// A condition as text, spaces aside.
fn words(node: &rnix::SyntaxNode) -> String {
    node.text()
        .to_string()
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}
