//! The main job from end to end: package, example, platform, reports. It fails if anything that this
//! machine has to report did not arrive.

use crate::package::{self, Request};
use crate::platform::PlatformCommand;
use crate::process;
use crate::project::Project;
use crate::provision::{self, FOR_PACKAGE};
use anyhow::{Result, bail, ensure};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const GATEWAY: &str = "demo_gateway";
const SECRET: &str = "demo-secret";

pub(crate) fn run(project: &Project) -> Result<()> {
    provision::ensure(project, FOR_PACKAGE)?;
    let dir = project.empty_dir("demo")?;

    println!("Building and installing the package ...");
    let prefix = dir.join("prefix");
    package::install(project, &Request { prefix: prefix.clone(), options: Vec::new() })?;

    println!("Building examples/c with find_package(iotda) ...");
    let host_monitor = build_example(project, &prefix, &dir.join("build"))?;

    println!("Starting the stand-in platform and running host_monitor ...");
    let (reports, counters) = observe(project, &dir, &mut Command::new(host_monitor))?;
    show(&reports, &counters);
    verify(&reports, &counters)?;
    verify_memory(&reports)?;
    println!("\nEverything arrived: the message, the properties and every child device.");
    Ok(())
}

/// Runs host_monitor against a platform that leaves its certificate in `dir`, and returns the platform's reports
/// and counters.
pub(crate) fn observe(project: &Project, dir: &Path, monitor: &mut Command) -> Result<(Value, Value)> {
    let platform = PlatformCommand::start(project, dir, GATEWAY, SECRET)?;
    println!("  the platform listens on {}", platform.setting("IOTDA_ENDPOINT")?);
    monitor.env("IOTDA_DEVICE_ID", GATEWAY).env("IOTDA_DEVICE_SECRET", SECRET);
    for name in ["IOTDA_ENDPOINT", "IOTDA_CA_FILE"] {
        monitor.env(name, platform.setting(name)?);
    }
    print!("  {}", process::output_in_time(monitor)?);
    let reports = platform.inspect("/reports")?;
    let counters = platform.inspect("/counters")?;
    platform.stop()?;
    Ok((reports, counters))
}

/// Builds examples/c against an installed package, as its users do. Returns the program.
fn build_example(project: &Project, prefix: &Path, build: &Path) -> Result<PathBuf> {
    let mut configure = Command::new("cmake");
    configure.arg("-S").arg(project.path("examples/c")).arg("-B").arg(build);
    configure.args(["-G", provision::generator(), "-DCMAKE_BUILD_TYPE=Release"]);
    configure.arg("-DCMAKE_C_FLAGS=-Wall -Wextra -Wpedantic -Werror");
    configure.arg(format!("-DCMAKE_PREFIX_PATH={}", prefix.display()));
    process::output(&mut configure)?;
    process::output(Command::new("cmake").arg("--build").arg(build))?;
    Ok(build.join("host_monitor"))
}

fn show(reports: &Value, counters: &Value) {
    println!("\nThe platform received, over {} TLS 1.2 connection(s):", counters["handshakes_full"]);
    for report in reports.as_array().into_iter().flatten() {
        let device = report["device_id"].as_str().unwrap_or_default();
        match report["kind"].as_str().unwrap_or_default() {
            "message" => println!("  message     {device:<28} {}", report["body"].as_str().unwrap_or_default()),
            kind => {
                let kind = if kind == "batch" { "child" } else { kind };
                for service in report["services"].as_array().into_iter().flatten() {
                    println!("  {kind:<11} {device:<28} {}", service["properties"]);
                }
            }
        }
    }
}

/// Compares what arrived with what this machine has.
pub(crate) fn verify(reports: &Value, counters: &Value) -> Result<()> {
    let of_kind = |kind: &str| -> Vec<&Value> {
        reports.as_array().into_iter().flatten().filter(|report| report["kind"] == kind).collect()
    };
    let [message] = of_kind("message")[..] else { bail!("not one message arrived: {reports}") };
    let body: Value = serde_json::from_str(message["body"].as_str().unwrap_or_default())?;
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    ensure!(body["Kernel"] == kernel.trim(), "the message does not name this machine's kernel: {body}");

    let [properties] = of_kind("properties")[..] else { bail!("not one property report arrived: {reports}") };
    ensure!(properties["device_id"] == GATEWAY, "the properties are not the gateway's: {properties}");
    let host = &properties["services"][0]["properties"];
    for name in ["Load", "MemoryTotal", "MemoryFree", "Uptime"] {
        ensure!(host[name].is_number(), "the gateway's properties lack {name}: {host}");
    }

    let arrived: BTreeSet<String> =
        of_kind("batch").iter().filter_map(|report| report["device_id"].as_str()).map(String::from).collect();
    let expected = children()?;
    let (lacking, unknown): (Vec<_>, Vec<_>) =
        (expected.difference(&arrived).collect(), arrived.difference(&expected).collect());
    ensure!(lacking.is_empty(), "these child devices did not arrive: {lacking:?}");
    ensure!(unknown.is_empty(), "these child devices arrived and are not of this machine: {unknown:?}");

    // The stand-in platform speaks TLS 1.2 alone.
    ensure!(counters["handshakes_full"] == 1, "not one TLS handshake: {counters}");
    ensure!(counters["authentications"] == 1, "not one authentication: {counters}");
    Ok(())
}

/// Compares what the gateway reported of its memory.
pub(crate) fn verify_memory(reports: &Value) -> Result<()> {
    let all = reports.as_array().into_iter().flatten();
    let properties =
        all.filter(|report| report["kind"] == "properties").map(|report| &report["services"][0]["properties"]);
    for host in properties {
        let (total, free) = (host["MemoryTotal"].as_u64(), host["MemoryFree"].as_u64());
        ensure!(total > free, "this is not a machine's memory: {host}");
    }
    Ok(())
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
