//! `cargo xtask test`: everything that must hold, as steps. What a step does is said in one line of its own; most are the
//! test programs that cargo has built, each run by itself. A single test needs none of this:
//!
//!     cargo test -p libiotda --test c reports

use crate::project::Project;
use crate::runner::{self, Step};
use crate::tools::{self, FOR_BUILD_STD, FOR_ROOT, FOR_TEST, Tool};
use anyhow::{Context, Result, bail, ensure};
use devkit::{checkout, process};
use serde_json::Value;
use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{self as std_process, Command, ExitCode};

/// Those of the crate iotda that are off unless a program in Rust asks for them.
const FEATURES: &str = "iotda/log,iotda/serde,iotda/ureq";
/// Not of the whole workspace, in which tests of iotda-http take its features.
const WITHOUT_FEATURES: &[&str] = &["--package", "iotda", "--package", "iotda-capi", "--no-default-features"];

/// The option for the function that makes the library panic.
const PANIC_HOOK: &str = "-DIOTDA_CARGO_FEATURES=panic-hook-for-tests";

/// What is left out where the answer is to come soon: other processors, a bare Debian, other package managers and
/// compilers, features that are off, Go and the fleet, what is published. It takes two thirds of the time.
const SLOW: [&str; 17] = [
    "aarch64",
    "armhf",
    "conan",
    "cpp",
    "cpp_misuse",
    "debian",
    "dist",
    "features",
    "fleet",
    "go",
    "own-std",
    "package",
    "panic-hook",
    "panics",
    "public_api",
    "variants",
    "without-features",
];

/// Steps that are skipped where their tools cannot be had.
const OPTIONAL: [(&[&str], &[Tool]); 2] = [(&["debian", "aarch64", "armhf"], FOR_ROOT), (&["own-std"], FOR_BUILD_STD)];

/// Runs the steps of these names with those that they need, or all; `quick`: all that are not slow. The last line says
/// how the tests ended.
pub(crate) fn run(project: &Project, names: &[String], quick: bool) -> Result<ExitCode> {
    let test = Test::new(project)?;
    ensure!(!quick || names.is_empty(), "give names of steps, or --quick");
    let steps = if quick { without_slow(test.steps()?) } else { selected(test.steps()?, names)? };
    tools::ensure(FOR_TEST)?;
    // Before anything is built, and not by two steps at once: apt-get would refuse the second.
    let is_wanted = |names: &[&str]| steps.iter().any(|step| names.contains(&step.name.as_str()));
    for (names, tools) in OPTIONAL.into_iter().filter(|(names, _)| is_wanted(names)) {
        if let Err(error) = tools::ensure(tools) {
            println!("These steps will be skipped: {}: {error:#}", names.join(", "));
        }
    }
    let begin = std::time::Instant::now();
    let summary = runner::run(steps, &test.logs)?;
    println!("\nIt took {:.0} s.", begin.elapsed().as_secs_f32());
    if !summary.names.is_empty() {
        println!("What failed can be run again: cargo xtask test {}", summary.names.join(" "));
    }
    println!("{} passed, {} failed, {} skipped", summary.passed, summary.failed, summary.skipped);
    Ok(if summary.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Prints the names of the steps.
pub(crate) fn list(project: &Project) -> Result<()> {
    Test::new(project)?.steps()?.iter().for_each(|step| println!("{}", step.name));
    Ok(())
}

fn without_slow(mut steps: Vec<Step>) -> Vec<Step> {
    steps.retain(|step| !SLOW.contains(&step.name.as_str()));
    steps
}

fn selected<'a>(mut steps: Vec<Step<'a>>, names: &[String]) -> Result<Vec<Step<'a>>> {
    if names.is_empty() {
        return Ok(steps);
    }
    let mut wanted: BTreeSet<String> = names.iter().cloned().collect();
    if let Some(unknown) = wanted.iter().find(|name| !steps.iter().any(|step| step.name == **name)) {
        bail!("there is no step \"{unknown}\"; cargo xtask test --list names them");
    }
    loop {
        let of_wanted = steps.iter().filter(|step| wanted.contains(&step.name));
        let more: Vec<String> = of_wanted.flat_map(|step| step.needs.iter().map(|name| (*name).to_owned())).collect();
        let before = wanted.len();
        wanted.extend(more);
        if wanted.len() == before {
            steps.retain(|step| wanted.contains(&step.name));
            return Ok(steps);
        }
    }
}

struct Test<'a> {
    project: &'a Project,
    logs: PathBuf,
    /// This program.
    xtask: PathBuf,
    /// The name of this run: see crates/testkit/src/package.rs.
    run: String,
}

impl<'a> Test<'a> {
    fn new(project: &'a Project) -> Result<Self> {
        let seconds = std::time::SystemTime::UNIX_EPOCH.elapsed()?.as_secs();
        Ok(Self {
            project,
            logs: project.target().join("test/logs"),
            xtask: env::current_exe()?,
            run: format!("{seconds}-{}", std_process::id()),
        })
    }

    /// Two lines of steps: what is built for the packages and in the Debian roots, where most takes one core, and the
    /// tests beside it. They begin in this order.
    fn steps(&'a self) -> Result<Vec<Step<'a>>> {
        let mut steps = vec![
            self.step("format", &[], || self.format()),
            self.step("shipped", &[], || Ok(vec![self.package(&[])])),
            self.step("build", &[], || Ok(vec![self.build(&["--workspace", "--features", FEATURES], "build")])),
            self.step("panic-hook", &[], || Ok(vec![self.package(&[PANIC_HOOK])])).after(&["shipped"]),
            self.step("rust", &["build"], || self.programs("build", |program| !program.is_alone())),
            self.step("debian", &["shipped", "build"], || self.in_root(&["debian"])),
            self.step("clippy", &[], || Ok(vec![self.clippy()])).after(&["build"]),
            self.step("aarch64", &["build"], || self.in_root(&["cross", "aarch64"])).after(&["debian"]),
            self.step("armhf", &["build"], || self.in_root(&["cross", "armhf"])).after(&["aarch64"]),
            self.step("features", &[], || Ok(vec![self.build(WITHOUT_FEATURES, "features")])).after(&["clippy"]),
            self.step("without-features", &["features"], || {
                let mut programs = self.programs("features", |program| program.package.starts_with("iotda"))?;
                // What an outbox has after a crash depends on no feature.
                for program in &mut programs {
                    program.args(["--skip", "outbox::tests::crash"]);
                }
                Ok(programs)
            }),
            self.step("doc", &[], || Ok(vec![self.documentation(), self.documentation_tests()])).after(&["features"]),
            self.step("own-std", &[], || self.own_std()).after(&["shipped"]),
        ];
        for name in package_tests(self.project)? {
            let after: &[&str] = match name.as_str() {
                "panics" => &["build", "panic-hook"],
                "package" => &["build", "shipped", "own-std"],
                "variants" => &["build", "shipped", "panic-hook", "own-std"],
                _ => &["build", "shipped"],
            };
            let program = name.clone();
            steps.push(self.step(&name, after, move || {
                self.programs("build", |other| other.package == "libiotda" && other.name == program)
            }));
        }
        for (name, package) in [("budgets", "bench"), ("dist", "dist")] {
            let programs = move || self.programs("build", |program| program.package == package);
            steps.push(self.step(name, &["build", "shipped"], programs));
        }
        Ok(steps)
    }

    fn step<F>(&self, name: &str, needs: &[&'static str], work: F) -> Step<'a>
    where
        F: FnOnce() -> Result<Vec<Command>> + Send + 'a,
    {
        Step { name: name.to_owned(), needs: needs.to_vec(), after: Vec::new(), work: Box::new(work) }
    }

    fn format(&self) -> Result<Vec<Command>> {
        let mut rust = checkout::cargo("fmt");
        rust.args(["--all", "--check"]);
        // include/iotda.h is left out: it is generated.
        let mut files = self.project.git("ls-files");
        files.args(["*.c", "*.h", "*.cpp", "*.hpp", ":!include/iotda.h", ":!bindings"]);
        let files = process::output(&mut files)?;
        let mut c = Command::new("clang-format-19");
        c.current_dir(self.project.root()).args(["--dry-run", "-Werror"]).args(files.lines());
        let mut go = Command::new("sh");
        let script =
            "unformatted=$(gofmt -l bindings/go examples) && echo \"$unformatted\" && test -z \"$unformatted\"";
        go.current_dir(self.project.root()).args(["-c", script]);
        Ok(vec![rust, c, go])
    }

    fn clippy(&self) -> Command {
        let mut clippy = checkout::cargo("clippy");
        clippy.args(["--locked", "--workspace", "--all-targets", "--features", FEATURES, "--", "-D", "warnings"]);
        clippy
    }

    fn documentation(&self) -> Command {
        let mut doc = checkout::cargo("doc");
        doc.args(["--locked", "--workspace", "--no-deps", "--document-private-items", "--features", FEATURES]);
        doc.env("RUSTDOCFLAGS", "-D warnings");
        doc
    }

    fn documentation_tests(&self) -> Command {
        let mut test = checkout::cargo("test");
        test.args(["--locked", "--workspace", "--doc", "--features", FEATURES]);
        test
    }

    fn xtask(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.xtask);
        self.about(command.args(arguments));
        command
    }

    /// A command that runs tests with what it makes in a root: not by cargo, which others hold up.
    fn in_root(&self, arguments: &[&str]) -> Result<Vec<Command>> {
        let mut command = self.xtask(arguments);
        for program in self.built("build")?.into_iter().filter(|program| program.package == "libiotda") {
            command.env(format!("TEST_PROGRAM_{}", program.name), program.path);
        }
        Ok(vec![command])
    }

    fn package(&self, options: &[&str]) -> Command {
        let mut package = self.xtask(&["package"]);
        package.args(options);
        package
    }

    /// Where Rust's source is missing, the tests of it are skipped, as this is.
    fn own_std(&self) -> Result<Vec<Command>> {
        let tools = tools::ensure(FOR_BUILD_STD);
        tools.map_err(|error| tools::because("a Rust library of its own", &error))?;
        Ok(vec![self.package(&["-DIOTDA_BUILD_STD=ON", PANIC_HOOK])])
    }

    /// Sets what the tests find in their environment.
    fn about(&self, command: &mut Command) {
        command.env("CARGO", checkout::cargo_program()).env("RUST_LIB_BACKTRACE", "0");
        command.env("IOTDA_XTASK", &self.xtask).env("IOTDA_TEST_RUN", &self.run);
        command.env("IOTDA_BROWSER_REQUIRED", "1"); // `tools` has seen to it.
        command.env("IOTDA_PLATFORM", self.project.target().join("debug/iotda-platform"));
    }

    /// Builds test programs, and has cargo say where they are, in a file of this name.
    fn build(&self, options: &[&str], name: &str) -> Command {
        let mut cargo = checkout::cargo("test");
        cargo.args(["--locked", "--no-run", "--message-format", "json-render-diagnostics"]).args(options);
        let mut shell = Command::new("sh");
        shell.args(["-c", "\"$@\" >\"$0\""]).arg(self.programs_file(name)).arg(cargo.get_program());
        shell.args(cargo.get_args()).current_dir(self.project.root());
        shell
    }

    fn programs_file(&self, name: &str) -> PathBuf {
        self.logs.join(format!("{name}.json"))
    }

    /// The test programs that a build has made.
    fn built(&self, build: &str) -> Result<Vec<Program>> {
        let file = self.programs_file(build);
        let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        Ok(text.lines().filter_map(Program::of).collect())
    }

    /// The commands that run those of them that are chosen.
    fn programs(&self, build: &str, choose: impl Fn(&Program) -> bool) -> Result<Vec<Command>> {
        let programs: Vec<Program> = self.built(build)?.into_iter().filter(choose).collect();
        ensure!(!programs.is_empty(), "cargo has built no such test: see {}", self.programs_file(build).display());
        let temporary = checkout::temporary()?;
        let run = |program: Program| {
            let mut command = Command::new(program.path);
            // As cargo does.
            command.current_dir(&program.dir).env("CARGO_MANIFEST_DIR", &program.dir);
            command.env("TMPDIR", &temporary);
            self.about(&mut command);
            command
        };
        Ok(programs.into_iter().map(run).collect())
    }
}

/// A test program that cargo has built.
struct Program {
    package: String,
    name: String,
    dir: PathBuf,
    path: PathBuf,
}

impl Program {
    /// Of a line of cargo's messages.
    fn of(line: &str) -> Option<Self> {
        let message: Value = serde_json::from_str(line).ok()?;
        if message["profile"]["test"] != true {
            return None;
        }
        let manifest = Path::new(message["manifest_path"].as_str()?);
        let dir = manifest.parent()?.to_owned();
        Some(Self {
            package: dir.file_name()?.to_string_lossy().into_owned(),
            name: message["target"]["name"].as_str()?.to_owned(),
            path: message["executable"].as_str()?.into(),
            dir,
        })
    }

    /// Whether it is a step of its own.
    fn is_alone(&self) -> bool {
        ["libiotda", "bench", "dist"].contains(&&*self.package)
    }
}

/// The tests of crates/libiotda, each a step. The longest first.
fn package_tests(project: &Project) -> Result<Vec<String>> {
    const LONGEST: [&str; 6] = ["conan", "fleet", "cpp", "go", "consumers", "variants"];
    let mut names = Vec::new();
    for entry in fs::read_dir(project.path("crates/libiotda/tests"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            names.extend(path.file_stem().map(|name| name.to_string_lossy().into_owned()));
        }
    }
    let place = |name: &String| LONGEST.iter().position(|long| long == name).unwrap_or(LONGEST.len());
    names.sort_by(|a, b| (place(a), a).cmp(&(place(b), b)));
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(name: &str, needs: &[&'static str]) -> Step<'static> {
        Step { name: name.to_owned(), needs: needs.to_vec(), after: vec!["d"], work: Box::new(|| Ok(Vec::new())) }
    }

    #[test]
    fn a_step_by_name_brings_those_that_it_needs() {
        let steps = || vec![step("a", &[]), step("b", &["a"]), step("c", &["b"]), step("d", &[])];
        let of = |names: &[&str]| -> Result<Vec<String>> {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            Ok(selected(steps(), &names)?.into_iter().map(|step| step.name).collect())
        };
        assert_eq!(of(&["c"]).unwrap(), ["a", "b", "c"]);
        assert_eq!(of(&[]).unwrap().len(), 4);
        assert!(of(&["e"]).unwrap_err().to_string().contains("no step \"e\""));
    }

    #[test]
    fn what_is_slow_is_a_step_that_no_other_needs() {
        let project = Project::find();
        let test = Test::new(&project).unwrap();
        let quick = without_slow(test.steps().unwrap());
        assert_eq!(quick.len() + SLOW.len(), test.steps().unwrap().len());
        assert!(quick.iter().any(|step| step.name == "rust"));
        assert!(quick.iter().flat_map(|step| &step.needs).all(|name| !SLOW.contains(name)));
        assert!(OPTIONAL.iter().flat_map(|(names, _)| *names).all(|name| SLOW.contains(name)));
    }

    #[test]
    fn test_programs_are_found_in_what_cargo_says() {
        let line = r#"{"manifest_path":"/r/crates/libiotda/Cargo.toml","target":{"name":"c"},"profile":{"test":true},"executable":"/t/c-1"}"#;
        let program = Program::of(line).unwrap();
        assert_eq!((program.package.as_str(), program.name.as_str(), program.is_alone()), ("libiotda", "c", true));
        assert!(Program::of(&line.replace("true", "false")).is_none());
        assert!(Program::of("{\"reason\":\"build-finished\"}").is_none());
    }
}
