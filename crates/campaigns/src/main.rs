//! The campaigns: searches for faults that take longer than a test may. `cargo xtask` runs this program, and prints
//! help.txt. This file reads the command line; each campaign has a module, which runs tests and programs of other
//! crates, or a tool, with more time than `cargo xtask test` gives them.

#![forbid(unsafe_code)]

mod crash;
mod faults;
mod fuzz;
mod load;
mod mutants;
mod sanitize;
mod soak;

use anyhow::{Result, bail};
use devkit::process;
use lexopt::prelude::*;
use std::process::ExitCode;

/// One entry for each campaign, which `cargo xtask` reads as well.
const HELP: &str = include_str!("help.txt");

/// The command line, after the campaign's name.
#[derive(Default)]
struct Arguments {
    names: Vec<String>,
    /// Such as `--keep`.
    flags: Vec<String>,
    /// Such as `--seed 5`.
    numbers: Vec<(String, u64)>,
}

impl Arguments {
    fn has(&self, flag: &str) -> bool {
        self.flags.iter().any(|other| other == flag)
    }

    fn number(&self, name: &str) -> Option<u64> {
        self.numbers.iter().rfind(|(other, _)| other == name).map(|(_, number)| *number)
    }
}

/// A campaign, with what its command line may have.
struct Campaign {
    name: &'static str,
    /// Options that take a number.
    numbers: &'static [&'static str],
    flags: &'static [&'static str],
    takes_names: bool,
    run: fn(&Arguments) -> Result<()>,
}

/// In the order of the help.
const CAMPAIGNS: &[Campaign] = &[
    Campaign { name: "fuzz", numbers: &["minutes"], flags: &["keep"], takes_names: true, run: fuzz::run },
    Campaign { name: "faults", numbers: &[], flags: &[], takes_names: false, run: faults::run },
    Campaign { name: "sanitize", numbers: &[], flags: &[], takes_names: true, run: sanitize::run },
    Campaign { name: "soak", numbers: &["hours", "minutes", "seed"], flags: &[], takes_names: false, run: soak::run },
    Campaign {
        name: "crash",
        numbers: &["states", "seed", "kills", "entries"],
        flags: &[],
        takes_names: false,
        run: crash::run,
    },
    Campaign {
        name: "load",
        numbers: &["batches", "devices", "records", "rows"],
        flags: &[],
        takes_names: false,
        run: load::run,
    },
    Campaign { name: "mutants", numbers: &[], flags: &[], takes_names: true, run: mutants::run },
];

fn main() -> ExitCode {
    match command_line(lexopt::Parser::from_env()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => process::failed(&error),
    }
}

/// cargo's options for the tests of a campaign: optimized, and with checks that a release does not have.
fn profile() -> [&'static str; 3] {
    ["--locked", "--profile", "campaign"]
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
    let Some(campaign) = CAMPAIGNS.iter().find(|campaign| campaign.name == name) else {
        bail!("there is no campaign `{name}`; see cargo xtask help");
    };
    let mut arguments = Arguments::default();
    while let Some(argument) = parser.next()? {
        match argument {
            Short('h') | Long("help") => {
                print!("{HELP}");
                return Ok(());
            }
            Long(flag) if campaign.flags.contains(&flag) => arguments.flags.push(flag.to_owned()),
            Long(option) if campaign.numbers.contains(&option) => {
                let option = option.to_owned();
                arguments.numbers.push((option, parser.value()?.parse()?));
            }
            Value(value) if campaign.takes_names => arguments.names.push(value.string()?),
            other => return Err(other.unexpected().into()),
        }
    }
    (campaign.run)(&arguments)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_has_every_campaign_with_its_options_and_no_other() {
        let entries = HELP.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
        let names: Vec<&str> = entries.clone().map(|line| line.trim_start().split(' ').next().unwrap()).collect();
        assert_eq!(names, CAMPAIGNS.iter().map(|campaign| campaign.name).collect::<Vec<_>>());
        for (campaign, entry) in CAMPAIGNS.iter().zip(entries) {
            let numbers = campaign.numbers.iter().map(|option| format!("[--{option} N]"));
            let options = numbers.chain(campaign.flags.iter().map(|flag| format!("[--{flag}]")));
            let shown: Vec<_> = options.filter(|option| entry.contains(option)).collect();
            assert_eq!(entry.matches("--").count(), campaign.numbers.len() + campaign.flags.len(), "{entry}");
            assert_eq!(shown.len(), campaign.numbers.len() + campaign.flags.len(), "{entry}");
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
