//! Man pages and shell completions of this workspace's programs, made from the definitions of
//! their command lines. Hidden commands are left out of both.
//!
//! A program of its own, which the package runs and does not install: the installed programs do
//! not carry the generators.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use clap::Command;
use clap_complete::Shell;
use clap_mangen::Man;

/// The shells, and where each looks for completions below `share` (`{}` is the program).
const SHELLS: [(Shell, &str); 3] = [
    (Shell::Bash, "bash-completion/completions/{}.bash"),
    (Shell::Zsh, "zsh/site-functions/_{}"),
    (Shell::Fish, "fish/vendor_completions.d/{}.fish"),
];

/// The command lines of the programs that the package installs, without hidden commands.
#[must_use]
pub fn programs() -> [Command; 2] {
    [
        visible(&aistack::cli::command()),
        visible(&aistack_testdriver::cli::command()),
    ]
}

/// A copy of `command` that has no hidden command at any level. Names are leaked, because
/// clap takes owned ones only with a feature that would then also be in the programs.
fn visible(command: &Command) -> Command {
    let leaked = |text: &str| -> &'static str { text.to_owned().leak() };
    let mut copy = Command::new(leaked(command.get_name()))
        .args(command.get_arguments().cloned())
        .groups(command.get_groups().cloned())
        .subcommand_required(command.is_subcommand_required_set())
        .subcommands(
            command
                .get_subcommands()
                .filter(|each| !each.is_hide_set())
                .map(visible),
        );
    if let Some(text) = command.get_about() {
        copy = copy.about(text.clone());
    }
    if let Some(text) = command.get_long_about() {
        copy = copy.long_about(text.clone());
    }
    if let Some(text) = command.get_after_help() {
        copy = copy.after_help(text.clone());
    }
    if let Some(text) = command.get_after_long_help() {
        copy = copy.after_long_help(text.clone());
    }
    if let Some(version) = command.get_version() {
        copy = copy.version(leaked(version));
    }
    copy
}

/// The pages of a program: file name and troff text, one for each command, `aistack.1` first
/// and then as `aistack-check.1`.
///
/// # Errors
///
/// When a page cannot be written as text, or has nothing in it.
pub fn pages(program: &Command) -> Result<Vec<(String, String)>> {
    let mut program = program.clone().disable_help_subcommand(true);
    // Gives each command its full name ("aistack ports scan").
    program.build();
    let mut pages = Vec::new();
    add_pages(&program, &mut pages)?;
    Ok(pages)
}

fn add_pages(command: &Command, pages: &mut Vec<(String, String)>) -> Result<()> {
    let name = command
        .get_display_name()
        .unwrap_or(command.get_name())
        .to_owned();
    if command.get_about().is_none() {
        bail!("the command {name} has no description");
    }
    let man = Man::new(command.clone());
    let mut text = Vec::new();
    man.render(&mut text)
        .with_context(|| format!("the page of {name} cannot be made"))?;
    let text = String::from_utf8(text).with_context(|| format!("the page of {name} is no text"))?;
    pages.push((man.get_filename(), text));
    command
        .get_subcommands()
        .try_for_each(|each| add_pages(each, pages))
}

/// The completions of a program: the path below `share`, and the script.
///
/// # Errors
///
/// When a script is not valid UTF-8.
pub fn completions(program: &Command) -> Result<Vec<(String, String)>> {
    SHELLS
        .iter()
        .map(|(shell, place)| {
            let name = program.get_name().to_owned();
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut program.clone(), name.clone(), &mut script);
            let script = String::from_utf8(script)
                .with_context(|| format!("the {shell} completions of {name} are no text"))?;
            Ok((place.replace("{}", &name), script))
        })
        .collect()
}

/// Writes the pages and completions of all programs below `share`.
///
/// # Errors
///
/// When one cannot be made, or a file cannot be written.
pub fn write(share: &Path) -> Result<()> {
    for program in &programs() {
        for (name, text) in pages(program)? {
            place(&share.join("man/man1").join(name), &text)?;
        }
        for (path, text) in completions(program)? {
            place(&share.join(path), &text)?;
        }
    }
    Ok(())
}

fn place(path: &Path, text: &str) -> Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)
            .with_context(|| format!("the folder {} cannot be made", folder.display()))?;
    }
    fs::write(path, text).with_context(|| format!("{} cannot be written", path.display()))
}
