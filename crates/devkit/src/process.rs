//! Running programs: a failure names the command as one would type it, so that it can be repeated.

use anyhow::{Error, Result, bail};
use std::env;
use std::fmt;
use std::io;
use std::process::{Command, ExitCode, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

/// The exit code of a command that cannot be run on this machine. Its first line that begins with "error: " says why.
pub const UNAVAILABLE: u8 = 77;

/// Why something cannot be had on this machine, in one line: a reason to leave a test out.
#[derive(Debug)]
pub struct Unavailable(pub String);

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unavailable {}

/// Prints why a command failed, and returns its exit code.
pub fn failed(error: &Error) -> ExitCode {
    eprintln!("error: {error:#}");
    let is_unavailable = error.chain().any(|cause| cause.is::<Unavailable>());
    if is_unavailable { ExitCode::from(UNAVAILABLE) } else { ExitCode::FAILURE }
}

/// Runs a program whose output the user sees as it comes.
pub fn run(command: &mut Command) -> Result<()> {
    let line = line_with_variables(command);
    let status = timed(command, Command::status).map_err(|error| not_started(error, &line))?;
    if status.code() == Some(UNAVAILABLE.into()) {
        bail!(Unavailable("this machine has not what it takes: see above".to_owned()));
    }
    if !status.success() {
        bail!("this failed ({status}): {line}");
    }
    Ok(())
}

/// Runs a program quietly and returns what it wrote to standard output.
pub fn output(command: &mut Command) -> Result<String> {
    let line = line_with_variables(command);
    let output = timed(command.stdin(Stdio::null()), Command::output).map_err(|error| not_started(error, &line))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        bail!("this failed ({}): {line}\n{text}{}", output.status, String::from_utf8_lossy(&output.stderr));
    }
    Ok(text)
}

/// Whether a program can be run and succeeds.
pub fn succeeds(command: &mut Command) -> bool {
    output(command).is_ok()
}

fn not_started(error: io::Error, line: &str) -> Error {
    Error::new(error).context(format!("cannot start {line}"))
}

/// Runs a command, and says every ten seconds how long it has taken, unless the program that started this one says it.
fn timed<T>(command: &mut Command, work: impl FnOnce(&mut Command) -> T) -> T {
    const SAID: &str = "IOTDA_TIME_IS_SAID";
    if env::var_os(SAID).is_some() {
        return work(command);
    }
    command.env(SAID, "1");
    let (ended, end) = mpsc::channel::<()>();
    thread::scope(|scope| {
        scope.spawn(move || {
            let begin = Instant::now();
            while end.recv_timeout(Duration::from_secs(10)) == Err(RecvTimeoutError::Timeout) {
                eprintln!("... {} s", begin.elapsed().as_secs());
            }
        });
        let result = work(command);
        drop(ended);
        result
    })
}

/// A command as one would type it.
pub fn line(command: &Command) -> String {
    let words = [command.get_program()].into_iter().chain(command.get_args());
    words.map(|word| quoted(&word.to_string_lossy())).collect::<Vec<_>>().join(" ")
}

/// The same, with the variables that are set for it.
fn line_with_variables(command: &Command) -> String {
    let set = command
        .get_envs()
        .filter_map(|(name, value)| Some(format!("{}={} ", name.to_string_lossy(), quoted(&value?.to_string_lossy()))));
    set.chain([line(command)]).collect()
}

fn quoted(word: &str) -> String {
    let plain = !word.is_empty() && !word.contains(|c: char| c.is_whitespace() || "'\"$".contains(c));
    if plain { word.to_owned() } else { format!("'{word}'") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_shows_what_the_program_wrote() {
        let error = output(Command::new("sh").args(["-c", "echo out; echo err >&2; exit 3"])).unwrap_err().to_string();
        assert_eq!(error, "this failed (exit status: 3): sh -c 'echo out; echo err >&2; exit 3'\nout\nerr\n");
    }

    #[test]
    fn a_failure_names_the_command_so_that_it_can_be_repeated() {
        let mut command = Command::new("sh");
        command.args(["-c", "exit 3"]).env("SEED", "5").env_remove("HOME");
        let error = run(&mut command).unwrap_err().to_string();
        assert_eq!(error, "this failed (exit status: 3): SEED=5 sh -c 'exit 3'");
        let error = run(&mut Command::new("no-such-program-as-this")).unwrap_err().to_string();
        assert_eq!(error, "cannot start no-such-program-as-this");
    }

    #[test]
    fn what_cannot_be_run_here_is_another_failure() {
        let error = run(Command::new("sh").args(["-c", "exit 77"])).unwrap_err();
        assert!(error.is::<Unavailable>(), "{error}");
        assert_eq!(failed(&error), ExitCode::from(UNAVAILABLE));
        assert_eq!(failed(&Error::msg("another")), ExitCode::FAILURE);
    }
}
