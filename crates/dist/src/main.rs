//! `cargo xtask dist`: makes what libiotda is handed out as. This file reads the command line; each kind of hand-out has a
//! module of its own. Which tools are needed, xtask knows; that the result works is shown by tests/.

#![forbid(unsafe_code)]

mod archive;
mod debian;
mod go;
mod go_archives;
mod go_files;
mod licences;
mod package;
mod project;
mod source;
mod stand_in;
mod tools;

use anyhow::{Result, bail};
use devkit::process;
use lexopt::prelude::*;
use project::Project;
use std::path::PathBuf;
use std::process::ExitCode;

const HELP: &str = "\
Make what libiotda is handed out as

Usage: cargo xtask dist [--out DIR] [--platform NAME ...] [--profile NAME] [KIND ...]

  source    libiotda-VERSION.tar.gz: the source with the crates that it needs on Linux, so that CMake's
            FetchContent builds it without a registry
  packages  Debian's libiotda1 and libiotda-dev, and a .tar.gz to unpack anywhere
  go        go-proxy, which GOPROXY=file://... takes: the Go module, with the static library for each platform
            in a module of its own; and go-repository.git, with the tags that publish them. The platforms are
            all that this machine can build for, or those that are named: linux-amd64, linux-arm64, ...
  tools     Debian's iotda-tools, and a .tar.gz of the same: the command iotda, its manual pages and completions.
            cargo builds the command by the profile of this name, which is release unless given
  stand-in  a .tar.gz of iotda-platform alone, a static program that any Linux of this processor runs

Without a KIND, all of them. They go to DIR, which is target/dist unless given; a file of the same name is replaced.
All times in them are that of the last commit, or SOURCE_DATE_EPOCH: the same source gives the same bytes.
";

/// Makes one kind of hand-out, and returns its files.
type Kind = (&'static str, fn(&Project, &Options) -> Result<Vec<PathBuf>>);

const KINDS: &[Kind] = &[
    ("source", |project, _| source::make(project)),
    ("packages", |project, _| package::make(project)),
    ("go", go::make),
    ("tools", tools::make),
    ("stand-in", |project, _| stand_in::make(project)),
];

/// What the command line says beside the kinds.
#[derive(Default)]
struct Options {
    /// The platforms of the Go module's archives; none for all that can be built.
    platforms: Vec<String>,
    /// cargo's profile for the command.
    profile: Option<String>,
}

fn main() -> ExitCode {
    match command_line() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => process::failed(&error),
    }
}

fn command_line() -> Result<()> {
    let mut parser = lexopt::Parser::from_env();
    let (mut out, mut chosen, mut options) = (None, Vec::new(), Options::default());
    while let Some(argument) = parser.next()? {
        match argument {
            Short('h') | Long("help") => {
                print!("{HELP}");
                return Ok(());
            }
            Long("platform") => options.platforms.push(parser.value()?.string()?),
            Long("profile") => options.profile = Some(parser.value()?.string()?),
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
        make(&project, &options)?.iter().for_each(|file| println!("{}", file.display()));
    }
    project.tidy_up()
}
