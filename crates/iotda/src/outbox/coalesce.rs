//! Makes one request of neighbouring entries. Functions on values.
//!
//! Which entries are offered, in which order, is decided in [`super::turns`]; the payloads' form is that of
//! [`super::frame`], "Places of event times".

use super::frame::{kind, u32_at};

/// Length of `yyyy-MM-ddTHH:mm:ss.SSSZ`.
pub(crate) const TIME: usize = 24;

/// A payload of kind properties or child reading, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reading<'a> {
    /// The child's id; empty for properties of the sender itself.
    pub(crate) child: &'a [u8],
    /// Elements of `services[]`, separated by commas.
    pub(crate) elements: &'a [u8],
    /// Offsets of stamped times, 4 bytes each.
    times: &'a [u8],
}

/// What [`end`] needs for each stamped time, and their count with the first of them.
pub(crate) const END: usize = 4 + 2;

/// Writes the payload of a reading; `times` are the offsets of stamped times in `elements`.
pub(crate) fn encode(child: Option<&str>, elements: &[u8], times: &[u32]) -> Vec<u8> {
    let mut out = Vec::with_capacity(elements.len() + times.len() * 4 + 3 + child.map_or(0, str::len));
    if let Some(child) = child {
        out.push(child.len() as u8);
        out.extend_from_slice(child.as_bytes());
    }
    out.extend_from_slice(elements);
    end(&mut out, times);
    out
}

/// Ends the payload of a reading, behind its elements; `times` are the offsets of stamped times in them.
pub(crate) fn end(out: &mut Vec<u8>, times: &[u32]) {
    for time in times {
        out.extend_from_slice(&time.to_le_bytes());
    }
    out.extend_from_slice(&(times.len() as u16).to_le_bytes());
}

/// Takes a payload apart; `None`: it is none.
pub(crate) fn decode(kind: u8, payload: &[u8]) -> Option<Reading<'_>> {
    let (child, rest) = match kind {
        kind::CHILD => {
            let (length, rest) = payload.split_first()?;
            rest.split_at_checked(usize::from(*length))?
        }
        _ => (&[][..], payload),
    };
    let (rest, count) = rest.split_at_checked(rest.len().checked_sub(2)?)?;
    let count = usize::from(u16::from_le_bytes([count[0], count[1]]));
    let (elements, times) = rest.split_at_checked(rest.len().checked_sub(count * 4)?)?;
    let inside = |time: &[u8]| u32_at(time, 0) as usize + TIME <= elements.len();
    times.chunks_exact(4).all(inside).then_some(Reading { child, elements, times })
}

/// Gives each service without an `event_time` this one; returns the elements and the places of those times.
/// `elements` has been checked: objects that are not empty, separated by commas.
pub(crate) fn stamp(elements: &str, time: &[u8; TIME]) -> (Vec<u8>, Vec<u32>) {
    const MEMBER: &[u8] = b",\"event_time\":\"";
    let bytes = elements.as_bytes();
    let mut out = Vec::with_capacity(bytes.len() + MEMBER.len() + TIME + 1);
    let (mut times, mut depth, mut has_time, mut from, mut at) = (Vec::new(), 0_usize, false, 0, 0);
    while at < bytes.len() {
        match bytes[at] {
            b'"' => {
                let start = at + 1;
                at = string_end(bytes, start);
                let is_name = bytes.get(at + 1..).is_some_and(|rest| rest.trim_ascii_start().first() == Some(&b':'));
                has_time |= depth == 1 && is_name && &bytes[start..at.min(bytes.len())] == b"event_time";
            }
            b'{' | b'[' => {
                has_time &= depth > 0;
                depth += 1;
            }
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                if depth == 0 && !has_time {
                    out.extend_from_slice(&bytes[from..at]);
                    out.extend_from_slice(MEMBER);
                    times.push(out.len() as u32);
                    out.extend_from_slice(time);
                    out.push(b'"');
                    from = at;
                }
            }
            _ => {}
        }
        at += 1;
    }
    out.extend_from_slice(&bytes[from.min(bytes.len())..]);
    (out, times)
}

/// The position of the quote that ends a string.
fn string_end(bytes: &[u8], mut at: usize) -> usize {
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => break,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    at
}

/// Builds the body of one request.
#[derive(Debug, Default)]
pub(crate) struct Builder {
    kind: u8,
    body: Vec<u8>,
    limit: usize,
    children_max: usize,
    children: usize,
    child: Vec<u8>,
}

const PROPERTIES: (&[u8], &[u8]) = (b"{\"services\":[", b"]}");
const BATCH: (&[u8], &[u8]) = (b"{\"devices\":[", b"]}");
const CHILD: (&[u8], &[u8], &[u8]) = (b"{\"device_id\":\"", b"\",\"services\":[", b"]}");

impl Builder {
    /// A body of up to `limit` bytes with up to `children_max` elements of `devices`. A first entry always fits.
    pub(crate) fn new(limit: usize, children_max: usize) -> Self {
        Builder { limit, children_max, ..Builder::default() }
    }

    /// Adds an entry; `false`: it must go with another request. `time` replaces the times that were stamped.
    pub(crate) fn add(&mut self, kind: u8, payload: &[u8], time: Option<&[u8; TIME]>) -> bool {
        let first = self.kind == 0;
        if kind == kind::MESSAGE {
            if first {
                self.kind = kind;
                self.body.extend_from_slice(payload);
            }
            return first;
        }
        let Some(reading) = decode(kind, payload) else { return false };
        let same_child = !first && kind == kind::CHILD && self.child == reading.child;
        let around = match kind {
            kind::CHILD if !same_child => CHILD.0.len() + reading.child.len() + CHILD.1.len() + CHILD.2.len(),
            _ => 0,
        };
        if !first {
            let end = BATCH.1.len() + CHILD.2.len();
            let fits = self.body.len() + 1 + around + reading.elements.len() + end <= self.limit;
            let more_children = kind != kind::CHILD || same_child || self.children < self.children_max;
            if kind != self.kind || !fits || !more_children {
                return false;
            }
        }
        match (first, kind) {
            (true, kind::CHILD) => self.body.extend_from_slice(BATCH.0),
            (true, _) => self.body.extend_from_slice(PROPERTIES.0),
            (false, kind::CHILD) if !same_child => {
                self.body.extend_from_slice(CHILD.2);
                self.body.push(b',');
            }
            _ => self.body.push(b','),
        }
        self.kind = kind;
        if kind == kind::CHILD && !same_child {
            self.body.extend_from_slice(CHILD.0);
            self.body.extend_from_slice(reading.child);
            self.body.extend_from_slice(CHILD.1);
            self.child = reading.child.to_vec();
            self.children += 1;
        }
        let from = self.body.len();
        self.body.extend_from_slice(reading.elements);
        if let Some(time) = time {
            for place in reading.times.chunks_exact(4) {
                let at = from + u32_at(place, 0) as usize;
                self.body[at..at + TIME].copy_from_slice(time);
            }
        }
        true
    }

    /// The kind of the entries, 0 if there are none, and the body.
    pub(crate) fn finish(mut self) -> (u8, Vec<u8>) {
        match self.kind {
            kind::PROPERTIES => self.body.extend_from_slice(PROPERTIES.1),
            kind::CHILD => {
                self.body.extend_from_slice(CHILD.2);
                self.body.extend_from_slice(BATCH.1);
            }
            _ => {}
        }
        (self.kind, self.body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    const NOW: &[u8; TIME] = b"2026-11-26T01:02:03.004Z";
    const REAL: &[u8; TIME] = b"2025-01-01T00:00:00.000Z";

    fn service(number: u64, timed: bool) -> String {
        let time = if timed { r#", "event_time" : "2020-01-01T00:00:00.000Z""# } else { "" };
        format!(r#"{{"service_id":"s\"}}{number}","properties":{{"event_time":"x","a":[{number},"{{"]}}{time} }}"#)
    }

    #[test]
    fn only_services_without_a_time_are_stamped() {
        let text = [service(1, false), service(2, true), service(3, false)].join(" , ");
        let (stamped, times) = stamp(&text, NOW);
        let parsed: Vec<Value> = serde_json::from_slice(&[b"[", stamped.as_slice(), b"]"].concat()).unwrap();
        let shown: Vec<&str> = parsed.iter().map(|service| service["event_time"].as_str().unwrap()).collect();
        assert_eq!(shown, ["2026-11-26T01:02:03.004Z", "2020-01-01T00:00:00.000Z", "2026-11-26T01:02:03.004Z"]);
        assert_eq!(times.len(), 2);
        assert!(times.iter().all(|at| &stamped[*at as usize..*at as usize + TIME] == NOW));
    }

    #[test]
    fn a_time_is_found_wherever_it_stands_in_its_service() {
        let time = r#""event_time":"2020-01-01T00:00:00.000Z""#;
        for (text, stamped) in [
            (format!(r#"{{{time},"service_id":"s","properties":{{"v":[{{}}]}}}}"#), 0),
            (format!(r#"{{"service_id":"s",{time},"properties":{{"v":1}}}}"#), 0),
            (format!(r#"{{"service_id":"s","properties":{{{time},"v":1}}}}"#), 1),
            (
                format!(r#"{{{time},"properties":{{"v":1}}}},{{"properties":{{"v":1}}}},{{"properties":{{}},{time}}}"#),
                1,
            ),
            (r#"{"properties":{"v":"event_time"}},{"properties":{"v":[1]}}"#.to_owned(), 2),
        ] {
            assert_eq!(stamp(&text, NOW).1.len(), stamped, "{text}");
        }
    }

    #[test]
    fn payloads_that_are_none_are_seen() {
        for payload in [&b""[..], b"\0", b"\xff\xff", b"{}\x01\0\x01\0", b"{}\0\0\0\0\x01\0"] {
            assert_eq!(decode(kind::PROPERTIES, payload), None, "{payload:?}");
        }
        assert_eq!(decode(kind::CHILD, &[9, 1, 2, 3]), None);
    }

    #[test]
    fn ten_thousand_entries_of_140_bytes_take_at_most_400_counted_units() {
        let filler = "x".repeat(140 - 80);
        let element =
            format!(r#"{{"service_id":"s","properties":{{"t":"{filler}"}},"event_time":"2025-01-01T00:00:00.000Z"}}"#);
        assert_eq!(element.len(), 140);
        let payload = encode(None, element.as_bytes(), &[]);
        let (mut units, mut left) = (0, 10_000);
        while left > 0 {
            let mut builder = Builder::new(16_384, 50);
            while left > 0 && builder.add(kind::PROPERTIES, &payload, None) {
                left -= 1;
            }
            units += builder.finish().1.len().div_ceil(4096);
        }
        assert!(units <= 400, "{units}");
    }

    /// The body that these entries make without a limit.
    fn unlimited(kind: u8, payloads: &[Vec<u8>]) -> Vec<u8> {
        let mut builder = Builder::new(usize::MAX, usize::MAX);
        payloads.iter().for_each(|payload| assert!(builder.add(kind, payload, None)));
        builder.finish().1
    }

    proptest! {
        /// A request takes what fits and refuses what does not, to the byte; its first entry always fits.
        #[test]
        fn a_body_is_filled_to_its_limit_and_not_beyond(
            is_child: bool, limit in 1_usize..1500,
            entries in prop::collection::vec((0_usize..3, 0_usize..150), 1..40),
        ) {
            let kind = if is_child { kind::CHILD } else { kind::PROPERTIES };
            // What ends a batch is two bytes longer than what ends a report; they are kept free in both.
            let spare = if is_child { 0 } else { 2 };
            let (mut builder, mut held) = (Builder::new(limit, 50), Vec::new());
            for (child, length) in entries {
                let child = is_child.then_some(["a", "bcd", "child-with-a-long-name"][child]);
                let element = format!(r#"{{"service_id":"{}","properties":{{"v":1}}}}"#, "x".repeat(length));
                held.push(encode(child, element.as_bytes(), &[]));
                let fits = unlimited(kind, &held).len() + spare <= limit;
                let (last, before) = held.split_last().unwrap();
                prop_assert_eq!(builder.add(kind, last, None), fits || before.is_empty());
                if !fits && !before.is_empty() {
                    prop_assert_eq!(builder.finish().1, unlimited(kind, before));
                    builder = Builder::new(limit, 50);
                    prop_assert!(builder.add(kind, last, None));
                    held = held.split_off(held.len() - 1);
                }
            }
        }

        /// Everything that was put arrives, in order for each device, in requests within their bounds.
        #[test]
        fn requests_hold_what_was_put(
            entries in prop::collection::vec((0_usize..4, 1_usize..4, any::<bool>(), any::<bool>()), 0..60),
            limit in prop::sample::select(vec![1, 300, 1000, 16_384]), children_max in 1_usize..4, corrected: bool,
        ) {
            let children = ["", "a", "b", "c"];
            let (mut expected, mut arrived) = (Vec::new(), Vec::new());
            let mut builder = Builder::new(limit, children_max);
            let mut requests = Vec::new();
            for (number, (child, services, timed, message)) in entries.iter().enumerate() {
                let child = children[*child];
                if *message {
                    let text = format!("message {number}");
                    if !builder.add(kind::MESSAGE, text.as_bytes(), None) {
                        requests.push(std::mem::replace(&mut builder, Builder::new(limit, children_max)).finish());
                        prop_assert!(builder.add(kind::MESSAGE, text.as_bytes(), None));
                    }
                    expected.push((String::from("message"), text, String::new()));
                    continue;
                }
                let text: Vec<String> = (0..*services).map(|index| service((number * 10 + index) as u64, *timed)).collect();
                let (elements, times) = stamp(&text.join(","), NOW);
                let kind = if child.is_empty() { kind::PROPERTIES } else { kind::CHILD };
                let payload = encode((!child.is_empty()).then_some(child), &elements, &times);
                let time = corrected.then_some(REAL);
                if !builder.add(kind, &payload, time) {
                    requests.push(std::mem::replace(&mut builder, Builder::new(limit, children_max)).finish());
                    prop_assert!(builder.add(kind, &payload, time));
                }
                for service in text {
                    let parsed: Value = serde_json::from_str(&service).unwrap();
                    let time = match (timed, corrected) {
                        (true, _) => "2020-01-01T00:00:00.000Z",
                        (false, true) => "2025-01-01T00:00:00.000Z",
                        (false, false) => "2026-11-26T01:02:03.004Z",
                    };
                    expected.push((child.to_owned(), parsed["service_id"].to_string(), time.to_owned()));
                }
            }
            requests.push(builder.finish());
            for (kind, body) in requests {
                if kind == kind::MESSAGE {
                    arrived.push((String::from("message"), String::from_utf8(body).unwrap(), String::new()));
                    continue;
                }
                if kind == 0 {
                    continue;
                }
                let parsed: Value = serde_json::from_slice(&body).unwrap();
                let devices = match kind {
                    kind::CHILD => parsed["devices"].as_array().unwrap().clone(),
                    _ => vec![parsed],
                };
                prop_assert!(devices.len() <= children_max.max(1));
                let all: usize = devices.iter().map(|device| device["services"].as_array().unwrap().len()).sum();
                prop_assert!(body.len() <= limit.max(300) || all <= 3, "{} bytes", body.len());
                for device in &devices {
                    for service in device["services"].as_array().unwrap() {
                        arrived.push((
                            device["device_id"].as_str().unwrap_or("").to_owned(),
                            service["service_id"].to_string(),
                            service["event_time"].as_str().unwrap().to_owned(),
                        ));
                    }
                }
            }
            prop_assert_eq!(arrived, expected);
        }
    }
}
