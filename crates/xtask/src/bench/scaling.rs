//! How the cost grows: with threads on one client, with devices of one client, with children in a batch.

use super::counts::{Counted, Runs};
use super::job::{Job, Target, batch};
use super::relay::Relay;
use super::table::{Table, number};
use anyhow::Result;
use std::path::Path;
use std::time::Duration;

const THREADS: [u64; 5] = [1, 2, 4, 8, 16];
const DEVICES: [u64; 5] = [1, 10, 100, 1000, 10_000];
const CHILDREN: [u64; 6] = [1, 10, 100, 1000, 10_000, 50_000];
/// A way through a network, in each direction: long beside what a report costs.
const ONE_WAY: Duration = Duration::from_millis(10);

/// Threads that share a client: as many reports at a time as there are threads, if nothing makes them wait for one
/// another while the network is slow.
pub(super) fn threads(target: &Target, program: &Path) -> Result<String> {
    let mut table = Table::new(&[
        "threads on one client",
        "reports/s",
        "CPU µs per report",
        "reports/s at 20 ms round trip",
        "against one thread",
    ]);
    let mut alone = None;
    for threads in THREADS {
        let job = Job { name: "threads", size: Some(threads) };
        let count = 16_000;
        let near = target.run(program, job, count)?;
        let relay = Relay::start(target.port, ONE_WAY)?;
        // Long enough that the first connections, which all threads open at once, do not matter.
        let far_count = 60 * threads;
        let far = target.at(relay.port()).run(program, job, far_count)?.get("wall_us")?;
        let far_rate = far_count as f64 * 1e6 / far;
        table.row(vec![
            threads.to_string(),
            number(Some(count as f64 * 1e6 / near.get("wall_us")?), 0),
            number(Some(near.get("cpu_us")? / count as f64), 1),
            number(Some(far_rate), 0),
            format!("{:.1}", far_rate / *alone.get_or_insert(far_rate)),
        ]);
    }
    Ok(table.markdown())
}

/// Devices that share a client's connections.
pub(super) fn devices(target: &Target, program: &Path) -> Result<String> {
    let mut table = Table::new(&[
        "devices of one client",
        "to open one, µs",
        "bytes each, idle",
        "bytes each, after a report",
        "CPU µs per report",
    ]);
    for devices in DEVICES {
        let count = 10_000;
        let said = target.run(program, Job { name: "fleet", size: Some(devices) }, count)?;
        let each = |name: &str| said.get(name).map(|value| value / devices as f64);
        // A page holds several devices: for a few of them, resident memory says nothing.
        let bytes = |name: &str| each(name).map(|bytes| number((devices >= 1000).then_some(bytes), 0));
        table.row(vec![
            number(Some(devices as f64), 0),
            number(Some(each("open_us")?), 1),
            bytes("open_bytes")?,
            bytes("warm_bytes")?,
            number(Some(said.get("cpu_us")? / count as f64), 1),
        ]);
    }
    Ok(table.markdown())
}

/// Children of one call.
pub(super) fn children(target: &Target, program: &Path, dir: &Path) -> Result<String> {
    let mut table =
        Table::new(&["children in one call", "instructions per child", "CPU µs per child", "µs per child", "peak MB"]);
    for children in CHILDREN {
        let count = (50_000 / children).max(3);
        let said = target.run(program, batch(children), count)?;
        let total = (count * children) as f64;
        // The first of a run also makes what the others use again.
        let runs = Runs { short: 1, long: count.min(1000) };
        let instructions = Counted { target, program, dir }.instructions(batch(children), runs)?;
        table.row(vec![
            number(Some(children as f64), 0),
            number(Some(instructions / children as f64), 0),
            number(Some(said.get("cpu_us")? / total), 2),
            number(Some(said.get("wall_us")? / total), 2),
            number(Some(said.get("peak_kb")? * 1.024e-3), 1),
        ]);
    }
    Ok(table.markdown())
}
