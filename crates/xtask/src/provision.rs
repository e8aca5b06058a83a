//! The tools that the commands run. What is missing is installed where that can be done without asking (parts of the
//! Rust toolchain with rustup, all else as root with apt-get), and named with the command that installs it elsewhere.

use crate::process;
use crate::project::Project;
use anyhow::{Context, Result, anyhow, bail};
use std::env;
use std::fmt;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

/// A tool, and what brings it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tool {
    /// Any one of these will do.
    names: &'static [&'static str],
    kind: Kind,
    /// The Debian package.
    package: &'static str,
    /// The component of rustup, for a part of the Rust toolchain.
    component: Option<&'static str>,
}

/// What the name of a tool is the name of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A program in the path.
    Program,
    /// A library that pkg-config knows.
    Library,
    /// A file, by its whole path.
    File,
    /// A command of cargo's.
    CargoCommand,
    /// A file of the Rust toolchain, by its path below rustc's directory.
    RustFile,
}

impl Tool {
    const fn new(names: &'static [&'static str], package: &'static str) -> Self {
        Self { names, kind: Kind::Program, package, component: None }
    }

    const fn library(name: &'static [&'static str], package: &'static str) -> Self {
        Self { names: name, kind: Kind::Library, package, component: None }
    }

    const fn file(path: &'static [&'static str], package: &'static str) -> Self {
        Self { names: path, kind: Kind::File, package, component: None }
    }

    const fn of_rust(
        kind: Kind,
        name: &'static [&'static str],
        package: &'static str,
        component: &'static str,
    ) -> Self {
        Self { names: name, kind, package, component: Some(component) }
    }
}

/// Why something cannot be had on this machine, in one line: a reason to leave a test out.
#[derive(Debug)]
pub(crate) struct Unavailable(String);

impl Unavailable {
    pub(crate) fn new(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }

    /// What was to be had, and of what failed the last line that it wrote.
    pub(crate) fn because(what: &str, error: &anyhow::Error) -> anyhow::Error {
        let text = format!("{error:#}");
        let last = text.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or_default();
        anyhow!(Self(format!("{what}: {last}")))
    }
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unavailable {}

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
    Tool::of_rust(Kind::CargoCommand, &["fmt"], "rustfmt", "rustfmt"),
    Tool::of_rust(Kind::CargoCommand, &["clippy"], "rust-clippy", "clippy"),
];

/// What a build with IOTDA_BUILD_STD is made of.
pub(crate) const FOR_BUILD_STD: &[Tool] =
    &[Tool::of_rust(Kind::RustFile, &["lib/rustlib/src/rust/library/std/Cargo.toml"], "rust-src", "rust-src")];

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
    Tool::file(&["/usr/include/mbedtls/md.h"], "libmbedtls-dev"),
];

/// Makes sure that every tool is there.
pub(crate) fn ensure(project: &Project, tools: &[Tool]) -> Result<()> {
    let missing = missing(project, tools);
    if missing.is_empty() {
        return Ok(());
    }
    let rustup = env::var_os("RUSTUP_TOOLCHAIN").is_some() && find("rustup");
    let (components, packages): (Vec<Tool>, Vec<Tool>) =
        missing.into_iter().partition(|tool| rustup && tool.component.is_some());
    let installs = find("apt-get") && is_root()?;
    if !packages.is_empty() && !installs {
        bail!("{}", request(&components, &packages));
    }
    add_to_rust(&components)?;
    install(&packages)?;
    let still = self::missing(project, tools);
    if still.is_empty() { Ok(()) } else { bail!("{}", request(&[], &still)) }
}

/// The one line that names what is missing and how to get it.
fn request(components: &[Tool], packages: &[Tool]) -> String {
    // A part of Rust is known by its component's name, not by the file that shows that it is there.
    let name = |tool: &Tool| tool.component.unwrap_or(tool.names[0]);
    let names: Vec<&str> = components.iter().chain(packages).map(name).collect();
    let mut commands = Vec::new();
    if !packages.is_empty() {
        commands.push(format!("sudo apt-get install {}", package_names(packages).join(" ")));
    }
    if !components.is_empty() {
        commands.push(format!("rustup component add {}", component_names(components).join(" ")));
    }
    format!("not installed: {}; on Debian, run: {}", names.join(", "), commands.join(" && "))
}

fn package_names(tools: &[Tool]) -> Vec<&'static str> {
    tools.iter().map(|tool| tool.package).collect()
}

fn component_names(tools: &[Tool]) -> Vec<&'static str> {
    tools.iter().filter_map(|tool| tool.component).collect()
}

/// The toolchain that runs this is the one that gets them: rustup has named it in the environment.
fn add_to_rust(components: &[Tool]) -> Result<()> {
    if components.is_empty() {
        return Ok(());
    }
    let names = component_names(components);
    println!("Adding with rustup what is missing: {}", names.join(" "));
    let added = process::output(Command::new("rustup").args(["component", "add"]).args(&names));
    added.map(drop).with_context(|| request(components, &[]))
}

fn install(packages: &[Tool]) -> Result<()> {
    if packages.is_empty() {
        return Ok(());
    }
    let names = package_names(packages);
    println!("Installing with apt-get what is missing: {}", names.join(" "));
    let apt = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        command.env("DEBIAN_FRONTEND", "noninteractive").arg("-qq").args(arguments);
        process::output(&mut command).context("apt-get did not install what is missing")
    };
    apt(&["update"])?;
    apt(&[&["install", "--yes", "--no-install-recommends"], names.as_slice()].concat()).map(drop)
}

fn missing(project: &Project, tools: &[Tool]) -> Vec<Tool> {
    let there = |tool: &Tool, name: &str| match tool.kind {
        Kind::Program => find(name),
        Kind::Library => find("pkg-config") && process::succeeds(Command::new("pkg-config").args(["--exists", name])),
        Kind::File => Path::new(name).exists(),
        // rustup puts stand-ins in the path for what is not installed: only running them tells.
        Kind::CargoCommand => process::succeeds(project.cargo(name).arg("--version")),
        Kind::RustFile => process::output(Command::new("rustc").args(["--print", "sysroot"]))
            .is_ok_and(|sysroot| Path::new(sysroot.trim()).join(name).exists()),
    };
    tools.iter().filter(|tool| !tool.names.iter().any(|name| there(tool, name))).copied().collect()
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
            "not installed: rustfmt, cmake, ninja; on Debian, run: \
             sudo apt-get install cmake ninja-build && rustup component add rustfmt"
        );
    }

    #[test]
    fn programs_are_found_in_the_path() {
        assert!(find("sh"));
        assert!(!find("no-such-program-as-this"));
    }

    #[test]
    fn a_failure_becomes_a_reason_in_one_line() {
        let error = Unavailable::because("rust-src", &anyhow!("this failed: rustup\nmany\nlines\nno network\n"));
        let reason = error.downcast_ref::<Unavailable>().map(ToString::to_string);
        assert_eq!(reason.as_deref(), Some("rust-src: no network"));
    }
}
