//! The command `iotda-platform`. Everything is the library's: see `iotda_platform::program`.

#![forbid(unsafe_code)]

use clap::Parser;
use iotda_platform::program::{self, Arguments};
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        // The help and the version are the program's own; an error repeats what it was given.
        Err(error) if !error.use_stderr() => error.exit(),
        Err(error) => {
            eprint!("{}", printable(&error.to_string()));
            return ExitCode::from(2);
        }
    };
    match program::run(&arguments) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("iotda-platform: {}", printable(&error));
            ExitCode::FAILURE
        }
    }
}

/// A text of several lines without what a terminal would obey.
fn printable(text: &str) -> String {
    text.split('\n').map(iotda_platform::escape).collect::<Vec<_>>().join("\n")
}
