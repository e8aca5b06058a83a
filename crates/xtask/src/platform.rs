//! The stand-in platform as a command in the background, and what its inspection API tells.

use crate::cargo;
use crate::process::Background;
use crate::project::Project;
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{ChildStdin, Command, Stdio};

/// The platform's process. It ends when this is dropped, and also when this program is killed: its
/// standard input closes then.
pub(crate) struct PlatformCommand {
    process: Background,
    /// Closed to end the process.
    stdin: Option<ChildStdin>,
    settings: HashMap<String, String>,
}

impl PlatformCommand {
    /// Builds the command and starts it with one gateway, which may report for any child.
    pub(crate) fn start(project: &Project, dir: &Path, gateway: &str, secret: &str) -> Result<Self> {
        let program = cargo::build_program(project, "iotda-platform")?;
        let mut command = Command::new(program);
        command
            .args(["--listen", "127.0.0.1:0", "--inspect", "127.0.0.1:0", "--exit-with-stdin"])
            .args(["--gateway", &format!("{gateway}={secret}")])
            .arg("--ca-out")
            .arg(dir.join("ca.pem"))
            .arg("--record")
            .arg(dir.join("record.jsonl"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut process = Background::start(&mut command)?;
        let stdin = process.child.stdin.take();
        let stdout = process.child.stdout.take().context("the output is not piped")?;
        let mut settings = HashMap::new();
        for line in BufReader::new(stdout).lines() {
            let line = line?;
            match line.split_once('=') {
                Some((key, value)) => settings.insert(key.to_owned(), value.trim_matches('\'').to_owned()),
                None if line == "ready" => return Ok(Self { process, stdin, settings }),
                None => None,
            };
        }
        bail!("the stand-in platform ended before it was ready: {}", process.name)
    }

    /// What the platform said a client needs, such as `IOTDA_ENDPOINT`.
    pub(crate) fn setting(&self, key: &str) -> Result<&str> {
        let value = self.settings.get(key).map(String::as_str);
        value.with_context(|| format!("the stand-in platform did not say its {key}"))
    }

    /// What a path of the inspection API answers.
    pub(crate) fn inspect(&self, path: &str) -> Result<Value> {
        let url = self.setting("IOTDA_INSPECT")?;
        let address = url.trim_start_matches("http://").trim_end_matches('/');
        let mut stream = TcpStream::connect(address).with_context(|| format!("cannot reach {url}"))?;
        // HTTP/1.0, so that the end of the answer is that of the connection.
        write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let Some((head, body)) = answer.split_once("\r\n\r\n") else { bail!("no answer from {url}{path}") };
        if head.split(' ').nth(1) != Some("200") {
            bail!("{url}{path} answered: {answer}");
        }
        serde_json::from_str(body).with_context(|| format!("{url}{path} answered no JSON"))
    }

    /// Ends the platform and waits for it.
    pub(crate) fn stop(mut self) -> Result<()> {
        drop(self.stdin.take());
        let status = self.process.child.wait()?;
        if !status.success() {
            bail!("the stand-in platform failed ({status}): {}", self.process.name);
        }
        Ok(())
    }
}
