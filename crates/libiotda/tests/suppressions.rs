//! The package's suppressions for valgrind: with the shared library, whose functions have no names, a program that reports is
//! found clean, and one with a fault of its own is not. The tests in C do it with the static library.

#![forbid(unsafe_code)]

use anyhow::{Context, Result, ensure};
use std::path::{Path, PathBuf};
use std::process::Command;
use testkit::program::{Run, WARNINGS, is_linked};
use testkit::{Package, Stand, path, process, scratch};

fn build(package: &Package, source: &Path, linkage: &str) -> Result<PathBuf> {
    let program = scratch()?.join(linkage);
    let module = if linkage == "static" { "iotda-static" } else { "iotda" };
    let mut compile = Command::new("cc");
    compile.args(["-std=c11", "-D_GNU_SOURCE", "-g"]).args(WARNINGS).arg("-o").arg(&program).arg(source);
    process::output(compile.args(package.flags(module)?))?;
    is_linked(&program, linkage)?;
    Ok(program)
}

fn under_valgrind(package: &Package, program: &Path) -> Result<Command> {
    let mut valgrind = Run::UnderValgrind.command(program)?;
    valgrind.env("LD_LIBRARY_PATH", package.file("lib"));
    Ok(valgrind)
}

#[test]
fn shared_library_reports_cleanly() -> Result<()> {
    if Run::UnderValgrind.is_missing() {
        return Ok(());
    }
    let package = Package::shipped()?;
    let program = build(&package, &path("examples/c/host_monitor.c"), "shared")?;
    let requests = Stand::start()?.run(&mut under_valgrind(&package, &program)?)?;
    ensure!(requests.len() > 3, "{} requests", requests.len());
    Ok(())
}

#[test]
fn what_a_program_does_wrong_is_found() -> Result<()> {
    if Run::UnderValgrind.is_missing() {
        return Ok(());
    }
    let package = Package::shipped()?;
    let source = path("crates/libiotda/tests/suppressions/uninitialised.c");
    for linkage in ["static", "shared"] {
        let program = build(&package, &source, linkage)?;
        process::output_in_time(package.command(&program).env("LC_ALL", "C"))?;
        let found = process::output_in_time(&mut under_valgrind(&package, &program)?).err();
        let found = found.with_context(|| format!("{linkage}: uninitialised bytes are not found"))?.to_string();
        ensure!(found.contains("uninitialised value"), "{linkage}: {found}");
    }
    Ok(())
}
