//! What the doctor finds: a step, how it ended, a sentence, and how long it took. How it looks is `show`'s.

use std::time::{Duration, Instant};

use serde_json::{Map, Value};

use crate::exit::Exit;
use crate::output::Sign;

/// The steps, in the order in which they are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    Settings,
    Dns,
    Tcp,
    Proxy,
    Tls,
    Clock,
    Auth,
    Token,
    Report,
}

impl Step {
    pub fn name(self) -> &'static str {
        match self {
            Step::Settings => "settings",
            Step::Dns => "dns",
            Step::Tcp => "tcp",
            Step::Proxy => "proxy",
            Step::Tls => "tls",
            Step::Clock => "clock",
            Step::Auth => "auth",
            Step::Token => "token",
            Step::Report => "report",
        }
    }
}

/// One line of the doctor's.
#[derive(Clone, Debug)]
pub struct Finding {
    pub step: Step,
    pub sign: Sign,
    /// What was found, and what to do about it.
    pub text: String,
    pub took: Option<Duration>,
    /// What the command ends with if this is the first fault.
    pub exit: Option<Exit>,
    /// For --json: what the text says, in parts.
    pub facts: Map<String, Value>,
}

impl Finding {
    fn new(step: Step, sign: Sign, text: impl Into<String>) -> Self {
        Finding { step, sign, text: text.into(), took: None, exit: None, facts: Map::new() }
    }

    pub fn ok(step: Step, text: impl Into<String>) -> Self {
        Self::new(step, Sign::Ok, text)
    }

    pub fn warn(step: Step, text: impl Into<String>) -> Self {
        Self::new(step, Sign::Warn, text)
    }

    pub fn fail(step: Step, exit: Exit, text: impl Into<String>) -> Self {
        Finding { exit: Some(exit), ..Self::new(step, Sign::Fail, text) }
    }

    /// Not tried, and why.
    pub fn skipped(step: Step, why: impl Into<String>) -> Self {
        Self::new(step, Sign::Skipped, why)
    }

    /// The step began then and ends now.
    #[must_use]
    pub fn since(self, began: Instant) -> Self {
        Finding { took: Some(began.elapsed()), ..self }
    }

    #[must_use]
    pub fn fact(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.facts.insert(name.to_owned(), value.into());
        self
    }
}

/// Takes findings as they are made, and remembers the first fault.
pub struct Findings<'a> {
    show: &'a mut dyn FnMut(&Finding),
    fault: Option<(Step, Exit)>,
}

impl<'a> Findings<'a> {
    pub fn new(show: &'a mut dyn FnMut(&Finding)) -> Self {
        Findings { show, fault: None }
    }

    pub fn add(&mut self, finding: Finding) {
        if let (None, Some(exit)) = (self.fault, finding.exit) {
            self.fault = Some((finding.step, exit));
        }
        (self.show)(&finding);
    }

    /// None of these was tried.
    pub fn skip(&mut self, steps: &[Step], why: &str) {
        for step in steps {
            self.add(Finding::skipped(*step, why));
        }
    }

    /// The first step that failed, and its exit code.
    pub fn fault(&self) -> Option<(Step, Exit)> {
        self.fault
    }
}
