//! The setters of a config that failed, until what they were to set is set successfully.
//!
//! What is set counts, not the function that sets it: a CA file that could not be read is made up for by a CA in
//! memory. What is added counts beside what is there: adding another thing makes up for nothing.

use crate::outcome::{Outcome, Stop};

/// What a setter is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Setting {
    Endpoint,
    Device,
    SignType,
    Ca,
    ClientCertificate,
    PinnedKeys,
    TlsVersion,
    Proxy,
    Transport,
    Timeout,
    ConnectTimeout,
    AttemptTimeout,
    Retry,
    Rates,
    Pool,
    MaxConnections,
    TcpKeepalive,
    Token,
    TokenCallback,
    Authentication,
    Clock,
    Log,
}

/// What one setter does.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Change {
    setting: Setting,
    function: &'static str,
    /// It leaves what was there.
    adds: bool,
}

impl Change {
    pub(crate) const fn set(setting: Setting, function: &'static str) -> Self {
        Change { setting, function, adds: false }
    }

    pub(crate) const fn add(setting: Setting, function: &'static str) -> Self {
        Change { setting, function, adds: true }
    }
}

/// What failed and has not been made up for, in order.
#[derive(Debug, Default)]
pub(crate) struct Failures(Vec<(Change, Stop)>);

impl Failures {
    pub(crate) fn note(&mut self, change: Change, outcome: &Outcome) {
        match outcome {
            // Setting replaces also what was added before.
            Ok(()) if !change.adds => self.0.retain(|(failed, _)| failed.setting != change.setting),
            Ok(()) => {}
            Err(stop) => {
                if !change.adds {
                    self.0.retain(|(failed, _)| failed.adds || failed.setting != change.setting);
                }
                self.0.push((change, stop.clone()));
            }
        }
    }

    /// The first failure, with the name of its function.
    pub(crate) fn first(&self) -> Option<Stop> {
        self.0.first().map(|(change, stop)| stop.clone().within(change.function))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SET_FILE: Change = Change::set(Setting::Ca, "set_file");
    const SET_PEM: Change = Change::set(Setting::Ca, "set_pem");
    const ADD: Change = Change::add(Setting::Ca, "add");
    const PROXY: Change = Change::set(Setting::Proxy, "proxy");

    fn bad(why: &str) -> Outcome {
        Err(Stop::Argument(why.to_owned()))
    }

    /// The message of the first failure after these changes.
    fn after(changes: &[(Change, Outcome)]) -> Option<String> {
        let mut failures = Failures::default();
        changes.iter().for_each(|(change, outcome)| failures.note(*change, outcome));
        failures.first().map(|stop| stop.message().to_owned())
    }

    #[test]
    fn setting_the_same_thing_by_another_function_makes_up_for_a_failure() {
        assert_eq!(after(&[(SET_FILE, bad("a"))]).as_deref(), Some("set_file: a"));
        assert_eq!(after(&[(SET_FILE, bad("a")), (SET_PEM, Ok(()))]), None);
        assert_eq!(after(&[(SET_FILE, bad("a")), (PROXY, Ok(()))]).as_deref(), Some("set_file: a"));
        assert_eq!(after(&[(SET_FILE, bad("a")), (SET_PEM, bad("b"))]).as_deref(), Some("set_pem: b"));
        assert_eq!(after(&[(SET_PEM, Ok(())), (SET_FILE, bad("a"))]).as_deref(), Some("set_file: a"));
    }

    #[test]
    fn adding_makes_up_for_nothing() {
        assert_eq!(after(&[(ADD, bad("a")), (ADD, Ok(()))]).as_deref(), Some("add: a"));
        assert_eq!(after(&[(SET_FILE, bad("a")), (ADD, Ok(()))]).as_deref(), Some("set_file: a"));
        assert_eq!(after(&[(ADD, bad("a")), (ADD, bad("b")), (SET_PEM, bad("c"))]).as_deref(), Some("add: a"));
        assert_eq!(after(&[(ADD, bad("a")), (ADD, bad("b")), (SET_PEM, Ok(()))]), None);
    }
}
