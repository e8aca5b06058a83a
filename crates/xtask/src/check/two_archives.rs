//! libiotda.a and a second Rust archive in one program, in either order on the linker's line: both panic and catch.

use super::installed;
use super::stand::Stand;
use super::suite::valgrind;
use crate::process;
use crate::project::Project;
use anyhow::{Result, ensure};
use std::env;
use std::process::Command;

/// After `panics::check`, which has installed the package with the function that makes the library panic.
pub(super) fn check(project: &Project) -> Result<()> {
    let prefix = installed::prefix_with_panic_hook(project);
    let source = installed::copy_of(project, "two_archives", "check/two_archives")?;
    let other = source.join("libother.a");
    let mut rustc = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    rustc.current_dir(project.root()).args(["--edition", "2024", "--crate-type", "staticlib", "-O", "-o"]);
    process::output(rustc.arg(&other).arg(source.join("other.rs")))?;

    let mut pkg_config = Command::new("pkg-config");
    pkg_config.env("PKG_CONFIG_PATH", prefix.join("lib/pkgconfig")).args(["--cflags", "--libs", "iotda-static"]);
    let flags = process::output(&mut pkg_config)?;
    for (name, other_first) in [("other_first", true), ("other_last", false)] {
        let program = source.join(name);
        let mut cc = Command::new("cc");
        cc.args(["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-o"]).arg(&program).arg(source.join("main.c"));
        if other_first {
            cc.arg(&other).args(flags.split_whitespace());
        } else {
            cc.args(flags.split_whitespace()).arg(&other);
        }
        process::output(&mut cc)?;
        let mut checked = valgrind(project);
        checked.arg(&program);
        for mut command in [Command::new(&program), checked] {
            let stand = Stand::start(&source)?;
            let requests = stand.run(&mut command)?;
            let messages = requests.iter().filter(|request| request.body == b"between").count();
            ensure!(messages == 3, "{messages} messages instead of 3");
        }
        println!("   {name}, by itself and under valgrind");
    }
    Ok(())
}
