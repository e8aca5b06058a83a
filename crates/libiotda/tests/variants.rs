//! The library without one or the other of its features, which says what it lacks and reports all the same; and with a
//! Rust library of its own, which is smaller and as good.

#![forbid(unsafe_code)]

use anyhow::{Context, Result, ensure};
use std::fs;
use std::process::Command;
use testkit::program::{self, Run};
use testkit::{OWN_STD, PANIC_HOOK, Package, Stand, own_std_is_missing, path, process};

/// Built without optimization, since only what the features leave out is looked at.
const DEBUG: &str = "-DCMAKE_BUILD_TYPE=Debug";

/// So that each message of the others is one of its own feature.
#[test]
fn shipped() -> Result<()> {
    reports(&Package::shipped()?, &["roots", "tls13"])
}

#[test]
fn without_public_roots() -> Result<()> {
    reports(&Package::with(&[DEBUG, "-DIOTDA_ROOTS=platform"])?, &["roots", "tls13"])
}

#[test]
fn without_roots() -> Result<()> {
    reports(&Package::with(&[DEBUG, "-DIOTDA_ROOTS=none"])?, &["tls13"])
}

#[test]
fn without_tls13() -> Result<()> {
    reports(&Package::with(&[DEBUG, "-DIOTDA_TLS13=OFF"])?, &["roots"])
}

#[test]
fn without_both() -> Result<()> {
    reports(&Package::with(&[DEBUG, "-DIOTDA_ROOTS=none", "-DIOTDA_TLS13=OFF"])?, &[])
}

/// A program reports with the package, which has these features.
fn reports(package: &Package, features: &[&str]) -> Result<()> {
    let program = program::c(package, &path("crates/libiotda/tests/c/variant.c"), &[])?;
    let requests = Stand::start()?.run(program::command(&program).args(features))?;
    let messages = requests.iter().filter(|request| request.body == b"of a variant").count();
    ensure!(messages == 1, "{messages} messages instead of one");
    Ok(())
}

mod own_std {
    use super::*;

    #[test]
    fn reports() -> Result<()> {
        if own_std_is_missing() {
            return Ok(());
        }
        super::reports(&Package::with(OWN_STD)?, &["roots", "tls13"])
    }

    #[test]
    fn a_panic_inside_is_an_error_outside() -> Result<()> {
        if own_std_is_missing() {
            return Ok(());
        }
        let program = program::c(&Package::with(OWN_STD)?, &path("crates/libiotda/tests/c/panics.c"), &[])?;
        for run in [Run::Alone, Run::UnderValgrind] {
            if !run.is_missing() {
                Stand::start()?.run(run.command(&program)?.env("RUST_BACKTRACE", "1"))?;
            }
        }
        Ok(())
    }

    #[test]
    fn is_smaller_and_prints_no_backtraces() -> Result<()> {
        if own_std_is_missing() {
            return Ok(());
        }
        let (shipped, own) = (Package::with(&[PANIC_HOOK])?, Package::with(OWN_STD)?);
        ensure!(prints_backtraces(&shipped)?, "it is no longer seen which library can print a backtrace");
        ensure!(!prints_backtraces(&own)?, "what prints backtraces is still there");
        let (shipped, own) = (size(&shipped)?, size(&own)?);
        ensure!(own < shipped - shipped / 10, "{own} bytes instead of {shipped}: Rust's own library was not built");
        Ok(())
    }

    /// Rust reads the debug information of its programs by the crate gimli, to print a backtrace and for nothing else.
    fn prints_backtraces(package: &Package) -> Result<bool> {
        let names = process::output(Command::new("nm").arg("--defined-only").arg(package.file("lib/libiotda.a")))?;
        Ok(names.contains("gimli"))
    }

    fn size(package: &Package) -> Result<u64> {
        let library = package.file("lib/libiotda.so");
        Ok(fs::metadata(&library).with_context(|| format!("cannot read {}", library.display()))?.len())
    }
}
