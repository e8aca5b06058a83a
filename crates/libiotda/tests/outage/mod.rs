//! The gateways of examples/, killed in the middle of an outage of the platform and started again: nothing that they said
//! is safe is missing at the platform, and each child's readings are in order. Used by the tests of each language.

use anyhow::{Context, Result, bail, ensure};
use iotda_platform::{Fault, InjectedAnswer, Report};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Lines, Write};
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::thread;
use testkit::process::Background;
use testkit::{Stand, scratch};

const CHILDREN: usize = 5;
/// Rounds of a life that are answered, each with a reading of each child.
const ROUNDS: usize = 4;
/// Lives that end by SIGKILL: the first begins before the outage.
const KILLED: usize = 3;
/// The most lives after that.
const LAST: usize = 10;

/// What a line of the input is, for a child and the number of its reading.
pub type Line = fn(child: usize, number: usize) -> String;

/// A gateway at work.
struct Gateway {
    process: Background,
    input: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Gateway {
    /// Starts one, whose log becomes a file of the test's directory.
    fn start(mut command: Command, stand: &Stand, life: usize) -> Result<Self> {
        stand.configure(&mut command);
        let log = File::create(scratch()?.join(format!("life-{life}.log")))?;
        let mut process = Background::start(command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log))?;
        let input = process.child.stdin.take().context("the input is not piped")?;
        let answers = BufReader::new(process.child.stdout.take().context("the output is not piped")?).lines();
        Ok(Self { process, input, answers })
    }

    fn write(&mut self, text: &str) -> Result<()> {
        self.input.write_all(text.as_bytes()).context("the gateway reads no more")?;
        Ok(self.input.flush()?)
    }

    /// Gives it a reading of each child.
    fn readings(&mut self, line: Line, number: usize) -> Result<()> {
        let lines: Vec<String> = (0..CHILDREN).map(|child| line(child, number) + "\n").collect();
        self.write(&lines.concat())
    }

    /// Ends a round, which it answers with the number of readings that it was given in this life.
    fn end_round(&mut self, rounds: usize) -> Result<()> {
        self.write("\n")?;
        let answer = self.answers.next().context("it ended")??;
        let expected = format!("{} readings are safe", rounds * CHILDREN);
        ensure!(answer == expected, "it says \"{answer}\" instead of \"{expected}\"");
        Ok(())
    }

    /// Fails if it has ended, while something is waited for.
    fn runs(&mut self) -> Result<()> {
        ensure!(self.process.child.try_wait()?.is_none(), "it ended by itself");
        thread::yield_now();
        Ok(())
    }
}

/// The test. `command` makes the command of a gateway with a directory of the test's own.
pub fn nothing_acknowledged_is_lost(command: &dyn Fn() -> Result<Command>, line: Line) -> Result<()> {
    let stand = Stand::start()?;
    // The number of the next reading of each child. The last one of a life was not answered.
    let mut number = 0;
    for life in 0..KILLED {
        let faults = stand.platform.counters().request_faults;
        let mut gateway = Gateway::start(command()?, &stand, life)?;
        for round in 1..=ROUNDS {
            gateway.readings(line, number)?;
            gateway.end_round(round)?;
            number += 1;
            if life == 0 && round == ROUNDS / 2 {
                // Something was delivered; then the platform takes nothing any more.
                while stand.platform.counters().batches == 0 {
                    gateway.runs()?;
                }
                stand.platform.inject(Fault::answer(InjectedAnswer::status(503)))?;
            }
        }
        // It has tried in vain, and is in the middle of a round.
        while stand.platform.counters().request_faults == faults {
            gateway.runs()?;
        }
        gateway.readings(line, number)?;
        number += 1;
        gateway.process.child.kill()?;
        gateway.process.child.wait()?;
        ensure!(!lost(&stand.platform.reports())?.is_empty(), "there was no outage");
    }
    stand.platform.clear_faults();
    // A run delivers for seconds after the end of its input. Under load that may not be enough.
    for life in KILLED..KILLED + LAST {
        let mut gateway = Gateway::start(command()?, &stand, life)?;
        drop(gateway.input);
        ensure!(gateway.process.child.wait()?.success(), "a run after the outage failed");
        if lost(&stand.platform.reports())?.is_empty() {
            return Ok(());
        }
    }
    bail!("these were safe and did not arrive: {:?}", lost(&stand.platform.reports())?)
}

/// The readings (child, number) that were answered for and did not arrive. Those that arrived are in order, the first time
/// that they do.
fn lost(reports: &[Report]) -> Result<Vec<(usize, usize)>> {
    let mut arrived: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for report in reports {
        for service in &report.services {
            ensure!(service.event_time_given.is_some(), "a reading without its time: {service:?}");
            let properties: Value = serde_json::from_str(&service.properties)?;
            let number = usize::try_from(properties["Reading"].as_u64().context("a report without its reading")?)?;
            let numbers = arrived.entry(&report.device_id).or_default();
            if !numbers.contains(&number) {
                ensure!(numbers.last().is_none_or(|last| *last < number), "{number} after {numbers:?}");
                numbers.push(number);
            }
        }
    }
    let has = |child: usize, number| arrived.get(child_id(child).as_str()).is_some_and(|all| all.contains(&number));
    let answered = (0..KILLED * (ROUNDS + 1)).filter(|number| number % (ROUNDS + 1) != ROUNDS);
    Ok(answered
        .flat_map(|number| (0..CHILDREN).map(move |child| (child, number)))
        .filter(|(child, number)| !has(*child, *number))
        .collect())
}

/// A child of the gateway.
pub fn child_id(child: usize) -> String {
    format!("meter_{child}")
}
