//! Small trees: what is a duplicate, and above all what is none.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::fs;

use std::time::Duration;

use aistack_extras::portscan::{Report, ScanError, scan, scan_within};

/// Scans files given as `(path, text)`.
fn tree(files: &[(&str, &str)]) -> Result<Report, ScanError> {
    let directory = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = directory.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    // Whatever else the machine does meanwhile: only one test is about the limit.
    scan_within(
        directory.path(),
        Duration::from_hours(1),
        Duration::from_hours(1),
    )
}

/// The options that each duplicate names, with its port.
fn found(files: &[(&str, &str)]) -> Vec<(u16, Vec<String>)> {
    tree(files)
        .unwrap()
        .duplicates
        .into_iter()
        .map(|duplicate| {
            let options = duplicate.claims.into_iter().map(|claim| claim.option);
            (duplicate.port, options.collect())
        })
        .collect()
}

fn duplicates(text: &str) -> usize {
    found(&[("host.nix", text)]).len()
}

#[track_caller]
fn silent(text: &str) {
    assert_eq!(found(&[("host.nix", text)]), [], "{text}");
}

#[track_caller]
fn told(text: &str) {
    assert_eq!(duplicates(text), 1, "{text}");
}

#[test]
fn two_services_with_their_places() {
    let text = "{ ... }:\n{\n  services.a.port = 8080;\n  services.b = {\n    enable = true;\n    \
                settings.server.http_port = 8080; # ä\n  };\n}\n";
    let report = tree(&[("hosts/box.nix", text)]).unwrap();
    let duplicate = &report.duplicates[0];
    assert_eq!(duplicate.port, 8080);
    let places: Vec<_> = duplicate
        .claims
        .iter()
        .map(|claim| {
            (
                claim.option.as_str(),
                claim.file.to_str().unwrap(),
                claim.line,
                claim.column,
                claim.end_column,
                claim.excerpt.as_str(),
            )
        })
        .collect();
    assert_eq!(
        places,
        [
            (
                "services.a.port",
                "hosts/box.nix",
                3,
                21,
                25,
                "  services.a.port = 8080;"
            ),
            (
                "services.b.settings.server.http_port",
                "hosts/box.nix",
                6,
                33,
                37,
                "    settings.server.http_port = 8080; # ä"
            ),
        ]
    );
    assert_eq!((report.claims, report.computed, report.files), (2, 0, 1));
}

#[test]
fn every_kind_of_claim_meets_a_service() {
    for claim in [
        "services.b.ports = [ 22 8080 ];",
        "services.b.ports.http = 8080;",
        "services.b.httpPort = \"8080\";",
        "services.aiStack.llama-cpp.ports.http = 8080;",
        "services.redis.servers.x.port = 8080;",
        "services.prometheus.exporters.node.port = 8080;",
        "virtualisation.oci-containers.containers.b.ports = [ \"127.0.0.1:8080:80\" ];",
        "virtualisation.oci-containers.containers.b.ports = [ \"8079-8081:79-81\" ];",
        "virtualisation.oci-containers.containers.b.extraOptions = [ \"-p\" \"8080:80\" ];",
        "virtualisation.oci-containers.containers.b.extraOptions = [ \"--publish=8080:80\" ];",
        "virtualisation.quadlet.containers.b.containerConfig.publishPorts = [ \"8080:80\" ];",
        "services.podman.containers.b.ports = [ \"8080:80\" ];",
        "systemd.services.b.serviceConfig.ExecStart = \"${pkgs.b}/bin/b --port 8080\";",
        "systemd.services.b = { serviceConfig = { ExecStart = \"${lib.getExe pkgs.b}/b -p 8080\"; }; };",
        "systemd.sockets.b.listenStreams = [ \"8080\" ];",
    ] {
        told(&format!(
            "{{ pkgs, lib, ... }}: {{ services.a.port = 8080; {claim} }}"
        ));
    }
}

#[test]
fn names_bound_in_the_file_are_followed() {
    for text in [
        "let p = 8080; in { services.a.port = p; services.b.port = 8080; }",
        "let ports.web = 8080; in { services.a.port = ports.web; services.b.port = 8080; }",
        "let ports = { web = 8080; }; in { services.a.port = ports.web; services.b.port = 8080; }",
        "let port = 8080; in { services.a = { inherit port; }; services.b.port = 8080; }",
        "let a = 8080; b = a; in { services.a.port = b; services.b.port = 8080; }",
        "{ lib, ... }: let p = 8080; in with lib; { services.a.port = p; services.b.port = 8080; }",
        "let p = 8080; in { services.a.port = 8080; virtualisation.oci-containers.containers.b.ports = [ \"${toString p}:80\" ]; }",
        "rec { services.a.port = p; services.b.port = 8080; p = 8080; }",
    ] {
        told(text);
    }
}

#[test]
fn what_is_computed_is_counted_and_not_guessed() {
    let report = tree(&[(
        "host.nix",
        "{ config, port, lib, ... }: {
          services.a.port = config.services.b.port;
          services.c.port = port;
          services.d = { inherit (config.x) port; };
          services.e.port = with lib; something;
          services.f.port = 8000 + 80;
          virtualisation.oci-containers.containers.g.ports = [ \"${config.x}:80\" ];
          services.h.port = 8080;
        }",
    )])
    .unwrap();
    assert_eq!(report.duplicates.len(), 0);
    assert_eq!((report.claims, report.computed), (1, 6));
    // A parameter hides the let around it.
    silent("let p = 8080; in { p, ... }: { services.a.port = p; services.b.port = 8080; }");
    // Circles end.
    silent("let a = b; b = a; s = \"${s}${s}\"; in { services.a.port = a; services.b.port = s; }");
    silent(
        "let a0 = \"${a1}${a1}\"; a1 = \"${a2}${a2}\"; a2 = \"${a0}${a0}\"; in { services.a.port = a0; }",
    );
}

#[test]
fn different_hosts_of_one_file() {
    silent(
        "{ outputs = { nixpkgs, ... }: { nixosConfigurations = {
            a = nixpkgs.lib.nixosSystem { modules = [ { services.a.port = 80; } ]; };
            b = nixpkgs.lib.nixosSystem { modules = [ { services.b.port = 80; } ]; };
        }; }; }",
    );
    silent("{ nodes.a.services.a.port = 80; nodes.b.services.b.port = 80; }");
    silent(
        "{ nodes.a = { ... }: { services.a.port = 80; }; nodes.b = { services.b.port = 80; }; }",
    );
    silent("{ services.a.port = 80; containers.c.config.services.b.port = 80; }");
    silent("{ services.a.port = 80; virtualisation.vmVariant.services.b.port = 80; }");
    silent("{ services.a.port = 80; specialisation.x.configuration.services.b.port = 80; }");
    silent("{ flake.nixosModules = { a.services.a.port = 80; b.services.b.port = 80; }; }");
    // One host of them twice.
    told(
        "{ nixosConfigurations.a = nixpkgs.lib.nixosSystem { modules = [
            { services.a.port = 80; } ({ ... }: { services.b.port = 80; })
        ]; }; }",
    );
    told("{ nodes.a = { services.a.port = 80; services.b.port = 80; }; }");
}

#[test]
fn not_at_one_time() {
    silent(
        "{ lib, x, ... }: lib.mkMerge [ (lib.mkIf x { services.a.port = 80; }) (lib.mkIf (!x) { services.b.port = 80; }) ]",
    );
    silent("{ x, ... }: if x then { services.a.port = 80; } else { services.b.port = 80; }");
    silent("{ services.a.port = 80; services.b = { enable = false; port = 80; }; }");
    silent("{ lib, ... }: { services.a.port = 80; services.b = lib.mkIf (!x) { port = 80; }; }");
    silent("{ cfg, ... }: { services.a.port = 80; services.b = { enable = cfg.b; port = 80; }; }");
    silent("{ services.a.port = 80; } // { services.b.port = 80; }");
    told(
        "{ lib, cfg, ... }: { config = lib.mkIf cfg.enable { services.a.port = 80; services.b.port = 80; }; }",
    );
    told("{ lib, ... }: lib.mkMerge [ { services.a.port = 80; } { services.b.port = 80; } ]");
}

#[test]
fn declarations_and_defaults() {
    silent(
        "{ lib, ... }: {
          options.services.a.port = lib.mkOption { type = lib.types.port; default = 80; };
          options.services.b.port = lib.mkOption { default = 80; example = 80; };
        }",
    );
    silent(
        "{ lib, ... }: { services.a.port = lib.mkOption { default = 80; }; services.b.port = lib.mkOption { default = 80; }; }",
    );
    // A default that another value replaces.
    silent(
        "{ lib, ... }: { imports = [ { services.a.port = lib.mkDefault 80; } ]; services.a.port = 81; services.b.port = 80; }",
    );
    silent(
        "{ lib, ... }: { imports = [ { services.a.port = lib.mkForce 81; } ]; services.a.port = 80; services.b.port = 80; }",
    );
    told("{ lib, ... }: { services.a.port = lib.mkDefault 80; services.b.port = 80; }");
}

#[test]
fn ports_to_connect_to() {
    for claim in [
        "services.b.database.port = 80;",
        "services.b.settings.smtp.port = 80;",
        "services.b.dbPort = 80;",
        "services.b.settings.redis.port = 80;",
        "services.b = { host = \"db.example.org\"; port = 80; };",
        "services.b.settings.server = { host = \"${config.x}\"; port = 80; };",
        "services.mpdscribble.port = 80;",
        "programs.ssh.matchBlocks.x.port = 80;",
        "services.prometheus.scrapeConfigs = [ { port = 80; } ];",
        "services.nginx.virtualHosts.x.locations.\"/\".proxyPass = \"http://127.0.0.1:80\";",
        "systemd.services.b.serviceConfig.ExecStart = \"${pkgs.openssh}/bin/ssh -p 80 host\";",
        "systemd.services.b.serviceConfig.ExecStart = \"/bin/b --host db.example.org --port 80\";",
        "networking.firewall.allowedTCPPorts = [ 80 ];",
        "networking.firewall.interfaces.eth0.allowedTCPPorts = [ 80 80 ];",
    ] {
        silent(&format!(
            "{{ pkgs, config, ... }}: {{ services.a.port = 80; {claim} }}"
        ));
    }
}

#[test]
fn one_program_by_several_options() {
    for claim in [
        "services.a.settings.http.port = 80;",
        "services.a.virtualHosts.y.listen = [ { port = 80; } ];",
        "systemd.services.a.serviceConfig.ExecStart = \"/bin/a --port 80\";",
        "systemd.sockets.a.listenStreams = [ \"80\" ];",
        "systemd.services.a-worker.serviceConfig.ExecStart = \"/bin/a --port 80\";",
        "virtualisation.oci-containers.containers.a.ports = [ \"80:80\" ];",
    ] {
        silent(&format!("{{ services.a.port = 80; {claim} }}"));
    }
}

#[test]
fn addresses_and_protocols() {
    let with = |claim: &str| {
        format!("{{ services.a = {{ address = \"127.0.0.1\"; port = 80; }}; {claim} }}")
    };
    told(&with(
        "services.b = { listenAddress = \"localhost\"; port = 80; };",
    ));
    told(&with("services.b.port = 80;"));
    silent(&with(
        "services.b = { listenAddress = \"192.0.2.1\"; port = 80; };",
    ));
    silent(&with(
        "virtualisation.oci-containers.containers.b.ports = [ \"192.0.2.1:80:80\" ];",
    ));
    silent(&with(
        "virtualisation.oci-containers.containers.b.ports = [ \"80:80/udp\" ];",
    ));
    silent(&with(
        "networking.wireguard.interfaces.wg0.listenPort = 80;",
    ));
    silent(&with(
        "virtualisation.oci-containers.containers.b = { ports = [ \"80:80\" ]; extraOptions = [ \"--network=host\" ]; };",
    ));
    silent(
        "{ services.a.port = 0; services.b.port = 0; services.c.port = 70000; services.d.port = -1; }",
    );
}

#[test]
fn home_manager_users_share_the_host_with_the_system() {
    told("{ services.a.port = 80; home-manager.users.x.services.b.port = 80; }");
    silent(
        "{ home-manager.users.x.services.b.port = 80; home-manager.users.y.services.c.port = 80; }",
    );
}

#[test]
fn files_that_one_file_brings_together() {
    let a = ("a.nix", "{ services.a.port = 80; }");
    let b = ("b/default.nix", "{ ... }: { services.b.port = 80; }");
    assert_eq!(found(&[a, b]), [], "nothing says that they meet");
    let both = [(
        80,
        vec!["services.a.port".to_owned(), "services.b.port".to_owned()],
    )];
    for root in [
        "{ imports = [ ./a.nix ./b ]; }",
        "{ imports = [ ./a.nix ] ++ [ ./b/default.nix ]; }",
        "{ imports = [ (import ./a.nix { }) ./c.nix ]; }",
        "let common = [ ./a.nix ]; in { imports = common ++ [ ./b ]; }",
        "{ x = nixpkgs.lib.nixosSystem { modules = [ ./a.nix ./b ]; }; }",
    ] {
        let c = ("c.nix", "{ imports = [ ./b ]; }");
        assert_eq!(found(&[a, b, c, ("root.nix", root)]), both, "{root}");
    }
    let inline = "{ x = nixosSystem { modules = [ ./a.nix { services.c.port = 80; } ]; }; }";
    assert_eq!(found(&[a, ("flake.nix", inline)]).len(), 1);
    for root in [
        "{ lib, x, ... }: { imports = [ ./a.nix ] ++ lib.optional x ./b; }",
        "{ x = nixosSystem { modules = [ ./a.nix ]; }; y = nixosSystem { modules = [ ./b ]; }; }",
        "{ imports = [ ./a.nix ./missing.nix ../b ]; }",
        "{ a = ./a.nix; b = ./b; }",
        "{ imports = [ ./a.nix ./b ]; services.b.enable = false; }",
    ] {
        assert_eq!(found(&[a, b, ("root.nix", root)]), [], "{root}");
    }
    // Conditions in different files may be about different things.
    let a = (
        "a.nix",
        "{ lib, x, ... }: lib.mkIf x { services.a.port = 80; }",
    );
    let b = (
        "b.nix",
        "{ lib, x, ... }: lib.mkIf x { services.b.port = 80; }",
    );
    assert_eq!(
        found(&[a, b, ("root.nix", "{ imports = [ ./a.nix ./b.nix ]; }")]),
        []
    );
    // Circles end.
    let a = ("a.nix", "{ imports = [ ./b.nix ]; services.a.port = 80; }");
    let b = ("b.nix", "{ imports = [ ./a.nix ]; services.b.port = 80; }");
    assert_eq!(
        found(&[a, b, ("root.nix", "{ imports = [ ./a.nix ]; }")]).len(),
        1
    );
}

#[test]
fn tests_examples_and_ignored_files_are_left_alone() {
    let text = "{ services.a.port = 80; services.b.port = 80; }";
    let report = tree(&[
        ("tests/a.nix", text),
        ("modules/x/examples/b.nix", text),
        (".gitignore", "result*\n"),
        ("result/c.nix", text),
        ("d.nix", "{ }"),
    ])
    .unwrap();
    assert_eq!(report.duplicates.len(), 0);
    assert_eq!((report.files, report.aside), (3, 2));
}

#[test]
fn a_file_that_cannot_be_parsed_does_not_stop_the_others() {
    let report = tree(&[
        ("bad.nix", "{\n  a = ;\n}"),
        (
            "good.nix",
            "{ services.a.port = 80; services.b.port = 80; }",
        ),
    ])
    .unwrap();
    assert_eq!(report.duplicates.len(), 1);
    let problem = &report.problems[0];
    assert_eq!(problem.file.to_str(), Some("bad.nix"));
    assert_eq!(problem.line, Some(2));
    assert!(
        problem.message.starts_with("cannot be parsed"),
        "{problem:?}"
    );
    assert!(matches!(
        tree(&[("bad.nix", "{")]),
        Err(ScanError::Nothing { problems, .. }) if problems.len() == 1
    ));
    assert!(matches!(tree(&[]), Err(ScanError::Nothing { .. })));
    assert!(matches!(
        scan("/nonexistent".as_ref()),
        Err(ScanError::Unreadable { .. })
    ));
}

#[test]
fn names_that_lead_to_each_other_without_end() {
    let two = |name: &str| format!("imports = [ {name} {name} ];");
    // A name that is an import of itself; modules that have themselves twice; and
    // thirty that have the next one twice, in no circle at all.
    let chain: Vec<String> = (0..30)
        .map(|n| format!("a{n} = {{ {} }};", two(&format!("a{}", n + 1))))
        .collect();
    let chain = chain.join(" ");
    let ends = [
        "let a = import a; in { imports = [ a ]; }".to_owned(),
        "let a = import a { } { }; in { imports = [ a ]; }".to_owned(),
    ];
    let circles = [
        format!("rec {{ a = {{ {} }}; {} }}", two("a"), two("a")),
        format!("let a = {{ {} }}; in {{ {} }}", two("a"), two("a")),
        format!(
            "let {chain} a30 = {{ services.a.port = 80; }}; in {{ {} }}",
            two("a0")
        ),
    ];
    let good = "{ services.a.port = 80; services.b.port = 80; }";
    for (texts, problems) in [(&ends[..], 0), (&circles[..], 1)] {
        for text in texts {
            let report = tree(&[("bad.nix", text), ("good.nix", good)]).unwrap();
            assert_eq!(report.duplicates.len(), 1, "{text}");
            assert_eq!(report.problems.len(), problems, "{text}");
            for problem in &report.problems {
                assert_eq!(problem.file.to_str(), Some("bad.nix"));
                assert!(problem.message.contains("without end"), "{problem:?}");
            }
        }
    }
}

#[test]
fn a_file_that_takes_the_parser_for_ever_is_given_up_on() {
    // For each operator that could begin a path the tokenizer looks at all that follow:
    // minutes, for as many as a file may have.
    let directory = tempfile::tempdir().unwrap();
    let bad = format!("{{ services.a.port = 1 {}; }}", "+".repeat(1_000_000));
    fs::write(directory.path().join("bad.nix"), bad).unwrap();
    let good = "{ services.a.port = 80; services.b.port = 80; }";
    for name in ["a.nix", "z.nix"] {
        fs::write(directory.path().join(name), good).unwrap();
    }
    let report = scan_within(
        directory.path(),
        Duration::from_secs(3),
        Duration::from_mins(5),
    )
    .unwrap();
    assert_eq!((report.files, report.duplicates.len()), (2, 2));
    let [problem] = &report.problems[..] else {
        panic!("{:?}", report.problems);
    };
    assert_eq!(problem.file.to_str(), Some("bad.nix"));
    assert!(problem.message.starts_with("was given up on after 3 s"));
}

#[test]
fn deep_and_long_files() {
    // No longer: the parser's own time grows with the square of some chains.
    let chains = [
        format!("{{ services.a.port = {}1; }}", "(".repeat(10_000)),
        format!(
            "{{ services.a.port = {}1{}; }}",
            "(".repeat(400),
            ")".repeat(400)
        ),
        format!(
            "{{ services.a.ports = [ 1 ]{}; }}",
            " ++ [ 2 ]".repeat(1_500)
        ),
        format!("{{ services.a.port = f{}; }}", " x".repeat(1_500)),
        format!("{{ services{} = 1; }}", ".a".repeat(1_500)),
        format!(
            "{{ services.a.port = {{ }}{}; }}",
            " // { port = 1; }".repeat(1_500)
        ),
    ];
    // The largest file that is read, as deep as it can be; and one that is larger.
    let longest = |length: usize| format!("{{ x = [ ]{}; }}", " ++ [ 2 ]".repeat(length / 9));
    let report = tree(&[
        ("long.nix", &longest(1024 * 1024 - 30)),
        ("longer.nix", &longest(1024 * 1024 + 30)),
    ])
    .unwrap();
    assert_eq!(report.files, 1);
    assert!(
        report.problems[0]
            .message
            .starts_with("is larger than 1 MiB")
    );
    for text in chains {
        // That it comes back is what counts.
        drop(tree(&[("deep.nix", &text), ("other.nix", "{ }")]).unwrap());
    }
}

mod arbitrary {
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn no_text_ends_the_scan(text in ".{0,200}") {
            drop(super::tree(&[("a.nix", &text), ("b.nix", "{ }")]).unwrap());
        }

        #[test]
        fn nor_do_pieces_of_nix(pieces in proptest::collection::vec(prop_oneof![
            Just("{"), Just("}"), Just("services.a.port"), Just("="), Just("80"), Just(";"),
            Just("let"), Just("in"), Just("a"), Just("rec"), Just("inherit"), Just("("),
            Just(")"), Just("["), Just("]"), Just("\"${"), Just("}\""), Just("\""), Just("''"),
            Just("imports"), Just("./."), Just("mkIf"), Just(":"), Just("//"), Just("++"),
            Just("."), Just("with"), Just("if"), Just("then"), Just("else"), Just("ports"),
            Just("${a}"), Just("or"), Just("-"), Just("\u{e4}\u{1f600}"), Just("ExecStart"),
            Just("virtualisation.oci-containers.containers.b.ports"), Just("\"80:80\""),
        ], 0..60), spaces in any::<bool>()) {
            let text = pieces.join(if spaces { " " } else { "" });
            drop(super::tree(&[("a.nix", &text), ("b.nix", "{ }")]).unwrap());
        }
    }
}

#[test]
fn patterns_that_never_end_are_named_and_nothing_hangs() {
    use std::os::unix::fs::symlink;
    let start = std::time::Instant::now();
    for (trap, name) in [
        ("zero", ".gitignore"),
        ("pipe", ".gitignore"),
        ("pipe", ".ignore"),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        fs::create_dir_all(at("good")).unwrap();
        fs::create_dir_all(at("trap/below")).unwrap();
        fs::write(
            at("good/a.nix"),
            "{ services.redis.servers.x.port = 6379; }",
        )
        .unwrap();
        fs::write(at("good/.gitignore"), "b.nix\n").unwrap();
        fs::write(at("good/b.nix"), "{ services.grafana.port = 6379; }").unwrap();
        fs::write(at("trap/below/c.nix"), "{ }").unwrap();
        let patterns = at("trap").join(name);
        if trap == "zero" {
            symlink("/dev/zero", &patterns).unwrap();
        } else {
            let made = std::process::Command::new("mkfifo").arg(&patterns).status();
            assert!(made.unwrap().success());
        }
        let report = scan(directory.path()).unwrap();
        assert_eq!(report.files, 1, "{trap}: {report:?}");
        assert_eq!(report.problems.len(), 1, "{trap}: {report:?}");
        assert!(report.problems[0].file.ends_with(name), "{report:?}");

        // The folder that was named, and one above it.
        let error = scan(&at("trap")).unwrap_err();
        assert!(matches!(error, ScanError::Nothing { .. }), "{error}");
        assert_eq!(scan(&at("trap/below")).unwrap().files, 1);
        // A file named .git would have another one be read, wherever it is.
        fs::write(at("good/.git"), format!("gitdir: {}", at("trap").display())).unwrap();
        let made = std::process::Command::new("mkfifo")
            .arg(at("trap/commondir"))
            .status();
        assert!(made.unwrap().success());
        assert_eq!(scan(&at("good")).unwrap().files, 1);
    }
    assert!(start.elapsed() < Duration::from_secs(30));
}
