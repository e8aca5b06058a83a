//! The C API of libiotda: checks, converts, calls the `iotda` crate, converts back. Nothing else.
//!
//! The header `include/iotda.h` is generated from this crate; its comments are the doc comments here,
//! and so speak to a C programmer.
//!
//! - [`status`], [`call`]: how a call ends, and what it is given and returns beside that.
//! - [`config`], [`trust`], [`network`], [`client`], [`report`], [`batch`], [`check`], [`token`], [`version`]:
//!   functions, by what they are about.
//! - [`service`], [`child`], [`props`], [`cancel`], [`stats`], [`clock`], [`log`], [`user_data`], [`transport`]: one C
//!   type each, with its functions or setter.
//! - [`outbox`], [`outbox_options`], [`outbox_stats`], [`dead`]: reports that are kept on disk.
//! - `arguments`: how memory of the caller is read. `handle`: what a handle points to. `outcome`: why a call ends
//!   without success. `panic`: how a panic becomes a status. `failures`: the setters that failed.
//!
//! # What the C caller promises
//!
//! The compiler cannot check what C hands over. Every `SAFETY` line of this crate names the promise that it rests on;
//! the header makes the same demands in the words of a C programmer. Each holds for the whole call.
//!
//! - **handles**: a pointer to a handle is NULL, or was made by this library and has not been freed, and it is not
//!   freed during the call. One that a function changes (a config, a builder) is used by no other thread meanwhile.
//!   `handle` checks what can be checked of it.
//! - **texts**: a pointer to a text is NULL, or points to bytes that end with a zero and do not change.
//! - **arrays**: a pointer with a count is NULL, or points to that many initialized elements that do not change. What
//!   pointers in the elements refer to is covered by the other promises.
//! - **outputs**: a pointer to an output is NULL, or points to room for it, perhaps uninitialized, that nothing else
//!   touches.
//! - **structs**: a pointer to a struct that begins with its size is NULL, or points to an initialized struct of its
//!   type, of the first version or a later one, that nothing else touches.
//! - **callbacks**: a function that the library is given can be called from any thread, with the `user_data` or the
//!   connection that it belongs to, until `destroy` or `close` has been called with it; it returns and does not unwind.

// The names are those of the C API.
#![allow(non_camel_case_types)]
// What a caller must keep is said to C programmers, in the header's own words and its introduction.
#![allow(clippy::missing_safety_doc)]
// Brackets in comments that become the header's are C's, or those of a grammar.
#![allow(rustdoc::broken_intra_doc_links)]

#[macro_use]
mod arguments;
mod failures;
mod handle;
mod outcome;
mod panic;
#[cfg(feature = "panic-hook-for-tests")]
pub mod panic_hook;
#[cfg(feature = "fuzzing")]
pub mod sequences;

// In the order in which the header has them; an empty line keeps them in it. `// # ` begins a topic of the header.

// # Statuses
pub mod status;

// # What a call is given and returns
pub mod cancel;

#[macro_use]
pub mod call;

// # Settings
pub mod user_data;

#[macro_use]
pub mod config;

pub mod trust;

pub mod transport;

pub mod network;

pub mod clock;

pub mod log;

// # Clients
#[macro_use]
pub mod client;

pub mod stats;

// # Access tokens
pub mod token;

// # Reports
pub mod service;

pub mod report;

pub mod child;

pub mod batch;

pub mod check;

// # Properties without a JSON library
pub mod props;

// # Outboxes: reports that are kept on disk
pub mod outbox_options;

#[macro_use]
pub mod outbox;

pub mod dead;

pub mod outbox_stats;

// # Versions
pub mod version;
