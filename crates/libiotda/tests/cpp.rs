//! The C++ headers: the programs of tests/cpp, built with the installed package by each compiler and each standard library,
//! for each language standard, with exceptions and without; run against a platform; once under valgrind and once with
//! sanitizers. What arrives is compared. What a program cannot do with them is in cpp_misuse.rs.

#![forbid(unsafe_code)]

use anyhow::{Context, Result, ensure};
use iotda_platform::{Fault, InjectedAnswer, Part, RetryAfter, Route, Stall};
use std::path::PathBuf;
use std::process::Command;
use testkit::program::{self, Run};
use testkit::{GATEWAY, Package, SECOND, Stand, Tool, bodies, children, of_call, path, process, scratch};

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

/// The pause that the test of overload is asked to make, in seconds: longer than its call may take.
const PAUSE: u64 = 60;

/// A module for each program, with a test for each compiler, and one for valgrind.
macro_rules! programs {
    ($($name:ident: $sources:expr;)*) => {$(
        mod $name {
            use super::*;

            #[test]
            fn by_gcc() -> Result<()> {
                by(GCC, "g++", &["-O1"], &BUILDS, &$sources, super::$name)
            }

            #[test]
            fn by_clang() -> Result<()> {
                by(CLANG, "clang++", &["-O0"], &BUILDS, &$sources, super::$name)
            }

            /// `cargo xtask cross` runs it with a clang and a libc++ for another processor.
            #[test]
            fn by_clang_with_libcxx() -> Result<()> {
                if program::cross_cxx().is_none() && testkit::is_missing(LIBCXX) {
                    return Ok(());
                }
                by(CLANG, "clang++", &WITH_LIBCXX, &BUILDS[1..], &$sources, super::$name)
            }

            #[test]
            fn with_sanitizers() -> Result<()> {
                with_sanitizers_of(&$sources, super::$name)
            }

            #[test]
            fn under_valgrind() -> Result<()> {
                under_valgrind_of(&$sources, super::$name)
            }
        }
    )*};
}

programs! {
    contract: ["contract.cpp", "contract_values.cpp", "second_unit.cpp"];
    reports: ["reports.cpp"];
    at_exit: ["at_exit.cpp"];
    failures: ["failures.cpp"];
    outbox: ["outbox.cpp"];
}

/// Runs a program and compares what arrives.
type Check = fn(&Stand, &mut Command) -> Result<()>;

const GCC: Tool = Tool::Program("g++", "g++");
const CLANG: Tool = Tool::Program("clang++", "clang");
const LIBCXX: Tool = Tool::File("/usr/include/c++/v1/map", "libc++-dev");

/// As zig sets it, std::unexpected is a function of old as well.
const WITH_LIBCXX: [&str; 3] = ["-O0", "-stdlib=libc++", "-D_LIBCPP_ENABLE_CXX17_REMOVED_UNEXPECTED_FUNCTIONS"];

/// A language standard, and options.
type Build = (&'static str, &'static [&'static str]);

const BUILDS: [Build; 4] = [
    ("c++17", &["-fexceptions"]),
    ("c++17", &["-fno-exceptions", "-fno-rtti"]),
    ("c++20", &["-fno-exceptions", "-fno-rtti"]),
    ("c++23", &["-fexceptions"]),
];

/// gcc's warnings come from its optimizer, too; clang's do not, and it takes two thirds of the time without.
fn by(tool: Tool, compiler: &str, common: &[&str], builds: &[Build], sources: &[&str], check: Check) -> Result<()> {
    if program::cross_cxx().is_none() && testkit::is_missing(tool) {
        return Ok(());
    }
    for &(standard, options) in builds {
        // By the name that compilers older than the standard know as well.
        let standard = standard.replace("c++23", "c++2b");
        let program = compile(compiler, &standard, &[common, options].concat(), sources)?;
        check(&Stand::start()?, &mut program::command(&program)).with_context(|| format!("{standard}, {options:?}"))?;
    }
    Ok(())
}

/// Leaks are valgrind's.
fn with_sanitizers_of(sources: &[&str], check: Check) -> Result<()> {
    let options = ["-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"];
    let program = compile("c++", "c++20", &options, sources)?;
    let mut command = Command::new(program);
    command.env("ASAN_OPTIONS", "detect_leaks=0:detect_stack_use_after_return=1");
    check(&Stand::start()?, &mut command)
}

fn under_valgrind_of(sources: &[&str], check: Check) -> Result<()> {
    if Run::UnderValgrind.is_missing() {
        return Ok(());
    }
    let program = compile("c++", "c++17", &["-O1"], sources)?;
    check(&Stand::start()?, &mut Run::UnderValgrind.command(&program)?)
}

fn compile(compiler: &str, standard: &str, options: &[&str], sources: &[&str]) -> Result<PathBuf> {
    let program = scratch()?.join("program");
    let mut compile = program::cross_cxx().unwrap_or_else(|| Command::new(compiler));
    compile.current_dir(path("crates/libiotda/tests/cpp")).args([&format!("-std={standard}"), "-pthread"]);
    compile.args(options).args(WARNINGS).args(sources).args(Package::shipped()?.flags("iotda-static")?);
    process::output(compile.arg("-o").arg(&program))?;
    Ok(program)
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
    let requests = stand.run_refused(program)?;
    let (accepted, refused): (Vec<_>, Vec<_>) = requests.into_iter().partition(|request| request.status == 200);

    let properties: [&[u8]; 6] = [
        "{\"services\":[{\"service_id\":\"serviceId\",\"properties\":{\"Height\":124,\"Speed\":23.24,\
         \"Place\":\"\\\"Büro\\\"\"},\"event_time\":\"2021-08-13T10:10:10.555Z\"}]}"
            .as_bytes(),
        b"{\"services\":[{\"service_id\":\"first\",\"properties\":{\"raw\": 12345678901234567890123}},\
          {\"service_id\":\"second\",\"properties\":{},\"event_time\":\"2021-08-13T10:10:10.555Z\"}]}",
        b"{\"services\":[{\"service_id\":\"s\",\"properties\":{\"n\":1}}]}",
        b"{\"services\":[{\"service_id\":\"one\",\"properties\":{}}]}",
        b"{\"services\":[{\"service_id\":\"one\",\"properties\":{\"n\":1}}]}",
        b"{\"services\":[{\"service_id\":\"one\",\"properties\":{\"n\":2},\"event_time\":\"2021-08-13T10:10:10.555Z\"}]}",
    ];
    compare(&bodies(&of_call(&accepted, GATEWAY, "properties/report")), &properties)?;
    let messages: [&[u8]; 6] = [b"", b"", b"\0a\xff", b"all", b"owned", b"after the restart"];
    compare(&bodies(&of_call(&accepted, GATEWAY, "messages/up")), &messages)?;
    let of_second: [&[u8]; 3] = [b"from the second", b"with its token", b"once more"];
    compare(&bodies(&of_call(&accepted, SECOND, "messages/up")), &of_second)?;

    const BATCH: &str = "gateway/sub-devices/properties/report";
    let batches = of_call(&accepted, GATEWAY, BATCH);
    let arrived = batches.into_iter().map(children).collect::<Result<Vec<_>>>()?.concat();
    let mut sent: Vec<String> = (0..60).map(|number| format!("child_{number}")).collect();
    sent.extend(["before", "after", "by_json", "own_1", "own_2", "own_1", "own_2"].map(String::from));
    ensure!(arrived == sent, "{arrived:#?}\narrived instead of\n{sent:#?}");
    let own = |id| {
        format!(
            "{{\"device_id\":\"{id}\",\"services\":[{{\"service_id\":\"s\",\"properties\":{{\"id\":\"{id}\"}},\
             \"event_time\":\"2021-08-13T10:10:10.555Z\"}},{{\"service_id\":\"t\",\"properties\":{{}}}}]}}"
        )
    };
    let own = format!("{{\"devices\":[{},{}]}}", own("own_1"), own("own_2"));
    let batches = of_call(&accepted, GATEWAY, BATCH);
    compare(&bodies(&batches[batches.len() - 2..]), &[own.as_bytes(), own.as_bytes()])?;
    let of_batches = of_call(&refused, GATEWAY, BATCH);
    ensure!(of_batches.len() == refused.len(), "requests refused that are no batch: {refused:?}");
    ensure!(refused.iter().all(|request| request.error_code.as_deref() == Some("IOTDA.021104")), "{refused:?}");

    let authentications = stand.platform.counters().authentications;
    ensure!(authentications == 2, "{authentications} authentications for two devices, one of them twice");
    Ok(())
}

/// The entries, in few requests: properties, then the message, then the batch.
fn outbox(stand: &Stand, program: &mut Command) -> Result<()> {
    let requests = stand.run(program)?;
    compare(&bodies(&of_call(&requests, GATEWAY, "messages/up")), &[b"hello", b"again"])?;
    ensure!(of_call(&requests, GATEWAY, "properties/report").len() == 1, "properties in several requests");
    let batches = of_call(&requests, GATEWAY, "gateway/sub-devices/properties/report");
    let arrived = batches.into_iter().map(children).collect::<Result<Vec<_>>>()?.concat();
    ensure!(arrived == ["child_1", "child_2"], "{arrived:?} arrived");
    Ok(())
}

fn failures(stand: &Stand, program: &mut Command) -> Result<()> {
    stand.platform.inject(Fault::delay(Part::Header, Stall::ForEver).on(Route::Message))?;
    let overloaded = InjectedAnswer::status(503).retry_after(RetryAfter::Seconds(PAUSE));
    stand.platform.inject(Fault::answer(overloaded).on(Route::Properties).times(1))?;
    let requests = stand.run_refused(program)?;
    let messages: Vec<&[u8]> =
        requests.iter().filter(|request| request.target.contains("messages")).map(|request| &*request.body).collect();
    ensure!(messages == [b"late".as_slice(), b"late", b"unanswered"], "{messages:?}");
    let statuses: Vec<u16> = requests.iter().map(|request| request.status).filter(|status| *status >= 400).collect();
    ensure!(statuses == [401, 400, 503], "refusals of the statuses {statuses:?}");
    Ok(())
}

fn compare(arrived: &[&[u8]], sent: &[&[u8]]) -> Result<()> {
    let text =
        |bodies: &[&[u8]]| -> Vec<String> { bodies.iter().map(|body| body.escape_ascii().to_string()).collect() };
    ensure!(arrived == sent, "{:#?}\narrived instead of\n{:#?}", text(arrived), text(sent));
    Ok(())
}
