//! What libiotda's Go module adds to a report: the same from Go and from C, by turns in one process.

use super::job::{Job, Said, Target};
use super::peers::Peer;
use super::table::Table;
use anyhow::Result;

/// Of each kind, from Go and as often from C.
const REPORTS: u64 = 40_000;

/// The kinds of report, as the program names them and for the reader.
const KINDS: [(&str, &str); 4] = [
    ("message", "message"),
    ("object", "properties that are JSON already"),
    ("values", "properties made of values, a struct in Go"),
    ("can_end", "the same with a context that can end, a cancel handle in C"),
];

/// Empty if there is no Go here.
pub(super) fn table(peers: &[Peer], target: &Target) -> Result<String> {
    let Some(program) = peers.iter().find(|peer| peer.is_wrapper).and_then(|peer| peer.program.as_ref().ok()) else {
        return Ok(String::new());
    };
    let said = target.run(program, Job { name: "beside", size: None }, REPORTS)?;
    let mut table = Table::new(&["each report", "CPU µs from C", "CPU µs from Go", "more CPU µs", "more µs"]);
    for (name, kind) in KINDS {
        let mut row = vec![kind.to_owned()];
        for figure in ["c_us", "go_us", "more_us", "more_wall_us"] {
            row.push(cell(&said, &format!("{name}_{figure}"))?);
        }
        table.row(row);
    }
    Ok(table.markdown())
}

/// `median (lower quartile–upper quartile)`.
fn cell(said: &Said, name: &str) -> Result<String> {
    let [median, low, high] = [name.to_owned(), format!("{name}_low"), format!("{name}_high")].map(|n| said.get(&n));
    Ok(format!("{:.1} ({:.1}–{:.1})", median?, low?, high?))
}
