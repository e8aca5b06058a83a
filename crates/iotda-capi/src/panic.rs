//! How a panic ends at the boundary: in a status for the caller, never in the caller's frames and never on standard
//! error.
//!
//! Every exported function that can panic does its work in [`caught`], or in what makes and frees handles: [`new`] and
//! [`free`]. What a panic means to a call is left to [`crate::outcome`] and [`crate::call`].

use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe, catch_unwind};
use std::sync::Once;

thread_local! {
    /// `Some` while a call of the library runs on this thread; what it panicked with, once it did.
    static FAULT: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Runs `body`; a panic in it is caught, and what it said returned instead of printed.
///
/// A panic writes to standard error before it unwinds, and a library has no business there. So the panic hook
/// looks whether the thread is in a call of ours; panics of anybody else's go to the hook that was there before.
pub(crate) fn caught<T>(body: impl FnOnce() -> T) -> Result<T, String> {
    static QUIET: Once = Once::new();
    QUIET.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            let in_call = FAULT.try_with(|fault| match fault.borrow_mut().as_mut() {
                Some(fault) => {
                    *fault = panic.to_string().replace('\n', " ");
                    true
                }
                None => false,
            });
            if in_call != Ok(true) {
                before(panic);
            }
        }));
    });
    // A callback of the program's may call the library again: the outer call's place is kept.
    let outer = FAULT.replace(Some(String::new()));
    let result = catch_unwind(AssertUnwindSafe(body));
    let fault = FAULT.replace(outer).unwrap_or_default();
    result.map_err(|_| fault)
}

/// Runs what has no way to report a failure.
pub(crate) fn contained(body: impl FnOnce()) {
    // What could not be released is lost; nobody can be told, and there is nothing to be done about it.
    let _ = caught(body);
}

/// Makes something for the caller; NULL after a panic.
pub(crate) fn new<T>(make: impl FnOnce() -> T) -> *mut T {
    let boxed = caught(|| {
        panic_if_asked();
        Box::into_raw(Box::new(make()))
    });
    boxed.unwrap_or(std::ptr::null_mut())
}

/// Frees what [`new`] made; NULL is fine.
///
/// # Safety
///
/// The promise "handles".
pub(crate) unsafe fn free<T>(pointer: *mut T) {
    if pointer.is_null() {
        return;
    }
    contained(|| {
        // SAFETY: the promise "handles"; freeing ends it.
        let boxed = unsafe { Box::from_raw(pointer) };
        panic_if_asked();
        drop(boxed);
    });
}

/// Where the tests make a call panic; nothing in a shipped library.
#[inline]
pub(crate) fn panic_if_asked() {
    #[cfg(feature = "panic-hook-for-tests")]
    crate::panic_hook::panic_if_asked();
}
