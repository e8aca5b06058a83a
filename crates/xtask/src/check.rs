//! `cargo xtask test`: everything that must hold, step by step. The first step that fails ends it. What a
//! step does is in the modules below; this file holds their order.

mod budgets;
mod conan;
mod consumers;
mod contents;
mod cpp;
pub(crate) mod cross;
mod debian;
mod examples;
mod failures;
mod go;
mod installed;
mod own_std;
mod panics;
mod snippets;
mod source_tree;
mod sources;
mod stand;
mod steady;
mod suite;
mod transports;
mod two_archives;
mod variants;

use crate::demo;
use crate::project::Project;
use crate::provision::{self, FOR_TEST, Unavailable};
use anyhow::Result;
use std::process::ExitCode;
use std::time::Instant;

type Step = (&'static str, fn(&Project) -> Result<()>);

const STEPS: &[Step] = &[
    ("the tools are there", |project| provision::ensure(project, FOR_TEST)),
    ("the Rust sources are formatted", sources::rust_format),
    ("the C sources are formatted", sources::c_format),
    ("include/iotda.h is up to date", sources::header),
    ("the headers compile alone, as C and as C++", sources::headers_compile),
    ("include/iotda.hpp has all that include/iotda.h has", sources::cpp_header_is_complete),
    ("the README is true to the headers and the files", sources::readme),
    ("clippy has nothing to say", sources::clippy),
    ("the Rust documentation builds", sources::documentation),
    ("the Rust tests pass", sources::rust_tests),
    ("... also without the features that can be left out", variants::rust_tests),
    ("the package installs", installed::install),
    ("the package holds what it should, and nothing of this machine", contents::check),
    ("the binary interface is the one that was promised", contents::interface),
    ("programs outside the repository build and report", consumers::check),
    ("projects that take in the source tree build and report", source_tree::check),
    ("the Conan recipe makes a package that reports", conan::check),
    ("the C interface keeps its contract", suite::check),
    ("... and valgrind finds no fault", suite::check_with_valgrind),
    ("the C++ interface keeps its contract", cpp::check),
    ("... and valgrind finds no fault in it", cpp::check_with_valgrind),
    ("the examples build as their users build them, and report", examples::check),
    ("what the documentation shows compiles and runs", snippets::check),
    ("transports of a program's own carry reports", transports::check),
    ("failures are told as what they are", failures::check),
    ("a thousand reports cost a thousand sends", steady::check),
    ("no report costs more than its budget", budgets::check),
    ("the Go module is complete in itself", go::sources),
    ("the Go bindings pass their tests", go::tests),
    ("... with the race detector and all of cgo's checks", go::tests_with_checks),
    ("Go programs outside the repository build and report", go::programs),
    ("the demonstration works", demo::run),
    ("smaller libraries say what they lack, and report", variants::check),
    // Late, since these build the library once more, with the function that makes it panic.
    ("a panic inside is an error outside", panics::check),
    ("a library with a Rust library of its own is smaller, and as good", own_std::check),
    ("a second Rust library fits into the same program", two_archives::check),
    ("the packages to hand out install on a bare Debian 13, and the example reports", debian::check),
    ("64-bit ARM keeps the contract, built by the oldest Rust", |project| cross::check(project, "aarch64")),
    ("32-bit ARM does, too", |project| cross::check(project, "armhf")),
];

/// Runs the steps from the given one, counted from 1. The last line says how many passed. A step that needs
/// what cannot be had on this machine, such as a Debian root, is left out and said to be.
pub(crate) fn run(project: &Project, from: usize) -> ExitCode {
    let begin = Instant::now();
    let (mut passed, mut skipped) = (0, 0);
    for (number, (headline, step)) in (1..).zip(STEPS).skip(from.saturating_sub(1)) {
        println!("\n== {number}/{} {headline}", STEPS.len());
        let step_begin = Instant::now();
        match step(project) {
            Ok(()) => passed += 1,
            Err(error) if error.is::<Unavailable>() => {
                skipped += 1;
                println!("   left out: {error}");
            }
            Err(error) => {
                println!("\nThis does not hold: {headline}\n{error:#}\n{passed} passed, 1 failed, {skipped} skipped");
                return ExitCode::FAILURE;
            }
        }
        println!("   {:.1} s", step_begin.elapsed().as_secs_f32());
    }
    let took = begin.elapsed().as_secs_f32();
    println!("\nAll of it took {took:.0} s.\n{passed} passed, 0 failed, {skipped} skipped");
    ExitCode::SUCCESS
}
