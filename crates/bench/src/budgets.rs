//! What libiotda's reports may cost, in counts that do not depend on how fast a machine is: budgets.toml has an entry for
//! each toolchain that they were measured with. The test below fails when one is over its budget, and a change that is
//! worth more changes the file too. Measured against the stand-in platform, so that nothing else need be installed.

use crate::count::{Counted, Runs};
use crate::programs::{self, length};
use crate::run::{Job, TEXT, VALUES, batch};
use crate::same;
use crate::size::functions_of;
use crate::tables::{NOTHING, number};
use anyhow::{Context, Result, ensure};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use testkit::{Package, path, process};
use toml::{Table, Value};

const FILE: &str = "crates/bench/budgets.toml";

/// Groups of figures, and by how much more than its budget one may be. The same source gives the same instructions within
/// much less; sizes change with the compiler's last digit and with the linker. Counts may not grow at all.
const GROUPS: [(&str, f64); 3] = [("instructions", 0.03), ("counts", 0.0), ("sizes", 0.01)];

/// What figures depend on beside the code. The first is the version of the compiler, without its last part.
const SETTING: [&str; 4] = ["rustc", "processor", "glibc", "valgrind"];

/// The features by which the C library and the TLS libraries choose among variants of their code, so that counts of
/// instructions differ where they differ. Only those that valgrind shows to the programs under it where the processor
/// has them; it knows none that is newer.
const FEATURES: [&str; 6] = ["sse4_2", "aes", "pclmulqdq", "avx", "avx2", "bmi2"];

const REPORTS: Runs = Runs { short: 50, long: 550 };
const BATCHES: Runs = Runs { short: 1, long: 5 };
const CHILDREN: u64 = 500;
/// Fewer than make a put wait for a sync.
const PUTS: Runs = Runs { short: 100, long: 1_100 };

/// Figures by name. Each is the less the better.
type Figures = BTreeMap<String, f64>;

/// What was measured, and with what.
struct Measured {
    setting: [String; 4],
    groups: [Figures; 3],
}

/// Measures, and writes the file anew: the entry of this toolchain, beside the others.
pub fn write() -> Result<()> {
    let here = measure(&Package::shipped()?, &crate::target().join("bench"))?;
    let text = testkit::read(FILE)?;
    print!("{}", compare(&text.parse()?, &here).0);
    fs::write(path(FILE), renewed(&text, &here)?).with_context(|| format!("cannot write {FILE}"))?;
    println!("{FILE} is written");
    Ok(())
}

/// Such as `1.85.1`.
pub fn rustc() -> Result<String> {
    let program = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = process::output(Command::new(program).arg("--version"))?;
    Ok(version.split(' ').nth(1).context("rustc has no version")?.to_owned())
}

/// Such as `3.19.0`.
pub fn valgrind() -> Result<String> {
    let version = process::output(Command::new("valgrind").arg("--version"))?;
    Ok(version.trim().trim_start_matches("valgrind-").to_owned())
}

fn setting() -> Result<[String; 4]> {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let has = cpu.lines().find_map(|line| line.strip_prefix("flags")).unwrap_or_default();
    let known = FEATURES.into_iter().filter(|feature| has.split(' ').any(|other| other == *feature));
    let processor = [std::env::consts::ARCH].into_iter().chain(known).collect::<Vec<_>>().join(" ");
    let rustc = rustc()?.split('.').take(2).collect::<Vec<_>>().join(".");
    Ok([rustc, processor, programs::libc()?, valgrind()?])
}

/// Builds the program that reports through an installed libiotda, and counts.
fn measure(package: &Package, dir: &Path) -> Result<Measured> {
    fs::create_dir_all(dir)?;
    let program = programs::libiotda(package, dir)?;
    let (_platform, target) = same::platform(dir)?;
    let counted = Counted { target: &target, program: &program, dir };
    let [mut instructions, mut counts, mut sizes] = [(); 3].map(|()| Figures::new());

    let object = Job("object", None);
    for (name, job) in [
        ("report_from_values", VALUES),
        ("report_from_object", object),
        ("report_from_text", TEXT),
        ("message", Job("message", None)),
    ] {
        instructions.insert(name.to_owned(), counted.instructions(job, REPORTS)?.round());
        let [allocations, bytes] = counted.heap(job, REPORTS)?;
        counts.insert(format!("allocations_of_{name}"), allocations);
        counts.insert(format!("bytes_allocated_of_{name}"), bytes);
    }
    let outbox = programs::outbox(package, dir)?;
    let counted_outbox = Counted { target: &target, program: &outbox, dir };
    let put = Job("put", None);
    instructions.insert("outbox_put".to_owned(), counted_outbox.instructions(put, PUTS)?.round());
    // The names are there to be found.
    ensure!(functions_of("iotda::outbox", &outbox.with_extension(""))? > 0, "the outbox has no function of a name");
    let per_child = |value: f64| value / CHILDREN as f64;
    let children = per_child(counted.instructions(batch(CHILDREN), BATCHES)?);
    instructions.insert("child_of_batch".to_owned(), children.round());
    let traffic = counted.traffic(object, REPORTS)?;
    let times = (REPORTS.long - REPORTS.short) as f64;
    let mut nm = Command::new("nm");
    nm.args(["--defined-only", "--dynamic", "--format=posix"]).arg(package.file("lib/libiotda.so"));
    // Beside the functions, the name of the version that they have is listed.
    let symbols = process::output(&mut nm)?.lines().filter(|line| line.starts_with("iotda_")).count();
    for (name, value) in [
        ("allocations_of_child_of_batch", per_child(counted.heap(batch(CHILDREN), BATCHES)?[0])),
        ("bytes_sent_of_report", traffic.sent.bytes as f64 / times),
        ("records_sent_of_report", traffic.sent.records as f64 / times),
        ("round_trips_to_first_report", counted.passed(object, 0, Duration::ZERO)?.round_trips() as f64),
        ("allocations_of_outbox_put", counted_outbox.heap(put, PUTS)?[0]),
        ("system_calls_of_outbox_put", counted_outbox.system_calls(put, PUTS)?),
        // Nothing of it is in a program that does not use it.
        ("outbox_functions_without_outbox", functions_of("iotda::outbox", &program.with_extension(""))? as f64),
        ("system_calls_of_report", counted.system_calls(object, REPORTS)?),
        ("symbols_of_shared_library", symbols as f64),
    ] {
        counts.insert(name.to_owned(), value);
    }
    counts.values_mut().for_each(|value| *value = (*value * 10.0).round() / 10.0);
    // An older C library's program is no measure for this one.
    let (program_name, outbox_name) = match programs::packs_relocations()? {
        true => ("program_stripped", "program_with_outbox_stripped"),
        false => ("program_stripped_unpacked", "program_with_outbox_stripped_unpacked"),
    };
    for (name, file) in [
        ("archive", package.file("lib/libiotda.a")),
        ("shared_library", package.file("lib/libiotda.so")),
        (program_name, program.clone()),
        (outbox_name, outbox.clone()),
    ] {
        sizes.insert(name.to_owned(), length(&file)? as f64);
    }
    Ok(Measured { setting: setting()?, groups: [instructions, counts, sizes] })
}

fn entries(file: &Table) -> impl Iterator<Item = &Table> {
    file.get("toolchain").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_table)
}

/// Whether an entry was measured with the same of the first so many parts of the setting.
fn is_of(entry: &Table, here: &Measured, parts: usize) -> bool {
    SETTING
        .iter()
        .zip(&here.setting)
        .take(parts)
        .all(|(name, value)| entry.get(*name).and_then(Value::as_str) == Some(value))
}

/// A figure of a table of the file.
fn figure(table: Option<&Value>, name: &str) -> Option<f64> {
    let value = table?.get(name)?;
    value.as_float().or_else(|| value.as_integer().map(|number| number as f64))
}

/// A text that shows all figures, and those that are over a budget or a limit.
fn compare(file: &Table, here: &Measured) -> (String, Vec<String>) {
    let same = entries(file).find(|entry| is_of(entry, here, SETTING.len()));
    let similar = same.or_else(|| entries(file).find(|entry| is_of(entry, here, 1)));
    let mut text = match (same, similar) {
        (Some(_), _) => String::new(),
        (None, Some(_)) => format!("No budgets are of just {:?}: instructions are only shown.\n", here.setting),
        (None, None) => format!("There are no budgets for rustc {}: held to the limits alone.\n", here.setting[0]),
    };
    let mut over = Vec::new();
    for ((group, may_grow), figures) in GROUPS.iter().zip(&here.groups) {
        let entry = if *group == "instructions" { same } else { similar };
        for (name, &value) in figures {
            let decimals = usize::from(value.fract() != 0.0);
            let shown = |value: Option<f64>| value.map_or_else(|| NOTHING.to_owned(), |value| number(value, decimals));
            let budget = entry.and_then(|entry| figure(entry.get(*group), name));
            let limit = figure(file.get("limits"), name);
            let [now, most, least_upper] = [Some(value), budget, limit].map(shown);
            // Writing to a string does not fail.
            let _ = writeln!(text, "   {name:<42} {now:>12}   budget {most:>12}   limit {least_upper:>12}");
            if budget.is_some_and(|budget| value > budget * (1.0 + may_grow)) {
                over.push(format!("{name} is {now}, its budget {most}"));
            } else if limit.is_some_and(|limit| value > limit) {
                over.push(format!("{name} is {now}, its limit {least_upper}"));
            }
        }
    }
    (text, over)
}

/// The file with the entry of this toolchain, in place of the former one. Comments and limits, which are written by hand,
/// stay as they are.
fn renewed(text: &str, here: &Measured) -> Result<String> {
    let (head, _) = text.split_once("\n[[toolchain]]").unwrap_or((text, ""));
    let file: Table = text.parse()?;
    let others = entries(&file).filter(|entry| !is_of(entry, here, SETTING.len()));
    let mut blocks: Vec<String> = others
        .map(|entry| {
            block(
                |name| entry.get(name).and_then(Value::as_str).unwrap_or_default().to_owned(),
                |group| {
                    entry
                        .get(group)
                        .and_then(Value::as_table)
                        .into_iter()
                        .flat_map(|table| {
                            table.keys().filter_map(|name| Some((name.clone(), figure(entry.get(group), name)?)))
                        })
                        .collect()
                },
            )
        })
        .collect();
    blocks.push(block(
        |name| here.setting[SETTING.iter().position(|other| *other == name).unwrap_or_default()].clone(),
        |group| here.groups[GROUPS.iter().position(|other| other.0 == group).unwrap_or_default()].clone(),
    ));
    // By the version of rustc, which comes first.
    blocks.sort();
    Ok(format!("{}\n{}", head.trim_end_matches('\n').to_owned() + "\n", blocks.join("\n")))
}

fn block(setting: impl Fn(&str) -> String, group: impl Fn(&str) -> Figures) -> String {
    let mut text = "[[toolchain]]\n".to_owned();
    for name in SETTING {
        // As in JSON, whose strings are TOML's.
        let _ = writeln!(text, "{name} = {}", serde_json::json!(setting(name)));
    }
    for (name, _) in GROUPS {
        let _ = writeln!(text, "[toolchain.{name}]");
        group(name).iter().for_each(|(name, value)| {
            let _ = writeln!(text, "{name} = {value}");
        });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::bail;
    use testkit::Tool;

    #[test]
    fn no_report_costs_more_than_its_budget() -> Result<()> {
        for tool in [Tool::Program("valgrind", "valgrind"), Tool::Program("strace", "strace")] {
            if testkit::is_missing(tool) {
                return Ok(());
            }
        }
        let here = measure(&Package::shipped()?, &testkit::scratch()?)?;
        let (text, over) = compare(&testkit::read(FILE)?.parse()?, &here);
        println!("{text}");
        if over.is_empty() {
            return Ok(());
        }
        bail!("over budget: {}\nIf it is worth that, run cargo xtask bench --budgets and say why", over.join("; "))
    }

    fn measured(setting: [&str; 4], figures: [f64; 3]) -> Measured {
        let names = ["report", "system_calls", "archive"];
        let groups = [0, 1, 2].map(|group| Figures::from([(names[group].to_owned(), figures[group])]));
        Measured { setting: setting.map(String::from), groups }
    }

    const HERE: [&str; 4] = ["1.95", "x86_64 avx2", "2.36", "3.19.0"];
    const LIMITS: &str = "# By hand.\n\n[limits]\nreport = 5000\nsystem_calls = 4\n";

    fn file() -> String {
        renewed(LIMITS, &measured(HERE, [1000.0, 3.0, 1_000_000.0])).unwrap()
    }

    fn over(setting: [&str; 4], figures: [f64; 3]) -> Vec<String> {
        compare(&file().parse().unwrap(), &measured(setting, figures)).1
    }

    #[test]
    fn the_file_is_read_as_it_was_written() {
        let text = file();
        assert!(text.starts_with(LIMITS), "{text}");
        assert_eq!(renewed(&text, &measured(HERE, [1000.0, 3.0, 1_000_000.0])).unwrap(), text);
        let two = renewed(&text, &measured(["1.85", "x86_64", "2.41", "3.24.0"], [1.0, 3.5, 2.0])).unwrap();
        assert!(two.find("\"1.85\"").unwrap() < two.find("\"1.95\"").unwrap() && two.contains("system_calls = 3.5\n"));
        let kept = testkit::read(FILE).unwrap();
        let entry = |kept: &Table| entries(kept).next().unwrap().clone();
        let first = entry(&kept.parse().unwrap());
        let setting = SETTING.map(|name| first.get(name).and_then(Value::as_str).unwrap().to_owned());
        let groups = GROUPS.map(|(group, _)| {
            let names = first.get(group).and_then(Value::as_table).unwrap().keys();
            names.map(|name| (name.clone(), figure(first.get(group), name).unwrap())).collect()
        });
        assert_eq!(renewed(&kept, &Measured { setting, groups }).unwrap(), kept);
    }

    #[test]
    fn what_grows_is_over() {
        assert!(over(HERE, [1030.0, 3.0, 1_010_000.0]).is_empty());
        assert_eq!(over(HERE, [1031.0, 3.0, 1_000_000.0]), ["report is 1,031, its budget 1,000"]);
        assert_eq!(over(HERE, [1000.0, 3.1, 1_000_000.0]), ["system_calls is 3.1, its budget 3.0"]);
        assert_eq!(over(HERE, [1000.0, 3.0, 1_010_001.0]), ["archive is 1,010,001, its budget 1,000,000"]);
    }

    #[test]
    fn another_machine_is_held_to_what_does_not_depend_on_it() {
        let other = ["1.95", "x86_64 avx2", "2.41", "3.19.0"];
        assert_eq!(over(other, [4000.0, 4.0, 1.0]), ["system_calls is 4, its budget 3"]);
    }

    #[test]
    fn another_compiler_is_held_to_the_limits() {
        assert_eq!(over(["1.99", "", "", ""], [5001.0, 4.0, 9e9]), ["report is 5,001, its limit 5,000"]);
    }
}
