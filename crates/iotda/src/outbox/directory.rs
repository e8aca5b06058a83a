//! The outbox's directory on a real file system: made if it is missing, locked, and closed to other users.
//!
//! # The file `outbox`
//!
//! 64 bytes for people and versions; damaged or missing, it is written anew. `IOTDABOX` (8 bytes), the format's
//! number 1 (4), 4 zeros, an id drawn when it was made (16), 28 zeros, CRC-32C of the 60 bytes before (4).

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use iotda_sys::descriptor::above_stdio;
use iotda_sys::file::{self, Lock};
use iotda_sys::kept::{Descriptors, Kept};

use super::crc32c;
use super::frame::u32_at;
use super::storage::{Storage, Stored};

const MAGIC: &[u8; 8] = b"IOTDABOX";
const FORMAT: u32 = 1;

/// Why a directory cannot be used.
#[derive(Debug)]
pub(crate) enum Unfit {
    /// Another process, or another outbox of this one, uses it.
    InUse,
    /// A newer version of this library made it.
    Newer,
    /// What was tried, and what the system said.
    Io(&'static str, io::Error),
}

/// A directory that is locked.
#[derive(Debug)]
pub(crate) struct Directory {
    path: PathBuf,
    lock: Lock,
    /// Of the files that are open.
    descriptors: Arc<Descriptors>,
    zeros_reserve: bool,
    /// Nothing here survives a restart of the machine.
    pub(crate) is_volatile: bool,
    /// Other users may be able to read it: the file system knows no modes.
    pub(crate) is_open_to_others: bool,
}

impl Directory {
    pub(crate) fn open(path: &Path) -> Result<Self, Unfit> {
        match DirBuilder::new().mode(0o700).create(path) {
            Ok(()) => {
                // Its own name must be durable, too. Not every parent can be opened.
                let _ = File::open(parent(path)).and_then(|parent| parent.sync_all());
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(Unfit::Io("made", error)),
        }
        let directory = File::open(path).and_then(apart).map_err(|error| Unfit::Io("opened", error))?;
        if !directory.metadata().is_ok_and(|about| about.is_dir()) {
            return Err(Unfit::Io("opened", io::ErrorKind::NotADirectory.into()));
        }
        let zeros_reserve = file::zeros_reserve_space(directory.as_fd());
        let is_volatile = file::is_volatile(directory.as_fd());
        let lock = Lock::take(directory).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => Unfit::InUse,
            _ => Unfit::Io("locked", error),
        })?;
        let closed = std::fs::set_permissions(path, Permissions::from_mode(0o700)).and_then(|()| path.metadata());
        let is_open_to_others = !closed.is_ok_and(|about| about.permissions().mode() & 0o077 == 0);
        let (path, descriptors) = (path.to_owned(), Arc::default());
        let directory = Directory { path, lock, descriptors, zeros_reserve, is_volatile, is_open_to_others };
        directory.check_about()?;
        Ok(directory)
    }

    /// Closes this process's copies of all descriptors, that of the lock included, and touches nothing else: for a
    /// child made by `fork`.
    pub(crate) fn abandon(&self) {
        self.lock.close();
        self.descriptors.close_all();
    }

    fn keep(&self, file: File) -> io::Result<Arc<dyn Stored>> {
        // What the program prints must not end up in a file here: its standard streams may be closed.
        Ok(Arc::new(Real(self.descriptors.keep(apart(file)?))))
    }

    fn check_about(&self) -> Result<(), Unfit> {
        let path = self.path.join("outbox");
        let mut about = [0; 64];
        let read = File::open(&path).and_then(|file| file.read_exact_at(&mut about, 0));
        let whole = read.is_ok() && &about[..8] == MAGIC && u32_at(&about, 60) == crc32c::sum(&about[..60]);
        if whole {
            return if u32_at(&about, 8) > FORMAT { Err(Unfit::Newer) } else { Ok(()) };
        }
        about = [0; 64];
        about[..8].copy_from_slice(MAGIC);
        about[8..12].copy_from_slice(&FORMAT.to_le_bytes());
        for half in [16, 24] {
            about[half..half + 8].copy_from_slice(&RandomState::new().hash_one(half).to_le_bytes());
        }
        let sum = crc32c::sum(&about[..60]);
        about[60..].copy_from_slice(&sum.to_le_bytes());
        // On a directory that can only be read, what waits can still be delivered: puts say what is wrong.
        let made = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path);
        let _ = made.and_then(|file| file.write_all_at(&about, 0).and_then(|()| file.sync_all()));
        Ok(())
    }
}

impl Storage for Directory {
    fn list(&self) -> io::Result<Vec<(String, u64)>> {
        files(&self.path)
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn Stored>> {
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(self.path.join(name));
        self.keep(file?)
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn Stored>> {
        let path = self.path.join(name);
        let file = OpenOptions::new().read(true).write(true).open(&path);
        self.keep(file.or_else(|_| File::open(&path))?)
    }

    fn unlink(&self, name: &str) -> io::Result<()> {
        std::fs::remove_file(self.path.join(name))
    }

    fn sync_names(&self) -> io::Result<()> {
        self.lock.sync()
    }

    fn zeros_reserve(&self) -> bool {
        self.zeros_reserve
    }
}

/// The directory in which `path` is a name.
fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Names and lengths of the files in a directory.
pub(crate) fn files(path: &Path) -> io::Result<Vec<(String, u64)>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path)? {
        let entry = entry?;
        let about = entry.metadata()?;
        if let (Ok(name), true) = (entry.file_name().into_string(), about.is_file()) {
            files.push((name, about.len()));
        }
    }
    Ok(files)
}

/// None of the numbers of the standard streams.
fn apart(file: File) -> io::Result<File> {
    above_stdio(file.into()).map(File::from)
}

struct Real(Kept);

impl Stored for Real {
    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        self.0.with(|file| file.read_at(buffer, at))
    }

    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<usize> {
        self.0.with(|file| file.write_at(bytes, at))
    }

    fn sync(&self) -> io::Result<()> {
        self.0.with(File::sync_data)
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.0.with(|file| file.set_len(length))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::super::storage::write_all;
    use super::*;

    /// A new directory beside the test program, which is in the target directory. Removed at the end.
    pub(crate) struct Scratch(pub(crate) PathBuf);

    impl Scratch {
        pub(crate) fn new(name: &str) -> Self {
            let program = std::env::current_exe().unwrap();
            let path = program.with_file_name(format!("iotda-outbox-{name}-{}", std::process::id()));
            let _ = std::fs::remove_dir_all(&path);
            Scratch(path)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn the_directory_is_made_locked_and_closed_to_others() {
        let scratch = Scratch::new("made");
        let first = Directory::open(&scratch.0).unwrap();
        assert!(!first.is_open_to_others);
        assert!(matches!(Directory::open(&scratch.0), Err(Unfit::InUse)));
        first.create("a").unwrap();
        for (name, mode) in [("", 0o700), ("a", 0o600), ("outbox", 0o600)] {
            let about = scratch.0.join(name).metadata().unwrap();
            assert_eq!(about.permissions().mode() & 0o777, mode, "{name}");
        }
        let mut names: Vec<String> = first.list().unwrap().into_iter().map(|(name, _)| name).collect();
        names.sort();
        assert_eq!(names, ["a", "outbox"]);
        drop(first);
        Directory::open(&scratch.0).unwrap();
    }

    #[test]
    fn what_is_no_directory_is_refused_with_what_was_tried() {
        let scratch = Scratch::new("none");
        std::fs::write(&scratch.0, b"").unwrap();
        assert!(matches!(Directory::open(&scratch.0), Err(Unfit::Io("opened", _))));
        std::fs::remove_file(&scratch.0).unwrap();
        assert!(matches!(Directory::open(&scratch.0.join("a/b")), Err(Unfit::Io("made", _))));
    }

    #[test]
    fn the_file_for_people_is_written_anew_if_damaged_and_distinguishes_versions() {
        let scratch = Scratch::new("about");
        drop(Directory::open(&scratch.0).unwrap());
        let path = scratch.0.join("outbox");
        let mut about = std::fs::read(&path).unwrap();
        about[20] ^= 1;
        std::fs::write(&path, &about).unwrap();
        drop(Directory::open(&scratch.0).unwrap());
        let mut about = std::fs::read(&path).unwrap();
        assert_eq!(u32_at(&about, 60), crc32c::sum(&about[..60]));
        about[8] = 2;
        let sum = crc32c::sum(&about[..60]);
        about[60..].copy_from_slice(&sum.to_le_bytes());
        std::fs::write(&path, &about).unwrap();
        assert!(matches!(Directory::open(&scratch.0), Err(Unfit::Newer)));
        assert_eq!(std::fs::read(&path).unwrap(), about, "left as it is");
    }

    #[test]
    fn what_is_no_file_for_people_is_written_anew_and_of_no_version() {
        let scratch = Scratch::new("no-about");
        drop(Directory::open(&scratch.0).unwrap());
        let path = scratch.0.join("outbox");
        let mut about = std::fs::read(&path).unwrap();
        about[..12].copy_from_slice(b"SOMETHING...");
        let sum = crc32c::sum(&about[..60]);
        about[60..].copy_from_slice(&sum.to_le_bytes());
        for other in [&about[..], &about[..63], b""] {
            std::fs::write(&path, other).unwrap();
            drop(Directory::open(&scratch.0).unwrap());
            assert_eq!(std::fs::read(&path).unwrap()[..8], *MAGIC);
        }
    }

    #[test]
    fn the_name_of_a_new_directory_stands_in_its_parent() {
        for (path, expected) in [("/var/lib/outbox", "/var/lib"), ("a/b", "a"), ("a", "."), ("/a", "/"), ("../a", "..")]
        {
            assert_eq!(parent(Path::new(path)), Path::new(expected));
        }
    }

    #[test]
    fn whether_zeros_reserve_space_is_what_the_file_system_says() {
        let scratch = Scratch::new("zeros");
        let mut directory = Directory::open(&scratch.0).unwrap();
        let opened = File::open(&scratch.0).unwrap();
        assert_eq!(directory.zeros_reserve(), file::zeros_reserve_space(opened.as_fd()));
        for said in [true, false] {
            directory.zeros_reserve = said;
            assert_eq!(directory.zeros_reserve(), said);
        }
    }

    #[test]
    fn what_was_abandoned_can_be_used_by_another_and_no_longer_here() {
        let scratch = Scratch::new("abandoned");
        let directory = Directory::open(&scratch.0).unwrap();
        let file = directory.create("a").unwrap();
        directory.abandon();
        let mut buffer = [0; 1];
        assert!(file.read_at(&mut buffer, 0).is_err() && file.write_at(b"x", 0).is_err());
        assert!(file.sync().is_err() && file.set_length(1).is_err() && directory.sync_names().is_err());
        drop(Directory::open(&scratch.0).unwrap());
    }

    /// Files of /dev cannot be synced, nor modes set in /proc: only the kernel can say so.
    #[cfg(target_os = "linux")]
    #[test]
    fn syncs_and_modes_are_asked_of_the_kernel() {
        let scratch = Scratch::new("kernel");
        let directory = Directory::open(&scratch.0).unwrap();
        let null = directory.keep(File::open("/dev/null").unwrap()).unwrap();
        assert_eq!(null.sync().unwrap_err().kind(), io::ErrorKind::InvalidInput);
        assert!(Directory::open(Path::new("/proc/self/task")).unwrap().is_open_to_others);
    }

    #[test]
    fn files_are_read_and_written_at_offsets() {
        let scratch = Scratch::new("files");
        let directory = Directory::open(&scratch.0).unwrap();
        let file = directory.create("a").unwrap();
        write_all(&*file, b"hello", 3).unwrap();
        file.sync().unwrap();
        directory.sync_names().unwrap();
        file.set_length(6).unwrap();
        let again = directory.open("a").unwrap();
        let mut buffer = [9; 10];
        assert_eq!(super::super::storage::read_full(&*again, &mut buffer, 0).unwrap(), 6);
        assert_eq!(&buffer[..6], b"\0\0\0hel");
        directory.unlink("a").unwrap();
        assert!(directory.open("a").is_err());
        assert_eq!(again.read_at(&mut buffer, 3).unwrap(), 3, "who has it open can still read it");
    }
}
