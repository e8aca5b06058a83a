//! Text for a terminal: a line for each request, and no character that a terminal would obey or that would turn the
//! text around. What a device sends is shown, never done.

use crate::calendar;
use crate::journal::json::{call_name, incident_name};
use crate::journal::{Entry, Outcome};
use std::fmt::Write;

/// The most characters of a reason in a line.
const MOST_OF_REASON: usize = 300;

/// A request or an incident as a line.
pub(crate) fn line(entry: &Entry) -> String {
    let time = |ms| calendar::format_event_time(ms)[11..23].to_owned();
    let text = match entry {
        Entry::Request(request) => {
            let device = request.device_id.as_deref().unwrap_or("-");
            let call = call_name(request.call).map_or_else(|| shortened(&request.target, 60), str::to_owned);
            let result = match request.outcome() {
                Outcome::Accepted => "accepted".to_owned(),
                Outcome::Discarded => format!("discarded: {}", request.discarded.as_deref().unwrap_or_default()),
                Outcome::Refused => {
                    let code = request.error_code.as_deref().map_or_else(String::new, |code| format!("{code}, "));
                    format!("refused: {code}{}", request.reason.as_deref().unwrap_or_default())
                }
                Outcome::Unanswered => "no answer".to_owned(),
            };
            let faults = match request.faults.as_slice() {
                [] => String::new(),
                faults => format!(" [fault: {}]", faults.join(", ")),
            };
            let status = if request.status == 0 { "-".to_owned() } else { request.status.to_string() };
            let result = shortened(&result, MOST_OF_REASON);
            format!("{} {device} {call} {status} {result}{faults}", time(request.received_at_ms))
        }
        Entry::Incident(incident) => {
            let kind = incident_name(incident.kind);
            let reason = shortened(&incident.reason, MOST_OF_REASON);
            format!(
                "{} - {kind} - refused: {reason} (connection {})",
                time(incident.received_at_ms),
                incident.connection
            )
        }
    };
    escape(&text)
}

fn shortened(text: &str, characters: usize) -> String {
    match text.char_indices().nth(characters) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// The text with every character as `\u{…}` that is not to be seen as itself.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match is_harmless(character) {
            true => escaped.push(character),
            false => write!(escaped, "\\u{{{:x}}}", u32::from(character)).expect("a text can be written to"),
        }
    }
    escaped
}

/// JSON that says the same, with every such character as an escape of JSON. Outside of strings, JSON has none of them
/// but line breaks and tabs, which stay.
pub(crate) fn escape_json(json: &str) -> String {
    if json.chars().all(|character| is_harmless(character) || matches!(character, '\n' | '\r' | '\t')) {
        return json.to_owned();
    }
    let mut escaped = String::with_capacity(json.len());
    for character in json.chars() {
        if is_harmless(character) || matches!(character, '\n' | '\r' | '\t') {
            escaped.push(character);
            continue;
        }
        for unit in character.encode_utf16(&mut [0; 2]) {
            write!(escaped, "\\u{unit:04x}").expect("a text can be written to");
        }
    }
    escaped
}

/// Not a control character, nor one that shows no sign of its own but changes how others are shown (Unicode's
/// categories Cc, Cf, Zl and Zp).
fn is_harmless(character: char) -> bool {
    !character.is_control()
        && !matches!(character,
            '\u{ad}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' | '\u{890}'..='\u{891}' | '\u{8e2}'
            | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}' | '\u{110bd}' | '\u{110cd}' | '\u{13430}'..='\u{1343f}'
            | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Route;
    use crate::journal::{Incident, IncidentKind, RequestRecord};
    use std::sync::Arc;

    #[test]
    fn what_a_terminal_would_obey_is_written_out() {
        let text = "a\u{1b}[2J\u{9b}31m\u{7f}\u{202e}\n\u{200b}\u{feff}ä漢";
        assert_eq!(escape(text), "a\\u{1b}[2J\\u{9b}31m\\u{7f}\\u{202e}\\u{a}\\u{200b}\\u{feff}ä漢");
        let json = serde_json::to_string(&format!("{text}\u{e0041}")).expect("JSON");
        let escaped = escape_json(&json);
        assert!(escaped.chars().all(is_harmless), "{escaped}");
        let back: String = serde_json::from_str(&escaped).expect("JSON");
        assert_eq!(back, format!("{text}\u{e0041}"));
        assert_eq!(escape_json("{\n\t\"a\": 1}"), "{\n\t\"a\": 1}");
    }

    fn request(status: u16, reason: Option<&str>) -> Entry {
        Entry::Request(Arc::new(RequestRecord {
            number: 1,
            call: Route::Batch,
            method: "POST".to_owned(),
            target: "/".to_owned(),
            http_version: "HTTP/1.1".to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
            status,
            error_code: reason.map(|_| "IOTDA.000004".to_owned()),
            reason: reason.map(str::to_owned),
            discarded: None,
            device_id: Some("gw\u{1b}".to_owned()),
            received_at_ms: 1_628_849_410_555,
            connection: 1,
            faults: vec!["delay".to_owned()],
        }))
    }

    #[test]
    fn lines() {
        assert_eq!(line(&request(200, None)), "10:10:10.555 gw\\u{1b} batch 200 accepted [fault: delay]");
        assert_eq!(line(&request(0, None)), "10:10:10.555 gw\\u{1b} batch - no answer [fault: delay]");
        let refused = line(&request(403, Some("expired")));
        assert_eq!(refused, "10:10:10.555 gw\\u{1b} batch 403 refused: IOTDA.000004, expired [fault: delay]");
        assert!(line(&request(403, Some(&"x".repeat(100_000)))).len() < 500);
        let incident = Entry::Incident(Arc::new(Incident {
            number: 1,
            kind: IncidentKind::Handshake,
            reason: "no\nTLS".to_owned(),
            received_at_ms: 0,
            connection: 7,
        }));
        assert_eq!(line(&incident), "00:00:00.000 - handshake - refused: no\\u{a}TLS (connection 7)");
    }
}
