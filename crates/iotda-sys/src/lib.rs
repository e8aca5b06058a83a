//! What libiotda needs of the system and the processor and std does not offer, behind safe functions.
//!
//! - [`socket`]: send and receive with flags (no `SIGPIPE`, no waiting) and `poll` with a deadline.
//! - [`wake`]: a descriptor that another thread or a signal handler makes readable.
//! - [`signal`]: a thread that no signal of the program reaches.
//! - [`cancellation`]: a thread that `pthread_cancel` does not end in the midst of the library.
//! - [`descriptor`]: descriptors that are none of the standard streams'.
//! - [`mod@file`]: a lock on a directory, and what a file system does with zeros.
//! - [`kept`]: files that a child made by `fork` can close all at once.
//! - [`boot`]: the time since the machine started, and which start it was.
//! - [`crc32c`]: a check sum by an instruction of the processor.
//! - [`stack`]: calls on an aligned stack where the C library begins threads on another.
//! - [`fork`]: a mark that shows, without a system call, whether this process is a child made by `fork`.
//!
//! This crate and the C boundary are the only ones with `unsafe`; what the calls are used for is the
//! business of the `iotda` crate.

#![cfg(unix)]

pub mod boot;
pub mod cancellation;
pub mod crc32c;
pub mod descriptor;
pub mod file;
pub mod fork;
pub mod kept;
pub mod signal;
pub mod socket;
pub mod stack;
pub mod wake;
