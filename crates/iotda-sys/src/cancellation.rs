//! Keeps `pthread_cancel` off a thread while it runs the library.
//!
//! A thread is cancelled at the next of many system calls (`poll`, `connect`, `close` …), by unwinding its stack up
//! to its start. Rust's frames do not take part in that: the process would abort, with locks held. So the library
//! defers it; a cancellation that arrives meanwhile takes effect at the first such call after it.

use std::marker::PhantomData;

#[cfg(all(not(miri), any(all(target_os = "linux", not(target_env = "ohos")), target_vendor = "apple")))]
mod sys {
    // The crate libc does not declare it for these systems.
    unsafe extern "C" {
        pub(super) fn pthread_setcancelstate(state: libc::c_int, before: *mut libc::c_int) -> libc::c_int;
    }

    pub(super) const DISABLE: libc::c_int = if cfg!(target_vendor = "apple") { 0 } else { 1 };
}

/// Android's C library and Miri have no `pthread_cancel`; others have not been looked at.
#[cfg(not(all(not(miri), any(all(target_os = "linux", not(target_env = "ohos")), target_vendor = "apple"))))]
mod sys {
    pub(super) unsafe fn pthread_setcancelstate(_state: libc::c_int, _before: *mut libc::c_int) -> libc::c_int {
        0
    }

    pub(super) const DISABLE: libc::c_int = 0;
}

/// While it lives, the thread that made it cannot be cancelled.
#[derive(Debug)]
#[must_use]
pub struct Deferred {
    before: libc::c_int,
    /// The state is one of the thread's.
    _of_this_thread: PhantomData<*mut ()>,
}

impl Deferred {
    /// Defers the cancellation of this thread.
    #[inline]
    pub fn new() -> Self {
        let mut before = sys::DISABLE;
        // SAFETY: a known state and a place for the old one, the only things that the call can object to. Both
        // glibc and musl only change a flag of the thread.
        unsafe { sys::pthread_setcancelstate(sys::DISABLE, &mut before) };
        Deferred { before, _of_this_thread: PhantomData }
    }
}

impl Default for Deferred {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Deferred {
    #[inline]
    fn drop(&mut self) {
        let mut ours = 0;
        // SAFETY: the state is one that the system gave. The call is no cancellation point: with the deferred type
        // of cancellation, which is what a thread has unless it asks for the other, nothing unwinds here.
        unsafe { sys::pthread_setcancelstate(self.before, &mut ours) };
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    fn state() -> libc::c_int {
        let mut state = -1;
        let mut disabled = -1;
        // SAFETY: known states and places for the old ones.
        unsafe {
            assert_eq!(sys::pthread_setcancelstate(sys::DISABLE, &mut state), 0);
            assert_eq!(sys::pthread_setcancelstate(state, &mut disabled), 0);
        }
        state
    }

    #[test]
    fn cancellation_is_deferred_for_as_long_as_the_outermost_lives() {
        let before = state();
        assert_ne!(before, sys::DISABLE);
        {
            let _outer = Deferred::new();
            drop(Deferred::new());
            assert_eq!(state(), sys::DISABLE, "the inner one restored what the outer one had set");
        }
        assert_eq!(state(), before);
    }
}
