//! The packages: the installation as a .tar.gz, which may be unpacked anywhere, and as Debian's packages. CMake builds and
//! installs it.

use crate::archive;
use crate::debian;
use crate::project::{Project, VERSION};
use anyhow::{Context, Result};
use devkit::checkout::{self, forget_this_crate, generator};
use devkit::process::{output, run};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Makes the packages.
pub(crate) fn make(project: &Project) -> Result<Vec<PathBuf>> {
    // Debian's directories for libraries are other ones than those of a prefix that may be moved.
    let for_debian = build(project, "usr", &["-DCMAKE_INSTALL_PREFIX=/usr"])?;
    let mut files = debian::make(project, &for_debian)?;
    files.push(movable(project, &build(project, "prefix", &[])?)?);
    Ok(files)
}

/// A .tar.gz of a prefix.
fn movable(project: &Project, build: &Path) -> Result<PathBuf> {
    let cache = fs::read_to_string(build.join("CMakeCache.txt"))?;
    let target = cache.lines().find_map(|line| line.strip_prefix("IOTDA_RUST_TARGET:STRING="));
    let system = target.context("CMake's cache has no IOTDA_RUST_TARGET")?.replace("-unknown", "");
    let name = format!("libiotda-{VERSION}-{system}");
    let work = project.work("prefix")?;
    let prefix = work.join(&name);
    output(Command::new("cmake").arg("--install").arg(build).arg("--prefix").arg(&prefix))?;
    let packed = project.out(&format!("{name}.tar.gz"));
    archive::pack(&prefix, &project.epoch, &packed)?;
    Ok(packed)
}

/// Builds the library, and returns CMake's build directory. What cargo has built is shared with `cargo xtask package`.
pub(crate) fn build(project: &Project, name: &str, options: &[&str]) -> Result<PathBuf> {
    let build = project.target("package").join(format!("dist-{name}"));
    let mut configure = Command::new("cmake");
    configure.arg("-S").arg(project.path("cmake")).arg("-B").arg(&build).args(["-G", generator()]);
    configure.arg(format!("-DIOTDA_CARGO_TARGET_DIR={}", project.target("package/cargo").display()));
    output(configure.arg(format!("-DIOTDA_CARGO={}", checkout::cargo_program().display())).args(options))?;
    let mut make = Command::new("cmake");
    forget_this_crate(&mut make);
    // It is of what is packed. In a build, compilers would take another one for a change.
    run(make.env_remove("SOURCE_DATE_EPOCH").arg("--build").arg(&build))?;
    Ok(build)
}
