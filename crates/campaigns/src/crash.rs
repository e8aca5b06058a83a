//! Power failures, killed processes and long outages: the outbox's own tests of them, with more states, kills and entries
//! than a test run has time for.

use crate::{Arguments, profile};
use anyhow::Result;
use devkit::{checkout, process};

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let mut tests = checkout::cargo("test");
    tests.args(profile()).args(["--package", "iotda", "--lib", "--"]);
    tests.args(["outbox::tests::crash", "outbox::tests::kill", "of_outage_all_arrive", "poison_costs", "--nocapture"]);
    tests.env("IOTDA_CRASH_STATES", arguments.number("states").unwrap_or(20_000).to_string());
    tests.env("IOTDA_KILLS", arguments.number("kills").unwrap_or(1_000).to_string());
    tests.env("IOTDA_OUTAGE_ENTRIES", arguments.number("entries").unwrap_or(1_000_000).to_string());
    if let Some(seed) = arguments.number("seed") {
        tests.env("IOTDA_CRASH_SEED", seed.to_string());
    }
    process::run(&mut tests)
}
