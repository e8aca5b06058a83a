//! `iotda_props_t`: a builder of property objects.

use std::ffi::c_char;

use iotda::Properties;

use crate::arguments::{handle_mut, text};
use crate::handle::Handle;
use crate::outcome::{Outcome, status_of};
use crate::panic::{self, caught, contained, panic_if_asked};
use crate::status::iotda_status_t;

/// A JSON object of properties, built member by member, for programs that have no JSON library. Formatting
/// by hand breaks on quotes in strings, on NaN and on a locale's decimal comma; this does not.
///
/// Made by iotda_props_new, freed by iotda_props_free; it can be cleared and filled again. A builder may be
/// used by one thread at a time. A function that fails leaves the object as it was.
pub struct iotda_props_t {
    properties: Properties,
    /// The object with a zero at its end, once it was asked for and until the object changes; otherwise empty.
    terminated: Vec<u8>,
}

impl Handle for iotda_props_t {
    const MAGIC: u64 = 0xe149_72ab_5f08_d6c1;
    const WANTED: &'static str = "a builder of iotda_props_new";
    const ENDED: &'static str = "freed";
}

impl iotda_props_t {
    /// The object to be changed.
    fn changed(&mut self) -> &mut Properties {
        self.terminated.clear();
        &mut self.properties
    }

    /// Makes the terminated text here and not with each change, so that adding takes the same time whatever the
    /// object holds. `None`: there is no memory.
    fn terminated(&mut self) -> Option<&[u8]> {
        if self.terminated.is_empty() {
            let json = self.properties.as_json().as_bytes();
            self.terminated.try_reserve_exact(json.len() + 1).ok()?;
            self.terminated.extend_from_slice(json);
            self.terminated.push(0);
        }
        Some(&self.terminated)
    }
}

/// Makes an empty object. Free it with iotda_props_free.
///
/// Returns NULL only after a fault of the library. Any thread; never blocks.
#[unsafe(no_mangle)]
pub extern "C" fn iotda_props_new() -> *mut iotda_props_t {
    panic::new(|| iotda_props_t { properties: Properties::new(), terminated: Vec::new() })
}

/// Frees a builder and what iotda_props_json returned of it. NULL is fine. Never blocks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iotda_props_free(props: *mut iotda_props_t) {
    // SAFETY: the promise "handles".
    unsafe { panic::free(props) };
}

/// `add!(props, name, |properties, name| …)`: the body of a function that adds one member.
macro_rules! add {
    ($props:ident, $name:ident, |$properties:ident, $member:ident| $put:expr) => {{
        let put = |$properties: &mut Properties, $member: &str| -> Outcome { $put };
        // SAFETY: the promises "handles" and "texts".
        unsafe { add($props, $name, put) }
    }};
}

/// Adds an integer.
///
/// Never blocks. IOTDA_E_INVALID_ARGUMENT (a NULL, an empty name, not UTF-8), IOTDA_E_INTERNAL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iotda_props_add_integer(
    props: *mut iotda_props_t,
    name: *const c_char,
    value: i64,
) -> iotda_status_t {
    add!(props, name, |properties, name| Ok(properties.integer(name, value)?))
}

/// Adds a number, with the fewest digits that read back as the same value. NaN and infinities are refused:
/// JSON cannot say them; leave the property out.
///
/// Never blocks. IOTDA_E_INVALID_ARGUMENT (a NULL, an empty name, not UTF-8, not finite), IOTDA_E_INTERNAL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iotda_props_add_double(
    props: *mut iotda_props_t,
    name: *const c_char,
    value: f64,
) -> iotda_status_t {
    add!(props, name, |properties, name| Ok(properties.double(name, value)?))
}

/// Adds true or false.
///
/// Never blocks. IOTDA_E_INVALID_ARGUMENT (a NULL, an empty name, not UTF-8), IOTDA_E_INTERNAL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iotda_props_add_boolean(
    props: *mut iotda_props_t,
    name: *const c_char,
    value: bool,
) -> iotda_status_t {
    add!(props, name, |properties, name| Ok(properties.boolean(name, value)?))
}

/// Adds a string: terminated UTF-8, escaped as JSON demands.
///
/// Never blocks. IOTDA_E_INVALID_ARGUMENT (a NULL, an empty name, not UTF-8), IOTDA_E_INTERNAL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iotda_props_add_string(
    props: *mut iotda_props_t,
    name: *const c_char,
    value: *const c_char,
) -> iotda_status_t {
    add!(props, name, |properties, name| {
        let value = text!(value)?;
        Ok(properties.string(name, value)?)
    })
}

/// Adds any JSON value (an array, an object, a number of any length …), checked and otherwise as it is written.
///
/// Never blocks. IOTDA_E_INVALID_ARGUMENT (a NULL, an empty name, not UTF-8, not JSON), IOTDA_E_INTERNAL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iotda_props_add_json(
    props: *mut iotda_props_t,
    name: *const c_char,
    json: *const c_char,
) -> iotda_status_t {
    add!(props, name, |properties, name| {
        let json = text!(json)?;
        Ok(properties.json(name, json)?)
    })
}

/// Removes all members. NULL is fine. Never blocks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iotda_props_clear(props: *mut iotda_props_t) {
    contained(|| {
        if let Ok(props) = handle_mut!(props) {
            panic_if_asked();
            props.changed().clear();
        }
    });
}

/// The object as terminated JSON, for iotda_service_t.properties. It belongs to the builder and is valid until
/// the builder is changed or freed.
///
/// NULL if props is NULL or no builder, or if there is no memory for the text. Never blocks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iotda_props_json(props: *const iotda_props_t) -> *const c_char {
    let props = props.cast_mut();
    let json = caught(|| {
        let props = handle_mut!(props).ok()?;
        props.terminated().map(|text| text.as_ptr().cast())
    });
    json.ok().flatten().unwrap_or(std::ptr::null())
}

/// Adds one member.
///
/// # Safety
///
/// The promises "handles" and "texts".
unsafe fn add(
    props: *mut iotda_props_t,
    name: *const c_char,
    put: impl FnOnce(&mut Properties, &str) -> Outcome,
) -> iotda_status_t {
    status_of(|| {
        panic_if_asked();
        // SAFETY: the promise "handles".
        let props = unsafe { handle_mut(props, "props") }?;
        // SAFETY: the promise "texts".
        let name = unsafe { text(name, || "name".to_owned()) }?;
        put(props.changed(), name)
    })
}
