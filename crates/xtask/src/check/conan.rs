//! The Conan recipe: makes the package in a cache of its own, as Debian's gcc and CMake are, and builds and runs the
//! recipe's test program with it.

use super::stand::Stand;
use crate::process;
use crate::project::{Project, forget_this_crate};
use anyhow::{Context, Result, ensure};
use std::path::{Path, PathBuf};
use std::process::Command;

pub(super) fn check(project: &Project) -> Result<()> {
    let conan = provide(project)?;
    let dir = project.empty_dir("check/conan")?;
    let home = project.target().join("conan/home");
    if !home.join("profiles/default").exists() {
        process::output(Command::new(&conan).env("CONAN_HOME", &home).args(["profile", "detect"]))?;
    }
    let stand = Stand::start(&dir)?;
    for shared in [false, true] {
        stand.platform.clear_records();
        let mut create = Command::new(&conan);
        forget_this_crate(&mut create);
        create.arg("create").arg(project.path("cmake/conan")).env("CONAN_HOME", &home);
        create.args(["--options", &format!("&:shared={}", if shared { "True" } else { "False" })]);
        create.args(["--conf", "tools.cmake.cmaketoolchain:generator=Ninja"]);
        // Both packages, and the next run, have most crates in common.
        let target = project.target().join("conan/cargo");
        let variables = format!("{{'IOTDA_CARGO_TARGET_DIR': '{}'}}", target.display());
        create.arg("--conf").arg(format!("&:tools.cmake.cmaketoolchain:extra_variables={variables}"));
        create.arg("--test-folder").arg(test_folder(project, &dir)?);
        stand.tell(&mut create);
        process::output(&mut create)?;
        let requests = stand.platform.requests();
        let arrived = requests.iter().filter(|request| request.body == b"by Conan" && request.status == 200).count();
        ensure!(arrived == 1, "{arrived} messages of the test program instead of one");
        println!("   {}: created, and its test program has reported", if shared { "shared" } else { "static" });
    }
    process::output(Command::new(&conan).env("CONAN_HOME", &home).args(["remove", "libiotda", "--confirm"]))?;
    Ok(())
}

/// A copy of the test program's directory: Conan builds in it.
fn test_folder(project: &Project, dir: &Path) -> Result<PathBuf> {
    let to = dir.join("test_package");
    std::fs::create_dir_all(&to)?;
    for file in ["conanfile.py", "CMakeLists.txt", "report.c"] {
        let from = project.path("cmake/conan/test_package").join(file);
        std::fs::copy(&from, to.join(file)).with_context(|| format!("cannot copy {}", from.display()))?;
    }
    Ok(to)
}

/// Conan in a Python environment of its own.
fn provide(project: &Project) -> Result<PathBuf> {
    let environment = project.target().join("conan/python");
    let conan = environment.join("bin/conan");
    if !conan.exists() {
        println!("Installing Conan below target/ ...");
        process::output(Command::new("python3").args(["-m", "venv"]).arg(&environment))?;
        let mut pip = Command::new(environment.join("bin/pip"));
        process::output(pip.args(["install", "--quiet", "--disable-pip-version-check", "conan>=2,<3"]))?;
    }
    Ok(conan)
}
