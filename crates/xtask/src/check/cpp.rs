//! include/iotda.hpp: the programs of crates/libiotda/tests/cpp, built against the installed package by each
//! compiler, for each language standard, with exceptions and without; run against a stand-in platform; and once
//! under valgrind. What arrives is compared.

use super::installed;
use super::stand::{GATEWAY, SECOND, Stand, report_path};
use super::suite::{BATCH, children, valgrind};
use crate::project::Project;
use crate::{process, provision};
use anyhow::{Context, Result, ensure};
use iotda_platform::{Fault, InjectedAnswer, Part, RequestRecord, RetryAfter, Route, Stall};
use std::path::Path;
use std::process::Command;

const DIR: &str = "check/cpp";
/// More than a user is likely to have: the header must not be what stops a build.
const WARNINGS: [&str; 8] = [
    "-Wall",
    "-Wextra",
    "-Wpedantic",
    "-Wconversion",
    "-Wsign-conversion",
    "-Wold-style-cast",
    "-Wnon-virtual-dtor",
    "-Werror",
];

/// What the test of overload is told, in seconds: longer than its call may take.
const PAUSE: u64 = 60;

struct Program {
    name: &'static str,
    sources: &'static [&'static str],
    /// Runs it, by itself or under valgrind, and compares what arrives.
    run: fn(&Stand, &mut Command) -> Result<()>,
}

const PROGRAMS: &[Program] = &[
    Program { name: "contract", sources: &["contract.cpp", "second_unit.cpp"], run: contract },
    Program { name: "reports", sources: &["reports.cpp"], run: reports },
    Program { name: "at_exit", sources: &["at_exit.cpp"], run: at_exit },
    Program { name: "failures", sources: &["failures.cpp"], run: failures },
];

pub(super) fn check(project: &Project) -> Result<()> {
    let source = installed::copy_of(project, "cpp", DIR)?;
    let flags = flags(&installed::prefix(project))?;
    const COMPILERS: [&str; 2] = ["g++", "clang++"];
    ensure!(COMPILERS.iter().any(|compiler| provision::find(compiler)), "neither of {COMPILERS:?} is installed");
    for compiler in COMPILERS {
        if !provision::find(compiler) {
            println!("   {compiler} is not installed: left out");
            continue;
        }
        for standard in ["c++17", "c++20"] {
            for (mode, options) in [("with exceptions", [].as_slice()), ("without", &["-fno-exceptions", "-fno-rtti"])]
            {
                for program in PROGRAMS {
                    let mut compile = Command::new(compiler);
                    compile.current_dir(&source).args([&format!("-std={standard}"), "-O1", "-pthread"]);
                    compile.args(options).args(WARNINGS).args(program.sources).args(&flags);
                    process::output(compile.args(["-o", program.name]))?;
                    (program.run)(&Stand::start(&source)?, &mut Command::new(source.join(program.name)))
                        .with_context(|| format!("{}, {compiler}, {standard}, {mode}", program.name))?;
                }
                println!("   {compiler}, {standard}, {mode}");
            }
        }
    }
    Ok(())
}

/// The programs as they were built last.
pub(super) fn check_with_valgrind(project: &Project) -> Result<()> {
    let source = project.target().join(DIR);
    for program in PROGRAMS {
        let mut command = valgrind(project);
        command.arg(source.join(program.name));
        (program.run)(&Stand::start(&source)?, &mut command).with_context(|| program.name)?;
        println!("   {}", program.name);
    }
    Ok(())
}

/// What a compiler is told to link the static library of a package.
pub(super) fn flags(prefix: &Path) -> Result<Vec<String>> {
    let mut pkg_config = Command::new("pkg-config");
    pkg_config.env("PKG_CONFIG_PATH", prefix.join("lib/pkgconfig")).args(["--cflags", "--libs", "iotda-static"]);
    Ok(process::output(&mut pkg_config)?.split_whitespace().map(String::from).collect())
}

fn contract(stand: &Stand, program: &mut Command) -> Result<()> {
    stand.run(program)?;
    let connections = stand.platform.counters().connections;
    ensure!(connections == 0, "{connections} connections for calls that need none");
    Ok(())
}

/// A message of each process at its end.
fn at_exit(stand: &Stand, program: &mut Command) -> Result<()> {
    let late = stand.run(program)?.iter().filter(|request| request.body == b"late").count();
    ensure!(late == 5, "{late} messages of processes that ended instead of 5");
    Ok(())
}

fn reports(stand: &Stand, program: &mut Command) -> Result<()> {
    let requests = run(stand, program)?;
    let bodies = |device: &str, call: &str| -> Vec<String> {
        let target = report_path(device, call);
        let requests = requests.iter().filter(|request| request.target == target && request.status == 200);
        requests.map(|request| request.body.escape_ascii().to_string()).collect()
    };
    let expected =
        |bodies: &[&[u8]]| -> Vec<String> { bodies.iter().map(|body| body.escape_ascii().to_string()).collect() };

    let properties: [&[u8]; 3] = [
        "{\"services\":[{\"service_id\":\"serviceId\",\"properties\":{\"Height\":124,\"Speed\":23.24,\
         \"Place\":\"\\\"Büro\\\"\"},\"event_time\":\"2021-08-13T10:10:10.555Z\"}]}"
            .as_bytes(),
        b"{\"services\":[{\"service_id\":\"first\",\"properties\":{\"raw\": 12345678901234567890123}},\
          {\"service_id\":\"second\",\"properties\":{},\"event_time\":\"2021-08-13T10:10:10.555Z\"}]}",
        b"{\"services\":[{\"service_id\":\"s\",\"properties\":{\"n\":1}}]}",
    ];
    compare(&bodies(GATEWAY, "properties/report"), &expected(&properties))?;
    let messages: [&[u8]; 6] = [b"", b"", b"\0a\xff", b"all", b"owned", b"after the restart"];
    compare(&bodies(GATEWAY, "messages/up"), &expected(&messages))?;
    compare(&bodies(SECOND, "messages/up"), &expected(&[b"from the second"]))?;

    let batches = requests.iter().filter(|request| request.target == report_path(GATEWAY, BATCH));
    let (accepted, refused): (Vec<_>, Vec<_>) = batches.partition(|request| request.status == 200);
    let arrived = accepted.into_iter().map(children).collect::<Result<Vec<_>>>()?.concat();
    let mut sent: Vec<String> = (0..60).map(|number| format!("child_{number}")).collect();
    sent.extend(["before", "after", "by_json"].map(String::from));
    compare(&arrived, &sent)?;
    ensure!(refused.iter().all(|request| request.error_code.as_deref() == Some("IOTDA.021104")), "{refused:?}");
    let others = requests.iter().filter(|request| request.status != 200).count() - refused.len();
    ensure!(others == 0, "{others} requests refused that are no batch");

    let authentications = stand.platform.counters().authentications;
    ensure!(authentications == 2, "{authentications} authentications for two devices, one of them twice");
    Ok(())
}

fn failures(stand: &Stand, program: &mut Command) -> Result<()> {
    stand.platform.inject(Fault::delay(Part::Header, Stall::ForEver).on(Route::Message))?;
    let overloaded = InjectedAnswer::status(503).retry_after(RetryAfter::Seconds(PAUSE));
    stand.platform.inject(Fault::answer(overloaded).on(Route::Properties).times(1))?;
    let requests = run(stand, program)?;
    let messages: Vec<&[u8]> =
        requests.iter().filter(|request| request.target.contains("messages")).map(|request| &*request.body).collect();
    ensure!(messages == [b"late".as_slice(), b"late", b"unanswered"], "{messages:?}");
    let statuses: Vec<u16> = requests.iter().map(|request| request.status).filter(|status| *status >= 400).collect();
    ensure!(statuses == [401, 400, 503], "refusals of the statuses {statuses:?}");
    Ok(())
}

/// Runs a program that must succeed, though not all of its requests.
fn run(stand: &Stand, program: &mut Command) -> Result<Vec<RequestRecord>> {
    stand.tell(program);
    process::silent_in_time(program)?;
    Ok(stand.platform.requests())
}

fn compare(arrived: &[String], sent: &[String]) -> Result<()> {
    ensure!(arrived == sent, "{arrived:#?}\narrived instead of\n{sent:#?}");
    Ok(())
}
