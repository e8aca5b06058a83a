//! Which library this is.

use std::ffi::{CStr, c_char};

/// The version of the binary interface that this header describes.
pub const IOTDA_ABI_VERSION: u32 = 1;

const VERSION: &CStr = match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
    Ok(version) => version,
    Err(_) => c"",
};

/// The version of the library's binary interface. A program that was compiled with a header whose IOTDA_ABI_VERSION is
/// another number must not use the library.
#[unsafe(no_mangle)]
pub extern "C" fn iotda_abi_version() -> u32 {
    IOTDA_ABI_VERSION
}

/// The library's version, such as "0.1.0".
#[unsafe(no_mangle)]
pub extern "C" fn iotda_version() -> *const c_char {
    VERSION.as_ptr()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_the_packages() {
        // SAFETY: the function returns a constant, terminated text.
        let version = unsafe { CStr::from_ptr(iotda_version()) };
        assert_eq!(version.to_str(), Ok(env!("CARGO_PKG_VERSION")));
    }
}
