//! The headers. include/iotda.h is generated from crates/iotda-capi and kept in the repository: `cargo xtask header` runs
//! the first test here with IOTDA_WRITE set, which then writes it. How it looks is set in crates/iotda-capi/cbindgen.toml.

#![forbid(unsafe_code)]

#[path = "header/layout.rs"]
mod layout;

use anyhow::{Context, Result, anyhow, bail, ensure};
use layout::{layout, places};
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
    let constants = c.lines().filter_map(|line| line.strip_prefix("#define ")?.split(' ').next());
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
    let header: Vec<String> = header.lines().map(plain).collect();
    Ok(layout(&header.join("\n"), &places(&rust_files()?)))
}

/// The files of crates/iotda-capi in the order in which its lib.rs has them; a comment there before a file, such as
/// `// # Statuses`, is the title of the topic that the file begins.
fn rust_files() -> Result<Vec<(Option<String>, String)>> {
    let (mut files, mut title) = (Vec::new(), None);
    for line in read("crates/iotda-capi/src/lib.rs")?.lines() {
        if let Some(text) = line.strip_prefix("// # ") {
            title = Some(text.to_owned());
        } else if let Some(name) = line.strip_prefix("pub mod ").and_then(|rest| rest.strip_suffix(';')) {
            files.push((title.take(), read(&format!("crates/iotda-capi/src/{name}.rs"))?));
        }
    }
    Ok(files)
}

/// Makes the generator's C what one would write: types by their names alone (`iotda_call_t`, not `struct iotda_call_t`),
/// and tags without the `_t`.
fn plain(line: &str) -> String {
    let line = line.trim_end();
    match line.strip_prefix("typedef struct ").and_then(|rest| rest.split_once("_t ")) {
        Some((tag, rest)) => format!("typedef struct {tag} {rest}"),
        None if line.trim_start().starts_with("///") => line.to_owned(),
        None => line.replace("struct iotda_", "iotda_"),
    }
}

mod text {
    use super::{layout, places, plain};

    #[test]
    fn types_are_called_by_their_names() {
        assert_eq!(plain("typedef struct iotda_call_t {"), "typedef struct iotda_call {");
        assert_eq!(plain("    const struct iotda_cancel_t *cancel;  "), "    const iotda_cancel_t *cancel;");
        assert_eq!(
            plain("typedef struct iotda_client_t iotda_client_t;"),
            "typedef struct iotda_client iotda_client_t;"
        );
        assert_eq!(plain("/// A struct iotda_call_t."), "/// A struct iotda_call_t.");
    }

    /// Two files, of which the second begins a topic; cbindgen writes constants first and functions last.
    #[test]
    fn what_belongs_together_stands_together() {
        let first = "pub const IOTDA_A: i32 = -1;\n/// B.\npub const IOTDA_B: i32 = 2;\n\npub const IOTDA_C: i32 = 3;\n\
                     pub type iotda_status_t = i32;\n";
        let second = "/// F.\n#[unsafe(no_mangle)]\npub unsafe extern \"C\" fn iotda_f(\npub extern \"C\" fn iotda_g() {\n\
                      pub struct iotda_open_t {\npub struct iotda_handle_t {\n";
        let places = places(&[(Some("One".to_owned()), first.to_owned()), (Some("Two".to_owned()), second.to_owned())]);
        let long = "iotda_status_t iotda_f(const char *a_long_name_of_an_argument, const char *another_name, \
                    const char *and_one_more_of_them);";
        let generated = format!(
            "/* Intro. */\n\n/// Start.\n#ifdef __cplusplus\n#define IOTDA_OPEN_INIT 0\n#endif\n\n#define IOTDA_A -1\n\n\
             /// {0}\n/// {0} {0}\n#define IOTDA_B 2\n\n#define IOTDA_C 3\n\n\
             typedef struct iotda_handle iotda_handle_t;\n\ntypedef int32_t iotda_status_t;\n\n\
             typedef struct iotda_open {{\n    /// Short.\n    int32_t x;\n    /// Longer.\n    ///\n    /// By much.\n    \
             uint64_t longer;\n    bool none;\n}} iotda_open_t;\n\nextern \"C\" {{\n\n/// F.\n{long}\n\n\
             void iotda_g(void);\n\n}}\n\n#endif\n",
            "A comment of words.".repeat(3).replace('.', ". ").trim_end()
        );
        let comment = "A comment of words. A comment of words. A comment of words.";
        let expected = format!(
            "/* Intro. */\n\nextern \"C\" {{\n\n\
             /* == One {0} */\n\n\
             #define IOTDA_A (-1)\n\
             #define IOTDA_B 2    ///< {comment} A comment of words. A comment of\n                     \
             ///< words. A comment of words. {comment}\n\n\
             #define IOTDA_C 3\n\n\
             typedef int32_t iotda_status_t;\n\n\
             /* == Two {0} */\n\n\
             typedef struct iotda_handle iotda_handle_t;\n\n\
             /// F.\niotda_status_t iotda_f(const char *a_long_name_of_an_argument, const char *another_name,\n\
             {1}const char *and_one_more_of_them);\n\n\
             void iotda_g(void);\n\n\
             typedef struct iotda_open {{\n    int32_t x;       ///< Short.\n    /// Longer.\n    ///\n    /// By much.\n    \
             uint64_t longer;\n    bool none;\n}} iotda_open_t;\n\n\
             /// Start.\n#ifdef __cplusplus\n#define IOTDA_OPEN_INIT 0\n#endif\n\n}}\n\n#endif\n",
            "=".repeat(107),
            " ".repeat("iotda_status_t iotda_f(".len()),
        );
        assert_eq!(layout(&generated, &places), expected);
    }
}
