//! Faults as text: one form for JSON and TOML, and for the library what is written by `Fault`'s own methods. A fault is
//! an object of its kind's parameters and, beside them, of whom it is done to and how often.

use super::kind::Kind;
use super::{Fault, Route, Share};
use crate::Error;
use crate::line::line_of;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use toml::Spanned;

/// What a fault is read from. The members that all kinds have are taken out first, so that what is left can be held
/// against the kind's parameters, and a misspelt one refused.
#[derive(Deserialize)]
pub(super) struct Members(Map<String, Value>);

impl TryFrom<Members> for Fault {
    type Error = Error;

    fn try_from(Members(mut members): Members) -> Result<Self, Error> {
        let name = members.get("kind").and_then(Value::as_str).unwrap_or("?").to_owned();
        let times = take(&mut members, &name, "times")?;
        let share: Option<Share> = take(&mut members, &name, "share")?;
        let device = take(&mut members, &name, "device")?;
        let on: Option<Route> = take(&mut members, &name, "on")?;
        let kind: Kind = serde_json::from_value(Value::Object(members))
            .map_err(|error| Error::new(format!("the fault {name:?}: {error}")))?;
        let fault = Fault { kind, times, share, device, on: on.unwrap_or_default() };
        fault.check()?;
        Ok(fault)
    }
}

fn take<T: DeserializeOwned>(
    members: &mut Map<String, Value>,
    fault: &str,
    member: &'static str,
) -> Result<Option<T>, Error> {
    let Some(value) = members.remove(member) else { return Ok(None) };
    let read = serde_json::from_value(value);
    read.map(Some).map_err(|error| Error::new(format!("{member:?} of the fault {fault:?}: {error}")))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Scenario {
    #[serde(default)]
    fault: Vec<Spanned<Members>>,
}

pub(super) fn scenario(text: &str) -> Result<Vec<Fault>, Error> {
    let scenario: Scenario = toml::from_str(text).map_err(|error| {
        // Its own text shows the line and points at the place.
        Error::new(format!("this is not a scenario: {}", error.to_string().trim_end()))
    })?;
    let faults = scenario.fault.into_iter().map(|members| {
        let line = line_of(text, members.span().start);
        Fault::try_from(members.into_inner()).map_err(|error| Error::new(format!("line {line}: {error}")))
    });
    faults.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::*;
    use std::time::Duration;

    fn of_json(text: &str) -> Result<Fault, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    /// One of each kind, and of each form of the parameters that have several.
    fn all() -> Vec<Fault> {
        let second = Stall::For(Duration::from_secs(1));
        vec![
            Fault::accept_stall(Stall::ForEver),
            Fault::accept_stall(second),
            Fault::handshake_stall(HandshakeMessage::ServerHelloDone, second),
            Fault::wire_cut(Direction::Sent, 5, Close::Reset),
            Fault::wire_cut(Direction::Received, 0, Close::Half),
            Fault::wire_drip(Duration::from_millis(1)),
            Fault::certificate(ShownCertificate::UnknownCa),
            Fault::old_tls(OldTls::Tls10, OldTlsReply::ServerHello),
            Fault::plain_http(),
            Fault::tls_alert(HandshakeMessage::Certificate, 40),
            Fault::request_slow(1000),
            Fault::damaged_record(Damage::Idle),
            Fault::raw(
                [
                    Piece::text("HTTP/1.1 "),
                    Piece::bytes(b"\xff\0"),
                    Piece::Repeat { text: "x".to_owned(), count: 3 },
                    Piece::Answer,
                    Piece::Body,
                    Piece::pause(Duration::from_millis(3)),
                ],
                Some(Close::Silent),
            ),
            Fault::answer(InjectedAnswer::status(400).body_bytes(b"\xff").header("a", "b")),
            Fault::request_cut(7, Close::Notified),
            Fault::request_unread(Stall::ForEver),
            Fault::early_answer(InjectedAnswer::status(413)),
            Fault::token_expired(true),
            Fault::token_rotated(),
            Fault::refusal("IOTDA.021101").times(3).on(Route::Auth).for_device("device").share(10, 7),
            Fault::status(503),
            Fault::answer(InjectedAnswer::status(503).retry_after(RetryAfter::Seconds(2))),
            Fault::answer(InjectedAnswer::status(503).retry_after(RetryAfter::Date { date_in_s: -2 })),
            Fault::answer(InjectedAnswer::status(503).retry_after(RetryAfter::Text("soon".to_owned()))),
            Fault::answer(InjectedAnswer::redirect(308, "https://localhost/")),
            Fault::answer(
                InjectedAnswer::status(400).code("X").text("t").body("<p>").content_type("a/b").close(Close::Reset),
            ),
            Fault::date(-3600),
            Fault::content_length(-1),
            Fault::chunked(3, true),
            Fault::http_1_0(),
            Fault::continue_first(2),
            Fault::huge_header(70_000),
            Fault::many_headers(200),
            Fault::garbage("SSH-2.0\r\n"),
            Fault::duplicate(),
            Fault::trailing("x"),
            Fault::endless(EndlessForm::Length),
            Fault::delay(Part::Body, second),
            Fault::drip(Duration::from_millis(2)),
            Fault::response_cut(9, Close::HalfNotified),
            Fault::idle_close(Duration::ZERO, Close::Fin),
        ]
    }

    #[test]
    fn what_is_written_is_read_back() {
        for fault in all() {
            let text = serde_json::to_string(&fault).expect("JSON");
            assert_eq!(of_json(&text), Ok(fault.clone()), "{text}");
            assert!(text.contains(&format!(r#""kind":"{}""#, fault.name())), "{text}");
        }
    }

    #[test]
    fn json_and_toml_have_one_form() {
        let expected = Fault::delay(Part::Header, Stall::For(Duration::from_millis(50))).share(5, 0).on(Route::Batch);
        let json = r#"{"kind":"delay","before":"header","for_ms":50,"share":{"percent":5},"on":"batch"}"#;
        assert_eq!(of_json(json), Ok(expected.clone()));
        let toml =
            "[[fault]]\nkind = \"delay\"\nbefore = \"header\"\nfor_ms = 50\nshare = { percent = 5 }\non = \"batch\"\n";
        assert_eq!(scenario(toml), Ok(vec![expected]));
        assert_eq!(scenario(""), Ok(Vec::new()));
    }

    /// The rows of the table of faults at the crate's front page: the name and the example of each.
    fn documented() -> Vec<(&'static str, &'static str)> {
        let rows = include_str!("../lib.rs").lines().filter_map(|line| line.strip_prefix("//! | `"));
        rows.filter_map(|row| {
            let (name, rest) = row.split_once('`')?;
            let example = rest.strip_suffix("` |")?.rsplit_once('`')?.1;
            example.starts_with("{\"kind\"").then_some((name, example))
        })
        .collect()
    }

    #[test]
    fn the_examples_of_the_documentation_are_faults_and_there_is_one_of_each_kind() {
        let documented = documented();
        for (name, example) in &documented {
            assert_eq!(of_json(example).map(|fault| fault.name()).as_ref(), Ok(name), "{example}");
        }
        for fault in all() {
            assert!(documented.iter().any(|(name, _)| *name == fault.name()), "{}", fault.name());
        }
    }

    #[test]
    fn mistakes_are_said() {
        for (text, expected) in [
            (r#"{"kind":"drip","evry_ms":1}"#, "the fault \"drip\": unknown field `evry_ms`"),
            (r#"{"kind":"drip","every_ms":1,"time":2}"#, "unknown field `time`"),
            (r#"{"kind":"token_rotated","grace":true}"#, "unknown field `grace`"),
            (r#"{"kind":"answer","stauts":503}"#, "unknown field `stauts`"),
            (r#"{"kind":"drop"}"#, "unknown variant `drop`"),
            (r#"{"every_ms":1}"#, "missing field `kind`"),
            (r#"{"kind":"drip","every_ms":1,"times":-2}"#, "\"times\" of the fault \"drip\": invalid value"),
            (r#"{"kind":"drip","every_ms":1,"on":"login"}"#, "\"on\" of the fault \"drip\": unknown variant `login`"),
            (r#"{"kind":"answer","status":503,"retry_after":-1}"#, "seconds, { date_in_s = seconds }, or a text"),
        ] {
            let error = of_json(text).expect_err(text);
            assert!(error.contains(expected), "{text} gives {error}");
        }
        let error = scenario("[[fault]]\nkind = \"plain_http\"\n\n[[fault]]\nkind = \"dirp\"\n").expect_err("an error");
        assert!(error.to_string().contains("line 4"), "{error}");
    }
}
