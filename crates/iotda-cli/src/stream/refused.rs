//! What becomes of a line that is refused for good: the stream ends, or goes on without it, with the line in a file.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use iotda::{DeadLetter, ErrorKind};
use serde::Serialize;
use serde_json::json;

use super::lines::Record;
use crate::arguments::OnError;
use crate::body::Shown;
use crate::exit::{Exit, Failure};
use crate::output::Output;

/// Why a line was refused.
pub struct Refusal<'a> {
    pub kind: ErrorKind,
    /// The platform's, where it was the platform.
    pub code: Option<&'a str>,
    pub message: &'a str,
}

/// A dead letter in the file.
#[derive(Serialize)]
struct Letter<'a> {
    device: &'a str,
    time_ms: i64,
    kind: String,
    code: &'a str,
    body: Shown<'a>,
}

/// What `--on-error` says.
pub struct Refused {
    on_error: OnError,
    file: Option<File>,
    output: Output,
}

impl Refused {
    pub fn open(on_error: OnError, file: Option<&Path>, output: Output) -> Result<Self, Failure> {
        let file = match (on_error, file) {
            (OnError::Dead, Some(path)) => {
                let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path);
                Some(file.map_err(|error| {
                    Failure::storage(format!("check --dead-file: {} cannot be written: {error}", path.display()))
                })?)
            }
            (OnError::Dead, None) => {
                return Err(Failure::usage("name a file by --dead-file for the lines that are refused"));
            }
            _ => None,
        };
        Ok(Refused { on_error, file, output })
    }

    pub fn stops(&self) -> bool {
        self.on_error == OnError::Stop
    }

    /// Whether what is refused is kept in a file.
    pub fn keeps(&self) -> bool {
        self.on_error == OnError::Dead
    }

    /// A line that is refused. An error ends the stream.
    pub fn line(&mut self, record: &Record, refusal: &Refusal<'_>) -> Result<(), Failure> {
        let place = format!("line {} of {}", record.line, record.section.shown);
        match self.on_error {
            OnError::Stop => {
                let message = format!("{place}: {}", refusal.message);
                return Err(Failure::new(Exit::from(refusal.kind), message));
            }
            OnError::Skip => self.output.note(&format!("iotda: {place} is left out: {}", refusal.message)),
            OnError::Dead => self.write(
                &json!({
                    "line": record.line, "kind": format!("{:?}", refusal.kind), "code": refusal.code,
                    "reason": refusal.message, "text": record.text,
                })
                .to_string(),
            )?,
        }
        Ok(())
    }

    /// A report that the platform refused after it waited in an outbox; its line is not known any more.
    pub fn letter(&mut self, letter: &DeadLetter) -> Result<(), Failure> {
        let line = Letter {
            device: &letter.device_id,
            time_ms: letter.time_ms,
            kind: format!("{:?}", letter.reason),
            code: &letter.platform_code,
            body: Shown::of(&letter.body),
        };
        let text = serde_json::to_string(&line).map_err(|error| Failure::new(Exit::Internal, error.to_string()))?;
        self.write(&text)
    }

    /// Durable when it returns: the line is nowhere else.
    fn write(&mut self, line: &str) -> Result<(), Failure> {
        let Some(file) = &mut self.file else { return Ok(()) };
        let written = file.write_all(format!("{line}\n").as_bytes()).and_then(|()| file.sync_data());
        written.map_err(|error| Failure::storage(format!("make room for --dead-file: it cannot be written: {error}")))
    }
}
