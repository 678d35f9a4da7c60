//! The man pages and completions that the package gets.

use std::collections::BTreeSet;

use clap::Command;

/// The commands for which `wanted` holds, each as the names that lead to it, without what is
/// below a hidden one.
fn paths(command: &Command, wanted: fn(&Command) -> bool) -> Vec<Vec<String>> {
    let name = command.get_name().to_owned();
    let mut found = Vec::new();
    for each in command.get_subcommands() {
        if wanted(each) {
            found.push(vec![name.clone(), each.get_name().to_owned()]);
        }
        if !each.is_hide_set() {
            found.extend(paths(each, wanted).into_iter().map(|mut path| {
                path.insert(0, name.clone());
                path
            }));
        }
    }
    found
}

/// Whether a script completes the command, by the mark that each shell's script has for one.
/// Fish's mark is that of the last name alone.
fn completes(file: &str, script: &str, path: &[String]) -> bool {
    let Some((name, parents)) = path.split_last() else {
        return false;
    };
    let mark = match file.split('/').next() {
        Some("bash-completion") => {
            let parents = parents.join("__subcmd__").replace('-', "__");
            format!(" {parents},{name})\n")
        }
        Some("zsh") => format!("\n_{}_commands() {{", path.join("__subcmd__")),
        _ => format!("-a \"{name}\""),
    };
    script.contains(&mark)
}

#[test]
fn each_command_has_a_page_with_a_name_a_synopsis_and_its_options() {
    for program in &xtask::programs() {
        let pages = xtask::pages(program).expect("pages");
        let names: BTreeSet<&str> = pages.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names.len(), pages.len(), "two pages have one name");
        let name = program.get_name();
        assert!(names.contains(format!("{name}.1").as_str()));
        for each in program.get_subcommands() {
            let page = format!("{name}-{}.1", each.get_name());
            assert!(names.contains(page.as_str()), "{page} is missing");
        }
        for (file, text) in &pages {
            for section in [".SH NAME", ".SH SYNOPSIS", ".SH DESCRIPTION"] {
                assert!(text.contains(section), "{file} has no {section}");
            }
            assert!(
                !text.contains(r"\-\fR") && text.lines().count() > 8,
                "{file} is empty"
            );
        }
    }
}

#[test]
fn pages_and_completions_have_the_visible_commands_and_no_hidden_one() {
    let whole = [aistack::cli::command(), aistack_testdriver::cli::command()];
    let mut hidden = 0;
    for (whole, program) in whole.iter().zip(&xtask::programs()) {
        let pages = xtask::pages(program).expect("pages");
        let scripts = xtask::completions(program).expect("completions");
        assert_eq!(scripts.len(), 3);
        let has_page = |path: &[String]| {
            let file = format!("{}.1", path.join("-"));
            pages.iter().any(|(name, _)| *name == file)
        };
        for path in paths(whole, |each| !each.is_hide_set()) {
            assert!(has_page(&path), "{path:?} has no page");
            for (file, script) in &scripts {
                assert!(completes(file, script, &path), "{file} lacks {path:?}");
            }
        }
        for path in paths(whole, Command::is_hide_set) {
            hidden += 1;
            assert!(!has_page(&path), "{path:?} is hidden and has a page");
            for (file, script) in &scripts {
                // Below fish's mark a hidden command and one of another command are the same.
                if path.len() == 2 || !file.starts_with("fish/") {
                    assert!(!completes(file, script, &path), "{file} has {path:?}");
                }
            }
        }
    }
    assert!(hidden > 0, "no command is hidden, so this shows nothing");
}

#[test]
fn files_lie_where_a_package_has_them() {
    let share = tempfile::tempdir().expect("a folder");
    xtask::write(share.path()).expect("written");
    for file in [
        "man/man1/aistack.1",
        "man/man1/aistack-check.1",
        "man/man1/aistack-testdriver.1",
        "man/man1/aistack-testdriver-run.1",
        "bash-completion/completions/aistack.bash",
        "zsh/site-functions/_aistack",
        "fish/vendor_completions.d/aistack-testdriver.fish",
    ] {
        let size = share.path().join(file).metadata().expect(file).len();
        assert!(size > 200, "{file} has {size} bytes");
    }
}
