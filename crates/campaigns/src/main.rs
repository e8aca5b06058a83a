//! The campaigns: searches for faults that take longer than a test may. `cargo xtask` runs this program, and prints
//! help.txt. This file reads the command line; each campaign has a module, which runs tests and programs of other
//! crates, or a tool, with more time than `cargo xtask test` gives them.

#![forbid(unsafe_code)]

mod crash;
mod mutants;
mod run;

use anyhow::{Result, bail};
use lexopt::prelude::*;
use std::process::ExitCode;

/// One entry for each campaign, which `cargo xtask` reads as well.
const HELP: &str = include_str!("help.txt");

/// The command line, after the campaign's name.
#[derive(Default)]
struct Arguments {
    names: Vec<String>,
    /// Such as `--seed 5`.
    numbers: Vec<(String, u64)>,
}

impl Arguments {
    fn number(&self, name: &str) -> Option<u64> {
        self.numbers.iter().rfind(|(other, _)| other == name).map(|(_, number)| *number)
    }
}

/// A campaign: its name, the options that take a number, whether it takes names, and what it does.
type Campaign = (&'static str, &'static [&'static str], bool, fn(&Arguments) -> Result<()>);

const CAMPAIGNS: &[Campaign] =
    &[("crash", &["states", "seed", "kills"], false, crash::run), ("mutants", &[], true, mutants::run)];

fn main() -> ExitCode {
    match command_line(lexopt::Parser::from_env()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            let is_unavailable = error.chain().any(|cause| cause.is::<run::Unavailable>());
            if is_unavailable { ExitCode::from(run::UNAVAILABLE) } else { ExitCode::FAILURE }
        }
    }
}

fn command_line(mut parser: lexopt::Parser) -> Result<()> {
    let name = match parser.next()? {
        None | Some(Short('h') | Long("help")) => {
            print!("{HELP}");
            return Ok(());
        }
        Some(Value(name)) => name.string()?,
        Some(other) => return Err(other.unexpected().into()),
    };
    let Some((_, options, takes_names, run)) = CAMPAIGNS.iter().find(|(other, ..)| *other == name) else {
        bail!("there is no campaign `{name}`; see cargo xtask help");
    };
    let mut arguments = Arguments::default();
    while let Some(argument) = parser.next()? {
        match argument {
            Short('h') | Long("help") => {
                print!("{HELP}");
                return Ok(());
            }
            Long(option) if options.contains(&option) => {
                let option = option.to_owned();
                arguments.numbers.push((option, parser.value()?.parse()?));
            }
            Value(value) if *takes_names => arguments.names.push(value.string()?),
            other => return Err(other.unexpected().into()),
        }
    }
    run(&arguments)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_has_every_campaign_with_its_options_and_no_other() {
        let entries = HELP.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
        let names: Vec<&str> = entries.clone().map(|line| line.trim_start().split(' ').next().unwrap()).collect();
        assert_eq!(names, CAMPAIGNS.iter().map(|(name, ..)| *name).collect::<Vec<_>>());
        for ((name, options, ..), entry) in CAMPAIGNS.iter().zip(entries) {
            assert!(options.iter().all(|option| entry.contains(&format!("[--{option} N]"))), "{name}: {entry}");
        }
    }

    #[test]
    fn what_a_campaign_does_not_take_is_refused() {
        for words in [&["crash", "--state", "5"][..], &["crash", "--states", "many"], &["crash", "iotda"], &["crahs"]] {
            let parser = lexopt::Parser::from_args(words.iter().map(ToString::to_string));
            assert!(command_line(parser).is_err(), "{words:?}");
        }
    }
}
