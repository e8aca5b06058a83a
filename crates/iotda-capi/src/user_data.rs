//! `iotda_destroy_t`, and the `user_data` that a callback is given: it is destroyed once, after its last use.

use std::ffi::c_void;
use std::fmt;

/// Releases what a callback's user_data points to, once nothing uses it any more. Wherever it is taken, it may be NULL.
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

#[cfg(test)]
mod tests {
    use std::ptr;

    use super::*;

    unsafe extern "C" fn count(user_data: *mut c_void) {
        // SAFETY: the test passes the address of a number that nothing else uses meanwhile.
        unsafe { *user_data.cast::<u32>() += 1 };
    }

    #[test]
    fn it_is_destroyed_once_with_its_last_user() {
        let mut destroyed = 0_u32;
        let data = UserData::new(ptr::from_mut(&mut destroyed).cast(), Some(count));
        // SAFETY: nothing else uses the number meanwhile.
        assert_eq!(unsafe { *data.pointer().cast::<u32>() }, 0);
        drop(data);
        assert_eq!(destroyed, 1);
        drop(UserData::new(ptr::null_mut(), None));
    }
}
