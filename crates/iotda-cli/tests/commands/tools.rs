//! `iotda outbox`, `watch`, `serve`, `completions` and `man`.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use iotda_platform::{Fault, InjectedAnswer, Route};
use testkit::process::Background;
use testkit::{Stand, scratch};

use crate::run::{Running, compare, iotda, iotda_at, run, run_with_input, wait_for};

/// An outbox in which three reports wait, two of a child among them.
fn fill(stand: &Stand) {
    stand.platform.inject(Fault::answer(InjectedAnswer::status(503))).unwrap();
    let lines = "{\"services\":[{\"service_id\":\"s\",\"properties\":{\"n\":1e400},\"event_time\":\"2021-08-13T10:10:10.555Z\"}]}\n\
                 {\"devices\":[{\"device_id\":\"c1\",\"services\":[{\"service_id\":\"s\",\"properties\":{\"n\":2},\"event_time\":\"2021-08-13T10:10:10.555Z\"}]}]}\n\
                 {\"devices\":[{\"device_id\":\"c1\",\"services\":[{\"service_id\":\"s\",\"properties\":{\"n\":3},\"event_time\":\"2021-08-13T10:10:10.555Z\"}]}]}\n";
    let words = ["stream", "--outbox", "kept", "--timeout", "0.2", "-q"];
    assert_eq!(run_with_input(&mut iotda_at(stand, &words), lines.as_bytes()).code, Some(1));
    stand.platform.clear_faults();
}

/// A text without what differs from run to run: times of puts and entry ids.
fn steady(text: &str) -> String {
    let mut steady = String::new();
    for line in text.lines() {
        let mut line = line.to_owned();
        for (from, until) in [("since ", ""), ("\"time_ms\":", ","), ("\"id\":", ","), ("\"oldest_ms\":", ",")] {
            if let Some(at) = line.find(from).map(|at| at + from.len()) {
                let end = line[at..].find(until).filter(|_| !until.is_empty()).map_or(line.len(), |end| at + end);
                line.replace_range(at..end, "[N]");
            }
        }
        steady.push_str(&line);
        steady.push('\n');
    }
    steady
}

#[test]
fn an_outbox_is_shown_checked_and_exported_without_a_change() {
    let stand = Stand::start().unwrap();
    fill(&stand);
    for (name, words) in [
        ("outbox_inspect", &["outbox", "inspect", "kept", "-d", "test_gateway"][..]),
        ("outbox_inspect_json", &["outbox", "inspect", "kept", "--json"]),
        ("outbox_verify", &["outbox", "verify", "kept"]),
        ("outbox_export", &["outbox", "export", "kept", "-d", "test_gateway"]),
    ] {
        let mut ended = run(&mut iotda(words));
        ended.stdout = steady(&ended.stdout);
        compare(name, &ended, &[]);
    }
    // A program has it open meanwhile.
    stand.platform.inject(Fault::answer(InjectedAnswer::status(503)).on(Route::Properties)).unwrap();
    let running = Running::start(&mut iotda_at(&stand, &["stream", "--outbox", "kept"]));
    wait_for(&stand, "call=batch&result=accepted");
    assert_eq!(run(&mut iotda(&["outbox", "inspect", "kept"])).code, Some(0));
    drop(running);
    let segment = fs::read_dir(scratch().unwrap().join("kept")).unwrap().map(|entry| entry.unwrap().path());
    for path in segment.filter(|path| path.extension().is_some_and(|extension| extension == "seg")) {
        let mut bytes = fs::read(&path).unwrap();
        if let Some(at) = bytes.windows(5).position(|window| window == b"1e400") {
            bytes[at] = b'2';
            fs::write(&path, bytes).unwrap();
        }
    }
    let ended = run(&mut iotda(&["outbox", "verify", "kept"]));
    assert_eq!(ended.code, Some(10), "{ended:?}");
    compare("outbox_none", &run(&mut iotda(&["outbox", "inspect", "nowhere"])), &[]);
}

#[test]
fn dead_letters_are_shown_and_forgotten() {
    let stand = Stand::start().unwrap();
    assert_eq!(run(&mut iotda_at(&stand, &["auth"])).code, Some(0));
    stand.platform.inject(Fault::refusal("IOTDA.000006").on(Route::Properties)).unwrap();
    let words = ["stream", "--service", "s", "--outbox", "kept", "--on-error", "skip", "-q"];
    let line = b"{\"n\":1}\n{\"n\":2}\n";
    assert_eq!(run_with_input(&mut iotda_at(&stand, &words), line).code, Some(1));
    let shown = run(&mut iotda(&["outbox", "dead", "kept"]));
    assert_eq!((shown.code, shown.stdout.lines().count()), (Some(0), 2), "{shown:?}");
    let first: serde_json::Value = serde_json::from_str(shown.stdout.lines().next().unwrap()).unwrap();
    assert_eq!((&first["reason"], &first["code"]), (&"Rejected".into(), &"IOTDA.000006".into()));
    assert_eq!(first["body"]["services"][0]["properties"]["n"], 1);
    let number = first["number"].to_string();
    let forgotten = run(&mut iotda(&["outbox", "dead", "kept", "--forget", &number]));
    assert_eq!((forgotten.code, forgotten.stdout.as_str()), (Some(0), "✓ dead letters left: 1\n"));
    assert_eq!(run(&mut iotda(&["outbox", "dead", "kept"])).stdout.lines().count(), 1);
    assert_eq!(run(&mut iotda(&["outbox", "dead", "nowhere", "--forget", "1"])).code, Some(10));
    assert!(!scratch().unwrap().join("nowhere").exists());
}

#[test]
fn what_arrives_at_a_stand_in_is_shown_without_secrets() {
    let stand = Stand::start().unwrap();
    let inspect = stand.platform.inspection_url().to_owned();
    let words = ["watch", "-n", "3", "--inspect", inspect.as_str()];
    assert_eq!(run(&mut iotda_at(&stand, &["message", "hello\u{1b}[2J"])).code, Some(0));
    stand.platform.inject(Fault::refusal("IOTDA.000006").on(Route::Properties)).unwrap();
    assert_eq!(run(&mut iotda_at(&stand, &["report", "s", "n=1"])).code, Some(8));
    let mut ended = run(&mut iotda(&[&words[..], &["--all"]].concat()));
    ended.stdout = ended.stdout.lines().map(|line| format!("[TIME]{}\n", &line[12..])).collect();
    compare("watch", &ended, &[]);
    // From now on: what is there already is not shown.
    let watching = Running::start(&mut iotda(&["watch", "-n", "1", "--json", "--inspect", words[4]]));
    let counted = || stand.platform.counters().requests;
    let before = counted();
    // A message for each look, until the watch has seen one and ends.
    let mut watching = watching;
    while watching.child.try_wait().unwrap().is_none() {
        assert_eq!(run(&mut iotda_at(&stand, &["message", "later"])).code, Some(0));
    }
    let ended = watching.end();
    assert!(counted() > before && ended.stdout.contains(r#""body":"later""#), "{ended:?}");
    let all = run(&mut iotda(&["watch", "-n", "1", "--all", "--json", "--inspect", words[4]]));
    assert!(!all.stdout.contains("password") && all.stdout.contains(r#""call":"auth""#), "{all:?}");
    drop(stand);
    assert_eq!(run(&mut iotda(&words)).code, Some(4));
    compare("watch_no_address", &run(&mut iotda(&["watch"])), &[]);
}

#[test]
fn serve_is_the_stand_in_with_another_name() {
    let mut serve = iotda(&["serve", "--device", "d=a secret of the tests", "--exit-with-stdin"]);
    let mut serving =
        Background::start(serve.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null())).unwrap();
    let mut lines = BufReader::new(serving.child.stdout.take().unwrap()).lines();
    let mut message = iotda(&["message", "hello"]);
    for line in lines.by_ref().map(Result::unwrap).take_while(|line| line != "ready") {
        let (name, value) = line.split_once('=').unwrap();
        message.env(name, value.trim_matches('\''));
    }
    let ended = run(&mut message);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), "✓ d: message accepted\n"), "{ended:?}");
    drop(serving.child.stdin.take());
    assert_eq!(serving.child.wait().unwrap().code(), Some(0));
    assert_eq!(run(&mut iotda(&["serve", "--listen", "nonsense"])).code, Some(3));
}

#[test]
fn completions_and_manual_pages_are_made() {
    for shell in ["bash", "zsh", "fish"] {
        let ended = run(&mut iotda(&["completions", shell]));
        assert!(ended.code == Some(0) && ended.stdout.contains("doctor"), "{shell}: {ended:?}");
    }
    assert_eq!(run(&mut iotda(&["completions", "tcsh"])).code, Some(2));
    // The shell takes it, and offers what begins so.
    let script = r#"source <(iotda completions bash); COMP_WORDS=(iotda do); COMP_CWORD=1; _iotda iotda do iotda; echo "${COMPREPLY[@]}""#;
    let directory = std::path::Path::new(env!("CARGO_BIN_EXE_iotda")).parent().unwrap();
    let path = format!("{}:/usr/bin:/bin", directory.display());
    let mut bash = Command::new("bash");
    let offered = bash.args(["--norc", "-c", script]).env_clear().env("PATH", path).output().unwrap();
    assert_eq!(String::from_utf8(offered.stdout).unwrap().trim(), "doctor");

    let directory = scratch().unwrap().join("man");
    fs::create_dir(&directory).unwrap();
    assert_eq!(run(&mut iotda(&["man", "man"])).code, Some(0));
    let mut pages: Vec<String> =
        fs::read_dir(&directory).unwrap().map(|page| page.unwrap().file_name().into_string().unwrap()).collect();
    pages.sort();
    for page in ["iotda.1", "iotda-stream.1", "iotda-outbox-inspect.1", "iotda-serve.1", "iotda-doctor.1"] {
        assert!(pages.iter().any(|name| name == page), "{page} is not among {pages:?}");
    }
    assert!(!pages.iter().any(|name| name.contains("iotda-man")));
    let page = fs::read_to_string(directory.join("iotda-stream.1")).unwrap();
    assert!(page.starts_with(".ie") && page.contains("iotda stream") && page.contains("\\-\\-outbox"), "{page}");
    assert_eq!(run(&mut iotda(&["man", "nowhere"])).code, Some(10));
}
