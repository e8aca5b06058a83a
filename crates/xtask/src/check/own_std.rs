//! The library with IOTDA_BUILD_STD, which has Rust's own library built for it: it is smaller, catches a panic as the
//! other does, holds no path of this machine, and reports. Built once, with the function that makes it panic.

use super::installed::{self, PANIC_HOOK};
use super::{contents, panics, variants};
use crate::process;
use crate::project::Project;
use crate::provision::{self, FOR_BUILD_STD, Unavailable};
use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::Path;
use std::process::Command;

pub(super) fn check(project: &Project) -> Result<()> {
    provision::ensure(project, FOR_BUILD_STD)
        .map_err(|error| Unavailable::because("the source of Rust's own library", &error))?;
    let prefix = installed::install_moved(project, "check/own-std", &["-DIOTDA_BUILD_STD=ON", PANIC_HOOK])?;
    contents::no_build_paths(project, &prefix)?;
    panics::errors_outside(project, &prefix, "check/own-std-panics")?;
    variants::reports(project, &prefix, "own-std", &["roots", "tls13"])?;
    let shipped = installed::prefix_with_panic_hook(project);
    ensure!(prints_backtraces(&shipped)?, "it is no longer seen which library can print a backtrace");
    ensure!(!prints_backtraces(&prefix)?, "what prints backtraces is still there");
    let (shipped, own) = (size(&shipped)?, size(&prefix)?);
    println!("   libiotda.so has {own} bytes instead of {shipped}");
    ensure!(own < shipped - shipped / 10, "{own} bytes instead of {shipped}: Rust's own library was not built");
    Ok(())
}

/// Rust reads the debug information of its programs by the crate gimli, to print a backtrace and for nothing else.
fn prints_backtraces(prefix: &Path) -> Result<bool> {
    let names = process::output(Command::new("nm").arg("--defined-only").arg(prefix.join("lib/libiotda.a")))?;
    Ok(names.contains("gimli"))
}

fn size(prefix: &Path) -> Result<u64> {
    let library = prefix.join("lib/libiotda.so");
    Ok(fs::metadata(&library).with_context(|| format!("cannot read {}", library.display()))?.len())
}
