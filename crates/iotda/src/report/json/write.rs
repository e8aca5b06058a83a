//! Writes JSON strings and numbers at the end of a buffer.

/// Writes `text` in double quotes, with the escapes that RFC 8259 section 7 demands and no others.
pub(crate) fn string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let bytes = text.as_bytes();
    let mut from = 0;
    for (at, &byte) in bytes.iter().enumerate() {
        let escape: &[u8] = match byte {
            b'"' => b"\\\"",
            b'\\' => b"\\\\",
            b'\n' => b"\\n",
            b'\r' => b"\\r",
            b'\t' => b"\\t",
            0..=0x1f => b"",
            _ => continue,
        };
        out.extend_from_slice(&bytes[from..at]);
        if escape.is_empty() {
            const HEX: &[u8; 16] = b"0123456789abcdef";
            out.extend_from_slice(b"\\u00");
            out.push(HEX[usize::from(byte >> 4)]);
            out.push(HEX[usize::from(byte & 15)]);
        } else {
            out.extend_from_slice(escape);
        }
        from = at + 1;
    }
    out.extend_from_slice(&bytes[from..]);
    out.push(b'"');
}

/// How many bytes [`string`] makes of `text`.
pub(crate) fn string_length(text: &str) -> usize {
    let escape = |byte: u8| match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' => 1,
        0..=0x1f => 5,
        _ => 0,
    };
    2 + text.len() + text.bytes().map(escape).sum::<usize>()
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
    use std::io::Write;
    // Writing into a Vec cannot fail. `{:?}` is the shortest exact form: 0.1, 1e300, -0.0.
    let _ = write!(out, "{value:?}");
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
            written(|out| string(out, "a\"b\\c\n\u{1}\u{1f}/é😀\u{7f}")),
            r#""a\"b\\c\n\u0001\u001f/é😀"#.to_owned() + "\u{7f}\""
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

    proptest! {
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
