//! Running cargo and other programs in the repository.

use anyhow::{Context, Result, bail};
use std::env;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

/// The exit code of a command that cannot be run on this machine, as in xtask.
pub(crate) const UNAVAILABLE: u8 = 77;

/// Why a campaign cannot be run on this machine.
#[derive(Debug)]
pub(crate) struct Unavailable(pub(crate) String);

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unavailable {}

/// The repository.
pub(crate) fn root() -> PathBuf {
    let here = env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
    here.ancestors().nth(2).unwrap_or(Path::new(".")).to_owned()
}

/// The directory that everything built goes to: this program is in it.
pub(crate) fn target() -> PathBuf {
    let program = env::current_exe().unwrap_or_default();
    let found = program.ancestors().find(|dir| dir.join("CACHEDIR.TAG").exists());
    found.map_or_else(|| root().join("target"), PathBuf::from)
}

/// cargo's options for tests of a campaign: optimized, and with checks that a release does not have.
pub(crate) fn profile() -> [&'static str; 3] {
    ["--locked", "--profile", "campaign"]
}

/// The cargo that started us, at work in the repository. It is not to see what cargo says about this crate: build
/// scripts would take it for a change.
pub(crate) fn cargo(subcommand: &str) -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root()).arg(subcommand);
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("CARGO_PKG_")) {
            cargo.env_remove(name);
        }
    }
    cargo.env_remove("CARGO_MANIFEST_DIR").env_remove("CARGO_MANIFEST_PATH");
    cargo
}

/// rustc's name of this machine.
pub(crate) fn host() -> Result<String> {
    let output = Command::new("rustc").arg("-vV").output().context("cannot start rustc")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(String::from).context("rustc does not name its host")
}

/// Runs a program whose output the user sees as it comes.
pub(crate) fn shown(command: &mut Command) -> Result<()> {
    let status = timed(|| command.status()).with_context(|| format!("cannot start {}", line(command)))?;
    if !status.success() {
        bail!("this failed ({status}): {}", line(command));
    }
    Ok(())
}

/// Whether a program can be run and succeeds.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    command.stdin(Stdio::null()).output().is_ok_and(|output| output.status.success())
}

/// Says every ten seconds how long it has taken.
fn timed<T>(work: impl FnOnce() -> T) -> T {
    let (ended, end) = mpsc::channel::<()>();
    thread::scope(|scope| {
        scope.spawn(move || {
            let begin = Instant::now();
            while end.recv_timeout(Duration::from_secs(10)) == Err(RecvTimeoutError::Timeout) {
                eprintln!("... {} s", begin.elapsed().as_secs());
            }
        });
        let result = work();
        drop(ended);
        result
    })
}

/// A command as one would type it, with the variables that are set for it.
pub(crate) fn line(command: &Command) -> String {
    let set = command
        .get_envs()
        .filter_map(|(name, value)| Some(format!("{}={}", name.to_string_lossy(), quoted(&value?.to_string_lossy()))));
    let words = [command.get_program()].into_iter().chain(command.get_args());
    let words = words.map(|word| quoted(&word.to_string_lossy()));
    set.chain(words).collect::<Vec<_>>().join(" ")
}

fn quoted(word: &str) -> String {
    let plain = !word.is_empty() && !word.contains(|c: char| c.is_whitespace() || "'\"$".contains(c));
    if plain { word.to_owned() } else { format!("'{word}'") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_names_the_command_so_that_it_can_be_repeated() {
        let mut command = Command::new("sh");
        command.args(["-c", "exit 3"]).env("SEED", "5").env_remove("HOME");
        let error = shown(&mut command).unwrap_err().to_string();
        assert_eq!(error, "this failed (exit status: 3): SEED=5 sh -c 'exit 3'");
    }
}
