//! The command `iotda`: reports to Huawei Cloud IoTDA from a shell, and finds out why a device does not.
//!
//! - `arguments`: every command and every flag, in one place.
//! - `settings`: what flags, environment and profile say, and which of them said it. `pin`: pins of public keys as they are
//!   written.
//! - `connect`: a client made of them, with the token that the commands share (`token_cache`).
//! - `auth`, `report`, `message`, `batch`, `stream`, a module for each command: what it does. `values`: the grammar of `NAME=VALUE`;
//!   `body`: request bodies; `input`: whole files; `dry_run`: a request that is not sent.
//! - `outbox`: what a directory of undelivered reports holds. `watch`: what arrives at a stand-in; `serve` is the stand-in's own
//!   program. `generate`: completions and manual pages.
//! - `doctor`: each step between this machine and the platform.
//! - `output`: signs, colour, JSON. `exit`: what the exit codes mean. `signals`: Ctrl-C.

#![forbid(unsafe_code)]

mod arguments;
mod auth;
mod batch;
mod body;
mod connect;
mod doctor;
mod dry_run;
mod exit;
mod generate;
mod input;
mod message;
mod outbox;
mod output;
mod pin;
mod report;
mod settings;
mod signals;
mod stream;
mod token_cache;
mod values;
mod watch;

use std::process::ExitCode;

use clap::Parser;
use iotda_platform::program;

use arguments::{Arguments, Command};
use exit::Failure;
use output::Output;

fn main() -> ExitCode {
    // clap prints help and usage errors itself; its exit code 2 is that of the table in `exit`.
    let arguments = Arguments::parse();
    let output = Output::of(&arguments.output());
    match run(arguments, &output) {
        Ok(code) => code,
        Err(failure) => output.failure(&failure),
    }
}

fn run(arguments: Arguments, output: &Output) -> Result<ExitCode, Failure> {
    let connection = arguments.connection();
    let done = match arguments.command {
        Command::Report(report) => report::run(&report, &connection, output),
        Command::Message(message) => message::run(&message, &connection, output),
        Command::Batch(batch) => batch::run(&batch, &connection, output),
        Command::Stream(stream) => stream::run(&stream, &connection, output),
        Command::Auth(auth) => auth::run(&auth, &connection, output),
        Command::Doctor(doctor) => doctor::run(&doctor, &connection, output),
        Command::Outbox(action) => outbox::run(&action, &connection, output),
        // It has exit codes of its own, and says itself what it does.
        Command::Serve(serve) => return program::run(&serve).map_err(Failure::config),
        Command::Watch(watch) => watch::run(&watch, output),
        Command::Completions(completions) => {
            generate::completions(completions.shell, output);
            Ok(())
        }
        Command::Man(man) => generate::man(&man.dir),
    };
    done.map(|()| ExitCode::SUCCESS)
}
