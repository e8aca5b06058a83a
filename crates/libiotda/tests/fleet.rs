//! The fleet of examples/fleet with the installed package: its own tests, which run NATS servers, the stand-in platform and
//! worker processes on this machine. The modules that it needs are downloaded, as crates are; nothing else is.

#![forbid(unsafe_code)]

use anyhow::Result;
use testkit::{Tool, golang, path, platform_program, process};

/// All of its tests: on values, with one NATS server and with three, and with workers that are killed and stopped.
#[test]
fn vet_and_tests() -> Result<()> {
    if testkit::is_missing(Tool::Program("go", "golang-go")) {
        return Ok(());
    }
    let dir = path("examples/fleet");
    golang::download(&dir)?;
    process::output(golang::go(&dir, "iotda_system")?.args(["vet", "./..."]))?;
    let mut test = golang::go(&dir, "iotda_system")?;
    // -count=1: what passed before is not taken for granted. One package at a time: each starts servers of its own. It is
    // vetted already, by more analyzers.
    test.args(["test", "-count=1", "-vet=off", "-p=1", "-timeout=300s", "./..."]);
    process::output(test.env("IOTDA_PLATFORM", platform_program()?)).map(drop)
}
