//! Keeps `pthread_cancel` off a thread while it runs the library.
//!
//! A thread is cancelled at the next of many system calls (`poll`, `connect`, `close` …), by unwinding its stack up
//! to its start. Rust's frames do not take part in that: the process would abort, with locks held. So the library
//! defers it; a cancellation that arrives meanwhile takes effect at the first such call after it.

/// While it lives, the thread that made it cannot be cancelled.
#[derive(Debug)]
#[must_use]
pub struct Deferred {
    #[cfg(not(target_os = "android"))]
    before: libc::c_int,
    /// The state is one of the thread's.
    _of_this_thread: std::marker::PhantomData<*mut ()>,
}

// Android's C library has no pthread_cancel.
#[cfg(not(target_os = "android"))]
mod sys {
    // The crate libc declares it for few systems.
    unsafe extern "C" {
        pub(super) fn pthread_setcancelstate(state: libc::c_int, before: *mut libc::c_int) -> libc::c_int;
    }

    #[cfg(any(target_os = "linux", target_os = "emscripten"))]
    pub(super) const DISABLE: libc::c_int = 1;
    #[cfg(target_vendor = "apple")]
    pub(super) const DISABLE: libc::c_int = 0;
    #[cfg(not(any(target_os = "linux", target_os = "emscripten", target_vendor = "apple")))]
    pub(super) const DISABLE: libc::c_int = libc::PTHREAD_CANCEL_DISABLE;
}

impl Deferred {
    /// Defers the cancellation of this thread.
    #[inline]
    pub fn new() -> Self {
        #[cfg(not(target_os = "android"))]
        let before = {
            let mut before = sys::DISABLE;
            // SAFETY: a known state and a place for the old one, the only things that the call can object to. Both
            // glibc and musl only change a flag of the thread.
            unsafe { sys::pthread_setcancelstate(sys::DISABLE, &mut before) };
            before
        };
        Deferred {
            #[cfg(not(target_os = "android"))]
            before,
            _of_this_thread: std::marker::PhantomData,
        }
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
        #[cfg(not(target_os = "android"))]
        {
            let mut ours = 0;
            // SAFETY: the state is one that the system gave. The call is no cancellation point: with the deferred type
            // of cancellation, which is what a thread has unless it asks for the other, nothing unwinds here.
            unsafe { sys::pthread_setcancelstate(self.before, &mut ours) };
        }
    }
}

#[cfg(all(test, not(target_os = "android")))]
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
