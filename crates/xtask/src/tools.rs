//! The tools that the commands run. What is missing is installed where that can be done without asking (parts of the
//! Rust toolchain with rustup, all else as root with apt-get), and named with the command that installs it elsewhere.

use anyhow::{Context, Result, anyhow, bail};
use devkit::checkout::{self, find};
use devkit::process::{self, Unavailable};
use std::env;
use std::path::Path;
use std::process::Command;

/// A tool, and the Debian packages that bring it: programs of which one will do (`ninja|make`), a library that pkg-config
/// knows (`pkg-config:openssl`), a file by its whole path, or a part of Rust, which is a component of rustup's of the
/// same name: a command of cargo's (`cargo:fmt`) or a file below rustc's directory (`rust:lib/...`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tool(&'static str, &'static str);

/// Why something cannot be had on this machine: what was to be had, and of what failed the last line that it wrote.
pub(crate) fn because(what: &str, error: &anyhow::Error) -> anyhow::Error {
    let text = format!("{error:#}");
    let last = text.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or_default();
    anyhow!(Unavailable(format!("{what}: {last}")))
}

const BINUTILS: Tool = Tool("strip", "binutils");
const CMAKE: Tool = Tool("cmake", "cmake");
const NINJA_OR_MAKE: Tool = Tool("ninja|make", "ninja-build");
const NINJA: Tool = Tool("ninja", "ninja-build");
const C_COMPILER: Tool = Tool("cc|gcc|clang", "gcc");
const PKG_CONFIG: Tool = Tool("pkg-config", "pkg-config");
const VALGRIND: Tool = Tool("valgrind", "valgrind");
const STRACE: Tool = Tool("strace", "strace");
const ABIGAIL: Tool = Tool("abidiff", "abigail-tools");
const DPKG: Tool = Tool("dpkg-shlibdeps", "dpkg-dev");
const FLOCK: Tool = Tool("flock", "util-linux");
const GO: Tool = Tool("go", "golang-go");
const OPENSSL: Tool = Tool("pkg-config:openssl", "libssl-dev");
const RUST_SOURCE: Tool = Tool("rust:lib/rustlib/src/rust/library/std/Cargo.toml", "rust-src");

/// What each command runs; the source of Rust's own library is for a build with IOTDA_BUILD_STD.
pub(crate) const FOR_PACKAGE: &[Tool] = &[BINUTILS, CMAKE, NINJA_OR_MAKE, C_COMPILER];
pub(crate) const FOR_DIST: &[Tool] = &[BINUTILS, CMAKE, NINJA_OR_MAKE, C_COMPILER, DPKG, GO];
pub(crate) const FOR_ABI: &[Tool] = &[BINUTILS, CMAKE, NINJA_OR_MAKE, C_COMPILER, PKG_CONFIG, ABIGAIL, FLOCK];
pub(crate) const FOR_ROOT: &[Tool] =
    &[Tool("debootstrap", "debootstrap"), Tool("unshare", "util-linux"), Tool("tar", "tar")];
pub(crate) const FOR_BUILD_STD: &[Tool] = &[RUST_SOURCE];
#[rustfmt::skip]
pub(crate) const FOR_TEST: &[Tool] = &[
    BINUTILS, CMAKE, NINJA, Tool("make", "make"), Tool("c++|g++", "g++"), PKG_CONFIG, Tool("clang-format-19", "clang-format-19"),
    VALGRIND, STRACE, ABIGAIL, DPKG, Tool("lintian", "lintian"), FLOCK, Tool("python3", "python3-venv"), OPENSSL, GO,
    Tool("cargo:fmt", "rustfmt"), Tool("cargo:clippy", "rust-clippy"), Tool("openssl", "openssl"), Tool("curl", "curl"),
    Tool("chromium", "chromium"), Tool("chromedriver", "chromium-driver"),
    Tool("clang++", "clang"), Tool("/usr/include/c++/v1/map", "libc++-dev libc++abi-dev"),
];
pub(crate) const FOR_BUDGETS: &[Tool] =
    &[BINUTILS, CMAKE, NINJA_OR_MAKE, C_COMPILER, PKG_CONFIG, VALGRIND, STRACE, FLOCK];
pub(crate) const FOR_BENCH: &[Tool] = &[Tool("nginx", "nginx-light")];
#[rustfmt::skip] // For the programs that `bench` compares with.
pub(crate) const FOR_BENCH_PEERS: &[Tool] = &[
    NINJA, Tool("patch", "patch"), Tool("xz", "xz-utils"), GO, OPENSSL, Tool("pkg-config:libcurl", "libcurl4-openssl-dev"),
    Tool("pkg-config:libcjson", "libcjson-dev"), Tool("/usr/include/mbedtls/md.h", "libmbedtls-dev"),
];

impl Tool {
    /// What a user would call it.
    fn name(&self) -> &'static str {
        let name = self.0.split('|').next().unwrap_or_default();
        if self.is_of_rust() { self.component() } else { name.trim_start_matches("pkg-config:") }
    }

    fn is_of_rust(&self) -> bool {
        self.0.starts_with("cargo:") || self.0.starts_with("rust:")
    }

    /// rustup's name for it. Debian calls clippy rust-clippy.
    fn component(&self) -> &'static str {
        if self.1 == "rust-clippy" { "clippy" } else { self.1 }
    }

    fn is_there(&self) -> bool {
        match self.0.split_once(':') {
            Some(("pkg-config", name)) => {
                find("pkg-config") && process::succeeds(Command::new("pkg-config").args(["--exists", name]))
            }
            // rustup puts stand-ins in the path for what is not installed: only running them shows it.
            Some(("cargo", name)) => process::succeeds(checkout::cargo(name).arg("--version")),
            Some((_, file)) => checkout::rust_has(file),
            None if self.0.starts_with('/') => Path::new(self.0).exists(),
            None => self.0.split('|').any(find),
        }
    }
}

/// Makes sure that every tool is there.
pub(crate) fn ensure(tools: &[Tool]) -> Result<()> {
    let missing = missing(tools);
    if missing.is_empty() {
        return Ok(());
    }
    let rustup = env::var_os("RUSTUP_TOOLCHAIN").is_some() && find("rustup");
    let (components, packages): (Vec<Tool>, Vec<Tool>) =
        missing.into_iter().partition(|tool| rustup && tool.is_of_rust());
    let installs = find("apt-get") && is_root()?;
    if !packages.is_empty() && !installs {
        bail!("{}", request(&components, &packages));
    }
    add_to_rust(&components)?;
    install(&packages)?;
    let still = self::missing(tools);
    if still.is_empty() { Ok(()) } else { bail!("{}", request(&[], &still)) }
}

/// The one line that names what is missing and how to get it.
fn request(components: &[Tool], packages: &[Tool]) -> String {
    let names: Vec<&str> = components.iter().chain(packages).map(Tool::name).collect();
    let apt = (!packages.is_empty()).then(|| format!("sudo apt-get install {}", package_names(packages).join(" ")));
    let rustup =
        (!components.is_empty()).then(|| format!("rustup component add {}", component_names(components).join(" ")));
    let commands: Vec<String> = apt.into_iter().chain(rustup).collect();
    format!("not installed: {}; on Debian, run: {}", names.join(", "), commands.join(" && "))
}

fn package_names(tools: &[Tool]) -> Vec<&'static str> {
    tools.iter().flat_map(|tool| tool.1.split(' ')).collect()
}

fn component_names(tools: &[Tool]) -> Vec<&'static str> {
    tools.iter().map(Tool::component).collect()
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
        // Another apt-get of this machine's may be at work: so many seconds it is waited for.
        command.env("DEBIAN_FRONTEND", "noninteractive").args(["-qq", "-o", "DPkg::Lock::Timeout=300"]).args(arguments);
        process::output(&mut command).context("apt-get did not install what is missing")
    };
    apt(&["update"])?;
    apt(&[&["install", "--yes", "--no-install-recommends"], names.as_slice()].concat()).map(drop)
}

fn missing(tools: &[Tool]) -> Vec<Tool> {
    tools.iter().filter(|tool| !tool.is_there()).copied().collect()
}

fn is_root() -> Result<bool> {
    Ok(process::output(Command::new("id").arg("-u"))?.trim() == "0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_names_everything_that_is_missing() {
        let line = request(&[Tool("cargo:clippy", "rust-clippy"), RUST_SOURCE], &[OPENSSL, Tool("two", "one another")]);
        assert_eq!(
            line,
            "not installed: clippy, rust-src, openssl, two; on Debian, run: \
             sudo apt-get install libssl-dev one another && rustup component add clippy rust-src"
        );
    }

    #[test]
    fn tools_are_found() {
        let there = [Tool("no-such-program|sh", ""), Tool("/etc/passwd", ""), Tool("cargo:fmt", "")];
        assert_eq!(missing(&there), []);
        let missing_ones =
            [Tool("no-such-program", ""), Tool("/no/such", ""), Tool("rust:no/such", ""), Tool("cargo:no", "")];
        assert_eq!(missing(&missing_ones), missing_ones);
    }

    #[test]
    fn a_failure_becomes_a_reason_in_one_line() {
        let error = because("rust-src", &anyhow!("this failed: rustup\nmany\nlines\nno network\n"));
        let reason = error.downcast_ref::<Unavailable>().map(ToString::to_string);
        assert_eq!(reason.as_deref(), Some("rust-src: no network"));
    }
}
