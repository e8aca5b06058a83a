//! The C API of libiotda: checks, converts, calls the `iotda` crate, converts back. Nothing else.
//!
//! The header `include/iotda.h` is generated from this crate; its comments are the doc comments here,
//! and so speak to a C programmer.
//!
//! - [`status`]: the status numbers. [`call`]: what one call is told and tells. [`cancel`]: ending it.
//! - [`callback`]: the program's own clock and log. [`transport`]: its own way to the network.
//! - [`stats`]: what a client tells about itself.
//! - [`config`], [`trust`], [`route`], [`client`], [`report`], [`props`], [`version`]: the functions, by what they are about.
//! - `boundary`: how pointers become references and panics become statuses.

// The names are those of the C API.
#![allow(non_camel_case_types)]
// What a caller must keep is told to C programmers, in the header's own words and its introduction.
#![allow(clippy::missing_safety_doc)]

mod boundary;
#[cfg(feature = "panic-hook-for-tests")]
pub mod panic_hook;

// In the order in which the header has them; an empty line keeps them in it.

pub mod status;

pub mod call;

pub mod config;

pub mod trust;

pub mod route;

pub mod client;

pub mod report;

pub mod props;

pub mod cancel;

pub mod stats;

pub mod callback;

pub mod transport;

pub mod version;
