//! The stand-in platform as one static program, for anyone's own CI: a .tar.gz of which nothing need be installed. Its C
//! library is glibc, which every rustc for this machine can link so; Debian's has no library of Rust for musl.

use crate::archive;
use crate::licences;
use crate::project::{Project, VERSION};
use anyhow::{Context, Result, ensure};
use devkit::checkout;
use devkit::process::{output, run};
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What the licence of glibc asks for in a program that holds it.
const GLIBC: &str = "
---- The GNU C Library ----

The program also holds the GNU C Library, which is free software under the GNU Lesser General Public License, version 2.1
or later: https://www.gnu.org/licenses/old-licenses/lgpl-2.1.html. Its source is at https://sourceware.org/glibc/. The
program can be linked with another version of it from its own source, which is published with it, by
`cargo xtask dist stand-in`.
";

/// Makes it.
pub(crate) fn make(project: &Project) -> Result<Vec<PathBuf>> {
    let program = build(project)?;
    let work = project.work("stand-in")?;
    let name = format!("iotda-platform-{VERSION}-{}-linux-static", env::consts::ARCH);
    let dir = work.join(&name);
    fs::create_dir(&dir)?;
    let installed = dir.join("iotda-platform");
    fs::copy(&program, &installed).with_context(|| format!("cannot copy {}", program.display()))?;
    run(Command::new("strip").args(["--strip-all", "--remove-section=.comment"]).arg(&installed))?;
    check(&installed)?;
    for file in ["LICENSE-MIT", "LICENSE-APACHE"] {
        fs::copy(project.path(file), dir.join(file))?;
    }
    licences::write(project, "iotda-platform", &dir)?;
    let third_party = dir.join("THIRD-PARTY.txt");
    fs::write(&third_party, fs::read_to_string(&third_party)? + GLIBC)?;
    let packed = project.out(&format!("{name}.tar.gz"));
    archive::pack(&dir, &project.epoch, &packed)?;
    Ok(vec![packed])
}

/// Builds the program; returns it.
fn build(project: &Project) -> Result<PathBuf> {
    let host = checkout::host()?;
    ensure!(host.ends_with("-linux-gnu"), "make it on a Linux with glibc: this machine is {host}");
    let mut cargo = checkout::cargo("build");
    cargo.args(["--locked", "--quiet", "--release", "--package", "iotda-platform"]);
    // For a target that is named, though it is this machine: what the compiler loads while it builds cannot be static.
    cargo.args(["--target", &host]);
    cargo.arg("--config").arg(format!("target.{host}.rustflags = [\"-Ctarget-feature=+crt-static\"]"));
    cargo.arg("--target-dir").arg(project.target("")).env_remove("RUSTFLAGS").env_remove("SOURCE_DATE_EPOCH");
    run(&mut cargo)?;
    Ok(project.target(&host).join("release/iotda-platform"))
}

/// That it asks for no other file, and runs.
fn check(program: &Path) -> Result<()> {
    let headers = output(Command::new("readelf").arg("--program-headers").arg("--dynamic").arg(program))?;
    ensure!(!headers.contains("INTERP") && !headers.contains("(NEEDED)"), "the program is not static: {headers}");
    let version = output(Command::new(program).arg("--version"))?;
    ensure!(version.trim() == format!("iotda-platform {VERSION}"), "it says {version}");
    Ok(())
}
