//! The tables of the comparison, as Markdown, and their place in a document.

use super::machine;
use super::measure::{BATCHES, FAR, Figures, per_report};
use super::peers::Peer;
use super::table::{NOTHING, Table, megabytes, number};
use anyhow::{Context, Result};
use std::fs;
use std::path::Path;

const BEGIN: &str = "<!-- Written by cargo xtask bench --write: begin -->\n";
const END: &str = "<!-- Written by cargo xtask bench --write: end -->\n";

type Row<'a> = (&'a Peer, &'a Figures);

/// All of it.
pub(super) fn text(
    peers: &[Peer],
    figures: &[Figures],
    beside: &str,
    scaling: &[String],
    size: &str,
    prefix: &Path,
) -> Result<String> {
    let rows: Vec<Row> = peers.iter().zip(figures).filter(|(peer, _)| peer.program.is_ok()).collect();
    let mut parts = vec![
        format!(
            "The property report of the platform's documentation (123 bytes) over TLS 1.2 (ECDSA P-256, AES-256-GCM) and \
             a kept connection, to nginx on the same machine, which has the first core for itself if there are several. {}. \
             Times are medians of runs by turns, in brackets the \
             least and the most; compare them by their ratios alone. The rest is counted.",
            machine::description()?
        ),
        "Each report, once the connection is there. “From values”: the program has numbers and a time and makes the \
         JSON; else it has the JSON. User instructions by callgrind; – for Go, which valgrind does not run."
            .to_owned(),
        per_report_table(&rows),
        "What is sent and received is one record each, unless stated; bytes are TCP's payload.".to_owned(),
        wire_table(&rows),
        format!(
            "Each process. Start: from the start of the process to its end with one report made, here and over a way of \
             {} ms round trip (a relay that holds everything up, and counts: TCP, TLS, authentication, report).",
            2 * FAR.as_millis()
        ),
        process_table(&rows),
        "A report on a new connection, because the server closes each after one request: with a TLS session to resume, \
         and without."
            .to_owned(),
        reconnect_table(&rows),
        "Each child of a batch, from values, in requests of 50.".to_owned(),
        batch_table(&rows),
    ];
    if !beside.is_empty() {
        parts.push(
            "The same report from Go and from C, by turns in one process: medians, in brackets the quartiles. A context \
             that can end is watched while the report is under way."
                .to_owned(),
        );
        parts.push(beside.to_owned());
    }
    parts.push("How libiotda scales.".to_owned());
    parts.extend(scaling.iter().cloned());
    parts.push(format!("libiotda as shipped: {}. What is in the program that is linked with it:", shipped(prefix)?));
    parts.push(size.to_owned());
    let missing = peers.iter().filter_map(|peer| {
        let error = peer.program.as_ref().err()?;
        // The command that failed is of this machine; what follows it says why.
        let reason = format!("{error:#}");
        let lines: Vec<&str> = reason.lines().filter(|line| !line.contains("this failed")).collect();
        Some(format!("{}: {}", peer.name, if lines.is_empty() { &reason } else { lines[0] }))
    });
    let missing: Vec<String> = missing.collect();
    if !missing.is_empty() {
        parts.push(format!("Not measured: {}.", missing.join("; ")));
    }
    let versions: Vec<String> = rows.iter().map(|(peer, _)| format!("{} ({})", peer.name, peer.versions)).collect();
    parts.push(format!("Versions: {}.", versions.join("; ")));
    Ok(parts.join("\n\n").replace("|\n\n\n", "|\n\n") + "\n")
}

fn per_report_table(rows: &[Row]) -> String {
    let mut table = Table::new(&[
        "each report",
        "instructions, from values",
        "instructions",
        "CPU against the floor",
        "CPU µs, from values",
        "CPU µs",
        "system calls",
        "allocations",
        "bytes allocated",
    ]);
    for (peer, figures) in rows {
        table.row(vec![
            peer.name.clone(),
            number(figures.instructions[0], 0),
            number(figures.instructions[1], 0),
            figures.cpu_ratio.with_spread(2),
            figures.cpu[0].with_spread(1),
            figures.cpu[1].with_spread(1),
            number(figures.system_calls, 1),
            number(figures.heap.map(|heap| heap.allocations), 1),
            number(figures.heap.map(|heap| heap.bytes), 0),
        ]);
    }
    table.markdown()
}

fn wire_table(rows: &[Row]) -> String {
    let mut table = Table::new(&["each report", "bytes sent", "records sent", "bytes received", "records received"]);
    for (peer, figures) in rows {
        let flows = figures.traffic.map(|traffic| [traffic.sent, traffic.received]);
        let mut cells = vec![peer.name.clone()];
        for side in 0..2 {
            let flow = flows.map(|flows| flows[side]);
            cells.push(number(flow.map(|flow| per_report(flow.bytes)), 0));
            cells.push(number(flow.map(|flow| per_report(flow.records)), 0));
        }
        table.row(cells);
    }
    table.markdown()
}

fn process_table(rows: &[Row]) -> String {
    let mut table = Table::new(&[
        "each process",
        "peak memory",
        "program, stripped",
        "shared libraries",
        "start, ms",
        "start far away, ms",
        "round trips",
        "connections",
    ]);
    for (peer, figures) in rows {
        let libraries = figures.size.map(|(_, libraries)| libraries);
        table.row(vec![
            peer.name.clone(),
            megabytes(figures.peak.median()),
            megabytes(figures.size.map(|(program, _)| program)),
            if libraries == Some(0.0) { "none".to_owned() } else { megabytes(libraries) },
            figures.start.with_spread(1),
            number(figures.far_start.map(|(seconds, _)| seconds * 1e3), 0),
            number(figures.far_start.map(|(_, traffic)| traffic.round_trips() as f64), 0),
            number(figures.far_start.map(|(_, traffic)| traffic.connections as f64), 0),
        ]);
    }
    table.markdown()
}

fn reconnect_table(rows: &[Row]) -> String {
    let mut table = Table::new(&[
        "each report on a new connection",
        "instructions, full",
        "resumed",
        "CPU µs, full",
        "resumed",
        "bytes sent and received, full",
        "resumed",
        "round trips, full",
        "resumed",
    ]);
    for (peer, figures) in rows {
        let both = |cell: &dyn Fn(&super::measure::Reconnect) -> String| {
            figures
                .reconnects
                .iter()
                .map(|one| one.as_ref().map_or_else(|| NOTHING.to_owned(), cell))
                .collect::<Vec<_>>()
        };
        let mut cells = vec![peer.name.clone()];
        cells.extend(both(&|one| number(one.instructions, 0)));
        cells.extend(both(&|one| number(Some(one.cpu), 0)));
        cells.extend(both(&|one| format!("{:.0} + {:.0}", one.sent, one.received)));
        cells.extend(both(&|one| number(Some(one.round_trips), 1)));
        table.row(cells);
    }
    table.markdown()
}

fn batch_table(rows: &[Row]) -> String {
    let mut headings = vec!["each child".to_owned()];
    for what in ["instructions", "CPU µs", "allocations"] {
        headings
            .extend(BATCHES.iter().map(|children| format!("{what}, {} children", number(Some(*children as f64), 0))));
    }
    let mut table = Table::new(&headings.iter().map(String::as_str).collect::<Vec<_>>());
    for (peer, figures) in rows.iter().filter(|(_, figures)| !figures.batches.is_empty()) {
        let mut cells = vec![peer.name.clone()];
        cells.extend(figures.batches.iter().map(|batch| number(batch.instructions, 0)));
        cells.extend(figures.batches.iter().map(|batch| number(Some(batch.cpu), 2)));
        cells.extend(figures.batches.iter().map(|batch| number(batch.allocations, 2)));
        table.row(cells);
    }
    table.markdown()
}

/// The sizes of the libraries.
fn shipped(prefix: &Path) -> Result<String> {
    let size = |file: &str| {
        let path = prefix.join("lib").join(file);
        let length = fs::metadata(&path).with_context(|| format!("cannot read {}", path.display()))?.len();
        anyhow::Ok(megabytes(Some(length as f64)))
    };
    Ok(format!("libiotda.a {}, libiotda.so {}", size("libiotda.a")?, size("libiotda.so")?))
}

/// Puts a text in the place of the former one, between two lines of a document.
pub(super) fn write(document: &Path, text: &str) -> Result<()> {
    let old = fs::read_to_string(document).with_context(|| format!("cannot read {}", document.display()))?;
    let new = replaced(&old, text).with_context(|| format!("{} has no place for it", document.display()))?;
    fs::write(document, new).with_context(|| format!("cannot write {}", document.display()))
}

fn replaced(document: &str, text: &str) -> Option<String> {
    let (before, rest) = document.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n{text}\n{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_between_the_lines_is_replaced() {
        let document = format!("a\n{BEGIN}old\n{END}b\n");
        assert_eq!(replaced(&document, "new\n").unwrap(), format!("a\n{BEGIN}\nnew\n\n{END}b\n"));
        assert_eq!(replaced("no lines", "new"), None);
    }
}
