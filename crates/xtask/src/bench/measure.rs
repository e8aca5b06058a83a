//! What is measured of each program of the comparison, one after the other, or by turns where it is a time.

use super::counts::{Counted, Heap, Runs};
use super::job::{Job, TEXT, Target, VALUES, batch};
use super::peers::{Does, Peer};
use super::relay::Traffic;
use super::server::Server;
use super::table::Sample;
use crate::process;
use anyhow::Result;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// The numbers of children of which a batch is counted.
pub(super) const BATCHES: [u64; 3] = [50, 500, 5000];

/// A way through a network, in each direction.
pub(super) const FAR: Duration = Duration::from_millis(50);

const REPORTS: Runs = Runs { short: 200, long: 1200 };
const RECONNECTS: Runs = Runs { short: 2, long: 8 };
/// The time of one on a new connection, of so many.
const TIMED_RECONNECTS: u64 = 100;
/// The time of a report is that of so many.
const TIMED: u64 = 2000;

/// The figures of one program. What could not be measured is `None`, or a sample without values.
#[derive(Default)]
pub(super) struct Figures {
    pub(super) instructions: [Option<f64>; 2],
    /// µs of processor time of a report, from values and from a text.
    pub(super) cpu: [Sample; 2],
    /// The processor time of a report from a text, divided by the floor's in the same round.
    pub(super) cpu_ratio: Sample,
    pub(super) wall: Sample,
    pub(super) system_calls: Option<f64>,
    /// Of `REPORTS`' difference.
    pub(super) traffic: Option<Traffic>,
    pub(super) heap: Option<Heap>,
    /// Bytes.
    pub(super) peak: Sample,
    /// Bytes: the program, and the shared libraries that it needs beside the C library's.
    pub(super) size: Option<(f64, f64)>,
    /// ms from the start of the process to its end, with one report.
    pub(super) start: Sample,
    /// The same over a network, in s, and what passed.
    pub(super) far_start: Option<(f64, Traffic)>,
    pub(super) reconnects: [Option<Reconnect>; 2],
    pub(super) batches: Vec<Batch>,
}

/// A report on a new connection.
pub(super) struct Reconnect {
    pub(super) instructions: Option<f64>,
    /// µs of processor time.
    pub(super) cpu: f64,
    /// For one.
    pub(super) sent: f64,
    pub(super) received: f64,
    pub(super) round_trips: f64,
}

/// What one child costs in a batch of so many.
pub(super) struct Batch {
    pub(super) instructions: Option<f64>,
    pub(super) allocations: Option<f64>,
    /// µs of processor time.
    pub(super) cpu: f64,
}

/// The difference of two runs, for each report.
pub(super) fn per_report(total: u64) -> f64 {
    total as f64 / (REPORTS.long - REPORTS.short) as f64
}

/// Measures by turns what takes time, so that what the machine does meanwhile meets all alike.
pub(super) fn timed(peers: &[Peer], figures: &mut [Figures], target: &Target, rounds: usize) -> Result<()> {
    for round in 1..=rounds {
        println!("Times, round {round} of {rounds} ...");
        let mut floor = None;
        for (index, (peer, figures)) in peers.iter().zip(figures.iter_mut()).enumerate() {
            let Ok(program) = &peer.program else { continue };
            let said = target.run(program, TEXT, TIMED)?;
            let cpu = said.get("cpu_us")? / TIMED as f64;
            // The floor comes first, if it is there.
            if index == 0 {
                floor = Some(cpu);
            }
            if let Some(floor) = floor {
                figures.cpu_ratio.add(cpu / floor);
            }
            figures.cpu[1].add(cpu);
            figures.wall.add(said.get("wall_us")? / TIMED as f64);
            figures.peak.add(said.get("peak_kb")? * 1024.0);
            if peer.does == Does::All {
                let said = target.run(program, VALUES, TIMED)?;
                figures.cpu[0].add(said.get("cpu_us")? / TIMED as f64);
            }
            // Starting what sets the cores would take its own time.
            let everywhere = target.on(None);
            for _ in 0..3 {
                let begin = Instant::now();
                everywhere.run(program, TEXT, 0)?;
                figures.start.add(begin.elapsed().as_secs_f64() * 1e3);
            }
        }
    }
    Ok(())
}

/// Measures what is counted.
pub(super) fn counted(peer: &Peer, figures: &mut Figures, target: &Target, server: &Server, dir: &Path) -> Result<()> {
    let Ok(program) = &peer.program else { return Ok(()) };
    println!("Counts of {} ...", peer.name);
    let counted = Counted { target, program, dir };
    let all = peer.does == Does::All;
    if peer.is_counted {
        figures.instructions[1] = Some(counted.instructions(TEXT, REPORTS)?);
        figures.heap = Some(counted.heap(if all { VALUES } else { TEXT }, REPORTS)?);
        if all {
            figures.instructions[0] = Some(counted.instructions(VALUES, REPORTS)?);
        }
    } else if all {
        // Such a program counts for itself what it allocates.
        let said = target.run(program, VALUES, TIMED)?;
        let each = |name: &str| said.get(name).map(|value| value / TIMED as f64);
        figures.heap = Some(Heap { allocations: each("allocs")?, bytes: each("alloc_bytes")? });
    }
    figures.system_calls = Some(counted.system_calls(TEXT, REPORTS)?.values().sum());
    figures.traffic = Some(counted.traffic(TEXT, REPORTS)?);
    figures.size = Some(sizes(program)?);
    figures.far_start = Some(far_start(&counted)?);
    for (place, port) in [server.forgetting, server.closing].into_iter().enumerate() {
        figures.reconnects[place] = Some(reconnect(peer, program, &target.at(port), dir)?);
    }
    if all {
        for children in BATCHES {
            figures.batches.push(batch_of(children, peer, &counted)?);
        }
    }
    Ok(())
}

fn far_start(counted: &Counted) -> Result<(f64, Traffic)> {
    let begin = Instant::now();
    let traffic = counted.passed(TEXT, 0, FAR)?;
    // The relay is near, so that TCP connects at once: over a network this would have taken its time too.
    let connecting = 2.0 * FAR.as_secs_f64() * traffic.connections as f64;
    Ok((begin.elapsed().as_secs_f64() + connecting, traffic))
}

fn reconnect(peer: &Peer, program: &Path, target: &Target, dir: &Path) -> Result<Reconnect> {
    let counted = Counted { target, program, dir };
    let traffic = counted.traffic(TEXT, RECONNECTS)?;
    let times = RECONNECTS.long - RECONNECTS.short;
    let each = |total: u64| total as f64 / times as f64;
    Ok(Reconnect {
        instructions: if peer.is_counted { Some(counted.instructions(TEXT, RECONNECTS)?) } else { None },
        cpu: target.run(program, TEXT, TIMED_RECONNECTS)?.get("cpu_us")? / TIMED_RECONNECTS as f64,
        sent: each(traffic.sent.bytes),
        received: each(traffic.received.bytes),
        round_trips: each(traffic.round_trips()),
    })
}

fn batch_of(children: u64, peer: &Peer, counted: &Counted) -> Result<Batch> {
    let job: Job = batch(children);
    let each = |value: f64| value / children as f64;
    let runs = Runs { short: 1, long: 3 };
    let count = 50_000 / children;
    let (instructions, allocations) = if peer.is_counted {
        (Some(counted.instructions(job, runs)?), Some(counted.heap(job, runs)?.allocations))
    } else {
        let said = counted.target.run(counted.program, job, count)?;
        (None, Some(said.get("allocs")? / count as f64))
    };
    let cpu = counted.target.run(counted.program, job, count)?.get("cpu_us")? / count as f64;
    Ok(Batch { instructions: instructions.map(each), allocations: allocations.map(each), cpu: each(cpu) })
}

/// Of a program, and of the shared libraries that it needs and that do not come with every system.
fn sizes(program: &Path) -> Result<(f64, f64)> {
    const EVERYWHERE: [&str; 6] = ["linux-vdso", "libc.so", "libm.so", "libpthread", "libdl", "ld-linux"];
    let needed = process::output(Command::new("ldd").arg(program)).unwrap_or_default();
    let mut libraries = 0;
    for line in needed.lines().filter(|line| !EVERYWHERE.iter().any(|name| line.contains(name))) {
        if let Some(path) = line.split_once("=> ").and_then(|(_, path)| path.split(' ').next()) {
            libraries += std::fs::metadata(path)?.len();
        }
    }
    Ok((std::fs::metadata(program)?.len() as f64, libraries as f64))
}
