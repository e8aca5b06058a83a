//! How pointers of the caller become references: they are checked first, as far as that can be done.
//!
//! The macros name an argument in messages as the function's signature, and so the header, names it. They hold the
//! `unsafe` of what each function would otherwise repeat, and belong into exported functions alone: what they rest on
//! is what the C caller promises (see the crate's documentation).

use std::ffi::{CStr, OsStr, c_char};
use std::fmt::Display;
use std::marker::PhantomData;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr::NonNull;
use std::slice;

use crate::handle::{Handle, Sealed};
use crate::outcome::{Outcome, Stop};

/// `text!(url)`: the terminated text that the argument `url` points to.
macro_rules! text {
    ($argument:ident) => {
        // SAFETY: the promise "texts".
        unsafe {
            $crate::arguments::text($argument)
                .ok_or_else(|| $crate::arguments::no_text($argument, &stringify!($argument)))
        }
    };
}

/// `path!(path)`: the path that the argument points to, any bytes but zero.
macro_rules! path {
    ($argument:ident) => {
        // SAFETY: the promise "texts".
        unsafe { $crate::arguments::path($argument, stringify!($argument)) }
    };
}

/// `bytes!(secret, secret_len)`: as many bytes as the second argument says.
macro_rules! bytes {
    ($argument:ident, $length:ident) => {
        // SAFETY: the promise "arrays".
        unsafe { $crate::arguments::array($argument.cast::<u8>(), $length, &stringify!($argument)) }
    };
}

/// `text_of_length!(json, len)`: as [`bytes!`], and they are UTF-8.
macro_rules! text_of_length {
    ($argument:ident, $length:ident) => {
        bytes!($argument, $length).and_then(|bytes| {
            std::str::from_utf8(bytes).map_err(|_| $crate::arguments::not_utf8(bytes, &stringify!($argument)))
        })
    };
}

/// `handle!(client)`: the handle, shared.
macro_rules! handle {
    ($argument:ident) => {
        // SAFETY: the promise "handles".
        unsafe { $crate::arguments::handle($argument, stringify!($argument)) }
    };
}

/// `handle_mut!(config)`: the handle, to be changed.
macro_rules! handle_mut {
    ($argument:ident) => {
        // SAFETY: the promise "handles".
        unsafe { $crate::arguments::handle_mut($argument, stringify!($argument)) }
    };
}

/// `output!(client)`: where a result is written to.
macro_rules! output {
    ($argument:ident) => {
        // SAFETY: the promise "outputs".
        unsafe { $crate::arguments::Output::new($argument, stringify!($argument)) }
    };
}

/// `write_if_wanted!(length, value)`: writes a result for which the caller may give no place, by NULL.
macro_rules! write_if_wanted {
    ($argument:ident, $value:expr) => {
        let value = $value;
        if let Some(place) = std::ptr::NonNull::new($argument) {
            // SAFETY: not NULL, and the promise "outputs".
            unsafe { place.write(value) };
        }
    };
}

/// `sized!(stats: iotda_stats_t, FIRST_VERSION)`: the caller's struct, to be written, which begins with its size.
macro_rules! sized {
    ($argument:ident: $type:ident, $first_version:expr) => {
        // SAFETY: the promise "structs".
        unsafe {
            $crate::arguments::sized::<$type>($argument, $first_version, stringify!($argument), stringify!($type))
        }
    };
}

/// A terminated UTF-8 text; `None` if there is none, for which [`no_text`] has the words.
///
/// # Safety
///
/// The promise "texts", for `'a`.
pub(crate) unsafe fn text<'a>(pointer: *const c_char) -> Option<&'a str> {
    if pointer.is_null() {
        return None;
    }
    // SAFETY: not NULL, and the promise "texts".
    let bytes = unsafe { CStr::from_ptr(pointer) };
    std::str::from_utf8(bytes.to_bytes()).ok()
}

/// Why [`text`] finds none; `field` names the argument. Out of the way of those that are right.
///
/// # Safety
///
/// The promise "texts".
#[cold]
#[inline(never)]
pub(crate) unsafe fn no_text(pointer: *const c_char, field: &dyn Display) -> Stop {
    if pointer.is_null() {
        return Stop::Argument(format!("pass a terminated UTF-8 text as {field}: it is NULL"));
    }
    // SAFETY: not NULL, and the promise "texts".
    not_utf8(unsafe { CStr::from_ptr(pointer) }.to_bytes(), field)
}

/// A path: any bytes but zero, as the system has it.
///
/// # Safety
///
/// The promise "texts", but for UTF-8.
pub(crate) unsafe fn path<'a>(pointer: *const c_char, field: &str) -> Outcome<&'a Path> {
    if pointer.is_null() {
        return Err(Stop::Argument(format!("pass a terminated path as {field}: it is NULL")));
    }
    // SAFETY: not NULL, and the promise "texts".
    let bytes = unsafe { CStr::from_ptr(pointer) };
    Ok(Path::new(OsStr::from_bytes(bytes.to_bytes())))
}

/// Why bytes are no text.
#[cold]
#[inline(never)]
pub(crate) fn not_utf8(bytes: &[u8], field: &dyn Display) -> Stop {
    let valid = std::str::from_utf8(bytes).map_or_else(|error| error.valid_up_to(), str::len);
    Stop::Argument(format!("convert {field} to UTF-8: its byte {valid} is no part of a character"))
}

/// An array; NULL is allowed if the length is 0.
///
/// # Safety
///
/// The promise "arrays", for `'a`.
#[inline]
pub(crate) unsafe fn array<'a, T>(pointer: *const T, length: usize, field: &dyn Display) -> Outcome<&'a [T]> {
    if length == 0 {
        return Ok(&[]);
    }
    let is_too_long = length > isize::MAX as usize / size_of::<T>().max(1);
    if pointer.is_null() || is_too_long || !pointer.is_aligned() {
        return Err(no_array(pointer.is_null(), is_too_long, length, field));
    }
    // SAFETY: not NULL, aligned, of a possible length, and the promise "arrays".
    Ok(unsafe { slice::from_raw_parts(pointer, length) })
}

/// Why there is none. Not generic, and out of the way of those that are right.
#[cold]
#[inline(never)]
fn no_array(is_null: bool, is_too_long: bool, length: usize, field: &dyn Display) -> Stop {
    Stop::Argument(match (is_null, is_too_long) {
        (true, _) => format!("pass {field}, or 0 as its length: it is NULL, and its length {length}"),
        (_, true) => format!("pass the length of {field}: {length} is more than memory can hold"),
        _ => format!("pass an array as {field}: this address is not aligned for one"),
    })
}

/// The object behind a handle.
///
/// # Safety
///
/// The promise "handles", for `'a`.
pub(crate) unsafe fn handle<'a, T: Handle>(pointer: *const T, name: &str) -> Outcome<&'a T> {
    // SAFETY: the promise "handles".
    let object = unsafe { Sealed::object(pointer.cast_mut()) };
    // SAFETY: it is an object of this type, and the promise "handles" for its lifetime.
    object.map(|object| unsafe { &*object }).ok_or_else(|| no_handle(pointer, name))
}

/// As [`handle`], for what is changed.
///
/// # Safety
///
/// The promise "handles", for `'a`.
pub(crate) unsafe fn handle_mut<'a, T: Handle>(pointer: *mut T, name: &str) -> Outcome<&'a mut T> {
    // SAFETY: the promise "handles".
    let object = unsafe { Sealed::object(pointer) };
    // SAFETY: it is an object of this type, and the promise "handles": no other thread uses it meanwhile.
    object.map(|object| unsafe { &mut *object }).ok_or_else(|| no_handle(pointer, name))
}

fn no_handle<T: Handle>(pointer: *const T, name: &str) -> Stop {
    let wanted = T::WANTED;
    Stop::Argument(if pointer.is_null() {
        format!("pass {wanted} as {name}: it is NULL")
    } else {
        format!("pass {wanted} as {name}: this is none, or was {}", T::ENDED)
    })
}

/// The size that a struct of the caller's says it has in its first field, if it cannot have it.
///
/// 0 counts as the size of the struct's first version, so that a zeroed struct is one. No header ever had a smaller
/// struct than that version: a smaller number is a mistake in the field alone, and the rest of the struct is there.
///
/// # Safety
///
/// The promise "structs".
pub(crate) unsafe fn wrong_size<T>(pointer: *const T, first_version: usize) -> Option<usize> {
    let pointer = NonNull::new(pointer.cast_mut())?;
    // SAFETY: not NULL, and the promise "structs".
    let size = unsafe { pointer.cast::<usize>().read() };
    (size != 0 && size < first_version).then_some(size)
}

/// A struct of the caller's that is written, and begins with its size.
///
/// # Safety
///
/// The promise "structs", for `'a`.
pub(crate) unsafe fn sized<'a, T>(
    pointer: *mut T,
    first_version: usize,
    name: &str,
    type_name: &str,
) -> Outcome<&'a mut T> {
    // SAFETY: the promise "structs".
    if let Some(size) = unsafe { wrong_size(pointer, first_version) } {
        return Err(Stop::Argument(format!(
            "set {name}.struct_size to sizeof({type_name}): it is {size}, less than any version's"
        )));
    }
    // SAFETY: the promise "structs".
    unsafe { pointer.as_mut() }
        .ok_or_else(|| Stop::Argument(format!("pass the address of an {type_name} as {name}: it is NULL")))
}

/// Room for a result.
pub(crate) struct Output<'a, T>(NonNull<T>, PhantomData<&'a mut T>);

impl<T> Output<'_, T> {
    /// # Safety
    ///
    /// The promise "outputs", for the lifetime.
    pub(crate) unsafe fn new(pointer: *mut T, name: &str) -> Outcome<Self> {
        NonNull::new(pointer)
            .map(|pointer| Output(pointer, PhantomData))
            .ok_or_else(|| Stop::Argument(format!("pass the address of a variable as {name}: it is NULL")))
    }

    pub(crate) fn write(self, value: T) {
        // SAFETY: the promise "outputs", which `new` was given.
        unsafe { self.0.write(value) };
    }
}
