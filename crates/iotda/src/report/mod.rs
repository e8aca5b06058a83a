//! Reports as a caller describes them: checked, encoded, and split into requests. Functions on values; nothing here sends
//! anything.
//!
//! - `validate`: bodies that a caller wrote as JSON. `identifier`: device ids. `calendar`: event times.
//! - `encode`: typed reports: checked and measured, then written. `properties`: a builder of property objects.
//! - `split`: how a batch becomes requests. [`limits`]: the platform's.
//! - `json`: where values begin and end; how strings and numbers are written.

pub(crate) mod calendar;
pub(crate) mod encode;
pub(crate) mod identifier;
pub(crate) mod json;
pub mod limits;
mod properties;
pub(crate) mod split;
pub(crate) mod validate;

pub use encode::{Child, Service};
pub use identifier::DEVICE_ID_MAX;
pub use properties::Properties;
