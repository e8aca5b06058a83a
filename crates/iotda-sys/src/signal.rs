//! Keeps the program's signals away from a thread of the library's.
//!
//! A signal for the process is delivered to any thread that does not block it. A handler of the program must
//! not run on a small stack that it knows nothing of, so a thread that the library starts blocks them all.

use std::mem::MaybeUninit;
use std::ptr;

/// Runs `spawn` with all signals blocked on this thread: a thread that it starts inherits that, for good. Then
/// this thread's mask is what it was.
pub fn blocked<T>(spawn: impl FnOnce() -> T) -> T {
    let mut all = MaybeUninit::uninit();
    let mut before = MaybeUninit::uninit();
    // SAFETY: both are places for a signal set, and sigfillset writes the first before it is read. The call can
    // fail only for arguments that these are not.
    let masked = unsafe {
        libc::sigfillset(all.as_mut_ptr()) == 0
            && libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr()) == 0
    };
    let result = spawn();
    if masked {
        // SAFETY: `before` was written by the successful call above.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), ptr::null_mut()) };
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    fn blocks(signal: libc::c_int) -> bool {
        let mut mask = MaybeUninit::uninit();
        // SAFETY: with no new set the call only writes the present one, which is then read.
        unsafe {
            assert_eq!(libc::pthread_sigmask(libc::SIG_SETMASK, ptr::null(), mask.as_mut_ptr()), 0);
            libc::sigismember(mask.as_ptr(), signal) == 1
        }
    }

    #[test]
    fn the_new_thread_blocks_signals_and_this_one_does_as_before() {
        assert!(!blocks(libc::SIGTERM));
        let thread = blocked(|| thread::spawn(|| blocks(libc::SIGTERM)));
        assert!(thread.join().unwrap());
        assert!(!blocks(libc::SIGTERM));
    }
}
