//! The library as a package. CMake makes it, by cmake/CMakeLists.txt, as for anyone who builds libiotda from source; this
//! module runs it, in build directories below target/package, which share what cargo has built.

use crate::project::Project;
use crate::tools;
use anyhow::{Context, Result};
use devkit::checkout::{self, forget_this_crate};
use devkit::process;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Builds the library and installs it below the prefix.
pub(crate) fn install(project: &Project, prefix: &Path, options: &[String]) -> Result<()> {
    let build = build(project, options)?;
    let prefix = std::path::absolute(prefix)?;
    process::output(Command::new("cmake").arg("--install").arg(&build).arg("--prefix").arg(prefix)).map(drop)
}

/// Builds the library, and returns CMake's build directory. Equal options have the same one.
pub(crate) fn build(project: &Project, options: &[String]) -> Result<PathBuf> {
    tools::ensure(tools::FOR_PACKAGE)?;
    let build = project.target().join("package").join(directory_name(options));
    fs::create_dir_all(&build).with_context(|| format!("cannot create {}", build.display()))?;
    let mut configure = Command::new("cmake");
    configure.arg("-S").arg(project.path("cmake")).arg("-B").arg(&build);
    configure.args(["-G", checkout::generator(), "--no-warn-unused-cli"]);
    // With a Rust library of its own, nothing is shared, and the two can be built at the same time.
    let has_own_std = options.iter().any(|option| option.contains("IOTDA_BUILD_STD=ON"));
    let cargo = project.target().join(if has_own_std { "package/cargo-own-std" } else { "package/cargo" });
    configure.arg(format!("-DIOTDA_CARGO_TARGET_DIR={}", cargo.display()));
    configure.arg(format!("-DIOTDA_CARGO={}", checkout::cargo_program().display()));
    process::output(configure.args(options))?;
    let mut make = Command::new("cmake");
    forget_this_crate(&mut make);
    process::run(make.arg("--build").arg(&build))?;
    Ok(build)
}

/// A directory name that distinguishes lists of options.
fn directory_name(options: &[String]) -> String {
    let mut name = String::from("build");
    for option in options {
        name.push('+');
        let option = option.strip_prefix("-D").unwrap_or(option);
        name.extend(option.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' }));
    }
    name
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
