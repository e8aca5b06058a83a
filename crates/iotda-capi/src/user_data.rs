//! `iotda_destroy_t`, and the `user_data` that a callback is given: it is destroyed once, after its last use.

use std::ffi::c_void;
use std::fmt;

/// Releases what a callback's user_data points to, once nothing uses it any more. NULL: nothing to release.
pub type iotda_destroy_t = Option<unsafe extern "C" fn(user_data: *mut c_void)>;

/// What a callback is given; destroyed with the last client that uses it.
pub(crate) struct UserData {
    pointer: *mut c_void,
    destroy: iotda_destroy_t,
}

// SAFETY: the promise "callbacks".
unsafe impl Send for UserData {}
// SAFETY: the promise "callbacks".
unsafe impl Sync for UserData {}

impl UserData {
    pub(crate) fn new(pointer: *mut c_void, destroy: iotda_destroy_t) -> Self {
        UserData { pointer, destroy }
    }

    pub(crate) fn pointer(&self) -> *mut c_void {
        self.pointer
    }
}

impl Drop for UserData {
    fn drop(&mut self) {
        if let Some(destroy) = self.destroy {
            // SAFETY: the promise "callbacks"; it is called this once.
            unsafe { destroy(self.pointer) };
        }
    }
}

impl fmt::Debug for UserData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UserData")
    }
}
