//! The programs of examples/: built from copies by their own CMakeLists.txt or Makefile with the installed package,
//! and run against a stand-in platform. What arrives is compared. examples/c/host_monitor.c is also the
//! demonstration's; examples/c/transport is in `transports`.

use super::consumers::linked_as;
use super::installed::{self, cmake};
use super::stand::{GATEWAY, Stand, report_path};
use super::suite::{BATCH, children, valgrind};
use crate::process;
use crate::project::Project;
use anyhow::{Context, Result, bail, ensure};
use iotda_platform::{Fault, InjectedAnswer, RetryAfter, Route};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

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

pub(super) fn check(project: &Project) -> Result<()> {
    for (language, input) in [("c", C_INPUT), ("cpp", CPP_INPUT)] {
        let source =
            installed::copy_files(project, &format!("examples/{language}"), &format!("check/examples/{language}"))?;
        let build = source.join("build");
        let options = [
            "-DCMAKE_BUILD_TYPE=Release",
            "-DCMAKE_C_FLAGS=-Wall -Wextra -Wpedantic -Werror",
            "-DCMAKE_CXX_FLAGS=-Wall -Wextra -Wpedantic -Wconversion -Werror",
        ];
        cmake(&source, &build, &installed::prefix(project), &options)?;
        let program = build.join("gateway");
        all_is_delivered(&source, &program, input.good).with_context(|| program.display().to_string())?;
        what_fails_is_told(&source, &program, input.bad).with_context(|| program.display().to_string())?;
        let mut checked = valgrind(project);
        checked.arg(&program);
        simulated(&source, &mut checked).with_context(|| program.display().to_string())?;
        println!("   examples/{language}");
    }
    firmware(project)?;
    println!("   examples/make");
    Ok(())
}

/// A program that reads from a file.
fn with_input(dir: &Path, program: &Path, input: &str) -> Result<Command> {
    let file = dir.join("input");
    fs::write(&file, input)?;
    let mut command = Command::new("sh");
    command.args(["-c", "exec \"$0\" < \"$1\""]).arg(program).arg(file);
    Ok(command)
}

fn all_is_delivered(dir: &Path, program: &Path, input: &str) -> Result<()> {
    let stand = Stand::start(dir)?;
    let requests = stand.run(&mut with_input(dir, program, input)?)?;
    let batches: Vec<_> = requests.iter().filter(|request| request.target == report_path(GATEWAY, BATCH)).collect();
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
fn what_fails_is_told(dir: &Path, program: &Path, input: &str) -> Result<()> {
    let stand = Stand::start(dir)?;
    let overloaded = InjectedAnswer::status(503).retry_after(RetryAfter::Seconds(60));
    stand.platform.inject(Fault::answer(overloaded).on(Route::Batch).times(1))?;
    let mut command = with_input(dir, program, input)?;
    stand.tell(&mut command);
    let Err(told) = process::output_in_time(&mut command) else { bail!("it says that nothing was lost") };
    let told = told.to_string();
    for part in ["IOTDA_E_SERVER", "second is lost: IOTDA_E_UNKNOWN_CHILD", "delivered 2 readings, lost 3"] {
        ensure!(told.contains(part), "{part} is not in what it tells: {told}");
    }
    let mut arrived: Vec<String> = stand.platform.reports().into_iter().map(|report| report.device_id).collect();
    arrived.sort();
    ensure!(arrived == ["door_7", "meter_1"], "{arrived:?}");
    Ok(())
}

fn simulated(dir: &Path, program: &mut Command) -> Result<()> {
    let stand = Stand::start(dir)?;
    let requests = stand.run(program.args(["--simulate", "60", "2"]))?;
    let batches = stand.platform.counters().batches;
    ensure!(batches == 4 && requests.len() == 5, "{batches} batches in {} requests", requests.len());
    Ok(())
}

/// Built by make with the compiler and the pkg-config that it is told to take.
fn firmware(project: &Project) -> Result<()> {
    let dir = installed::copy_files(project, "examples/make", "check/examples/make")?;
    let pkg_config = installed::prefix(project).join("lib/pkgconfig");
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
        linked_as(&program, linkage)?;
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
fn wakes_and_sleeps(dir: &Path, program: &PathBuf) -> Result<()> {
    let stand = Stand::start(dir)?;
    let token = dir.join("token");
    for (saved, authentications) in [(None, 1), (None, 1), (Some("spoilt"), 2)] {
        if let Some(saved) = saved {
            fs::write(&token, saved)?;
        }
        stand.run(Command::new(program).arg(&token))?;
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
