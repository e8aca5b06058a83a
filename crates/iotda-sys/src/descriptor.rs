//! Keeps the library's descriptors away from those of standard input, output and error.
//!
//! The system gives a new descriptor the lowest free number. In a program that has closed 0, 1 or 2, as daemons do,
//! that is one of them, and what any part of the program prints would go to the platform's connection.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// The first number that no standard stream has.
const FIRST: libc::c_int = libc::STDERR_FILENO + 1;

/// The same descriptor under a number above those of the standard streams; closed on exec, as it was.
///
/// Costs a system call only where the number is one of theirs. If there is no other number left (`EMFILE`), the
/// descriptor is closed.
pub fn above_stdio(descriptor: OwnedFd) -> io::Result<OwnedFd> {
    if descriptor.as_raw_fd() >= FIRST {
        return Ok(descriptor);
    }
    // SAFETY: the descriptor is open for as long as it is owned here; the call only makes another one.
    let above = unsafe { libc::fcntl(descriptor.as_raw_fd(), libc::F_DUPFD_CLOEXEC, FIRST) };
    if above < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call made this descriptor, and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(above) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::os::fd::IntoRawFd;

    fn open() -> OwnedFd {
        File::open("/dev/null").unwrap().into()
    }

    fn is_closed_on_exec(descriptor: &OwnedFd) -> bool {
        // SAFETY: the descriptor is open, and the call only reads its flags.
        let flags = unsafe { libc::fcntl(descriptor.as_raw_fd(), libc::F_GETFD) };
        flags >= 0 && flags & libc::FD_CLOEXEC != 0
    }

    #[test]
    fn what_is_above_stays_what_it_is() {
        let descriptor = open();
        let number = descriptor.as_raw_fd();
        assert!(number >= FIRST);
        assert_eq!(above_stdio(descriptor).unwrap().as_raw_fd(), number);
    }

    /// In a child, whose standard streams are nobody else's: each of them closed in turn, and all of them.
    #[test]
    fn what_took_the_place_of_a_standard_stream_moves_above_and_frees_it() {
        // A child would hold what other tests have locked.
        let _no_other_forks = crate::fork::tests::ONE_AT_A_TIME.lock();
        for closed in [&[0][..], &[1], &[2], &[0, 1, 2]] {
            // SAFETY: the child makes system calls alone (open, fcntl, close), allocates nothing, and leaves by _exit.
            let child = unsafe { libc::fork() };
            assert!(child >= 0, "fork failed");
            if child == 0 {
                // SAFETY: closes descriptors that nothing in the child uses, and leaves without exit handlers.
                unsafe {
                    for number in closed {
                        libc::close(*number);
                    }
                    libc::_exit(i32::from(!moves_above(closed[0])));
                }
            }
            let mut status = -1;
            // SAFETY: waits for the child made above; `status` is a valid output.
            assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
            assert_eq!(status, 0, "with {closed:?} closed");
        }
    }

    fn moves_above(lowest: libc::c_int) -> bool {
        // SAFETY: a terminated path; the descriptor that the call makes is nobody else's.
        let low = unsafe {
            let low = libc::open(c"/dev/null".as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC);
            if low != lowest {
                return false;
            }
            OwnedFd::from_raw_fd(low)
        };
        let Ok(above) = above_stdio(low) else { return false };
        let closed_on_exec = is_closed_on_exec(&above);
        // SAFETY: only asks whether the number is open; it is not, if the low one was closed.
        let freed = unsafe { libc::fcntl(lowest, libc::F_GETFD) } < 0;
        above.into_raw_fd() >= FIRST && closed_on_exec && freed
    }
}
