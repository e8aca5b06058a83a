//! Why a call ends without success, and the status that says so.

use std::fmt::Display;

use crate::panic::{Fault, caught};
use crate::status::{
    IOTDA_E_FORKED, IOTDA_E_INTERNAL, IOTDA_E_INVALID_ARGUMENT, IOTDA_E_TOO_LARGE, IOTDA_OK, iotda_status_t, number,
};

/// An error of the core, or one that is found at the boundary.
#[derive(Clone, Debug)]
pub(crate) enum Stop {
    Core(iotda::Error),
    /// An argument is refused: what to pass, and what is wrong.
    Argument(String),
    /// The caller's room is too small: for what.
    TooSmall(String),
    /// There is no memory for what the call was given: what, and how much of it.
    NoMemory(String),
    /// The library has a fault, which is met now: what was said of it.
    Fault(String),
    /// The handle met a fault of the library before.
    Poisoned,
    /// The handle was made in another process.
    Forked,
}

impl From<iotda::Error> for Stop {
    fn from(error: iotda::Error) -> Self {
        Stop::Core(error)
    }
}

/// What is said of a panic, before what the panic says.
pub(crate) const FAULT: &str = "close this handle, make a new one, and report this fault of the library: ";

/// A result of a function at the boundary.
pub(crate) type Outcome<T = ()> = Result<T, Stop>;

impl Stop {
    pub(crate) fn fault(fault: &Fault) -> Self {
        Stop::Fault(format!("{FAULT}{}", fault.as_str()))
    }

    pub(crate) fn status(&self) -> iotda_status_t {
        match self {
            Stop::Core(error) => number(error.kind()),
            Stop::Argument(_) => IOTDA_E_INVALID_ARGUMENT,
            Stop::TooSmall(_) => IOTDA_E_TOO_LARGE,
            Stop::NoMemory(_) | Stop::Fault(_) | Stop::Poisoned => IOTDA_E_INTERNAL,
            Stop::Forked => IOTDA_E_FORKED,
        }
    }

    /// The sentence for a person: what to do comes first.
    pub(crate) fn message(&self) -> &str {
        match self {
            Stop::Core(error) => error.message(),
            Stop::Argument(message) | Stop::TooSmall(message) | Stop::NoMemory(message) | Stop::Fault(message) => {
                message
            }
            Stop::Poisoned => "close this handle and make a new one: an earlier call met a fault of the library",
            Stop::Forked => "make a new client in this process: this one was made before a fork, in the parent",
        }
    }

    /// The same, with the place where it happened.
    pub(crate) fn within(self, place: &str) -> Self {
        match self {
            Stop::Core(error) => Stop::Core(error.within(place)),
            Stop::Argument(message) => Stop::Argument(format!("{place}: {message}")),
            Stop::TooSmall(message) => Stop::TooSmall(format!("{place}: {message}")),
            Stop::NoMemory(message) => Stop::NoMemory(format!("{place}: {message}")),
            Stop::Fault(message) => Stop::Fault(format!("{place}: {message}")),
            Stop::Poisoned | Stop::Forked => self,
        }
    }
}

/// Room for `count` more elements, which a caller's argument has; `what` names them.
pub(crate) fn reserve<T>(list: &mut Vec<T>, count: usize, what: &dyn Display) -> Outcome {
    list.try_reserve_exact(count)
        .map_err(|_| Stop::NoMemory(format!("send less at a time: there is no memory for {count} {what}")))
}

/// Runs the body of a function that returns nothing but its status.
pub(crate) fn status_of(body: impl FnOnce() -> Outcome) -> iotda_status_t {
    caught(|| body().map_or_else(|stop| stop.status(), |()| IOTDA_OK)).unwrap_or(IOTDA_E_INTERNAL)
}
