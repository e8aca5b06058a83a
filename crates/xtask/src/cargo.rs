//! Reading what cargo says about a build: the messages of `--message-format json`.

use crate::process::Background;
use crate::project::Project;
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Runs a cargo command with `--message-format json` and hands over its messages as they come.
pub(crate) fn messages(cargo: &mut Command, mut take: impl FnMut(&Value)) -> Result<()> {
    let mut build = Background::start(cargo.stdout(Stdio::piped()))?;
    let stdout = build.child.stdout.take().context("the output is not piped")?;
    for message in BufReader::new(stdout).lines() {
        take(&serde_json::from_str(&message?).context("cargo's messages are not JSON")?);
    }
    if !build.child.wait()?.success() {
        bail!("this failed: {}", build.name);
    }
    Ok(())
}

/// Shows a compiler's message to the user; of other messages, nothing.
pub(crate) fn show(message: &Value) {
    if let Some(text) = message["message"]["rendered"].as_str() {
        eprint!("{text}");
    }
}

/// Builds a program of the workspace and says where it is.
pub(crate) fn build_program(project: &Project, name: &str) -> Result<PathBuf> {
    let mut program = None;
    let mut cargo = project.cargo("build");
    // With xtask, which is there already: the dependencies are then those that were built for it, with the same
    // features and debug information, and need not be built once more.
    cargo.args(["--locked", "--package", "xtask", "--bin", "xtask", "--package", name, "--bin", name]);
    cargo.args(["--message-format", "json"]);
    messages(&mut cargo, |message| {
        show(message);
        if message["target"]["name"] == name {
            program = message["executable"].as_str().map(PathBuf::from).or(program.take());
        }
    })?;
    program.with_context(|| format!("cargo built {name} and did not say where it is"))
}
