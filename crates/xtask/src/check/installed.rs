//! The package as the other steps use it: installed, and then moved to another place. Also the programs
//! of crates/libiotda/tests, as copies outside the repository, built with it.

use crate::package::{self, Request};
use crate::process;
use crate::project::Project;
use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Installs the package and moves it.
pub(super) fn install(project: &Project) -> Result<()> {
    install_moved(project, "check/package", &[]).map(drop)
}

/// Where the package is.
pub(super) fn prefix(project: &Project) -> PathBuf {
    project.target().join("check/package/moved")
}

/// The option for the function that makes the library panic.
pub(super) const PANIC_HOOK: &str = "-DIOTDA_CARGO_FEATURES=panic-hook-for-tests";

const WITH_PANIC_HOOK: &str = "check/package-with-panic-hook";

/// Where `install_with_panic_hook` has left the package.
pub(super) fn prefix_with_panic_hook(project: &Project) -> PathBuf {
    project.target().join(WITH_PANIC_HOOK).join("moved")
}

/// Installs the package with the function that makes the library panic.
pub(super) fn install_with_panic_hook(project: &Project) -> Result<PathBuf> {
    install_moved(project, WITH_PANIC_HOOK, &[PANIC_HOOK])
}

pub(super) fn install_moved(project: &Project, dir: &str, options: &[&str]) -> Result<PathBuf> {
    let dir = project.empty_dir(dir)?;
    let (first, moved) = (dir.join("first"), dir.join("moved"));
    let options = options.iter().map(|option| (*option).to_owned()).collect();
    package::install(project, &Request { prefix: first.clone(), options })?;
    fs::rename(&first, &moved).with_context(|| format!("cannot move {}", first.display()))?;
    Ok(moved)
}

/// A copy of a directory below crates/libiotda/tests, to be built as a user's project is.
pub(super) fn copy_of(project: &Project, tests: &str, dir: &str) -> Result<PathBuf> {
    copy_files(project, &format!("crates/libiotda/tests/{tests}"), dir)
}

/// A copy of the files of a directory of the repository, without the directories in it.
pub(super) fn copy_files(project: &Project, from: &str, dir: &str) -> Result<PathBuf> {
    let to = project.empty_dir(dir)?;
    let from = project.path(from);
    for entry in fs::read_dir(&from).with_context(|| format!("cannot read {}", from.display()))? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            fs::copy(entry.path(), to.join(entry.file_name()))?;
        }
    }
    Ok(to)
}

/// Configures and builds a CMake project that finds libiotda below `prefix`.
pub(super) fn cmake(source: &Path, build: &Path, prefix: &Path, options: &[&str]) -> Result<()> {
    let mut configure = Command::new("cmake");
    configure.arg("-S").arg(source).arg("-B").arg(build).args(["-G", "Ninja"]).args(options);
    configure.arg(format!("-DCMAKE_PREFIX_PATH={}", prefix.display()));
    process::output(&mut configure)?;
    // Not another installation, in a place where CMake looks by itself.
    let cache = fs::read_to_string(build.join("CMakeCache.txt"))?;
    let found = format!("iotda_DIR:PATH={}", prefix.join("lib/cmake/iotda").display());
    ensure!(cache.contains(&found), "another libiotda was found than the one in {}", prefix.display());
    process::output(Command::new("cmake").arg("--build").arg(build)).map(drop)
}
