//! `cargo xtask`: the developer commands. This file reads the command line; each command has a module of its own, or is
//! a test or a program of another crate, which is run here.

#![forbid(unsafe_code)]

mod demo;
mod package;
mod project;
mod runner;
mod test;
mod tools;

use anyhow::{Context, Result, bail};
use devkit::{checkout, process};
use lexopt::prelude::*;
use project::Project;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

const HELP: &str = "\
The developer commands of libiotda

Usage: cargo xtask COMMAND

What a command lacks (CMake, a C++ compiler, ...) it installs where it may: as root on a machine with apt-get.
Elsewhere it says what to install. Nothing is written outside target/.

  demo [--stay]
        Build and install the package below target/, build examples/c with it, run it against the
        stand-in platform, and show what the platform received. On a terminal, or with --stay, it goes on
        reporting until Enter is pressed, and the platform's page shows the metrics move.
  test [STEP ...] [--list] [--quick]
        Check everything that must hold before a change is merged. `.ci/run` calls this. With names, only
        those steps and what they need; --list names all. With --quick, what finds most faults in a third of
        the time. Logs are in target/test/logs.
  bench [--write] [--budgets]
        Compare what a report costs with what one would use in libiotda's place. With --write, put the tables
        into crates/bench/README.md. With --budgets, do not compare: count what libiotda's own reports cost,
        and write it to crates/bench/budgets.toml, to which `test` holds every change.
  package [--prefix DIR] [-DNAME=VALUE ...]
        Build the library, and install headers, libraries, CMake package and pkg-config files below DIR. The
        result may be moved. The options are CMake's own and those in cmake/CMakeLists.txt.
  dist [--out DIR] [KIND ...]
        Make what libiotda is handed out as, in target/dist: the source archive, packages. --help names the kinds.
  cross [TARGET ...]
        Build the library for aarch64 and armhf, or for musl, aarch64-musl, armv7-musl or riscv64-musl, in a
        Debian 13 root below target/, and run the C example and the C tests there, under emulation; for musl
        also those in C++ and Go, with zig from PyPI. Only as root. musl takes rustup's library for the target,
        or rustup's rust-src, of which it is built where rustup has none.
  debian
        Install what `dist` makes on a bare Debian 13 below target/, and build the example there. Only as root.
  header [--check]
        Write include/iotda.h from crates/iotda-capi; with --check, only say whether it is up to date.
  abi [--write]
        Compare the binary interface with the one that is kept in crates/iotda-capi/abi; with --write,
        keep it as it is now. What breaks programs is refused unless IOTDA_ABI_VERSION has moved.
  help

Campaigns, which search for faults longer than a test may (crates/campaigns):

";

/// Its end. The entries are commands as well.
const CAMPAIGNS: &str = include_str!("../../campaigns/src/help.txt");

/// The command line, after the command's name.
#[derive(Default)]
struct Arguments {
    names: Vec<String>,
    /// Such as `--write`.
    flags: Vec<String>,
    prefix: Option<PathBuf>,
    /// CMake's, such as `-DIOTDA_TLS13=OFF`.
    options: Vec<String>,
}

impl Arguments {
    fn has(&self, flag: &str) -> bool {
        self.flags.iter().any(|other| other == flag)
    }
}

/// A command: its name, the flags that it takes, whether it takes names, and what it does. Add new ones here and in
/// HELP; a campaign belongs to crates/campaigns.
type Command = (&'static str, &'static [&'static str], bool, fn(&Project, &Arguments) -> Result<ExitCode>);

const COMMANDS: &[Command] = &[
    ("demo", &["stay"], false, |project, arguments| done(demo::run(project, arguments.has("stay")))),
    ("test", &["list", "quick"], true, |project, arguments| {
        if arguments.has("list") {
            return done(test::list(project));
        }
        // Not of the workspace, so nothing else downloads it. What then lacks it is a test that says so.
        let list = "crates/libiotda/tests/public_api/Cargo.toml";
        if !process::succeeds(checkout::cargo("fetch").args(["--locked", "--manifest-path", list])) {
            eprintln!("warning: the crates of {list} could not be downloaded: its test is skipped");
        }
        test::run(project, &arguments.names, arguments.has("quick"))
    }),
    ("bench", &["write", "budgets"], false, |_, arguments| done(bench(arguments))),
    ("package", &[], false, |project, arguments| done(package(project, arguments))),
    ("dist", &[], true, |_, arguments| done(dist(&arguments.names))),
    ("cross", &[], true, |project, arguments| {
        let targets: Vec<&str> = arguments.names.iter().map(String::as_str).collect();
        // Unless given, those that need nothing but Debian.
        let targets = if targets.is_empty() { &["aarch64", "armhf"][..] } else { &targets };
        done(targets.iter().try_for_each(|target| in_root(project, "cross.sh", &[target])))
    }),
    ("debian", &[], false, |project, _| {
        dist(&["packages".to_owned()])?;
        done(in_root(project, "debian.sh", &[]))
    }),
    ("header", &["check"], false, |_, arguments| done(kept("header", "is_up_to_date", !arguments.has("check")))),
    ("abi", &["write"], false, |_, arguments| {
        tools::ensure(tools::FOR_ABI)?;
        let write = arguments.has("write");
        done(kept("abi", if write { "header_is_as_promised" } else { "as_promised" }, write))
    }),
];

fn main() -> ExitCode {
    command_line().unwrap_or_else(|error| process::failed(&error))
}

fn command_line() -> Result<ExitCode> {
    let mut parser = lexopt::Parser::from_env();
    let help = || {
        print!("{HELP}{CAMPAIGNS}");
        Ok(ExitCode::SUCCESS)
    };
    let name = match parser.next()? {
        None | Some(Short('h') | Long("help")) => return help(),
        Some(Value(name)) if name == "help" => return help(),
        Some(Value(name)) => name.string()?,
        Some(other) => return Err(other.unexpected().into()),
    };
    let command = COMMANDS.iter().find(|(other, ..)| *other == name);
    let Some((_, flags, takes_names, run)) = command else {
        if is_campaign(&name) {
            return done(campaign(&name, parser.raw_args()?));
        }
        bail!("there is no command `{name}`; see cargo xtask help");
    };
    let mut arguments = Arguments::default();
    if name == "dist" {
        // Its options are its own.
        arguments.names = parser.raw_args()?.map(|word| word.string()).collect::<Result<_, _>>()?;
    }
    while let Some(argument) = parser.next()? {
        match argument {
            Short('h') | Long("help") => return help(),
            Long("prefix") if name == "package" => arguments.prefix = Some(PathBuf::from(parser.value()?)),
            Short('D') if name == "package" => arguments.options.push(format!("-D{}", parser.value()?.string()?)),
            Long(flag) if flags.contains(&flag) => arguments.flags.push(flag.to_owned()),
            Value(value) if *takes_names => arguments.names.push(value.string()?),
            other => return Err(other.unexpected().into()),
        }
    }
    run(&Project::find(), &arguments)
}

fn done(result: Result<()>) -> Result<ExitCode> {
    result.map(|()| ExitCode::SUCCESS)
}

fn package(project: &Project, arguments: &Arguments) -> Result<()> {
    match &arguments.prefix {
        None => package::build(project, &arguments.options).map(drop),
        Some(prefix) => {
            package::install(project, prefix, &arguments.options)?;
            println!("libiotda is installed in {}", prefix.display());
            Ok(())
        }
    }
}

/// Whether crates/campaigns has a campaign of this name.
fn is_campaign(name: &str) -> bool {
    let entries = CAMPAIGNS.lines().filter_map(|line| line.strip_prefix("  "));
    entries.map(|entry| entry.split(' ').next()).any(|first| first == Some(name) && !name.is_empty())
}

/// Passes a campaign's command line on.
fn campaign(name: &str, rest: impl Iterator<Item = OsString>) -> Result<()> {
    let mut run = checkout::cargo("run");
    process::run(run.args(["--locked", "--quiet", "--package", "campaigns", "--", name]).args(rest))
}

fn dist(arguments: &[String]) -> Result<()> {
    tools::ensure(tools::FOR_DIST)?;
    process::run(checkout::cargo("run").args(["--locked", "--quiet", "--package", "dist", "--"]).args(arguments))
}

fn bench(arguments: &Arguments) -> Result<()> {
    tools::ensure(tools::FOR_BUDGETS)?;
    if !arguments.has("budgets") {
        tools::ensure(tools::FOR_BENCH)?;
        for tools in [tools::FOR_BENCH_PEERS, tools::FOR_BUILD_STD] {
            if let Err(error) = tools::ensure(tools) {
                println!("Without a part of the comparison: {error:#}");
            }
        }
    }
    let mut run = checkout::cargo("run");
    run.args(["--locked", "--quiet", "--package", "bench", "--"]).args(&arguments.flags);
    process::run(&mut run)
}

/// Runs a script that works in a Debian 13 root.
fn in_root(project: &Project, script: &str, arguments: &[&str]) -> Result<()> {
    let tools = tools::ensure(tools::FOR_ROOT);
    tools.map_err(|error| tools::because("no Debian 13 root can be made here", &error))?;
    let mut command = std::process::Command::new(project.path("crates/xtask/roots").join(script));
    command.args(arguments).env("TARGET_DIR", project.target()).env("CARGO", checkout::cargo_program());
    checkout::forget_this_crate(&mut command);
    process::run(&mut command)
}

/// A file that is made of others and kept: a test of crates/libiotda compares it, or writes it.
fn kept(test: &str, name: &str, write: bool) -> Result<()> {
    let mut tests = checkout::cargo("test");
    tests.args(["--locked", "--quiet", "--package", "libiotda", "--test", test, "--", name]);
    if write {
        tests.env("IOTDA_WRITE", "1");
    }
    process::run(&mut tests).with_context(|| format!("see crates/libiotda/tests/{test}.rs"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_has_every_command_with_its_flags() {
        for (name, flags, ..) in COMMANDS {
            let line = HELP.lines().find(|line| line.trim_start().split(' ').next() == Some(name)).unwrap_or_default();
            assert!(
                line.starts_with("  ") && flags.iter().all(|flag| line.contains(&format!("--{flag}"))),
                "{name}: {line}"
            );
        }
    }

    #[test]
    fn the_documentation_names_commands_that_there_are() {
        let mut count = 0;
        for document in ["README.md", "CONTRIBUTING.md"] {
            let text = std::fs::read_to_string(Project::find().path(document)).unwrap();
            for rest in text.split("cargo xtask ").skip(1) {
                let name = rest.split(|c: char| !c.is_ascii_lowercase()).next().unwrap_or_default();
                let is_command = COMMANDS.iter().any(|(other, ..)| *other == name) || is_campaign(name);
                assert!(is_command, "{document} names cargo xtask {name}");
                count += 1;
            }
        }
        assert!(count > 10 && is_campaign("crash") && !is_campaign("Change") && !is_campaign(""));
    }
}
