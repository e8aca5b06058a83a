//! Why a call ends without success, and the status that says so.

use crate::panic::caught;
use crate::status::{IOTDA_E_INTERNAL, IOTDA_E_INVALID_ARGUMENT, IOTDA_OK, iotda_status_t, number};

/// An error of the core, or one that is found at the boundary.
#[derive(Clone, Debug)]
pub(crate) enum Stop {
    Core(iotda::Error),
    Argument(String),
    Poisoned,
}

impl From<iotda::Error> for Stop {
    fn from(error: iotda::Error) -> Self {
        Stop::Core(error)
    }
}

/// A result of a function at the boundary.
pub(crate) type Outcome<T = ()> = Result<T, Stop>;

/// Runs the body of a function that returns nothing but its status.
pub(crate) fn status_of(body: impl FnOnce() -> Outcome) -> iotda_status_t {
    match caught(body) {
        Ok(Ok(())) => IOTDA_OK,
        Ok(Err(Stop::Core(error))) => number(error.kind()),
        Ok(Err(Stop::Argument(_))) => IOTDA_E_INVALID_ARGUMENT,
        Ok(Err(Stop::Poisoned)) | Err(_) => IOTDA_E_INTERNAL,
    }
}
