//! The command on a terminal: the prompt for a secret, the progress of a stream, colours.

use std::io::Write;
use std::process::{Command, Stdio};

use iotda_platform::{Fault, InjectedAnswer, Route};
use testkit::{SECRET, Stand, Terminal};

use crate::run::{Running, iotda_at, run};

/// Runs a command whose standard input and error are a terminal.
fn run_on(terminal: &Terminal, command: &mut Command) -> Running {
    Running::start_with(command, [terminal.side(), Stdio::piped(), terminal.side()])
}

fn without_secret(stand: &Stand, words: &[&str]) -> Command {
    let mut command = iotda_at(stand, words);
    command.env_remove("IOTDA_DEVICE_SECRET");
    command
}

#[test]
fn a_secret_is_asked_for_and_not_shown() {
    let stand = Stand::start().unwrap();
    let mut terminal = Terminal::open().unwrap();
    let running = run_on(&terminal, &mut without_secret(&stand, &["auth"]));
    terminal.shows(&["Secret of test_gateway: "]);
    assert!(!terminal.is_as_usual());
    // With a mistake that is taken back.
    terminal.types(&format!("something else\x15{SECRET}x\x7f\r")).unwrap();
    let ended = running.end();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.starts_with("✓ test_gateway"), "{ended:?}");
    assert_eq!(stand.platform.counters().authentications, 1);
    assert!(terminal.is_as_usual());
    assert_eq!(terminal.shows(&["\n"]), "Secret of test_gateway: \r\n");
}

#[test]
fn ctrl_c_at_the_prompt_leaves_the_terminal_as_it_was() {
    let stand = Stand::start().unwrap();
    let mut terminal = Terminal::open().unwrap();
    for (keys, code, message) in [
        ("half a secret\x03", 130, "interrupted, nothing was sent"),
        ("\r", 3, "type the device's secret"),
        ("\x04", 3, "type the device's secret"),
    ] {
        let running = run_on(&terminal, &mut without_secret(&stand, &["message", "x"]));
        terminal.shows(&["Secret of test_gateway: "]);
        terminal.types(keys).unwrap();
        assert_eq!(running.end().code, Some(code), "{keys:?}");
        let text = terminal.shows(&[message]);
        assert!(terminal.is_as_usual() && !text.contains("half"), "{text:?}");
        terminal.forget();
    }
    assert_eq!(stand.platform.counters().requests, 0);
}

#[test]
fn what_is_no_terminal_is_not_asked() {
    let stand = Stand::start().unwrap();
    let terminal = Terminal::open().unwrap();
    // The question would be in a file, where nobody reads it.
    let mut command = without_secret(&stand, &["auth"]);
    let ended = Running::start_with(&mut command, [terminal.side(), Stdio::piped(), Stdio::piped()]).end();
    assert!(ended.code == Some(3) && ended.stderr.contains("--secret-file"), "{ended:?}");
    assert!(terminal.is_empty());
}

#[test]
fn a_stream_says_on_a_terminal_how_far_it_is() {
    let stand = Stand::start().unwrap();
    stand.platform.inject(Fault::answer(InjectedAnswer::status(503)).on(Route::Properties).times(1)).unwrap();
    let terminal = Terminal::open().unwrap();
    let mut command = iotda_at(&stand, &["stream", "--service", "s", "--on-error", "skip"]);
    let mut running =
        Running::start_with(command.env("TERM", "xterm"), [Stdio::piped(), Stdio::piped(), terminal.side()]);
    let mut lines = running.child.stdin.take().unwrap();
    lines.write_all(b"{\"n\":1}\n{\"n\":2}\nno JSON\n").unwrap();
    terminal.shows(&["2 accepted, ", "/s, 1 refused, 1 retry"]);
    drop(lines);
    assert_eq!(running.end().code, Some(1));
    let text = terminal.shows(&["3 lines read, 2 reports accepted, 1 refused, 1 retry in "]);
    // The line that changed is gone when the summary comes.
    let (before, _) = text.split_once("iotda: 3 lines read").unwrap();
    assert!(before.ends_with("\r\x1b[2K"), "{before:?}");
}

#[test]
fn a_stream_says_on_a_terminal_what_waits_and_since_when() {
    let stand = Stand::start().unwrap();
    assert_eq!(run(&mut iotda_at(&stand, &["auth"])).code, Some(0));
    stand.platform.inject(Fault::answer(InjectedAnswer::status(503)).on(Route::Properties)).unwrap();
    let terminal = Terminal::open().unwrap();
    let mut command = iotda_at(&stand, &["stream", "--service", "s", "--outbox", "kept"]);
    let mut running =
        Running::start_with(command.env("TERM", "xterm"), [Stdio::piped(), Stdio::piped(), terminal.side()]);
    let mut lines = running.child.stdin.take().unwrap();
    lines.write_all(b"{\"n\":1}\n{\"n\":2}\n").unwrap();
    terminal.shows(&["0 accepted, 0/s, ", "2 waiting, the oldest for "]);
    terminal.shows(&["0 accepted, 0/s, 1 retry, 2 waiting, the oldest for "]);
    stand.platform.clear_faults();
    drop(lines);
    assert_eq!(running.end().code, Some(0));
    terminal.shows(&["2 lines read, 2 reports accepted"]);
}

#[test]
fn signs_have_colours_on_a_terminal_unless_it_is_asked_not() {
    let stand = Stand::start().unwrap();
    for (variable, shown) in [("OTHER", "\x1b[32m✓\x1b[0m test_gateway"), ("NO_COLOR", "✓ test_gateway")] {
        let terminal = Terminal::open().unwrap();
        let mut command = iotda_at(&stand, &["auth"]);
        let streams = [Stdio::null(), terminal.side(), terminal.side()];
        assert_eq!(Running::start_with(command.env(variable, "1"), streams).end().code, Some(0));
        terminal.shows(&[shown]);
    }
}
