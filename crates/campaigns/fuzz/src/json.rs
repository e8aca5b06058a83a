//! The JSON checker against serde_json: both accept the same texts, but for how deep they may be nested.

use crate::check_message;
use iotda::{Client, Properties, Service};
use serde_json::value::RawValue;

/// The levels of a property object, itself included (the documentation of `Service::properties`).
const LEVELS: usize = 128;

pub(crate) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let theirs: Option<&RawValue> = serde_json::from_str(text).ok();
    let service = Service::new("s", text);
    let ours = Client::check_properties(&[service]);
    let expected = theirs.is_some_and(|value| value.get().starts_with('{') && depth(value.get()) <= LEVELS);
    assert_eq!(ours.is_ok(), expected, "{text:?}: {ours:?}");
    let body = format!(r#"{{"services":[{{"service_id":"s","properties":{text}}}]}}"#);
    let in_body = Client::check_properties_json(&body);
    // The text may close what stands around it: then it says nothing about the text itself.
    if expected {
        assert!(in_body.is_ok(), "{text:?}: {in_body:?}");
    }
    [&ours, &in_body].into_iter().filter_map(|result| result.as_ref().err()).for_each(check_message);

    let mut properties = Properties::new();
    let added = properties.json("n", text);
    let expected = theirs.filter(|value| depth(value.get()) < LEVELS);
    assert_eq!(added.is_ok(), expected.is_some(), "{text:?}: {added:?}");
    let written = properties.as_json();
    let expected = if expected.is_some() { format!("{{\"n\":{text}}}") } else { "{}".to_owned() };
    assert_eq!(written, expected);
}

/// How deep a JSON text is nested.
pub(crate) fn depth(text: &str) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0_usize, 0, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'{' | b'[' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' => depth -= 1,
            _ => {}
        }
    }
    deepest
}
