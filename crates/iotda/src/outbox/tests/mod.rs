//! Tests of the outbox as a whole; those of a single step stand beside it.

mod budgets;
mod clocks;
mod crash;
mod damage;
mod delivery;
mod destroyed;
mod engine;
mod faults;
mod format;
mod guarantees;
mod kill;
mod letters;
mod pages;
pub(crate) mod scripted;
mod shares;
pub(crate) mod simulated;
mod states;
mod threads;
mod whole;
mod worker;
