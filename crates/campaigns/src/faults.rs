//! Memory and system calls that fail, each in turn: the tests of crates/iotda-capi and crates/libiotda, with all of them
//! instead of one of each kind.

use crate::Arguments;
use crate::run;
use anyhow::Result;

pub(crate) fn run(_: &Arguments) -> Result<()> {
    run::shown(run::cargo("test").args(["--locked", "--package", "iotda-capi", "--test", "short_memory"]))?;
    let mut tests = run::cargo("test");
    tests.args(["--locked", "--package", "libiotda", "--test", "c", "--test", "faults", "--"]);
    tests.args(["allocations", "each_system_call", "--nocapture"]);
    run::shown(tests.env("IOTDA_FAULTS", "all"))
}
