//! Tests of the outbox as a whole; those of a single step stand beside it.

mod budgets;
mod crash;
mod delivery;
mod faults;
mod format;
mod kill;
mod scripted;
pub(crate) mod simulated;
mod states;
mod whole;
