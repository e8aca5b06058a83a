//! `cargo xtask bench`: the same reports by libiotda and by what one would use instead, to the same server, by turns. The
//! programs are in peers/, the tables go to README.md. `--budgets` counts what libiotda's own reports cost instead: see
//! budgets.rs. What may be missing on the machine has been installed by xtask, or named.

#![forbid(unsafe_code)]

mod budgets;
mod count;
mod figures;
mod programs;
mod relay;
mod run;
mod same;
mod server;
mod size;
mod tables;

use anyhow::{Context, Result, anyhow, bail};
use figures::Figures;
use programs::Peer;
use run::Target;
use server::Server;
use std::env;
use std::fs;
use std::process::Command;
use testkit::{Package, path, process, target};

/// Runs of which the medians are taken.
const ROUNDS: usize = 30;
/// Where `--write` puts the tables, and the lines around them.
const DOCUMENT: &str = "crates/bench/README.md";
const BEGIN: &str = "<!-- Written by cargo xtask bench --write: begin -->\n";
const END: &str = "<!-- Written by cargo xtask bench --write: end -->\n";

fn main() -> Result<()> {
    // xtask hands over its flags without their dashes.
    let flags: Vec<String> = env::args().skip(1).collect();
    if let Some(unknown) = flags.iter().find(|flag| !["write", "budgets"].contains(&flag.as_str())) {
        bail!("it takes \"write\" and \"budgets\", not \"{unknown}\"");
    }
    let has = |name: &str| flags.iter().any(|flag| flag == name);
    if has("budgets") { budgets::write() } else { compare(has("write")) }
}

fn compare(write: bool) -> Result<()> {
    let dir = target().join("bench");
    fs::create_dir_all(&dir)?;
    println!("Building ...");
    let package = Package::shipped()?;
    let mut peers = programs::build(&package, &dir);
    for peer in &mut peers {
        let checked = peer.program.as_ref().map_or(Ok(()), |program| same::check(peer, program, &dir));
        if let Err(error) = checked {
            peer.program = Err(error);
        }
    }
    let (for_server, for_programs) = run::split_cores();
    let server_dir = dir.join("server");
    let _ = fs::remove_dir_all(&server_dir);
    let server = Server::start(&server_dir.join("pinned"), for_server.as_deref())?;
    let anywhere = Server::start(&server_dir.join("anywhere"), None)?;
    let everywhere = Target { port: anywhere.keeping, ca_file: anywhere.ca_file.clone(), cores: None };
    let target = Target { port: server.keeping, ca_file: server.ca_file.clone(), cores: for_programs };
    let bundle = figures::bundle(&everywhere, &dir)?;
    let mut figures: Vec<Figures> = peers.iter().map(|_| Figures::default()).collect();
    figures::timed(&peers, &mut figures, [&target, &everywhere], bundle.as_ref(), ROUNDS)?;
    for (peer, figures) in peers.iter().zip(&mut figures) {
        figures::counted(peer, figures, &target, &server, &dir).with_context(|| peer.name.clone())?;
        if let Some(bundle) = &bundle {
            figures::with_bundle(peer, figures, [&everywhere, bundle], &dir).with_context(|| peer.name.clone())?;
        }
    }
    let mut parts = vec![introduction()?];
    parts.extend(tables::of_programs(&peers, &figures));
    println!("From Go and from C ...");
    let wrapper = peers.iter().find(|peer| peer.name == programs::WRAPPER).and_then(|peer| peer.program.as_ref().ok());
    if let Some(program) = wrapper {
        parts.push(
            "The same report from Go and from C, by turns in one process: medians, in brackets the quartiles. A context \
             that can end is watched while the report is under way."
                .to_owned(),
        );
        parts.push(tables::beside(program, &target)?);
    }
    println!("Scaling ...");
    let program = peers[1].program.as_ref().map_err(|error| anyhow!("libiotda's own program: {error:#}"))?;
    parts.push(
        "How libiotda scales. The round trip is made by a relay on the same cores, which limits 256 threads."
            .to_owned(),
    );
    parts.push(tables::threads(&everywhere, program)?);
    parts.push(tables::devices(&target, program)?);
    parts.push(tables::children(&target, program, &dir)?);
    parts.push(
        "A batch of 50 children to the stand-in platform, which refuses it whole if it does not know one of them. The \
         library finds out which one, delivers the others, and leaves it out for the next ten minutes."
            .to_owned(),
    );
    parts.push(tables::unknown(program, &dir)?);
    println!("Sizes ...");
    parts.extend([size::shipped(&package)?, size::table(&package, program)?]);
    parts.extend(missing(&peers));
    let versions =
        peers.iter().filter(|peer| peer.program.is_ok()).map(|peer| format!("{} ({})", peer.name, peer.versions));
    parts.push(format!("Versions: {}.", versions.collect::<Vec<_>>().join("; ")));
    let text = parts.iter().map(|part| format!("{}\n", part.trim_end())).collect::<Vec<_>>().join("\n");
    println!("\n{text}");
    if write {
        let document = testkit::read(DOCUMENT)?;
        fs::write(path(DOCUMENT), replaced(&document, &text).context("it has no place for the tables")?)?;
    }
    Ok(())
}

fn introduction() -> Result<String> {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let cpu = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let nginx = ["nginx-light", "nginx-core", "nginx"].map(programs::package_version);
    Ok(format!(
        "The property report of the platform's documentation (123 bytes) over TLS 1.2 (ECDSA P-256, AES-256-GCM) and a \
         kept connection, to nginx on the same machine. {} cores of {}; Linux {}, Debian {}, glibc {}, gcc {}, rustc {}, \
         nginx {}, valgrind {}. Times are medians of {ROUNDS} runs by turns, in brackets the quartiles; compare them by \
         their ratios alone. “Pinned”: nginx has the first core and the program another one; else the kernel places both. \
         The rest is counted.",
        std::thread::available_parallelism()?,
        cpu.map_or("unknown processor", |(_, name)| name),
        kernel.trim().split(['-', '+']).next().unwrap_or_default(),
        fs::read_to_string("/etc/debian_version").unwrap_or_default().trim(),
        programs::libc()?,
        process::output(Command::new("cc").arg("-dumpfullversion"))?.trim(),
        budgets::rustc()?,
        nginx.iter().find(|version| *version != "?").map_or("?", String::as_str),
        budgets::valgrind()?,
    ))
}

/// What was not measured, and why.
fn missing(peers: &[Peer]) -> Option<String> {
    let reasons = peers.iter().filter_map(|peer| {
        let reason = format!("{:#}", peer.program.as_ref().err()?);
        // The command that failed is of this machine; what follows it says why.
        let line = reason.lines().find(|line| !line.contains("this failed")).unwrap_or(&reason);
        Some(format!("{}: {line}", peer.name))
    });
    let reasons: Vec<String> = reasons.collect();
    (!reasons.is_empty()).then(|| format!("Not measured: {}.", reasons.join("; ")))
}

/// The document with a text in place of the former one.
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
        assert!(replaced(&testkit::read(DOCUMENT).unwrap(), "new").is_some());
    }
}
