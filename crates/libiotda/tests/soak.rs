//! Eight threads of a C program on one client, while the platform does everything that it can do wrong, in random order,
//! and tokens last seconds. What is reported as delivered has arrived; what is reported as certainly not arrived has not;
//! memory, descriptors and threads stay as they are. 15 s, or `IOTDA_SOAK_SECONDS`; `IOTDA_SOAK_SEED` is another order.
//! `cargo xtask soak` runs it for hours.

#![forbid(unsafe_code)]

use anyhow::{Context, Result, bail, ensure};
use iotda_platform::{Device, Fault, Platform, Registry, Report};
use std::collections::{BTreeMap, HashSet};
use std::env;
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};
use testkit::process::Background;
use testkit::{GATEWAY, Package, SECRET, path, program, scratch};

const THREADS: u64 = 8;

/// More than are accepted while this program is held up: what is forgotten before it was looked at ends the test.
const KEPT_REPORTS: usize = 20_000;

/// Outcomes for each fault: some get through, and most calls meet one.
const OUTCOMES_A_FAULT: u64 = 6;

/// Faults that wait for a connection or a request that does not come make way for others.
const ARMED_MOST: usize = 12;

#[test]
fn every_fault_in_random_order() -> Result<()> {
    let seed = number("IOTDA_SOAK_SEED")?.unwrap_or(1);
    let seconds = number("IOTDA_SOAK_SECONDS")?.unwrap_or(15);
    soak(seed, Duration::from_secs(seconds)).with_context(|| format!("with IOTDA_SOAK_SEED={seed}"))
}

fn number(variable: &str) -> Result<Option<u64>> {
    let text = env::var(variable).ok();
    text.map(|text| text.parse().with_context(|| format!("{variable} is a number"))).transpose()
}

fn soak(seed: u64, time: Duration) -> Result<()> {
    let program = program::c(&Package::shipped()?, &path("crates/libiotda/tests/c/soak.c"), &[])?;
    let platform = platform()?;
    let ca_file = scratch()?.join("ca.pem");
    fs::write(&ca_file, platform.ca_pem())?;
    let mut command = program::command(&program);
    command.env("IOTDA_ENDPOINT", platform.url()).env("IOTDA_CA_FILE", &ca_file);
    command.env("IOTDA_DEVICE_ID", GATEWAY).env("IOTDA_DEVICE_SECRET", SECRET);
    let mut running = Background::start(command.stdin(Stdio::piped()).stdout(Stdio::piped()))?;
    let lines = lines(running.child.stdout.take().context("the output is piped")?);
    let mut faults = Faults::new(seed)?;
    let mut books = Books::default();
    let end = Instant::now() + time;
    loop {
        if Instant::now() >= end {
            // Its input ends, and so does it.
            drop(running.child.stdin.take());
        }
        let is_over = !books.take(&lines, &platform)?;
        if is_over {
            break;
        }
        while faults.armed * OUTCOMES_A_FAULT < books.outcomes {
            if platform.faults().len() >= ARMED_MOST {
                platform.clear_faults();
            }
            platform.inject(faults.next())?;
        }
    }
    ensure!(running.child.wait()?.success(), "the program failed: see above");
    println!("{} faults; {}", faults.armed, books.summary());
    books.check()
}

fn platform() -> Result<Platform> {
    let mut registry = Registry::new();
    registry.add_device(Device::new(GATEWAY).with_secret(SECRET).with_any_child())?;
    let builder = Platform::builder().registry(registry).max_records(KEPT_REPORTS);
    Ok(builder.token_lifetime(Duration::from_secs(3)).start()?)
}

fn lines(output: impl std::io::Read + Send + 'static) -> Receiver<String> {
    // Few: where this program is slow, the other one waits for it.
    let (sender, lines) = mpsc::sync_channel(1_000);
    thread::spawn(move || {
        // A line that cannot be read is the end, and so is one that nobody takes.
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    lines
}

/// All kinds of faults, again and again in another order.
struct Faults {
    /// The examples of the documentation: there is one of each kind, which a test of that crate sees to.
    kinds: Vec<Fault>,
    deck: Vec<Fault>,
    random: u64,
    armed: u64,
}

impl Faults {
    fn new(seed: u64) -> Result<Self> {
        let text = testkit::read("crates/iotda-platform/src/lib.rs")?;
        let rows = text.lines().filter_map(|line| line.strip_prefix("//! | `")?.strip_suffix("` |"));
        let examples = rows.filter_map(|row| row.rsplit_once('`')).map(|(_, example)| example);
        let kinds: Vec<Fault> = examples
            .filter(|example| example.starts_with("{\"kind\""))
            .map(|example| serde_json::from_str(example).with_context(|| example.to_owned()))
            .collect::<Result<_>>()?;
        ensure!(kinds.len() > 25, "{} kinds of faults", kinds.len());
        Ok(Self { kinds, deck: Vec::new(), random: seed.max(1), armed: 0 })
    }

    fn next(&mut self) -> Fault {
        if self.deck.is_empty() {
            self.deck.clone_from(&self.kinds);
        }
        let index = self.below(self.deck.len() as u64) as usize;
        let times = 1 + self.below(3);
        self.armed += 1;
        self.deck.swap_remove(index).times(times)
    }

    /// xorshift64.
    fn below(&mut self, limit: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 20) % limit
    }
}

/// What the program reports, held against what has arrived.
#[derive(Default)]
struct Books {
    last_report: u64,
    /// Ids that have arrived and whose outcome has not been seen.
    arrived: HashSet<u64>,
    /// Ids that must not arrive any more, which have not been many.
    refused: HashSet<u64>,
    outcomes: u64,
    delivered: u64,
    uncertain: u64,
    by_status: BTreeMap<i32, u64>,
    usage: Vec<[u64; 3]>,
}

impl Books {
    /// Takes what the program has written. `false`: it has ended.
    fn take(&mut self, lines: &Receiver<String>, platform: &Platform) -> Result<bool> {
        let mut taken = Vec::new();
        let is_over = match lines.recv_timeout(Duration::from_millis(100)) {
            Ok(line) => {
                taken.push(line);
                taken.extend(lines.try_iter().take(2_000));
                false
            }
            Err(RecvTimeoutError::Timeout) => false,
            Err(RecvTimeoutError::Disconnected) => true,
        };
        // After the lines: what they are about has been accepted by now, or never will be.
        self.arrive(platform.reports())?;
        for line in taken {
            let words: Vec<&str> = line.split(' ').collect();
            match words.as_slice() {
                ["o", id, status, may_have_arrived] => {
                    self.outcome(id.parse()?, status.parse()?, *may_have_arrived == "1")?;
                }
                ["u", kilobytes, descriptors, threads] => {
                    self.usage.push([kilobytes.parse()?, descriptors.parse()?, threads.parse()?]);
                }
                _ => bail!("the program wrote: {line}"),
            }
        }
        Ok(!is_over)
    }

    fn arrive(&mut self, reports: Vec<Report>) -> Result<()> {
        let last = self.last_report;
        for report in reports.iter().skip_while(|report| report.number <= last) {
            let expected = self.last_report + 1;
            ensure!(report.number == expected, "report {expected} was forgotten before it was looked at");
            self.last_report = expected;
            let text = match report.services.first() {
                Some(service) => service.properties.trim_start_matches("{\"id\":").trim_end_matches('}'),
                None => std::str::from_utf8(&report.body)?,
            };
            let id: u64 = text.parse().with_context(|| format!("no id: {text}"))?;
            ensure!(!self.refused.contains(&id), "{id} has arrived, and was reported as certainly not arrived");
            self.arrived.insert(id);
        }
        Ok(())
    }

    fn outcome(&mut self, id: u64, status: i32, may_have_arrived: bool) -> Result<()> {
        // IOTDA_E_INVALID_ARGUMENT and IOTDA_E_INTERNAL: no fault of a platform leads there.
        ensure!(!BUGS.contains(&status), "{id} ended with status {status}");
        self.outcomes += 1;
        *self.by_status.entry(status).or_default() += 1;
        let has_arrived = self.arrived.remove(&id);
        if status == 0 {
            ensure!(has_arrived, "{id} was reported as delivered, and has not arrived");
            self.delivered += 1;
        } else if may_have_arrived {
            self.uncertain += 1;
        } else {
            ensure!(!has_arrived, "{id} was reported as certainly not arrived (status {status}), and has arrived");
            self.refused.insert(id);
        }
        Ok(())
    }

    fn summary(&self) -> String {
        let [kilobytes, descriptors, threads] =
            self.usage.iter().fold([0; 3], |most, now| [most[0].max(now[0]), most[1].max(now[1]), most[2].max(now[2])]);
        format!(
            "{} outcomes, {} delivered, {} uncertain, by status {:?}; at most {kilobytes} kB, {descriptors} descriptors, \
             {threads} threads; memory in thirds: {:?} kB",
            self.outcomes,
            self.delivered,
            self.uncertain,
            self.by_status,
            self.thirds()
        )
    }

    /// The most memory in each third of the time.
    fn thirds(&self) -> Vec<u64> {
        let size = self.usage.len().div_ceil(3).max(1);
        self.usage.chunks(size).filter_map(|third| third.iter().map(|now| now[0]).max()).collect()
    }

    fn check(&self) -> Result<()> {
        ensure!(self.delivered > 50, "{} were delivered", self.delivered);
        ensure!(self.by_status.len() > 3, "the faults have done nothing: {:?}", self.by_status);
        let ([first, .., last], thirds) = (self.usage.as_slice(), self.thirds()) else { bail!("no usage was written") };
        // The first third has the program's own beginning in it, and what the allocator keeps for each thread.
        let allowed = thirds[0] + thirds[0] / 4 + 1024;
        ensure!(
            thirds.iter().all(|most| *most <= allowed),
            "memory grows: at most {thirds:?} kB in thirds of the time"
        );
        // One for each thread's connection, and as many that are being replaced.
        let descriptors = self.usage.iter().map(|now| now[1]).max().unwrap_or_default();
        ensure!(descriptors <= first[1] + 2 * THREADS, "{descriptors} descriptors at once");
        ensure!(self.usage.iter().all(|now| now[2] <= 1 + THREADS), "threads were started");
        // Standard input has ended in the meantime, and stays open.
        ensure!(last[1] <= first[1] && last[2] == 1, "after the end: {last:?}, at the beginning {first:?}");
        Ok(())
    }
}

/// IOTDA_E_INVALID_ARGUMENT and IOTDA_E_INTERNAL.
const BUGS: [i32; 2] = [1, 62];
