//! Running programs.

use crate::tools::Unavailable;
use anyhow::{Context, Result, bail};
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

/// The exit code of a command that cannot be run on this machine. Its first line that begins with "error: " says why.
pub(crate) const UNAVAILABLE: u8 = 77;

/// Runs a program whose output the user sees as it comes.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = timed(|| command.status()).with_context(|| format!("cannot start {}", line(command)))?;
    if status.code() == Some(UNAVAILABLE.into()) {
        bail!(Unavailable::new("this machine has not what it takes: see above"));
    }
    if !status.success() {
        bail!("this failed ({status}): {}", line(command));
    }
    Ok(())
}

/// Runs a program quietly and returns what it wrote to standard output.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    command.stdin(Stdio::null());
    let output = timed(|| command.output()).with_context(|| format!("cannot start {}", line(command)))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        bail!("this failed ({}): {}\n{text}{errors}", output.status, line(command));
    }
    Ok(text)
}

/// Says every ten seconds how long it has taken, where no progress bar does.
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

/// Whether a command can be run and succeeds.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    output(command).is_ok()
}

/// A command as one would type it.
pub(crate) fn line(command: &Command) -> String {
    let mut words = vec![command.get_program().to_string_lossy().into_owned()];
    for argument in command.get_args() {
        let argument = argument.to_string_lossy();
        let plain = !argument.is_empty() && !argument.contains(|c: char| c.is_whitespace() || "'\"$".contains(c));
        words.push(if plain { argument.into_owned() } else { format!("'{argument}'") });
    }
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_shows_what_the_program_wrote() {
        let error = output(Command::new("sh").args(["-c", "echo out; echo err >&2; exit 3"])).unwrap_err().to_string();
        assert_eq!(error, "this failed (exit status: 3): sh -c 'echo out; echo err >&2; exit 3'\nout\nerr\n");
    }
}
