//! Writes JSON strings and numbers at the end of a buffer.

use std::fmt;

use super::plain::plain;

/// Writes `text` in double quotes, with the escapes that RFC 8259 section 7 demands and no others.
pub(crate) fn string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let mut rest = text.as_bytes();
    loop {
        let (as_it_is, escaped) = rest.split_at(plain(rest));
        out.extend_from_slice(as_it_is);
        let [byte, behind @ ..] = escaped else { break };
        match letter(*byte) {
            Some(letter) => out.extend_from_slice(&[b'\\', letter]),
            None => {
                const HEX: &[u8; 16] = b"0123456789abcdef";
                let digits = [HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]];
                out.extend_from_slice(b"\\u00");
                out.extend_from_slice(&digits);
            }
        }
        rest = behind;
    }
    out.push(b'"');
}

/// How many bytes [`string`] makes of `text`.
pub(crate) fn string_length(text: &str) -> usize {
    let mut rest = text.as_bytes();
    let mut length = 2 + rest.len();
    while let [byte, behind @ ..] = &rest[plain(rest)..] {
        length += if letter(*byte).is_some() { 1 } else { 5 };
        rest = behind;
    }
    length
}

/// The letter behind a backslash by which a byte is written; the bytes without one take `\u00` and two digits.
fn letter(byte: u8) -> Option<u8> {
    match byte {
        b'"' | b'\\' => Some(byte),
        b'\n' => Some(b'n'),
        b'\r' => Some(b'r'),
        b'\t' => Some(b't'),
        _ => None,
    }
}

/// Writes an integer.
pub(crate) fn integer(out: &mut Vec<u8>, value: i64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    let mut rest = value.unsigned_abs();
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if value < 0 {
        out.push(b'-');
    }
    out.extend_from_slice(&digits[at..]);
}

/// Writes a finite number with the fewest digits that read back as the same value, always with a
/// decimal point, whatever the locale. The caller refuses NaN and infinities: JSON has none.
pub(crate) fn double(out: &mut Vec<u8>, value: f64) {
    shortest(out, format_args!("{value:?}"));
}

/// As [`double`], with the fewest digits that read back as the same `f32`: 23.24 and not 23.239999771118164.
pub(crate) fn float(out: &mut Vec<u8>, value: f32) {
    shortest(out, format_args!("{value:?}"));
}

/// `{:?}` of a number is its shortest exact form: 0.1, 1e300, -0.0.
fn shortest(out: &mut Vec<u8>, number: fmt::Arguments<'_>) {
    use std::io::Write;
    // Writing into a Vec cannot fail.
    let _ = out.write_fmt(number);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn only_what_must_be_escaped_is() {
        assert_eq!(
            written(|out| string(out, "a\"b\\c\n\r\t\u{1}\u{1f}/é😀\u{7f}")),
            r#""a\"b\\c\n\r\t\u0001\u001f/é😀"#.to_owned() + "\u{7f}\""
        );
    }

    #[test]
    fn numbers_at_their_ends() {
        for value in [0, 7, -7, 10, i64::MAX, i64::MIN] {
            assert_eq!(written(|out| integer(out, value)), value.to_string());
        }
        assert_eq!(written(|out| double(out, 23.24)), "23.24");
        assert_eq!(written(|out| double(out, 1.0)), "1.0");
        assert_eq!(written(|out| double(out, -0.0)), "-0.0");
    }

    #[test]
    fn a_float_has_its_own_digits() {
        for (value, digits) in [
            (23.24, "23.24"),
            (0.1, "0.1"),
            (1.0, "1.0"),
            (-0.0, "-0.0"),
            (16_777_216.0, "16777216.0"),
            (f32::MAX, "3.4028235e38"),
            (f32::MIN_POSITIVE, "1.1754944e-38"),
        ] {
            assert_eq!(written(|out| float(out, value)), digits);
        }
    }

    /// Each byte that takes an escape, and others, at each offset around the words of eight bytes.
    #[test]
    fn escapes_at_every_offset() {
        for special in
            ["\"", "\\", "\n", "\0", "\u{1f}", " ", "\u{7f}", "\u{80}", "\u{a2}", "\u{7ff}", "\u{ffff}", "😀", "\"\\"]
        {
            for before in 0..18 {
                for behind in 0..10 {
                    let text = format!("{}{special}{}", "a".repeat(before), "é".repeat(behind));
                    let json = written(|out| string(out, &text));
                    assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
                    assert_eq!(json.len(), string_length(&text), "{json}");
                }
            }
        }
    }

    proptest! {
        #[test]
        fn floats_read_back_bit_for_bit(value in prop::num::f32::ANY.prop_filter("finite", |v| v.is_finite())) {
            let json = written(|out| float(out, value));
            prop_assert!(crate::report::json::scan::check(&json).is_ok(), "{}", json);
            prop_assert_eq!(json.parse::<f32>().unwrap().to_bits(), value.to_bits());
        }

        #[test]
        fn strings_with_many_escapes_read_back(text in "[\"\\\\\u{0}-\u{25}a-cé😀]{0,40}") {
            let json = written(|out| string(out, &text));
            prop_assert_eq!(json.len(), string_length(&text));
            prop_assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
        }

        #[test]
        fn strings_read_back(text in any::<String>()) {
            let json = written(|out| string(out, &text));
            prop_assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
        }

        #[test]
        fn doubles_read_back_bit_for_bit(value in prop::num::f64::ANY.prop_filter("finite", |v| v.is_finite())) {
            let json = written(|out| double(out, value));
            prop_assert!(crate::report::json::scan::check(&json).is_ok(), "{}", json);
            prop_assert_eq!(json.parse::<f64>().unwrap().to_bits(), value.to_bits());
        }
    }
}
