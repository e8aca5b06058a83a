//! The head of an answer (RFC 9112 section 4), and how its body is framed (section 6).
//!
//! The grammar is read by `httparse`, as it is in `ureq`; the tests in `against_ureq` hold the rest against it.

use std::mem::MaybeUninit;
use std::time::Duration;

use httparse::{ParserConfig, Status};

use crate::body::Framing;
use crate::date;

/// More fields than this are no answer of the platform's.
const FIELDS_MAX: usize = 128;

/// What a head says, as far as it matters here.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) status: u16,
    /// How the body that follows ends.
    pub(crate) framing: Framing,
    /// Whether the connection can serve another request after the body.
    pub(crate) persistent: bool,
    /// From `Retry-After`, where it is a number of seconds.
    pub(crate) retry_after: Option<Duration>,
    /// From `Date`, in Unix milliseconds.
    pub(crate) server_time_ms: Option<i64>,
}

/// The fields that matter.
#[derive(Clone, Copy)]
enum Field {
    Date,
    Connection,
    RetryAfter,
    ContentLength,
    TransferEncoding,
}

impl Field {
    fn named(name: &str) -> Option<Self> {
        let (field, usual) = match name.len() {
            4 => (Field::Date, "Date"),
            10 => (Field::Connection, "Connection"),
            11 => (Field::RetryAfter, "Retry-After"),
            14 => (Field::ContentLength, "Content-Length"),
            17 => (Field::TransferEncoding, "Transfer-Encoding"),
            _ => return None,
        };
        // Most servers write it as usual, which is cheaper to see.
        (name == usual || name.eq_ignore_ascii_case(usual)).then_some(field)
    }
}

/// Reads a head, if `input` holds the whole of it, and returns how long it is. `Err` says why it is none.
pub(crate) fn parse(input: &[u8]) -> Result<Option<(usize, Head)>, String> {
    let mut fields = [const { MaybeUninit::uninit() }; FIELDS_MAX];
    let mut response = httparse::Response::new(&mut []);
    let parsed = ParserConfig::default().parse_response_with_uninit_headers(&mut response, input, &mut fields);
    let length = match parsed {
        Ok(Status::Complete(length)) => length,
        Ok(Status::Partial) => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    let status = response.code.unwrap_or(0);
    if status < 100 {
        return Err("invalid status".to_owned());
    }
    let is_1_0 = response.version == Some(0);
    let (mut announced, mut encoded, mut chunked) = (None, false, false);
    let (mut close, mut keep_alive) = (false, false);
    let (mut retry_after, mut server_time_ms) = (None, None);
    for field in response.headers.iter() {
        let value = field.value;
        match Field::named(field.name) {
            Some(Field::ContentLength) => announced = Some(content_length(value, announced)?),
            Some(Field::Date) => server_time_ms = date::unix_ms(value),
            Some(Field::Connection) => {
                close |= has_token(value, "close");
                keep_alive |= has_token(value, "keep-alive");
            }
            Some(Field::TransferEncoding) => {
                encoded = true;
                chunked |= has_token(value, "chunked");
            }
            Some(Field::RetryAfter) => retry_after = seconds(value),
            None => {}
        }
    }
    let framing = match status {
        100..=199 | 204 | 304 => Framing::Length(0),
        _ if chunked && !is_1_0 => Framing::chunked(),
        // Another encoding, or one that HTTP/1.0 does not know: only the end of the connection ends it.
        _ if encoded => Framing::UntilClose,
        _ => announced.map_or(Framing::UntilClose, Framing::Length),
    };
    // With both a length and an encoding, somebody on the way may see other ends of messages than we do.
    let ambiguous = encoded && announced.is_some();
    let persistent = !close && (!is_1_0 || keep_alive) && status != 101 && framing != Framing::UntilClose && !ambiguous;
    Ok(Some((length, Head { status, framing, persistent, retry_after, server_time_ms })))
}

impl Head {
    /// An answer before the answer, such as "100 Continue" (RFC 9110 section 15.2).
    pub(crate) fn is_interim(&self) -> bool {
        (100..200).contains(&self.status) && self.status != 101
    }
}

/// A length may be said several times, also in one field, as long as it is the same (RFC 9110 section 8.6).
fn content_length(value: &[u8], mut before: Option<u64>) -> Result<u64, String> {
    for element in value.split(|byte| *byte == b',') {
        let length = decimal(element).ok_or("the content-length is no number")?;
        if before.is_some_and(|before| before != length) {
            return Err("two content-lengths".to_owned());
        }
        before = Some(length);
    }
    before.ok_or_else(|| "the content-length is no number".to_owned())
}

fn seconds(value: &[u8]) -> Option<Duration> {
    decimal(value).map(Duration::from_secs)
}

fn decimal(text: &[u8]) -> Option<u64> {
    let digits = text.trim_ascii();
    let add = |number: u64, digit: &u8| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    };
    (!digits.is_empty()).then(|| digits.iter().try_fold(0, add))?
}

fn has_token(value: &[u8], token: &str) -> bool {
    let is_token = |element: &[u8]| element.trim_ascii().eq_ignore_ascii_case(token.as_bytes());
    value.split(|byte| *byte == b',').any(is_token)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(text: &str) -> Head {
        let (length, head) = parse(text.as_bytes()).unwrap().unwrap();
        assert_eq!(length, text.find("\r\n\r\n").unwrap() + 4);
        head
    }

    #[test]
    fn a_usual_answer() {
        let head = head(
            "HTTP/1.1 200 OK\r\nServer: nginx\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nRetry-After: 7\r\n\
             Content-Length: 12\r\nConnection: keep-alive\r\n\r\nhello",
        );
        assert_eq!(
            head,
            Head {
                status: 200,
                framing: Framing::Length(12),
                persistent: true,
                retry_after: Some(Duration::from_secs(7)),
                server_time_ms: Some(784_111_777_000),
            }
        );
    }

    #[test]
    fn framing_and_persistence() {
        for (start, fields, framing, persistent) in [
            ("1.1 200", "Content-Length: 0", Framing::Length(0), true),
            ("1.1 200", "content-length:5, 5\r\nCONTENT-LENGTH: 5", Framing::Length(5), true),
            ("1.1 200", "Content-Length: 5\r\nConnection: x, Close", Framing::Length(5), false),
            ("1.0 200", "Content-Length: 5", Framing::Length(5), false),
            ("1.0 200", "Content-Length: 5\r\nConnection: Keep-Alive", Framing::Length(5), true),
            ("1.0 200", "A: b", Framing::UntilClose, false),
            ("1.1 200", "A: b", Framing::UntilClose, false),
            ("1.1 200", "Transfer-Encoding: Chunked", Framing::chunked(), true),
            ("1.1 200", "Transfer-Encoding: gzip, chunked\r\nContent-Length: 3", Framing::chunked(), false),
            ("1.1 200", "Transfer-Encoding: gzip\r\nContent-Length: 3", Framing::UntilClose, false),
            ("1.0 200", "Transfer-Encoding: chunked\r\nConnection: keep-alive", Framing::UntilClose, false),
            ("1.1 204", "A: b", Framing::Length(0), true),
            ("1.1 304", "Content-Length: 9", Framing::Length(0), true),
            ("1.1 101", "Upgrade: x", Framing::Length(0), false),
        ] {
            let head = head(&format!("HTTP/{start} Some Text\r\n{fields}\r\n\r\n"));
            assert_eq!((head.framing, head.persistent), (framing, persistent), "{start} {fields}");
        }
    }

    #[test]
    fn a_head_that_is_not_there_yet_or_is_none() {
        let whole = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
        for end in 0..whole.len() {
            assert_eq!(parse(&whole.as_bytes()[..end]), Ok(None), "{end}");
        }
        for text in [
            "SSH-2.0-OpenSSH_9.2\r\n\r\n",
            "\0\0\0\0\r\n\r\n",
            "HTTP/2.0 200 OK\r\n\r\n",
            "HTTP/1.1 099 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 1,2\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551616\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n",
            "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        ] {
            assert!(parse(text.as_bytes()).is_err(), "{text}");
        }
        let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(FIELDS_MAX + 1));
        assert!(parse(many.as_bytes()).is_err());
    }

    #[test]
    fn interim_answers_are_told_apart() {
        assert!(head("HTTP/1.1 100 Continue\r\n\r\n").is_interim());
        assert!(head("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n").is_interim());
        assert!(!head("HTTP/1.1 101 Switching Protocols\r\n\r\n").is_interim());
        assert!(!head("HTTP/1.1 200 OK\r\n\r\n").is_interim());
    }
}
