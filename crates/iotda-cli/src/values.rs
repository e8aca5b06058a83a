//! The grammar of `NAME=VALUE`: `=` is a number, true, false or null where the text is exactly that of JSON, and otherwise
//! a string; `:=` is any JSON; `=@FILE` and `:=@FILE` take it from a file. And the times that `--time` takes.

use std::collections::HashSet;
use std::time::{SystemTime, UNIX_EPOCH};

use iotda::Properties;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::exit::Failure;
use crate::input;

/// The properties of assignments (`NAME=VALUE`), and of `strings`, whose values are strings whatever they look like.
pub fn properties(assignments: &[String], strings: &[String]) -> Result<Properties, Failure> {
    let mut properties = Properties::new();
    let mut names = HashSet::new();
    let mut once = |name: &str| match names.insert(name.to_owned()) {
        true => Ok(()),
        false => Err(Failure::usage(format!("give each property once: \"{name}\" comes twice"))),
    };
    for text in assignments {
        let (name, operator, value) = split(text)?;
        once(name)?;
        let of_file = match value.strip_prefix('@') {
            Some(file) => Some(input::text(file.as_ref())?),
            None => None,
        };
        let added = match (operator, &of_file) {
            (":=", Some(json)) => properties.json(name, json.trim_ascii()),
            (":=", None) => properties.json(name, value),
            (_, Some(string)) => properties.string(name, string),
            (_, None) => add(&mut properties, name, value),
        };
        added?;
    }
    for text in strings {
        let (name, value) = text.split_once('=').ok_or_else(|| no_assignment(text))?;
        once(name)?;
        properties.string(name, value)?;
    }
    Ok(properties)
}

/// Adds a value as `=` takes it. Digits stay as they are written.
pub fn add<'a>(properties: &'a mut Properties, name: &str, value: &str) -> iotda::Result<&'a mut Properties> {
    if matches!(value, "true" | "false" | "null") || is_number(value) {
        properties.json(name, value)
    } else {
        properties.string(name, value)
    }
}

fn split(text: &str) -> Result<(&str, &'static str, &str), Failure> {
    let (name, value) = text.split_once('=').ok_or_else(|| no_assignment(text))?;
    let (name, operator) = match name.strip_suffix(':') {
        Some(name) => (name, ":="),
        None => (name, "="),
    };
    if name.is_empty() {
        return Err(no_assignment(text));
    }
    Ok((name, operator, value))
}

fn no_assignment(text: &str) -> Failure {
    let shown: String = text.chars().take(60).collect();
    Failure::usage(format!("write NAME=VALUE, or NAME:=JSON: \"{shown}\" is none"))
}

/// Whether the text is a number of JSON (RFC 8259, 6).
fn is_number(text: &str) -> bool {
    fn digits(text: &str) -> Option<&str> {
        let end = text.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
        (end > 0).then_some(&text[end..])
    }
    let whole = text.strip_prefix('-').unwrap_or(text);
    let rest = match whole.strip_prefix('0') {
        Some(rest) => Some(rest),
        None => digits(whole),
    };
    let rest = rest.and_then(|rest| rest.strip_prefix('.').map_or(Some(rest), digits));
    let rest = rest.and_then(|rest| match rest.strip_prefix(['e', 'E']) {
        Some(exponent) => digits(exponent.strip_prefix(['+', '-']).unwrap_or(exponent)),
        None => Some(rest),
    });
    rest == Some("")
}

/// Milliseconds below this are before 1973, and a number of seconds given by mistake.
const FIRST_MS: i64 = 100_000_000_000;

/// A time as `--time` and the time column of a stream take it, in Unix milliseconds.
pub fn time_ms(text: &str) -> Result<i64, String> {
    if text == "now" {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_err(|_| "set this machine's clock".to_owned())?;
        return i64::try_from(now.as_millis()).map_err(|_| "set this machine's clock".to_owned());
    }
    if let Ok(ms) = text.parse::<i64>() {
        return match ms {
            FIRST_MS.. => Ok(ms),
            _ => Err("give milliseconds since 1970, not seconds".to_owned()),
        };
    }
    let parsed = OffsetDateTime::parse(text, &Rfc3339)
        .map_err(|_| "give now, a time such as 2021-08-13T10:10:10.555Z, or Unix milliseconds".to_owned())?;
    i64::try_from(parsed.unix_timestamp_nanos().div_euclid(1_000_000)).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    fn json(assignments: &[&str]) -> String {
        properties(&words(assignments), &[]).unwrap().as_json().to_owned()
    }

    #[test]
    fn exact_literals_of_json_are_values_and_everything_else_is_a_string() {
        assert_eq!(
            json(&["a=21.50", "b=true", "c=null", "d=-0", "e=1e400", "f=12345678901234567890123"]),
            r#"{"a":21.50,"b":true,"c":null,"d":-0,"e":1e400,"f":12345678901234567890123}"#
        );
        let strings = ["", "+1", "01", "1.", ".5", "0x10", "1e", "1,5", "True", "NaN", "-", " 1", "1 ", "{}", "x=y"];
        for text in strings {
            assert_eq!(json(&[&format!("a={text}")]), format!("{{\"a\":\"{text}\"}}"));
        }
    }

    #[test]
    fn colon_takes_any_json_and_string_takes_none() {
        assert_eq!(json(&[r#"a:={"b": [1]}"#, "c:d=1"]), r#"{"a":{"b": [1]},"c:d":1}"#);
        let strings = properties(&words(&["a=1"]), &words(&["b=1", "c=@x=y"])).unwrap();
        assert_eq!(strings.as_json(), r#"{"a":1,"b":"1","c":"@x=y"}"#);
        for wrong in ["a:=", "a:={", "a:=1 2"] {
            assert_eq!(properties(&words(&[wrong]), &[]).unwrap_err().exit.code(), 2, "{wrong}");
        }
    }

    #[test]
    fn files_give_strings_or_json() {
        let file = std::env::temp_dir().join(format!("iotda-values-{}", std::process::id()));
        std::fs::write(&file, "[1,2]\n").unwrap();
        let file_name = file.display();
        let taken = json(&[&format!("a=@{file_name}"), &format!("b:=@{file_name}")]);
        std::fs::remove_file(&file).unwrap();
        assert_eq!(taken, r#"{"a":"[1,2]\n","b":[1,2]}"#);
        assert_eq!(properties(&words(&["a=@/nowhere/x"]), &[]).unwrap_err().exit.code(), 2);
    }

    #[test]
    fn what_is_no_assignment_and_what_comes_twice_is_refused() {
        for wrong in [&["Temperature"][..], &["=1"], &[":=1"], &["a=1", "a=2"]] {
            assert_eq!(properties(&words(wrong), &[]).unwrap_err().exit.code(), 2, "{wrong:?}");
        }
    }

    #[test]
    fn times() {
        assert_eq!(time_ms("2021-08-13T10:10:10.555Z"), Ok(1_628_849_410_555));
        assert_eq!(time_ms("2021-08-13T12:10:10.5559+02:00"), Ok(1_628_849_410_555));
        assert_eq!(time_ms("1628849410555"), Ok(1_628_849_410_555));
        assert!(time_ms("now").unwrap() > 1_700_000_000_000);
        for wrong in ["1628849410", "0", "-5", "2021-08-13", "2021-08-13T10:10:10", "2021-02-30T10:10:10Z", "soon", ""]
        {
            assert!(time_ms(wrong).is_err(), "{wrong}");
        }
    }
}
