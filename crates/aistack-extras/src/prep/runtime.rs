//! Which container runtimes are there and work, asked by questions that start nothing.

use std::ffi::OsStr;
use std::path::Path;

use aistack_machine::command::{extended_path, find};
use aistack_machine::runtime::{ask, look};

use crate::prep::check::Check;

pub use aistack_machine::cgroup::Engine;
pub use aistack_machine::runtime::Runtime;

/// Everything that was found.
#[derive(Clone, Debug, Default)]
pub struct Runtimes {
    /// The working ones, podman first.
    pub working: Vec<Runtime>,
    /// The command that reads compose files, as a person types it, and its version.
    pub compose: Option<(String, String)>,
    /// What was seen, one line each.
    pub checks: Vec<Check>,
}

impl Runtimes {
    /// Whether that one works.
    #[must_use]
    pub fn has(&self, engine: Engine) -> bool {
        self.working.iter().any(|runtime| runtime.engine == engine)
    }

    /// The one to use.
    #[must_use]
    pub fn preferred(&self) -> Option<&Runtime> {
        self.working.first()
    }

    /// Looks for runtimes in `path` (the value of `PATH`) and the usual places.
    #[must_use]
    pub fn find(path: Option<&OsStr>) -> Self {
        let mut all = Self::default();
        let root = Path::new("/");
        let extended = extended_path(path);
        let (mut silent, mut broken) = (Vec::new(), Vec::new());
        for program in ["podman", "docker"] {
            let Some(found) = find(root, path, &[], program) else {
                silent.push(program);
                continue;
            };
            match look(&found, &extended) {
                // `docker` may be podman under another name.
                Ok(runtime) if all.has(runtime.engine) => {
                    all.checks.push(Check::info(
                        program,
                        format!(
                            "{} is {} by another name",
                            found.display(),
                            runtime.engine.name()
                        ),
                    ));
                }
                Ok(runtime) => {
                    all.checks.push(of_runtime(&found, &runtime));
                    all.working.push(runtime);
                }
                Err(seen) => broken.push(Check::not_ok(
                    program,
                    format!("{} is there and does not work: {seen}", found.display()),
                    repair(program),
                )),
            }
        }
        // One that works is enough; a broken second one is only told.
        if !all.working.is_empty() {
            for mut check in broken {
                check.finding = crate::prep::Finding::Info;
                all.checks.push(check);
            }
        } else if !broken.is_empty() {
            all.checks.extend(broken);
        } else {
            all.checks.push(Check::not_ok(
                "runtime",
                format!(
                    "neither {} was found in PATH nor in the usual places",
                    silent.join(" nor ")
                ),
                "on NixOS set virtualisation.podman.enable = true; elsewhere install the \
                 distribution's package podman",
            ));
        }
        all.compose(path, &extended);
        all
    }

    fn compose(&mut self, path: Option<&OsStr>, extended: &OsStr) {
        let root = Path::new("/");
        let mut candidates: Vec<(&str, &[&str], Engine)> = Vec::new();
        if self.has(Engine::Docker) {
            candidates.push(("docker", &["compose", "version", "--short"], Engine::Docker));
        }
        // Both speak with podman: one by itself, the other over podman's socket.
        candidates.push(("podman-compose", &["--version"], Engine::Podman));
        candidates.push(("docker-compose", &["version", "--short"], Engine::Docker));
        for (program, arguments, _) in candidates {
            let Some(found) = find(root, path, &[], program) else {
                continue;
            };
            let Ok(done) = ask(&found, extended, arguments) else {
                continue;
            };
            let said = String::from_utf8_lossy(&done.stdout);
            // podman-compose has podman say its version as well, in whichever order.
            let of_compose = said.lines().filter(|line| line.contains("compose"));
            let Some(version) = of_compose
                .chain(said.lines())
                .flat_map(str::split_whitespace)
                .find_map(version)
            else {
                continue;
            };
            if done.status.success() {
                let name = match arguments.first() {
                    Some(&"compose") => "docker compose".to_owned(),
                    _ => program.to_owned(),
                };
                self.checks
                    .push(Check::ok("compose", format!("{name} {version}")));
                self.compose = Some((name, version));
                return;
            }
        }
        self.checks.push(Check::not_ok(
            "compose",
            "no program that reads compose files was found: neither podman-compose, \
             docker-compose nor docker's own",
            "on NixOS add pkgs.podman-compose to environment.systemPackages; elsewhere install \
             the distribution's package podman-compose",
        ));
    }
}

/// A word that is a version: `1.5.0`, `v2.38.2`.
fn version(word: &str) -> Option<String> {
    let word = word.trim_start_matches('v').trim_end_matches(',');
    (word.starts_with(|c: char| c.is_ascii_digit()) && word.contains('.') && word.len() < 40)
        .then(|| word.chars().filter(|c| !c.is_control()).collect())
}

fn of_runtime(program: &Path, runtime: &Runtime) -> Check {
    let what = format!(
        "{} {} works ({}), networks by {}",
        runtime.engine.name(),
        runtime.version,
        program.display(),
        runtime.network_backend
    );
    if runtime.dns == Some(false) {
        Check::not_ok(
            runtime.engine.name(),
            format!("{what}, but without names: containers would not find each other"),
            "install netavark's resolver: on NixOS it comes with virtualisation.podman.enable, \
             elsewhere with the package aardvark-dns",
        )
    } else {
        Check::ok(runtime.engine.name(), what)
    }
}

fn repair(program: &str) -> String {
    match program {
        "podman" => "run `podman info` to see it whole; for a user's podman `aistack check \
                     --preflight` says what the host lacks"
            .to_owned(),
        _ => "start its daemon (`systemctl start docker`), or be in its group".to_owned(),
    }
}
