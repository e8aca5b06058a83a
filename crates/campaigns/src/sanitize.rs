//! What instruments see that tests do not: memory errors, races, undefined behaviour. Each instrument runs the sequences of
//! C calls of crates/iotda-capi, over a transport in memory and in several threads, and what else it can in some minutes.
//! One that is missing is named, with what brings it.
//!
//! valgrind's helgrind is not among them. It knows locks by the functions of pthread; those of Rust's own library are futexes,
//! which it takes for unprotected memory. With tests/c/threads.c and outbox.c of crates/libiotda it reported 1,119 races (valgrind
//! 3.19), in Rust's locks, in what they guard and in the buffers of ring, and nothing about pthread. To suppress all that
//! is in the library would leave nothing to find. ThreadSanitizer sees these locks, once Rust's own library is built with it.

use crate::Arguments;
use anyhow::{Result, bail, ensure};
use devkit::checkout::{self, RUST_SOURCE};
use devkit::process::{self, Unavailable};
use std::process::Command;

/// An instrument: its name, what it lacks here (`None`: nothing), and what runs it.
type Instrument = (&'static str, fn() -> Result<Option<String>>, fn() -> Result<()>);

const INSTRUMENTS: [Instrument; 4] = [
    ("address", || Ok(None), address),
    ("thread", lacks_source, thread),
    ("miri", lacks_miri, miri),
    ("valgrind", lacks_valgrind, valgrind),
];

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let names = INSTRUMENTS.map(|(name, ..)| name);
    if let Some(unknown) = arguments.names.iter().find(|name| !names.contains(&name.as_str())) {
        bail!("there is no instrument `{unknown}`; there are {}", names.join(", "));
    }
    let (mut lines, mut failed, mut ran) = (Vec::new(), Vec::new(), 0);
    for (name, lacks, run) in INSTRUMENTS {
        if !arguments.names.is_empty() && !arguments.names.iter().any(|wanted| wanted == name) {
            continue;
        }
        if let Some(lacking) = lacks()? {
            lines.push(format!("{name}: left out: {lacking}"));
            continue;
        }
        println!("{name}");
        ran += 1;
        match run() {
            Ok(()) => lines.push(format!("{name}: nothing found")),
            Err(error) => {
                lines.push(format!("{name}: FAILED: {error:#}"));
                failed.push(name);
            }
        }
    }
    lines.iter().for_each(|line| println!("{line}"));
    ensure!(failed.is_empty(), "see above: {}", failed.join(", "));
    if ran == 0 {
        bail!(Unavailable("none of the instruments is here: see above".to_owned()));
    }
    Ok(())
}

/// cargo's tests under a sanitizer of rustc's. Its options are unstable; RUSTC_BOOTSTRAP makes any rustc take them.
fn sanitized(sanitizer: &str, options: &[&str]) -> Result<Command> {
    let mut tests = checkout::cargo("test");
    tests.args(["--locked", "--target", &checkout::host()?]).args(options);
    tests.arg("--target-dir").arg(checkout::target().join("sanitize").join(sanitizer));
    tests.env("RUSTC_BOOTSTRAP", "1").env("RUSTFLAGS", format!("-Zsanitizer={sanitizer}"));
    // Without, a panic that a test provokes prints where it was, in symbols that take seconds to read.
    tests.env("RUST_BACKTRACE", "0");
    Ok(tests)
}

/// With the leaks that are found at the end of each program.
fn address() -> Result<()> {
    process::run(&mut sanitized("address", &["--package", "iotda-capi", "--package", "iotda-sys", "--lib", "--tests"])?)
}

/// Rust's own library is built with it: its locks would be races otherwise.
fn thread() -> Result<()> {
    let options = ["-Zbuild-std", "--package", "iotda-capi", "--test", "sequences"];
    process::run(&mut sanitized("thread", &options)?)
}

fn lacks_source() -> Result<Option<String>> {
    let is_there = checkout::rust_has(RUST_SOURCE);
    Ok((!is_there).then(|| "rust-src is not installed: rustup component add rust-src".to_owned()))
}

fn of_nightly(arguments: &[&str]) -> Command {
    let mut command = Command::new("rustup");
    command.current_dir(checkout::root()).args(["run", "nightly", "cargo"]).args(arguments);
    // What the cargo that started us says of its own toolchain.
    for name in ["CARGO", "RUSTC", "RUSTDOC", "RUSTUP_TOOLCHAIN", "CARGO_MANIFEST_DIR", "CARGO_MANIFEST_PATH"] {
        command.env_remove(name);
    }
    command
}

fn lacks_miri() -> Result<Option<String>> {
    let is_there = process::succeeds(&mut of_nightly(&["miri", "--version"]));
    let advice = "Miri is not installed: rustup toolchain install nightly --component miri,rust-src";
    Ok((!is_there).then(|| advice.to_owned()))
}

/// What Miri runs: a package, its tests, and names of some of them (none: all). Of the outbox on its simulated storage
/// those that it is through with in half a minute: what fills 256 KiB, or makes random cases, takes it many minutes each.
const UNDER_MIRI: [(&str, &[&str], &[&str]); 3] = [
    ("iotda-capi", &["--test", "sequences"], &[]),
    ("iotda-capi", &["--lib"], &["call::", "handle::", "panic::"]),
    (
        "iotda",
        &["--lib"],
        &[
            "outbox::tests::clocks",
            "a_dead_letter_has_its_data_even_if",
            "a_device_that_is_locked_out_stops",
            "a_lane_that_must_wait_for_its_pace",
        ],
    ),
];

/// The clock and random numbers are the system's. A thread that ends leaves what std keeps for it.
fn miri() -> Result<()> {
    for (package, tests, names) in UNDER_MIRI {
        let mut command = of_nightly(&["miri", "test", "--locked", "--package", package]);
        command.args(tests).arg("--target-dir").arg(checkout::target().join("sanitize/miri"));
        command.arg("--").args(names).env("MIRIFLAGS", "-Zmiri-disable-isolation");
        process::run(&mut command)?;
    }
    Ok(())
}

fn lacks_valgrind() -> Result<Option<String>> {
    let is_there = checkout::find("valgrind");
    Ok((!is_there).then(|| "valgrind is not installed (Debian's package valgrind)".to_owned()))
}

/// The C programs, with the library as it is shipped: `cargo xtask test` runs them as well.
fn valgrind() -> Result<()> {
    let mut tests = checkout::cargo("test");
    tests.args(["--locked", "--package", "libiotda", "--test", "c", "under_valgrind"]);
    process::run(&mut tests)
}
