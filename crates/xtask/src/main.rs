//! `cargo xtask`: the developer commands. This file reads the command line; each command has a
//! module of its own.

#![forbid(unsafe_code)]

mod abi;
mod bench;
mod cargo;
mod check;
mod demo;
mod dist;
mod header;
mod package;
mod platform;
mod process;
mod project;
mod provision;
mod root;

use anyhow::{Result, bail};
use check::cross::{self, Target};
use lexopt::prelude::*;
use package::Request;
use project::Project;
use std::path::PathBuf;
use std::process::ExitCode;

const HELP: &str = "\
The developer commands of libiotda

Usage: cargo xtask COMMAND

  demo
        Build and install the package below target/, build examples/c with it, run it against the
        stand-in platform, and show what the platform received.
  test [--from N]
        Check everything that must hold before a change is merged. `.ci/run` calls this. With --from,
        begin at step N, after a run that has come so far.
  bench [--write] [--budgets]
        Compare what a report costs with what one would use in libiotda's place. With --write, put the tables
        into examples/bench/README.md. With --budgets, do not compare: count what libiotda's own reports cost,
        and write it to crates/xtask/budgets.toml, to which `test` holds every change.
  package --prefix DIR [-DNAME=VALUE ...]
        Install headers, libraries, CMake package and pkg-config files below DIR. The result may be
        moved. The options are CMake's own and those in cmake/CMakeLists.txt.
  dist
        Make the packages to hand out, in target/dist: Debian's libiotda1 and libiotda-dev, and a .tar.gz.
  cross [TARGET ...]
        Build the library for aarch64, armhf or musl (the first two unless given) in a Debian 13 root below
        target/, and run the C example and the C tests there, under emulation. Only as root. musl needs
        rustc's library for x86_64-unknown-linux-musl, which rustup has.
  header [--check]
        Write include/iotda.h from crates/iotda-capi; with --check, only say whether it is up to date.
  abi [--write]
        Compare the binary interface with the one that is kept in crates/iotda-capi/abi; with --write,
        keep it as it is now. What breaks programs is refused unless IOTDA_ABI_VERSION has moved.
  help
        Show this text.

demo, test and bench install the tools they lack (CMake, a C++ compiler, ...) where they may: as root on a
machine with apt-get. Elsewhere they say what to install. Nothing is written outside target/.
";

enum Command {
    Demo,
    Bench { write: bool, budgets: bool },
    Test { from: usize },
    Package(Request),
    Dist,
    Cross(Vec<&'static Target>),
    Header { check_only: bool },
    Abi { write: bool },
    Help,
}

fn main() -> ExitCode {
    match command_line().and_then(run) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<ExitCode> {
    if let Command::Help = command {
        print!("{HELP}");
        return Ok(ExitCode::SUCCESS);
    }
    let project = Project::find()?;
    match command {
        Command::Test { from } => return Ok(check::run(&project, from)),
        Command::Demo => demo::run(&project)?,
        Command::Bench { budgets: true, .. } => bench::budgets::write(&project)?,
        Command::Bench { write, .. } => bench::run(&project, write)?,
        Command::Package(request) => {
            package::install(&project, &request)?;
            println!("libiotda is installed in {}", request.prefix.display());
        }
        Command::Dist => {
            for file in dist::make(&project)? {
                println!("{}", file.display());
            }
        }
        Command::Header { check_only: true } => header::check(&project)?,
        Command::Header { check_only: false } => header::write(&project)?,
        Command::Abi { write: true } => abi::write(&project)?,
        Command::Abi { write: false } => abi::build_and_check(&project)?,
        Command::Cross(targets) => targets.iter().try_for_each(|target| cross::run(&project, target))?,
        Command::Help => {}
    }
    Ok(ExitCode::SUCCESS)
}

fn command_line() -> Result<Command> {
    let mut arguments = lexopt::Parser::from_env();
    let command = match arguments.next()? {
        None | Some(Short('h') | Long("help")) => return Ok(Command::Help),
        Some(Value(name)) => name.string()?,
        Some(other) => return Err(other.unexpected().into()),
    };
    let mut check_only = false;
    let (mut write, mut budgets) = (false, false);
    let mut from = 1;
    let mut prefix = None;
    let mut options = Vec::new();
    let mut targets = Vec::new();
    while let Some(argument) = arguments.next()? {
        match (command.as_str(), argument) {
            (_, Short('h') | Long("help")) => return Ok(Command::Help),
            ("header", Long("check")) => check_only = true,
            ("abi" | "bench", Long("write")) => write = true,
            ("bench", Long("budgets")) => budgets = true,
            ("test", Long("from")) => from = arguments.value()?.parse()?,
            ("package", Long("prefix")) => prefix = Some(PathBuf::from(arguments.value()?)),
            ("package", Short('D')) => options.push(format!("-D{}", arguments.value()?.string()?)),
            ("cross", Value(name)) => targets.push(cross::target(&name.string()?)?),
            (_, other) => return Err(other.unexpected().into()),
        }
    }
    Ok(match command.as_str() {
        "demo" => Command::Demo,
        "bench" => Command::Bench { write, budgets },
        "test" => Command::Test { from },
        "header" => Command::Header { check_only },
        "dist" => Command::Dist,
        "abi" => Command::Abi { write },
        "package" => match prefix {
            Some(prefix) => Command::Package(Request { prefix, options }),
            None => bail!("package needs --prefix DIR: where to install"),
        },
        "cross" if targets.is_empty() => {
            Command::Cross(cross::DEFAULT.iter().map(|name| cross::target(name)).collect::<Result<_>>()?)
        }
        "cross" => Command::Cross(targets),
        "help" => Command::Help,
        other => bail!("there is no command `{other}`; see cargo xtask help"),
    })
}
