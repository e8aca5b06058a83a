//! What does not compile with the C++ headers: programs that would dangle, ignore a failure, or send what is no text.
//! Each stands beside one that does what was meant, and compiles.

#![forbid(unsafe_code)]

use anyhow::{Result, ensure};
use std::fs;
use std::path::Path;
use std::process::Command;
use testkit::{Tool, path, process, scratch};

/// What is wrong, in a function with an `iotda::Client client`; a part of what a compiler says of it; and what is right.
type Case = (&'static str, &'static str, &'static str);

#[rustfmt::skip]
const REFUSED: &[Case] = &[
    // Temporaries that would be gone when they are used.
    ("Service s(\"w\", Props().add(\"T\", 21.5));", "deleted", "auto p = Props().add(\"T\", 21.5); Service s(\"w\", p);"),
    ("Service s(\"w\", std::string(\"{}\"));", "deleted", "std::string json = \"{}\"; Service s(\"w\", json);"),
    ("Service s(\"w\", Props(), std::chrono::system_clock::now());", "deleted",
     "Props p; Service s(\"w\", p, std::chrono::system_clock::now());"),
    ("Child c(\"id\", Service(\"w\", \"{}\"));", "deleted", "Service s(\"w\", \"{}\"); Child c(\"id\", s);"),
    ("Child c(\"id\", std::array<Service, 1>{Service(\"w\", \"{}\")});", "deleted",
     "std::array<Service, 1> list{Service(\"w\", \"{}\")}; Child c(\"id\", list);"),
    ("Child c(\"id\", std::vector<Service>());", "deleted", "std::vector<Service> list; Child c(\"id\", list);"),
    ("CallOptions options{Cancel()};", "deleted", "Cancel cancel; CallOptions options{cancel};"),
    ("auto options = CallOptions().cancelled_by(Cancel());", "deleted",
     "Cancel cancel; auto options = CallOptions().cancelled_by(cancel);"),
    ("auto json = Props().add(\"a\", 1).json();", "deleted", "auto p = Props().add(\"a\", 1); auto json = p.json();"),
    ("auto &name = Props().failed();", "deleted", "Props p; auto &name = p.failed();"),
    ("const char *id = Batch().child(\"a\").child_id(0);", "deleted",
     "Batch b; b.child(\"a\"); const char *id = b.child_id(0);"),
    ("CStringView text = std::string(\"x\");", "deleted", "std::string kept; CStringView text = kept;"),
    ("CStringView text = std::string_view(\"x\");", "conver|no viable conversion", "TextArgument text = std::string_view(\"x\");"),
    ("Config().set_sign_type(0);", "as 'this' argument|discards qualifiers|not viable|is an rvalue", "Config c; c.set_sign_type(0);"),
    // Failures that would go unnoticed.
    ("client.report_message(\"x\");", "ignoring", "(void)client.report_message(\"x\");"),
    ("client.gateway_batch(Batch());", "ignoring", "(void)client.gateway_batch(Batch());"),
    ("Props().add(\"a\", 1);", "ignoring", "Props p; p.add(\"a\", 1);"),
    ("bool done = client.auth();", "conver|no viable conversion", "bool done = client.auth().ok();"),
    // What is no text, no number, no properties.
    ("(void)client.report_message(nullptr);", "deleted", "(void)client.report_message(\"\");"),
    ("(void)client.report_props(nullptr, \"{}\");", "no matching", "(void)client.report_props(\"w\", \"{}\");"),
    ("(void)client.report_props(\"w\", 5);", "no matching", "(void)client.report_props(\"w\", Props().add(\"n\", 5));"),
    ("Batch b; b.child(\"a\").service(\"s\", nullptr);", "no matching", "Batch b; b.child(\"a\").service(\"s\", \"{}\");"),
    ("Batch b; b.child(nullptr);", "deleted", "Batch b; b.child(\"a\");"),
    ("Props p; p.add(\"c\", 'x');", "no matching|ambiguous|convert", "Props p; p.add(\"c\", \"x\");"),
    ("Props p; p.add(\"n\", static_cast<__int128>(1));", "no matching|ambiguous|convert", "Props p; p.add(\"n\", std::int64_t{1});"),
    ("CallOptions options = 500;", "conver|no viable conversion", "CallOptions options = std::chrono::milliseconds(500);"),
    // Two owners.
    ("Client other = client;", "deleted", "Client other = std::move(client);"),
    ("Span<int> list = std::vector<int>{1};", "conver|no viable conversion", "std::vector<int> kept{1}; Span<int> list = kept;"),
];

/// What clang finds by [[clang::lifetimebound]] alone.
#[rustfmt::skip]
const DANGLING: &[Case] = &[
    ("const char *why = client.auth().message();", "dangling", "auto outcome = client.auth(); const char *why = outcome.message();"),
    ("const char *code = client.auth().platform_code();", "dangling", "auto outcome = client.auth(); const char *code = outcome.platform_code();"),
    ("Span<const Service> list = std::vector<Service>{Service(\"w\", \"{}\")};", "dangling",
     "std::vector<Service> kept; Span<const Service> list = kept;"),
    ("Bytes bytes = std::string(\"x\");", "dangling", "std::string kept; Bytes bytes = kept;"),
    ("int &value = *Result<int>(1);", "dangling|cannot bind", "Result<int> result(1); int &value = *result;"),
];

#[test]
fn by_gcc() -> Result<()> {
    if testkit::is_missing(Tool::Program("g++", "g++")) {
        return Ok(());
    }
    let dir = scratch()?;
    // g++ looks for a precompiled header beside the name that is included.
    precompile("g++", &dir.join("iotda.hpp.gch"))?;
    let header = ["-I".to_owned(), dir.display().to_string(), "-include".to_owned(), "iotda.hpp".to_owned()];
    judge("g++", &header, &dir, REFUSED)
}

#[test]
fn by_clang() -> Result<()> {
    if testkit::is_missing(Tool::Program("clang++", "clang")) {
        return Ok(());
    }
    let dir = scratch()?;
    let precompiled = dir.join("iotda.pch");
    precompile("clang++", &precompiled)?;
    let header = ["-include-pch".to_owned(), precompiled.display().to_string()];
    judge("clang++", &header, &dir, REFUSED)?;
    judge("clang++", &header, &dir, DANGLING)
}

/// Of what is unused, results that are ignored count alone.
const OPTIONS: [&str; 7] =
    ["-std=c++17", "-Wall", "-Wextra", "-Werror", "-Wno-unused", "-Wunused-result", "-Wunused-value"];

fn precompile(compiler: &str, to: &Path) -> Result<()> {
    let mut compile = Command::new(compiler);
    compile.args(OPTIONS).args(["-x", "c++-header"]).arg(path("include/iotda.hpp")).arg("-o").arg(to);
    process::output(&mut compile).map(drop)
}

fn judge(compiler: &str, header: &[String], dir: &Path, cases: &[Case]) -> Result<()> {
    let right: Vec<&str> = cases.iter().map(|(.., right)| *right).collect();
    let (compiles, text) = compile(compiler, header, dir, &right)?;
    ensure!(compiles, "{compiler} refuses what is right:\n{text}");
    for (wrong, says, _) in cases {
        let (compiles, text) = compile(compiler, header, dir, &[wrong])?;
        ensure!(!compiles, "{compiler} takes this: {wrong}");
        let is_said = says.split('|').any(|one| text.contains(one));
        ensure!(is_said, "{compiler} refuses this for another reason: {wrong}\n{text}");
    }
    Ok(())
}

/// Whether these compile, each in a function of its own; and what the compiler says.
fn compile(compiler: &str, header: &[String], dir: &Path, bodies: &[&str]) -> Result<(bool, String)> {
    let source = dir.join("case.cpp");
    let mut text = String::from("using namespace iotda;\n");
    for (number, body) in bodies.iter().enumerate() {
        text.push_str(&format!("void test_{number}(Client client) {{\n    {body}\n    (void)client;\n}}\n"));
    }
    fs::write(&source, text)?;
    let mut command = Command::new(compiler);
    command.args(OPTIONS).arg("-fsyntax-only").args(header).arg(&source).env("LC_ALL", "C");
    let output = command.output()?;
    Ok((output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned()))
}
