//! Where things are: the repository, its target directory, cargo, and programs in the path.

use crate::process;
use anyhow::{Context, Result};
use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The repository: that of the crate which cargo runs, or else that in which this was built.
pub fn root() -> PathBuf {
    let built = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let start = env::var_os("CARGO_MANIFEST_DIR").map_or(built, PathBuf::from);
    let root = start.ancestors().find(|dir| dir.join("Cargo.lock").exists());
    root.unwrap_or(&start).to_owned()
}

/// The directory that everything built goes to, which need not be in the repository: the running program is in it.
pub fn target() -> PathBuf {
    let program = env::current_exe().unwrap_or_default();
    let found = program.ancestors().find(|dir| dir.join("CACHEDIR.TAG").exists());
    found.map_or_else(|| root().join("target"), Path::to_owned)
}

/// Where programs under test have their temporary files (`TMPDIR`): a directory below the target directory, or the system's
/// where that has a path too long for a socket's name, of 107 bytes at most. Chromium adds 46 bytes for its own.
pub fn temporary() -> Result<PathBuf> {
    // Below "test", which the Debian roots see as well.
    let dir = target().join("test/tmp");
    if dir.as_os_str().len() > 60 {
        return Ok(env::temp_dir());
    }
    fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
    Ok(dir)
}

/// The cargo that runs this, or that in the path.
pub fn cargo_program() -> PathBuf {
    env::var_os("CARGO").unwrap_or_else(|| "cargo".into()).into()
}

/// That cargo, at work in the repository.
pub fn cargo(subcommand: &str) -> Command {
    let mut cargo = Command::new(cargo_program());
    cargo.current_dir(root()).arg(subcommand);
    forget_this_crate(&mut cargo);
    cargo
}

/// Removes what cargo says about the running crate in the environment: build scripts of the crates that `command` is to
/// build would take it for a change, and build them once more.
pub fn forget_this_crate(command: &mut Command) {
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("CARGO_PKG_")) {
            command.env_remove(name);
        }
    }
    command.env_remove("CARGO_MANIFEST_DIR").env_remove("CARGO_MANIFEST_PATH");
}

/// rustc's name of this machine, such as `x86_64-unknown-linux-gnu`.
pub fn host() -> Result<String> {
    let about = process::output(Command::new("rustc").arg("-vV"))?;
    let host = about.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(String::from).context("rustc does not name its host")
}

/// Whether rustc has this file below its directory: the source of its own library, for example.
pub fn rust_has(file: &str) -> bool {
    let sysroot = process::output(Command::new("rustc").args(["--print", "sysroot"]));
    sysroot.is_ok_and(|sysroot| Path::new(sysroot.trim()).join(file).exists())
}

/// The source of Rust's own library, below rustc's directory.
pub const RUST_SOURCE: &str = "lib/rustlib/src/rust/library/std/Cargo.toml";

/// Whether the path leads to a program of this name.
pub fn find(program: &str) -> bool {
    let executable =
        |path: &Path| fs::metadata(path).is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0);
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|dir| executable(&dir.join(program)))
}

/// CMake's name for the build tool that is there.
pub fn generator() -> &'static str {
    if find("ninja") { "Ninja" } else { "Unix Makefiles" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_repository_and_its_target_directory_are_found() {
        assert!(root().join("crates/devkit/src/checkout.rs").exists(), "{}", root().display());
        assert!(env::current_exe().unwrap().starts_with(target()), "{}", target().display());
    }

    #[test]
    fn programs_are_found_in_the_path() {
        assert!(find("sh"));
        assert!(!find("no-such-program-as-this"));
    }
}
