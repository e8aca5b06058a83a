//! Building the static and the shared library, both in one run of rustc, which also says what a
//! program must link beside the static one.

use super::Request;
use crate::project::Project;
use crate::{cargo, process};
use anyhow::{Result, bail};
use serde_json::Value;
use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What was built.
#[derive(Debug, Default)]
pub(super) struct Library {
    pub(super) archive: PathBuf,
    pub(super) shared: PathBuf,
    /// The linker's arguments for the native libraries that the archive needs, such as `-lm`.
    pub(super) native_libs: Vec<String>,
}

pub(super) fn build(project: &Project, request: &Request) -> Result<Library> {
    let mut cargo = project.cargo("rustc");
    cargo
        .args(["--package", "iotda-dist", "--locked", "--message-format", "json"])
        .args(["--profile", &request.profile, "--features", &request.features.join(",")])
        // A directory of its own: other flags than those of other builds would make each rebuild
        // what the other has built.
        .arg("--target-dir")
        .arg(project.target().join("package"))
        .env("CARGO_ENCODED_RUSTFLAGS", flags(project)?)
        .args(["--", "--print", "native-static-libs"]);
    let mut library = Library::default();
    cargo::messages(&mut cargo, |message| take_in(&mut library, message))?;
    if library.native_libs.is_empty() || library.archive == PathBuf::new() || library.shared == PathBuf::new() {
        bail!("cargo's messages do not name what it built; it said: {library:?}");
    }
    Ok(library)
}

fn take_in(library: &mut Library, message: &Value) {
    match message["reason"].as_str() {
        Some("compiler-message") => {
            let text = message["message"]["message"].as_str().unwrap_or_default();
            if let Some(list) = text.strip_prefix("native-static-libs:") {
                library.native_libs = native_libs(list);
            } else if !text.to_lowercase().starts_with("link against the following native artifacts") {
                cargo::show(message);
            }
        }
        Some("compiler-artifact") if message["target"]["name"] == "iotda" => {
            let files = message["filenames"].as_array().into_iter().flatten().filter_map(Value::as_str);
            for file in files.map(Path::new) {
                match file.extension().and_then(|extension| extension.to_str()) {
                    Some("a") => library.archive = file.to_owned(),
                    Some("so") => library.shared = file.to_owned(),
                    _ => {}
                }
            }
        }
        _ => {}
    }
}

/// rustc's list without repetitions. Of two the later stays, because what needs a library comes
/// before it.
fn native_libs(list: &str) -> Vec<String> {
    let words: Vec<&str> = list.split_whitespace().collect();
    let later = |index: usize| words[index + 1..].contains(&words[index]);
    let kept = words.iter().enumerate().filter(|(index, _)| !later(*index));
    kept.map(|(_, word)| (*word).to_owned()).collect()
}

/// The flags for rustc that keep the directories of this machine out of the libraries: they say
/// nothing to a user, and make two builds of the same source differ.
fn flags(project: &Project) -> Result<OsString> {
    let sysroot = process::output(Command::new(rustc()).args(["--print", "sysroot"]))?;
    let mut directories = vec![
        (PathBuf::from(sysroot.trim()), "/rust"),
        (project.root().to_owned(), "/libiotda"),
        (project.target().to_owned(), "/target"),
    ];
    let cargo_home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo"));
    if let Some(cargo_home) = cargo_home.or(home) {
        directories.push((cargo_home, "/cargo"));
    }
    // Of several that match, rustc takes the last: the longest is to win.
    directories.sort_by_key(|(directory, _)| directory.as_os_str().len());

    let mut flags: Vec<OsString> = match env::var_os("CARGO_ENCODED_RUSTFLAGS") {
        Some(given) => vec![given],
        None => env::var("RUSTFLAGS").iter().flat_map(|f| f.split_whitespace()).map(OsString::from).collect(),
    };
    for (directory, name) in directories {
        let mut flag = OsString::from("--remap-path-prefix=");
        flag.push(directory);
        flag.push("=");
        flag.push(name);
        flags.push(flag);
    }
    Ok(flags.join("\u{1f}".as_ref()))
}

fn rustc() -> OsString {
    env::var_os("RUSTC").unwrap_or_else(|| "rustc".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_link_line_is_taken_from_rustc() {
        let mut library = Library::default();
        let text = "native-static-libs: -lgcc_s -lutil -lc -lm -lrt -lc";
        take_in(&mut library, &json!({"reason": "compiler-message", "message": {"message": text}}));
        assert_eq!(library.native_libs, ["-lgcc_s", "-lutil", "-lm", "-lrt", "-lc"]);
    }

    #[test]
    fn the_files_are_those_of_the_library() {
        let mut library = Library::default();
        for (name, file) in [("iotda", "/t/libiotda.a"), ("iotda", "/t/libiotda.so"), ("ring", "/t/libring.a")] {
            let message = json!({"reason": "compiler-artifact", "target": {"name": name}, "filenames": [file]});
            take_in(&mut library, &message);
        }
        assert_eq!(library.archive, Path::new("/t/libiotda.a"));
        assert_eq!(library.shared, Path::new("/t/libiotda.so"));
    }
}
