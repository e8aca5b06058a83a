//! How a C call becomes a Rust call: pointers are checked before they become references, and a panic
//! becomes a status.
//!
//! Every exported function that can fail goes through one of the functions named `guarded`; the functions
//! below `text` are the only places where memory of the caller is read.

use std::cell::RefCell;
use std::ffi::{CStr, c_char};
use std::panic::{self, AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;
use std::slice;
use std::sync::Once;

use iotda::{CallOptions, Delivery, ErrorKind};

use crate::call::{self, iotda_call_t};
use crate::status::{IOTDA_E_INTERNAL, IOTDA_E_INVALID_ARGUMENT, IOTDA_OK, iotda_status_t};

/// Why a call ends without success: an error of the core, or an argument that is refused here.
#[derive(Clone, Debug)]
pub(crate) enum Stop {
    Core(iotda::Error),
    Argument(String),
    Poisoned,
}

impl From<iotda::Error> for Stop {
    fn from(error: iotda::Error) -> Self {
        Stop::Core(error)
    }
}

/// A result of a function at the boundary.
pub(crate) type Outcome<T = ()> = Result<T, Stop>;

const POISONED: &str = "an earlier call on this handle met a fault of the library: close it and make a new one";
const PANICKED: &str =
    "the library met a fault of its own; the handle can no longer be used: close it, and please report this";

thread_local! {
    /// `Some` while a call of the library runs on this thread; what it panicked with, once it did.
    static FAULT: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Runs `body`; a panic in it is caught, and what it said returned instead of printed.
///
/// A panic writes to standard error before it unwinds, and a library has no business there. So the panic hook
/// looks whether the thread is in a call of ours; panics of anybody else's go to the hook that was there before.
fn caught<T>(body: impl FnOnce() -> T) -> Result<T, String> {
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

/// Runs `body`, catches a panic, and tells the outcome through `call`.
///
/// # Safety
///
/// `call` is NULL or points to an `iotda_call_t` that is at least `struct_size` bytes long, that nothing else
/// touches during the call, and whose `cancel` is NULL or a handle that has not been freed.
pub(crate) unsafe fn guarded(
    call: *mut iotda_call_t,
    body: impl FnOnce(CallOptions) -> Outcome<Delivery>,
) -> iotda_status_t {
    // SAFETY: `struct_size` is the first field; the caller promises that it is there.
    let size = NonNull::new(call).map(|call| unsafe { (&raw const (*call.as_ptr()).struct_size).read() });
    // The struct may be shorter than what would be written.
    if size.is_some_and(|size| size < size_of::<iotda_call_t>()) {
        return IOTDA_E_INVALID_ARGUMENT;
    }
    // SAFETY: NULL, or a struct that is whole, as its size says, and ours for the call.
    let mut told = unsafe { call.as_mut() };
    // SAFETY: the handle in it is NULL or valid, as the caller promises.
    let options = unsafe { call::options(told.as_deref()) };
    let refuse = |told: Option<&mut iotda_call_t>, kind, message: &str, status| {
        told.map_or(status, |told| call::refuse(told, kind, message))
    };
    match caught(|| body(options)) {
        Ok(Ok(delivery)) => call::conclude(told.take(), &Ok(delivery)),
        Ok(Err(Stop::Core(error))) => call::conclude(told.take(), &Err(error)),
        Ok(Err(Stop::Argument(why))) => refuse(told, ErrorKind::InvalidArgument, &why, IOTDA_E_INVALID_ARGUMENT),
        Ok(Err(Stop::Poisoned)) => refuse(told, ErrorKind::Internal, POISONED, IOTDA_E_INTERNAL),
        Err(fault) => refuse(told, ErrorKind::Internal, &format!("{PANICKED} ({fault})"), IOTDA_E_INTERNAL),
    }
}

/// As [`guarded`], for functions that tell nothing but their status.
pub(crate) fn guarded_status(body: impl FnOnce() -> Outcome) -> iotda_status_t {
    match caught(body) {
        Ok(Ok(())) => IOTDA_OK,
        Ok(Err(Stop::Core(error))) => crate::status::number(error.kind()),
        Ok(Err(Stop::Argument(_))) => IOTDA_E_INVALID_ARGUMENT,
        Ok(Err(Stop::Poisoned)) | Err(_) => IOTDA_E_INTERNAL,
    }
}

/// Runs a destructor; a panic in it ends here.
pub(crate) fn guarded_drop(body: impl FnOnce()) {
    // What could not be released is lost; there is no way to tell and nothing to be done about it.
    let _ = caught(body);
}

/// A terminated UTF-8 text of the caller's; `field` names it in the message.
///
/// # Safety
///
/// `pointer` is NULL or points to bytes that end with a zero and stay unchanged for `'a`.
pub(crate) unsafe fn text<'a>(pointer: *const c_char, field: impl Fn() -> String) -> Outcome<&'a str> {
    if pointer.is_null() {
        return Err(Stop::Argument(format!("{} is NULL", field())));
    }
    // SAFETY: not NULL, and terminated, as the caller promises.
    let bytes = unsafe { CStr::from_ptr(pointer) };
    bytes.to_str().map_err(|error| not_utf8(&field(), error.valid_up_to()))
}

/// UTF-8 text of a given length.
///
/// # Safety
///
/// As for [`array()`].
pub(crate) unsafe fn text_of_length<'a>(pointer: *const c_char, length: usize, field: &str) -> Outcome<&'a str> {
    // SAFETY: the caller promises what `array` asks for.
    let bytes = unsafe { array(pointer.cast::<u8>(), length, || field.to_owned()) }?;
    std::str::from_utf8(bytes).map_err(|error| not_utf8(field, error.valid_up_to()))
}

/// An array of the caller's; NULL is allowed if the length is 0.
///
/// # Safety
///
/// `pointer` is NULL or points to `length` initialized elements that stay unchanged for `'a`.
pub(crate) unsafe fn array<'a, T>(pointer: *const T, length: usize, field: impl Fn() -> String) -> Outcome<&'a [T]> {
    if length == 0 {
        return Ok(&[]);
    }
    if pointer.is_null() {
        return Err(Stop::Argument(format!("{} is NULL, but its length is {length}", field())));
    }
    if length > isize::MAX as usize / size_of::<T>().max(1) {
        return Err(Stop::Argument(format!("{} has the length {length}, which is more than memory can hold", field())));
    }
    if !pointer.is_aligned() {
        return Err(Stop::Argument(format!("{} is not aligned as its type demands", field())));
    }
    // SAFETY: not NULL, aligned, of a possible length, and initialized, as the caller promises.
    Ok(unsafe { slice::from_raw_parts(pointer, length) })
}

/// A handle, or anything else that must be there.
///
/// # Safety
///
/// `pointer` is NULL or points to a valid `T` that nobody changes for `'a`.
pub(crate) unsafe fn required<'a, T>(pointer: *const T, name: &str) -> Outcome<&'a T> {
    // SAFETY: NULL, or valid, as the caller promises.
    unsafe { pointer.as_ref() }.ok_or_else(|| Stop::Argument(format!("{name} is NULL")))
}

/// As [`required`], for what is changed.
///
/// # Safety
///
/// `pointer` is NULL or points to a valid `T` that nobody else touches for `'a`.
pub(crate) unsafe fn required_mut<'a, T>(pointer: *mut T, name: &str) -> Outcome<&'a mut T> {
    // SAFETY: NULL, or valid and ours, as the caller promises.
    unsafe { pointer.as_mut() }.ok_or_else(|| Stop::Argument(format!("{name} is NULL")))
}

fn not_utf8(field: &str, valid: usize) -> Stop {
    Stop::Argument(format!("{field} is not UTF-8 at byte {valid}"))
}

/// Makes something for the caller; NULL after a panic.
pub(crate) fn guarded_new<T>(make: impl FnOnce() -> T) -> *mut T {
    let boxed = caught(|| {
        panic_if_asked();
        Box::into_raw(Box::new(make()))
    });
    boxed.unwrap_or(std::ptr::null_mut())
}

/// Frees what this library made; NULL is fine.
///
/// # Safety
///
/// `pointer` is NULL or was made by this library with a `Box`, and has not been freed.
pub(crate) unsafe fn guarded_free<T>(pointer: *mut T) {
    if pointer.is_null() {
        return;
    }
    guarded_drop(|| {
        // SAFETY: as the caller promises.
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
