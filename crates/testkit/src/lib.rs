//! What the tests of the installed package share.
//!
//! [`Package`] is libiotda as its users have it: built by CMake, installed, moved. [`program`] builds programs with it,
//! for this processor or for the one that `cargo xtask cross` names. [`Stand`] is a stand-in platform in the test's own
//! process, so that every request can be looked at. [`process`] runs programs, and ends those that hang; [`Terminal`] is what
//! some of them run on; [`golang`] is the go command. What a test expects is in the test, in crates/libiotda/tests.

#![forbid(unsafe_code)]

pub mod golang;
mod package;
pub mod process;
pub mod program;
mod project;
mod stand;
mod terminal;
mod tools;

pub use devkit::checkout::{cargo, find, forget_this_crate, target};
pub use package::{OWN_STD, PANIC_HOOK, Package, VERSION, cpp_headers, declared_function};
pub use project::{Lock, copy_files, path, platform_program, read, scratch};
pub use stand::{GATEWAY, SECOND, SECRET, Stand, bodies, children, of_call, report_path};
pub use terminal::Terminal;
pub use tools::{Tool, is_missing, own_std_is_missing, skip};
