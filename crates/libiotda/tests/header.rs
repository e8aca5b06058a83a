//! The headers. include/iotda.h is generated from crates/iotda-capi and kept in the repository: `cargo xtask header` runs
//! the first test here with IOTDA_WRITE set, which then writes it. How it looks is set in crates/iotda-capi/cbindgen.toml.

#![forbid(unsafe_code)]

use anyhow::{Context, Result, anyhow, bail, ensure};
use std::collections::HashSet;
use std::env;
use std::fs;
use std::process::Command;
use testkit::{cpp_headers, declared_function, path, process, read, scratch};

const HEADER: &str = "include/iotda.h";

#[test]
fn is_up_to_date() -> Result<()> {
    let header = generate()?;
    if read(HEADER).is_ok_and(|kept| kept == header) {
        return Ok(());
    }
    if env::var_os("IOTDA_WRITE").is_none() {
        bail!("{HEADER} does not match crates/iotda-capi; run: cargo xtask header");
    }
    fs::write(path(HEADER), header).with_context(|| format!("cannot write {HEADER}"))
}

#[test]
fn each_compiles_alone() -> Result<()> {
    let dir = scratch()?;
    const C: &str = "#include \"iotda.h\"\nvoid f(void) { iotda_call_t call = IOTDA_CALL_INIT; (void)call; }\n";
    let c = C.to_owned();
    let mut programs = vec![("cc", "c", "c99", c.clone()), ("cc", "c", "c11", c.clone())];
    for header in cpp_headers()? {
        let name = header.trim_start_matches("include/");
        let text = format!("#include \"{name}\"\niotda::Status status = iotda::Status::ok;\n");
        programs.push(("c++", "c++", "c++17", text));
    }
    for standard in ["c++17", "c++20", "c++23"] {
        programs.push(("c++", "c++", standard, c.clone()));
        programs.push(("c++", "c++", standard, "#include \"iotda.hpp\"\niotda::Client client;\n".to_owned()));
    }
    for (compiler, language, standard, text) in programs {
        let source = dir.join("alone");
        fs::write(&source, text)?;
        let mut compile = Command::new(compiler);
        compile.args(["-fsyntax-only", "-x", language, &format!("-std={standard}")]);
        compile.args(["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-I"]).arg(path("include"));
        process::output(compile.arg(&source))?;
    }
    Ok(())
}

/// The C++ headers call every function of include/iotda.h, and have a name for every constant.
#[test]
fn cpp_has_all_that_c_has() -> Result<()> {
    let c = read("include/iotda.h")?;
    let cpp = cpp_headers()?.iter().map(|header| read(header)).collect::<Result<Vec<_>>>()?.concat();
    let used: HashSet<&str> = cpp.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').collect();
    let functions = c.lines().filter_map(declared_function);
    let constants = c.lines().filter_map(|line| line.strip_prefix("#define ")?.split([' ', '(']).next());
    let lacking: Vec<&str> =
        functions.chain(constants.filter(|name| *name != "IOTDA_H")).filter(|name| !used.contains(name)).collect();
    ensure!(lacking.is_empty(), "the C++ headers lack what include/iotda.h has: {lacking:?}");
    Ok(())
}

/// What a program is given to compile by iotda.hpp is little beside the standard headers that it includes: in lines, which do
/// not depend on the machine. A line of this header costs more than one of theirs, by the templates that it uses: g++ 12 executes
/// 1.49 times as many instructions (counted by valgrind's cachegrind) for all of it as for the standard headers in C++17.
#[test]
fn cpp_costs_little_beside_the_standard_headers() -> Result<()> {
    let mut standard = String::new();
    for header in cpp_headers()?.iter().filter(|header| !header.ends_with("/format.hpp")) {
        let text = read(header)?;
        let lines = text.lines().filter(|line| line.starts_with("#include <"));
        lines.for_each(|line| {
            standard.extend([
                "#if __has_include",
                &line["#include ".len()..].replace('<', "(<").replace('>', ">)"),
                "\n",
                line,
                "\n#endif\n",
            ])
        });
    }
    for version in ["c++17", "c++20", "c++23"] {
        let alone = preprocessed_lines(version, &standard)?;
        let with_ours = preprocessed_lines(version, "#include \"iotda.hpp\"\n")?;
        ensure!(alone > 10_000 && with_ours > alone, "{with_ours} lines with iotda.hpp and {alone} without");
        ensure!(with_ours - alone < 2_500, "{version}: iotda.hpp has {} lines of its own", with_ours - alone);
        ensure!(with_ours as f64 <= 1.5 * alone as f64, "{version}: {with_ours} lines instead of {alone}");
    }
    Ok(())
}

fn preprocessed_lines(version: &str, text: &str) -> Result<usize> {
    let source = scratch()?.join("preprocessed");
    fs::write(&source, text)?;
    let mut compile = Command::new("c++");
    compile.args(["-E", "-P", "-x", "c++", &format!("-std={version}"), "-I"]).arg(path("include")).arg(&source);
    Ok(process::output(&mut compile)?.lines().count())
}

fn generate() -> Result<String> {
    let source = path("crates/iotda-capi");
    let config = cbindgen::Config::from_file(source.join("cbindgen.toml"))
        .map_err(|error| anyhow!("crates/iotda-capi/cbindgen.toml: {error}"))?;
    let bindings = cbindgen::generate_with_config(&source, config)
        .map_err(|error| anyhow!("cbindgen cannot read crates/iotda-capi: {error}"))?;
    let mut header = Vec::new();
    bindings.write(&mut header);
    let header = String::from_utf8(header).context("cbindgen wrote no text")?;
    Ok(tidy(&header))
}

/// Makes the generator's C what one would write: types by their names alone (`iotda_call_t`, not
/// `struct iotda_call_t`), tags without the `_t`, short comments on one line, and no empty lines or
/// spaces too many.
fn tidy(header: &str) -> String {
    let lines: Vec<String> = header.lines().map(tidy_line).collect();
    let mut tidy = String::with_capacity(header.len());
    let mut rest = lines.as_slice();
    while let Some((line, after)) = rest.split_first() {
        rest = after;
        match after {
            [text, end, ..] if line.trim_start() == "/**" && end.trim_start() == "*/" => {
                tidy.push_str(&line.replace("/**", &format!("/** {} */", text.trim_start_matches([' ', '*']))));
                rest = &after[2..];
            }
            _ if line.is_empty() && (tidy.is_empty() || tidy.ends_with("\n\n")) => continue,
            _ => tidy.push_str(line),
        }
        tidy.push('\n');
    }
    tidy
}

fn tidy_line(line: &str) -> String {
    let line = line.trim_end();
    match line.strip_prefix("typedef struct ").and_then(|rest| rest.split_once("_t ")) {
        Some((tag, rest)) => format!("typedef struct {tag} {rest}"),
        None if line.trim_start().starts_with('*') => line.to_owned(),
        None => line.replace("struct iotda_", "iotda_"),
    }
}

mod tidy {
    use super::tidy;

    #[test]
    fn types_are_called_by_their_names() {
        let generated = concat!(
            "typedef struct iotda_call_t {\n",
            "    const struct iotda_cancel_t *cancel;\n",
            "} iotda_call_t;\n\n\n\n",
            "/**\n * A struct iotda_call_t.\n * Two lines.\n */\n",
            "typedef struct iotda_client_t iotda_client_t;   \n",
        );
        let tidied = concat!(
            "typedef struct iotda_call {\n",
            "    const iotda_cancel_t *cancel;\n",
            "} iotda_call_t;\n\n",
            "/**\n * A struct iotda_call_t.\n * Two lines.\n */\n",
            "typedef struct iotda_client iotda_client_t;\n",
        );
        assert_eq!(tidy(generated), tidied);
    }

    #[test]
    fn a_short_comment_takes_one_line() {
        assert_eq!(tidy("    /**\n     * Done.\n     */\n    int32_t x;\n"), "    /** Done. */\n    int32_t x;\n");
    }
}
