//! Running programs: a failure shows the command as one would type it, and what the program wrote.

use anyhow::{Context, Result, bail};
use std::env;
use std::process::{Command, Stdio};

/// Runs a program whose output the user sees as it comes.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot start {}", line(command)))?;
    if !status.success() {
        bail!("this failed ({status}): {}", line(command));
    }
    Ok(())
}

/// Runs a program quietly and returns what it wrote to standard output.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("cannot start {}", line(command)))?;
    if !output.status.success() {
        let text = [output.stdout, output.stderr].concat();
        bail!("this failed ({}): {}\n{}", output.status, line(command), String::from_utf8_lossy(&text));
    }
    String::from_utf8(output.stdout).with_context(|| format!("not text: output of {}", line(command)))
}

/// Removes what cargo says about this program in the environment: the build scripts of other crates take it for a change.
pub(crate) fn forget_this_crate(command: &mut Command) {
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")) {
            command.env_remove(name);
        }
    }
}

/// Such as "tar -cf a.tar b". What is quoted in it is for a reader, not for a shell.
fn line(command: &Command) -> String {
    let mut words = vec![command.get_program().to_string_lossy().into_owned()];
    words.extend(command.get_args().map(|argument| argument.to_string_lossy().into_owned()));
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_shows_what_the_program_wrote() {
        let mut command = Command::new("sh");
        let error = output(command.args(["-c", "echo out; echo err >&2; exit 3"])).unwrap_err().to_string();
        assert_eq!(error, "this failed (exit status: 3): sh -c echo out; echo err >&2; exit 3\nout\nerr\n");
    }
}
