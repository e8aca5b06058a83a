//! What the documentation shows: programs and projects that are files below tests/docs, which are built and run here and
//! compared with README.md and the headers word for word; and README.md's commands, run as they stand.
//!
//! Three things are replaced: the platform's address by the stand-in platform's, the prefix /opt/iotda by the test
//! package's, and the source directory of the build, so that it uses what cargo has built already.

#![forbid(unsafe_code)]

use anyhow::{Context, Result, bail, ensure};
use iotda_platform::{Device, Platform, Registry, Report, ReportKind};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use testkit::program::{self, WARNINGS, is_linked};
use testkit::{
    Package, copy_files, cpp_headers, forget_this_crate, path, platform_program, process, read, scratch, target,
};

const ENDPOINT: &str = "https://xxx.st1.iotda-device.cn-north-4.myhuaweicloud.com";
const DEVICE: &str = "my_device";
const SECRET: &str = "my-secret";
const PREFIX: &str = "/opt/iotda";
const DOCS: &str = "crates/libiotda/tests/docs";

/// A fenced block of README.md, by its language.
fn blocks(language: &str) -> Result<Vec<String>> {
    let readme = read("README.md")?;
    let found = readme.split("\n```").skip(1).step_by(2).filter_map(|block| block.split_once('\n'));
    Ok(found.filter(|(name, _)| *name == language).map(|(_, text)| format!("{text}\n")).collect())
}

/// The parts of programs in README.md's text: lines that are indented by four spaces.
fn indented_blocks() -> Result<Vec<String>> {
    let readme = read("README.md")?;
    let text: Vec<&str> = readme.split("\n```").step_by(2).collect();
    let paragraphs = text.join("\n\n");
    let code = paragraphs.split("\n\n").filter(|paragraph| paragraph.starts_with("    "));
    Ok(code.map(|block| format!("{block}\n")).collect())
}

/// The examples in the comments of a header: lines that are indented by three spaces after the star or the slashes.
fn examples(header: &str) -> Vec<String> {
    let mut examples = vec![String::new()];
    for line in header.lines() {
        let code = line.strip_prefix(" *   ").or_else(|| line.strip_prefix("///   "));
        match (code, examples.last_mut()) {
            (Some(code), Some(example)) => example.extend([code, "\n"]),
            // An empty line in an example is followed by more of it.
            (None, Some(example)) if [" *", "///"].contains(&line) && !example.is_empty() => example.push('\n'),
            (None, Some(example)) if !example.is_empty() => examples.push(String::new()),
            _ => {}
        }
    }
    examples.retain(|example| !example.is_empty());
    examples.iter().map(|example| format!("{}\n", example.trim_end())).collect()
}

/// Lines without their indentation, which a file may have more of.
fn plain(text: &str) -> String {
    // clang-format has its own place for a comment.
    text.lines().map(|line| format!("{}\n", line.trim().replace("    //", " //"))).collect()
}

/// Whether a text holds the code, with any lines where that says `...`.
fn holds(text: &str, code: &str) -> bool {
    let mut rest = Some(text);
    for part in code.split("...\n") {
        rest = rest.and_then(|rest| rest.split_once(part)).map(|(_, after)| after);
    }
    rest.is_some()
}

fn is_in_a_file(code: &str, dirs: &[&str], extension: &str) -> Result<()> {
    let mut dirs: Vec<PathBuf> = dirs.iter().map(|dir| path(dir)).collect();
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(&dir).with_context(|| format!("cannot read {}", dir.display()))? {
            let path = entry?.path();
            if path.is_dir() {
                dirs.push(path);
            } else if path.extension().is_some_and(|end| end == extension)
                && holds(&plain(&fs::read_to_string(&path)?), &plain(code))
            {
                return Ok(());
            }
        }
    }
    bail!("this is in no .{extension} file that is built:\n{code}")
}

#[test]
fn each_program_of_the_readme_is_built() -> Result<()> {
    let mut count = 0;
    for (language, dirs, extension) in [
        ("c", &[DOCS][..], "c"),
        ("cpp", &[DOCS], "cpp"),
        ("cmake", &[DOCS], "txt"),
        // Go itself compiles and runs these.
        ("go", &["bindings/go/iotda", "examples/go"], "go"),
        // The crate's page, which is compiled as a part of its documentation.
        ("rust", &["crates/iotda"], "md"),
    ] {
        let blocks = blocks(language)?;
        ensure!(!blocks.is_empty(), "README.md shows no {language}");
        blocks.iter().try_for_each(|block| is_in_a_file(block, dirs, extension))?;
        count += blocks.len();
    }
    let parts = indented_blocks()?;
    ensure!(parts.len() == 2, "README.md has {} parts of programs in its text: {parts:#?}", parts.len());
    parts.iter().try_for_each(|part| is_in_a_file(part, &[DOCS, "examples/c"], "c"))?;
    let fences = read("README.md")?.lines().filter(|line| line.starts_with("```")).count();
    ensure!(fences == 2 * (count + blocks("sh")?.len()), "README.md has a block of another language, or of none");
    Ok(())
}

#[test]
fn each_example_of_the_headers_is_built() -> Result<()> {
    let c = examples(&read("include/iotda.h")?);
    let (bodies, programs): (Vec<_>, Vec<_>) = c.iter().partition(|example| example.starts_with('{'));
    ensure!(bodies.len() == 2 && programs.len() == 3, "other examples in iotda.h: {c:#?}");
    programs.iter().try_for_each(|example| is_in_a_file(example, &[DOCS], "c"))?;
    let cpp = cpp_headers()?.iter().map(|header| Ok(examples(&read(header)?))).collect::<Result<Vec<_>>>()?.concat();
    ensure!(cpp.len() == 4, "other examples in iotda.hpp: {cpp:#?}");
    cpp.iter().try_for_each(|example| is_in_a_file(example, &[DOCS], "cpp"))
}

#[test]
fn readme_c() -> Result<()> {
    the_weather(&reported("readme.c", &[])?, "{\"Temperature\": 21.5}")
}

#[test]
fn readme_cpp() -> Result<()> {
    the_weather(&reported("readme.cpp", &[])?, "{\"Temperature\":21.5,\"Raining\":false}")
}

#[test]
fn readme_outbox_c() -> Result<()> {
    let directory = scratch()?.join("outbox").display().to_string();
    the_weather(&reported("outbox.c", &[("/var/lib/sensor/outbox", &directory)])?, "{\"Temperature\": 21.5}")
}

/// It relies on a public authority; here, that is the platform's.
#[test]
fn header_c() -> Result<()> {
    let line = "config = iotda_config_new();\n";
    let with_ca = format!("{line}iotda_config_set_ca_file(config, \"ca.pem\");\n");
    let reports = reported("header.c", &[(line, &with_ca)])?;
    ensure!(messages(&reports) == ["hello"], "{reports:?}");
    Ok(())
}

#[test]
fn header_others_c() -> Result<()> {
    for name in ["batch.c", "interrupt.c"] {
        let program = program::c(&Package::shipped()?, &path(DOCS).join(name), &[])?;
        process::output_in_time(&mut program::command(&program))?;
    }
    Ok(())
}

/// As above.
#[test]
fn header_cpp() -> Result<()> {
    let line = "iotda::Config config;\n";
    let reports = reported("header.cpp", &[(line, &format!("{line}config.set_ca_file(\"ca.pem\");\n"))])?;
    the_weather(&reports, "{\"Height\":124,\"Speed\":23.24}")
}

#[test]
fn header_calls_cpp() -> Result<()> {
    let reports = reported("calls.cpp", &[])?;
    ensure!(messages(&reports) == ["hello"; 4], "{reports:?}");
    Ok(())
}

/// The request bodies in iotda.h, with something for what they leave open, sent by the functions that they stand at.
#[test]
fn header_bodies() -> Result<()> {
    let examples = examples(&read("include/iotda.h")?);
    for (start, function, statuses, about) in [
        ("{\"services\"", "iotda_report_props_json", "", DEVICE),
        ("{\"devices\"", "iotda_gateway_batch_json", "NULL, 0, NULL, ", "filled_in"),
    ] {
        let body = examples.iter().find(|example| example.starts_with(start)).context("no such body in iotda.h")?;
        let body = body.trim().replace("{…}", "{}").replace('…', "filled_in");
        let report = "iotda_report_message(client, \"hello\", 5, &call)";
        let call = format!("{function}(client, {body:?}, {}, {statuses}&call)", body.len());
        let line = "config = iotda_config_new();\n";
        let with_ca = format!("{line}iotda_config_set_ca_file(config, \"ca.pem\");\n");
        let reports = reported("header.c", &[(line, &with_ca), (report, &call)])?;
        ensure!(reports.len() == 1 && reports[0].device_id == about, "{reports:?}");
    }
    Ok(())
}

#[test]
fn cmake_project() -> Result<()> {
    let source = scratch()?.join("source");
    let platform = platform(&source)?;
    copy_files(DOCS, &source)?;
    let program = fs::read_to_string(source.join("readme.c"))?;
    fs::write(source.join("readme.c"), program.replace(ENDPOINT, platform.url()))?;
    Package::shipped()?.cmake(&source, &source.join("build"), &[])?;
    process::silent_in_time(Command::new(source.join("build/my_device")).current_dir(&source))?;
    the_weather(&platform.reports(), "{\"Temperature\": 21.5}")
}

/// From this source tree in place of an archive.
#[test]
fn source_tree_project() -> Result<()> {
    let source = scratch()?.join("source");
    copy_files(&format!("{DOCS}/source_tree"), &source)?;
    fs::copy(path("examples/c/host_monitor.c"), source.join("host_monitor.c"))?;
    let build = source.join("build");
    let mut configure = Command::new("cmake");
    configure.arg("-S").arg(&source).arg("-B").arg(&build).args(["-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release"]);
    configure.arg(format!("-DFETCHCONTENT_SOURCE_DIR_IOTDA={}", path("").display()));
    process::output(configure.arg(cargo_directory()))?;
    let mut make = Command::new("cmake");
    forget_this_crate(&mut make);
    process::output(make.arg("--build").arg(&build))?;
    is_linked(&build.join("host_monitor"), "static")
}

/// Where cargo has built the package already.
fn cargo_directory() -> String {
    format!("-DIOTDA_CARGO_TARGET_DIR={}", target().join("package/cargo").display())
}

/// README.md's commands that name /opt/iotda, in its order, with one prefix and in one checkout, as they are typed: the first
/// builds and installs there, the others build examples with it.
#[test]
fn install_commands() -> Result<()> {
    let dir = scratch()?;
    for example in ["examples/c", "examples/make"] {
        copy_files(example, &dir.join(example))?;
    }
    let prefix = dir.join("prefix");
    let source = format!("cmake -S {} {} ", path("cmake").display(), cargo_directory());
    let blocks: Vec<String> = blocks("sh")?.into_iter().filter(|block| block.contains(PREFIX)).collect();
    ensure!(blocks.len() == 4, "README.md has {} blocks of commands with {PREFIX}", blocks.len());
    for block in &blocks {
        let text = block.replace(PREFIX, &prefix.display().to_string()).replace("cmake -S cmake ", &source);
        // First up to the program that is linked shared: it finds the library by itself.
        if let Some((shared, _)) = text.split_once("# shared") {
            let mut commands = Command::new("sh");
            process::output(commands.current_dir(&dir).args(["-euc", shared]))?;
            let program = dir.join("examples/c/host_monitor");
            is_linked(&program, "shared")?;
            let found = process::output(Command::new("ldd").env_remove("LD_LIBRARY_PATH").arg(&program))?;
            let library =
                found.lines().find_map(|line| line.trim().strip_prefix("libiotda.so.1 => ")?.split(' ').next());
            let library = library.and_then(|library| fs::canonicalize(library).ok());
            ensure!(library == Some(fs::canonicalize(prefix.join("lib/libiotda.so.1"))?), "it finds another:\n{found}");
        }
        let mut commands = Command::new("sh");
        forget_this_crate(&mut commands);
        process::output(commands.current_dir(&dir).args(["-euc", &text])).with_context(|| block.clone())?;
    }
    for file in ["lib/libiotda.a", "lib/libiotda.so.1", "include/iotda.h", "include/iotda.hpp"] {
        ensure!(prefix.join(file).exists(), "{file} was not installed");
    }
    for program in ["build/example/host_monitor", "examples/make/firmware", "examples/c/host_monitor"] {
        is_linked(&dir.join(program), "static").with_context(|| program.to_owned())?;
    }
    Ok(())
}

/// Those that build for another processor or run the platform. `cargo xtask` is looked at by its own test.
#[test]
fn other_commands() -> Result<()> {
    let others = blocks("sh")?.into_iter().filter(|block| !block.contains(PREFIX) && !block.contains("cargo xtask"));
    for block in others {
        if block.contains("--toolchain") {
            cross_builds(&block)?;
        } else if let Some(arguments) = block.trim().strip_prefix("cargo run --release -p iotda-platform -- ") {
            serves(&arguments.split(' ').collect::<Vec<_>>())?;
        } else if block.contains("cd examples/fleet && go run -tags iotda_static . demo") {
            // What it is made of, the tests of the module try out.
            ensure!(path("examples/fleet/demo.go").exists(), "examples/fleet has no demo");
        } else if let Some(module) = block.trim().strip_prefix("go get ") {
            // crates/dist/tests/go.rs does it.
            let manifest = read("bindings/go/iotda/go.mod")?;
            ensure!(manifest.starts_with(&format!("module {module}\n")), "there is no module {module}");
        } else if let Some(name) = block.trim().strip_prefix("cargo add ") {
            // A program is built from what is published by tests/examples.rs.
            ensure!(path("crates").join(name).exists(), "there is no crate {name}");
        } else {
            bail!("nothing tries this out: {block}");
        }
    }
    Ok(())
}

/// CMake finds the toolchain file, and with it the compiler, unless that is not installed.
fn cross_builds(block: &str) -> Result<()> {
    let (configure, _) = block.split_once(" && ").context("one command configures, the other builds")?;
    let build = scratch()?.join("build");
    let configure = configure.replace("build/aarch64", &build.display().to_string());
    let mut shell = Command::new("sh");
    let Err(error) = process::output(shell.current_dir(path("")).args(["-euc", &configure])) else {
        let cache = fs::read_to_string(build.join("CMakeCache.txt"))?;
        ensure!(
            cache.contains("IOTDA_RUST_TARGET:STRING=aarch64-unknown-linux-gnu"),
            "it is for another target: {cache}"
        );
        return Ok(());
    };
    // As CMake breaks the line.
    let said = error.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
    ensure!(said.contains("aarch64-linux-gnu-gcc is not a full path and was not found"), "{error}");
    Ok(())
}

/// The platform's command, which ends with its input: it has none.
fn serves(arguments: &[&str]) -> Result<()> {
    let dir = scratch()?;
    let mut command = Command::new(platform_program()?);
    let output = process::output_in_time(command.current_dir(&dir).args(arguments).arg("--exit-with-stdin"))?;
    for setting in ["IOTDA_ENDPOINT=", "IOTDA_CA_FILE="] {
        ensure!(output.contains(setting), "it does not print {setting}:\n{output}");
    }
    ensure!(dir.join("ca.pem").exists(), "it wrote no ca.pem");
    Ok(())
}

/// README.md names nothing that the headers do not have, says what to do about each status, and refers to no file that is
/// not there.
#[test]
fn readme_names_what_there_is() -> Result<()> {
    let readme = read("README.md")?;
    let headers = read("include/iotda.h")? + &read("include/iotda.hpp")?;
    // Build tags of the Go module look like functions.
    let headers = headers + &read("bindings/go/iotda/link.go")?;
    let words = readme.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let unknown: Vec<&str> = words
        .filter(|word| (word.starts_with("iotda_") || word.starts_with("IOTDA_E_")) && !headers.contains(word))
        .collect();
    ensure!(unknown.is_empty(), "README.md names what the headers do not have: {unknown:?}");
    let statuses = headers.lines().filter_map(|line| line.strip_prefix("#define ")?.split(' ').next());
    let (rows, statuses) = (rows(&readme), statuses.filter(|name| name.starts_with("IOTDA_E_")));
    let missing: Vec<&str> = statuses.filter(|status| !rows.contains(*status)).collect();
    ensure!(missing.is_empty(), "README.md does not say what to do about these: {missing:?}");
    for document in ["README.md", "README.zh-CN.md", "CONTRIBUTING.md", "crates/iotda-capi/TROUBLESHOOTING.md"] {
        let text = read(document)?.replace("](../../", "](");
        let links = text.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
        let files = links.map(|(link, _)| link).filter(|link| !link.contains("://") && !link.starts_with('#'));
        let missing: Vec<&str> =
            files.filter(|file| !path(file.split('#').next().unwrap_or_default()).exists()).collect();
        ensure!(missing.is_empty(), "{document} refers to what is not there: {missing:?}");
    }
    Ok(())
}

/// The functions and statuses in a page's tables.
fn rows(text: &str) -> BTreeSet<String> {
    let cells = text.lines().filter(|line| line.starts_with('|')).flat_map(|line| line.split('`').skip(1).step_by(2));
    cells.filter(|name| name.to_ascii_lowercase().starts_with("iotda_")).map(str::to_owned).collect()
}

/// README.zh-CN.md shows the programs and commands of README.md, and names the same functions and statuses.
#[test]
fn readme_in_chinese_agrees() -> Result<()> {
    let (english, chinese) = (read("README.md")?, read("README.zh-CN.md")?);
    let code = |text: &str| -> Vec<String> {
        let fenced = text.split("\n```").skip(1).step_by(2).map(str::to_owned);
        // Paragraphs that are indented, as the English page has them.
        let indented = text.split("\n\n").filter(|paragraph| paragraph.starts_with("    ")).map(str::to_owned);
        fenced.chain(indented).collect()
    };
    let (ours, theirs) = (code(&english), code(&chinese));
    let strange: Vec<&String> = theirs.iter().filter(|block| !ours.contains(block)).collect();
    ensure!(strange.is_empty(), "README.zh-CN.md shows what README.md does not: {strange:#?}");
    ensure!(theirs.len() >= 10, "README.zh-CN.md shows {} programs and commands", theirs.len());
    let (ours, theirs) = (rows(&english), rows(&chinese));
    let differs: Vec<&String> = ours.symmetric_difference(&theirs).collect();
    ensure!(differs.is_empty(), "one of README.md and README.zh-CN.md names these in its tables: {differs:?}");
    Ok(())
}

/// The messages that the troubleshooting page lists are in the source, and its statuses in the header.
#[test]
fn troubleshooting_lists_messages_that_there_are() -> Result<()> {
    let mut sources = String::new();
    let mut dirs: Vec<PathBuf> = ["crates/iotda/src", "crates/iotda-http/src"].iter().map(|dir| path(dir)).collect();
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(&dir)? {
            let path = entry?.path();
            if path.is_dir() {
                dirs.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                sources += &fs::read_to_string(&path)?;
            }
        }
    }
    let header = read("include/iotda.h")?;
    let page = read("crates/iotda-capi/TROUBLESHOOTING.md")?;
    let mut count = 0;
    for line in page.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = line.split(" | ").collect();
        let [messages, statuses, _] = cells[..] else { bail!("not three cells: {line}") };
        for message in messages.split('`').skip(1).step_by(2) {
            ensure!(sources.contains(message), "no message says \"{message}\"");
            count += 1;
        }
        for status in statuses.split('`').skip(1).step_by(2) {
            ensure!(header.contains(&format!("{status} ")), "there is no status {status}");
        }
    }
    ensure!(count > 20, "the page lists {count} messages");
    Ok(())
}

/// A platform that knows the documentation's device, and leaves `ca.pem` in a directory.
fn platform(dir: &Path) -> Result<Platform> {
    let mut registry = Registry::new();
    registry.add_device(Device::new(DEVICE).with_secret(SECRET).with_any_child())?;
    let platform = Platform::builder().registry(registry).start()?;
    fs::create_dir_all(dir)?;
    fs::write(dir.join("ca.pem"), platform.ca_pem())?;
    Ok(platform)
}

/// Builds a program of tests/docs and runs it, which must succeed and write nothing to standard error. Returns what it
/// reported.
fn reported(name: &str, replaced: &[(&str, &str)]) -> Result<Vec<Report>> {
    let dir = scratch()?;
    let platform = platform(&dir)?;
    let mut text = read(&format!("{DOCS}/{name}"))?;
    for (before, after) in [&[(ENDPOINT, platform.url())], replaced].concat() {
        ensure!(text.contains(before), "{name} does not hold {before}");
        text = text.replace(before, after);
    }
    fs::write(dir.join(name), text)?;
    let (compiler, standard) = if name.ends_with(".c") { ("cc", "-std=c11") } else { ("c++", "-std=c++17") };
    let mut compile = Command::new(compiler);
    compile.current_dir(&dir).arg(standard).args(WARNINGS).args(["-Wno-unused-result", "-o", "program", name]);
    process::output(compile.args(Package::shipped()?.flags("iotda-static")?))?;
    process::silent_in_time(Command::new(dir.join("program")).current_dir(&dir))?;
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

mod parts {
    use super::*;

    #[test]
    fn examples_are_found_in_comments() {
        let header = "/*\n * H\n *\n *   a\n *\n *     b\n *\n * text\n */\nint x;\n/// Line.\n/// I\n///\n///   c\n///\n///   d\nint y;\n";
        assert_eq!(examples(header), ["a\n\n  b\n", "c\n\nd\n"]);
    }

    #[test]
    fn what_is_not_built_is_found() {
        assert!(is_in_a_file("int main(void) {\n", &[DOCS], "c").is_ok());
        assert!(is_in_a_file("int main(void) { another }\n", &[DOCS], "c").is_err());
    }
}
