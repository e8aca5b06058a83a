//! Reads the head of an answer that is none by the grammar, as far as curl takes such heads: white space before a colon,
//! folded lines, fields without a usable name, any number of fields. Only where `httparse` has refused it.

use std::borrow::Cow;

/// The status line and the fields of a head, and how long it is.
pub(crate) struct Head<'a> {
    pub(crate) length: usize,
    pub(crate) status: u16,
    pub(crate) is_1_0: bool,
    /// Names without white space around them, and values in one line.
    pub(crate) fields: Vec<(&'a [u8], Cow<'a, [u8]>)>,
}

/// Reads a head, if `input` holds the whole of it. `Err`: whatever follows, it is none.
pub(crate) fn parse(input: &[u8]) -> Result<Option<Head<'_>>, &'static str> {
    let mut rest = input;
    let Some(line) = next_line(&mut rest) else {
        // What does not begin as an answer does need not be waited for.
        let beginning = &input[..input.len().min(START.len())];
        return if START[..beginning.len()].eq_ignore_ascii_case(beginning) { Ok(None) } else { Err(NO_STATUS) };
    };
    let (status, is_1_0) = status_line(line).ok_or(NO_STATUS)?;
    let mut fields: Vec<(&[u8], Cow<'_, [u8]>)> = Vec::new();
    loop {
        let Some(line) = next_line(&mut rest) else { return Ok(None) };
        if line.is_empty() {
            return Ok(Some(Head { length: input.len() - rest.len(), status, is_1_0, fields }));
        }
        if line.contains(&0) {
            return Err("a zero byte in its header");
        }
        if line[0] == b' ' || line[0] == b'\t' {
            // RFC 9112 section 5.2: continues the value before it.
            let (_, value) = fields.last_mut().ok_or("its first field continues none")?;
            let value = value.to_mut();
            value.push(b' ');
            value.extend_from_slice(line.trim_ascii());
            continue;
        }
        let colon = line.iter().position(|byte| *byte == b':').ok_or("a field without a colon")?;
        fields.push((line[..colon].trim_ascii(), Cow::Borrowed(line[colon + 1..].trim_ascii())));
    }
}

const START: &[u8] = b"HTTP/1.";
const NO_STATUS: &str = "no status line";

/// The status, and whether it is HTTP/1.0.
pub(crate) fn status_line(line: &[u8]) -> Option<(u16, bool)> {
    let (start, rest) = line.split_at_checked(START.len())?;
    let (minor, rest) = rest.split_first()?;
    let is_http = start.eq_ignore_ascii_case(START) && matches!(minor, b'0' | b'1') && rest.first() == Some(&b' ');
    let code = rest.trim_ascii_start().split(|byte| *byte == b' ').next()?;
    let is_code = is_http && code.len() == 3 && code.iter().all(u8::is_ascii_digit);
    let code = std::str::from_utf8(code).ok().filter(|_| is_code)?.parse().ok()?;
    (code >= 100).then_some((code, *minor == b'0'))
}

/// The line up to the next LF, without that and a CR before it.
pub(crate) fn next_line<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let end = rest.iter().position(|byte| *byte == b'\n')?;
    let line = &rest[..end];
    *rest = &rest[end + 1..];
    Some(line.strip_suffix(b"\r").unwrap_or(line))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fields(text: &str) -> Vec<(String, String)> {
        let head = parse(text.as_bytes()).unwrap().unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        head.fields.iter().map(|(name, value)| (text(name), text(value))).collect()
    }

    #[test]
    fn what_the_grammar_does_not_have() {
        let head = "http/1.0  200 OK\nA : b\r\nC:\r\n d\r\n\t e \n: nameless\nX(1) y: z\n\nbody";
        let pairs = [("A", "b"), ("C", " d e"), ("", "nameless"), ("X(1) y", "z")];
        assert_eq!(fields(head), pairs.map(|(name, value)| (name.to_owned(), value.to_owned())));
        let parsed = parse(head.as_bytes()).unwrap().unwrap();
        assert_eq!((parsed.status, parsed.is_1_0, &head[parsed.length..]), (200, true, "body"));
        for end in 0..parsed.length {
            assert!(parse(&head.as_bytes()[..end]).unwrap().is_none(), "{end}");
        }
    }

    #[test]
    fn what_is_no_head_for_curl_either() {
        for text in [
            "SSH-2.0-OpenSSH_9.2\r\n",
            "SSH",
            "HTTP/2.0 200 OK\r\n\r\n",
            "HTTP/1.2 200 OK\r\n\r\n",
            "HTTP/1.1\t200 OK\r\n\r\n",
            "HTTP/1.1 20 OK\r\n\r\n",
            "HTTP/1.1 2000 OK\r\n\r\n",
            "HTTP/1.1 099 OK\r\n\r\n",
            "\r\nHTTP/1.1 200 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\nnonsense\r\n\r\n",
            "HTTP/1.1 200 OK\r\n X: a\r\n\r\n",
            "HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n",
        ] {
            assert!(parse(text.as_bytes()).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let text = [b"HTTP/1.1 200 OK\n", &bytes[..]].concat();
            if let Ok(Some(head)) = parse(&text) {
                prop_assert!(head.length <= text.len());
            }
            let _ = parse(&bytes);
        }
    }
}
