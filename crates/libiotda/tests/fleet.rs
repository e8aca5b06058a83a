//! The fleet of examples/fleet with the installed package: its own tests, which run NATS servers, the stand-in platform and
//! worker processes on this machine. The modules that it needs are downloaded, as crates are; nothing else is.

#![forbid(unsafe_code)]

use anyhow::{Context, Result};
use std::process::Command;
use testkit::process;
use testkit::{Package, Tool, path, platform_program, target};

/// All of its tests: on values, with one NATS server and with three, and with workers that are killed and stopped.
#[test]
fn vet_and_tests() -> Result<()> {
    if testkit::is_missing(Tool::Program("go", "golang-go")) {
        return Ok(());
    }
    process::output(go()?.args(["vet", "./..."]))?;
    let mut test = go()?;
    // -count=1: what passed before is not taken for granted. One package at a time: each starts servers of its own. It is
    // vetted already, by more analyzers.
    test.args(["test", "-count=1", "-vet=off", "-p=1", "-timeout=300s", "./..."]);
    process::output(test.env("IOTDA_PLATFORM", platform_program()?)).map(drop)
}

/// The go command at work in the example's directory, with the installed package, and with everything that it keeps below
/// the target directory. The modules are there: those that this machine has are not downloaded again.
fn go() -> Result<Command> {
    let cache = process::output(Command::new("go").args(["env", "GOMODCACHE"]))?;
    let proxies = process::output(Command::new("go").args(["env", "GOPROXY"]))?;
    let proxies = format!("file://{}/cache/download,{}", cache.trim(), proxies.trim());
    let mut download = command()?;
    let downloaded = download.args(["mod", "download"]).env("GOPROXY", proxies).status().context("cannot run go")?;
    anyhow::ensure!(downloaded.success(), "the modules of examples/fleet cannot be downloaded: see GOPROXY");
    let mut go = command()?;
    go.env("GOPROXY", "off");
    Ok(go)
}

fn command() -> Result<Command> {
    let kept = |name: &str| target().join("go").join(name);
    let prefix = Package::shipped()?.prefix;
    let mut go = Command::new("go");
    go.current_dir(path("examples/fleet"));
    for name in ["GOOS", "GOARCH", "GOEXPERIMENT", "GOGC", "GODEBUG", "CGO_CFLAGS", "CGO_LDFLAGS"] {
        go.env_remove(name);
    }
    go.env("GOCACHE", kept("cache")).env("GOMODCACHE", kept("modules")).env("GOPATH", kept("path"));
    // Where the go command counts what it does.
    go.env("XDG_CONFIG_HOME", kept("config"));
    go.env("GOENV", "off").env("GOWORK", "off").env("GOTOOLCHAIN", "local").env("CGO_ENABLED", "1");
    // The modules can be deleted with the target directory.
    go.env("GOFLAGS", "-mod=readonly -modcacherw -tags=iotda_system");
    go.env("PKG_CONFIG_PATH", prefix.join("lib/pkgconfig")).env("LD_LIBRARY_PATH", prefix.join("lib"));
    Ok(go)
}
