//! What is measured of each program of the comparison, one after the other, or by turns where it is a time. Figures have
//! the names that the tables of tables.rs ask for.

use crate::count::{Counted, Runs};
use crate::programs::{self, Peer};
use crate::run::{Job, TEXT, Target, VALUES, batch};
use crate::server::Server;
use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use testkit::process;

/// The numbers of children of which a batch is counted.
pub const BATCHES: [u64; 3] = [50, 500, 5000];

/// A way through a network, in each direction.
pub const FAR: Duration = Duration::from_millis(50);

const REPORTS: Runs = Runs { short: 200, long: 1200 };
const RECONNECTS: Runs = Runs { short: 2, long: 8 };
/// The time of one on a new connection, of so many.
const TIMED_RECONNECTS: u64 = 100;
/// The time of a report is that of so many.
const TIMED: u64 = 2000;
/// The longest message that the platform takes for sure, in bytes; and of how many the time is taken.
pub const MESSAGE: Job = Job("message", Some(1_000_000));
const TIMED_MESSAGES: u64 = 20;
const MESSAGES: Runs = Runs { short: 2, long: 10 };
/// How often what depends on the moment is counted.
const COUNTS: usize = 5;
/// Debian's certificate authorities.
const BUNDLE: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Several measurements of one thing, in ascending order.
#[derive(Clone, Debug, Default)]
pub struct Sample(pub Vec<f64>);

impl Sample {
    fn add(&mut self, value: f64) {
        let place = self.0.partition_point(|other| *other < value);
        self.0.insert(place, value);
    }

    /// `None` if there are no measurements.
    pub fn median(&self) -> Option<f64> {
        let (low, high) = (self.0.get(self.0.len().checked_sub(1)? / 2)?, self.0.get(self.0.len() / 2)?);
        Some((low + high) / 2.0)
    }

    /// The values of which a quarter is less, and a quarter more. `None` if there are no measurements.
    pub fn quartiles(&self) -> Option<[f64; 2]> {
        let last = self.0.len().checked_sub(1)?;
        Some([self.0[last / 4], self.0[last - last / 4]])
    }
}

/// The figures of one program by their names. What could not be measured is not there.
#[derive(Default)]
pub struct Figures(pub BTreeMap<String, Sample>);

impl Figures {
    fn add(&mut self, name: &str, value: f64) {
        self.0.entry(name.to_owned()).or_default().add(value);
    }
}

/// Trusts the authorities of this machine beside the server's, if there is a list of them.
pub fn bundle(target: &Target, dir: &Path) -> Result<Option<Target>> {
    let Ok(authorities) = fs::read_to_string(BUNDLE) else { return Ok(None) };
    let ca_file = dir.join("bundle.pem");
    fs::write(&ca_file, fs::read_to_string(&target.ca_file)? + &authorities)?;
    Ok(Some(Target { ca_file, ..target.clone() }))
}

/// Measures by turns what takes time, so that what the machine does meanwhile meets all alike: pinned to cores, and
/// not.
pub fn timed(
    peers: &[Peer],
    figures: &mut [Figures],
    [pinned, everywhere]: [&Target; 2],
    bundle: Option<&Target>,
    rounds: usize,
) -> Result<()> {
    // Each with its ratio to the first program, which does the least, if that one is there.
    let kinds = [
        ("cpu", pinned, TEXT, TIMED),
        ("anywhere", everywhere, TEXT, TIMED),
        ("message", pinned, MESSAGE, TIMED_MESSAGES),
    ];
    for round in 1..=rounds {
        println!("Times, round {round} of {rounds} ...");
        let mut least = [None; 3];
        for (index, (peer, figures)) in peers.iter().zip(figures.iter_mut()).enumerate() {
            let Ok(program) = &peer.program else { continue };
            for ((name, target, job, count), least) in kinds.into_iter().zip(&mut least) {
                let said = target.run(program, job, count)?;
                let cpu = said.get("cpu_us")? / count as f64;
                if index == 0 {
                    *least = Some(cpu);
                }
                if let Some(least) = least {
                    figures.add(&format!("{name}_ratio"), cpu / *least);
                }
                figures.add(name, cpu);
                if name == "cpu" {
                    figures.add("peak", said.get("peak_kb")? * 1024.0);
                }
            }
            if peer.does_all {
                figures.add("cpu_values", pinned.run(program, VALUES, TIMED)?.get("cpu_us")? / TIMED as f64);
            }
            // Starting what sets the cores would take its own time.
            let starts = [("start", Some(everywhere)), ("bundle_start", bundle)];
            for (name, target) in starts.into_iter().filter_map(|(name, target)| Some((name, target?))) {
                let begin = Instant::now();
                target.run(program, TEXT, 0)?;
                figures.add(name, begin.elapsed().as_secs_f64() * 1e3);
            }
        }
    }
    Ok(())
}

/// Measures what a list of many authorities costs a process, beside one authority.
pub fn with_bundle(peer: &Peer, figures: &mut Figures, targets: [&Target; 2], dir: &Path) -> Result<()> {
    let Ok(program) = &peer.program else { return Ok(()) };
    let of =
        |measure: &dyn Fn(&Target) -> Result<f64>| Ok::<_, anyhow::Error>(measure(targets[1])? - measure(targets[0])?);
    figures.add("bundle_memory", of(&|target| Ok(target.run(program, TEXT, 0)?.get("peak_kb")? * 1024.0))?);
    if peer.is_counted {
        figures.add("bundle_instructions", of(&|target| Counted { target, program, dir }.all_instructions(TEXT, 0))?);
    }
    Ok(())
}

/// Measures what is counted.
pub fn counted(peer: &Peer, figures: &mut Figures, target: &Target, server: &Server, dir: &Path) -> Result<()> {
    let Ok(program) = &peer.program else { return Ok(()) };
    println!("Counts of {} ...", peer.name);
    let counted = Counted { target, program, dir };
    if peer.is_counted {
        figures.add("instructions", counted.instructions(TEXT, REPORTS)?);
        let [allocations, bytes] = counted.heap(if peer.does_all { VALUES } else { TEXT }, REPORTS)?;
        figures.add("allocations", allocations);
        figures.add("bytes_allocated", bytes);
        if peer.does_all {
            figures.add("instructions_values", counted.instructions(VALUES, REPORTS)?);
        }
    } else {
        // Such a program counts for itself what it allocates.
        let said = target.run(program, VALUES, TIMED)?;
        figures.add("allocations", said.get("allocs")? / TIMED as f64);
        figures.add("bytes_allocated", said.get("alloc_bytes")? / TIMED as f64);
    }
    for _ in 0..COUNTS {
        figures.add("system_calls", counted.system_calls(TEXT, REPORTS)?);
        figures.add("message_calls", counted.system_calls(MESSAGE, MESSAGES)?);
    }
    if peer.is_counted {
        figures.add("message_instructions", counted.instructions(MESSAGE, MESSAGES)?);
        figures.add("message_bytes_allocated", counted.heap(MESSAGE, MESSAGES)?[1]);
    } else {
        let said = target.run(program, MESSAGE, TIMED_MESSAGES)?;
        figures.add("message_bytes_allocated", said.get("alloc_bytes")? / TIMED_MESSAGES as f64);
    }
    let traffic = counted.traffic(TEXT, REPORTS)?;
    for (name, flow) in [("sent", traffic.sent), ("received", traffic.received)] {
        let each = |total: u64| total as f64 / (REPORTS.long - REPORTS.short) as f64;
        figures.add(&format!("{name}_bytes"), each(flow.bytes));
        figures.add(&format!("{name}_records"), each(flow.records));
    }
    figures.add("program", programs::length(program)? as f64);
    figures.add("libraries", libraries(program)? as f64);
    far_start(&counted, figures)?;
    for (name, port) in [("full", server.forgetting), ("resumed", server.closing)] {
        reconnect(name, peer, figures, &Counted { target: &target.at(port), program, dir })?;
    }
    if peer.does_all {
        BATCHES.iter().try_for_each(|children| batch_of(*children, peer, figures, &counted))?;
    }
    Ok(())
}

fn far_start(counted: &Counted, figures: &mut Figures) -> Result<()> {
    let begin = Instant::now();
    let traffic = counted.passed(TEXT, 0, FAR)?;
    // The relay is near, so that TCP connects at once: over a network this would have taken its time too.
    let connecting = 2.0 * FAR.as_secs_f64() * traffic.connections as f64;
    figures.add("far_start", (begin.elapsed().as_secs_f64() + connecting) * 1e3);
    figures.add("round_trips", traffic.round_trips() as f64);
    figures.add("connections", traffic.connections as f64);
    Ok(())
}

/// A report on a new connection.
fn reconnect(name: &str, peer: &Peer, figures: &mut Figures, counted: &Counted) -> Result<()> {
    let traffic = counted.traffic(TEXT, RECONNECTS)?;
    let each = |total: u64| total as f64 / (RECONNECTS.long - RECONNECTS.short) as f64;
    if peer.is_counted {
        figures.add(&format!("{name}_instructions"), counted.instructions(TEXT, RECONNECTS)?);
    }
    let cpu = counted.target.run(counted.program, TEXT, TIMED_RECONNECTS)?.get("cpu_us")?;
    figures.add(&format!("{name}_cpu"), cpu / TIMED_RECONNECTS as f64);
    figures.add(&format!("{name}_sent"), each(traffic.sent.bytes));
    figures.add(&format!("{name}_received"), each(traffic.received.bytes));
    figures.add(&format!("{name}_round_trips"), each(traffic.round_trips()));
    Ok(())
}

/// What one child costs in a batch of so many.
fn batch_of(children: u64, peer: &Peer, figures: &mut Figures, counted: &Counted) -> Result<()> {
    let (job, runs) = (batch(children), Runs { short: 1, long: 3 });
    let mut add = |name: &str, value: f64| figures.add(&format!("batch_{name}_{children}"), value / children as f64);
    let count = 50_000 / children;
    let said = counted.target.run(counted.program, job, count)?;
    add("cpu", said.get("cpu_us")? / count as f64);
    if peer.is_counted {
        add("instructions", counted.instructions(job, runs)?);
        add("allocations", counted.heap(job, runs)?[0]);
    } else {
        add("allocations", said.get("allocs")? / count as f64);
    }
    Ok(())
}

/// The bytes of the shared libraries that a program needs and that do not come with every system.
fn libraries(program: &Path) -> Result<u64> {
    const EVERYWHERE: [&str; 6] = ["linux-vdso", "libc.so", "libm.so", "libpthread", "libdl", "ld-linux"];
    // A program that is linked statically has none, and ldd fails.
    let needed = process::output(Command::new("ldd").arg(program)).unwrap_or_default();
    let others = needed.lines().filter(|line| !EVERYWHERE.iter().any(|name| line.contains(name)));
    let paths = others.filter_map(|line| line.split_once("=> ")?.1.split(' ').next());
    paths.map(|path| programs::length(path.as_ref()).context("ldd names it")).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        let mut sample = Sample::default();
        assert_eq!((sample.median(), sample.quartiles()), (None, None));
        for value in [3.0, 1.0, 2.0] {
            sample.add(value);
        }
        assert_eq!(sample.median(), Some(2.0));
        assert_eq!(sample.quartiles(), Some([1.0, 3.0]));
        sample.add(10.0);
        assert_eq!((sample.median(), sample.0), (Some(2.5), vec![1.0, 2.0, 3.0, 10.0]));
    }
}
