//! What is handed out, made by the program under test: once for all tests of a program, and a second time, in another
//! directory and with other rights for new files, to be compared with the first.

use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use testkit::{Lock, forget_this_crate, process, target};

/// A time that is none of a file's: 2023-11-14 22:13:20.
const EPOCH: &str = "1700000000";

/// Files by their names.
pub type Files = BTreeMap<String, PathBuf>;

static MADE: Mutex<BTreeMap<String, Files>> = Mutex::new(BTreeMap::new());

/// What there is of a kind. Tests do not write to it.
pub fn made(kind: &str) -> Result<Files> {
    once(kind, "one", "022")
}

/// The same once more.
pub fn made_again(kind: &str) -> Result<Files> {
    once(kind, "other", "077")
}

fn once(kind: &str, name: &str, umask: &str) -> Result<Files> {
    let out = target().join("test/made").join(kind).join(name);
    // A test that panicked while it had this left nothing half done: what is in the map is finished.
    let mut all = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(files) = all.get(&format!("{kind} {name}")) {
        return Ok(files.clone());
    }
    // CMake's build directory is that of `cargo xtask dist`, for one at a time.
    let _lock = Lock::take(&target().join("test/dist.lock"))?;
    if out.exists() {
        fs::remove_dir_all(&out).with_context(|| format!("cannot remove {}", out.display()))?;
    }
    let mut dist = Command::new("sh");
    dist.args(["-c", "umask $0 && exec \"$@\"", umask, env!("CARGO_BIN_EXE_dist"), "--out"]).arg(&out);
    // The command in a release takes two minutes of a processor, and its package is the same but for its size.
    dist.args(["--profile", "dev"]).arg(kind);
    forget_this_crate(&mut dist);
    process::output(dist.env("SOURCE_DATE_EPOCH", EPOCH))?;
    let mut files = Files::new();
    for entry in fs::read_dir(&out)? {
        let path = entry?.path();
        files.insert(path.file_name().unwrap_or_default().to_string_lossy().into_owned(), path);
    }
    all.insert(format!("{kind} {name}"), files.clone());
    Ok(files)
}
