//! include/iotda.h: generated from crates/iotda-capi, kept in the repository. How it looks is set in
//! crates/iotda-capi/cbindgen.toml.

use crate::project::Project;
use anyhow::{Context, Result, anyhow, bail};
use std::fs;

const HEADER: &str = "include/iotda.h";

/// Writes the header, if it is not up to date.
pub(crate) fn write(project: &Project) -> Result<()> {
    let path = project.path(HEADER);
    let header = generate(project)?;
    if fs::read_to_string(&path).ok().as_deref() == Some(&header) {
        println!("{HEADER} is up to date");
        return Ok(());
    }
    fs::write(&path, header).with_context(|| format!("cannot write {}", path.display()))?;
    println!("{HEADER} is written");
    Ok(())
}

/// Fails if the header is not what `write` would make of it.
pub(crate) fn check(project: &Project) -> Result<()> {
    let path = project.path(HEADER);
    let kept = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    if kept != generate(project)? {
        bail!("{HEADER} does not match crates/iotda-capi; run: cargo xtask header");
    }
    println!("{HEADER} is up to date");
    Ok(())
}

fn generate(project: &Project) -> Result<String> {
    let source = project.path("crates/iotda-capi");
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

#[cfg(test)]
mod tests {
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
