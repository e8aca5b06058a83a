//! The stand-in platform under load: its own tests of that, with as much as is promised of it instead of what a test run
//! has time for.

use crate::{Arguments, profile};
use anyhow::Result;
use devkit::{checkout, process};

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let mut tests = checkout::cargo("test");
    tests.args(profile()).args(["--package", "iotda-platform", "--test", "over_the_wire", "--test", "page", "--"]);
    // One after the other, as they are measured.
    tests.args(["load::", "burst::", "silent_connections_make_way", "--test-threads=1", "--nocapture"]);
    for (option, variable, default) in [
        ("batches", "IOTDA_LOAD_BATCHES", 1_800),
        ("devices", "IOTDA_LOAD_DEVICES", 100_000),
        ("records", "IOTDA_LOAD_RECORDS", 100_000),
        ("rows", "IOTDA_LOAD_ROWS", 20_000),
    ] {
        tests.env(variable, arguments.number(option).unwrap_or(default).to_string());
    }
    process::run(&mut tests)
}
