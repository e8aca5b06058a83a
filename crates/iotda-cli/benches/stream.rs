//! How fast `iotda stream --outbox` is, and how much memory it takes, beside `mosquitto_pub -l` on the same lines to a local
//! mosquitto, where that is installed:
//!
//! ```sh
//! cargo bench -p iotda-cli --bench stream              # a million lines
//! cargo bench -p iotda-cli --bench stream -- 50000
//! ```
//!
//! The two do not do the same: one keeps each line on disk until a TLS server has accepted it, the other keeps none.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

const LINES: u64 = 1_000_000;

fn main() -> Result<()> {
    let number = std::env::args().skip(1).find_map(|argument| argument.parse().ok());
    let lines = number.unwrap_or(LINES);
    let dir = std::env::temp_dir().join(format!("iotda-bench-{}", std::process::id()));
    fs::create_dir_all(&dir)?;
    let result = run(lines, &dir);
    fs::remove_dir_all(&dir)?;
    result
}

fn run(lines: u64, dir: &Path) -> Result<()> {
    let input = dir.join("lines.jsonl");
    let mut file = BufWriter::new(File::create(&input)?);
    for n in 0..lines {
        writeln!(
            file,
            "{{\"n\":{n},\"temperature\":21.5,\"humidity\":40,\"state\":\"running\",\"note\":\"a line of a sensor\"}}"
        )?;
    }
    file.flush()?;
    println!("{lines} lines, {} bytes", fs::metadata(&input)?.len());
    stream(lines, &input, dir)?;
    for quality in ["0", "1"] {
        mosquitto(lines, &input, dir, quality)?;
    }
    Ok(())
}

/// A process that ends with this value.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only for a process that has ended and been waited for.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn stream(lines: u64, input: &Path, dir: &Path) -> Result<()> {
    let mut serve = Command::new(env!("CARGO_BIN_EXE_iotda"));
    serve.args(["serve", "--device", "bench=a secret of the bench", "--max-records", "100", "-q", "--exit-with-stdin"]);
    let mut serving = Running(serve.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?);
    let mut command = Command::new(env!("CARGO_BIN_EXE_iotda"));
    for line in BufReader::new(serving.0.stdout.take().context("the output is piped")?).lines() {
        match line?.split_once('=') {
            Some((name, value)) => command.env(name, value.trim_matches('\'')),
            None => break,
        };
    }
    command.arg("stream").arg(input).args(["--service", "s", "--rate", "0", "--summary", "json", "-q", "--outbox"]);
    command.arg(dir.join("outbox")).env("HOME", dir).stderr(Stdio::piped());
    let (took, memory, said) = measured(&mut command)?;
    ensure!(said.contains(&format!("\"accepted\":{lines},")), "not all were accepted: {said}");
    say("iotda stream --outbox", lines, took, memory);
    Ok(())
}

fn mosquitto(lines: u64, input: &Path, dir: &Path, quality: &str) -> Result<()> {
    // One that is free now; mosquitto takes no 0.
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let settings = dir.join("mosquitto.conf");
    fs::write(
        &settings,
        format!("listener {port} 127.0.0.1\nallow_anonymous true\nlog_dest none\nmax_queued_messages 0\n"),
    )?;
    let programs: [PathBuf; 2] = ["/usr/sbin/mosquitto".into(), "/usr/bin/mosquitto_pub".into()];
    if !programs.iter().all(|program| program.exists()) {
        println!("mosquitto_pub -l -q {quality}: not measured, install mosquitto and mosquitto-clients");
        return Ok(());
    }
    let _broker = Running(Command::new(&programs[0]).arg("-c").arg(&settings).stderr(Stdio::null()).spawn()?);
    let begun = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        ensure!(begun.elapsed() < Duration::from_secs(30), "mosquitto does not listen");
        thread::sleep(Duration::from_millis(10));
    }
    let mut command = Command::new(&programs[1]);
    command.args(["-h", "127.0.0.1", "-p", &port.to_string(), "-t", "bench", "-q", quality, "-l"]);
    let (took, memory, _) = measured(command.stdin(File::open(input)?).stderr(Stdio::piped()))?;
    say(&format!("mosquitto_pub -l -q {quality}"), lines, took, memory);
    Ok(())
}

/// How long a program takes, the most memory that it had, and what it said.
fn measured(command: &mut Command) -> Result<(Duration, u64, String)> {
    let begun = Instant::now();
    let mut running = Running(command.spawn()?);
    let status = format!("/proc/{}/status", running.0.id());
    let mut memory = 0;
    let ended = loop {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let peak = text.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse().ok());
        memory = peak.unwrap_or(0).max(memory);
        if let Some(ended) = running.0.try_wait()? {
            break ended;
        }
        thread::sleep(Duration::from_millis(20));
    };
    let took = begun.elapsed();
    let said = running.0.stderr.take().map(std::io::read_to_string).transpose()?.unwrap_or_default();
    ensure!(ended.success(), "it failed ({ended}): {said}");
    Ok((took, memory, said))
}

fn say(name: &str, lines: u64, took: Duration, memory: u64) {
    let seconds = took.as_secs_f64();
    println!("{name:24} {seconds:7.1} s  {:9.0} lines/s  {memory:7} kB at most", lines as f64 / seconds);
}
