//! Changed code that no test notices, by cargo-mutants.

use crate::Arguments;
use anyhow::{Result, bail};
use devkit::checkout;
use devkit::process::{self, Unavailable};

/// Each crate is held to its own tests alone: those of the others take longer than they find more.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    if !process::succeeds(checkout::cargo("mutants").arg("--version")) {
        bail!(Unavailable("install cargo-mutants first: cargo install --locked cargo-mutants".to_owned()));
    }
    let all = ["iotda", "iotda-http", "iotda-capi"].map(String::from);
    let target = checkout::target().join("mutants");
    std::fs::create_dir_all(&target)?;
    for name in if arguments.names.is_empty() { &all[..] } else { &arguments.names } {
        // A mutant may wait for a deadline.
        let options = ["--package", name, "--minimum-test-timeout", "120", "--output"];
        process::run(checkout::cargo("mutants").args(options).arg(target.join(name)))?;
    }
    Ok(())
}
