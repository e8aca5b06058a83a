//! The C API of libiotda: checks, converts, calls the `iotda` crate, converts back. Nothing else.
//!
//! The header `include/iotda.h` is generated from this crate; its comments are the doc comments here,
//! and so speak to a C programmer.
//!
//! - [`status`]: the status numbers. [`call`]: what one call is told and tells.
//! - [`config`], [`client`], [`report`], [`props`], [`version`]: the functions, by what they are about.
//! - `boundary`: how pointers become references and panics become statuses.

#![allow(non_camel_case_types)]
// The names of the C API.
// What a caller must keep is told to C programmers, in the header's own words and its introduction.
#![allow(clippy::missing_safety_doc)]

mod boundary;
pub mod call;
pub mod client;
pub mod config;
#[cfg(feature = "panic-hook-for-tests")]
pub mod panic_hook;
pub mod props;
pub mod report;
pub mod status;
pub mod version;
