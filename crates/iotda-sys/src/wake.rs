//! A descriptor that becomes readable, once and for good: what ends a wait in `poll` from another thread or from a
//! signal handler.
//!
//! It is made when somebody first waits for it, so that a value that nobody waits for costs no descriptor.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

use crate::descriptor::above_stdio;

const NONE: RawFd = -1;

/// Raised once, for good, from any thread and from signal handlers; [`fd`](Self::fd) is readable from then on.
#[derive(Debug)]
pub struct Wake {
    raised: AtomicBool,
    /// The side to poll, or [`NONE`].
    reader: AtomicI32,
    /// The side to write to, or [`NONE`]; the same as the reader where the system has `eventfd`.
    writer: AtomicI32,
}

impl Wake {
    /// One that has not been raised.
    pub const fn new() -> Self {
        Wake { raised: AtomicBool::new(false), reader: AtomicI32::new(NONE), writer: AtomicI32::new(NONE) }
    }

    /// Whether [`raise`](Self::raise) was called.
    pub fn is_raised(&self) -> bool {
        self.raised.load(Ordering::SeqCst)
    }

    /// Raises it. Async-signal-safe (signal-safety(7)): two atomic operations and one `write`, and `errno` is kept.
    pub fn raise(&self) {
        self.raised.store(true, Ordering::SeqCst);
        // Whoever makes the descriptor after this load looks at `raised` afterwards.
        let writer = self.writer.load(Ordering::SeqCst);
        if writer != NONE {
            let errno = errno_location();
            // SAFETY: the address of this thread's errno is valid for the thread's life.
            let before = unsafe { *errno };
            let one = 1_u64.to_ne_bytes();
            // SAFETY: the descriptor stays open until the value is dropped; eight bytes are read from `one`. A pipe
            // or counter that is full is readable already.
            unsafe { libc::write(writer, one.as_ptr().cast(), one.len()) };
            // SAFETY: as above.
            unsafe { *errno = before };
        }
    }

    /// A descriptor that is readable once this is raised. It is never read, and open as long as `self`.
    pub fn fd(&self) -> io::Result<BorrowedFd<'_>> {
        let mut reader = self.reader.load(Ordering::SeqCst);
        if reader == NONE {
            reader = self.open()?;
        }
        if self.is_raised() {
            // It may have been raised before there was a descriptor to write to.
            self.raise();
        }
        // SAFETY: open until `self` is dropped, since nothing but `drop` closes it.
        Ok(unsafe { BorrowedFd::borrow_raw(reader) })
    }

    /// Makes the descriptor, unless another thread was faster; returns the side to poll.
    fn open(&self) -> io::Result<RawFd> {
        let (reader, writer) = pair()?;
        let raw = (reader.as_raw_fd(), writer.as_ref().map_or(reader.as_raw_fd(), AsRawFd::as_raw_fd));
        if self.writer.compare_exchange(NONE, raw.1, Ordering::SeqCst, Ordering::SeqCst).is_err() {
            // The faster thread stores its reader right after its writer.
            loop {
                let reader = self.reader.load(Ordering::SeqCst);
                if reader != NONE {
                    return Ok(reader);
                }
                std::thread::yield_now();
            }
        }
        self.reader.store(raw.0, Ordering::SeqCst);
        // From here on they belong to `self`.
        std::mem::forget((reader, writer));
        Ok(raw.0)
    }
}

impl Default for Wake {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Wake {
    fn drop(&mut self) {
        let (reader, writer) = (*self.reader.get_mut(), *self.writer.get_mut());
        for fd in [Some(reader), (writer != reader).then_some(writer)].into_iter().flatten() {
            if fd != NONE {
                // SAFETY: made by `open`, owned by `self`, and closed this once.
                drop(unsafe { OwnedFd::from_raw_fd(fd) });
            }
        }
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn pair() -> io::Result<(OwnedFd, Option<OwnedFd>)> {
    // SAFETY: takes two integers and makes a descriptor.
    let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: just made, and nobody else's.
    Ok((above_stdio(unsafe { OwnedFd::from_raw_fd(fd) })?, None))
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn pair() -> io::Result<(OwnedFd, Option<OwnedFd>)> {
    let mut fds = [NONE; 2];
    // SAFETY: room for the two descriptors that the call makes.
    if unsafe { libc::pipe(fds.as_mut_ptr()) } < 0 {
        return Err(io::Error::last_os_error());
    }
    for fd in fds {
        // SAFETY: both were just made; the flags are integers.
        unsafe {
            libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC);
            libc::fcntl(fd, libc::F_SETFL, libc::O_NONBLOCK);
        }
    }
    // SAFETY: just made, and nobody else's.
    let (reader, writer) = unsafe { (OwnedFd::from_raw_fd(fds[0]), OwnedFd::from_raw_fd(fds[1])) };
    Ok((above_stdio(reader)?, Some(above_stdio(writer)?)))
}

#[cfg(target_os = "linux")]
fn errno_location() -> *mut libc::c_int {
    // SAFETY: takes nothing and returns the address of this thread's errno.
    unsafe { libc::__errno_location() }
}

#[cfg(target_os = "android")]
fn errno_location() -> *mut libc::c_int {
    // SAFETY: takes nothing and returns the address of this thread's errno.
    unsafe { libc::__errno() }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn errno_location() -> *mut libc::c_int {
    // SAFETY: takes nothing and returns the address of this thread's errno.
    unsafe { libc::__error() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::socket::{Interest, poll};
    use std::thread;
    use std::time::Duration;

    fn is_readable(wake: &Wake) -> bool {
        poll(wake.fd().unwrap(), Interest::Readable, Some(Duration::ZERO)).unwrap()
    }

    #[test]
    fn readable_once_raised_whichever_came_first() {
        let before = Wake::new();
        before.raise();
        assert!(before.is_raised() && is_readable(&before));
        let after = Wake::new();
        assert!(!is_readable(&after) && !after.is_raised());
        after.raise();
        assert!(is_readable(&after));
        after.raise();
        assert!(is_readable(&after));
    }

    #[test]
    fn many_threads_make_one_descriptor_and_all_wake() {
        let wake = Wake::new();
        thread::scope(|scope| {
            for _ in 0..16 {
                scope.spawn(|| poll(wake.fd().unwrap(), Interest::Readable, None).unwrap());
            }
            wake.raise();
        });
        let fd = wake.fd().unwrap().as_raw_fd();
        assert_eq!(wake.fd().unwrap().as_raw_fd(), fd);
    }

    #[test]
    fn raising_keeps_errno() {
        let wake = Wake::new();
        wake.fd().unwrap();
        // Until the counter is full, and beyond: EAGAIN must not be seen.
        // SAFETY: this thread's errno.
        unsafe { *errno_location() = 4242 };
        for _ in 0..3 {
            wake.raise();
        }
        // SAFETY: this thread's errno.
        assert_eq!(unsafe { *errno_location() }, 4242);
    }
}
