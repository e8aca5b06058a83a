//! `iotda completions` and `iotda man`: what packages install beside the command.

use std::fs;
use std::path::Path;

use clap::{Command, CommandFactory};

use crate::arguments::{Arguments, ShellName};
use crate::exit::Failure;
use crate::output::Output;

/// Prints the completions for a shell.
pub fn completions(shell: ShellName, output: &Output) {
    let shell = match shell {
        ShellName::Bash => clap_complete::Shell::Bash,
        ShellName::Zsh => clap_complete::Shell::Zsh,
        ShellName::Fish => clap_complete::Shell::Fish,
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "iotda", &mut script);
    output.line(String::from_utf8_lossy(&script).trim_end());
}

/// Writes the manual: iotda.1, and a page for each command.
pub fn man(directory: &Path) -> Result<(), Failure> {
    let mut command = Arguments::command().disable_help_subcommand(true);
    // So that pages have the names of the commands as they are typed.
    command.build();
    pages(&command, "iotda", directory)
}

fn pages(command: &Command, name: &str, directory: &Path) -> Result<(), Failure> {
    let mut page = Vec::new();
    // A date and a version would make each build another one.
    let man = clap_mangen::Man::new(command.clone()).title(name.to_uppercase()).date("").source("libiotda");
    let unwritable = |error: std::io::Error| {
        Failure::storage(format!("check the directory: {} cannot be written: {error}", directory.display()))
    };
    man.render(&mut page).map_err(unwritable)?;
    fs::write(directory.join(format!("{name}.1")), page).map_err(unwritable)?;
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
        pages(sub, &format!("{name}-{}", sub.get_name()), directory)?;
    }
    Ok(())
}
