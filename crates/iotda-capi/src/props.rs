//! `iotda_props_t`: a builder of property objects.

use std::ffi::c_char;

use iotda::Properties;

use crate::arguments::{handle_mut, no_text, text};
use crate::handle::Handle;
use crate::outcome::{Outcome, status_of};
use crate::panic::{self, caught, contained, panic_if_asked};
use crate::status::iotda_status_t;

/// A JSON object of properties, built member by member, for programs that have no JSON library. Formatting by hand
/// breaks on quotes in strings, on NaN and on a locale's decimal comma; this does not. It can be cleared and filled
/// again. Adding a member takes the same time however many there are; a large builder takes at most twice its text in
/// memory.
///
/// A function that adds and fails leaves the object as it was: IOTDA_E_INVALID_ARGUMENT (a NULL, a text that is not
/// UTF-8, an empty name, or one that the object has already; clear a builder before it is filled again),
/// IOTDA_E_INTERNAL (no memory).
pub struct iotda_props_t {
    properties: Properties,
}

impl Handle for iotda_props_t {
    const MAGIC: u64 = 0xe149_72ab_5f08_d6c1;
    const WANTED: &'static str = "a builder of iotda_props_new";
    const ENDED: &'static str = "freed";
}

/// Makes an empty object.
#[unsafe(no_mangle)]
pub extern "C" fn iotda_props_new() -> *mut iotda_props_t {
    panic::new(|| iotda_props_t { properties: Properties::new() })
}

/// Frees a builder and what iotda_props_json returned of it.
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
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iotda_props_add_integer(
    props: *mut iotda_props_t,
    name: *const c_char,
    value: i64,
) -> iotda_status_t {
    add!(props, name, |properties, name| Ok(properties.integer(name, value).map(|_| ())?))
}

/// Adds a number, with the fewest digits that read back as the same double. NaN and infinities are refused: JSON has
/// none; leave the property out. For a float there is iotda_props_add_float: as a double, 23.24f is 23.239999771118164.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iotda_props_add_double(
    props: *mut iotda_props_t,
    name: *const c_char,
    value: f64,
) -> iotda_status_t {
    add!(props, name, |properties, name| Ok(properties.double(name, value).map(|_| ())?))
}

/// As iotda_props_add_double, with the fewest digits that read back as the same float: 23.24 for 23.24f.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iotda_props_add_float(
    props: *mut iotda_props_t,
    name: *const c_char,
    value: f32,
) -> iotda_status_t {
    // SAFETY: `props` and `name` are as the caller promises.
    unsafe { add(props, name, |properties, name| Ok(properties.float(name, value).map(|_| ())?)) }
}

/// Adds true or false.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iotda_props_add_boolean(
    props: *mut iotda_props_t,
    name: *const c_char,
    value: bool,
) -> iotda_status_t {
    add!(props, name, |properties, name| Ok(properties.boolean(name, value).map(|_| ())?))
}

/// Adds a string, escaped as JSON demands.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iotda_props_add_string(
    props: *mut iotda_props_t,
    name: *const c_char,
    value: *const c_char,
) -> iotda_status_t {
    add!(props, name, |properties, name| {
        let value = text!(value)?;
        Ok(properties.string(name, value).map(|_| ())?)
    })
}

/// Adds any JSON value (an array, an object, a number of any length …), checked and otherwise as it is written. It may
/// be nested at most 127 levels deep: 128 with the object around it, which is what a report takes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iotda_props_add_json(
    props: *mut iotda_props_t,
    name: *const c_char,
    json: *const c_char,
) -> iotda_status_t {
    add!(props, name, |properties, name| {
        let json = text!(json)?;
        Ok(properties.json(name, json).map(|_| ())?)
    })
}

/// Removes all members. NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iotda_props_clear(props: *mut iotda_props_t) {
    contained(|| {
        if let Ok(props) = handle_mut!(props) {
            panic_if_asked();
            props.properties.clear();
        }
    });
}

/// The object as JSON, for iotda_service_t.properties. It belongs to the builder and is valid until the builder is
/// changed or freed. NULL if props is NULL or no builder, or if there is no memory for the text.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iotda_props_json(props: *const iotda_props_t) -> *const c_char {
    let props = props.cast_mut();
    let json = caught(|| {
        let props = handle_mut!(props).ok()?;
        Some(props.properties.as_json_with_nul().as_ptr().cast())
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
        let name = unsafe { text(name).ok_or_else(|| no_text(name, &"name")) }?;
        put(&mut props.properties, name)
    })
}

#[cfg(test)]
mod tests {
    use std::ffi::{CStr, CString};

    use super::*;
    use crate::status::{IOTDA_E_INVALID_ARGUMENT, IOTDA_OK};

    /// A builder that is freed with the test.
    struct Builder(*mut iotda_props_t);

    impl Builder {
        fn new() -> Self {
            Builder(iotda_props_new())
        }

        fn json(&self) -> &str {
            // SAFETY: the builder is alive, and its text terminated.
            unsafe { CStr::from_ptr(iotda_props_json(self.0)) }.to_str().unwrap()
        }

        fn integer(&self, name: &str) -> iotda_status_t {
            let name = CString::new(name).unwrap();
            // SAFETY: the builder is alive, and the name terminated.
            unsafe { iotda_props_add_integer(self.0, name.as_ptr(), 1) }
        }

        fn float(&self, name: &CStr, value: f32) -> iotda_status_t {
            // SAFETY: the builder is alive, and the name terminated.
            unsafe { iotda_props_add_float(self.0, name.as_ptr(), value) }
        }

        fn clear(&self) {
            // SAFETY: the builder is alive.
            unsafe { iotda_props_clear(self.0) };
        }
    }

    impl Drop for Builder {
        fn drop(&mut self) {
            // SAFETY: made by iotda_props_new and freed once.
            unsafe { iotda_props_free(self.0) };
        }
    }

    #[test]
    fn a_float_is_written_with_its_own_digits() {
        let builder = Builder::new();
        assert_eq!(builder.float(c"Speed", 23.24), IOTDA_OK);
        assert_eq!(builder.float(c"x", f32::NAN), IOTDA_E_INVALID_ARGUMENT);
        assert_eq!(builder.float(c"x", f32::NEG_INFINITY), IOTDA_E_INVALID_ARGUMENT);
        assert_eq!(builder.json(), r#"{"Speed":23.24}"#);
    }

    #[test]
    fn the_text_is_terminated_after_every_change() {
        let builder = Builder::new();
        assert_eq!(builder.json(), "{}");
        for round in 0..2 {
            let mut expected = Vec::new();
            for number in 0..40 {
                let name = format!("{round}_{number}");
                assert_eq!(builder.integer(&name), IOTDA_OK);
                expected.push(format!("\"{name}\":1"));
                assert_eq!(builder.json(), format!("{{{}}}", expected.join(",")));
                assert_eq!(builder.integer(&name), IOTDA_E_INVALID_ARGUMENT);
                assert_eq!(builder.json(), format!("{{{}}}", expected.join(",")));
            }
            builder.clear();
            assert_eq!(builder.json(), "{}");
        }
    }
}
