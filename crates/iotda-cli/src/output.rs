//! What is printed: results on the standard output, errors on the standard error, for a person or as JSON.
//!
//! A standard output that nobody reads any more (`iotda … | head`) ends the program quietly, as it does other tools.

use std::env;
use std::ffi::OsString;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::process::{self, ExitCode};

use serde_json::{Value, json};

use crate::arguments::{Color, OutputFlags};
use crate::exit::Failure;

/// How things are shown.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    pub quiet: bool,
    pub verbose: bool,
    pub json: bool,
    /// Of the standard output.
    color: bool,
    /// Of the standard error.
    color_of_errors: bool,
    unicode: bool,
}

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    Ok,
    Warn,
    Fail,
    /// Not tried.
    Skipped,
}

impl Sign {
    /// For JSON.
    pub fn name(self) -> &'static str {
        match self {
            Sign::Ok => "ok",
            Sign::Warn => "warn",
            Sign::Fail => "fail",
            Sign::Skipped => "skipped",
        }
    }
}

impl Output {
    /// As flags, environment and terminal have it.
    pub fn of(flags: &OutputFlags) -> Self {
        let variable = |name: &str| env::var_os(name);
        let color = |is_terminal| has_color(flags.color, is_terminal, variable);
        Output {
            quiet: flags.quiet,
            verbose: flags.verbose,
            json: flags.json,
            color: color(io::stdout().is_terminal()),
            color_of_errors: color(io::stderr().is_terminal()),
            unicode: is_utf8(variable),
        }
    }

    /// A sign as the terminal shows it: ✓ ! ✗ -, or ok, warn, FAIL, - where it is not UTF-8; all of one width.
    pub fn sign(&self, sign: Sign) -> String {
        let (text, color) = match (sign, self.unicode) {
            (Sign::Ok, true) => ("✓", "32"),
            (Sign::Warn, true) => ("!", "33"),
            (Sign::Fail, true) => ("✗", "31"),
            (Sign::Skipped, true) => ("-", "2"),
            (Sign::Ok, false) => ("ok  ", "32"),
            (Sign::Warn, false) => ("warn", "33"),
            (Sign::Fail, false) => ("FAIL", "31"),
            (Sign::Skipped, false) => ("-   ", "2"),
        };
        match self.color {
            true => format!("\x1b[{color}m{text}\x1b[0m"),
            false => text.to_owned(),
        }
    }

    /// How many columns a sign takes.
    pub fn sign_width(&self) -> usize {
        if self.unicode { 1 } else { 4 }
    }

    /// A result: `text` for a person (nothing with --quiet), or the object with --json.
    pub fn result(&self, text: impl FnOnce() -> String, object: impl FnOnce() -> Value) {
        if self.json {
            self.line(&object().to_string());
        } else if !self.quiet {
            self.line(&text());
        }
    }

    /// A line of the standard output, whatever the flags say: what was asked for.
    pub fn line(&self, text: &str) {
        let mut out = io::stdout().lock();
        if let Err(error) = writeln!(out, "{text}").and_then(|()| out.flush()) {
            ended(&error);
        }
    }

    /// A line of the standard error, unless --quiet.
    pub fn note(&self, text: &str) {
        if !self.quiet {
            self.complain(text);
        }
    }

    /// A line of the standard error. One that cannot be written is lost: there is nowhere else.
    pub fn complain(&self, text: &str) {
        let _ = writeln!(io::stderr().lock(), "{text}");
    }

    /// Says why the command failed.
    pub fn failure(&self, failure: &Failure) -> ExitCode {
        let name = if self.color_of_errors { "\x1b[31miotda\x1b[0m" } else { "iotda" };
        self.complain(&format!("{name}: {failure}"));
        if self.json && !failure.is_printed {
            self.line(&failure_object(failure).to_string());
        }
        failure.exit.into()
    }
}

/// A failure for --json.
fn failure_object(failure: &Failure) -> Value {
    let mut object = json!({ "ok": false, "exit": failure.exit.code(), "message": failure.message });
    if let Some(error) = &failure.error {
        object["kind"] = json!(format!("{:?}", error.kind()));
        object["http_status"] = json!(error.http_status());
        object["platform_code"] = json!(error.platform_code());
        object["attempts"] = json!(error.attempts());
        object["may_have_arrived"] = json!(error.may_have_arrived());
        object["retry_after_ms"] = json!(error.retry_after().map(|wait| wait.as_millis() as u64));
    }
    object
}

/// The standard output cannot be written. Where its reader has gone, that is no fault.
fn ended(error: &io::Error) -> ! {
    if error.kind() == ErrorKind::BrokenPipe {
        process::exit(0);
    }
    let _ = writeln!(io::stderr().lock(), "iotda: make room or check the redirection: the output fails: {error}");
    process::exit(crate::exit::Exit::Storage.code().into());
}

fn has_color(choice: Option<Color>, is_terminal: bool, variable: impl Fn(&str) -> Option<OsString>) -> bool {
    match choice {
        Some(Color::Always) => true,
        Some(Color::Never) => false,
        Some(Color::Auto) | None => {
            // no-color.org: present and not empty.
            let refused = variable("NO_COLOR").is_some_and(|value| !value.is_empty());
            is_terminal && !refused && variable("TERM").is_none_or(|term| term != "dumb")
        }
    }
}

/// Whether the locale's characters are UTF-8: the first of these variables that is set decides (POSIX, 8.2).
fn is_utf8(variable: impl Fn(&str) -> Option<OsString>) -> bool {
    let set = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(|name| variable(name).filter(|v| !v.is_empty()));
    let locale = set.map(|value| value.to_string_lossy().to_ascii_lowercase());
    locale.is_some_and(|locale| locale.contains("utf-8") || locale.contains("utf8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(pairs: &'static [(&'static str, &'static str)]) -> impl Fn(&str) -> Option<OsString> {
        move |name| pairs.iter().find(|pair| pair.0 == name).map(|pair| pair.1.into())
    }

    #[test]
    fn colour_is_for_terminals_and_no_color_wins_over_them() {
        assert!(has_color(None, true, variables(&[("TERM", "xterm")])));
        assert!(!has_color(None, false, variables(&[])));
        assert!(!has_color(None, true, variables(&[("NO_COLOR", "1")])));
        assert!(has_color(None, true, variables(&[("NO_COLOR", "")])));
        assert!(!has_color(Some(Color::Auto), true, variables(&[("TERM", "dumb")])));
        assert!(has_color(Some(Color::Always), false, variables(&[("NO_COLOR", "1")])));
        assert!(!has_color(Some(Color::Never), true, variables(&[])));
    }

    #[test]
    fn the_first_locale_variable_that_is_set_decides() {
        assert!(is_utf8(variables(&[("LANG", "de_DE.UTF-8")])));
        assert!(is_utf8(variables(&[("LC_ALL", "C.utf8"), ("LANG", "C")])));
        assert!(!is_utf8(variables(&[("LC_ALL", "C"), ("LANG", "C.UTF-8")])));
        assert!(is_utf8(variables(&[("LC_ALL", ""), ("LANG", "C.UTF-8")])));
        assert!(!is_utf8(variables(&[])));
    }

    #[test]
    fn signs_are_words_where_the_terminal_is_not_utf8() {
        let output = |unicode, color| Output {
            quiet: false,
            verbose: false,
            json: false,
            color,
            color_of_errors: false,
            unicode,
        };
        assert_eq!(output(true, false).sign(Sign::Fail), "✗");
        assert_eq!(output(false, false).sign(Sign::Fail), "FAIL");
        assert_eq!(output(true, true).sign(Sign::Ok), "\x1b[32m✓\x1b[0m");
    }
}
