//! The public interface of the crate iotda: every item is a line of crates/iotda/public-api.txt, so that a change of it
//! shows in the commit that makes it. `IOTDA_BLESS=1` writes the list anew.

#![forbid(unsafe_code)]

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use testkit::{cargo, path, process, read, scratch, skip, target};

const LIST: &str = "crates/iotda/public-api.txt";
/// Lists what rustdoc's JSON describes.
const PROGRAM: &str = "crates/libiotda/tests/public_api/Cargo.toml";
/// The format of rustdoc's JSON that it reads.
const FORMAT: u64 = 57;

#[test]
fn list_is_kept() -> Result<()> {
    let mut is_there = cargo("metadata");
    is_there.args(["--offline", "--locked", "--format-version=1", "--manifest-path"]).arg(path(PROGRAM));
    if process::output(&mut is_there).is_err() {
        skip(&format!("the crate public-api is not downloaded (cargo fetch --locked --manifest-path {PROGRAM})"));
        return Ok(());
    }
    let own = described("iotda", "serde,log,probe,ureq")?;
    let format = serde_json::from_slice::<Value>(&fs::read(&own)?)?["format_version"].as_u64();
    if format != Some(FORMAT) {
        skip(&format!("this rustdoc writes JSON of format {format:?}, and public-api reads {FORMAT}"));
        return Ok(());
    }
    let mut items = listed(&own)?;
    // What is of iotda-http, as far as iotda shows it.
    let shown: BTreeSet<String> = items
        .iter()
        .filter_map(|item| item.strip_prefix("pub use iotda::")?.rsplit("::").next())
        .map(str::to_owned)
        .collect();
    ensure!(shown.contains("CancelToken"), "iotda shows nothing of iotda-http: {shown:?}");
    items.extend(listed(&described("iotda-http", "probe,ureq")?)?.into_iter().filter(|item| {
        let name = item.split("iotda_http::").nth(1).unwrap_or_default();
        let name = name.strip_prefix("probe::").unwrap_or(name);
        let name = name.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
        shown.contains(name)
    }));
    // What is in a module and re-exported from the root is listed for both.
    let mut seen = BTreeSet::new();
    items.retain(|item| seen.insert(item.clone()));
    let list = items.join("\n") + "\n";
    if env::var_os("IOTDA_BLESS").is_some() {
        return fs::write(path(LIST), list).with_context(|| format!("cannot write {LIST}"));
    }
    let kept = read(LIST)?;
    let (kept, now): (BTreeSet<&str>, BTreeSet<&str>) = (kept.lines().collect(), list.lines().collect());
    let gone: Vec<_> = kept.difference(&now).collect();
    let new: Vec<_> = now.difference(&kept).collect();
    ensure!(
        gone.is_empty() && new.is_empty(),
        "the public interface has changed; if it is meant, IOTDA_BLESS=1 writes {LIST}\ngone: {gone:#?}\nnew: {new:#?}"
    );
    Ok(())
}

/// rustdoc's description of a crate. The option is for rustdoc alone: cargo builds nothing anew for it.
fn described(name: &str, features: &str) -> Result<PathBuf> {
    let rustdoc = scratch()?.join("rustdoc");
    fs::write(&rustdoc, "#!/bin/sh\nRUSTC_BOOTSTRAP=1 exec rustdoc \"$@\"\n")?;
    fs::set_permissions(&rustdoc, fs::Permissions::from_mode(0o755))?;
    let mut describe = cargo("rustdoc");
    describe.args(["--locked", "--offline", "--quiet", "--lib", "--package", name, "--features", features]);
    describe.arg("--target-dir").arg(target()).args(["--", "-Zunstable-options", "--output-format", "json"]);
    process::output(describe.env("RUSTDOC", rustdoc))?;
    Ok(target().join("doc").join(format!("{}.json", name.replace('-', "_"))))
}

fn listed(json: &Path) -> Result<Vec<String>> {
    let mut list = cargo("run");
    list.args(["--locked", "--offline", "--quiet", "--target-dir"]).arg(target().join("public-api"));
    list.arg("--manifest-path").arg(path(PROGRAM)).arg("--").arg(json);
    Ok(process::output(&mut list)?.lines().map(str::to_owned).collect())
}
