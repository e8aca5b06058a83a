//! Where the device's secret is, and reading it. It is wiped when it is dropped, and shown nowhere.

use std::env;
use std::fmt;
use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use zeroize::Zeroizing;

use super::prompt::{self, Typed};
use crate::exit::{Exit, Failure};

/// More than any secret has: the platform's have 8 to 32 characters.
const LARGEST: usize = 4096;

/// Where a secret is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretPlace {
    /// The first line of a file.
    File(PathBuf),
    /// The first line of the standard input.
    Stdin,
    /// `IOTDA_DEVICE_SECRET`, all of it.
    Variable,
    /// The first line that a shell command prints.
    Command(String),
}

/// A secret.
pub struct Secret {
    pub bytes: Zeroizing<Vec<u8>>,
    /// The permissions of its file (such as 0o600), where it was in one.
    pub mode: Option<u32>,
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secret").field("mode", &self.mode).finish_non_exhaustive()
    }
}

impl fmt::Display for SecretPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SecretPlace::File(path) => write!(f, "{}", path.display()),
            SecretPlace::Stdin => f.write_str("standard input"),
            SecretPlace::Variable => f.write_str("IOTDA_DEVICE_SECRET"),
            SecretPlace::Command(_) => f.write_str("secret_command"),
        }
    }
}

impl SecretPlace {
    /// As `--secret-file` names it.
    pub fn of_flag(file: &Path) -> Self {
        if file == Path::new("-") { SecretPlace::Stdin } else { SecretPlace::File(file.to_owned()) }
    }

    /// Reads it. Of a file, the input and a command it is the first line, without its end.
    pub fn read(&self) -> Result<Secret, Failure> {
        let fault = |why: &dyn fmt::Display| Failure::config(format!("check where the secret is: {self}: {why}"));
        let secret = match self {
            SecretPlace::File(path) => {
                let file = File::open(path).map_err(|error| fault(&error))?;
                let mode = file.metadata().map_err(|error| fault(&error))?.mode() & 0o7777;
                Secret { bytes: first_line(file).map_err(|error| fault(&error))?, mode: Some(mode) }
            }
            SecretPlace::Stdin => {
                let bytes = first_line(io::stdin().lock()).map_err(|error| fault(&error))?;
                Secret { bytes, mode: None }
            }
            SecretPlace::Variable => {
                let value = env::var_os("IOTDA_DEVICE_SECRET").unwrap_or_default();
                Secret { bytes: Zeroizing::new(value.as_bytes().to_vec()), mode: None }
            }
            SecretPlace::Command(command) => {
                Secret { bytes: of_command(command).map_err(|error| fault(&error))?, mode: None }
            }
        };
        if secret.bytes.is_empty() {
            return Err(fault(&"it is empty"));
        }
        Ok(secret)
    }
}

/// Asks a person on the terminal, without showing what is typed.
pub fn ask(device: &str) -> Result<Secret, Failure> {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Err(Failure::config(
            "give the device's secret by --secret-file, IOTDA_DEVICE_SECRET or a profile's secret_file: there is none",
        ));
    }
    let unable = |error: io::Error| Failure::config(format!("give the secret by --secret-file: no prompt: {error}"));
    match prompt::ask(&format!("Secret of {device}: "), LARGEST).map_err(unable)? {
        Typed::Line(line) if line.is_empty() => {
            Err(Failure::config("type the device's secret, or give it by --secret-file: it is empty"))
        }
        Typed::Line(bytes) => Ok(Secret { bytes, mode: None }),
        Typed::Interrupted => Err(Failure::new(Exit::Interrupted, "interrupted, nothing was sent")),
    }
}

/// What stands before the first line's end.
fn first_line(mut input: impl Read) -> io::Result<Zeroizing<Vec<u8>>> {
    // A byte at a time, so that what follows the line on the standard input is left to the command.
    let mut line = Zeroizing::new(Vec::with_capacity(LARGEST));
    let mut byte = Zeroizing::new([0]);
    loop {
        match input.read(&mut *byte) {
            Ok(0) => break,
            Ok(_) if byte[0] == b'\n' => break,
            Ok(_) if line.len() == LARGEST => {
                return Err(io::Error::other("its first line has more than 4,096 bytes"));
            }
            Ok(_) => line.push(byte[0]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    Ok(line)
}

fn of_command(command: &str) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut shell = Command::new("sh");
    let mut child = shell.args(["-c", command]).stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let output = child.stdout.take().map(first_line).transpose()?.unwrap_or_default();
    // The rest of its output is not read; a command that still writes ends by SIGPIPE, which is no failure of it.
    let status = child.wait()?;
    if output.is_empty() && !status.success() {
        return Err(io::Error::other(format!("the command failed ({status})")));
    }
    Ok(output)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_is_the_secret() {
        for (text, expected) in
            [("abc", "abc"), ("abc\n", "abc"), ("abc\r\ndef\n", "abc"), (" a b \n", " a b "), ("", ""), ("\n", "")]
        {
            assert_eq!(first_line(text.as_bytes()).unwrap().as_slice(), expected.as_bytes(), "{text:?}");
        }
        assert!(first_line(vec![b'x'; LARGEST + 1].as_slice()).is_err());
    }

    #[test]
    fn what_a_command_prints_is_the_secret_and_a_failure_is_none() {
        let secret = SecretPlace::Command("printf 'abc\\ndef'".to_owned()).read().unwrap();
        assert_eq!(secret.bytes.as_slice(), b"abc");
        let failed = SecretPlace::Command("exit 3".to_owned()).read().unwrap_err();
        assert!(failed.message.contains("exit status: 3"), "{failed}");
    }

    #[test]
    fn an_empty_secret_is_refused_with_its_place() {
        let message = SecretPlace::Command("true".to_owned()).read().unwrap_err().message;
        assert_eq!(message, "check where the secret is: secret_command: it is empty");
        assert_eq!(SecretPlace::File("/nowhere/s".into()).read().unwrap_err().exit.code(), 3);
    }
}
