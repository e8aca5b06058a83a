//! A panic inside each function of the library, which is built and packaged as the one that is shipped but for
//! the function that asks for the panic.

use super::installed::{self, cmake};
use super::stand::Stand;
use super::suite::valgrind;
use crate::project::Project;
use anyhow::{Result, ensure};
use std::path::Path;
use std::process::Command;

pub(super) fn check(project: &Project) -> Result<()> {
    errors_outside(project, &installed::install_with_panic_hook(project)?, "check/panics")
}

/// Of the package with the panic hook that is below `prefix`, by a program built in the directory `dir`.
pub(super) fn errors_outside(project: &Project, prefix: &Path, dir: &str) -> Result<()> {
    let source = installed::copy_of(project, "c", dir)?;
    cmake(&source, &source.join("build"), prefix, &["-DCMAKE_BUILD_TYPE=Release", "-DPANIC_HOOK=ON"])?;
    for name in ["panics", "at_exit"] {
        panics_unseen(project, &source, name)?;
    }
    Ok(())
}

fn panics_unseen(project: &Project, source: &Path, name: &str) -> Result<()> {
    let program = source.join("build").join(name);
    for mut command in [Command::new(&program), valgrind(project)] {
        if command.get_program() != program {
            command.arg(&program);
        }
        // What a panic would print is told to the caller instead, whatever the environment asks for.
        command.env("RUST_BACKTRACE", "1");
        let stand = Stand::start(source)?;
        stand.run(&mut command)?;
        let connections = stand.platform.counters().connections;
        ensure!(connections == 0, "a call that panicked at its beginning reached the network");
    }
    Ok(())
}
