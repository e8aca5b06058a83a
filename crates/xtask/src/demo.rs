//! `cargo xtask demo`: the main job from end to end. It installs the package, builds examples/c/host_monitor.c with it,
//! runs that against the stand-in platform, and shows what the platform received.

use crate::project::Project;
use crate::{package, tools};
use anyhow::{Context, Result, bail, ensure};
use devkit::{checkout, process};
use serde_json::Value;
use std::fs;
use std::io::{self, BufRead, BufReader, IsTerminal};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

const GATEWAY: &str = "demo_gateway";
const SECRET: &str = "demo-secret";

/// Between two reports of this machine while the demo stays.
const PAUSE: Duration = Duration::from_secs(2);

/// `stays`: go on reporting until there is a line of input, or its end; so it does where a terminal is attached.
pub(crate) fn run(project: &Project, stays: bool) -> Result<()> {
    tools::ensure(tools::FOR_PACKAGE)?;
    let dir = project.empty_dir("demo")?;

    println!("Building and installing the package ...");
    let prefix = dir.join("prefix");
    package::install(project, &prefix, &[])?;

    println!("Building examples/c with find_package(iotda) ...");
    let build = dir.join("build");
    let mut configure = Command::new("cmake");
    configure.arg("-S").arg(project.path("examples/c")).arg("-B").arg(&build);
    configure.args(["-G", checkout::generator(), "-DCMAKE_BUILD_TYPE=Release"]);
    process::output(configure.arg(format!("-DCMAKE_PREFIX_PATH={}", prefix.display())))?;
    process::output(Command::new("cmake").arg("--build").arg(&build))?;

    println!("Building the stand-in platform ...");
    process::run(checkout::cargo("build").args(["--locked", "--quiet", "--package", "iotda-platform"]))?;
    let record = dir.join("record.jsonl");
    let platform = Platform::start(project, &dir.join("ca.pem"), &record)?;
    println!("Running host_monitor, which reports to {} ...", platform.endpoint);
    let monitor = || {
        let mut monitor = Command::new(build.join("host_monitor"));
        // Ctrl-C ends this program; what it has started ends after it, and is no failure of it.
        monitor.process_group(0);
        monitor.env("IOTDA_ENDPOINT", &platform.endpoint).env("IOTDA_CA_FILE", dir.join("ca.pem"));
        process::output(monitor.env("IOTDA_DEVICE_ID", GATEWAY).env("IOTDA_DEVICE_SECRET", SECRET))
    };
    print!("  {}", monitor()?);
    let received = fs::read_to_string(&record).with_context(|| format!("cannot read {}", record.display()))?;
    show(&received)?;
    println!("The platform's page: {}", platform.page);
    if stays || io::stdin().is_terminal() && io::stdout().is_terminal() {
        println!("This machine reports every {} s; press Enter to end.", PAUSE.as_secs());
        stay(monitor)?;
    } else {
        println!("It ends with this command; with --stay it goes on, and this machine's metrics move there.");
    }
    platform.stop()
}

fn stay(mut report: impl FnMut() -> Result<String>) -> Result<()> {
    let (ended, end) = channel::<()>();
    thread::spawn(move || {
        let _ = io::stdin().read_line(&mut String::new());
        drop(ended);
    });
    while end.recv_timeout(PAUSE) == Err(RecvTimeoutError::Timeout) {
        report()?;
    }
    Ok(())
}

/// The platform's process. It ends with its standard input, so also when this program is killed.
struct Platform {
    child: Child,
    endpoint: String,
    /// The address of its web page.
    page: String,
}

impl Platform {
    fn start(project: &Project, ca: &Path, record: &Path) -> Result<Self> {
        let mut command = Command::new(project.target().join("debug/iotda-platform"));
        command.args(["--exit-with-stdin", "--gateway", &format!("{GATEWAY}={SECRET}"), "--ca-out"]).arg(ca);
        command.arg("--record").arg(record).stdin(Stdio::piped()).stdout(Stdio::piped()).process_group(0);
        let mut child = command.spawn().with_context(|| format!("cannot start {}", process::line(&command)))?;
        let stdout = child.stdout.take().context("the output is not piped")?;
        let (mut endpoint, mut page) = (String::new(), String::new());
        for line in BufReader::new(stdout).lines() {
            let line = line?;
            if let Some(value) = line.strip_prefix("IOTDA_ENDPOINT=") {
                endpoint = value.trim_matches('\'').to_owned();
            }
            if let Some(value) = line.strip_prefix("IOTDA_INSPECT=") {
                page = value.trim_matches('\'').to_owned();
            }
            if line == "ready" {
                return Ok(Self { child, endpoint, page });
            }
        }
        bail!("the stand-in platform ended before it was ready: {}", process::line(&command))
    }

    fn stop(mut self) -> Result<()> {
        drop(self.child.stdin.take());
        let status = self.child.wait()?;
        ensure!(status.success(), "the stand-in platform failed ({status})");
        Ok(())
    }
}

/// Shows the reports, a line of JSON each. That all of this machine's arrive is tested in crates/libiotda/tests.
fn show(record: &str) -> Result<()> {
    println!("\nThe platform received:");
    let mut kinds = [("message", 0), ("properties", 0), ("batch", 0)];
    for line in record.lines() {
        let report: Value = serde_json::from_str(line).context("a report is not JSON")?;
        let (kind, device) = (report["kind"].as_str().unwrap_or_default(), report["device_id"].as_str());
        kinds.iter_mut().filter(|(name, _)| *name == kind).for_each(|(_, count)| *count += 1);
        let shown = if kind == "batch" { "child" } else { kind };
        let services = report["services"].as_array().into_iter().flatten().map(|service| &service["properties"]);
        let values: Vec<&Value> = if kind == "message" { vec![&report["body"]] } else { services.collect() };
        for value in values {
            let value = value.as_str().map_or_else(|| value.to_string(), String::from);
            println!("  {shown:<11} {:<28} {value}", device.unwrap_or_default());
        }
    }
    ensure!(kinds.iter().all(|(_, count)| *count > 0), "not everything arrived: {kinds:?}");
    println!("\nEverything arrived: the message, the properties and {} child devices.", kinds[2].1);
    Ok(())
}
