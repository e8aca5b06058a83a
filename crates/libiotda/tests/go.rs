//! The Go bindings (bindings/go/iotda) with the installed package: their own tests, linked both ways; programs that use them
//! as a module; the example. Nothing of Go's is left outside of the target directory, and no network is used.

#![forbid(unsafe_code)]

use anyhow::{Context, Result, bail, ensure};
use iotda_platform::Report;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use testkit::process::{self, Background};
use testkit::program::is_linked;
use testkit::{Package, Stand, Tool, VERSION, path, platform_program, read, scratch, target};

const MODULE: &str = "bindings/go/iotda";
const EXAMPLE: &str = "examples/go";

/// Whether Go is missing. If so, says that the running test is skipped.
fn is_missing() -> bool {
    testkit::is_missing(Tool::Program("go", "golang-go"))
}

/// A program of a module of its own.
const CONSUMER: &str = r#"package main

import (
	"fmt"

	"github.com/libiotda/libiotda/bindings/go/iotda"
)

func main() { fmt.Println(iotda.Version()) }
"#;

/// The module holds what it needs of the repository: its users get that directory alone.
#[test]
fn module_has_its_own_copies() -> Result<()> {
    for (original, copy) in
        [("include/iotda.h", "iotda.h"), ("LICENSE-MIT", "LICENSE-MIT"), ("LICENSE-APACHE", "LICENSE-APACHE")]
    {
        let copy = format!("{MODULE}/{copy}");
        ensure!(read(original)? == read(&copy)?, "run: cp {original} {copy}");
    }
    Ok(())
}

#[test]
fn vet() -> Result<()> {
    if is_missing() {
        return Ok(());
    }
    for dir in [MODULE, EXAMPLE] {
        process::output(Linkage::Shared.go(&path(dir))?.args(["vet", "./..."]))?;
    }
    Ok(())
}

/// What the static library needs of the system is in the module too, where no pkg-config is asked.
#[test]
fn native_libraries() -> Result<()> {
    let link = read("bindings/go/iotda/link_static.go")?;
    let installed = fs::read_to_string(Package::shipped()?.file("lib/pkgconfig/iotda.pc"))?;
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

/// Without cgo neither command says more than one line, which says what to do.
#[test]
fn without_cgo() -> Result<()> {
    if is_missing() {
        return Ok(());
    }
    for arguments in [["build", "."], ["vet", "./..."]] {
        let mut go = Linkage::Shared.go(&path(MODULE))?;
        let Err(error) = process::output(go.args(arguments).env("CGO_ENABLED", "0")) else {
            bail!("without cgo, go {} finds nothing wrong", arguments[0]);
        };
        let said = error.to_string();
        let lines: Vec<&str> = said.lines().filter(|line| line.contains(".go:")).collect();
        ensure!(lines.len() == 1 && lines[0].contains("iotda_needs_cgo__set_CGO_ENABLED_to_1"), "it says: {said}");
    }
    Ok(())
}

/// The module's own tests.
mod tests {
    use super::*;

    #[test]
    fn linked_shared() -> Result<()> {
        run(Linkage::Shared, &[], &[])
    }

    #[test]
    fn linked_static() -> Result<()> {
        run(Linkage::Static, &[], &[])
    }

    /// While the race detector watches, cgo looks at every pointer, and the garbage collector hardly rests.
    #[test]
    fn with_all_checks() -> Result<()> {
        run(Linkage::Shared, &["-race"], &[("GOEXPERIMENT", "cgocheck2"), ("GOGC", "1")])
    }

    fn run(linkage: Linkage, arguments: &[&str], settings: &[(&str, &str)]) -> Result<()> {
        if is_missing() {
            return Ok(());
        }
        let mut test = linkage.go(&path(MODULE))?;
        // -count=1: what passed before is not taken for granted. A test that hangs is ended.
        test.args(["test", "-count=1", "-timeout=300s"]).args(linkage.tags()).args(arguments).arg("./...");
        process::output(test.env("IOTDA_PLATFORM", platform_program()?).envs(settings.iter().copied())).map(drop)
    }
}

/// A program that has the module in its vendor directory, linked both ways.
#[test]
fn vendored() -> Result<()> {
    if is_missing() {
        return Ok(());
    }
    let dir = scratch()?;
    let module_path = "github.com/libiotda/libiotda/bindings/go/iotda";
    let module = path(MODULE);
    let requirements = format!(
        "module example.com/consumer\n\ngo 1.24\n\nrequire {module_path} v0.0.0\n\nreplace {module_path} => {}\n",
        module.display()
    );
    fs::write(dir.join("go.mod"), requirements)?;
    fs::write(dir.join("main.go"), CONSUMER)?;
    process::output(Linkage::Shared.go(&dir)?.args(["mod", "vendor"]))?;
    ensure!(dir.join("vendor").join(module_path).join("iotda.h").is_file(), "go mod vendor leaves the header behind");
    for linkage in [Linkage::Shared, Linkage::Static] {
        let program = dir.join(format!("{linkage:?}"));
        let mut build = linkage.go(&dir)?;
        build.env("GOFLAGS", "-mod=vendor").arg("build").args(linkage.tags()).arg("-o").arg(&program).arg(".");
        process::output(&mut build)?;
        is_linked(&program, if linkage == Linkage::Shared { "shared" } else { "static" })?;
        let version = process::output_in_time(&mut Package::shipped()?.command(&program))?;
        ensure!(version.trim() == VERSION, "it says that it is version {version}");
    }
    Ok(())
}

const CHILDREN: usize = 1000;
const READINGS: usize = 3;
/// How many readings the example puts into a batch.
const MOST: usize = 400;

/// The example reports for a thousand children until a signal ends it, and then what it has left.
#[test]
fn gateway() -> Result<()> {
    if is_missing() {
        return Ok(());
    }
    let (dir, package, stand) = (scratch()?, Package::shipped()?, Stand::start()?);
    let program = dir.join("gateway");
    let mut build = Linkage::Shared.go(&path(EXAMPLE))?;
    process::output(build.args(["build", "-o"]).arg(&program).arg("."))?;
    let log = dir.join("gateway.log");
    let mut command = package.command(&program);
    stand.configure(&mut command);
    let mut service = Background::start(command.stdin(Stdio::piped()).stderr(fs::File::create(&log)?))?;
    let mut input = service.child.stdin.take().context("the input is not piped")?;
    input.write_all(readings().as_bytes())?;
    // All batches that are full were delivered: what is left waits for its time, or for the signal.
    let full = READINGS * CHILDREN / MOST * MOST.div_ceil(50);
    while stand.platform.counters().batches < full as u64 {
        ensure!(service.child.try_wait()?.is_none(), "it ended by itself: {}", fs::read_to_string(&log)?);
        thread::yield_now();
    }
    process::output(Command::new("kill").args(["-TERM", &service.child.id().to_string()]))?;
    let status = service.child.wait()?;
    drop(input);
    let log = fs::read_to_string(&log)?;
    ensure!(status.success(), "the example failed ({status}):\n{log}");
    every_reading_arrived(&stand.platform.reports(), &log)
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
fn every_reading_arrived(reports: &[Report], log: &str) -> Result<()> {
    let mut arrived: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    for report in reports {
        for service in &report.services {
            ensure!(service.event_time_given.is_some(), "a reading without its time: {service:?}");
            let properties: Value = serde_json::from_str(&service.properties)?;
            let number = properties["Reading"].as_u64().context("a report without its reading")?;
            arrived.entry(&report.device_id).or_default().push(number);
        }
    }
    let count: usize = arrived.values().map(Vec::len).sum();
    ensure!(arrived.len() == CHILDREN, "{} of {CHILDREN} children reported:\n{log}", arrived.len());
    for (child, numbers) in (0..).zip(arrived.values()) {
        let expected: Vec<u64> = (0..numbers.len() as u64).map(|reading| reading * CHILDREN as u64 + child).collect();
        ensure!(*numbers == expected, "the child {child} reported {numbers:?}");
    }
    ensure!(log.contains(&format!("delivered={count} lost=0 waiting=0")), "{count} readings arrived:\n{log}");
    ensure!(log.contains("a line is no reading"), "what is no reading is not reported:\n{log}");
    Ok(())
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
    fn go(self, dir: &Path) -> Result<Command> {
        let kept = |name: &str| -> PathBuf { target().join("go").join(name) };
        let prefix = Package::shipped()?.prefix;
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
        Ok(go)
    }
}
