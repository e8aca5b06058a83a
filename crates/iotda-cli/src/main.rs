//! The command `iotda`: reports to Huawei Cloud IoTDA from a shell, and finds out why a device does not.
//!
//! - `arguments`: every command and every flag, in one place.
//! - `settings`: what flags, environment and profile say, and which of them said it.
//! - `connect`: a client made of them, with the token that the commands share (`token_cache`).
//! - `auth` and others, a module for each command: what it does.
//! - `output`: signs, colour, JSON. `exit`: what the exit codes mean. `signals`: Ctrl-C.

#![forbid(unsafe_code)]
#![allow(dead_code, reason = "the commands that use the rest follow")]

mod arguments;
mod auth;
mod connect;
mod exit;
mod output;
mod settings;
mod signals;
mod token_cache;

use std::process::ExitCode;

use clap::Parser;

use arguments::{Arguments, Command};
use exit::Failure;
use output::Output;

fn main() -> ExitCode {
    // clap prints help and usage errors itself; its exit code 2 is that of the table in `exit`.
    let arguments = Arguments::parse();
    let output = Output::of(&arguments.output());
    match run(arguments, &output) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => output.failure(&failure),
    }
}

fn run(arguments: Arguments, output: &Output) -> Result<(), Failure> {
    let connection = arguments.connection();
    match arguments.command {
        Command::Auth(auth) => auth::run(&auth, &connection, output),
    }
}
