//! `iotda_cancel_t`: ends calls from another thread.

use iotda::CancelToken;

use crate::handle::{Handle, Sealed};
use crate::panic::{self, contained, panic_if_asked};

/// Ends calls from another thread. Made by iotda_cancel_new, freed by iotda_cancel_free; given to calls in
/// iotda_call_t.cancel, one or many, at the same time or one after the other. Free it after the calls that were
/// given it have returned: a call that has begun goes on without it, but one that another thread is about to begin
/// would use a freed handle.
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

/// Makes a cancel handle. Free it with iotda_cancel_free.
///
/// Returns NULL only without memory, or after a fault of the library. Any thread; never blocks.
#[unsafe(no_mangle)]
pub extern "C" fn iotda_cancel_new() -> *mut iotda_cancel_t {
    panic::new(|| iotda_cancel_t { token: CancelToken::new() })
}

/// Ends all calls that run with this handle, at once: they return IOTDA_E_CANCELLED. Calls that are given it
/// afterwards return at once too: it stays cancelled. NULL is fine.
///
/// Any thread; never blocks. Not from a signal handler.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iotda_cancel_trigger(cancel: *const iotda_cancel_t) {
    contained(|| {
        // Not `handle!`, which allocates a message that nobody would see.
        // SAFETY: the promise "handles".
        if let Some(cancel) = unsafe { Sealed::object(cancel.cast_mut()).map(|cancel| &*cancel) } {
            panic_if_asked();
            cancel.token.cancel();
        }
    });
}

/// Frees a cancel handle. NULL is fine. Calls that run with it go on. Never blocks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iotda_cancel_free(cancel: *mut iotda_cancel_t) {
    // SAFETY: the promise "handles".
    unsafe { panic::free(cancel) };
}
