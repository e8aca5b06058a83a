//! The Conan recipe: makes the package in a cache of its own, as this machine's gcc and CMake are, and builds and runs
//! the recipe's test program with it.

#![forbid(unsafe_code)]

use anyhow::{Result, ensure};
use std::path::{Path, PathBuf};
use std::process::Command;
use testkit::{Stand, Tool, copy_files, forget_this_crate, path, process, scratch, target};

#[test]
fn makes_a_package_that_reports() -> Result<()> {
    if testkit::is_missing(Tool::Program("python3", "python3-venv")) {
        return Ok(());
    }
    let conan = provide()?;
    let home = target().join("conan/home");
    if !home.join("profiles/default").exists() {
        process::output(Command::new(&conan).env("CONAN_HOME", &home).args(["profile", "detect"]))?;
    }
    let stand = Stand::start()?;
    for shared in ["False", "True"] {
        create(&conan, &home, shared, &stand)?;
    }
    process::output(Command::new(&conan).env("CONAN_HOME", &home).args(["remove", "libiotda", "--confirm"]))?;
    Ok(())
}

fn create(conan: &Path, home: &Path, shared: &str, stand: &Stand) -> Result<()> {
    stand.platform.clear_records();
    // A copy: Conan builds in it.
    let test_folder = scratch()?.join("test_package");
    copy_files("cmake/conan/test_package", &test_folder)?;
    let mut create = Command::new(conan);
    forget_this_crate(&mut create);
    create.arg("create").arg(path("cmake/conan")).env("CONAN_HOME", home);
    create.args(["--options", &format!("&:shared={shared}"), "--test-folder"]).arg(&test_folder);
    // What the recipe does is the same in both, and a build without optimization takes a third of the time.
    create.args(["--settings", "&:build_type=Debug", "--conf", "tools.cmake.cmaketoolchain:generator=Ninja"]);
    // Both packages, and the next run, have most crates in common.
    let cargo = target().join("conan/cargo");
    let variables = format!("{{'IOTDA_CARGO_TARGET_DIR': '{}'}}", cargo.display());
    create.arg("--conf").arg(format!("&:tools.cmake.cmaketoolchain:extra_variables={variables}"));
    stand.configure(&mut create);
    process::output(&mut create)?;
    let requests = stand.platform.requests();
    let arrived = requests.iter().filter(|request| request.body == b"by Conan" && request.status == 200).count();
    ensure!(arrived == 1, "{arrived} messages of the test program instead of one");
    Ok(())
}

/// Conan in a Python environment of its own.
fn provide() -> Result<PathBuf> {
    let environment = target().join("conan/python");
    let conan = environment.join("bin/conan");
    if !conan.exists() {
        process::output(Command::new("python3").args(["-m", "venv"]).arg(&environment))?;
        let mut pip = Command::new(environment.join("bin/pip"));
        process::output(pip.args(["install", "--quiet", "--disable-pip-version-check", "conan>=2,<3"]))?;
    }
    Ok(conan)
}
