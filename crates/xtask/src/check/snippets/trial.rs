//! Trying out a snippet. The documentation speaks of a device `my_device` with the secret `my-secret`, of the
//! platform's address in one place, and of `ca.pem`: the stand-in platform knows that device, its address is put in the
//! place of the other, and its certificate is in that file.

use super::super::installed::{self, cmake};
use super::super::{consumers, cpp};
use super::text::fenced;
use super::{Bench, Snippet};
use crate::project::forget_this_crate;
use crate::{cargo, process};
use anyhow::{Context, Result, bail, ensure};
use iotda_platform::{Device, Platform, Registry, Report, ReportKind};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

pub(super) const DIR: &str = "check/snippets";

const ENDPOINT: &str = "https://xxx.st1.iotda-device.cn-north-4.myhuaweicloud.com";
const DEVICE: &str = "my_device";
const SECRET: &str = "my-secret";
/// Where the documentation has the package.
const PREFIX: &str = "/opt/iotda";

/// A whole program, which reports the weather.
pub(super) fn c_program(bench: &Bench, snippet: &Snippet) -> Result<()> {
    let reports = run(bench, "c-program", "c", &snippet.text)?;
    the_weather(&reports, "{\"Temperature\": 21.5}")
}

/// As above.
pub(super) fn cpp_program(bench: &Bench, snippet: &Snippet) -> Result<()> {
    let reports = run(bench, "cpp-program", "cpp", &snippet.text)?;
    the_weather(&reports, "{\"Temperature\":21.5,\"Raining\":false}")
}

/// The lines that a project needs, after those that every project has. It builds the program of the README.
pub(super) fn cmake_lines(bench: &Bench, snippet: &Snippet) -> Result<()> {
    let source = bench.project.empty_dir(&format!("{DIR}/cmake"))?;
    let readme = fs::read_to_string(bench.project.path("README.md"))?;
    let program = fenced(&readme)?.into_iter().find(|snippet| snippet.language == "c");
    let program = program.context("there is no program in C to build")?.text;
    let head = "cmake_minimum_required(VERSION 3.16)\nproject(snippet LANGUAGES C)\nadd_executable(my_device main.c)\n";
    fs::write(source.join("CMakeLists.txt"), format!("{head}{}", snippet.text))?;
    let build = |endpoint: &str| {
        fs::write(source.join("main.c"), program.replace(ENDPOINT, endpoint))?;
        let build = source.join("build");
        cmake(&source, &build, &bench.prefix, &[])?;
        Ok(build.join("my_device"))
    };
    let reports = against_platform(&source, build)?;
    the_weather(&reports, "{\"Temperature\": 21.5}")
}

/// Building and installing from the source tree, from another directory than the repository's and to another one than
/// /opt; cargo builds where the package was built, so that it need not do it again.
pub(super) fn source_install(bench: &Bench, snippet: &Snippet) -> Result<()> {
    let dir = bench.project.empty_dir(&format!("{DIR}/source"))?;
    let source = source_with_cargo_directory(bench)?;
    ensure!(snippet.text.contains("cmake -S cmake ") && snippet.text.contains(PREFIX), "{}", snippet.text);
    let prefix = dir.join("prefix");
    let text = snippet.text.replace("cmake -S cmake ", &format!("cmake -S {source} "));
    let text = text.replace(PREFIX, prefix.to_str().context("the directory is not UTF-8")?);
    let mut commands = Command::new("sh");
    forget_this_crate(&mut commands);
    process::output(commands.current_dir(&dir).args(["-euc", &text]))?;
    for file in ["lib/libiotda.a", "lib/libiotda.so.1", "include/iotda.h", "include/iotda.hpp"] {
        ensure!(prefix.join(file).exists(), "{file} was not installed");
    }
    Ok(())
}

/// The source tree as CMake is told of it, and where cargo builds.
fn source_with_cargo_directory(bench: &Bench) -> Result<String> {
    let (source, cargo) = (bench.project.path("cmake"), bench.project.target().join("package/cargo"));
    Ok(format!("{} -DIOTDA_CARGO_TARGET_DIR={}", source.display(), cargo.display()))
}

/// The lines that take in the source tree: here, from this repository in the place of an archive of it.
pub(super) fn source_tree_lines(bench: &Bench, snippet: &Snippet) -> Result<()> {
    let dir = bench.project.empty_dir(&format!("{DIR}/source-tree"))?;
    let archive = "URL libiotda-0.1.0.tar.gz";
    ensure!(snippet.text.contains(archive), "it does not name an archive: {}", snippet.text);
    let here = format!("SOURCE_DIR {}", bench.project.root().display());
    let lines = snippet.text.replace(archive, &here);
    let head =
        "cmake_minimum_required(VERSION 3.21)\nproject(snippet LANGUAGES C)\nadd_executable(host_monitor main.c)\n";
    fs::write(dir.join("CMakeLists.txt"), format!("{head}{lines}"))?;
    fs::copy(bench.project.path("examples/c/host_monitor.c"), dir.join("main.c"))?;
    let cargo = bench.project.target().join("package/cargo");
    let mut configure = Command::new("cmake");
    configure.current_dir(&dir).args(["-S", ".", "-B", "build", "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release"]);
    process::output(configure.arg(format!("-DIOTDA_CARGO_TARGET_DIR={}", cargo.display())))?;
    let mut make = Command::new("cmake");
    forget_this_crate(&mut make);
    process::output(make.current_dir(&dir).args(["--build", "build"]))?;
    consumers::linked_as(&dir.join("build/host_monitor"), "static")
}

/// Building for another processor is what `cross` does, by the same toolchain files; here, they need only be there.
pub(super) fn cross_configuration(bench: &Bench, snippet: &Snippet) -> Result<()> {
    let words: Vec<&str> = snippet.text.split_whitespace().collect();
    let toolchain = words.windows(2).find(|pair| pair[0] == "--toolchain").map(|pair| pair[1]);
    let toolchain = toolchain.context("it names no toolchain file")?;
    ensure!(bench.project.path(toolchain).exists(), "there is no {toolchain}");
    Ok(())
}

/// Commands that build the whole project, or run this very test: here, they need only be there.
pub(super) fn xtask_commands(_: &Bench, snippet: &Snippet) -> Result<()> {
    for line in snippet.text.lines() {
        let command = line.split_once(" #").map_or(line, |(command, _)| command);
        let mut words = command.split_whitespace();
        ensure!(words.by_ref().take(2).eq(["cargo", "xtask"]), "not a command of xtask: {line}");
        let name = words.next().with_context(|| format!("no command: {line}"))?;
        let help = crate::HELP.lines().find(|help| help.trim_start().split(' ').next() == Some(name));
        let help = help.with_context(|| format!("cargo xtask has no command {name}"))?;
        for option in words.filter(|word| word.starts_with("--")) {
            ensure!(help.contains(option), "cargo xtask {name} has no option {option}");
        }
    }
    Ok(())
}

/// Commands that build examples with the package: in a copy of examples/, and in one of the example itself where the
/// command names no directory. The package is not in /opt.
pub(super) fn install_commands(bench: &Bench, snippet: &Snippet) -> Result<()> {
    let dir = format!("{DIR}/install-{}", snippet.line);
    for example in ["examples/c", "examples/make"] {
        installed::copy_files(bench.project, example, &format!("{dir}/{example}"))?;
    }
    let root = bench.project.target().join(&dir);
    let in_root = snippet.text.contains("examples/");
    let work = if in_root { root.clone() } else { root.join("examples/c") };
    ensure!(snippet.text.contains(PREFIX), "it does not name {PREFIX}");
    let text = snippet.text.replace(PREFIX, bench.prefix.to_str().context("the prefix is not UTF-8")?);
    process::output(Command::new("sh").current_dir(&work).args(["-euc", &text]))?;
    let built = ["build/host_monitor", "host_monitor", "examples/make/firmware"].map(|program| work.join(program));
    let program = built.iter().find(|program| program.exists()).context("it built no program")?;
    consumers::linked_as(program, "static")
}

/// The stand-in platform, as the tests have built it already; it ends with its input, which is empty.
pub(super) fn platform_command(bench: &Bench, snippet: &Snippet) -> Result<()> {
    let dir = bench.project.empty_dir(&format!("{DIR}/platform"))?;
    let arguments = snippet.text.trim().strip_prefix("cargo run --release -p iotda-platform -- ");
    let arguments = arguments.context("not one command that runs iotda-platform")?;
    let program = cargo::build_program(bench.project, "iotda-platform")?;
    let mut command = Command::new(program);
    command.current_dir(&dir).args(arguments.split(' ')).arg("--exit-with-stdin");
    let output = process::output_in_time(&mut command)?;
    for setting in ["IOTDA_ENDPOINT=", "IOTDA_CA_FILE="] {
        ensure!(output.contains(setting), "it does not print {setting}:\n{output}");
    }
    ensure!(dir.join("ca.pem").exists(), "it wrote no ca.pem");
    Ok(())
}

/// The example of iotda.h, in a function that has its variables. It relies on a public authority; here, that is the
/// stand-in platform's.
pub(super) fn c_example(bench: &Bench, snippet: &Snippet) -> Result<()> {
    let example = after_line(&snippet.text, "iotda_config_new();", "iotda_config_set_ca_file(config, \"ca.pem\");")?;
    let program = format!(
        "#include <iotda.h>\n#include <stdio.h>\n#include <string.h>\n\nint main(void) {{\n\
         const char *device_id = \"{DEVICE}\", *secret = \"{SECRET}\";\n\
         size_t secret_length = strlen(secret);\n{example}return 0;\n}}\n"
    );
    let reports = run(bench, "c-example", "c", &program)?;
    ensure!(messages(&reports) == ["hello"], "{reports:?}");
    Ok(())
}

/// The example of iotda.hpp, as above. It hands what fails to a function `fail`.
pub(super) fn cpp_example(bench: &Bench, snippet: &Snippet) -> Result<()> {
    let example = after_line(&snippet.text, "iotda::Config config;", "config.set_ca_file(\"ca.pem\");")?;
    let program =
        cpp_around("const char *device_id, const char *secret", &example, &format!("\"{DEVICE}\", \"{SECRET}\""));
    let reports = run(bench, "cpp-example", "cpp", &program)?;
    the_weather(&reports, "{\"Height\":124,\"Speed\":23.24}")
}

/// Calls on a client, with a time and a cancel handle; the calls' results are looked at.
pub(super) fn cpp_calls(bench: &Bench, snippet: &Snippet) -> Result<()> {
    let mut body = format!(
        "iotda::Config config;\nconfig.set_endpoint(\"{ENDPOINT}\").set_device(\"{DEVICE}\", \"{SECRET}\");\n\
         config.set_ca_file(\"ca.pem\");\nauto made = iotda::Client::make(config);\n\
         if (!made) return fail(made.message());\niotda::Client &client = *made;\niotda::Cancel cancel;\n\
         const auto deadline = std::chrono::steady_clock::now() + 20s;\n"
    );
    let calls = snippet.text.lines().count();
    for line in snippet.text.lines() {
        let (call, comment) = line.split_once(';').with_context(|| format!("no call: {line}"))?;
        body += &format!("if (auto sent = {}; !sent) return fail(sent.message());{comment}\n", call.trim());
    }
    let reports = run(bench, "cpp-calls", "cpp", &cpp_around("", &body, ""))?;
    ensure!(messages(&reports) == vec!["hello"; calls], "{reports:?}");
    Ok(())
}

/// A request body with something in the place of what is left open, sent by the function that it stands at.
pub(super) fn properties_body(bench: &Bench, snippet: &Snippet) -> Result<()> {
    body(bench, snippet, "iotda_report_props_json", DEVICE)
}

pub(super) fn batch_body(bench: &Bench, snippet: &Snippet) -> Result<()> {
    body(bench, snippet, "iotda_gateway_batch_json", "filled_in")
}

fn body(bench: &Bench, snippet: &Snippet, function: &str, about: &str) -> Result<()> {
    let text = snippet.text.trim().replace("{…}", "{}").replace('…', "filled_in");
    let program = format!(
        "#include <iotda.h>\n#include <stdio.h>\n#include <string.h>\n\nint main(void) {{\n\
         static const char body[] = {text:?};\niotda_config_t *config = iotda_config_new();\n\
         iotda_config_set_endpoint(config, \"{ENDPOINT}\");\n\
         iotda_config_set_device(config, \"{DEVICE}\", \"{SECRET}\", {});\n\
         iotda_config_set_ca_file(config, \"ca.pem\");\niotda_client_t *client = NULL;\n\
         iotda_call_t call = IOTDA_CALL_INIT;\nif (iotda_init(config, &client, &call) == IOTDA_OK)\n\
         {function}(client, body, strlen(body), &call);\nfprintf(stderr, \"%s\", call.message);\n\
         iotda_config_free(config);\niotda_close(client);\nreturn 0;\n}}\n",
        SECRET.len()
    );
    let reports = run(bench, function, "c", &program)?;
    ensure!(reports.len() == 1 && reports[0].device_id == about, "{reports:?}");
    Ok(())
}

/// A block of Go in README.md is a part of an example that Go itself compiles and runs: of a file in bindings/go or
/// examples/go, whatever its indentation there.
pub(super) fn go_block_is_in_the_example(bench: &Bench, snippet: &Snippet) -> Result<()> {
    let plain = |text: &str| text.lines().map(str::trim).collect::<Vec<_>>().join("\n");
    let wanted = plain(&snippet.text);
    let mut dirs = vec![bench.project.path("bindings/go"), bench.project.path("examples/go")];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(&dir).into_iter().flatten() {
            let path = entry?.path();
            if path.is_dir() {
                dirs.push(path);
            } else if path.extension().is_some_and(|extension| extension == "go")
                && plain(&fs::read_to_string(&path)?).contains(&wanted)
            {
                return Ok(());
            }
        }
    }
    bail!("it is in no file of bindings/go or examples/go");
}

/// C++ in a function that may return early with what `fail` returns.
fn cpp_around(parameters: &str, body: &str, arguments: &str) -> String {
    format!(
        "#include <iotda.hpp>\n#include <cstdio>\nusing namespace std::chrono_literals;\n\
         static int fail(const char *message) {{ std::fprintf(stderr, \"%s\\n\", message); return 1; }}\n\
         static int example({parameters}) {{\n{body}return 0;\n}}\nint main() {{ return example({arguments}); }}\n"
    )
}

/// Puts a line after the one that ends so.
fn after_line(text: &str, end: &str, line: &str) -> Result<String> {
    let Some((before, after)) = text.split_once(&format!("{end}\n")) else { bail!("no line ends with {end}") };
    Ok(format!("{before}{end}\n{line}\n{after}"))
}

/// Compiles a program and runs it against a platform. Returns what arrived.
fn run(bench: &Bench, name: &str, language: &str, text: &str) -> Result<Vec<Report>> {
    ensure!(text.contains(ENDPOINT), "it does not name {ENDPOINT}");
    let dir = bench.project.empty_dir(&format!("{DIR}/{name}"))?;
    let source = dir.join(format!("main.{language}"));
    let (compiler, standard) = if language == "c" { ("cc", "-std=c11") } else { ("c++", "-std=c++17") };
    let build = |endpoint: &str| -> Result<PathBuf> {
        fs::write(&source, text.replace(ENDPOINT, endpoint))?;
        let mut compile = Command::new(compiler);
        compile.current_dir(&dir).args([standard, "-Wall", "-Wextra", "-Wpedantic", "-Werror"]);
        compile.arg(&source).args(cpp::flags(&bench.prefix)?).args(["-o", "program"]);
        process::output(&mut compile)?;
        Ok(dir.join("program"))
    };
    against_platform(&dir, build)
}

/// Starts a platform, has a program built that knows its address, and runs it in a directory with its certificate. The
/// program must succeed and write nothing to standard error.
fn against_platform(dir: &Path, build: impl Fn(&str) -> Result<PathBuf>) -> Result<Vec<Report>> {
    let mut registry = Registry::new();
    registry.add_device(Device::new(DEVICE).with_secret(SECRET).with_any_child())?;
    let platform = Platform::builder().registry(registry).start()?;
    fs::write(dir.join("ca.pem"), platform.ca_pem())?;
    let program = build(platform.url())?;
    process::silent_in_time(Command::new(program).current_dir(dir))?;
    Ok(platform.reports())
}

fn messages(reports: &[Report]) -> Vec<String> {
    let messages = reports.iter().filter(|report| report.kind == ReportKind::Message);
    messages.map(|report| String::from_utf8_lossy(&report.body).into_owned()).collect()
}

/// One report of one service, "weather".
fn the_weather(reports: &[Report], properties: &str) -> Result<()> {
    let [report] = reports else { bail!("{} reports arrived", reports.len()) };
    let [service] = &report.services[..] else { bail!("not one service arrived: {report:?}") };
    ensure!(
        report.device_id == DEVICE && service.service_id == "weather" && service.properties == properties,
        "{report:?}"
    );
    Ok(())
}
