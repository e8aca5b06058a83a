//! The tools that a test runs beside the compiler. A test whose tool is missing is skipped, and says so: on standard
//! error, where the test runner does not keep it back.

use crate::process;
use anyhow::Result;
use devkit::checkout::{RUST_SOURCE, find, rust_has};
use std::io::{self, Write};
use std::path::Path;
use std::process::Command;
use std::thread;

/// A tool, and the Debian package that has it.
#[derive(Clone, Copy, Debug)]
pub enum Tool {
    /// A program in the path.
    Program(&'static str, &'static str),
    /// A library that pkg-config knows.
    Library(&'static str, &'static str),
    /// A file, by its whole path.
    File(&'static str, &'static str),
}

/// Whether a tool is missing. If so, says that the running test is skipped.
pub fn is_missing(tool: Tool) -> bool {
    let (is_there, name, package) = match tool {
        Tool::Program(name, package) => (find(name), name, package),
        Tool::File(name, package) => (Path::new(name).exists(), name, package),
        Tool::Library(name, package) => {
            let mut pkg_config = Command::new("pkg-config");
            (process::output(pkg_config.args(["--exists", name])).is_ok(), name, package)
        }
    };
    if !is_there {
        skip(&format!("{name} is not installed (Debian's package {package})"));
    }
    !is_there
}

/// Whether the source of Rust's own library is missing. If so, says that the running test is skipped.
pub fn own_std_is_missing() -> bool {
    let is_missing = !rust_has(RUST_SOURCE);
    if is_missing {
        skip("rust-src is not installed (rustup component add rust-src, or Debian's package of that name)");
    }
    is_missing
}

/// Says that the running test is skipped, or a part of it, and why. `cargo xtask test` counts these lines.
pub fn skip(reason: &str) {
    let thread = thread::current();
    // Not by a macro of std, whose output the test runner shows of failures alone. If it cannot be shown, nobody listens.
    let _ = writeln!(io::stderr(), "skipped: {}: {reason}", thread.name().unwrap_or("main"));
}

/// valgrind, to be given a program: an invalid access, an uninitialized value or a leak makes it fail.
pub(crate) fn valgrind() -> Result<Command> {
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--quiet", "--error-exitcode=99", "--leak-check=full"]);
    valgrind.args(["--show-leak-kinds=definite,indirect,possible", "--errors-for-leak-kinds=definite,possible"]);
    let known = crate::Package::shipped()?.file("share/iotda/iotda.supp");
    valgrind.arg(format!("--suppressions={}", known.display()));
    Ok(valgrind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_in_the_path() {
        assert!(find("sh") && !is_missing(Tool::Program("sh", "dash")));
        assert!(!find("no-such-program-as-this"));
    }
}
