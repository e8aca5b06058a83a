//! Programs built with the package and run. `cargo xtask cross` has them built and run for another processor, by variables:
//! `IOTDA_TEST_ENTER` is the command, a word on each line, that runs a tool in the Debian root, `IOTDA_TEST_CC` the C compiler
//! there, `IOTDA_TEST_CXX` a C++ compiler of this machine, and `IOTDA_TEST_EMULATOR` what runs a program, again a word on each
//! line.

use crate::{Package, Tool, process, scratch, tools};
use anyhow::Result;
use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

/// No warning passes.
pub const WARNINGS: [&str; 4] = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"];

/// How a program is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Run {
    /// By itself.
    Alone,
    /// Under valgrind: an invalid access, an uninitialized value or a leak is a failure.
    UnderValgrind,
}

impl Run {
    /// Whether what it takes is missing. If so, says that the running test is skipped.
    pub fn is_missing(self) -> bool {
        self == Self::UnderValgrind && tools::is_missing(Tool::Program("valgrind", "valgrind"))
    }

    /// The command that runs a program so.
    pub fn command(self, program: &Path) -> Result<Command> {
        if self == Self::Alone {
            return Ok(command(program));
        }
        let mut valgrind = tools::valgrind()?;
        valgrind.arg(program);
        Ok(valgrind)
    }
}

/// The command that runs a program by itself.
pub fn command(program: &Path) -> Command {
    let words = [words("IOTDA_TEST_ENTER"), words("IOTDA_TEST_EMULATOR")].concat();
    prefixed(&words, program)
}

/// The command that runs a program in a directory, which must be in the Debian root as well.
pub fn command_in(dir: &Path, program: &Path) -> Command {
    let change = ["sh", "-c", "cd \"$0\" && exec \"$@\""].map(String::from).to_vec();
    let enter = [words("IOTDA_TEST_ENTER"), change, vec![dir.display().to_string()]].concat();
    prefixed(&[enter, words("IOTDA_TEST_EMULATOR")].concat(), program)
}

/// The command that runs a program by itself that uses up its memory, which an emulator must limit:
/// `IOTDA_TEST_LITTLE_MEMORY` has its options for that.
pub fn command_with_little_memory(program: &Path) -> Command {
    let mut emulator = words("IOTDA_TEST_EMULATOR");
    emulator.splice(emulator.len().min(1)..emulator.len().min(1), words("IOTDA_TEST_LITTLE_MEMORY"));
    prefixed(&[words("IOTDA_TEST_ENTER"), emulator].concat(), program)
}

/// Builds a C program of a file with the static library, without optimization, in the test's own directory.
pub fn c(package: &Package, source: &Path, options: &[&str]) -> Result<PathBuf> {
    let program = scratch()?.join(source.file_stem().unwrap_or_default());
    let compiler = env::var("IOTDA_TEST_CC").unwrap_or_else(|_| "cc".to_owned());
    let mut compile = prefixed(&words("IOTDA_TEST_ENTER"), compiler.as_ref());
    compile.args(["-std=c11", "-g", "-pthread"]).args(WARNINGS).arg("-o").arg(&program).arg(source).args(options);
    process::output(compile.args(package.flags("iotda-static")?))?;
    Ok(program)
}

/// The C++ compiler for another processor, if there is one.
pub fn cross_cxx() -> Option<Command> {
    let words = words("IOTDA_TEST_CXX");
    let (compiler, arguments) = words.split_first()?;
    let mut command = Command::new(compiler);
    command.args(arguments);
    Some(command)
}

fn prefixed(words: &[String], program: &Path) -> Command {
    let mut all = words.iter().map(OsStr::new).chain([program.as_os_str()]);
    let mut command = Command::new(all.next().unwrap_or_default());
    command.args(all);
    command
}

fn words(variable: &str) -> Vec<String> {
    env::var(variable).unwrap_or_default().lines().map(String::from).collect()
}

/// Fails unless a program has the library in it (`static`) or asks for the shared one (`shared`).
pub fn is_linked(program: &Path, linkage: &str) -> Result<()> {
    let dynamic = process::output(Command::new("readelf").arg("-d").arg(program))?;
    let shared = dynamic.contains("[libiotda.so.1]");
    anyhow::ensure!(shared == (linkage == "shared"), "{} is not linked {linkage}:\n{dynamic}", program.display());
    Ok(())
}
