//! Which of the processor's cores the server and the programs have. Where the two meet is else the kernel's choice, made
//! anew all the time, and a report takes half or twice as long by it.

use crate::process;
use std::fs;
use std::process::Command;

/// A list of cores as `taskset -c` takes it, or `None` for all.
pub(super) type List = Option<String>;

/// The lists for the server and for the programs. A server with one thread needs no more than one.
pub(super) fn split() -> (List, List) {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let can_be_set = process::succeeds(Command::new("taskset").arg("--version"));
    allowed(&status).filter(|_| can_be_set).map_or((None, None), |cores| halves(&cores))
}

fn halves(cores: &[u32]) -> (List, List) {
    match cores {
        [first, others @ ..] if !others.is_empty() => {
            let others: Vec<String> = others.iter().map(u32::to_string).collect();
            (Some(first.to_string()), Some(others.join(",")))
        }
        _ => (None, None),
    }
}

/// The cores of the line `Cpus_allowed_list: 0-1,4`.
fn allowed(status: &str) -> Option<Vec<u32>> {
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
    let mut cores = Vec::new();
    for range in list.trim().split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        cores.extend(first.parse::<u32>().ok()?..=last.parse().ok()?);
    }
    Some(cores)
}

/// A command on the cores of a list.
pub(super) fn command_on(list: &List, program: &str) -> Command {
    match list {
        None => Command::new(program),
        Some(list) => {
            let mut taskset = Command::new("taskset");
            taskset.args(["-c", list, program]);
            taskset
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_has_a_core_of_its_own() {
        let cores = allowed("Name:\tx\nCpus_allowed_list:\t0-1,4\n").unwrap();
        assert_eq!(cores, [0, 1, 4]);
        assert_eq!(halves(&cores), (Some("0".to_owned()), Some("1,4".to_owned())));
        assert_eq!(halves(&[3]), (None, None));
        assert_eq!(allowed("Name:\tx\n"), None);
    }
}
