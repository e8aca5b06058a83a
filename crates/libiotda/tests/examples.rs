//! The programs of examples/: built from copies by their own CMakeLists.txt or Makefile with the installed package, and
//! run against a platform. What arrives is compared.

#![forbid(unsafe_code)]

use anyhow::{Result, bail, ensure};
use iotda_platform::{Fault, InjectedAnswer, RetryAfter, Route};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use testkit::program::{Run, is_linked};
use testkit::{GATEWAY, Package, SECRET, Stand, Tool, children, copy_files, of_call, path, process, scratch};

/// A gateway's input: two rounds. "second" is a device of the stand-in platform that is not this gateway's.
struct Input {
    good: &'static str,
    /// With a reading that no platform takes, and one that is none.
    bad: &'static str,
}

const C_INPUT: Input = Input {
    good: "meter_1 power Voltage=230.40 Phases=[1,2,3]\ndoor_7 lock State=open\n\nmeter_1 power Voltage=12345678901234567890123\n",
    bad: "meter_1 power Voltage=230.40\n\nsecond power Voltage=1\ndoor_7 lock State=open\nnot/an/id lock State=open\nmeter_2\n",
};

const CPP_INPUT: Input = Input {
    good: "meter_1 power {\"Voltage\":230.40,\"Phases\":[1,2,3]}\ndoor_7 lock {\"State\":\"open\"}\n\n\
           meter_1 power {\"Voltage\":12345678901234567890123}\n",
    bad: "meter_1 power {\"Voltage\":230.40}\n\nsecond power {\"Voltage\":1}\ndoor_7 lock {\"State\":\"open\"}\n\
          not/an/id lock {\"State\":\"open\"}\nmeter_2 power {\"Voltage\":\n",
};

mod gateway_c {
    use super::*;

    #[test]
    fn delivers_all() -> Result<()> {
        all_is_delivered(&cmake_example("c", "gateway")?, C_INPUT.good)
    }

    #[test]
    fn reports_what_fails() -> Result<()> {
        what_fails_is_reported(&cmake_example("c", "gateway")?, C_INPUT.bad)
    }

    #[test]
    fn simulates_under_valgrind() -> Result<()> {
        simulated(&cmake_example("c", "gateway")?)
    }
}

mod gateway_cpp {
    use super::*;

    #[test]
    fn delivers_all() -> Result<()> {
        all_is_delivered(&cmake_example("cpp", "gateway")?, CPP_INPUT.good)
    }

    #[test]
    fn reports_what_fails() -> Result<()> {
        what_fails_is_reported(&cmake_example("cpp", "gateway")?, CPP_INPUT.bad)
    }

    #[test]
    fn simulates_under_valgrind() -> Result<()> {
        simulated(&cmake_example("cpp", "gateway")?)
    }
}

/// Builds a program of a copy of examples/c or examples/cpp by its own CMakeLists.txt.
fn cmake_example(language: &str, program: &str) -> Result<PathBuf> {
    let source = scratch()?.join(language);
    copy_files(&format!("examples/{language}"), &source)?;
    let build = source.join("build");
    let options = [
        "-DCMAKE_BUILD_TYPE=Release",
        "-DCMAKE_C_FLAGS=-Wall -Wextra -Wpedantic -Werror",
        "-DCMAKE_CXX_FLAGS=-Wall -Wextra -Wpedantic -Wconversion -Werror",
    ];
    Package::shipped()?.cmake(&source, &build, &options)?;
    Ok(build.join(program))
}

/// A program that reads from a file.
fn with_input(program: &Path, input: &str) -> Result<Command> {
    let file = scratch()?.join("input");
    fs::write(&file, input)?;
    let mut command = Command::new("sh");
    command.args(["-c", "exec \"$0\" < \"$1\""]).arg(program).arg(file);
    Ok(command)
}

fn all_is_delivered(program: &Path, input: &str) -> Result<()> {
    let stand = Stand::start()?;
    let requests = stand.run(&mut with_input(program, input)?)?;
    let batches = of_call(&requests, GATEWAY, "gateway/sub-devices/properties/report");
    let [first, second] = batches[..] else { bail!("{} batches for two rounds", batches.len()) };
    ensure!(children(first)? == ["meter_1", "door_7"], "{:?}", children(first)?);
    let text = String::from_utf8(first.body.clone())?;
    for part in ["{\"Voltage\":230.40,\"Phases\":[1,2,3]}", "{\"State\":\"open\"}", "\"event_time\":\"20"] {
        ensure!(text.contains(part), "{part} is not in {text}");
    }
    let text = String::from_utf8(second.body.clone())?;
    ensure!(text.contains("{\"Voltage\":12345678901234567890123}"), "another number than was read: {text}");
    Ok(())
}

/// The first round meets a platform that asks for a long pause: its reading goes with the second.
fn what_fails_is_reported(program: &Path, input: &str) -> Result<()> {
    let stand = Stand::start()?;
    let overloaded = InjectedAnswer::status(503).retry_after(RetryAfter::Seconds(60));
    stand.platform.inject(Fault::answer(overloaded).on(Route::Batch).times(1))?;
    let mut command = with_input(program, input)?;
    stand.configure(&mut command);
    let Err(error) = process::output_in_time(&mut command) else { bail!("it says that nothing was lost") };
    let said = error.to_string();
    for part in ["IOTDA_E_SERVER", "second is lost: IOTDA_E_UNKNOWN_CHILD", "delivered 2 readings, lost 3"] {
        ensure!(said.contains(part), "{part} is not in what it says: {said}");
    }
    let mut arrived: Vec<String> = stand.platform.reports().into_iter().map(|report| report.device_id).collect();
    arrived.sort();
    ensure!(arrived == ["door_7", "meter_1"], "{arrived:?}");
    Ok(())
}

fn simulated(program: &Path) -> Result<()> {
    if Run::UnderValgrind.is_missing() {
        return Ok(());
    }
    let stand = Stand::start()?;
    let requests = stand.run(Run::UnderValgrind.command(program)?.args(["--simulate", "60", "2"]))?;
    let batches = stand.platform.counters().batches;
    ensure!(batches == 4 && requests.len() == 5, "{batches} batches in {} requests", requests.len());
    Ok(())
}

mod transport {
    use super::*;

    #[test]
    fn poll() -> Result<()> {
        reports_over_its_own("poll_transport", "by poll")
    }

    #[test]
    fn openssl() -> Result<()> {
        if testkit::is_missing(Tool::Library("openssl", "libssl-dev")) {
            return Ok(());
        }
        reports_over_its_own("openssl_transport", "by OpenSSL")
    }
}

/// A program of examples/c/transport: sockets of its own, or its own TLS, which must verify as the library does.
fn reports_over_its_own(name: &str, body: &str) -> Result<()> {
    let build = scratch()?.join("build");
    let options = ["-DCMAKE_BUILD_TYPE=Debug", "-DCMAKE_C_FLAGS=-Wall -Wextra -Wpedantic -Werror"];
    Package::shipped()?.cmake(&path("examples/c/transport"), &build, &options)?;
    let program = build.join(name);
    ensure!(program.exists(), "{name} was not built: CMake did not find the development files of OpenSSL");
    let stand = Stand::start()?;
    for run in [Run::Alone, Run::UnderValgrind] {
        if run.is_missing() {
            continue;
        }
        let mut command = run.command(&program)?;
        let requests = stand.run(command.args([stand.platform.url(), GATEWAY, SECRET]).arg(&stand.ca_file))?;
        let messages = requests.iter().filter(|request| request.body == body.as_bytes()).count();
        ensure!(messages == 3, "{messages} messages of {name} instead of 3");
        let connections: BTreeSet<_> = requests.iter().map(|request| request.connection).collect();
        ensure!(connections.len() == 1, "{name} used {} connections instead of one", connections.len());
    }
    let (stand, other) = (Stand::start()?, Stand::start()?);
    let mut command = Run::Alone.command(&program)?;
    let output = command.args([stand.platform.url(), GATEWAY, SECRET]).arg(&other.ca_file).output()?;
    ensure!(!output.status.success(), "it reported to a platform that it has no reason to trust");
    ensure!(stand.platform.requests().is_empty(), "it sent a request before it verified the certificate");
    Ok(())
}

/// Built by make with the compiler and the pkg-config that it is given.
#[test]
fn firmware() -> Result<()> {
    let dir = scratch()?.join("make");
    copy_files("examples/make", &dir)?;
    let pkg_config = Package::shipped()?.file("lib/pkgconfig");
    let of_target = dir.join("target-pkg-config");
    fs::write(&of_target, format!("#!/bin/sh\nPKG_CONFIG_LIBDIR='{}' exec pkg-config \"$@\"\n", pkg_config.display()))?;
    fs::set_permissions(&of_target, fs::Permissions::from_mode(0o755))?;
    let make = |arguments: &[&str]| {
        let mut make = Command::new("make");
        process::output(
            make.current_dir(&dir).args(["CC=cc -Werror", "PKG_CONFIG=./target-pkg-config"]).args(arguments),
        )
    };
    let program = dir.join("firmware");
    for (library, linkage) in [("iotda", "shared"), ("iotda-static", "static")] {
        make(&["clean"])?;
        make(&[&format!("IOTDA={library}")])?;
        is_linked(&program, linkage)?;
    }
    make(&[&format!("DESTDIR={}", dir.display()), "prefix=/root", "install"])?;
    ensure!(dir.join("root/bin/firmware").exists(), "make install did not install");
    make(&["clean"])?;
    ensure!(!program.exists(), "make clean left the program");
    let Err(refusal) = make(&["IOTDA=no-such-package"]) else { bail!("it was built without the library") };
    ensure!(refusal.to_string().contains("no-such-package"), "{refusal}");
    wakes_and_sleeps(&dir, &dir.join("root/bin/firmware"))
}

/// One authentication for two wakes; one more when the saved token is spoilt.
fn wakes_and_sleeps(dir: &Path, program: &Path) -> Result<()> {
    let stand = Stand::start()?;
    let token = dir.join("token");
    for (saved, authentications) in [(None, 1), (None, 1), (Some("spoilt"), 2)] {
        if let Some(saved) = saved {
            fs::write(&token, saved)?;
        }
        let mut command = Command::new(program);
        command.arg(&token);
        if saved.is_some() {
            // The library warns of it, which the program prints.
            stand.platform.clear_records();
            stand.configure(&mut command);
            process::output_in_time(&mut command)?;
        } else {
            stand.run(&mut command)?;
        }
        let counted = stand.platform.counters().authentications;
        ensure!(counted == authentications, "{counted} authentications instead of {authentications}");
        let reports = stand.platform.reports();
        let [report] = &reports[..] else { bail!("{} reports of one wake", reports.len()) };
        let body: Value = serde_json::from_slice(&report.body)?;
        ensure!(body["services"][0]["properties"]["Load"].is_number(), "no measurement: {body}");
        let mode = fs::metadata(&token)?.permissions().mode() & 0o777;
        ensure!(mode == 0o600, "the token's file has the mode {mode:o}");
    }
    Ok(())
}
