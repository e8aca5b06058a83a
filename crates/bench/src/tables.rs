//! The tables of the comparison, as Markdown.

use crate::count::{Counted, Runs};
use crate::figures::{BATCHES, Figures, Sample};
use crate::programs::Peer;
use crate::relay::Relay;
use crate::run::{Job, Target, batch};
use crate::same;
use anyhow::Result;
use std::path::Path;
use std::time::Duration;

/// How a figure is shown.
#[derive(Clone, Copy)]
enum Form {
    /// With so many decimals.
    Number(usize),
    /// The median, and in brackets the quartiles, where they differ.
    Spread(usize),
    /// MB of 1,000,000 bytes.
    Megabytes,
}
use Form::{Megabytes, Number, Spread};

/// A table of all programs: what its rows are about, and heading, figure and form of each column.
type Columns = (&'static str, &'static [(&'static str, &'static str, Form)]);

const REPORT: Columns = (
    "each report",
    &[
        ("instructions, from values", "instructions_values", Number(0)),
        ("instructions", "instructions", Number(0)),
        ("CPU against the first row, pinned", "cpu_ratio", Spread(2)),
        ("not pinned", "anywhere_ratio", Spread(2)),
        ("CPU µs, from values, pinned", "cpu_values", Spread(1)),
        ("CPU µs, pinned", "cpu", Spread(1)),
        ("not pinned", "anywhere", Spread(1)),
        ("system calls", "system_calls", Spread(1)),
        ("allocations", "allocations", Number(1)),
        ("bytes allocated", "bytes_allocated", Number(0)),
    ],
);
const WIRE: Columns = (
    "each report",
    &[
        ("bytes sent", "sent_bytes", Number(0)),
        ("records sent", "sent_records", Number(0)),
        ("bytes received", "received_bytes", Number(0)),
        ("records received", "received_records", Number(0)),
    ],
);
const PROCESS: Columns = (
    "each process",
    &[
        ("peak memory", "peak", Megabytes),
        ("program, stripped", "program", Megabytes),
        ("shared libraries", "libraries", Megabytes),
        ("start, ms", "start", Spread(1)),
        ("start far away, ms", "far_start", Number(0)),
        ("round trips", "round_trips", Number(0)),
        ("connections", "connections", Number(0)),
    ],
);
const MESSAGE: Columns = (
    "each message of 1,000,000 bytes",
    &[
        ("instructions", "message_instructions", Number(0)),
        ("CPU against the first row, pinned", "message_ratio", Spread(2)),
        ("CPU µs, pinned", "message", Spread(0)),
        ("system calls", "message_calls", Spread(1)),
        ("bytes allocated", "message_bytes_allocated", Number(0)),
    ],
);
const BUNDLE: Columns = (
    "each process with Debian's authorities",
    &[
        ("start, ms", "bundle_start", Spread(1)),
        ("more instructions", "bundle_instructions", Number(0)),
        ("more memory", "bundle_memory", Megabytes),
    ],
);
const RECONNECT: Columns = (
    "each report on a new connection",
    &[
        ("instructions, full", "full_instructions", Number(0)),
        ("resumed", "resumed_instructions", Number(0)),
        ("CPU µs, full", "full_cpu", Number(0)),
        ("resumed", "resumed_cpu", Number(0)),
        ("bytes sent, full", "full_sent", Number(0)),
        ("resumed", "resumed_sent", Number(0)),
        ("received, full", "full_received", Number(0)),
        ("resumed", "resumed_received", Number(0)),
        ("round trips, full", "full_round_trips", Number(1)),
        ("resumed", "resumed_round_trips", Number(1)),
    ],
);

/// The tables of all programs, each below the sentences that explain it.
pub fn of_programs(peers: &[Peer], figures: &[Figures]) -> Vec<String> {
    let mut parts = Vec::new();
    for (text, (about, columns)) in [
        (
            "Each report, once the connection is there. “From values”: the program has numbers and a time and makes the \
             JSON; else it has the JSON. User instructions by callgrind; – for Go, which valgrind does not run.",
            REPORT,
        ),
        ("What is sent and received is one record each, unless stated; bytes are TCP's payload.", WIRE),
        (
            "Each process. Start: from the start of the process to its end with one report made, here and over a way of \
             100 ms round trip (a relay that holds everything up, and counts: TCP, TLS, authentication, report).",
            PROCESS,
        ),
        ("A long message, of bytes that are there already.", MESSAGE),
        (
            "The same start when the program trusts the file with the authorities of this machine, some 140, beside the \
             server's; and what that adds to a process that trusts the server's alone.",
            BUNDLE,
        ),
        (
            "A report on a new connection, because the server closes each after one request: with a TLS session to \
             resume, and without.",
            RECONNECT,
        ),
    ] {
        let columns: Vec<_> =
            columns.iter().map(|(heading, name, form)| (*heading, (*name).to_owned(), *form)).collect();
        parts.extend([text.to_owned(), of_columns(about, &columns, peers, figures)]);
    }
    let headings = ["instructions", "cpu", "allocations"].map(|name| {
        let heading = if name == "cpu" { "CPU µs" } else { name };
        BATCHES.map(|children| (format!("{heading}, {children} children"), format!("batch_{name}_{children}")))
    });
    let columns: Vec<_> = headings
        .as_flattened()
        .iter()
        .map(|(heading, name)| {
            let decimals = if name.contains("instructions") { 0 } else { 2 };
            (heading.as_str(), name.clone(), Number(decimals))
        })
        .collect();
    parts.push("Each child of a batch, from values, in requests of 50.".to_owned());
    parts.push(of_columns("each child", &columns, peers, figures));
    parts
}

fn of_columns(about: &str, columns: &[(&str, String, Form)], peers: &[Peer], figures: &[Figures]) -> String {
    let mut table = Table::new(&[&[about][..], &columns.iter().map(|column| column.0).collect::<Vec<_>>()].concat());
    for (peer, Figures(figures)) in peers.iter().zip(figures).filter(|(peer, _)| peer.program.is_ok()) {
        let cells: Vec<String> = columns.iter().map(|(_, name, form)| cell(figures.get(name), *form)).collect();
        if cells.iter().any(|cell| cell != NOTHING) {
            table.row([vec![peer.name.clone()], cells].concat());
        }
    }
    table.markdown()
}

fn cell(sample: Option<&Sample>, form: Form) -> String {
    let Some((sample, median)) = sample.and_then(|sample| Some((sample, sample.median()?))) else {
        return NOTHING.to_owned();
    };
    match form {
        Number(decimals) => number(median, decimals),
        Megabytes => format!("{:.2} MB", median / 1e6),
        Spread(decimals) => {
            let show = |value| number(value, decimals);
            match sample.quartiles().map(|quartiles| quartiles.map(show)) {
                Some([low, high]) if low != high => format!("{} ({low}–{high})", show(median)),
                _ => show(median),
            }
        }
    }
}

/// What libiotda's Go module adds to a report: the same from Go and from C, by turns in one process.
pub fn beside(program: &Path, target: &Target) -> Result<String> {
    // Of each kind, from Go and as often from C.
    let said = target.run(program, Job("beside", None), 40_000)?;
    let mut table = Table::new(&["each report", "CPU µs from C", "CPU µs from Go", "more CPU µs", "more µs"]);
    for (name, kind) in [
        ("message", "message"),
        ("object", "properties that are JSON already"),
        ("values", "properties made of values, a struct in Go"),
        ("can_end", "the same with a context that can end, a cancel handle in C"),
    ] {
        let mut row = vec![kind.to_owned()];
        for figure in ["c_us", "go_us", "more_us", "more_wall_us"] {
            let get = |end: &str| said.get(&format!("{name}_{figure}{end}"));
            row.push(format!("{:.1} ({:.1}–{:.1})", get("")?, get("_low")?, get("_high")?));
        }
        table.row(row);
    }
    Ok(table.markdown())
}

/// Threads that share a client: as many reports at a time as there are threads, if nothing makes them wait for one
/// another while the network is slow.
pub fn threads(target: &Target, program: &Path) -> Result<String> {
    let mut table = Table::new(&[
        "threads on one client",
        "reports/s",
        "CPU µs per report",
        "TLS handshakes",
        "reports/s at 20 ms round trip",
        "against one thread",
        "slowest hundredth, ms",
        "TLS handshakes",
    ]);
    let mut alone = None;
    for threads in [1, 2, 4, 8, 16, 64, 256] {
        let (job, count) = (Job("threads", Some(threads)), 16_384);
        let near = target.run(program, job, count)?;
        // Long beside what a report costs; and so many that the first connections, opened at once, do not matter.
        let (relay, far_count) = (Relay::start(target.port, Duration::from_millis(10))?, 60 * threads);
        let far = target.at(relay.port()).run(program, job, far_count)?;
        let far_rate = far_count as f64 * 1e6 / far.get("wall_us")?;
        table.row(vec![
            threads.to_string(),
            number(count as f64 * 1e6 / near.get("wall_us")?, 0),
            number(near.get("cpu_us")? / count as f64, 1),
            number(near.get("handshakes")?, 0),
            number(far_rate, 0),
            number(far_rate / *alone.get_or_insert(far_rate), 1),
            number(far.get("p99_us")? / 1e3, 1),
            number(far.get("handshakes")?, 0),
        ]);
    }
    Ok(table.markdown())
}

/// Devices that share a client's connections.
pub fn devices(target: &Target, program: &Path) -> Result<String> {
    let mut table = Table::new(&[
        "devices of one client",
        "to open one, µs",
        "bytes each, idle",
        "bytes each, after a report",
        "CPU µs per report",
    ]);
    for devices in [1, 10, 100, 1000, 10_000] {
        let count = 10_000;
        let said = target.run(program, Job("fleet", Some(devices)), count)?;
        let each = |name: &str| said.get(name).map(|value| value / devices as f64);
        // A page holds several devices: for a few of them, resident memory says nothing.
        let bytes = |name: &str| {
            Ok::<_, anyhow::Error>(if devices < 1000 { NOTHING.to_owned() } else { number(each(name)?, 0) })
        };
        table.row(vec![
            number(devices as f64, 0),
            number(each("open_us")?, 1),
            bytes("open_bytes")?,
            bytes("warm_bytes")?,
            number(said.get("cpu_us")? / count as f64, 1),
        ]);
    }
    Ok(table.markdown())
}

/// Children of one call.
pub fn children(target: &Target, program: &Path, dir: &Path) -> Result<String> {
    let mut table =
        Table::new(&["children in one call", "instructions per child", "CPU µs per child", "µs per child", "peak MB"]);
    for children in [1, 10, 100, 1000, 10_000, 50_000] {
        let count = (50_000 / children).max(3);
        let said = target.run(program, batch(children), count)?;
        let total = (count * children) as f64;
        // The first of a run also makes what the others use again.
        let runs = Runs { short: 1, long: count.min(1000) };
        let instructions = Counted { target, program, dir }.instructions(batch(children), runs)?;
        table.row(vec![
            number(children as f64, 0),
            number(instructions / children as f64, 0),
            number(said.get("cpu_us")? / total, 2),
            number(said.get("wall_us")? / total, 2),
            number(said.get("peak_kb")? * 1.024e-3, 1),
        ]);
    }
    Ok(table.markdown())
}

/// Batches with a child that the platform does not know, and without.
pub fn unknown(program: &Path, dir: &Path) -> Result<String> {
    const CHILDREN: u64 = 50;
    const LATER: u64 = 200;
    let mut table = Table::new(&["a batch of 50 children", "requests", "CPU µs per child"]);
    for (known, name) in [(CHILDREN, "all known"), (CHILDREN - 1, "one unknown, ")] {
        let (_platform, target) = same::platform_with_children(dir, known)?;
        let first = target.run(program, Job("unknown", Some(CHILDREN)), 1)?;
        let both = target.run(program, Job("unknown", Some(CHILDREN)), 1 + LATER)?;
        let each = |cpu: f64, batches: u64| number(cpu / (batches * CHILDREN) as f64, 2);
        let cpu = both.get("cpu_us")? - first.get("cpu_us")?;
        let later = vec![number(both.get("requests")? / LATER as f64, 2), each(cpu, LATER)];
        if known == CHILDREN {
            table.row([vec![name.to_owned()], later].concat());
        } else {
            let cells = vec![number(first.get("first_requests")?, 0), each(first.get("cpu_us")?, 1)];
            table.row([vec![format!("{name}the first such batch")], cells].concat());
            table.row([vec![format!("{name}each later one")], later].concat());
        }
    }
    Ok(table.markdown())
}

/// The cell of what could not be measured.
pub const NOTHING: &str = "–";

/// A number with its thousands apart: `1,234,567.5`.
pub fn number(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    let digits = text.split('.').next().unwrap_or_default().trim_start_matches('-').len();
    let (sign, rest) = text.split_at(text.len() - text.trim_start_matches('-').len());
    let mut grouped = sign.to_owned();
    for (index, digit) in rest.chars().enumerate() {
        if index > 0 && index < digits && (digits - index) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// A Markdown table. The first column is text, the others are numbers.
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub fn new(headings: &[&str]) -> Self {
        Self { rows: vec![headings.iter().map(|heading| (*heading).to_owned()).collect()] }
    }

    pub fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    pub fn markdown(&self) -> String {
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or_default().max(4)
        };
        let line = |cells: &[String]| {
            let cells = cells.iter().enumerate().map(|(column, cell)| match width(column) {
                width if column == 0 => format!("| {cell:<width$} "),
                width => format!("| {cell:>width$} "),
            });
            cells.collect::<String>() + "|\n"
        };
        let rule = (0..self.rows[0].len()).map(|column| match "-".repeat(width(column) + 1) {
            dashes if column == 0 => format!("|{dashes}-"),
            dashes => format!("|{dashes}:"),
        });
        let rows: String = self.rows[1..].iter().map(|row| line(row)).collect();
        line(&self.rows[0]) + &rule.collect::<String>() + "|\n" + &rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_readable() {
        assert_eq!(number(1_234_567.5, 1), "1,234,567.5");
        assert_eq!((number(-999.0, 0), number(1000.0, 0)), ("-999".to_owned(), "1,000".to_owned()));
        let sample = Sample(vec![1.0, 2.0, 3.0]);
        assert_eq!(cell(Some(&sample), Spread(1)), "2.0 (1.0–3.0)");
        assert_eq!(cell(Some(&Sample(vec![2.0, 2.01])), Spread(1)), "2.0");
        assert_eq!((cell(None, Megabytes).as_str(), cell(Some(&sample), Megabytes).as_str()), (NOTHING, "0.00 MB"));
    }

    #[test]
    fn a_table_is_aligned() {
        let mut table = Table::new(&["name", "n"]);
        table.row(vec!["é".to_owned(), "12345".to_owned()]);
        assert_eq!(table.markdown(), "| name |     n |\n|------|------:|\n| é    | 12345 |\n");
    }
}
