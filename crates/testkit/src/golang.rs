//! The go command, for tests of what is written in Go: everything that it keeps is below the target directory, and it asks
//! no network but in [`download`].

use crate::{Package, process, target};
use anyhow::{Context, Result, ensure};
use std::path::Path;
use std::process::Command;

/// At work in a directory, with the installed package by this tag, and with the modules that are there.
pub fn go(dir: &Path, tag: &str) -> Result<Command> {
    let mut go = command(dir);
    let prefix = Package::shipped()?.prefix;
    // The modules can be deleted with the target directory.
    go.env("GOFLAGS", format!("-mod=readonly -modcacherw -tags={tag}"));
    go.env("GOPROXY", "off").env("PKG_CONFIG_PATH", prefix.join("lib/pkgconfig"));
    if tag != "iotda_static" {
        go.env("LD_LIBRARY_PATH", prefix.join("lib"));
    }
    Ok(go)
}

/// Downloads the modules that a directory's go.mod names. Those that this machine has are not downloaded again.
pub fn download(dir: &Path) -> Result<()> {
    let known = |name: &str| process::output(Command::new("go").args(["env", name]));
    let proxies = format!("file://{}/cache/download,{}", known("GOMODCACHE")?.trim(), known("GOPROXY")?.trim());
    let mut go = command(dir);
    let done =
        go.args(["mod", "download"]).env("GOFLAGS", "-mod=readonly -modcacherw").env("GOPROXY", proxies).status();
    let downloaded = done.context("cannot run go")?.success();
    ensure!(downloaded, "the modules of {} cannot be downloaded: see GOPROXY", dir.display());
    Ok(())
}

fn command(dir: &Path) -> Command {
    let kept = |name: &str| target().join("go").join(name);
    let mut go = Command::new("go");
    go.current_dir(dir);
    for name in ["GOOS", "GOARCH", "GOEXPERIMENT", "GOGC", "GODEBUG", "CGO_CFLAGS", "CGO_LDFLAGS"] {
        go.env_remove(name);
    }
    go.env("GOCACHE", kept("cache")).env("GOMODCACHE", kept("modules")).env("GOPATH", kept("path"));
    // Where the go command counts what it does.
    go.env("XDG_CONFIG_HOME", kept("config"));
    go.env("GOENV", "off").env("GOWORK", "off").env("GOTOOLCHAIN", "local").env("CGO_ENABLED", "1");
    go
}
