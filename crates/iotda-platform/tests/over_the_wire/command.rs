//! The command, as a program that starts it sees it.

use crate::inspection::call;
use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_iotda-platform"));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A directory for one test's files, removed with it.
struct Directory(PathBuf);

impl Directory {
    fn new(test: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{test}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a directory");
        Self(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Starts the command and reads what it says up to `ready`.
fn start(arguments: &[&str]) -> (Child, HashMap<String, String>) {
    let mut child = command().arg("--exit-with-stdin").args(arguments).spawn().expect("the command starts");
    let mut values = HashMap::new();
    for line in BufReader::new(child.stdout.take().expect("its output")).lines() {
        let line = line.expect("a line");
        match line.split_once('=') {
            Some((key, value)) => {
                values.insert(key.to_owned(), value.to_owned());
            }
            None => {
                assert_eq!(line, "ready");
                return (child, values);
            }
        }
    }
    panic!("the command has ended: {:?}", child.wait_with_output());
}

fn fails(arguments: &[&str]) -> String {
    let Output { status, stderr, .. } = command().args(arguments).output().expect("the command runs");
    assert!(!status.success(), "{arguments:?}");
    String::from_utf8(stderr).expect("text")
}

#[test]
fn it_says_what_a_client_needs_and_ends_with_its_input() {
    let (mut child, values) = start(&[]);
    assert!(values["IOTDA_ENDPOINT"].starts_with("https://127.0.0.1:"), "{values:?}");
    assert_eq!(
        (values["IOTDA_DEVICE_ID"].as_str(), values["IOTDA_DEVICE_SECRET"].as_str()),
        ("demo_device", "demo-secret")
    );
    assert_eq!(values["IOTDA_GATEWAY_ID"], "demo_gateway");
    let ca_file = PathBuf::from(&values["IOTDA_CA_FILE"]);
    assert!(std::fs::read_to_string(&ca_file).expect("a certificate").starts_with("-----BEGIN CERTIFICATE-----"));
    assert_eq!(call(&values["IOTDA_INSPECT"], "GET", "/counters", "").1["requests"], 0);
    drop(child.stdin.take());
    assert!(child.wait().expect("it ends").success());
    assert!(!ca_file.exists());
}

#[cfg(unix)]
#[test]
fn it_ends_on_signals() {
    for signal in ["-TERM", "-INT"] {
        let (mut child, _) = start(&[]);
        let sent = Command::new("kill").args([signal, &child.id().to_string()]).status().expect("kill runs");
        assert!(sent.success());
        assert!(child.wait().expect("it ends").success(), "{signal}");
    }
}

#[test]
fn devices_and_gateways_of_the_command_line() {
    let directory = Directory::new("devices");
    let ca_file = directory.0.join("the ca.pem");
    let ca_text = ca_file.to_str().expect("a path that is text");
    let (mut child, values) =
        start(&["--device", "a=x=y", "--gateway", "b=it's", "--ca-out", ca_text, "--token-lifetime", "60"]);
    assert_eq!((values["IOTDA_DEVICE_ID"].as_str(), values["IOTDA_DEVICE_SECRET"].as_str()), ("a", "x=y"));
    assert_eq!((values["IOTDA_GATEWAY_ID"].as_str(), values["IOTDA_GATEWAY_SECRET"].as_str()), ("b", r"'it'\''s'"));
    assert_eq!(values["IOTDA_CA_FILE"], format!("'{ca_text}'"));
    let (_, devices) = call(&values["IOTDA_INSPECT"], "GET", "/devices", "");
    assert_eq!(devices.as_array().map(Vec::len), Some(2));
    drop(child.stdin.take());
    assert!(child.wait().expect("it ends").success());
    assert!(ca_file.exists());
}

#[test]
fn a_registry_file_is_used_and_its_errors_are_said() {
    let directory = Directory::new("registry");
    let file = directory.0.join("registry.toml");
    let path = file.to_str().expect("a path that is text");
    std::fs::write(&file, "[[device]]\nid = \"only\"\nsecret = \"s\"\n").expect("a file");
    let (mut child, values) = start(&["--registry", path]);
    assert_eq!(values["IOTDA_DEVICE_ID"], "only");
    assert!(!values.contains_key("IOTDA_GATEWAY_ID"));
    drop(child.stdin.take());
    assert!(child.wait().expect("it ends").success());

    std::fs::write(&file, "[[device]]\nid = \"only\"\nproduct = \"none\"\n").expect("a file");
    let error = fails(&["--registry", path]);
    assert!(error.contains(path) && error.contains("line 2") && error.contains("\"none\""), "{error}");
}

#[test]
fn a_scenario_is_armed_and_its_errors_are_said() {
    let directory = Directory::new("scenario");
    let file = directory.0.join("scenario.toml");
    let path = file.to_str().expect("a path that is text");
    std::fs::write(&file, "[[fault]]\nkind = \"drip\"\nevery_ms = 5\non = \"auth\"\n").expect("a file");
    let (mut child, values) = start(&["--scenario", path, "--narrow-window"]);
    let (_, faults) = call(&values["IOTDA_INSPECT"], "GET", "/faults", "");
    assert_eq!((&faults[0]["kind"], &faults[0]["hits"]), (&"drip".into(), &0.into()));
    drop(child.stdin.take());
    assert!(child.wait().expect("it ends").success());

    std::fs::write(&file, "[[fault]]\nkind = \"drip\"\n").expect("a file");
    let error = fails(&["--scenario", path]);
    assert!(error.contains(path) && error.contains("line 1") && error.contains("every_ms"), "{error}");
}

#[test]
fn mistakes_are_said() {
    assert!(fails(&["--device", "a"]).contains("ID=SECRET"));
    assert!(fails(&["--device", "a b=s"]).contains("is no device ID"));
    assert!(fails(&["--inspect", "0.0.0.0:0"]).contains("loopback"));
    assert!(fails(&["--ca-out", "/nowhere/ca.pem"]).contains("--ca-out"));
    assert!(fails(&["--record", "/nowhere/record"]).contains("/nowhere/record"));
}

#[test]
fn the_demonstration_registry_can_be_printed() {
    let output = command().arg("--print-demo-registry").output().expect("the command runs");
    assert_eq!(String::from_utf8(output.stdout).as_deref(), Ok(iotda_platform::Registry::DEMO));
}

#[test]
fn the_help_lists_every_call_of_the_inspection_api() {
    let output = command().arg("--help").output().expect("the command runs");
    let help = String::from_utf8(output.stdout).expect("text");
    for path in [
        "/reports",
        "/requests",
        "/counters",
        "/products",
        "/devices",
        "/clock",
        "/clock/advance",
        "/tokens/expire",
        "/faults",
    ] {
        assert!(help.contains(path), "{path}");
    }
}

#[test]
fn the_help_names_every_fault_of_the_documentation() {
    let output = command().arg("--help").output().expect("the command runs");
    let help = String::from_utf8(output.stdout).expect("text");
    let rows = include_str!("../../src/lib.rs").lines().filter(|row| row.contains("| `{\"kind\":"));
    let names: Vec<_> = rows.filter_map(|row| row.split('`').nth(1)).collect();
    assert!(names.len() > 20, "{names:?}");
    for name in names {
        assert!(help.contains(name), "{name}");
    }
}
