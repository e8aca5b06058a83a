//! Memory and system calls that fail, each in turn: the tests of crates/iotda-capi and crates/libiotda, with all of them
//! instead of one of each kind.

use crate::Arguments;
use anyhow::Result;
use devkit::{checkout, process};

pub(crate) fn run(_: &Arguments) -> Result<()> {
    process::run(checkout::cargo("test").args(["--locked", "--package", "iotda-capi", "--test", "short_memory"]))?;
    let mut tests = checkout::cargo("test");
    tests.args(["--locked", "--package", "libiotda", "--test", "c", "--test", "faults", "--"]);
    tests.args(["allocations", "each_system_call", "--nocapture"]);
    process::run(tests.env("IOTDA_FAULTS", "all"))
}
