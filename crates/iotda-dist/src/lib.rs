//! The crate that `libiotda.a` and `libiotda.so` are built from. It has no code: the C functions are
//! those of `iotda-capi`, and `cargo xtask package` installs the result.
#![forbid(unsafe_code)]

// Named so that the linker is given its functions: a dependency that nothing uses is left out.
pub use iotda_capi::*;
// Its feature is what is wanted of it; see Cargo.toml.
use log as _;
