//! The library without one or the other of its features: it says what it lacks, and reports all the same.

use super::installed::{self, cmake};
use super::stand::Stand;
use crate::process;
use crate::project::Project;
use anyhow::{Result, ensure};
use std::path::Path;
use std::process::Command;

/// CMake's options, and the features that are left.
const VARIANTS: &[(&[&str], &[&str])] = &[
    (&["-DIOTDA_ROOTS=none"], &["tls13"]),
    (&["-DIOTDA_ROOTS=platform"], &["roots", "tls13"]),
    (&["-DIOTDA_TLS13=OFF"], &["roots"]),
    (&["-DIOTDA_ROOTS=none", "-DIOTDA_TLS13=OFF"], &[]),
];

pub(super) fn check(project: &Project) -> Result<()> {
    for (options, features) in VARIANTS {
        let name = options.join("+").replace("-D", "").replace('=', "-");
        let prefix = installed::install_moved(project, &format!("check/variant/{name}"), options)?;
        reports(project, &prefix, &name, features)?;
        println!("   {name}");
    }
    // With both, so that each message above is one of its own feature.
    reports(project, &installed::prefix(project), "all", &["roots", "tls13"])
}

/// A program reports with the package below `prefix`, which has these features.
pub(super) fn reports(project: &Project, prefix: &Path, name: &str, features: &[&str]) -> Result<()> {
    let source = installed::copy_of(project, "c", &format!("check/variant-{name}"))?;
    let build = source.join("build");
    cmake(&source, &build, prefix, &["-DCMAKE_BUILD_TYPE=Release"])?;
    let stand = Stand::start(&source)?;
    let requests = stand.run(Command::new(build.join("variant")).args(features))?;
    let messages = requests.iter().filter(|request| request.body == b"of a variant").count();
    ensure!(messages == 1, "{messages} messages instead of one");
    Ok(())
}

/// The tests of the core, as far as they are about what is left; and those over the wire, by an agent of ureq's.
pub(super) fn rust_tests(project: &Project) -> Result<()> {
    let tests = || {
        let mut command = project.cargo("test");
        command.args(["--locked", "--package", "iotda"]);
        command
    };
    process::run(tests().arg("--no-default-features"))?;
    process::run(tests().args(["--features", "ureq", "--test", "over_the_wire", "by_ureq"]))
}
