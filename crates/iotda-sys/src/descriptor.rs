//! Keeps descriptors away from 0, 1 and 2.
//!
//! A program that has closed its standard streams gets their numbers for the next descriptors that it makes. A socket
//! with the number 1 would receive what the program prints.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// The first number that is not a standard stream's.
const FIRST: libc::c_int = 3;

/// The same descriptor with a number from 3 up, closed on exec. It costs a system call only where it is below.
pub fn above_stdio(fd: OwnedFd) -> io::Result<OwnedFd> {
    if fd.as_raw_fd() >= FIRST {
        return Ok(fd);
    }
    // SAFETY: the descriptor is open; the call takes integers and makes another one.
    let above = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_DUPFD_CLOEXEC, FIRST) };
    if above < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: just made, and nobody else's. The low one is closed when `fd` is dropped.
    Ok(unsafe { OwnedFd::from_raw_fd(above) })
}
