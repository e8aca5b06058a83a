//! What is wrong with a JSON text, and the error that says it: advice, place, and the text around the position.

use std::fmt;

use crate::error::Error;

/// What is wrong, and at which byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) at: usize,
    pub(crate) what: &'static str,
}

/// Bytes shown before and from the position of a fault.
const SHOWN: usize = 16;

impl Fault {
    /// The error about `text`, which the caller knows as `field`.
    pub(crate) fn error(self, text: &str, field: fmt::Arguments<'_>) -> Error {
        let Fault { at, what } = self;
        Error::invalid(format!("{}: {field}, byte {at}{}: {what}", self.advice(text), excerpt(text, at)))
    }

    /// What to do. Texts that were made with `printf` have faults of their own.
    fn advice(self, text: &str) -> &'static str {
        let (before, rest) = text.as_bytes().split_at(self.at.min(text.len()));
        if is_decimal_comma(before, rest) {
            return "write a decimal point, not a comma (printf follows the locale)";
        }
        if rest.get(..3).is_some_and(|word| word.eq_ignore_ascii_case(b"nan") || word.eq_ignore_ascii_case(b"inf")) {
            return "leave the value out (JSON has no NaN and no infinity)";
        }
        if rest.starts_with("\u{feff}".as_bytes()) {
            return "remove the byte-order mark";
        }
        if self.what.starts_with("nested") {
            return "nest less deep";
        }
        "correct the JSON"
    }
}

/// Whether the text between which a fault stands looks like `21,5`: as a member (`{"t":21,5}`, the 5 is no name), as
/// a value alone (the comma ends it), or with zeros that an element cannot begin with (`[21,05]`).
fn is_decimal_comma(before: &[u8], rest: &[u8]) -> bool {
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    match (before, rest) {
        ([.., whole, b','], [b'0'..=b'9', ..]) => whole.is_ascii_digit() && rest.get(digits) != Some(&b':'),
        ([.., whole, b',', b'0'], [b'0'..=b'9', ..]) => whole.is_ascii_digit(),
        ([.., whole], [b',', b'0'..=b'9', ..]) => whole.is_ascii_digit(),
        _ => false,
    }
}

/// The text around byte `at`, as a part of a sentence; nothing of an empty text.
fn excerpt(text: &str, at: usize) -> String {
    let mut from = at.saturating_sub(SHOWN);
    let mut to = (at + SHOWN).min(text.len());
    while !text.is_char_boundary(from) {
        from += 1;
    }
    while !text.is_char_boundary(to) {
        to -= 1;
    }
    let Some(shown) = text.get(from..to).filter(|shown| !shown.is_empty()) else { return String::new() };
    let line: String = shown.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let dots = |cut: bool| if cut { "..." } else { "" };
    format!(", near `{}{line}{}`", dots(from > 0), dots(to < text.len()))
}

/// As much of a text of the caller's as a message has room for: at most 64 bytes on one line.
pub(crate) fn shown(text: &str) -> String {
    let mut shown = String::new();
    for c in text.chars().flat_map(char::escape_debug) {
        if shown.len() + c.len_utf8() > 64 {
            shown.push_str("...");
            break;
        }
        shown.push(c);
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::json::scan::check;

    fn message(text: &str) -> String {
        check(text).unwrap_err().error(text, format_args!("services[0].properties")).message().to_owned()
    }

    #[test]
    fn a_decimal_comma_is_recognized() {
        for text in [
            r#"{"t":21,5}"#,
            r#"{"t":-0,5,"u":1}"#,
            r#"{"a":[{"t":21,05}]}"#,
            r#"{"t":1,5e3}"#,
            "21,5",
            " -0,25\n",
            "[21,05]",
            r#"{"t":[1,00,2]}"#,
        ] {
            assert!(message(text).starts_with("write a decimal point, not a comma"), "{text}: {}", message(text));
        }
        assert_eq!(
            message(r#"{"t":21,5}"#),
            r#"write a decimal point, not a comma (printf follows the locale): services[0].properties, byte 8, near `{"t":21,5}`: expected a name in double quotes"#
        );
    }

    #[test]
    fn other_faults_are_not_taken_for_a_decimal_comma() {
        for text in
            [r#"{"t":21,}"#, r#"{"t":21,u}"#, r#"{"a":1,2:3}"#, r#"{"t":"a",5}"#, "[1,2", "[x,5]", ",5", "01", "1 ,5"]
        {
            assert!(message(text).starts_with("correct the JSON: "), "{text}: {}", message(text));
        }
    }

    #[test]
    fn other_traps_of_printf_get_advice() {
        for text in [r#"{"t":nan}"#, r#"{"t":-nan}"#, r#"{"t":NaN}"#, r#"{"t":inf}"#, r#"{"t":-Infinity}"#] {
            assert!(message(text).starts_with("leave the value out"), "{text}: {}", message(text));
        }
        assert!(message("\u{feff}{}").starts_with("remove the byte-order mark"));
        assert!(message(&"[".repeat(200)).starts_with("nest less deep"));
    }

    #[test]
    fn the_excerpt_is_short_one_line_and_never_cuts_a_character() {
        assert_eq!(excerpt("", 0), "");
        assert_eq!(excerpt("{\n\"a\"}", 5), ", near `{ \"a\"}`");
        for before in 0..40 {
            for text in ["é".repeat(40), "😀".repeat(40), "x".repeat(80)] {
                let text = format!("{}{text}", "a".repeat(before));
                for at in (0..=text.len()).filter(|&at| text.is_char_boundary(at)) {
                    let excerpt = excerpt(&text, at);
                    assert!(excerpt.len() <= 2 * SHOWN + 6 + 9, "{excerpt}");
                    assert_eq!(excerpt.contains("`..."), at > SHOWN, "{excerpt}");
                }
            }
        }
    }

    #[test]
    fn the_longest_message_fits() {
        let field = "children[4294967295].services[4294967295].properties";
        let long = "x".repeat(100);
        let longest_advice = "write a decimal point, not a comma (printf follows the locale)";
        for at in [0, 50, 100] {
            for what in ["expected ',' or ']' after an element", "a control character in a string must be escaped"] {
                let message = Fault { at, what }.error(&long, format_args!("{field}")).message().len();
                assert!(message < 256 - longest_advice.len(), "{message}");
            }
        }
        assert!(shown(&"é\n".repeat(64)).len() <= 67);
        let (fits, cut) = ("x".repeat(64), |kept: usize| "x".repeat(kept) + "...");
        assert_eq!((shown(&fits), shown(&(fits.clone() + "y"))), (fits, cut(64)));
        assert_eq!(shown(&("x".repeat(63) + "é")), cut(63));
    }
}
