//! `iotda_props_t`: a builder of property objects.

use std::ffi::c_char;

use iotda::Properties;

use crate::boundary::{
    Outcome, guarded_drop, guarded_free, guarded_new, guarded_status, panic_if_asked, required_mut, text,
};
use crate::status::iotda_status_t;

/// A JSON object of properties, built member by member, for programs that have no JSON library. Formatting
/// by hand breaks on quotes in strings, on NaN and on a locale's decimal comma; this does not.
///
/// Made by iotda_props_new, freed by iotda_props_free; it can be cleared and filled again. A builder may be
/// used by one thread at a time. A function that fails leaves the object as it was.
pub struct iotda_props_t {
    properties: Properties,
    /// The object with a zero at its end.
    terminated: Vec<u8>,
}

impl iotda_props_t {
    fn terminate(&mut self) {
        self.terminated.clear();
        self.terminated.extend_from_slice(self.properties.as_json().as_bytes());
        self.terminated.push(0);
    }
}

/// Makes an empty object. Free it with iotda_props_free.
///
/// Returns NULL only after a fault of the library. Any thread; never blocks.
#[unsafe(no_mangle)]
pub extern "C" fn iotda_props_new() -> *mut iotda_props_t {
    guarded_new(|| {
        let mut props = iotda_props_t { properties: Properties::new(), terminated: Vec::new() };
        props.terminate();
        props
    })
}

/// Frees a builder and what iotda_props_json returned of it. NULL is fine. Never blocks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iotda_props_free(props: *mut iotda_props_t) {
    // SAFETY: NULL, or made by iotda_props_new and not freed yet, as the caller promises.
    unsafe { guarded_free(props) };
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
    // SAFETY: `props` and `name` are as the caller promises.
    unsafe { add(props, name, |properties, name| Ok(properties.integer(name, value)?)) }
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
    // SAFETY: `props` and `name` are as the caller promises.
    unsafe { add(props, name, |properties, name| Ok(properties.double(name, value)?)) }
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
    // SAFETY: `props` and `name` are as the caller promises.
    unsafe { add(props, name, |properties, name| Ok(properties.boolean(name, value)?)) }
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
    let put = |properties: &mut Properties, name: &str| {
        // SAFETY: NULL or a terminated text, as the caller promises.
        let value = unsafe { text(value, || "value".to_owned()) }?;
        Ok(properties.string(name, value)?)
    };
    // SAFETY: `props` and `name` are as the caller promises.
    unsafe { add(props, name, put) }
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
    let put = |properties: &mut Properties, name: &str| {
        // SAFETY: NULL or a terminated text, as the caller promises.
        let json = unsafe { text(json, || "json".to_owned()) }?;
        Ok(properties.json(name, json)?)
    };
    // SAFETY: `props` and `name` are as the caller promises.
    unsafe { add(props, name, put) }
}

/// Removes all members. NULL is fine. Never blocks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iotda_props_clear(props: *mut iotda_props_t) {
    guarded_drop(|| {
        // SAFETY: NULL or a builder that no other thread uses, as the caller promises.
        if let Some(props) = unsafe { props.as_mut() } {
            panic_if_asked();
            props.properties.clear();
            props.terminate();
        }
    });
}

/// The object as terminated JSON, for iotda_service_t.properties. It belongs to the builder and is valid until
/// the builder is changed or freed. NULL for NULL. Never blocks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iotda_props_json(props: *const iotda_props_t) -> *const c_char {
    // SAFETY: NULL or a builder that no other thread changes, as the caller promises.
    unsafe { props.as_ref() }.map_or(std::ptr::null(), |props| props.terminated.as_ptr().cast())
}

/// Adds one member.
///
/// # Safety
///
/// `props` is NULL or a builder that nobody else uses; `name` is NULL or a terminated text.
unsafe fn add(
    props: *mut iotda_props_t,
    name: *const c_char,
    put: impl FnOnce(&mut Properties, &str) -> Outcome,
) -> iotda_status_t {
    guarded_status(|| {
        panic_if_asked();
        // SAFETY: as the caller promises.
        let props = unsafe { required_mut(props, "props") }?;
        // SAFETY: as the caller promises.
        let name = unsafe { text(name, || "name".to_owned()) }?;
        put(&mut props.properties, name)?;
        props.terminate();
        Ok(())
    })
}
