use std::fs;

use super::*;

fn network() -> Network {
    Network {
        bridge: "local-ai".to_owned(),
        subnets: vec!["10.89.0.0/24".to_owned(), "fd00:1::/64".to_owned()],
    }
}

fn written(text: &str) -> (tempfile::TempDir, Result<Network, GuardError>) {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join(NETWORKS);
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join("local-ai.json"), text).unwrap();
    let read = Network::read(root.path(), "local-ai");
    (root, read)
}

#[test]
fn podmans_file_of_a_network_is_read() {
    // As podman 5.8 writes it.
    let (_root, read) = written(
        r#"{"name":"local-ai","id":"e2","driver":"bridge","network_interface":"local-ai",
            "created":"2026-11-21T12:51:01Z","subnets":[{"subnet":"10.89.0.0/24","gateway":"10.89.0.1"},
            {"subnet":"fd00:1::/64","gateway":"fd00:1::1"}],"ipv6_enabled":true,"internal":false,
            "dns_enabled":true,"options":{"isolate":"strict"},"ipam_options":{"driver":"host-local"}}"#,
    );
    assert_eq!(read.unwrap(), network());
}

#[test]
fn no_word_of_that_file_becomes_a_rule_of_its_own() {
    for text in [
        r#"{"network_interface":"x\" accept; }","subnets":[]}"#,
        r#"{"network_interface":"local-ai","subnets":[{"subnet":"0.0.0.0/0 accept #"}]}"#,
        r#"{"network_interface":"","subnets":[]}"#,
        "{}",
        "no JSON",
    ] {
        let (_root, read) = written(text);
        assert!(matches!(read, Err(GuardError::Network { .. })), "{text}");
    }
    let empty = tempfile::tempdir().unwrap();
    let error = Network::read(empty.path(), "local-ai").unwrap_err();
    assert!(
        error
            .to_string()
            .contains("podman network inspect local-ai")
    );
}

#[test]
fn the_rules_name_bridge_and_subnets_of_both_families() {
    let rules = nft_rules("local-ai", &network());
    for part in [
        "delete table inet aistack-local-ai",
        r#"iifname != { "lo", "local-ai" } ip daddr { 10.89.0.0/24 } drop"#,
        r#"iifname != { "lo", "local-ai" } ip6 daddr { fd00:1::/64 } drop"#,
        r#"iifname != "local-ai" oifname "local-ai" ct state new ct status & dnat == 0 drop"#,
    ] {
        assert!(rules.contains(part), "{part}:\n{rules}");
    }
    let four = iptables_rules(&network(), false);
    assert!(four.contains("-A AISTACK-GATEWAY ! -i local-ai -d 10.89.0.0/24 -j DROP"));
    assert!(!four.contains("fd00"), "{four}");
    assert!(iptables_rules(&network(), true).contains("-d fd00:1::/64"));
}

#[test]
fn without_a_firewall_nothing_may_be_started() {
    let empty = tempfile::tempdir().unwrap();
    let firewall = Firewall::new(empty.path(), None);
    let error = firewall.close("local-ai", &network()).unwrap_err();
    assert!(error.to_string().contains("nothing is started"), "{error}");
}

/// Gives the rules to the real program in a network namespace of its own, twice, and returns
/// what stands there afterwards; none: it can't be tried here.
fn taken(program: &str, rules: &str, list: &str) -> Option<String> {
    let run = |script: &str| {
        Command::new("unshare")
            .args(["--net", "sh", "-ec", script])
            .env("RULES", rules)
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .output()
            .ok()
    };
    if !run(&format!("command -v {program}")).is_some_and(|done| done.status.success()) {
        println!("SKIP rules for {program}: it needs root and the program");
        return None;
    }
    let twice = format!("for _ in 1 2; do printf '%s' \"$RULES\" | {program}; done; {list}");
    let done = run(&twice)?;
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(done.status.success(), "{program}: {said}\n{rules}");
    Some(String::from_utf8_lossy(&done.stdout).into_owned())
}

#[test]
fn nftables_takes_the_rules_and_a_second_time_replaces_them() {
    let rules = nft_rules("local-ai", &network());
    let Some(seen) = taken("nft -f -", &rules, "nft list ruleset") else {
        return;
    };
    assert_eq!(seen.matches("chain containers").count(), 1, "{seen}");
    assert!(seen.contains("10.89.0.0/24"), "{seen}");
}

#[test]
fn iptables_takes_the_rules_and_a_second_time_replaces_them() {
    for (family, v6) in [("iptables", false), ("ip6tables", true)] {
        let rules = iptables_rules(&network(), v6);
        let list = format!("{family} -S && {family} -t raw -S");
        let restore = format!("{family}-restore --wait --noflush");
        let Some(seen) = taken(&restore, &rules, &list) else {
            return;
        };
        for chain in iptables_chains(&network(), v6) {
            let rules = seen
                .lines()
                .filter(|line| line.starts_with(&format!("-A {} ", chain.name)));
            assert_eq!(rules.count(), chain.rules.len(), "{}: {seen}", chain.name);
        }
    }
}
