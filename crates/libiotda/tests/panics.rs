//! A panic inside each function of the library is an error outside; also beside a second Rust library in the same
//! program. The library is the one that is shipped but for the function that asks for the panic.

#![forbid(unsafe_code)]

use anyhow::{Result, ensure};
use std::env;
use std::process::Command;
use testkit::program::{self, Run, WARNINGS};
use testkit::{PANIC_HOOK, Package, Stand, path, process, scratch};

/// A module for each program of tests/c that is built with that library.
macro_rules! programs {
    ($($name:ident)*) => {$(
        mod $name {
            use super::*;

            #[test]
            fn alone() -> Result<()> {
                errors_outside(stringify!($name), Run::Alone)
            }

            #[test]
            fn under_valgrind() -> Result<()> {
                errors_outside(stringify!($name), Run::UnderValgrind)
            }
        }
    )*};
}

programs! { panics at_exit }

mod two_archives {
    use super::*;

    #[test]
    fn the_other_one_first() -> Result<()> {
        both_catch(true)
    }

    #[test]
    fn the_other_one_last() -> Result<()> {
        both_catch(false)
    }
}

fn errors_outside(name: &str, run: Run) -> Result<()> {
    if run.is_missing() {
        return Ok(());
    }
    let source = path(&format!("crates/libiotda/tests/c/{name}.c"));
    let program = program::c(&Package::with(&[PANIC_HOOK])?, &source, &["-DPANIC_HOOK"])?;
    let mut command = run.command(&program)?;
    // What a panic would print is reported to the caller instead, whatever the environment asks for.
    command.env("RUST_BACKTRACE", "1");
    let stand = Stand::start()?;
    stand.run(&mut command)?;
    let connections = stand.platform.counters().connections;
    ensure!(connections == 0, "a call that panicked at its beginning reached the network");
    Ok(())
}

/// libiotda.a and a second Rust archive in one program, in either order on the linker's line.
fn both_catch(other_first: bool) -> Result<()> {
    let (source, dir) = (path("crates/libiotda/tests/two_archives"), scratch()?);
    let other = dir.join("libother.a");
    let mut rustc = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    rustc.current_dir(path("")).args(["--edition", "2024", "--crate-type", "staticlib", "-O", "-o"]);
    process::output(rustc.arg(&other).arg(source.join("other.rs")))?;

    let flags = Package::with(&[PANIC_HOOK])?.flags("iotda-static")?;
    let program = dir.join("main");
    let mut compile = Command::new("cc");
    compile.args(WARNINGS).arg("-o").arg(&program).arg(source.join("main.c"));
    if other_first {
        compile.arg(&other).args(flags);
    } else {
        compile.args(flags).arg(&other);
    }
    process::output(&mut compile)?;
    for run in [Run::Alone, Run::UnderValgrind] {
        if run.is_missing() {
            continue;
        }
        let requests = Stand::start()?.run(&mut run.command(&program)?)?;
        let messages = requests.iter().filter(|request| request.body == b"between").count();
        ensure!(messages == 3, "{messages} messages instead of 3");
    }
    Ok(())
}
