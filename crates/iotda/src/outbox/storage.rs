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

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    /// Does three bytes at a time, each time after it was interrupted; at the end it does nothing, or fails.
    struct Halting {
        bytes: Mutex<(Vec<u8>, bool)>,
        most: usize,
        fails: bool,
    }

    impl Halting {
        fn step(&self) -> io::Result<std::sync::MutexGuard<'_, (Vec<u8>, bool)>> {
            let mut state = self.bytes.lock().unwrap();
            state.1 = !state.1;
            if state.1 { Err(io::ErrorKind::Interrupted.into()) } else { Ok(state) }
        }

        fn end(&self) -> io::Result<usize> {
            if self.fails { Err(io::ErrorKind::StorageFull.into()) } else { Ok(0) }
        }
    }

    impl Stored for Halting {
        fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
            let state = self.step()?;
            let rest = &state.0[at as usize..];
            let length = rest.len().min(buffer.len()).min(3);
            if length == 0 {
                return self.end();
            }
            buffer[..length].copy_from_slice(&rest[..length]);
            Ok(length)
        }

        fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<usize> {
            let mut state = self.step()?;
            assert_eq!(at, state.0.len() as u64);
            let length = bytes.len().min(3).min(self.most - state.0.len());
            if length == 0 {
                return self.end();
            }
            state.0.extend_from_slice(&bytes[..length]);
            Ok(length)
        }

        fn sync(&self) -> io::Result<()> {
            Ok(())
        }

        fn set_length(&self, _: u64) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_is_interrupted_or_done_in_part_goes_on() {
        for (most, fails, expected) in [
            (11, true, Ok(())),
            (10, true, Err(io::ErrorKind::StorageFull)),
            (10, false, Err(io::ErrorKind::WriteZero)),
        ] {
            let file = Halting { bytes: Mutex::default(), most, fails };
            assert_eq!(write_all(&file, b"hello world", 0).map_err(|error| error.kind()), expected);
            assert_eq!(file.bytes.lock().unwrap().0, b"hello world"[..most]);
        }
        for fails in [false, true] {
            let file = Halting { bytes: Mutex::new((b"hello world".to_vec(), false)), most: 0, fails };
            let mut buffer = [0; 5];
            assert_eq!((read_full(&file, &mut buffer, 3).unwrap(), &buffer), (5, b"lo wo"));
            let end = read_full(&file, &mut buffer, 8).map_err(|error| error.kind());
            assert_eq!(end, if fails { Err(io::ErrorKind::StorageFull) } else { Ok(3) });
        }
    }
}
