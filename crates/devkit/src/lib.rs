//! What xtask, campaigns, dist and testkit share: running programs ([`process`]), and where the repository, its target
//! directory and the tools are ([`checkout`]). What a command does is in its own crate.

#![forbid(unsafe_code)]

pub mod checkout;
pub mod process;
