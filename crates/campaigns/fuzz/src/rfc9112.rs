//! Answers by the letter of RFC 9112: nothing is passed over, nothing guessed. What the grammar leaves open, or allows
//! and nobody sends, is [`Reading::Unsure`].

/// What bytes are as an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// An answer that is whole, and how many bytes it has.
    Whole { status: u16, body: Vec<u8>, length: usize },
    /// Not an answer by the grammar, cut off, or not to be decided here.
    Unsure,
}

/// The first answer in `bytes` that is no interim one; a body without a length ends with the bytes.
pub(crate) fn read(bytes: &[u8]) -> Reading {
    let mut at = 0;
    loop {
        match answer(&bytes[at..]) {
            Some((100 | 102..=199, _, length)) => at += length,
            Some((status, body, length)) => return Reading::Whole { status, body, length: at + length },
            None => return Reading::Unsure,
        }
    }
}

/// Status, body and length.
fn answer(bytes: &[u8]) -> Option<(u16, Vec<u8>, usize)> {
    let mut rest = bytes;
    let (minor, status) = status_line(line(&mut rest)?)?;
    let (mut length, mut chunked) = (None, false);
    loop {
        let field = line(&mut rest)?;
        if field.is_empty() {
            break;
        }
        let (name, value) = self::field(field)?;
        if name.eq_ignore_ascii_case(b"content-length") {
            if length.is_some() {
                return None;
            }
            length = Some(decimal(value)?);
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            if chunked || !value.eq_ignore_ascii_case(b"chunked") {
                return None;
            }
            chunked = true;
        }
    }
    let body = match (status, chunked, length) {
        // Section 6.3, 1; 101 changes the protocol.
        (101, ..) => return None,
        (100..=199 | 204 | 304, ..) => Vec::new(),
        // Section 6.1: a length beside it is an attack, and HTTP/1.0 does not know it.
        (_, true, Some(_)) => return None,
        (_, true, None) if minor == 0 => return None,
        (_, true, None) => chunks(&mut rest)?,
        (_, false, Some(length)) => take(&mut rest, length)?.to_vec(),
        (_, false, None) => std::mem::take(&mut rest).to_vec(),
    };
    Some((status, body, bytes.len() - rest.len()))
}

/// `HTTP/1.1 200 OK`: the minor version and the status.
fn status_line(line: &[u8]) -> Option<(u8, u16)> {
    let rest = line.strip_prefix(b"HTTP/1.")?;
    let (minor @ (b'0' | b'1'), rest) = rest.split_first()? else { return None };
    let (code, reason) = rest.strip_prefix(b" ")?.split_at_checked(3)?;
    let reason = reason.strip_prefix(b" ")?;
    let is_code = code.iter().all(u8::is_ascii_digit) && (b'1'..=b'5').contains(&code[0]);
    if !is_code || !reason.iter().all(is_text) {
        return None;
    }
    Some((minor - b'0', code.iter().fold(0, |code, digit| code * 10 + u16::from(digit - b'0'))))
}

fn field(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    let is_field = !name.is_empty() && name.iter().all(is_token) && value.iter().all(is_text);
    is_field.then(|| (name, trimmed(value)))
}

/// VCHAR, obs-text, SP or HTAB.
fn is_text(byte: &u8) -> bool {
    matches!(byte, b'\t' | b' '..=b'~' | 0x80..)
}

/// Without OWS.
fn trimmed(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

fn chunks(rest: &mut &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let size = line(rest)?;
        // An extension is allowed, and left undecided.
        if size.is_empty() || size.len() > 8 || !size.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        let size = usize::from_str_radix(std::str::from_utf8(size).ok()?, 16).ok()?;
        if size == 0 {
            break;
        }
        body.extend_from_slice(take(rest, size)?);
        if !line(rest)?.is_empty() {
            return None;
        }
    }
    loop {
        match line(rest)? {
            b"" => return Some(body),
            trailer => drop(field(trailer)?),
        }
    }
}

/// The line up to the next CRLF, in which there is no other CR or LF.
fn line<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let end = rest.windows(2).position(|pair| pair == b"\r\n")?;
    let line = &rest[..end];
    *rest = &rest[end + 2..];
    (!line.contains(&b'\r') && !line.contains(&b'\n')).then_some(line)
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(length)?;
    *rest = left;
    Some(taken)
}

fn decimal(digits: &[u8]) -> Option<usize> {
    let is_number = (1..=9).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit);
    is_number.then(|| digits.iter().fold(0, |number, digit| number * 10 + usize::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_by_the_grammar_are_read() {
        for (text, status, body) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}more", 200, "{}"),
            (
                "HTTP/1.1 200 \r\ntransfer-encoding:\tCHUNKED \r\n\r\n1\r\na\r\n0A\r\n0123456789\r\n0\r\nX: y\r\n\r\n",
                200,
                "a0123456789",
            ),
            ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 403 No\r\n\r\nuntil the end", 403, "until the end"),
            ("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello", 204, ""),
        ] {
            let Reading::Whole { status: read_status, body: read_body, .. } = read(text.as_bytes()) else {
                panic!("{text}");
            };
            assert_eq!((read_status, read_body), (status, body.as_bytes().to_vec()), "{text}");
        }
    }

    #[test]
    fn nothing_else_is() {
        for text in [
            "HTTP/1.1 200\r\n\r\n",
            "HTTP/1.1 200 OK\n\n",
            "HTTP/2 200 OK\r\n\r\n",
            "HTTP/1.1 600 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{}",
            "HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\n{}",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}",
        ] {
            assert_eq!(read(text.as_bytes()), Reading::Unsure, "{text}");
        }
    }
}
