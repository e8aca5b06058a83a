//! Finds members of a JSON object in bytes that may be no JSON: cut off, in another encoding, damaged.
//!
//! One member is needed, so nothing else has to be in order: an error code counts whatever its text looks like. Only
//! members of the outermost object are found, and only values whose end has come.

use zeroize::Zeroizing;

/// The value of a member, as it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Member<'a> {
    /// What stands between the quotes of a string, escapes and all.
    Text(&'a [u8]),
    /// A number or a literal; of an array or an object, its first byte.
    Other(&'a [u8]),
}

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Whether `body` begins as a JSON object or array does.
pub(crate) fn is_json_like(body: &[u8]) -> bool {
    matches!(start(body).first(), Some(b'{' | b'['))
}

/// The member `name` of the object in `body`; of several, the last.
pub(crate) fn find<'a>(body: &'a [u8], name: &str) -> Option<Member<'a>> {
    scan(start(body), name.as_bytes(), false).or_else(|| {
        // In GBK the second byte of a character may look like a backslash, and hide the end of a string.
        std::str::from_utf8(body).err().and_then(|_| scan(start(body), name.as_bytes(), true))
    })
}

/// Resolves the escapes of a [`Member::Text`]. Bytes that are no UTF-8 stay as they are. The result is never longer, and
/// never grows, so that no copy of it is left behind.
pub(crate) fn unescaped(text: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut out = Zeroizing::new(Vec::with_capacity(text.len()));
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        at += 1;
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        let Some(&escape) = text.get(at) else { break };
        at += 1;
        match escape {
            b'b' => out.push(8),
            b'f' => out.push(12),
            b'n' => out.push(b'\n'),
            b'r' => out.push(b'\r'),
            b't' => out.push(b'\t'),
            b'u' => {
                let (unit, low) = (unit(&text[at..]), text.get(at + 4..).and_then(escaped_unit));
                at += if unit.is_some() { 4 } else { 0 };
                let pair = match (unit, low) {
                    (Some(high @ 0xd800..=0xdbff), Some(low @ 0xdc00..=0xdfff)) => {
                        at += 6;
                        Some(0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00))
                    }
                    (unit, _) => unit,
                };
                // Half a pair, or no number at all.
                let character = pair.and_then(char::from_u32).unwrap_or(char::REPLACEMENT_CHARACTER);
                match unit {
                    Some(_) => out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
                    None => out.push(b'?'),
                }
            }
            other => out.push(other),
        }
    }
    out
}

/// `body` from where its value begins.
fn start(body: &[u8]) -> &[u8] {
    body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body).trim_ascii_start()
}

/// `wide`: a byte beyond ASCII and a backslash behind it are one character.
fn scan<'a>(body: &'a [u8], name: &[u8], wide: bool) -> Option<Member<'a>> {
    if body.first() != Some(&b'{') {
        return None;
    }
    let (mut at, mut depth, mut found) = (1, 1_usize, None);
    while depth > 0 {
        match body.get(at)? {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth -= 1,
            b'"' => {
                let Some(text) = string(&body[at + 1..], wide) else { return found };
                at += text.len() + 2;
                let rest = &body[at..];
                let is_name = depth == 1 && rest.trim_ascii_start().first() == Some(&b':');
                if is_name {
                    at += rest.len() - rest.trim_ascii_start().len() + 1;
                    let value = value(&body[at..], wide);
                    if text == name {
                        found = value.or(found);
                    }
                    // A string is passed here, so that it is not taken for a name.
                    if let Some(Member::Text(text)) = value {
                        let rest = &body[at..];
                        at += rest.len() - rest.trim_ascii_start().len() + text.len() + 2;
                    }
                }
                if at >= body.len() {
                    return found;
                }
                continue;
            }
            _ => {}
        }
        at += 1;
        if at >= body.len() {
            return found;
        }
    }
    found
}

/// What stands before the closing quote, if that has come.
fn string(text: &[u8], wide: bool) -> Option<&[u8]> {
    let mut at = 0;
    loop {
        match text.get(at)? {
            b'"' => return Some(&text[..at]),
            b'\\' => at += 2,
            0x80.. if wide && text.get(at + 1) == Some(&b'\\') => at += 2,
            _ => at += 1,
        }
    }
}

fn value(text: &[u8], wide: bool) -> Option<Member<'_>> {
    let text = text.trim_ascii_start();
    match text.first()? {
        b'"' => string(&text[1..], wide).map(Member::Text),
        b'{' | b'[' => Some(Member::Other(&text[..1])),
        _ => {
            let is_end = |byte: &u8| b",}]".contains(byte) || byte.is_ascii_whitespace();
            text.iter().position(is_end).map(|end| Member::Other(&text[..end]))
        }
    }
}

/// Four hexadecimal digits.
fn unit(text: &[u8]) -> Option<u32> {
    let digits = text.get(..4)?;
    digits.iter().try_fold(0, |unit, &digit| Some(unit * 16 + char::from(digit).to_digit(16)?))
}

fn escaped_unit(text: &[u8]) -> Option<u32> {
    unit(text.strip_prefix(b"\\u")?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    fn code(body: &[u8]) -> Option<String> {
        match find(body, "error_code")? {
            Member::Text(text) => String::from_utf8(unescaped(text).to_vec()).ok(),
            Member::Other(other) => Some(format!("other {}", String::from_utf8_lossy(other))),
        }
    }

    #[test]
    fn a_member_is_found_in_bodies_that_are_no_json() {
        let long = format!(r#"{{"a":"{}","error_code":"C""#, "x".repeat(70_000));
        for body in [
            &br#"{"error_code":"C"}"#[..],
            b"\xef\xbb\xbf{\"error_code\":\"C\"}",
            b" \r\n{ \"error_code\" :\t\"C\" ",
            b"{\"error_code\":\"C\",\"error_msg\":\"cut o",
            b"{\"error_code\":\"C\"}\0",
            b"{\"error_msg\":\"raw\nline\",\"error_code\":\"C\"}",
            b"{\"error_msg\":\"Ung\xfcltig\",\"error_code\":\"C\"}",
            // GBK, with a character whose second byte is that of a backslash.
            b"{\"error_msg\":\"\xd5\x5c\",\"error_code\":\"C\"}",
            // The last byte before a closing quote is beyond ASCII as well, and hides nothing.
            b"{\"error_msg\":\"\xd5\x5c\",\"b\":\"\xfc\",\"error_code\":\"C\"}",
            b"{\"a\" :  \"b\" , \"c\":\t\t\t\"d\",\"error_code\":\"C\"}",
            br#"{"error_msg":"\ud800","error_code":"C"}"#,
            br#"{"n":1e999,"error_code":"C"}"#,
            br#"{"n":NaN,"x":'y',"error_code":"C"}"#,
            br#"{"error_msg":"an "unescaped" one","error_code":"C"}"#,
            br#"{"a":{"error_code":"B"},"b":[{"error_code":"D"}],"error_code":"C"}"#,
            br#"{"error_code":"B","error_code":"C"}"#,
            br#"{"error_code":"C","error_code":"cut"#,
            br#"{"error_msg":"\"error_code\":\"B\"","error_code":"C"}"#,
            br#"{"a":"error_code","error_code":"C"}"#,
            long.as_bytes(),
        ] {
            let shown = String::from_utf8_lossy(&body[..body.len().min(100)]).into_owned();
            assert_eq!(code(body).as_deref(), Some("C"), "{shown}");
        }
    }

    #[test]
    fn what_is_not_there_or_not_whole_is_not_found() {
        for body in [
            &b""[..],
            b"{",
            b"{\"error_code",
            b"{\"error_code\"",
            b"{\"error_code\":",
            b"{\"error_code\":\"IOTDA.0211",
            b"{\"error_code\":12",
            b"{\"error_code\":\"C\\\"",
            b"<html>{\"error_code\":\"C\"}",
            b"[{\"error_code\":\"C\"}]",
            br#"{"a":{"error_code":"C"}}"#,
            br#"{"a":"error_code"}"#,
            br#"{} "error_code":"C""#,
            br#"{"a":"b"}"error_code":"C""#,
        ] {
            assert_eq!(code(body), None, "{}", String::from_utf8_lossy(body));
        }
        assert_eq!(code(br#"{"error_code":7}"#).as_deref(), Some("other 7"));
        // Where the body is UTF-8, an escape is one behind a character beyond ASCII as well.
        assert_eq!(code("{\"error_code\":\"é\\\"x\"}".as_bytes()).as_deref(), Some("é\"x"));
        assert_eq!(code(br#"{"error_code":{"a":1}}"#).as_deref(), Some("other {"));
    }

    #[test]
    fn escapes_are_resolved_and_damaged_ones_do_no_harm() {
        for (text, expected) in [
            (r#"a\"\\\/\b\f\n\r\t"#, "a\"\\/\u{8}\u{c}\n\r\t"),
            (r"\u00e9\ud83d\ude00", "é😀"),
            (r"\ud83d\ude00 and \u0062ehind", "😀 and behind"),
            (r"\ud83d \ude00 \ud83d\u0041", "\u{fffd} \u{fffd} \u{fffd}A"),
            (r"\u12 \uxyz", "?12 ?xyz"),
            (r"\q\", "q"),
        ] {
            assert_eq!(String::from_utf8_lossy(&unescaped(text.as_bytes())), expected, "{text}");
        }
    }

    #[test]
    fn what_looks_like_json() {
        assert!(is_json_like(b" {") && is_json_like(b"\xef\xbb\xbf\n["));
        assert!(!is_json_like(b"") && !is_json_like(b"<html>") && !is_json_like(b"ok"));
    }

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            ".*".prop_map(Value::from),
        ];
        let name = prop_oneof![Just("error_code".to_owned()), ".*"];
        leaf.prop_recursive(3, 24, 6, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::vec((name.clone(), inner), 0..6).prop_map(|members| members.into_iter().collect()),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(mut body in prop::collection::vec(any::<u8>(), 0..200), object in any::<bool>()) {
            if object {
                body.splice(0..0, *b"{\"");
            }
            if let Some(Member::Text(text)) = find(&body, "error_code") {
                prop_assert!(unescaped(text).len() <= text.len());
            }
            prop_assert!(unescaped(&body).len() <= body.len());
            is_json_like(&body);
        }

        #[test]
        fn bytes_of_json_are_survived(body in r#"\{?(["\\{}\[\]:, u0-9a-f]|"error_code"|\\u|\xd5){0,60}"#) {
            if let Some(Member::Text(text)) = find(body.as_bytes(), "error_code") {
                prop_assert!(unescaped(text).len() <= text.len());
            }
        }

        #[test]
        fn in_json_the_member_is_the_one_that_serde_json_finds(value in json()) {
            let body = value.to_string();
            let found = find(body.as_bytes(), "error_code");
            match value.get("error_code") {
                None => prop_assert_eq!(found, None),
                Some(Value::String(expected)) => {
                    let Some(Member::Text(text)) = found else { panic!("{found:?}") };
                    let text = unescaped(text);
                    prop_assert_eq!(&*text, expected.as_bytes());
                }
                Some(_) => prop_assert!(matches!(found, Some(Member::Other(_)))),
            }
        }
    }
}
