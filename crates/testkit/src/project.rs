//! Files of the repository, a directory for each test, a lock for all processes, and the stand-in as a program.

use crate::process;
use anyhow::{Context, Result, ensure};
use devkit::checkout::{cargo, root, target};
use std::cell::OnceCell;
use std::env;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;

/// A path in the repository.
pub fn path(relative: &str) -> PathBuf {
    root().join(relative)
}

/// A text file of the repository.
pub fn read(relative: &str) -> Result<String> {
    fs::read_to_string(path(relative)).with_context(|| format!("cannot read {relative}"))
}

thread_local! {
    static SCRATCH: OnceCell<PathBuf> = const { OnceCell::new() };
}

/// A directory of the running test's own, which it finds empty and which stays until the test runs again.
pub fn scratch() -> Result<PathBuf> {
    SCRATCH.with(|kept| {
        if let Some(dir) = kept.get() {
            return Ok(dir.clone());
        }
        let dir = make_scratch()?;
        Ok(kept.get_or_init(|| dir).clone())
    })
}

fn make_scratch() -> Result<PathBuf> {
    let program = env::current_exe()?;
    let file = program.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    // cargo adds a hash: c-0123456789abcdef.
    let file = file.rsplit_once('-').map_or(file.as_str(), |(name, _)| name);
    // The runner gives each test a thread of its own, of the test's name.
    let thread = thread::current();
    let test = thread.name().unwrap_or("main").replace("::", ".");
    // The tests of another processor run beside those of this one.
    let processor = env::var("IOTDA_TEST_PROCESSOR").unwrap_or_default();
    let dir = target().join("test").join(processor).join(file).join(test);
    if dir.exists() {
        fs::remove_dir_all(&dir).with_context(|| format!("cannot empty {}", dir.display()))?;
    }
    fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
    Ok(dir)
}

/// Copies the files of a directory of the repository, without the directories in it, to one that is made if need be.
pub fn copy_files(from: &str, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("cannot create {}", to.display()))?;
    for entry in fs::read_dir(path(from)).with_context(|| format!("cannot read {from}"))? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            fs::copy(entry.path(), to.join(entry.file_name()))?;
        }
    }
    Ok(())
}

/// The stand-in platform as a program, for tests that are not written in Rust. `cargo xtask test` has built it already.
pub fn platform_program() -> Result<PathBuf> {
    if let Some(program) = env::var_os("IOTDA_PLATFORM") {
        return Ok(program.into());
    }
    process::output(cargo("build").args(["--locked", "--quiet", "--package", "iotda-platform"]))?;
    Ok(target().join("debug/iotda-platform"))
}

/// A lock that is held by a file of the file system, for all processes of this machine. It ends with this value, or
/// with this process.
pub struct Lock {
    holder: Child,
}

impl Lock {
    /// Waits until nobody else has it.
    pub fn take(file: &Path) -> Result<Self> {
        fs::create_dir_all(file.parent().context("a file is in a directory")?)?;
        // Rust 1.85 has no File::lock, so that flock holds it, until its input ends.
        let mut flock = Command::new("flock");
        flock.arg(file).args(["sh", "-c", "echo locked; cat"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut holder = flock.spawn().with_context(|| format!("cannot start {}", process::line(&flock)))?;
        let mut said = String::new();
        BufReader::new(holder.stdout.take().context("the output is not piped")?).read_line(&mut said)?;
        ensure!(said == "locked\n", "cannot lock {}", file.display());
        Ok(Self { holder })
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        drop(self.holder.stdin.take());
        // Fails only for a process that has been waited for.
        let _ = self.holder.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn a_lock_is_held_by_one_at_a_time() {
        let file = scratch().unwrap().join("lock");
        let first = Lock::take(&file).unwrap();
        let (sender, taken) = mpsc::channel();
        let waiting = thread::spawn(move || {
            let second = Lock::take(&file).unwrap();
            sender.send(()).unwrap();
            drop(second);
        });
        assert!(taken.try_recv().is_err(), "the lock was taken while it was held");
        drop(first);
        taken.recv().unwrap();
        waiting.join().unwrap();
    }

    #[test]
    fn each_test_has_a_directory_of_its_own() {
        let dir = scratch().unwrap();
        assert!(dir.ends_with("testkit/project.tests.each_test_has_a_directory_of_its_own"), "{}", dir.display());
        assert!(dir.starts_with(target()));
    }
}
