//! Makes the next call panic, so that tests can show what a C program sees of a fault. Compiled only with
//! the feature `panic-hook-for-tests`, which no shipped library has.

use std::sync::atomic::{AtomicBool, Ordering};

static NEXT: AtomicBool = AtomicBool::new(false);
static NEXT_THREAD: AtomicBool = AtomicBool::new(false);

/// The next call of a function that can panic does so, once, in whatever thread it is.
#[unsafe(no_mangle)]
pub extern "C" fn iotda_test_panic_next() {
    NEXT.store(true, Ordering::SeqCst);
}

/// The next thread that the library starts panics, at its beginning.
#[unsafe(no_mangle)]
pub extern "C" fn iotda_test_panic_in_next_thread() {
    NEXT_THREAD.store(true, Ordering::SeqCst);
}

pub(crate) fn panic_if_asked_in_thread() {
    if NEXT_THREAD.swap(false, Ordering::SeqCst) {
        panic!("asked to by iotda_test_panic_in_next_thread");
    }
}

pub(crate) fn panic_if_asked() {
    if NEXT.swap(false, Ordering::SeqCst) {
        panic!("asked to by iotda_test_panic_next");
    }
}
