//! A file that records are appended to, a line of JSON for each. Only its owner can read it: it may hold passwords and
//! access tokens.

use crate::Error;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

#[derive(Debug)]
pub(super) struct RecordFile {
    file: File,
    path: PathBuf,
}

impl RecordFile {
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        let mut options = OpenOptions::new();
        options.create(true).append(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(path).map_err(|error| {
            let place = path.display();
            Error::new(format!("the record file {place} cannot be opened for writing: {error}"))
        })?;
        Ok(Self { file, path: path.to_owned() })
    }

    pub(super) fn append(&mut self, lines: impl IntoIterator<Item = String>) -> Result<(), Error> {
        let text: String = lines.into_iter().map(|line| line + "\n").collect();
        self.file.write_all(text.as_bytes()).map_err(|error| {
            let place = self.path.display();
            Error::new(format!("the record file {place} cannot be written: {error}"))
        })
    }
}
