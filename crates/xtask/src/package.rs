//! Installing the library as a package. CMake does it, by cmake/CMakeLists.txt, as for anyone who builds libiotda
//! from source; this module runs it, in a build directory below target/.

use crate::project::{Project, forget_this_crate};
use crate::{process, provision};
use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What to install, and where.
pub(crate) struct Request {
    pub(crate) prefix: PathBuf,
    /// What CMake is told beside the prefix, such as `-DIOTDA_ROOTS=none`.
    pub(crate) options: Vec<String>,
}

/// Builds the library and installs it below the prefix.
pub(crate) fn install(project: &Project, request: &Request) -> Result<()> {
    let build = build(project, &request.options)?;
    let prefix = std::path::absolute(&request.prefix)?;
    process::output(Command::new("cmake").arg("--install").arg(&build).arg("--prefix").arg(prefix)).map(drop)
}

/// Builds the library by itself, and returns CMake's build directory. Equal options have the same one.
pub(crate) fn build(project: &Project, options: &[String]) -> Result<PathBuf> {
    provision::ensure(project, provision::FOR_PACKAGE)?;
    let build = project.target().join("package").join(directory_name(options));
    configure(&project.path("cmake"), &build, project, options)?;
    let mut make = Command::new("cmake");
    forget_this_crate(&mut make);
    process::run(make.arg("--build").arg(&build))?;
    Ok(build)
}

fn configure(source: &Path, build: &Path, project: &Project, options: &[String]) -> Result<()> {
    fs::create_dir_all(build).with_context(|| format!("cannot create {}", build.display()))?;
    let mut configure = Command::new("cmake");
    configure.arg("-S").arg(source).arg("-B").arg(build).args(["-G", provision::generator(), "--no-warn-unused-cli"]);
    // One directory for all variants, since most crates are the same in them.
    configure.arg(format!("-DIOTDA_CARGO_TARGET_DIR={}", project.target().join("package/cargo").display()));
    configure.arg(format!("-DIOTDA_CARGO={}", Project::cargo_program().display()));
    process::output(configure.args(options)).map(drop)
}

/// A directory name that tells one list of options from another.
fn directory_name(options: &[String]) -> String {
    let mut name = String::from("build");
    for option in options {
        let option = option.strip_prefix("-D").unwrap_or(option);
        name.push(' ');
        name.extend(option.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' }));
    }
    name.replace(' ', "+")
}

#[cfg(test)]
mod tests {
    use super::directory_name;

    #[test]
    fn each_list_of_options_has_its_directory() {
        let name = |options: &[&str]| directory_name(&options.iter().map(|&o| o.to_owned()).collect::<Vec<_>>());
        assert_eq!(name(&[]), "build");
        assert_eq!(name(&["-DA=1", "-DB=x/y"]), "build+A-1+B-x-y");
        assert_ne!(name(&["-DA=1"]), name(&["-DA=2"]));
    }
}
