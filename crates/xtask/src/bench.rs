//! `cargo xtask bench`: the same reports by libiotda and by what one would use instead, to the same server, by turns.
//! This file holds the order of things, and the tables.

mod beside;
pub(crate) mod budgets;
mod cores;
mod counts;
mod curl;
mod document;
mod job;
mod machine;
mod measure;
mod own;
mod peers;
mod relay;
mod same;
mod scaling;
mod server;
mod size;
mod table;

use crate::project::Project;
use crate::provision::{self, FOR_BENCH, FOR_BENCH_PEERS, FOR_BUDGETS};
use anyhow::{Context, Result, anyhow};
use job::Target;
use measure::Figures;
use server::Server;
use std::fs;

const ROUNDS: usize = 7;
/// Where `--write` puts the tables.
const DOCUMENT: &str = "examples/bench/README.md";

pub(crate) fn run(project: &Project, write: bool) -> Result<()> {
    provision::ensure(project, &[FOR_BUDGETS, FOR_BENCH].concat())?;
    if let Err(error) = provision::ensure(project, FOR_BENCH_PEERS) {
        println!("Without some of the peers: {error:#}");
    }
    let dir = project.target().join("bench");
    fs::create_dir_all(&dir)?;
    println!("Building ...");
    let prefix = peers::install(project)?;
    let mut peers = peers::build(project, &prefix, &dir);
    for peer in &mut peers {
        let checked = peer.program.as_ref().map_or(Ok(()), |program| same::check(peer, program, &dir));
        if let Err(error) = checked {
            peer.program = Err(error);
        }
    }
    let server_dir = project.empty_dir("bench/server")?;
    let (for_server, for_programs) = cores::split();
    let server = Server::start(&server_dir, &for_server)?;
    let everywhere = Target::new(server.keeping, &server.ca_file);
    let target = everywhere.on(for_programs);
    let mut figures: Vec<Figures> = peers.iter().map(|_| Figures::default()).collect();
    measure::timed(&peers, &mut figures, &target, ROUNDS)?;
    for (peer, figures) in peers.iter().zip(&mut figures) {
        measure::counted(peer, figures, &target, &server, &dir).with_context(|| peer.name.clone())?;
    }
    println!("From Go and from C ...");
    let beside = beside::table(&peers, &target)?;
    let program = peers[1].program.as_ref().map_err(|error| anyhow!("libiotda's own program: {error:#}"))?;
    println!("Scaling ...");
    let scaling = [
        scaling::threads(&everywhere, program)?,
        scaling::devices(&target, program)?,
        scaling::children(&target, program, &dir)?,
    ];
    println!("Sizes ...");
    let size = size::table(project, &prefix, program)?;
    let text = document::text(&peers, &figures, &beside, &scaling, &size, &prefix)?;
    println!("\n{text}");
    if write { document::write(&project.path(DOCUMENT), &text) } else { Ok(()) }
}
