//! How far an input was put into an outbox: a small file in the directory `stream` of the outbox, for its owner alone.
//!
//! It is written after the outbox has synced what stands before it, so that it never claims a line that could be lost. What
//! was put since is put again after a kill: at most the lines of one second.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::source::Section;

/// A place between two lines of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// For a person who reads it.
    pub path: PathBuf,
    pub device: u64,
    pub inode: u64,
    /// Bytes before it.
    pub offset: u64,
    /// Lines before it.
    pub lines: u64,
    /// SHA-256 of the first bytes before it: see [`Section::head`].
    pub head: String,
}

impl Position {
    /// `None`: the section is no file, or cannot be read any more.
    pub fn of(section: &Section, offset: u64, lines: u64) -> Option<Self> {
        let (path, head) = (section.path.clone()?, section.head(offset)?);
        Some(Position { path, device: section.device, inode: section.inode, offset, lines, head })
    }
}

/// Where the positions of one outbox are kept.
#[derive(Clone, Debug)]
pub struct Positions {
    directory: PathBuf,
}

impl Positions {
    pub fn of(outbox: &Path) -> Self {
        Positions { directory: outbox.join("stream") }
    }

    /// One file for each input, named after the input's path.
    fn file(&self, input: &Path) -> PathBuf {
        let hash = Sha256::digest(input.as_os_str().as_encoded_bytes());
        let name: String = hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        self.directory.join(format!("position-{name}.json"))
    }

    /// What is kept for an input; `None`: nothing, or nothing that can be read, so that it is read from its beginning.
    pub fn read(&self, input: &Path) -> Option<Position> {
        let text = fs::read(self.file(input)).ok()?;
        serde_json::from_slice::<Position>(&text).ok().filter(|position| position.path == input)
    }

    /// Replaces it, durably.
    pub fn write(&self, position: &Position) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.directory)?;
        let file = self.file(&position.path);
        let new = file.with_extension("new");
        let mut to = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        to.write_all(&serde_json::to_vec(position)?)?;
        to.sync_data()?;
        fs::rename(&new, &file)?;
        File::open(&self.directory)?.sync_all()
    }

    /// Forgets it: the input was read to its end, and everything was accepted.
    pub fn forget(&self, input: &Path) -> io::Result<()> {
        match fs::remove_file(self.file(input)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn a_position_is_kept_for_each_input_and_for_its_owner_alone() {
        let outbox = std::env::temp_dir().join(format!("iotda-position-{}", std::process::id()));
        let positions = Positions::of(&outbox);
        let position = Position {
            path: "/in/put".into(),
            device: 1,
            inode: u64::MAX,
            offset: 1 << 40,
            lines: 7,
            head: "00".to_owned(),
        };
        assert_eq!(positions.read(&position.path), None);
        positions.write(&Position { offset: 3, ..position.clone() }).unwrap();
        positions.write(&position).unwrap();
        assert_eq!(positions.read(&position.path), Some(position.clone()));
        assert_eq!(positions.read(Path::new("/other")), None);
        let file = positions.file(&position.path);
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
        // Damage means that the input is read again, never that it is passed over.
        fs::write(&file, "{\"path\":\"/in/put\",\"offset\":9").unwrap();
        assert_eq!(positions.read(&position.path), None);
        positions.forget(&position.path).unwrap();
        positions.forget(&position.path).unwrap();
        assert_eq!(fs::read_dir(outbox.join("stream")).unwrap().count(), 0);
        fs::remove_dir_all(&outbox).unwrap();
    }
}
