//! The budgets: what libiotda's reports may cost, in counts that do not depend on how fast a machine is. They are in a
//! file, with an entry for each toolchain that they were measured with, and a change that makes one grow must change the
//! file too. No figure here is a time.

use super::own::{self, Costs, Named, Setting};
use super::peers;
use super::table::number;
use crate::project::Project;
use crate::provision;
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::fmt::Write;
use std::fs;
use std::path::Path;

const FILE: &str = "crates/xtask/budgets.toml";

/// By how much more than the budget a figure may be. The same source gives the same instructions within much less;
/// sizes change with the compiler's last digit and with the linker. Counts may not grow at all.
const INSTRUCTIONS_MAY_GROW: f64 = 0.03;
const SIZES_MAY_GROW: f64 = 0.01;

const COMMENT: &str = "\
# What libiotda's reports may cost. `cargo xtask test` fails when a figure is over its budget: an instruction count by more
# than 3 %, a size by more than 1 %, any other count at all. A change that is worth more changes this file too:
# `cargo xtask bench --budgets` measures and rewrites the entry of the toolchain that it runs with.
#
# Instructions are held to an entry only where all of its toolchain is the same, counts and sizes where the version of
# rustc is. The limits hold for all toolchains; they are written by hand.
";

#[derive(Clone, Debug, PartialEq)]
struct Entry {
    setting: Setting,
    costs: Costs,
}

#[derive(Debug, Default, PartialEq)]
struct Budgets {
    limits: Named,
    entries: Vec<Entry>,
}

/// Fails if a figure is over its budget.
pub(crate) fn check(project: &Project, prefix: &Path, dir: &Path) -> Result<()> {
    let budgets = Budgets::read(&project.path(FILE))?;
    let here = Entry { setting: Setting::here()?, costs: own::costs(project, prefix, dir)? };
    let (text, over) = budgets.compare(&here);
    print!("{text}");
    if over.is_empty() {
        return Ok(());
    }
    bail!("over budget: {}\nIf it is worth that, run cargo xtask bench --budgets and say why", over.join("; "))
}

/// Measures, and writes the file anew.
pub(crate) fn write(project: &Project) -> Result<()> {
    provision::ensure(project, provision::FOR_BUDGETS)?;
    let dir = project.target().join("bench");
    fs::create_dir_all(&dir)?;
    let prefix = peers::install(project)?;
    let here = Entry { setting: Setting::here()?, costs: own::costs(project, &prefix, &dir)? };
    let path = project.path(FILE);
    let mut budgets = Budgets::read(&path)?;
    print!("{}", budgets.compare(&here).0);
    budgets.set(here);
    fs::write(&path, budgets.text()).with_context(|| format!("cannot write {}", path.display()))?;
    println!("{FILE} is written");
    Ok(())
}

impl Budgets {
    fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        Self::parse(&text).with_context(|| format!("in {FILE}"))
    }

    fn parse(text: &str) -> Result<Self> {
        let file: Value = toml::from_str(text)?;
        let entries = file["toolchain"].as_array().into_iter().flatten();
        Ok(Self { limits: named(&file["limits"])?, entries: entries.map(Entry::parse).collect::<Result<_>>()? })
    }

    fn text(&self) -> String {
        let mut text = format!("{COMMENT}\n[limits]\n{}", lines(&self.limits));
        for Entry { setting, costs } in &self.entries {
            text.push_str("\n[[toolchain]]\n");
            let Setting { rustc, processor, glibc, valgrind } = setting;
            for (name, value) in [("rustc", rustc), ("processor", processor), ("glibc", glibc), ("valgrind", valgrind)]
            {
                // As in JSON, whose strings are TOML's.
                let _ = writeln!(text, "{name} = {}", json!(value));
            }
            for (name, figures) in
                [("instructions", &costs.instructions), ("counts", &costs.counts), ("sizes", &costs.sizes)]
            {
                let _ = write!(text, "[toolchain.{name}]\n{}", lines(figures));
            }
        }
        text
    }

    fn set(&mut self, entry: Entry) {
        match self.entries.iter_mut().find(|other| other.setting == entry.setting) {
            Some(other) => *other = entry,
            None => self.entries.push(entry),
        }
        self.entries.sort_by(|a, b| a.setting.rustc.cmp(&b.setting.rustc));
    }

    /// A text that shows all figures, and those that are over a budget or a limit.
    fn compare(&self, here: &Entry) -> (String, Vec<String>) {
        let same = self.entries.iter().find(|entry| entry.setting == here.setting);
        let similar = same.or_else(|| self.entries.iter().find(|entry| entry.setting.rustc == here.setting.rustc));
        let mut text = String::new();
        match (same, similar) {
            (Some(_), _) => {}
            (None, Some(other)) => {
                let _ = writeln!(
                    text,
                    "   The budgets for rustc {} were measured with {:?}, and this is {:?}: instructions are only shown.",
                    other.setting.rustc, other.setting, here.setting
                );
            }
            (None, None) => {
                let _ = writeln!(
                    text,
                    "   There are no budgets for rustc {}: held to the limits alone.",
                    here.setting.rustc
                );
            }
        }
        let mut over = Vec::new();
        let groups = [
            (&here.costs.instructions, same.map(|entry| &entry.costs.instructions), INSTRUCTIONS_MAY_GROW),
            (&here.costs.counts, similar.map(|entry| &entry.costs.counts), 0.0),
            (&here.costs.sizes, similar.map(|entry| &entry.costs.sizes), SIZES_MAY_GROW),
        ];
        for (figures, budgets, may_grow) in groups {
            for (name, value) in figures {
                let budget = budgets.and_then(|budgets| budgets.get(name)).copied();
                let limit = self.limits.get(name).copied();
                let most = budget.map(|budget| budget * (1.0 + may_grow));
                let decimals = usize::from(value.fract() != 0.0);
                let [shown, shown_budget, shown_limit] = [Some(*value), budget, limit].map(|n| number(n, decimals));
                let _ =
                    writeln!(text, "   {name:<42} {shown:>12}   budget {shown_budget:>12}   limit {shown_limit:>12}");
                if most.is_some_and(|most| *value > most) {
                    over.push(format!("{name} is {shown}, its budget {shown_budget}"));
                } else if limit.is_some_and(|limit| *value > limit) {
                    over.push(format!("{name} is {shown}, its limit {shown_limit}"));
                }
            }
        }
        (text, over)
    }
}

impl Entry {
    fn parse(entry: &Value) -> Result<Self> {
        let text = |name: &str| {
            let value = entry[name].as_str().with_context(|| format!("a toolchain without {name}"))?;
            anyhow::Ok(value.to_owned())
        };
        Ok(Self {
            setting: Setting {
                rustc: text("rustc")?,
                processor: text("processor")?,
                glibc: text("glibc")?,
                valgrind: text("valgrind")?,
            },
            costs: Costs {
                instructions: named(&entry["instructions"])?,
                counts: named(&entry["counts"])?,
                sizes: named(&entry["sizes"])?,
            },
        })
    }
}

fn named(table: &Value) -> Result<Named> {
    let members = table.as_object().into_iter().flatten();
    let figure = |(name, value): (&String, &Value)| {
        Ok((name.clone(), value.as_f64().with_context(|| format!("{name} is not a number"))?))
    };
    members.map(figure).collect()
}

fn lines(figures: &Named) -> String {
    let lines: Vec<String> = figures.iter().map(|(name, value)| format!("{name} = {value}\n")).collect();
    lines.concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setting(rustc: &str, glibc: &str) -> Setting {
        let [processor, valgrind] = ["x86_64 avx2", "3.19.0"].map(String::from);
        Setting { rustc: rustc.to_owned(), processor, glibc: glibc.to_owned(), valgrind }
    }

    fn entry(setting: Setting, instructions: f64, calls: f64, archive: f64) -> Entry {
        let one = |name: &str, value| Named::from([(name.to_owned(), value)]);
        let costs = Costs {
            instructions: one("report", instructions),
            counts: one("system_calls", calls),
            sizes: one("archive", archive),
        };
        Entry { setting, costs }
    }

    fn budgets() -> Budgets {
        let limits = Named::from([("system_calls".to_owned(), 4.0), ("report".to_owned(), 5000.0)]);
        let mut budgets = Budgets { limits, entries: Vec::new() };
        budgets.set(entry(setting("1.95", "2.36"), 1000.0, 3.0, 1_000_000.0));
        budgets
    }

    #[test]
    fn the_file_is_read_as_it_was_written() {
        let mut budgets = budgets();
        budgets.set(entry(setting("1.85", "2.41"), 1100.0, 3.5, 900_000.0));
        assert_eq!(Budgets::parse(&budgets.text()).unwrap(), budgets);
        budgets.set(entry(setting("1.85", "2.41"), 1.0, 2.0, 3.0));
        assert_eq!(budgets.entries.len(), 2);
    }

    #[test]
    fn what_grows_is_over() {
        let at = |instructions, calls, archive| {
            budgets().compare(&entry(setting("1.95", "2.36"), instructions, calls, archive)).1
        };
        assert!(at(1030.0, 3.0, 1_010_000.0).is_empty());
        assert_eq!(at(1031.0, 3.0, 1_000_000.0), ["report is 1,031, its budget 1,000"]);
        assert_eq!(at(1000.0, 3.1, 1_000_000.0), ["system_calls is 3.1, its budget 3.0"]);
        assert_eq!(at(1000.0, 3.0, 1_010_001.0), ["archive is 1,010,001, its budget 1,000,000"]);
    }

    #[test]
    fn another_machine_is_held_to_what_does_not_depend_on_it() {
        let (text, over) = budgets().compare(&entry(setting("1.95", "2.41"), 4000.0, 4.0, 1.0));
        assert_eq!(over, ["system_calls is 4, its budget 3"]);
        assert!(text.contains("instructions are only shown"), "{text}");
    }

    #[test]
    fn another_compiler_is_held_to_the_limits() {
        let (text, over) = budgets().compare(&entry(setting("1.99", "2.36"), 5001.0, 4.0, 9e9));
        assert_eq!(over, ["report is 5,001, its limit 5,000"]);
        assert!(text.contains("no budgets for rustc 1.99"), "{text}");
    }
}
