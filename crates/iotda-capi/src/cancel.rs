//! `iotda_cancel_t`: ends calls from another thread, or from a signal handler.

use iotda::CancelToken;
use iotda_sys::cancellation::Deferred;

use crate::handle::{Handle, Sealed};
use crate::panic;

/// Ends calls early, from another thread or from a signal handler: those that are given it in iotda_call_t.cancel, one
/// or many, at the same time or one after the other. Free it when every such call has returned and nothing can trigger
/// it any more (the signal handler that does is no longer installed, the thread that does has been joined): a call
/// reads the pointer when it begins, and nobody can know from outside whether it has begun.
pub struct iotda_cancel_t {
    token: CancelToken,
}

impl Handle for iotda_cancel_t {
    const MAGIC: u64 = 0x96c1_53f0_0e6b_7d2a;
    const WANTED: &'static str = "a cancel handle of iotda_cancel_new";
    const ENDED: &'static str = "freed";
}

impl iotda_cancel_t {
    pub(crate) fn token(&self) -> CancelToken {
        self.token.clone()
    }
}

/// Makes a cancel handle.
#[unsafe(no_mangle)]
pub extern "C" fn iotda_cancel_new() -> *mut iotda_cancel_t {
    panic::new(|| iotda_cancel_t { token: CancelToken::new() })
}

/// Ends all calls that run with this handle, at once: they return IOTDA_E_CANCELLED. Calls that are given it afterwards
/// return at once too: it stays cancelled. NULL is fine. Any signal handler may call it: it is async-signal-safe (a
/// flag and one write; errno is kept), so that a program of a single thread (all of it: examples/c/interrupt.c) ends at
/// once on Ctrl-C:
///
///   static iotda_cancel_t *cancel;    // of iotda_cancel_new, made before the handler is installed
///
///   static void on_interrupt(int number) {
///       (void)number;
///       iotda_cancel_trigger(cancel);
///   }
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iotda_cancel_trigger(cancel: *const iotda_cancel_t) {
    // Not in `panic::caught`, which takes a lock the first time and touches a thread-local, for which a library that was
    // loaded later may have to allocate. Nothing here can panic: reading a number, a flag, and one system call.
    // POSIX.1-2024 makes pthread_setcancelstate async-signal-safe; it is called since `write` is a cancellation point.
    let _not_cancelled = Deferred::new();
    // SAFETY: the promise "handles".
    if let Some(cancel) = unsafe { Sealed::object(cancel.cast_mut()) } {
        // SAFETY: it is a cancel handle, and the promise "handles" for the call.
        unsafe { &*cancel }.token.cancel();
    }
}

/// Frees a cancel handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iotda_cancel_free(cancel: *mut iotda_cancel_t) {
    // SAFETY: the promise "handles".
    unsafe { panic::free(cancel) };
}
