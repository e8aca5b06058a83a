//! libiotda as its users have it: installed by CMake below a prefix, which is then moved.
//!
//! It is made once and shared by all tests that want it with the same options, also by those of other processes: below
//! target/test/package, where a file is the lock. A run of `cargo xtask test` names itself in `IOTDA_TEST_RUN`, so that
//! the package is not looked at twice in it; a single test always does, which costs seconds if nothing has changed.

use crate::{Lock, cargo, path, process, program, target};
use anyhow::{Context, Result, ensure};
use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

/// The version of libiotda.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// CMake's option for the function that makes the library panic.
pub const PANIC_HOOK: &str = "-DIOTDA_CARGO_FEATURES=panic-hook-for-tests";

/// CMake's options for the library with a Rust library of its own, and with that function.
pub const OWN_STD: &[&str] = &["-DIOTDA_BUILD_STD=ON", PANIC_HOOK];

/// Those that this process has made sure of, by their options.
static MADE: Mutex<BTreeMap<String, PathBuf>> = Mutex::new(BTreeMap::new());

/// An installed package.
#[derive(Clone, Debug)]
pub struct Package {
    /// Where it is.
    pub prefix: PathBuf,
}

impl Package {
    /// The package as it is shipped.
    pub fn shipped() -> Result<Self> {
        Self::with(&[])
    }

    /// The package built with options of CMake's, such as `-DIOTDA_TLS13=OFF`.
    pub fn with(options: &[&str]) -> Result<Self> {
        // That of another processor, which has the panic hook.
        if let Some(prefix) = env::var_os("IOTDA_TEST_PACKAGE") {
            return Ok(Self { prefix: prefix.into() });
        }
        let key = key(options);
        // A test that panicked while it had this left nothing half done: what is in the map is finished.
        let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(prefix) = made.get(&key) {
            return Ok(Self { prefix: prefix.clone() });
        }
        let prefix = make(&target().join("test/package").join(&key), options)?;
        made.insert(key, prefix.clone());
        Ok(Self { prefix })
    }

    /// What a compiler is given to build with it: `module` is `iotda` for the shared library or `iotda-static`.
    pub fn flags(&self, module: &str) -> Result<Vec<String>> {
        self.pkg_config(&["--cflags", "--libs", module])
    }

    /// What pkg-config says about it.
    pub fn pkg_config(&self, arguments: &[&str]) -> Result<Vec<String>> {
        let mut pkg_config = Command::new("pkg-config");
        pkg_config.env("PKG_CONFIG_PATH", self.prefix.join("lib/pkgconfig")).args(arguments);
        Ok(process::output(&mut pkg_config)?.split_whitespace().map(String::from).collect())
    }

    /// Configures and builds a CMake project that finds the package.
    pub fn cmake(&self, source: &Path, build: &Path, options: &[&str]) -> Result<()> {
        let mut configure = Command::new("cmake");
        configure.arg("-S").arg(source).arg("-B").arg(build).args(["-G", "Ninja"]).args(options);
        configure.arg(format!("-DCMAKE_PREFIX_PATH={}", self.prefix.display()));
        process::output(&mut configure)?;
        // Not another installation, in a place where CMake looks by itself.
        let cache = fs::read_to_string(build.join("CMakeCache.txt"))?;
        let found = format!("iotda_DIR:PATH={}", self.prefix.join("lib/cmake/iotda").display());
        ensure!(cache.contains(&found), "another libiotda was found than the one in {}", self.prefix.display());
        process::output(Command::new("cmake").arg("--build").arg(build)).map(drop)
    }

    /// A file of the package: the library that is linked shared, for example.
    pub fn file(&self, relative: &str) -> PathBuf {
        self.prefix.join(relative)
    }

    /// A program that finds the shared library.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = program::command(program);
        command.env("LD_LIBRARY_PATH", self.file("lib"));
        command
    }
}

/// A directory name that distinguishes lists of options.
fn key(options: &[&str]) -> String {
    let text = if options.is_empty() { "shipped".to_owned() } else { options.join("+").replace("-D", "") };
    text.chars().map(|c| if c.is_ascii_alphanumeric() || "_+".contains(c) { c } else { '-' }).collect()
}

/// Makes the package in `dir`, or finds that the one which is there is still what would be made.
fn make(dir: &Path, options: &[&str]) -> Result<PathBuf> {
    let _lock = Lock::take(&target().join("test/package/lock"))?;
    let (fresh, moved, note) = (dir.join("fresh"), dir.join("moved"), dir.join("run"));
    let run = env::var("IOTDA_TEST_RUN").unwrap_or_default();
    if !run.is_empty() && fs::read_to_string(&note).is_ok_and(|noted| noted == run) {
        return Ok(moved);
    }
    remove(&fresh)?;
    // `cargo xtask test` is that program itself.
    let mut package = env::var_os("IOTDA_XTASK").map_or_else(|| cargo("xtask"), Command::new);
    process::output(package.arg("package").arg("--prefix").arg(&fresh).args(options))?;
    // Another test may be at work with the one that is there.
    if files(&fresh)? == files(&moved).unwrap_or_default() {
        remove(&fresh)?;
    } else {
        remove(&moved)?;
        fs::rename(&fresh, &moved).with_context(|| format!("cannot move {}", fresh.display()))?;
    }
    fs::write(&note, run)?;
    Ok(moved)
}

fn remove(dir: &Path) -> Result<()> {
    if dir.exists() {
        fs::remove_dir_all(dir).with_context(|| format!("cannot remove {}", dir.display()))?;
    }
    Ok(())
}

/// The files of a directory by their paths in it, and what is in them.
fn files(dir: &Path) -> Result<BTreeMap<PathBuf, Vec<u8>>> {
    let mut found = BTreeMap::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(next) = dirs.pop() {
        for entry in fs::read_dir(&next).with_context(|| format!("cannot read {}", next.display()))? {
            let path = entry?.path();
            if path.is_dir() {
                dirs.push(path);
            } else {
                found.insert(path.strip_prefix(dir)?.to_owned(), fs::read(&path)?);
            }
        }
    }
    Ok(found)
}

impl Package {
    /// Its files by their paths in it, and what is in them.
    pub fn files(&self) -> Result<BTreeMap<PathBuf, Vec<u8>>> {
        files(&self.prefix)
    }
}

/// The C++ headers, as paths in the repository: that which programs include, and those that it includes, in order.
pub fn cpp_headers() -> Result<Vec<String>> {
    let mut names = vec!["include/iotda.hpp".to_owned()];
    let dir = path("include/iotda");
    for entry in fs::read_dir(&dir).with_context(|| format!("cannot read {}", dir.display()))? {
        names.push(format!("include/iotda/{}", entry?.file_name().to_string_lossy()));
    }
    names.sort();
    Ok(names)
}

/// The name of the function that a line of the C header declares. Comments and macros start otherwise.
pub fn declared_function(line: &str) -> Option<&str> {
    if line.starts_with([' ', '#', '/', '*']) || line.starts_with("typedef") {
        return None;
    }
    let before = line.split_once('(')?.0;
    before.rsplit([' ', '*']).next().filter(|name| name.starts_with("iotda_"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_list_of_options_has_its_directory() {
        assert_eq!(key(&[]), "shipped");
        assert_eq!(key(&["-DA=1", "-DB=x/y"]), "A-1+B-x-y");
        assert_ne!(key(&["-DA=1"]), key(&["-DA=2"]));
    }

    #[test]
    fn functions_are_found_in_the_header() {
        assert_eq!(declared_function("iotda_config_t *iotda_config_new(void);"), Some("iotda_config_new"));
        assert_eq!(declared_function("iotda_status_t iotda_init(const iotda_config_t *config,"), Some("iotda_init"));
        for line in ["#define IOTDA_X (1)", " * iotda_init(x)", "typedef int (*iotda_f)(void);", "extern \"C\" {"] {
            assert_eq!(declared_function(line), None, "{line}");
        }
    }
}
