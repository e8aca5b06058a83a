//! What the documentation shows: the fenced blocks of README.md and the examples in the headers, compiled with the
//! installed package and run against a stand-in platform. A block that nothing here knows how to try out is an error,
//! and so is one that is expected and not there.
//!
//! `text` finds the snippets, `trial` tries them out. What is put in the place of something else, or around it, is
//! said there for each kind of snippet.

mod text;
mod trial;

use super::installed;
use crate::project::Project;
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::PathBuf;
use text::Snippet;

/// Where snippets are tried out, and what with.
struct Bench<'a> {
    project: &'a Project,
    /// The installed package.
    prefix: PathBuf,
}

/// How a snippet is tried out.
type Trial = fn(&Bench, &Snippet) -> Result<()>;

/// A snippet that is expected: the heading above it, its language, and how it is tried out.
type Expected = (&'static str, &'static str, Trial);

/// The blocks of README.md, in order.
const README: &[Expected] = &[
    ("libiotda", "c", trial::c_program),
    ("libiotda", "cmake", trial::cmake_lines),
    ("libiotda", "sh", trial::xtask_commands),
    ("Install", "sh", trial::source_install),
    ("Install", "sh", trial::install_commands),
    ("Install", "sh", trial::install_commands),
    ("Install", "sh", trial::install_commands),
    ("Install", "cmake", trial::source_tree_lines),
    ("Other processors", "sh", trial::cross_configuration),
    ("C++", "cpp", trial::cpp_program),
    ("Develop against the stand-in platform", "sh", trial::platform_command),
];

/// The examples of the headers, in order. Their heading is the first line of the comment.
const C_HEADER: &[Expected] = &[
    ("How to use it", "c", trial::c_example),
    (
        "Reports properties of the device by a request body that the program made itself: len bytes of UTF-8,",
        "c",
        trial::properties_body,
    ),
    (
        "Reports a batch by a request body that the program made itself: len bytes of UTF-8, with any number of",
        "c",
        trial::batch_body,
    ),
];
const CPP_HEADER: &[Expected] = &[
    ("How to use it", "cpp", trial::cpp_example),
    (
        "What one call is told: how long it may take, name look-up and authentication included, and what ends it.",
        "cpp",
        trial::cpp_calls,
    ),
];

pub(super) fn check(project: &Project) -> Result<()> {
    let bench = Bench { project, prefix: installed::prefix(project) };
    project.empty_dir(trial::DIR)?;
    let read = |path: &str| fs::read_to_string(project.path(path)).with_context(|| format!("cannot read {path}"));
    try_out(&bench, "README.md", &text::fenced(&read("README.md")?)?, README)?;
    try_out(&bench, "include/iotda.h", &text::indented(&read("include/iotda.h")?, "c"), C_HEADER)?;
    try_out(&bench, "include/iotda.hpp", &text::indented(&read("include/iotda.hpp")?, "cpp"), CPP_HEADER)
}

fn try_out(bench: &Bench, document: &str, snippets: &[Snippet], expected: &[Expected]) -> Result<()> {
    let trials = assign(snippets, expected).with_context(|| format!("in {document}"))?;
    for (snippet, trial) in snippets.iter().zip(trials) {
        trial(bench, snippet).with_context(|| format!("{document}, line {}: {}", snippet.line, snippet.language))?;
        println!("   {document}, line {}: {}", snippet.line, snippet.language);
    }
    Ok(())
}

/// The trial of each snippet. Blocks of Go are not in the tables: they are compared with what Go itself tests.
fn assign(snippets: &[Snippet], expected: &[Expected]) -> Result<Vec<Trial>> {
    let mut expected = expected.iter();
    let mut trials = Vec::new();
    for snippet in snippets {
        if snippet.language == "go" {
            trials.push(trial::go_block_is_in_the_example as Trial);
            continue;
        }
        match expected.next() {
            Some((heading, language, trial)) if *heading == snippet.heading && *language == snippet.language => {
                trials.push(*trial);
            }
            other => bail!(
                "nothing tries out the {} of line {} below \"{}\" (the table has {:?} here)",
                snippet.language,
                snippet.line,
                snippet.heading,
                other.map(|(heading, language, _)| (heading, language))
            ),
        }
    }
    if let Some((heading, language, _)) = expected.next() {
        bail!("the {language} below \"{heading}\" is not there any more");
    }
    Ok(trials)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fenced(text: &str) -> Vec<Snippet> {
        text::fenced(text).unwrap()
    }

    #[test]
    fn every_snippet_needs_a_trial_and_every_trial_a_snippet() {
        let table: &[Expected] = &[("A", "sh", trial::xtask_commands), ("B", "c", trial::c_program)];
        let both = "# A\n```sh\nx\n```\n# B\n```c\ny\n```\n";
        assert_eq!(assign(&fenced(both), table).unwrap().len(), 2);
        let error = |text: &str| assign(&fenced(text), table).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(error(&format!("{both}```c\nz\n```\n")).contains("nothing tries out the c of line 10"));
        assert!(error("# A\n```sh\nx\n```\n").contains("below \"B\" is not there"));
        assert!(error("# A\n```make\nx\n```\n").contains("nothing tries out the make"));
        assert!(error("# C\n```sh\nx\n```\n").contains("below \"C\""));
    }

    #[test]
    fn go_is_left_to_go() {
        assert_eq!(assign(&fenced("# A\n```go\nx\n```\n"), &[]).unwrap().len(), 1);
    }
}
