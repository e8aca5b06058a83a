//! `cargo xtask dist`: makes what libiotda is handed out as. This file reads the command line; each kind of hand-out has a
//! module of its own. Which tools are needed, xtask knows; that the result works is shown by tests/.

#![forbid(unsafe_code)]

mod archive;
mod command;
mod debian;
mod package;
mod project;
mod source;

use anyhow::{Result, bail};
use lexopt::prelude::*;
use project::Project;
use std::path::PathBuf;
use std::process::ExitCode;

const HELP: &str = "\
Make what libiotda is handed out as

Usage: cargo xtask dist [--out DIR] [KIND ...]

  source    libiotda-VERSION.tar.gz: the source with the crates that it needs on Linux, so that CMake's
            FetchContent builds it without a registry
  packages  Debian's libiotda1 and libiotda-dev, and a .tar.gz to unpack anywhere

Without a KIND, all of them. They go to DIR, which is target/dist unless given; a file of the same name is replaced.
All times in them are that of the last commit, or SOURCE_DATE_EPOCH: the same source gives the same bytes.
";

/// Makes one kind of hand-out, and returns its files.
type Kind = (&'static str, fn(&Project) -> Result<Vec<PathBuf>>);

const KINDS: &[Kind] = &[("source", source::make), ("packages", package::make)];

fn main() -> ExitCode {
    match command_line() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn command_line() -> Result<()> {
    let mut parser = lexopt::Parser::from_env();
    let (mut out, mut chosen) = (None, Vec::new());
    while let Some(argument) = parser.next()? {
        match argument {
            Short('h') | Long("help") => {
                print!("{HELP}");
                return Ok(());
            }
            Long("out") => out = Some(PathBuf::from(parser.value()?)),
            Value(name) => match KINDS.iter().find(|(kind, _)| name == *kind) {
                Some(kind) => chosen.push(kind),
                None => bail!("there is no kind {name:?}; see cargo xtask dist --help"),
            },
            other => return Err(other.unexpected().into()),
        }
    }
    if chosen.is_empty() {
        chosen.extend(KINDS);
    }
    let project = Project::find(out)?;
    for (_, make) in chosen {
        make(&project)?.iter().for_each(|file| println!("{}", file.display()));
    }
    project.tidy_up()
}
