//! The Go bindings (bindings/go/iotda) with the installed package: their own tests, linked both ways; programs that use them
//! as a module; the example. Nothing of Go's is left outside of the target directory, and only
//! staticcheck is downloaded.

#![forbid(unsafe_code)]

mod outage;

use anyhow::{Context, Result, bail, ensure};
use iotda_platform::Report;
use serde_json::Value;
use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use testkit::process::{self, Background};
use testkit::program::{self, is_linked};
use testkit::{Package, Stand, Tool, VERSION, golang, path, platform_program, read, scratch, target};

const MODULE: &str = "bindings/go/iotda";
const PATH: &str = "github.com/libiotda/libiotda/bindings/go/iotda";
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

/// What go vet must find.
const COPIES: &str = r#"package main

import "github.com/libiotda/libiotda/bindings/go/iotda"

func closeClient(client iotda.Client) { client.Close() }

func closeOutbox(outbox iotda.Outbox) { outbox.Close() }

func main() {
	closeClient(iotda.Client{})
	closeOutbox(iotda.Outbox{})
}
"#;

/// A module of a user's in the test's directory, with this program.
fn consumer(program: &str) -> Result<PathBuf> {
    let (dir, module) = (scratch()?, path(MODULE));
    let requirements = format!(
        "module example.com/consumer\n\ngo 1.24\n\nrequire {PATH} v0.0.0\n\nreplace {PATH} => {}\n",
        module.display()
    );
    fs::write(dir.join("go.mod"), requirements)?;
    fs::write(dir.join("main.go"), program)?;
    Ok(dir)
}

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
    for (linkage, dir) in [(Linkage::Shared, MODULE), (Linkage::Static, MODULE), (Linkage::Shared, EXAMPLE)] {
        process::output(linkage.go(&path(dir))?.args(["vet", "./..."]))?;
    }
    Ok(())
}

/// Who copies what has an owner hears of it from go vet.
#[test]
fn vet_finds_copies() -> Result<()> {
    if is_missing() {
        return Ok(());
    }
    match process::output(Linkage::Shared.go(&consumer(COPIES)?)?.args(["vet", "."])) {
        Ok(_) => bail!("go vet finds nothing wrong with copies"),
        Err(error) => {
            for what in ["closeClient passes lock by value", "closeOutbox passes lock by value"] {
                ensure!(error.to_string().contains(what), "go vet does not say that {what}: {error}");
            }
        }
    }
    Ok(())
}

/// By the staticcheck that the module in tests/staticcheck names. The fleet is left out: it would look through the NATS
/// server for a minute.
#[test]
fn staticcheck() -> Result<()> {
    if is_missing() {
        return Ok(());
    }
    let program = target().join("go/staticcheck");
    let module = path("crates/libiotda/tests/staticcheck");
    golang::download(&module)?;
    let mut build = Linkage::Shared.go(&module)?;
    process::output(build.arg("build").arg("-o").arg(&program).arg("honnef.co/go/tools/cmd/staticcheck"))?;
    for dir in [MODULE, EXAMPLE] {
        let mut check = Command::new(&program);
        check.current_dir(path(dir)).env("XDG_CACHE_HOME", target().join("go/cache"));
        // It takes no notice of tags in GOFLAGS.
        check.args(["-tags", Linkage::Shared.tag(), "./..."]);
        // It runs the go command, which needs the settings that the other tests give it.
        for (name, value) in Linkage::Shared.go(&path(dir))?.get_envs() {
            match value {
                Some(value) => check.env(name, value),
                None => check.env_remove(name),
            };
        }
        process::output(&mut check)?;
    }
    Ok(())
}

/// A checkout has no archive to link: one line says which tag to build with.
#[test]
fn without_a_tag() -> Result<()> {
    if is_missing() {
        return Ok(());
    }
    let mut go = Linkage::Shared.go(&path(MODULE))?;
    let Err(error) = process::output(go.args(["build", "."]).env("GOFLAGS", "-mod=readonly")) else {
        bail!("a checkout builds without a library");
    };
    let said = error.to_string();
    let lines: Vec<&str> = said.lines().filter(|line| line.contains(".go:")).collect();
    ensure!(lines.len() == 1 && lines[0].contains("build_with_tags_iotda_system"), "it says: {said}");
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

    /// `cargo xtask cross` runs it for another processor.
    #[test]
    fn linked_static() -> Result<()> {
        match (env::var("IOTDA_TEST_GOARCH"), env::var("IOTDA_TEST_GO_CC")) {
            (Ok(processor), Ok(compiler)) => run_elsewhere(&processor, &compiler),
            _ => run(Linkage::Static, &[], &[]),
        }
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
        // -count=1: what passed before is not taken for granted. A test that hangs is ended. The test above has vetted all,
        // by more analyzers: go test would vet Go's own library once more for each of these.
        test.args(["test", "-count=1", "-vet=off", "-timeout=300s"]).args(arguments).arg("./...");
        process::output(test.env("IOTDA_PLATFORM", platform_program()?).envs(settings.iter().copied())).map(drop)
    }

    /// A static program with the package for that processor, and the stand-in platform of this one.
    fn run_elsewhere(processor: &str, compiler: &str) -> Result<()> {
        let (dir, program) = (scratch()?, scratch()?.join("tests"));
        let mut build = Linkage::Static.go(&path(MODULE))?;
        build.env("GOARCH", processor).env("CC", compiler).env("CGO_LDFLAGS_ALLOW", "-Wl,--eh-frame-hdr");
        build.args(["test", "-c", "-ldflags=-linkmode=external -extldflags=-static", "-o"]).arg(&program).arg(".");
        process::output(&mut build)?;
        // Where it is seen from the root that the program runs in.
        let platform = dir.join("iotda-platform");
        fs::copy(platform_program()?, &platform)?;
        let mut run = program::command_in(&path(MODULE), &program);
        run.arg("-test.timeout=900s").env("IOTDA_PLATFORM", &platform);
        process::output(&mut run).map(drop)
    }
}

/// A program that has the module in its vendor directory, linked both ways.
#[test]
fn vendored() -> Result<()> {
    if is_missing() {
        return Ok(());
    }
    let dir = consumer(CONSUMER)?;
    process::output(Linkage::Shared.go(&dir)?.args(["mod", "vendor"]))?;
    ensure!(dir.join("vendor").join(PATH).join("iotda.h").is_file(), "go mod vendor leaves the header behind");
    for linkage in [Linkage::Shared, Linkage::Static] {
        let program = dir.join(format!("{linkage:?}"));
        let mut build = linkage.go(&dir)?;
        build
            .env("GOFLAGS", format!("-mod=vendor -tags={}", linkage.tag()))
            .args(["build", "-o"])
            .arg(&program)
            .arg(".");
        process::output(&mut build)?;
        is_linked(&program, if linkage == Linkage::Shared { "shared" } else { "static" })?;
        let version = process::output_in_time(&mut Package::shipped()?.command(&program))?;
        ensure!(version.trim() == VERSION, "it says that it is version {version}");
    }
    Ok(())
}

const CHILDREN: usize = 1000;
const READINGS: usize = 3;

/// Builds the example in the test's directory.
fn example() -> Result<PathBuf> {
    let program = scratch()?.join("gateway");
    let mut build = Linkage::Shared.go(&path(EXAMPLE))?;
    process::output(build.args(["build", "-o"]).arg(&program).arg("."))?;
    Ok(program)
}

/// The example, with an outbox of the test's own.
fn example_at_work(program: &Path) -> Result<Command> {
    let mut command = Package::shipped()?.command(program);
    command.arg(scratch()?.join("outbox"));
    Ok(command)
}

#[test]
fn gateway_survives_kills_in_an_outage() -> Result<()> {
    if is_missing() {
        return Ok(());
    }
    let program = example()?;
    outage::nothing_acknowledged_is_lost(&|| example_at_work(&program), |child, number| {
        reading(&outage::child_id(child), number)
    })
}

/// The example takes the readings of a thousand children until a signal ends it, at once; the next run delivers the rest.
#[test]
fn gateway() -> Result<()> {
    if is_missing() {
        return Ok(());
    }
    let (dir, stand, program) = (scratch()?, Stand::start()?, example()?);
    let log = dir.join("gateway.log");
    let mut command = example_at_work(&program)?;
    stand.configure(&mut command);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(fs::File::create(&log)?);
    let mut service = Background::start(&mut command)?;
    let mut input = service.child.stdin.take().context("the input is not piped")?;
    let mut output = BufReader::new(service.child.stdout.take().context("the output is not piped")?);
    input.write_all((readings() + "\n").as_bytes())?;
    let mut said = String::new();
    output.read_line(&mut said)?;
    ensure!(said == format!("{} readings are safe\n", READINGS * CHILDREN), "it says: {said}");
    process::output(Command::new("kill").args(["-TERM", &service.child.id().to_string()]))?;
    let status = service.child.wait()?;
    drop(input);
    let log = fs::read_to_string(&log)?;
    ensure!(status.success() && log.contains("a reading is lost"), "the example ended with {status}:\n{log}");

    let mut command = example_at_work(&program)?;
    stand.configure(&mut command);
    let said = process::output_in_time(&mut command)?;
    ensure!(said == "0 readings are safe\n", "it says: {said}");
    every_reading_arrived(&stand.platform.reports())
}

/// A line of the example's input.
fn reading(device: &str, number: usize) -> String {
    format!(r#"{{"device":"{device}","service":"power","properties":{{"Reading":{number}}}}}"#)
}

/// What the children have measured, and a line that is nothing.
fn readings() -> String {
    let mut lines = vec!["no reading".to_owned()];
    for number in 0..READINGS * CHILDREN {
        lines.push(reading(&format!("meter_{:04}", number % CHILDREN), number));
    }
    lines.join("\n") + "\n"
}

/// Each reading in the order of its device; one that was under way at the signal may come twice.
fn every_reading_arrived(reports: &[Report]) -> Result<()> {
    let mut arrived: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    for report in reports {
        for service in &report.services {
            ensure!(service.event_time_given.is_some(), "a reading without its time: {service:?}");
            let properties: Value = serde_json::from_str(&service.properties)?;
            let number = properties["Reading"].as_u64().context("a report without its reading")?;
            let numbers = arrived.entry(&report.device_id).or_default();
            if !numbers.contains(&number) {
                numbers.push(number);
            }
        }
    }
    ensure!(arrived.len() == CHILDREN, "{} of {CHILDREN} children reported", arrived.len());
    for (child, numbers) in (0..).zip(arrived.values()) {
        let expected: Vec<u64> = (0..READINGS as u64).map(|reading| reading * CHILDREN as u64 + child).collect();
        ensure!(*numbers == expected, "the child {child} reported {numbers:?}");
    }
    Ok(())
}

/// How a Go program gets the library, by pkg-config. The third way, archives in modules, is of what crates/dist publishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Linkage {
    Shared,
    Static,
}

impl Linkage {
    fn tag(self) -> &'static str {
        match self {
            Linkage::Shared => "iotda_system",
            Linkage::Static => "iotda_static",
        }
    }

    fn go(self, dir: &Path) -> Result<Command> {
        golang::go(dir, self.tag())
    }
}
