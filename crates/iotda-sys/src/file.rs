//! What std has no name for on files and directories: the kernel's advisory lock with a descriptor that can be
//! closed behind a shared reference, and whether blocks that were written once stay reserved.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, IntoRawFd};
use std::sync::atomic::{AtomicI32, Ordering};

/// No descriptor: the lock was given back.
const CLOSED: i32 = -1;

/// An exclusive lock on an open file or directory (`flock`), held until its descriptor is closed.
///
/// It is never released by `LOCK_UN`: a child made by `fork` shares the lock, and unlocking there would take it
/// from the parent. The kernel releases it when the last copy of the descriptor is closed, however the process
/// ends, so there is no stale lock to clean up.
#[derive(Debug)]
pub struct Lock {
    descriptor: AtomicI32,
}

impl Lock {
    /// Takes the lock at once, or answers `WouldBlock` if another open file holds it. A file system without
    /// locks answers with an error of its own.
    pub fn take(file: File) -> io::Result<Self> {
        loop {
            // SAFETY: flock takes a descriptor, which is open for as long as `file` lives, and two flags.
            if unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) } == 0 {
                return Ok(Lock { descriptor: AtomicI32::new(file.into_raw_fd()) });
            }
            let error = io::Error::last_os_error();
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(error);
            }
        }
    }

    /// Writes the directory's names to the device (`fsync`).
    pub fn sync(&self) -> io::Result<()> {
        let descriptor = self.descriptor.load(Ordering::Acquire);
        // SAFETY: fsync takes a descriptor alone. It is the lock's own, or -1 (EBADF): whoever closes the lock
        // while it is used elsewhere is a child of a fork, where no other thread runs.
        if unsafe { libc::fsync(descriptor) } == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    /// Closes this process's copy of the descriptor, once. Takes no mutex and allocates nothing: it may be
    /// called in a child made by `fork`.
    pub fn close(&self) {
        let descriptor = self.descriptor.swap(CLOSED, Ordering::AcqRel);
        if descriptor != CLOSED {
            // SAFETY: the descriptor came from `into_raw_fd`, and the swap gives it to one caller alone.
            unsafe { libc::close(descriptor) };
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        self.close();
    }
}

/// Whether a block of this file that was written with zeros can be overwritten later without new space being
/// needed. Not so on file systems that copy on write, and unknown elsewhere.
pub fn zeros_reserve_space(file: BorrowedFd<'_>) -> bool {
    // Magic numbers of statfs(2): ext2/3/4, XFS, tmpfs, vfat and exfat.
    const OVERWRITING: [u32; 5] = [0xef53, 0x5846_5342, TMPFS, 0x4d44, 0x2011_bab0];
    file_system(file).is_some_and(|kind| OVERWRITING.contains(&kind))
}

/// Whether what is written here is gone after a reboot.
pub fn is_volatile(file: BorrowedFd<'_>) -> bool {
    const RAMFS: u32 = 0x8584_58f6;
    file_system(file).is_some_and(|kind| kind == TMPFS || kind == RAMFS)
}

const TMPFS: u32 = 0x0102_1994;

#[cfg(any(target_os = "linux", target_os = "android"))]
fn file_system(file: BorrowedFd<'_>) -> Option<u32> {
    let mut about = std::mem::MaybeUninit::<libc::statfs>::uninit();
    // SAFETY: the descriptor is open while it is borrowed, and `about` is a place for the answer.
    if unsafe { libc::fstatfs(file.as_raw_fd(), about.as_mut_ptr()) } != 0 {
        return None;
    }
    // SAFETY: the successful call above has written it.
    let kind = unsafe { about.assume_init() }.f_type;
    // The field's type differs between architectures; the numbers have 32 bits.
    Some(kind as u32)
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn file_system(_file: BorrowedFd<'_>) -> Option<u32> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    use crate::fork::tests::ONE_AT_A_TIME;

    fn open() -> File {
        File::open(env!("CARGO_MANIFEST_DIR")).unwrap()
    }

    #[test]
    fn a_second_lock_is_refused_until_the_first_is_closed() {
        let _no_forks = ONE_AT_A_TIME.lock();
        let first = Lock::take(open()).unwrap();
        assert_eq!(Lock::take(open()).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        first.sync().unwrap();
        first.close();
        first.close();
        assert!(first.sync().is_err(), "the descriptor is gone");
        drop(Lock::take(open()).unwrap());
        Lock::take(open()).unwrap();
    }

    #[test]
    fn a_child_that_closes_its_copy_leaves_the_lock_with_the_parent() {
        let _no_other_forks = ONE_AT_A_TIME.lock();
        let lock = Lock::take(open()).unwrap();
        // SAFETY: the child calls nothing but close and _exit, both async-signal-safe.
        let child = unsafe { libc::fork() };
        if child == 0 {
            lock.close();
            // SAFETY: leaves the child without running the test harness's exit handlers.
            unsafe { libc::_exit(0) };
        }
        // SAFETY: waits for the child made above; no status is asked for.
        assert_eq!(unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) }, child);
        assert_eq!(Lock::take(open()).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn the_kind_of_the_file_system_is_asked_of_the_kernel() {
        let process = File::open("/proc/self").unwrap();
        assert!(!zeros_reserve_space(process.as_fd()) && !is_volatile(process.as_fd()));
    }
}
