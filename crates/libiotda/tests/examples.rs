//! The programs of examples/: built from copies by their own CMakeLists.txt or Makefile with the installed package, or by
//! cargo with the packaged crates, and run against a platform. What arrives is compared.

#![forbid(unsafe_code)]

mod outage;
mod published;

use anyhow::{Context, Result, bail, ensure};
use iotda_platform::{Device, Fault, Platform, Route, Stall};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use testkit::process::Background;
use testkit::program::{Run, is_linked};
use testkit::{GATEWAY, Package, SECOND, SECRET, Stand, Tool, copy_files, of_call, path, process, scratch};

/// A gateway's input: two rounds. "second" is a device of the stand-in platform that is not this gateway's.
struct Input {
    good: &'static str,
    /// With readings that no platform takes, and one of a device that is not this gateway's.
    bad: &'static str,
    /// A line of the outage.
    line: outage::Line,
}

const C_INPUT: Input = Input {
    good: "meter_1 power Voltage=230.40 Phases=[1,2,3]\ndoor_7 lock State=open\n\nmeter_1 power Voltage=12345678901234567890123\n",
    bad: "meter_1 power Voltage=230.40\n\nsecond power Voltage=1\ndoor_7 lock State=open\nnot/an/id lock State=open\nmeter_2\n",
    line: |child, number| format!("{} power Reading={number}", outage::child_id(child)),
};

const CPP_INPUT: Input = Input {
    good: "meter_1 power {\"Voltage\":230.40,\"Phases\":[1,2,3]}\ndoor_7 lock {\"State\":\"open\"}\n\n\
           meter_1 power {\"Voltage\":12345678901234567890123}\n",
    bad: "meter_1 power {\"Voltage\":230.40}\n\nsecond power {\"Voltage\":1}\ndoor_7 lock {\"State\":\"open\"}\n\
          not/an/id lock {\"State\":\"open\"}\nmeter_2 power {\"Voltage\":\n",
    line: |child, number| format!("{} power {{\"Reading\":{number}}}", outage::child_id(child)),
};

mod gateway_c {
    use super::*;

    #[test]
    fn delivers_all() -> Result<()> {
        all_is_delivered(&cmake_example("c", "gateway")?, C_INPUT.good)
    }

    #[test]
    fn reports_what_is_lost() -> Result<()> {
        what_is_lost_is_reported(&cmake_example("c", "gateway")?, C_INPUT.bad, "IOTDA_E_INVALID_ARGUMENT")
    }

    #[test]
    fn survives_kills_in_an_outage() -> Result<()> {
        let program = cmake_example("c", "gateway")?;
        outage::nothing_acknowledged_is_lost(&|| at_work(&program), C_INPUT.line)
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
    fn reports_what_is_lost() -> Result<()> {
        what_is_lost_is_reported(&cmake_example("cpp", "gateway")?, CPP_INPUT.bad, "IOTDA_E_INVALID_ARGUMENT")
    }

    #[test]
    fn survives_kills_in_an_outage() -> Result<()> {
        let program = cmake_example("cpp", "gateway")?;
        outage::nothing_acknowledged_is_lost(&|| at_work(&program), CPP_INPUT.line)
    }

    #[test]
    fn simulates_under_valgrind() -> Result<()> {
        simulated(&cmake_example("cpp", "gateway")?)
    }
}

/// Built from the crates as they are published.
mod gateway_rust {
    use super::*;

    #[test]
    fn delivers_all() -> Result<()> {
        all_is_delivered(&published::gateway(&scratch()?)?, CPP_INPUT.good)
    }

    #[test]
    fn reports_what_is_lost() -> Result<()> {
        what_is_lost_is_reported(&published::gateway(&scratch()?)?, CPP_INPUT.bad, "InvalidArgument")
    }

    #[test]
    fn survives_kills_in_an_outage() -> Result<()> {
        let program = published::gateway(&scratch()?)?;
        outage::nothing_acknowledged_is_lost(&|| at_work(&program), CPP_INPUT.line)
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

/// A gateway with an outbox of the test's own.
fn at_work(program: &Path) -> Result<Command> {
    let mut command = Command::new(program);
    command.arg(scratch()?.join("outbox"));
    Ok(command)
}

/// The same, which reads from a file.
fn with_input(program: &Path, input: &str) -> Result<Command> {
    let file = scratch()?.join("input");
    fs::write(&file, input)?;
    let mut command = Command::new("sh");
    command.args(["-c", "exec \"$0\" \"$2\" < \"$1\""]).args([program, &file, &scratch()?.join("outbox")]);
    Ok(command)
}

/// What has arrived of each device: the properties of its services, in order.
fn arrived(platform: &Platform) -> BTreeMap<String, Vec<String>> {
    let mut arrived: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for report in platform.reports() {
        let of_device = arrived.entry(report.device_id).or_default();
        of_device.extend(report.services.into_iter().map(|service| service.properties));
    }
    arrived
}

fn all_is_delivered(program: &Path, input: &str) -> Result<()> {
    let stand = Stand::start()?;
    let mut command = with_input(program, input)?;
    stand.configure(&mut command);
    let said = process::output_in_time(&mut command)?;
    let answers = "2 readings are safe\n3 readings are safe\ndelivered 3 readings, lost 0, 0 wait\n";
    ensure!(said == answers, "it says: {said}");
    let power = ["{\"Voltage\":230.40,\"Phases\":[1,2,3]}", "{\"Voltage\":12345678901234567890123}"];
    let expected = [("door_7", vec!["{\"State\":\"open\"}"]), ("meter_1", power.to_vec())];
    let arrived = arrived(&stand.platform);
    let found: Vec<_> =
        arrived.iter().map(|(id, all)| (id.as_str(), all.iter().map(String::as_str).collect())).collect();
    ensure!(found == expected, "{arrived:?}");
    let requests = stand.platform.requests();
    for batch in of_call(&requests, GATEWAY, "gateway/sub-devices/properties/report") {
        let text = String::from_utf8(batch.body.clone())?;
        ensure!(text.contains("\"event_time\":\"20"), "no time of the put: {text}");
    }
    Ok(())
}

/// A reading that is none, or that no platform takes, is lost; that of a device which is not the gateway's waits until it is.
fn what_is_lost_is_reported(program: &Path, input: &str, invalid: &str) -> Result<()> {
    let stand = Stand::start()?;
    let mut command = with_input(program, input)?;
    stand.configure(&mut command);
    let Err(error) = process::output_in_time(&mut command) else { bail!("it says that nothing was lost") };
    let said = error.to_string();
    let no_id = format!("not/an/id is lost: {invalid}");
    for part in [no_id.as_str(), "meter_2", "delivered 2 readings, lost 2, 1 wait"] {
        ensure!(said.contains(part), "{part} is not in what it says: {said}");
    }
    let mut arrived: Vec<String> = stand.platform.reports().into_iter().map(|report| report.device_id).collect();
    arrived.sort();
    ensure!(arrived == ["door_7", "meter_1"], "{arrived:?}");

    let mut registry = stand.platform.registry();
    registry.remove_device(SECOND)?;
    registry.add_device(Device::new(SECOND).with_gateway(GATEWAY))?;
    drop(registry);
    let mut command = with_input(program, "")?;
    stand.configure(&mut command);
    let said = process::output_in_time(&mut command)?;
    ensure!(said == "0 readings are safe\ndelivered 1 readings, lost 0, 0 wait\n", "it says: {said}");
    Ok(())
}

fn simulated(program: &Path) -> Result<()> {
    if Run::UnderValgrind.is_missing() {
        return Ok(());
    }
    let stand = Stand::start()?;
    stand.run(Run::UnderValgrind.command(program)?.arg(scratch()?.join("outbox")).args(["--simulate", "60", "2"]))?;
    let arrived = arrived(&stand.platform);
    let each = |round: usize, properties: &String| properties.contains(&format!("\"Round\":{round}"));
    let good = arrived.values().filter(|all| all.len() == 2 && each(0, &all[0]) && each(1, &all[1])).count();
    ensure!(good == 60 && arrived.len() == 60, "{arrived:?}");
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
    let program = dir.join("root/bin/firmware");
    wakes_and_sleeps(&program)?;
    survives_kills_in_an_outage(&program)
}

/// One authentication for two wakes; one more when the saved token is spoilt.
fn wakes_and_sleeps(program: &Path) -> Result<()> {
    let stand = Stand::start()?;
    let state = scratch()?.join("state");
    fs::create_dir(&state)?;
    let token = state.join("token");
    for (saved, authentications) in [(None, 1), (None, 1), (Some("spoilt"), 2)] {
        if let Some(saved) = saved {
            fs::write(&token, saved)?;
        }
        let mut command = Command::new(program);
        command.arg(&state);
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
    // A disk that takes nothing: it reports all the same.
    fs::remove_dir_all(state.join("outbox"))?;
    fs::write(state.join("outbox"), "in the way")?;
    stand.platform.clear_records();
    let mut command = Command::new(program);
    stand.configure(command.arg(&state));
    process::output_in_time(&mut command)?;
    ensure!(stand.platform.reports().len() == 1, "without an outbox it does not report");
    Ok(())
}

/// Killed while it sends, wake after wake: what it says is kept is at the platform after the wake that follows the outage.
fn survives_kills_in_an_outage(program: &Path) -> Result<()> {
    let stand = Stand::start()?;
    let state = scratch()?.join("state of the outage");
    fs::create_dir(&state)?;
    let mut kept = Vec::new();
    stand.platform.inject(Fault::request_unread(Stall::ForEver).on(Route::Properties))?;
    for wake in 0..4 {
        let before = stand.platform.counters().request_faults;
        let mut command = Command::new(program);
        stand.configure(command.arg(&state).stdout(Stdio::piped()).stderr(Stdio::null()));
        let mut firmware = Background::start(&mut command)?;
        let mut said = BufReader::new(firmware.child.stdout.take().context("the output is not piped")?).lines();
        let line = said.next().with_context(|| format!("wake {wake} says nothing"))??;
        kept.push(line.strip_prefix("kept ").with_context(|| line.clone())?.to_owned());
        while stand.platform.counters().request_faults == before {
            ensure!(firmware.child.try_wait()?.is_none(), "wake {wake} ended by itself");
            thread::yield_now();
        }
        firmware.child.kill()?;
        firmware.child.wait()?;
    }
    ensure!(arrived(&stand.platform).is_empty(), "there was no outage");
    stand.platform.clear_faults();
    let mut command = Command::new(program);
    stand.configure(command.arg(&state));
    let said = process::output_in_time(&mut command)?;
    ensure!(said.ends_with("delivered 5, 0 wait\n"), "the last wake says: {said}");
    let mut arrived = arrived(&stand.platform).remove(GATEWAY).unwrap_or_default();
    arrived.pop(); // of the last wake
    ensure!(arrived == kept, "{kept:?} was kept, {arrived:?} arrived");
    Ok(())
}
