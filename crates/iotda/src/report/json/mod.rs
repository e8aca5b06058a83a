//! JSON as reports need it: checked and cut without a tree, written without a serializer.
//!
//! A property value must reach the platform byte for byte: `12345678901234567890123`, `1e400` and
//! duplicate keys are valid JSON and would not survive a parse into numbers and maps. So input is
//! *scanned*: one pass, no allocation, positions for messages. Answers of the platform, which are
//! small and need values, are read with `serde_json` in [`crate::delivery::classify`]; the tests here hold the
//! scanner against it.
//!
//! - [`scan`]: where a value ends, or what is wrong with it.
//! - [`fault`]: what is wrong, as an error with the text around it.
//! - [`mod@write`]: strings and numbers into a buffer.
//! - [`names`]: the names of an object that is being written.
//! - [`plain`]: long strings, eight bytes at a time.

pub(crate) mod fault;
pub(crate) mod names;
mod plain;
pub(crate) mod scan;
pub(crate) mod write;
