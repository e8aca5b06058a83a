//! How a panic ends at the boundary: in a status for the caller, never in the caller's frames and never on standard
//! error.
//!
//! Every exported function that can panic does its work in [`caught`], or in what makes and frees handles: [`new`] and
//! [`free`]. What a panic means to a call is left to [`crate::outcome`] and [`crate::call`].
//!
//! The functions may be called where a thread or a process ends: from an exit handler, a destructor of a C++ global or
//! of a thread-specific value. Thread-locals that have a destructor are gone by then, and touching one panics. So the
//! only one on the way in has none, and what is outside of the catch cannot panic.

use std::cell::Cell;
use std::fmt::{self, Write};
use std::mem::MaybeUninit;
use std::panic::{self, AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::slice;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

use iotda_sys::cancellation::Deferred;
use iotda_sys::stack;

use crate::handle::{Handle, Sealed};
use crate::outcome::{Outcome, Stop};

thread_local! {
    /// Where the panic hook writes what a panic of this thread says: in the frame of the innermost [`caught`]; NULL
    /// while no call of the library runs on this thread. No destructor, and initialized without code: it can be used
    /// to the very end of the thread.
    static FAULT: Cell<*mut Fault> = const { Cell::new(ptr::null_mut()) };
}

/// What a panic says, as far as there is room: its place, and the beginning of its text. On the stack, since memory
/// may be what is missing. Nothing is written to it before there is a panic: every call has one.
#[cfg_attr(test, derive(Debug))]
pub(crate) struct Fault {
    text: [MaybeUninit<u8>; 160],
    length: usize,
}

impl Fault {
    const fn new() -> Self {
        Fault { text: [const { MaybeUninit::uninit() }; 160], length: 0 }
    }

    pub(crate) fn as_str(&self) -> &str {
        // SAFETY: `write_str` has written as many bytes.
        let written = unsafe { slice::from_raw_parts(self.text.as_ptr().cast(), self.length) };
        // Always valid: only whole characters are written.
        std::str::from_utf8(written).unwrap_or_default()
    }
}

impl Write for Fault {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for character in text.chars() {
            // It becomes part of one line.
            let character = if character == '\n' { ' ' } else { character };
            let end = self.length + character.len_utf8();
            let Some(room) = self.text.get_mut(self.length..end) else { return Err(fmt::Error) };
            for (to, from) in room.iter_mut().zip(character.encode_utf8(&mut [0; 4]).bytes()) {
                to.write(from);
            }
            self.length = end;
        }
        Ok(())
    }
}

/// Runs `body`; a panic in it is caught, and what it said returned instead of printed. Meanwhile the thread cannot be
/// cancelled.
///
/// A panic writes to standard error before it unwinds, and a library has no business there. So the panic hook
/// looks whether the thread is in a call of this library; panics of other code go to the hook that was there before.
#[expect(clippy::result_large_err, reason = "memory may be what is missing: see Fault")]
pub(crate) fn caught<T>(body: impl FnOnce() -> T) -> Result<T, Fault> {
    let (mut body, mut result, mut fault) = (Some(body), None, Fault::new());
    run(&mut || result = body.take().map(|body| body()), &mut fault);
    result.ok_or(fault)
}

/// What a panic in `body` says goes to `fault`. Not generic: one copy of it does for all functions.
fn run(body: &mut dyn FnMut(), fault: &mut Fault) {
    static QUIET: Once = Once::new();
    let _not_cancelled = Deferred::new();
    QUIET.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |panic| match FAULT.get() {
            fault if fault.is_null() => before(panic),
            // SAFETY: not NULL, so `caught` is below on this thread's stack, with the value that it points to; nothing
            // else refers to that until the body has ended.
            fault => drop(unsafe { write!(*fault, "{panic}") }),
        }));
    });
    // A callback of the program may call the library again: the outer call's place is kept.
    let outer = FAULT.replace(fault);
    // That it panicked is seen by what it leaves undone.
    stack::aligned(|| drop(catch_unwind(AssertUnwindSafe(&mut *body))));
    FAULT.set(outer);
}

/// Runs what has no way to report a failure.
pub(crate) fn contained(body: impl FnOnce()) {
    // What could not be released is lost; there is no way to report it.
    let _ = caught(body);
}

/// Runs what a thread of the library does; what a panic in it said is for the program's log.
pub(crate) fn in_thread(body: &mut dyn FnMut()) -> Result<(), String> {
    let run = || {
        #[cfg(feature = "panic-hook-for-tests")]
        crate::panic_hook::panic_if_asked_in_thread();
        body();
    };
    caught(run).map_err(|fault| fault.as_str().to_owned())
}

/// Makes a handle for the caller; NULL after a panic, or without memory.
pub(crate) fn new<T: Handle>(make: impl FnOnce() -> T) -> *mut T {
    let made = caught(|| {
        panic_if_asked();
        Sealed::handle(make())
    });
    made.ok().flatten().unwrap_or(ptr::null_mut())
}

/// Frees a handle. NULL is fine, and what is no handle of this type any more stays untouched.
///
/// # Safety
///
/// The promise "handles".
pub(crate) unsafe fn free<T: Handle>(pointer: *mut T) {
    contained(|| {
        // SAFETY: the promise "handles", which freeing ends.
        let Some(object) = (unsafe { Sealed::take(pointer) }) else { return };
        panic_if_asked();
        drop(object);
    });
}

/// Whether a call on a handle met a fault of the library: what it left behind cannot be trusted.
#[derive(Default)]
pub(crate) struct Poison(AtomicBool);

impl Poison {
    /// Begins a call on the handle; a panic before the result is dropped poisons it.
    pub(crate) fn enter(&self) -> Outcome<Entered<'_>> {
        if self.0.load(Ordering::Acquire) {
            return Err(Stop::Poisoned);
        }
        let entered = Entered(self);
        panic_if_asked();
        Ok(entered)
    }
}

/// A call on a handle that runs.
pub(crate) struct Entered<'a>(&'a Poison);

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.0.store(true, Ordering::Release);
        }
    }
}

/// Where the tests make a call panic; nothing in a shipped library.
#[inline]
pub(crate) fn panic_if_asked() {
    #[cfg(feature = "panic-hook-for-tests")]
    crate::panic_hook::panic_if_asked();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_caught_with_its_place_and_its_text() {
        let fault = caught::<()>(|| panic!("two\nlines")).expect_err("the body panics");
        assert!(fault.as_str().contains("panic.rs"), "{}", fault.as_str());
        assert!(fault.as_str().ends_with("two lines"), "{}", fault.as_str());
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let fault = caught::<()>(|| panic!("{}", "é".repeat(200))).expect_err("the body panics");
        assert!(fault.as_str().len() > 150);
        assert!(fault.as_str().ends_with('é'));
    }

    #[test]
    fn a_panic_in_a_nested_call_leaves_the_outer_one_as_it_was() {
        let outer = caught::<()>(|| {
            let inner = caught::<()>(|| panic!("the inner one")).err().map(|fault| fault.as_str().to_owned());
            assert!(inner.is_some_and(|inner| inner.contains("the inner one")));
            panic!("the outer one");
        });
        let outer = outer.expect_err("the body panics");
        assert!(outer.as_str().contains("the outer one") && !outer.as_str().contains("inner"), "{}", outer.as_str());
    }
}
