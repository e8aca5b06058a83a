//! Finds where JSON values begin and end (RFC 8259) and says what is wrong with those that are not.
//!
//! Which members a document needs is the business of [`crate::report::validate`].

use super::fault::Fault;
use super::plain::plain;

/// How deep a value may be nested, itself included; more is refused, because whatever reads the report must nest as
/// deep.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Depth {
    levels: usize,
    exceeded: &'static str,
}

/// The properties of a service.
pub(crate) const OBJECT: Depth = Depth { levels: 128, exceeded: "nested deeper than 128 levels" };

/// One property: with the object around it, it is as deep as an [`OBJECT`].
pub(crate) const MEMBER: Depth = Depth { levels: OBJECT.levels - 1, exceeded: "nested deeper than 127 levels" };

/// A value that is not sent, so that only the memory for reading it is a limit.
const SKIPPED: Depth = Depth { levels: 4096, exceeded: "nested deeper than 4096 levels" };

/// The kind of a value, by its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Object,
    Array,
    String,
    Number,
    Word,
}

impl Kind {
    /// As a message names it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Object => "an object",
            Kind::Array => "an array",
            Kind::String => "a string",
            Kind::Number => "a number",
            Kind::Word => "true, false or null",
        }
    }
}

/// Reads a text from its start to its end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

/// Checks that `text` is one JSON value, with nothing but white space around it, and returns its kind.
pub(crate) fn check(text: &str) -> Result<Kind, Fault> {
    check_within(text, OBJECT)
}

/// As [`check`], with another depth than that of an [`OBJECT`].
pub(crate) fn check_within(text: &str, depth: Depth) -> Result<Kind, Fault> {
    let mut scanner = Scanner::new(text);
    let kind = scanner.kind()?;
    scanner.nested(depth, &mut [0; 2])?;
    scanner.end()?;
    Ok(kind)
}

impl<'a> Scanner<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        let mut scanner = Scanner { text, at: 0 };
        scanner.space();
        scanner
    }

    /// The position in bytes, for messages.
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// The kind of the value that comes next.
    pub(crate) fn kind(&self) -> Result<Kind, Fault> {
        match self.peek() {
            Some(b'{') => Ok(Kind::Object),
            Some(b'[') => Ok(Kind::Array),
            Some(b'"') => Ok(Kind::String),
            Some(b'-' | b'0'..=b'9') => Ok(Kind::Number),
            Some(b't' | b'f' | b'n') => Ok(Kind::Word),
            Some(_) => Err(self.fault("expected a JSON value")),
            None => Err(self.fault("the text ends where a JSON value is expected")),
        }
    }

    /// Nothing but white space may follow.
    pub(crate) fn end(&mut self) -> Result<(), Fault> {
        self.space();
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.fault("unexpected text after the end of the value")),
        }
    }

    /// Enters an object or an array; its opening byte comes next.
    pub(crate) fn enter(&mut self) {
        self.at += 1;
    }

    /// Whether another item follows before `close`: asked after [`enter`](Self::enter), with `first`, and
    /// after each item. Consumes the comma or the closing byte.
    pub(crate) fn next_item(&mut self, first: bool, close: u8) -> Result<bool, Fault> {
        self.space();
        match self.peek() {
            Some(byte) if byte == close => {
                self.at += 1;
                Ok(false)
            }
            Some(_) if first => Ok(true),
            Some(b',') => {
                self.at += 1;
                self.space();
                match self.peek() {
                    Some(byte) if byte == close => Err(self.fault("nothing follows the comma")),
                    _ => Ok(true),
                }
            }
            Some(_) if close == b'}' => Err(self.fault("expected ',' or '}' after a member")),
            Some(_) => Err(self.fault("expected ',' or ']' after an element")),
            None => Err(self.fault("the text ends inside an object or array")),
        }
    }

    /// Reads `"name" :` and returns the name as written, without its quotes.
    pub(crate) fn name(&mut self) -> Result<&'a str, Fault> {
        if self.peek() != Some(b'"') {
            return Err(self.fault("expected a name in double quotes"));
        }
        let from = self.at + 1;
        self.string()?;
        let name = &self.text[from..self.at - 1];
        self.space();
        if self.peek() != Some(b':') {
            return Err(self.fault("expected ':' after a name"));
        }
        self.at += 1;
        self.space();
        Ok(name)
    }

    /// Reads one value, whatever it is, and returns it as written.
    pub(crate) fn value(&mut self) -> Result<&'a str, Fault> {
        self.nested(OBJECT, &mut [0; 2])
    }

    /// As [`value`](Self::value), much deeper: passes over a value that is wrong for what it says, not as JSON.
    pub(crate) fn skip(&mut self) -> Result<(), Fault> {
        self.nested(SKIPPED, &mut [0; SKIPPED.levels / 64]).map(drop)
    }

    /// `objects` has one bit for each enclosing value, 1 for an object: no recursion, so no stack to exhaust.
    fn nested(&mut self, depth: Depth, objects: &mut [u64]) -> Result<&'a str, Fault> {
        let from = self.at;
        let mut open = 0;
        loop {
            let kind = self.kind()?;
            let mut first = false;
            match kind {
                Kind::Object | Kind::Array => {
                    if open >= depth.levels {
                        return Err(self.fault(depth.exceeded));
                    }
                    let bit = 1 << (open % 64);
                    match kind {
                        Kind::Object => objects[open / 64] |= bit,
                        _ => objects[open / 64] &= !bit,
                    }
                    open += 1;
                    self.enter();
                    first = true;
                }
                Kind::String => self.string()?,
                Kind::Number => self.number()?,
                Kind::Word => self.word()?,
            }
            // Leave every object and array that ends here.
            loop {
                if open == 0 {
                    return Ok(&self.text[from..self.at]);
                }
                let in_object = (objects[(open - 1) / 64] >> ((open - 1) % 64)) & 1 == 1;
                if self.next_item(first, if in_object { b'}' } else { b']' })? {
                    if in_object {
                        self.name()?;
                    }
                    break;
                }
                open -= 1;
                first = false;
            }
        }
    }

    fn string(&mut self) -> Result<(), Fault> {
        let bytes = self.text.as_bytes();
        let start = self.at;
        let mut at = start + 1;
        loop {
            at += plain(&bytes[at..]);
            match bytes.get(at) {
                Some(b'"') => {
                    self.at = at + 1;
                    return Ok(());
                }
                Some(b'\\') => match bytes.get(at + 1) {
                    Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => at += 2,
                    Some(b'u') => {
                        let hex = bytes.get(at + 2..at + 6);
                        if !hex.is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit)) {
                            return Err(Fault { at, what: "\\u takes four hex digits" });
                        }
                        at += 6;
                    }
                    _ => return Err(Fault { at, what: "unknown escape after a backslash" }),
                },
                Some(_) => return Err(Fault { at, what: "a control character in a string must be escaped" }),
                None => return Err(Fault { at: start, what: "a string is not closed" }),
            }
        }
    }

    fn number(&mut self) -> Result<(), Fault> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.peek() {
            Some(b'0') => self.at += 1,
            _ => self.digits()?,
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        match self.peek() {
            Some(b'0'..=b'9' | b'.' | b'a'..=b'z' | b'A'..=b'Z' | b'+' | b'-') => {
                Err(self.fault("this is not a JSON number"))
            }
            _ => Ok(()),
        }
    }

    fn digits(&mut self) -> Result<(), Fault> {
        let from = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        if self.at == from { Err(self.fault("a number lacks a digit here")) } else { Ok(()) }
    }

    fn word(&mut self) -> Result<(), Fault> {
        let rest = &self.text.as_bytes()[self.at..];
        for word in [&b"true"[..], b"false", b"null"] {
            if rest.starts_with(word) {
                self.at += word.len();
                return Ok(());
            }
        }
        Err(self.fault("expected a JSON value"))
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn fault(&self, what: &'static str) -> Fault {
        Fault { at: self.at, what }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::value::RawValue;

    fn serde_accepts(text: &str) -> bool {
        serde_json::from_str::<&RawValue>(text).is_ok()
    }

    #[test]
    fn values_that_a_parse_into_numbers_would_harm_are_valid() {
        for text in [
            r#"{"n":12345678901234567890123}"#,
            r#"{"n":1e400}"#,
            r#"{"n":-0.0E-0}"#,
            r#"{"a":1,"a":2}"#,
            r#"{"s":"é😀\ud83d\ude00\u0000"}"#,
            "{}",
            " {\t\"a\" :\r\n[ ] } ",
            r#"{"":{"":[[],{}]}}"#,
        ] {
            assert_eq!(check(text), Ok(Kind::Object), "{text}");
            assert!(serde_accepts(text), "{text}");
        }
    }

    #[test]
    fn faults_name_place_and_cause() {
        for (text, at, what) in [
            ("", 0, "ends where"),
            ("{", 1, "ends inside"),
            (r#"{"a"}"#, 4, "':'"),
            (r#"{"a":}"#, 5, "a JSON value"),
            (r#"{"a":1,}"#, 7, "follows the comma"),
            ("[1,]", 3, "follows the comma"),
            ("[1 2]", 3, "',' or ']'"),
            (r#"{"a":1 "b":2}"#, 7, "',' or '}'"),
            ("{'a':1}", 1, "double quotes"),
            ("{}x", 2, "after the end"),
            ("{}{}", 2, "after the end"),
            ("[01]", 2, "not a JSON number"),
            ("[1.]", 3, "lacks a digit"),
            ("[-]", 2, "lacks a digit"),
            ("[1e]", 3, "lacks a digit"),
            ("[+1]", 1, "a JSON value"),
            ("[NaN]", 1, "a JSON value"),
            ("[nul]", 1, "a JSON value"),
            (r#"["a"#, 1, "not closed"),
            ("[\"\u{1}\"]", 2, "control"),
            (r#"["\x"]"#, 2, "escape"),
            (r#"["\u12g4"]"#, 2, "four hex"),
            ("[1}", 2, "',' or ']'"),
            ("[0x10]", 2, "not a JSON number"),
            ("\u{feff}{}", 0, "a JSON value"),
        ] {
            let fault = check(text).unwrap_err();
            assert!(fault.at == at && fault.what.contains(what), "{text}: {fault:?}");
            assert!(!serde_accepts(text), "{text}");
        }
    }

    #[test]
    fn depth_is_bounded_and_deep_input_is_no_crash() {
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert_eq!(check(&nested(128)), Ok(Kind::Array));
        assert_eq!(check(&nested(129)).unwrap_err().what, "nested deeper than 128 levels");
        assert_eq!(check_within(&nested(127), MEMBER), Ok(Kind::Array));
        assert_eq!(check_within(&nested(128), MEMBER).unwrap_err().what, "nested deeper than 127 levels");
        assert!(check(&"[".repeat(1_000_000)).is_err());
        assert!(check(&r#"{"a":"#.repeat(1_000_000)).is_err());
    }

    #[test]
    fn a_value_is_returned_as_written_without_the_space_around_it() {
        let mut scanner = Scanner::new("  [ 1 , {\"a\" : [ ] } ]  , 2");
        assert_eq!(scanner.value(), Ok("[ 1 , {\"a\" : [ ] } ]"));
        assert_eq!(scanner.next_item(false, b']'), Ok(true));
        assert_eq!(scanner.value(), Ok("2"));
    }

    #[test]
    fn what_is_skipped_may_be_deep_and_must_be_json() {
        // Objects and arrays in turns of odd lengths, so that each word of the stack has both kinds.
        let (open, close): (Vec<_>, Vec<_>) =
            (0..4096).map(|level| if level % 7 < 3 { ("{\"\":", "}") } else { ("[", "]") }).unzip();
        let text = format!("{}1{},2", open.concat(), close.iter().rev().copied().collect::<String>());
        let mut scanner = Scanner::new(&text);
        scanner.skip().unwrap();
        assert_eq!(scanner.next_item(false, b']'), Ok(true));
        for level in [0, 63, 64, 65, 2000, 4095] {
            let mut wrong = close.clone();
            wrong[level] = if close[level] == "}" { "]" } else { "}" };
            let text = format!("{}1{}", open.concat(), wrong.iter().rev().copied().collect::<String>());
            assert!(Scanner::new(&text).skip().is_err(), "level {level}");
        }
        assert_eq!(Scanner::new(&"[".repeat(5000)).skip().unwrap_err().what, "nested deeper than 4096 levels");
    }

    /// Whatever can stand in a string, at each offset around the words of eight bytes that it is read by.
    #[test]
    fn strings_agree_with_serde_json_at_every_offset() {
        for part in [
            "\"", "\\", "\\\"", "\\\\", "\\n", "\\u00e9", "\\u12", "\\u12g4", "\\x", "\n", "\0", "\u{1f}", " ",
            "\u{7f}", "é", "\u{80}", "\u{a2}", "\u{7ff}", "😀", "\\\\\"",
        ] {
            for before in 0..18 {
                for behind in ["\"", "", "bcdefghi\"", "é\"", "\\\"", "\"\"", "b"] {
                    let text = format!("\"{}{part}{behind}", "a".repeat(before));
                    assert_eq!(check(&text).is_ok(), serde_accepts(&text), "{text}");
                }
            }
        }
    }

    /// Any JSON, printed with white space in odd places.
    fn json() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            Just("null".to_owned()),
            Just("true".to_owned()),
            Just("false".to_owned()),
            "-?(0|[1-9][0-9]{0,30})(\\.[0-9]{1,5})?([eE][+-]?[0-9]{1,4})?",
            any::<String>().prop_map(|s| serde_json::to_string(&s).unwrap()),
        ];
        leaf.prop_recursive(6, 64, 6, |inner| {
            let name = any::<String>().prop_map(|s| serde_json::to_string(&s).unwrap());
            prop_oneof![
                (prop::collection::vec(inner.clone(), 0..6), "[ \n\t\r]{0,3}")
                    .prop_map(|(items, gap)| format!("[{gap}{}{gap}]", items.join(&format!("{gap},{gap}")))),
                (prop::collection::vec((name, inner), 0..6), "[ \n\t\r]{0,3}").prop_map(|(members, gap)| {
                    let members: Vec<_> = members.iter().map(|(n, v)| format!("{n}{gap}:{gap}{v}")).collect();
                    format!("{{{gap}{}{gap}}}", members.join(&format!("{gap},{gap}")))
                }),
            ]
        })
    }

    proptest! {
        #[test]
        fn agrees_with_serde_json_on_valid_input(text in json()) {
            prop_assert!(serde_accepts(&text), "{}", text);
            prop_assert!(check(&text).is_ok(), "{}: {:?}", text, check(&text));
            let padded = format!(" {text}\n");
            prop_assert_eq!(Scanner::new(&padded).value(), Ok(text.as_str()));
        }

        #[test]
        fn agrees_with_serde_json_on_damaged_input(text in json(), cut in any::<prop::sample::Index>(), byte in any::<char>()) {
            let mut chars: Vec<char> = text.chars().collect();
            let at = cut.index(chars.len());
            chars[at] = byte;
            let replaced: String = chars.iter().collect();
            prop_assert_eq!(check(&replaced).is_ok(), serde_accepts(&replaced), "{}", replaced);
            chars.remove(at);
            let removed: String = chars.iter().collect();
            prop_assert_eq!(check(&removed).is_ok(), serde_accepts(&removed), "{}", removed);
            let truncated: String = chars[..at].iter().collect();
            prop_assert_eq!(check(&truncated).is_ok(), serde_accepts(&truncated), "{}", truncated);
        }

        #[test]
        fn agrees_with_serde_json_on_json_like_noise(text in "[\\[\\]{}:,\"\\\\0-9eE+.\\- truefalsn]{0,24}") {
            prop_assert_eq!(check(&text).is_ok(), serde_accepts(&text), "{}", text);
        }
    }
}
