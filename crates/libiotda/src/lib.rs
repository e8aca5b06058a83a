//! What `libiotda.a` and `libiotda.so` are made of. It has no code: the C functions are
//! those of `iotda-capi`, and cmake/CMakeLists.txt makes both libraries of its archive.
#![forbid(unsafe_code)]

// Named so that the linker is given its functions: a dependency that nothing uses is left out.
pub use iotda_capi::*;
