//! The packages to hand out, which CPack makes of the installation: see cmake/modules/cpack.cmake.

use crate::project::Project;
use crate::{package, process, provision};
use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Makes Debian's packages and the .tar.gz in target/dist, and returns their paths.
pub(crate) fn make(project: &Project) -> Result<Vec<PathBuf>> {
    provision::ensure(project, provision::FOR_DIST)?;
    let dist = project.empty_dir("dist")?;
    // Debian's directories for libraries are other ones than those of a prefix that may be moved.
    let debian = package::build(project, &["-DCMAKE_INSTALL_PREFIX=/usr".to_owned()])?;
    cpack(&debian, "DEB", &dist)?;
    cpack(&package::build(project, &[])?, "TGZ", &dist)?;

    let mut files = Vec::new();
    for entry in fs::read_dir(&dist)? {
        let path = entry?.path();
        if path.is_dir() {
            // CPack's own working directory.
            fs::remove_dir_all(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        } else {
            files.push(path);
        }
    }
    files.sort();
    ensure!(files.len() == 3, "CPack made {files:?} instead of two .deb and a .tar.gz");
    Ok(files)
}

fn cpack(build: &Path, generator: &str, to: &Path) -> Result<()> {
    process::output(Command::new("cpack").current_dir(build).args(["-G", generator, "-B"]).arg(to)).map(drop)
}
