//! What the outbox needs of a directory, as a trait: real files ([`super::directory`]), and in tests a store that
//! records every call, fails on demand and shows what a power cut can leave behind.

use std::io;
use std::sync::Arc;

/// A directory that belongs to one outbox.
pub(crate) trait Storage: Send + Sync {
    /// Names and lengths of all files.
    fn list(&self) -> io::Result<Vec<(String, u64)>>;
    /// Makes a file; it must not exist.
    fn create(&self, name: &str) -> io::Result<Arc<dyn Stored>>;
    /// Opens a file that exists.
    fn open(&self, name: &str) -> io::Result<Arc<dyn Stored>>;
    /// Removes a name. Who has the file open can still read it.
    fn unlink(&self, name: &str) -> io::Result<()>;
    /// Names made and removed until now are on the device when this returns.
    fn sync_names(&self) -> io::Result<()>;
    /// Whether space that was filled with zeros once is there when it is overwritten.
    fn zeros_reserve(&self) -> bool;
}

/// A file.
pub(crate) trait Stored: Send + Sync {
    /// Reads up to `buffer.len()` bytes; 0 at the end.
    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize>;
    /// Writes some of `bytes`.
    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<usize>;
    /// What was written until now is on the device when this returns.
    fn sync(&self) -> io::Result<()>;
    /// Cuts the file.
    fn set_length(&self, length: u64) -> io::Result<()>;
}

/// Writes all of `bytes`.
pub(crate) fn write_all(file: &dyn Stored, mut bytes: &[u8], mut at: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.write_at(bytes, at) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                bytes = &bytes[written..];
                at += written as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Fills `buffer` as far as the file goes; returns how many bytes that were.
pub(crate) fn read_full(file: &dyn Stored, buffer: &mut [u8], at: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], at + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
