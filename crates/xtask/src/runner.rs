//! Runs steps side by side, as many as there are cores: each is a few commands whose output goes to a log. Says what has
//! begun and ended, and never nothing for more than ten seconds.

use anyhow::{Context, Result, bail};
use devkit::process::{self, Unavailable};
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{IsTerminal, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

/// At most so long, nothing is said.
const SILENCE: Duration = Duration::from_secs(10);

/// Makes a step's commands, once all steps that it needs have ended well.
pub(crate) type Work<'a> = Box<dyn FnOnce() -> Result<Vec<Command>> + Send + 'a>;

/// A part of a run, by its name.
pub(crate) struct Step<'a> {
    pub(crate) name: String,
    /// Steps that must have ended well before it begins.
    pub(crate) needs: Vec<&'static str>,
    /// Steps that must have ended: it would wait for what they hold.
    pub(crate) after: Vec<&'static str>,
    pub(crate) work: Work<'a>,
}

impl Step<'_> {
    pub(crate) fn after(self, after: &[&'static str]) -> Self {
        Self { after: after.to_vec(), ..self }
    }
}

/// How a step ended.
#[derive(Clone, Debug, Default, PartialEq)]
struct End {
    passed: u64,
    failed: u64,
    skipped: Vec<String>,
    /// What to show of a failure.
    why: String,
    /// Seconds of processor time.
    cpu: f64,
}

/// How a run ended.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Summary {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) skipped: u64,
    /// The steps that failed.
    pub(crate) names: Vec<String>,
}

/// Runs all steps. One that fails does not end the run; those that need it are not run, and count as failed.
pub(crate) fn run(steps: Vec<Step>, logs: &Path) -> Result<Summary> {
    fs::create_dir_all(logs).with_context(|| format!("cannot create {}", logs.display()))?;
    let lanes = thread::available_parallelism().map_or(2, usize::from).clamp(2, 4);
    let mut waiting = steps;
    let mut running: BTreeMap<String, Instant> = BTreeMap::new();
    let mut ended: BTreeMap<String, bool> = BTreeMap::new();
    let mut summary = Summary::default();
    let mut screen = Screen::new();
    let (sender, ends) = mpsc::channel();
    thread::scope(|scope| {
        while !waiting.is_empty() || !running.is_empty() {
            while running.len() < lanes {
                let is_due = |name: &str| running.contains_key(name) || waiting.iter().any(|step| step.name == name);
                let is_ready = |step: &Step| !step.needs.iter().chain(&step.after).any(|name| is_due(name));
                let Some(next) = waiting.iter().position(is_ready) else { break };
                let step = waiting.remove(next);
                if let Some(lacking) = step.needs.iter().find(|name| ended.get(**name) == Some(&false)) {
                    screen.line(&format!("FAILED {}: not run, since {lacking} failed", step.name));
                    summary.failed += 1;
                    summary.names.push(step.name.clone());
                    ended.insert(step.name, false);
                    continue;
                }
                running.insert(step.name.clone(), Instant::now());
                let (sender, log) = (sender.clone(), logs.join(format!("{}.log", step.name)));
                scope.spawn(move || perform(step, &log, &sender));
            }
            match ends.recv_timeout(screen.patience()) {
                Ok((name, end)) => {
                    let took = running.remove(&name).map_or(0.0, |begin| begin.elapsed().as_secs_f64());
                    report(&mut screen, &name, &end, took);
                    summary.passed += end.passed;
                    summary.failed += end.failed;
                    summary.skipped += end.skipped.len() as u64;
                    if end.failed > 0 {
                        summary.names.push(name.clone());
                    }
                    ended.insert(name, end.failed == 0);
                }
                Err(RecvTimeoutError::Timeout) => screen.status(&running, logs),
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
    });
    screen.clear();
    Ok(summary)
}

fn report(screen: &mut Screen, name: &str, end: &End, took: f64) {
    let word = if end.failed > 0 { "FAILED" } else { "ok" };
    let counts = format!("{} passed, {} failed, {} skipped", end.passed, end.failed, end.skipped.len());
    screen.line(&format!("{word:<6} {name:<16} {took:>6.1} s, {:>6.1} s of processor time; {counts}", end.cpu));
    end.skipped.iter().for_each(|skipped| screen.line(&format!("       skipped: {skipped}")));
    end.why.lines().for_each(|line| screen.line(&format!("       {line}")));
}

fn perform(step: Step, log: &Path, ends: &Sender<(String, End)>) {
    let end = commands(step.work, log).unwrap_or_else(|error| match error.downcast_ref::<Unavailable>() {
        Some(reason) => End { skipped: vec![reason.to_string()], ..End::default() },
        None => End { failed: 1, why: format!("{error:#}"), ..End::default() },
    });
    // The receiver outlives the thread.
    let _ = ends.send((step.name, end));
}

fn commands(work: Work, log: &Path) -> Result<End> {
    File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
    let mut failed = Vec::new();
    for command in work()? {
        let output = OpenOptions::new().append(true).open(log)?;
        let line = process::line(&command);
        let mut command = timed(&command);
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let code = command.status().with_context(|| format!("cannot start {line}"))?.code();
        match code {
            Some(0) => {}
            Some(code) if code == i32::from(process::UNAVAILABLE) => {
                let text = fs::read_to_string(log)?;
                let reason =
                    text.lines().find(|line| line.starts_with("error: ")).unwrap_or("error: it does not say why");
                return Ok(End { skipped: vec![reason.trim_start_matches("error: ").to_owned()], ..End::default() });
            }
            _ => failed.push(line),
        }
    }
    let text = String::from_utf8_lossy(&fs::read(log)?).into_owned();
    let mut end = judge(&text);
    if !failed.is_empty() {
        end.failed = end.failed.max(1);
        let failed: String = failed.join("\n").chars().take(300).collect();
        end.why = format!("{}\nThis failed: {failed}\nAll of it is in {}", excerpt(&text), log.display());
    } else if end.failed > 0 {
        bail!("its tests failed and it did not: {}", log.display());
    } else if end.passed == 0 && end.skipped.is_empty() {
        end.passed = 1;
    }
    Ok(end)
}

/// The same command, but that it is run by a shell, which says how much processor time it took.
fn timed(command: &Command) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", "\"$@\"; code=$?; echo processor time:; times; exit $code", "sh"]);
    shell.arg(command.get_program()).args(command.get_args());
    if let Some(dir) = command.get_current_dir() {
        shell.current_dir(dir);
    }
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    shell
}

/// What a log says of the tests in it, and of processor time.
fn judge(log: &str) -> End {
    let mut end = End::default();
    let mut passed_by_skipping = 0;
    let mut lines = log.lines();
    while let Some(line) = lines.next() {
        if let Some((_, counts)) = line.split_once("test result: ") {
            let count = |word: &str| -> u64 {
                let part = counts.split([';', '.']).find(|part| part.trim_end().ends_with(word));
                part.and_then(|part| part.trim().split(' ').next()?.parse().ok()).unwrap_or_default()
            };
            end.passed += count("passed");
            end.failed += count("failed");
            end.skipped.extend((0..count("ignored")).map(|_| "a test that is marked #[ignore]".to_owned()));
        } else if let Some((_, reason)) = line.split_once("skipped: ") {
            // Its test says nothing else, and so passes.
            end.skipped.push(reason.to_owned());
            passed_by_skipping += 1;
        } else if line == "processor time:" {
            // A line for the shell, and one for what it ran: 1m2.500s 0m0.250s.
            end.cpu += lines.nth(1).unwrap_or_default().split(' ').filter_map(seconds).sum::<f64>();
        }
    }
    end.passed = end.passed.saturating_sub(passed_by_skipping);
    end
}

fn seconds(text: &str) -> Option<f64> {
    let (minutes, seconds) = text.trim_end_matches('s').split_once('m')?;
    Some(minutes.parse::<f64>().ok()? * 60.0 + seconds.parse::<f64>().ok()?)
}

/// The part of a log that says what failed: of the tests' own report, or the end.
fn excerpt(log: &str) -> String {
    const MOST: usize = 60;
    let lines: Vec<&str> = log.lines().collect();
    let from = lines.iter().position(|line| line.starts_with("failures:") || line.starts_with("error"));
    let from = from.unwrap_or_else(|| lines.len().saturating_sub(MOST));
    lines[from..].iter().take(MOST).copied().collect::<Vec<_>>().join("\n")
}

/// What the user sees: lines, and on a terminal one more with what is going on.
struct Screen {
    is_terminal: bool,
    last: Instant,
}

impl Screen {
    fn new() -> Self {
        Self { is_terminal: std::io::stdout().is_terminal(), last: Instant::now() }
    }

    /// How long to wait for the next thing to say.
    fn patience(&self) -> Duration {
        if self.is_terminal { Duration::from_secs(1) } else { SILENCE.saturating_sub(self.last.elapsed()) }
    }

    fn line(&mut self, text: &str) {
        self.clear();
        println!("{text}");
        self.last = Instant::now();
    }

    fn clear(&self) {
        if self.is_terminal {
            print!("\r\x1b[K");
        }
    }

    fn status(&mut self, running: &BTreeMap<String, Instant>, logs: &Path) {
        let of = |(name, begin): (&String, &Instant)| {
            let doing = last_line(&logs.join(format!("{name}.log"))).unwrap_or_default();
            format!("{name} {} s{doing}", begin.elapsed().as_secs())
        };
        let text = running.iter().map(of).collect::<Vec<_>>().join(" | ");
        if self.is_terminal {
            self.clear();
            print!("{}", text.chars().take(100).collect::<String>());
            // If it cannot be shown, nobody sees it.
            let _ = std::io::stdout().flush();
            self.last = Instant::now();
        } else {
            self.line(&format!("       ... {text}"));
        }
    }
}

/// What a step says that it does.
fn last_line(log: &PathBuf) -> Option<String> {
    let text = String::from_utf8_lossy(&fs::read(log).ok()?).into_owned();
    let line = text.lines().rfind(|line| !line.trim().is_empty())?;
    Some(format!(": {}", line.trim().chars().take(50).collect::<String>()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step<'a>(name: &str, needs: &[&'static str], script: &'static str) -> Step<'a> {
        let work = move || {
            let mut command = Command::new("sh");
            command.args(["-c", script]);
            Ok(vec![command])
        };
        Step { name: name.to_owned(), needs: needs.to_vec(), after: Vec::new(), work: Box::new(work) }
    }

    fn logs(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("xtask-{name}-{}", std::process::id()))
    }

    #[test]
    fn a_failure_does_not_hide_the_others() {
        let steps = vec![
            step("a", &[], "echo 'test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured'; exit 1"),
            step("b", &["a"], "exit 0"),
            step("c", &[], "echo 'test result: ok. 4 passed; 0 failed; 0 ignored'; echo 'skipped: x: y is missing'"),
            step("d", &["c"], "exit 0"),
            step("e", &[], "echo 'error: no root here'; exit 77"),
        ];
        let logs = logs("failure");
        let mut summary = run(steps, &logs).unwrap();
        summary.names.sort();
        let names = ["a", "b"].map(String::from).to_vec();
        assert_eq!(summary, Summary { passed: 2 + 3 + 1, failed: 2, skipped: 2, names });
        fs::remove_dir_all(logs).unwrap();
    }

    #[test]
    fn logs_are_understood() {
        let log = "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 3 filtered out; finished in 0.1s\n\
                   processor time:\n0m0.010s 0m0.020s\n1m2.500s 0m0.250s\n";
        let end = judge(log);
        assert_eq!((end.passed, end.failed, end.skipped.len(), end.cpu), (12, 0, 1, 62.75));
    }

    #[test]
    fn of_a_log_the_failures_are_shown() {
        assert_eq!(excerpt("a\nfailures:\nb\n"), "failures:\nb");
        assert_eq!(excerpt("a\nb\n"), "a\nb");
    }
}
