//! The Go bindings (bindings/go) with the installed package: their own tests, linked both ways; programs that use them
//! as a module; the example. Nothing of Go's is left outside of the target directory, and no network is used.

use super::installed;
use crate::cargo;
use crate::platform::PlatformCommand;
use crate::process::{self, Background};
use crate::project::Project;
use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const MODULE: &str = "bindings/go";
const EXAMPLE: &str = "examples/go";

/// A program of a module of its own.
const CONSUMER: &str = r#"package main

import (
	"fmt"

	"github.com/libiotda/libiotda/bindings/go"
)

func main() { fmt.Println(iotda.Version()) }
"#;

/// The module holds what it needs of the repository: its users get that directory alone.
pub(super) fn sources(project: &Project) -> Result<()> {
    for (original, copy) in
        [("include/iotda.h", "iotda.h"), ("LICENSE-MIT", "LICENSE-MIT"), ("LICENSE-APACHE", "LICENSE-APACHE")]
    {
        let copy = format!("{MODULE}/{copy}");
        let read = |path: &str| fs::read(project.path(path)).with_context(|| format!("cannot read {path}"));
        ensure!(read(original)? == read(&copy)?, "run: cp {original} {copy}");
    }
    let mut format = Command::new("gofmt");
    let unformatted = process::output(format.current_dir(project.root()).args(["-l", MODULE, EXAMPLE]))?;
    ensure!(unformatted.is_empty(), "run gofmt -w on these files:\n{unformatted}");
    for dir in [MODULE, EXAMPLE] {
        process::output(Linkage::Shared.go(project, &project.path(dir)).args(["vet", "./..."]))?;
    }
    native_libraries(project)?;
    without_cgo(project)
}

/// What the static library needs of the system is in the module too, where no pkg-config is asked.
fn native_libraries(project: &Project) -> Result<()> {
    let link = fs::read_to_string(project.path(MODULE).join("link_static.go"))?;
    let installed = fs::read_to_string(installed::prefix(project).join("lib/pkgconfig/iotda.pc"))?;
    let listed = |text: &str, before: &str| -> Option<BTreeSet<String>> {
        let line = text.lines().find_map(|line| line.strip_prefix(before))?;
        Some(line.split(' ').map(String::from).collect())
    };
    let mut needed = listed(&installed, "Libs.private: ").context("iotda.pc has no Libs.private")?;
    needed.remove("-lgcc_s"); // the compiler sees to that
    let given = listed(&link, "// #cgo linux LDFLAGS: ").context("link_static.go has no LDFLAGS")?;
    ensure!(given == needed, "link_static.go names {given:?}; the library needs {needed:?}");
    Ok(())
}

/// Without cgo the build ends with a message that says so.
fn without_cgo(project: &Project) -> Result<()> {
    let mut build = Linkage::Shared.go(project, &project.path(MODULE));
    match process::output(build.args(["build", "."]).env("CGO_ENABLED", "0")) {
        Ok(_) => bail!("the module builds without cgo"),
        Err(error) => {
            ensure!(error.to_string().contains("iotda_needs_cgo"), "it does not build for another reason: {error}")
        }
    }
    Ok(())
}

/// The tests as they are, with the shared library and with the static one.
pub(super) fn tests(project: &Project) -> Result<()> {
    for linkage in [Linkage::Shared, Linkage::Static] {
        print!("   {linkage:?}: {}", run_tests(project, linkage, &[], &[])?);
    }
    Ok(())
}

/// The tests while the race detector watches, cgo looks at every pointer, and the garbage collector hardly rests.
pub(super) fn tests_with_checks(project: &Project) -> Result<()> {
    let settings = [("GOEXPERIMENT", "cgocheck2"), ("GOGC", "1")];
    print!("   {}", run_tests(project, Linkage::Shared, &["-race"], &settings)?);
    Ok(())
}

fn run_tests(project: &Project, linkage: Linkage, arguments: &[&str], settings: &[(&str, &str)]) -> Result<String> {
    let platform = cargo::build_program(project, "iotda-platform")?;
    let mut test = linkage.go(project, &project.path(MODULE));
    // -count=1: what passed before is not taken for granted. A test that hangs is ended.
    test.args(["test", "-count=1", "-timeout=300s"]).args(linkage.tags()).args(arguments).arg("./...");
    process::output(test.env("IOTDA_PLATFORM", platform).envs(settings.iter().copied()))
}

/// Programs that have the bindings as a module: from a vendor directory, linked both ways; and the example.
pub(super) fn programs(project: &Project) -> Result<()> {
    let dir = project.empty_dir("check/go")?;
    vendored(project, &dir.join("consumer"))?;
    gateway(project, &dir)
}

fn vendored(project: &Project, dir: &Path) -> Result<()> {
    fs::create_dir_all(dir)?;
    let path = "github.com/libiotda/libiotda/bindings/go";
    let module = project.path(MODULE);
    let requirements = format!(
        "module example.com/consumer\n\ngo 1.24\n\nrequire {path} v0.0.0\n\nreplace {path} => {}\n",
        module.display()
    );
    fs::write(dir.join("go.mod"), requirements)?;
    fs::write(dir.join("main.go"), CONSUMER)?;
    process::output(Linkage::Shared.go(project, dir).args(["mod", "vendor"]))?;
    ensure!(dir.join("vendor").join(path).join("iotda.h").is_file(), "go mod vendor leaves the header behind");
    for linkage in [Linkage::Shared, Linkage::Static] {
        let program = dir.join(format!("{linkage:?}"));
        let mut build = linkage.go(project, dir);
        build.env("GOFLAGS", "-mod=vendor").arg("build").args(linkage.tags()).arg("-o").arg(&program).arg(".");
        process::output(&mut build)?;
        let dynamic = process::output(Command::new("readelf").arg("-d").arg(&program))?;
        let shared = dynamic.contains("[libiotda.so");
        ensure!(shared == (linkage == Linkage::Shared), "{} is linked otherwise:\n{dynamic}", program.display());
        let mut run = Command::new(&program);
        let version = process::output_in_time(run.env("LD_LIBRARY_PATH", installed::prefix(project).join("lib")))?;
        ensure!(version.trim() == crate::project::VERSION, "it says that it is version {version}");
    }
    Ok(())
}

const GATEWAY: &str = "go_gateway";
const SECRET: &str = "a secret of the example";
const CHILDREN: usize = 1000;
const READINGS: usize = 3;
/// How many readings the example puts into a batch.
const MOST: usize = 400;

/// The example reports for a thousand children until it is told to end, and then what it has left.
fn gateway(project: &Project, dir: &Path) -> Result<()> {
    let program = dir.join("gateway");
    let mut build = Linkage::Shared.go(project, &project.path(EXAMPLE));
    process::output(build.args(["build", "-o"]).arg(&program).arg("."))?;
    let platform = PlatformCommand::start(project, dir, GATEWAY, SECRET)?;
    let log = dir.join("gateway.log");
    let mut command = Command::new(&program);
    command.env("IOTDA_DEVICE_ID", GATEWAY).env("IOTDA_DEVICE_SECRET", SECRET);
    command.env("LD_LIBRARY_PATH", installed::prefix(project).join("lib"));
    for name in ["IOTDA_ENDPOINT", "IOTDA_CA_FILE"] {
        command.env(name, platform.setting(name)?);
    }
    let mut service = Background::start(command.stdin(Stdio::piped()).stderr(fs::File::create(&log)?))?;
    let mut input = service.child.stdin.take().context("the input is not piped")?;
    input.write_all(readings().as_bytes())?;
    // All batches that are full were delivered: what is left waits for its time, or for the signal.
    let full = READINGS * CHILDREN / MOST * MOST.div_ceil(50);
    while platform.inspect("/counters")?["batches"].as_u64() < Some(full as u64) {
        ensure!(service.child.try_wait()?.is_none(), "it ended by itself: {}", fs::read_to_string(&log)?);
    }
    process::output(Command::new("kill").args(["-TERM", &service.child.id().to_string()]))?;
    let status = service.child.wait()?;
    drop(input);
    let log = fs::read_to_string(&log)?;
    ensure!(status.success(), "the example failed ({status}):\n{log}");
    let delivered = every_reading_arrived(&platform.inspect("/reports")?, &log)?;
    let batches = platform.inspect("/counters")?["batches"].clone();
    println!("   {delivered} readings of {CHILDREN} children in {batches} requests");
    platform.stop()
}

/// What the children have measured, and a line that is nothing.
fn readings() -> String {
    let mut lines = "no reading\n".to_owned();
    for reading in 0..READINGS {
        for child in 0..CHILDREN {
            let number = reading * CHILDREN + child;
            // Writing to a String cannot fail.
            let _ = writeln!(
                lines,
                r#"{{"device":"meter_{child:04}","service":"power","properties":{{"Reading":{number}}}}}"#
            );
        }
    }
    lines
}

/// Each reading once, in the order of its device. The signal may come before all of them were read: then those that were
/// not are the last ones.
fn every_reading_arrived(reports: &Value, log: &str) -> Result<usize> {
    let mut arrived: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    for report in reports.as_array().context("no list of reports")? {
        let device = report["device_id"].as_str().context("a report of nobody")?;
        for service in report["services"].as_array().into_iter().flatten() {
            ensure!(service["event_time_given"].is_string(), "a reading without its time: {service}");
            let number = service["properties"]["Reading"].as_u64().context("a report without its reading")?;
            arrived.entry(device).or_default().push(number);
        }
    }
    let count: usize = arrived.values().map(Vec::len).sum();
    ensure!(arrived.len() == CHILDREN, "{} of {CHILDREN} children reported:\n{log}", arrived.len());
    for (child, numbers) in (0..).zip(arrived.values()) {
        let expected: Vec<u64> = (0..numbers.len() as u64).map(|reading| reading * CHILDREN as u64 + child).collect();
        ensure!(*numbers == expected, "the child {child} reported {numbers:?}");
    }
    ensure!(log.contains(&format!("delivered={count} lost=0 waiting=0")), "{count} readings arrived:\n{log}");
    ensure!(log.contains("a line is no reading"), "what is no reading is not told:\n{log}");
    Ok(count)
}

/// How a Go program gets the library.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Linkage {
    /// By pkg-config.
    Shared,
    /// By the build tag and the archive's path.
    Static,
}

impl Linkage {
    fn tags(self) -> &'static [&'static str] {
        match self {
            Linkage::Shared => &[],
            Linkage::Static => &["-tags=iotda_static"],
        }
    }

    /// The go command at work in a directory, with the installed package and with everything that it keeps below the
    /// target directory.
    fn go(self, project: &Project, dir: &Path) -> Command {
        let kept = |name: &str| -> PathBuf { project.target().join("go").join(name) };
        let prefix = installed::prefix(project);
        let mut go = Command::new("go");
        go.current_dir(dir);
        for name in ["GOOS", "GOARCH", "GOEXPERIMENT", "GOGC", "GODEBUG", "CGO_CFLAGS", "CGO_LDFLAGS"] {
            go.env_remove(name);
        }
        go.env("GOCACHE", kept("cache")).env("GOMODCACHE", kept("modules")).env("GOPATH", kept("path"));
        // Where the go command counts what it does.
        go.env("XDG_CONFIG_HOME", kept("config"));
        go.env("GOENV", "off").env("GOWORK", "off").env("GOTOOLCHAIN", "local").env("GOPROXY", "off");
        go.env("GOFLAGS", "-mod=readonly").env("CGO_ENABLED", "1");
        match self {
            Linkage::Shared => {
                go.env("PKG_CONFIG_PATH", prefix.join("lib/pkgconfig")).env("LD_LIBRARY_PATH", prefix.join("lib"))
            }
            // Nothing else may lead to the library.
            Linkage::Static => go.env("CGO_LDFLAGS", prefix.join("lib/libiotda.a")).env("PKG_CONFIG", "false"),
        };
        go
    }
}
