//! The licences of the crates that a program is made of.

use crate::project::Project;
use anyhow::Result;
use devkit::checkout;
use devkit::process::output;
use std::path::Path;
use std::process::Command;

/// Writes those of a package of the workspace to THIRD-PARTY.txt in a directory.
pub(crate) fn write(project: &Project, package: &str, dir: &Path) -> Result<()> {
    let mut cmake = Command::new("cmake");
    cmake
        .arg(format!("-DCARGO={}", checkout::cargo_program().display()))
        .arg(format!("-DRUST_TARGET={}", checkout::host()?))
        .arg(format!("-DPACKAGE={package}"))
        .arg("-DFEATURES=")
        .arg(format!("-DSOURCE_DIR={}", project.path("").display()))
        .arg(format!("-DOUTPUT={}", dir.join("THIRD-PARTY.txt").display()));
    output(cmake.arg("-P").arg(project.path("cmake/modules/licences.cmake")))?;
    Ok(())
}
