//! examples/c/host_monitor.c: all that this machine has to report arrives. `cargo xtask cross` and the test on a bare
//! Debian name the program that they have built in `IOTDA_TEST_HOST_MONITOR`.

#![forbid(unsafe_code)]

use anyhow::{Result, bail, ensure};
use iotda_platform::{Report, ReportKind};
use serde_json::Value;
use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::PathBuf;
use testkit::{GATEWAY, Package, Stand, copy_files, process, program, scratch};

#[test]
fn everything_arrives() -> Result<()> {
    let stand = observed()?;
    let reports = stand.platform.reports();
    let [message] = of_kind(&reports, ReportKind::Message)[..] else { bail!("not one message arrived: {reports:?}") };
    let body: Value = serde_json::from_slice(&message.body)?;
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    ensure!(body["Kernel"] == kernel.trim(), "the message does not name this machine's kernel: {body}");

    let host = properties(&reports)?;
    for name in ["Load", "MemoryTotal", "MemoryFree", "Uptime"] {
        ensure!(host[name].is_number(), "the gateway's properties lack {name}: {host}");
    }

    let arrived: BTreeSet<String> =
        of_kind(&reports, ReportKind::Batch).iter().map(|report| report.device_id.clone()).collect();
    let expected = children()?;
    let (lacking, unknown): (Vec<_>, Vec<_>) =
        (expected.difference(&arrived).collect(), arrived.difference(&expected).collect());
    ensure!(lacking.is_empty(), "these child devices did not arrive: {lacking:?}");
    ensure!(unknown.is_empty(), "these child devices arrived and are not of this machine: {unknown:?}");

    let counters = stand.platform.counters();
    ensure!(counters.handshakes_full == 1, "{} TLS handshakes instead of one", counters.handshakes_full);
    ensure!(counters.authentications == 1, "{} authentications instead of one", counters.authentications);
    Ok(())
}

/// Not for 32-bit programs under QEMU, which says the memory in bytes, of which there can be more than it has bits for;
/// a kernel would take a larger unit.
#[test]
fn memory_is_a_machines() -> Result<()> {
    let host = properties(&observed()?.platform.reports())?;
    let (total, free) = (host["MemoryTotal"].as_u64(), host["MemoryFree"].as_u64());
    ensure!(total > free, "this is not a machine's memory: {host}");
    Ok(())
}

/// Runs the program, built by CMake as its users build it.
fn observed() -> Result<Stand> {
    let program = match env::var_os("IOTDA_TEST_HOST_MONITOR") {
        Some(program) => PathBuf::from(program),
        None => {
            let source = scratch()?.join("source");
            copy_files("examples/c", &source)?;
            let options = ["-DCMAKE_BUILD_TYPE=Release", "-DCMAKE_C_FLAGS=-Wall -Wextra -Wpedantic -Werror"];
            Package::shipped()?.cmake(&source, &source.join("build"), &options)?;
            source.join("build/host_monitor")
        }
    };
    let stand = Stand::start()?;
    let mut command = program::command(&program);
    stand.configure(&mut command);
    process::output_in_time(&mut command)?;
    Ok(stand)
}

fn of_kind(reports: &[Report], kind: ReportKind) -> Vec<&Report> {
    reports.iter().filter(|report| report.kind == kind).collect()
}

/// What the gateway reported of itself.
fn properties(reports: &[Report]) -> Result<Value> {
    let [own] = of_kind(reports, ReportKind::Properties)[..] else { bail!("not one property report: {reports:?}") };
    ensure!(own.device_id == GATEWAY, "the properties are not the gateway's: {own:?}");
    Ok(serde_json::from_str(&own.services[0].properties)?)
}

/// The child devices that this machine has, by another way than the example finds them.
fn children() -> Result<BTreeSet<String>> {
    let mut names = Vec::new();
    let stat = fs::read_to_string("/proc/stat")?;
    let cpus = stat.lines().filter_map(|line| line.split(' ').next());
    names.extend(cpus.filter(|name| name.len() > 3 && name.starts_with("cpu")).map(String::from));
    // Neither disks nor a network need be there.
    for disk in fs::read_dir("/sys/block").into_iter().flatten() {
        let disk = disk?;
        if disk.path().join("device").exists() {
            names.push(format!("disk_{}", disk.file_name().to_string_lossy()));
        }
    }
    let interfaces = fs::read_to_string("/proc/net/dev").unwrap_or_default();
    let interfaces = interfaces.lines().filter_map(|line| line.split_once(':'));
    names.extend(interfaces.map(|(name, _)| format!("if_{}", name.trim())));
    let allowed = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
    Ok(names.iter().map(|name| format!("{GATEWAY}_{name}").chars().map(allowed).collect()).collect())
}
