//! The tools that the commands run. What is missing is installed where that can be done without
//! asking (as root, with apt-get), and named with the command that installs it everywhere else.

use crate::process;
use crate::project::Project;
use anyhow::{Context, Result, bail};
use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

/// A tool, and what brings it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tool {
    /// Any one of these programs will do; for a library, its name for pkg-config, or a file of it.
    programs: &'static [&'static str],
    is_library: bool,
    /// The Debian package.
    package: &'static str,
    /// The component of rustup, for a part of the Rust toolchain.
    component: Option<&'static str>,
}

impl Tool {
    const fn new(programs: &'static [&'static str], package: &'static str) -> Self {
        Self { programs, is_library: false, package, component: None }
    }

    const fn library(name: &'static [&'static str], package: &'static str) -> Self {
        Self { programs: name, is_library: true, package, component: None }
    }
}

const CMAKE: Tool = Tool::new(&["cmake"], "cmake");
const BINUTILS: Tool = Tool::new(&["strip"], "binutils");

const NINJA_OR_MAKE: Tool = Tool::new(&["ninja", "make"], "ninja-build");
const C_COMPILER: Tool = Tool::new(&["cc", "gcc", "clang"], "gcc");

/// What `package` and `demo` run.
pub(crate) const FOR_PACKAGE: &[Tool] = &[BINUTILS, CMAKE, NINJA_OR_MAKE, C_COMPILER];

/// What `dist` runs, beside what `package` does.
pub(crate) const FOR_DIST: &[Tool] = &[DPKG, FILE];

const DPKG: Tool = Tool::new(&["dpkg-shlibdeps"], "dpkg-dev");
// CPack asks it which files are programs and libraries.
const FILE: Tool = Tool::new(&["file"], "file");
const ABIGAIL: Tool = Tool::new(&["abidiff"], "abigail-tools");

/// What `abi` runs, beside what `package` does.
pub(crate) const FOR_ABI: &[Tool] = &[ABIGAIL, C_COMPILER];

/// What makes a Debian root: see root.rs.
pub(crate) const FOR_ROOT: &[Tool] =
    &[Tool::new(&["debootstrap"], "debootstrap"), Tool::new(&["unshare"], "util-linux"), Tool::new(&["tar"], "tar")];

/// What `test` runs.
pub(crate) const FOR_TEST: &[Tool] = &[
    BINUTILS,
    CMAKE,
    Tool::new(&["ninja"], "ninja-build"),
    Tool::new(&["make"], "make"),
    Tool::new(&["c++", "g++"], "g++"),
    Tool::new(&["pkg-config"], "pkg-config"),
    Tool::new(&["clang-format"], "clang-format"),
    Tool::new(&["valgrind"], "valgrind"),
    Tool::new(&["strace"], "strace"),
    ABIGAIL,
    DPKG,
    FILE,
    Tool::new(&["python3"], "python3-venv"),
    Tool::library(&["openssl"], "libssl-dev"),
    Tool::new(&["go"], "golang-go"),
    Tool { programs: &["cargo-fmt"], is_library: false, package: "rustfmt", component: Some("rustfmt") },
    Tool { programs: &["cargo-clippy"], is_library: false, package: "rust-clippy", component: Some("clippy") },
];

/// What `bench --budgets` runs, beside what `package` does.
pub(crate) const FOR_BUDGETS: &[Tool] = &[
    BINUTILS,
    C_COMPILER,
    Tool::new(&["pkg-config"], "pkg-config"),
    Tool::new(&["valgrind"], "valgrind"),
    Tool::new(&["strace"], "strace"),
];

/// What `bench` runs beside that.
pub(crate) const FOR_BENCH: &[Tool] = &[Tool::new(&["nginx"], "nginx-light")];

/// What the programs that `bench` compares with are built of.
pub(crate) const FOR_BENCH_PEERS: &[Tool] = &[
    CMAKE,
    Tool::new(&["ninja"], "ninja-build"),
    Tool::new(&["patch"], "patch"),
    Tool::new(&["xz"], "xz-utils"),
    Tool::new(&["go"], "golang-go"),
    Tool::library(&["openssl"], "libssl-dev"),
    Tool::library(&["libcurl"], "libcurl4-openssl-dev"),
    Tool::library(&["libcjson"], "libcjson-dev"),
    Tool::new(&["/usr/include/mbedtls/md.h"], "libmbedtls-dev"),
];

/// Makes sure that every tool is there.
pub(crate) fn ensure(project: &Project, tools: &[Tool]) -> Result<()> {
    let missing = missing(project, tools);
    if missing.is_empty() {
        return Ok(());
    }
    let rustup = env::var_os("RUSTUP_TOOLCHAIN").is_some();
    let (components, packages): (Vec<Tool>, Vec<Tool>) =
        missing.into_iter().partition(|tool| rustup && tool.component.is_some());
    if components.is_empty() && find("apt-get") && is_root()? {
        return install(project, &packages, tools);
    }
    bail!("{}", request(&components, &packages))
}

/// The one line that names what is missing and how to get it.
fn request(components: &[Tool], packages: &[Tool]) -> String {
    let names: Vec<&str> = components.iter().chain(packages).map(|tool| tool.programs[0]).collect();
    let mut commands = Vec::new();
    if !packages.is_empty() {
        let packages: Vec<&str> = packages.iter().map(|tool| tool.package).collect();
        commands.push(format!("sudo apt-get install {}", packages.join(" ")));
    }
    if !components.is_empty() {
        let components: Vec<&str> = components.iter().filter_map(|tool| tool.component).collect();
        commands.push(format!("rustup component add {}", components.join(" ")));
    }
    format!("not installed: {}; on Debian, run: {}", names.join(", "), commands.join(" && "))
}

fn install(project: &Project, packages: &[Tool], tools: &[Tool]) -> Result<()> {
    let names: Vec<&str> = packages.iter().map(|tool| tool.package).collect();
    println!("Installing with apt-get what is missing: {}", names.join(" "));
    let apt = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        command.env("DEBIAN_FRONTEND", "noninteractive").arg("-qq").args(arguments);
        process::output(&mut command).context("apt-get did not install what is missing")
    };
    apt(&["update"])?;
    apt(&[&["install", "--yes", "--no-install-recommends"], names.as_slice()].concat())?;
    let still = missing(project, tools);
    if still.is_empty() { Ok(()) } else { bail!("{}", request(&[], &still)) }
}

fn missing(project: &Project, tools: &[Tool]) -> Vec<Tool> {
    let there = |tool: &Tool| match tool.programs {
        // rustup puts stand-ins in the path for what is not installed: only running them tells.
        [program] if tool.component.is_some() => {
            let subcommand = program.trim_start_matches("cargo-");
            process::succeeds(project.cargo(subcommand).arg("--version"))
        }
        [library] if tool.is_library => {
            find("pkg-config") && process::succeeds(Command::new("pkg-config").args(["--exists", library]))
        }
        [file] if file.starts_with('/') => Path::new(file).exists(),
        programs => programs.iter().any(|program| find(program)),
    };
    tools.iter().filter(|tool| !there(tool)).copied().collect()
}

/// CMake's name for the build tool that is there.
pub(crate) fn generator() -> &'static str {
    if find("ninja") { "Ninja" } else { "Unix Makefiles" }
}

/// Whether the path leads to a program of this name.
pub(crate) fn find(program: &str) -> bool {
    let executable =
        |path: &Path| fs::metadata(path).is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0);
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|dir| executable(&dir.join(program)))
}

pub(crate) fn is_root() -> Result<bool> {
    Ok(process::output(Command::new("id").arg("-u"))?.trim() == "0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_names_everything_that_is_missing() {
        let rustfmt = FOR_TEST.iter().find(|tool| tool.package == "rustfmt").copied();
        let line = request(rustfmt.as_slice(), &[CMAKE, NINJA_OR_MAKE]);
        assert_eq!(
            line,
            "not installed: cargo-fmt, cmake, ninja; on Debian, run: \
             sudo apt-get install cmake ninja-build && rustup component add rustfmt"
        );
    }

    #[test]
    fn programs_are_found_in_the_path() {
        assert!(find("sh"));
        assert!(!find("no-such-program-as-this"));
    }
}
