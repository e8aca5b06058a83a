//! Starting programs, waiting for them, and making sure that none is left behind.

use anyhow::{Context, Result, bail};
use devkit::checkout::temporary;
pub use devkit::process::line;
use std::io::Read;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// How long a program under test may take. None comes near it, not even under valgrind on a busy machine; one
/// that hangs is ended.
pub(crate) const LIMIT: Duration = Duration::from_secs(300);

/// A child process. Dropped, it is killed if it still runs, and waited for.
pub struct Background {
    /// The process.
    pub child: Child,
    /// The command, as one would type it.
    pub name: String,
}

impl Background {
    /// Starts it, with its temporary files below the target directory.
    pub fn start(command: &mut Command) -> Result<Self> {
        let name = line(command);
        let child = command.env("TMPDIR", temporary()?).spawn().with_context(|| format!("cannot start {name}"))?;
        Ok(Self { child, name })
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        // Both fail only for a process that has ended and been waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a program wrote, and how it ended.
struct Finished {
    status: ExitStatus,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

impl Finished {
    /// Both streams, for a message about a failure.
    fn text(&self) -> String {
        let mut text = String::from_utf8_lossy(&self.stdout).into_owned();
        text.push_str(&String::from_utf8_lossy(&self.stderr));
        text
    }
}

/// Runs a tool quietly and returns what it wrote to standard output. It takes as long as it takes.
pub fn output(command: &mut Command) -> Result<String> {
    successful(command, None)
}

/// Runs a program under test quietly and returns what it wrote to standard output. One that hangs is ended.
pub fn output_in_time(command: &mut Command) -> Result<String> {
    successful(command, Some(LIMIT))
}

/// As `output_in_time`, for a program in which nothing may write to standard error.
pub fn silent_in_time(command: &mut Command) -> Result<()> {
    let finished = finish(command, Some(LIMIT))?;
    if !finished.status.success() {
        bail!("this failed ({}): {}\n{}", finished.status, line(command), finished.text());
    }
    if !finished.stderr.is_empty() {
        bail!("something wrote to the standard error of {}:\n{}", line(command), finished.text());
    }
    Ok(())
}

fn successful(command: &mut Command, limit: Option<Duration>) -> Result<String> {
    let finished = finish(command, limit)?;
    if !finished.status.success() {
        bail!("this failed ({}): {}\n{}", finished.status, line(command), finished.text());
    }
    String::from_utf8(finished.stdout).with_context(|| format!("not text: output of {}", line(command)))
}

/// Runs a program quietly to its end, whatever that is.
fn finish(command: &mut Command, limit: Option<Duration>) -> Result<Finished> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut program = Background::start(command)?;
    let stdout = program.child.stdout.take().context("the output is not piped")?;
    let stderr = program.child.stderr.take().context("the errors are not piped")?;
    let (sender, outputs) = mpsc::channel();
    collect(0, stdout, sender.clone());
    collect(1, stderr, sender);
    let mut texts = [Vec::new(), Vec::new()];
    for _ in 0..texts.len() {
        let next = match limit {
            None => outputs.recv().ok(),
            Some(limit) => outputs.recv_timeout(limit).ok(),
        };
        let Some((index, read)) = next else {
            bail!("it did not end in {} s and was ended: {}", LIMIT.as_secs(), program.name);
        };
        texts[index] = read?;
    }
    let [stdout, stderr] = texts;
    Ok(Finished { status: program.child.wait()?, stdout, stderr })
}

type Output = (usize, std::io::Result<Vec<u8>>);

/// Reads one stream to its end in a thread of its own, so that the other cannot hold the program up.
fn collect(index: usize, mut stream: impl Read + Send + 'static, outputs: mpsc::Sender<Output>) {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let read = stream.read_to_end(&mut bytes).map(|_| bytes);
        // Nobody listens any more once the limit has passed.
        let _ = outputs.send((index, read));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_hangs_is_ended() {
        let error = successful(Command::new("sleep").arg("1000"), Some(Duration::from_millis(1))).unwrap_err();
        assert!(error.to_string().contains("did not end"), "{error}");
    }

    #[test]
    fn temporary_files_are_below_the_target_directory() {
        let file = output(&mut Command::new("mktemp")).unwrap();
        std::fs::remove_file(file.trim()).unwrap();
        assert!(std::path::Path::new(&file).starts_with(devkit::checkout::target()), "{file}");
    }

    #[test]
    fn a_program_that_should_be_silent_is_heard() {
        silent_in_time(Command::new("sh").args(["-c", "echo out"])).unwrap();
        let error = silent_in_time(Command::new("sh").args(["-c", "echo err >&2"])).unwrap_err();
        assert!(error.to_string().contains("standard error"), "{error}");
    }

    #[test]
    fn a_failure_shows_what_the_program_wrote() {
        let error = output(Command::new("sh").args(["-c", "echo out; echo err >&2; exit 3"])).unwrap_err().to_string();
        assert_eq!(error, "this failed (exit status: 3): sh -c 'echo out; echo err >&2; exit 3'\nout\nerr\n");
    }
}
