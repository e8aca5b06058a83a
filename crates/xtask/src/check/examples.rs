//! The programs of examples/, built as their users build them, from copies outside the repository. The own transports
//! are tested by `transports`, the monitor by the demonstration.

use super::installed::{self, cmake};
use super::stand::{GATEWAY, SECRET, Stand, report_path};
use super::suite::valgrind;
use crate::process;
use crate::project::Project;
use anyhow::{Context, Result, ensure};
use iotda_platform::{Device, Platform, Registry, RequestRecord};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

const BATCH: &str = "gateway/sub-devices/properties/report";

pub(super) fn check(project: &Project) -> Result<()> {
    gateway(project)?;
    firmware(project)
}

fn gateway(project: &Project) -> Result<()> {
    let dir = copy(project, "examples/c", "check/examples/c")?;
    let build = dir.join("build");
    let options = ["-DCMAKE_BUILD_TYPE=Debug", "-DCMAKE_C_FLAGS=-Wall -Wextra -Wpedantic -Werror"];
    cmake(&dir, &build, &installed::prefix(project), &options)?;

    // A gateway with two children: the third that it reports for is not its own.
    let mut registry = Registry::new();
    registry.add_device(Device::new(GATEWAY).with_secret(SECRET))?;
    for child in ["first", "second"] {
        registry.add_device(Device::new(child).with_gateway(GATEWAY))?;
    }
    let platform = Platform::builder().registry(registry).start()?;
    let ca_file = dir.join("ca.pem");
    fs::write(&ca_file, platform.ca_pem())?;
    let readings = dir.join("readings");
    let mut text = String::new();
    for number in 0..60 {
        text.push_str(&format!("first s Number={number} Text=a\"b Up=true\nsecond s List=[1,2.50]\n"));
    }
    fs::write(&readings, text + "\nstranger s X=1\nfirst s Last=1\nnot_a_reading\n")?;

    let program = build.join("gateway");
    let mut checked = valgrind(project);
    checked.arg(&program);
    for mut command in [Command::new(&program), checked] {
        platform.clear_records();
        command.args([platform.url(), GATEWAY, SECRET]).arg(&ca_file).stdin(fs::File::open(&readings)?);
        let output = command.stdout(Stdio::piped()).stderr(Stdio::piped()).output()?;
        let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        ensure!(
            stdout.contains("delivered 121 readings, lost 2") && output.status.code() == Some(1),
            "{stdout}{stderr}"
        );
        ensure!(stderr.contains("stranger: ") && stderr.contains("not_a_reading"), "{stderr}");
        let mut properties = Vec::new();
        for request in platform.requests().iter().filter(|request| request.status == 200) {
            properties.extend(reported(request)?);
        }
        let expected = r#"{"Number":59,"Text":"a\"b","Up":true}"#;
        ensure!(properties.iter().any(|(child, json)| child == "first" && json == expected), "{properties:?}");
        ensure!(properties.len() == 121 && properties.last().is_some_and(|(_, json)| json == r#"{"Last":1}"#));
    }
    println!("   examples/c/gateway.c");
    Ok(())
}

/// The children of an accepted batch, with the properties of their first service.
fn reported(request: &RequestRecord) -> Result<Vec<(String, String)>> {
    if request.target != report_path(GATEWAY, BATCH) {
        return Ok(Vec::new());
    }
    let body: Value = serde_json::from_slice(&request.body)?;
    let devices = body["devices"].as_array().context("a batch without devices")?;
    Ok(devices
        .iter()
        .map(|device| {
            let id = device["device_id"].as_str().unwrap_or_default().to_owned();
            (id, device["services"][0]["properties"].to_string())
        })
        .collect())
}

fn firmware(project: &Project) -> Result<()> {
    let dir = copy(project, "examples/make", "check/examples/make")?;
    let pkg_config_path = installed::prefix(project).join("lib/pkgconfig");
    let mut make = Command::new("make");
    make.arg("-C").arg(&dir).arg("CFLAGS=-O2 -Wall -Wextra -Wpedantic -Werror");
    process::output(make.arg(format!("PKG_CONFIG_PATH={}", pkg_config_path.display())))?;

    let (program, token) = (dir.join("firmware"), dir.join("token"));
    let run = |stand: &Stand| -> Result<Vec<RequestRecord>> {
        let mut command = Command::new(&program);
        command.args([stand.platform.url(), GATEWAY, SECRET]).arg(&token).args(["0", "3"]).arg(&stand.ca_file);
        stand.run(&mut command)
    };
    let stand = Stand::start(&dir)?;
    let targets = |requests: &[RequestRecord]| -> Vec<bool> {
        requests.iter().map(|request| request.target.ends_with("/sys/properties/report")).collect()
    };
    ensure!(targets(&run(&stand)?) == [false, true, true, true], "not an authentication and three reports");
    ensure!(targets(&run(&stand)?) == [true, true, true], "the token was not kept over the restart");
    fs::write(&token, "spoilt")?;
    ensure!(targets(&run(&stand)?) == [false, true, true, true], "a spoilt token file was not got over");
    println!("   examples/make");
    Ok(())
}

/// A copy of the files of a directory, without those below it.
fn copy(project: &Project, from: &str, to: &str) -> Result<std::path::PathBuf> {
    let dir = project.empty_dir(to)?;
    let from: &Path = &project.path(from);
    for entry in fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))? {
        let entry = entry?;
        if entry.path().is_file() {
            fs::copy(entry.path(), dir.join(entry.file_name()))?;
        }
    }
    Ok(dir)
}
