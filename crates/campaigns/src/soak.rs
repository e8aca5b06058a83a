//! Hours of every fault: the soak test of crates/libiotda, with more time than a test run has for it.

use crate::{Arguments, profile};
use anyhow::{Context, Result};
use devkit::{checkout, process};

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let (hours, minutes) = (arguments.number("hours"), arguments.number("minutes"));
    let of_default = u64::from(hours.is_none() && minutes.is_none());
    let minutes = minutes.unwrap_or(0).checked_add(hours.unwrap_or(of_default).checked_mul(60).context(TOO_LONG)?);
    let seconds = minutes.and_then(|minutes| minutes.checked_mul(60)).context(TOO_LONG)?;
    let mut tests = checkout::cargo("test");
    tests.args(profile()).args(["--package", "libiotda", "--test", "soak", "--", "--nocapture"]);
    tests.env("IOTDA_SOAK_SECONDS", seconds.to_string());
    if let Some(seed) = arguments.number("seed") {
        tests.env("IOTDA_SOAK_SEED", seed.to_string());
    }
    process::run(&mut tests)
}

const TOO_LONG: &str = "give fewer hours";
