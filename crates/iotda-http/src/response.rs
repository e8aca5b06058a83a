//! The head of an answer (RFC 9112 section 4), and how its body is framed (section 6).
//!
//! The grammar is read by `httparse`, as it is in `ureq`; the tests in `against_ureq` hold the rest against it. What it
//! refuses is read again as curl takes it, by `lenient`: such an answer counts, and its connection ends with it.

use std::mem::MaybeUninit;
use std::time::Duration;

use httparse::{ParserConfig, Status};

use crate::body::Framing;
use crate::clock::Clock;
use crate::date::{self, Dates};
use crate::lenient;

/// The fields of an ordinary head; one with more is read by `lenient`.
const FIELDS_MAX: usize = 128;

/// Answers are small (a token, an error text); more than this is not read.
pub(crate) const BODY_MAX: usize = 64 * 1024;

/// What an ordinary head has at most; after a longer one the connection ends.
pub(crate) const ORDINARY_MAX: usize = 8 * 1024;

/// What a head says, as far as it matters here.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) status: u16,
    /// How the body that follows ends.
    pub(crate) framing: Framing,
    /// Whether the connection can serve another request after the body.
    pub(crate) persistent: bool,
    /// From `Retry-After`.
    pub(crate) retry_after: Option<RetryAfter>,
    /// From `Date`, in Unix milliseconds.
    pub(crate) server_time_ms: Option<i64>,
}

/// When a server wants to be asked again (RFC 9110 section 10.2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RetryAfter {
    After(Duration),
    /// At this time, in Unix milliseconds.
    At(i64),
}

impl RetryAfter {
    fn wait(self, server_time_ms: Option<i64>, clock: &dyn Clock) -> Duration {
        match self {
            RetryAfter::After(wait) => wait,
            RetryAfter::At(time_ms) => {
                let now_ms = server_time_ms.unwrap_or_else(|| clock.unix_ms());
                Duration::from_millis(u64::try_from(time_ms.saturating_sub(now_ms)).unwrap_or(0))
            }
        }
    }
}

/// What the value of a `Retry-After` field comes to.
#[cfg(feature = "ureq")]
pub(crate) fn wait(value: &[u8], server_time_ms: Option<i64>, clock: &dyn Clock) -> Option<Duration> {
    Some(retry_after(value)?.wait(server_time_ms, clock))
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
    fn named(name: &[u8]) -> Option<Self> {
        let (field, usual) = match name.len() {
            4 => (Field::Date, "Date"),
            10 => (Field::Connection, "Connection"),
            11 => (Field::RetryAfter, "Retry-After"),
            14 => (Field::ContentLength, "Content-Length"),
            17 => (Field::TransferEncoding, "Transfer-Encoding"),
            _ => return None,
        };
        let usual = usual.as_bytes();
        // Most servers write it as usual, which is cheaper to see.
        (name == usual || name.eq_ignore_ascii_case(usual)).then_some(field)
    }
}

/// What the fields say.
#[derive(Default)]
struct Fields {
    announced: Option<u64>,
    /// Several lengths, or one that is more than can be: only the end of the connection can be trusted.
    odd_length: bool,
    encoded: bool,
    chunked: bool,
    /// An encoding that is none.
    identity: bool,
    close: bool,
    keep_alive: bool,
    retry_after: Option<RetryAfter>,
    server_time_ms: Option<i64>,
}

impl Fields {
    fn take(&mut self, name: &[u8], value: &[u8], dates: &mut Dates) -> Result<(), &'static str> {
        match Field::named(name) {
            Some(Field::ContentLength) => self.content_length(value)?,
            Some(Field::Date) => self.server_time_ms = dates.unix_ms(value),
            Some(Field::Connection) => {
                self.close |= has_token(value, "close");
                self.keep_alive |= has_token(value, "keep-alive");
            }
            Some(Field::TransferEncoding) => {
                self.chunked |= has_token(value, "chunked");
                let is_identity = value.trim_ascii().eq_ignore_ascii_case(b"identity");
                self.identity |= is_identity;
                self.encoded |= !is_identity;
            }
            Some(Field::RetryAfter) => self.retry_after = retry_after(value),
            None => {}
        }
        Ok(())
    }

    /// A length may be said several times, also in one field, as long as it is the same (RFC 9110 section 8.6). Of
    /// several the last counts for curl, of one the digits that it begins with, and one that is too large does not.
    fn content_length(&mut self, value: &[u8]) -> Result<(), &'static str> {
        for element in value.split(|byte| *byte == b',') {
            let text = element.trim_ascii();
            let text = text.strip_prefix(b"+").unwrap_or(text);
            let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
            if digits == 0 {
                return Err("the content-length is no number");
            }
            let length = decimal(&text[..digits]);
            let differs = self.announced.is_some_and(|before| length != Some(before));
            self.odd_length |= length.is_none() || differs || digits != element.trim_ascii().len();
            self.announced = length;
        }
        Ok(())
    }

    fn head(self, status: u16, is_1_0: bool, lenient: bool) -> Head {
        let framing = match status {
            100..=199 | 204 | 304 => Framing::Length(0),
            // HTTP/1.0 does not know it, but what else can it be.
            _ if self.chunked => Framing::chunked(),
            // Another encoding: only the end of the connection ends it.
            _ if self.encoded => Framing::UntilClose,
            _ => self.announced.map_or(Framing::UntilClose, Framing::Length),
        };
        // Somebody on the way may see other ends of messages than we do.
        let ambiguous =
            lenient || self.odd_length || self.identity || self.encoded && (self.announced.is_some() || is_1_0);
        let persistent = !ambiguous
            && !self.close
            && (!is_1_0 || self.keep_alive)
            && status != 101
            && framing != Framing::UntilClose;
        let Fields { retry_after, server_time_ms, .. } = self;
        Head { status, framing, persistent, retry_after, server_time_ms }
    }
}

/// Reads a head, if `input` holds the whole of it, and returns how long it is. `Err` says why it is none.
// Its 4 kB of fields are not to lie beneath a handshake: a call must fit on a small stack.
#[inline(never)]
pub(crate) fn parse(input: &[u8], dates: &mut Dates) -> Result<Option<(usize, Head)>, &'static str> {
    let mut headers = [const { MaybeUninit::uninit() }; FIELDS_MAX];
    let mut response = httparse::Response::new(&mut []);
    let parsed = ParserConfig::default().parse_response_with_uninit_headers(&mut response, input, &mut headers);
    let length = match parsed {
        Ok(Status::Complete(length)) => length,
        Ok(Status::Partial) => return Ok(None),
        Err(_) => return parse_leniently(input, dates),
    };
    let mut fields = Fields::default();
    for field in response.headers.iter() {
        fields.take(field.name.as_bytes(), field.value, dates)?;
    }
    match response.code {
        Some(status @ 100..) => {
            Ok(Some((length, fields.head(status, response.version == Some(0), length > ORDINARY_MAX))))
        }
        _ => Err("invalid status"),
    }
}

#[cold]
fn parse_leniently(input: &[u8], dates: &mut Dates) -> Result<Option<(usize, Head)>, &'static str> {
    let Some(head) = lenient::parse(input)? else { return Ok(None) };
    let mut fields = Fields::default();
    for (name, value) in &head.fields {
        fields.take(name, value, dates)?;
    }
    Ok(Some((head.length, fields.head(head.status, head.is_1_0, true))))
}

impl Head {
    /// An answer before the answer, such as "100 Continue" (RFC 9110 section 15.2).
    pub(crate) fn is_interim(&self) -> bool {
        (100..200).contains(&self.status) && self.status != 101
    }

    /// How long the server wants to be left alone. A time is compared with the server's own where it is known: our
    /// clock may be wrong.
    pub(crate) fn retry_after(&self, clock: &dyn Clock) -> Option<Duration> {
        Some(self.retry_after?.wait(self.server_time_ms, clock))
    }
}

fn retry_after(value: &[u8]) -> Option<RetryAfter> {
    let seconds = decimal(value).map(|seconds| RetryAfter::After(Duration::from_secs(seconds)));
    seconds.or_else(|| date::unix_ms(value.trim_ascii()).map(RetryAfter::At))
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

    fn read(input: &[u8]) -> Result<Option<(usize, Head)>, &'static str> {
        parse(input, &mut Dates::default())
    }

    fn head(text: &str) -> Head {
        let (length, head) = read(text.as_bytes()).unwrap().unwrap();
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
                retry_after: Some(RetryAfter::After(Duration::from_secs(7))),
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
            ("1.1 200", "Content-Length: 5\r\nConnection: close\r\nConnection: close", Framing::Length(5), false),
            ("1.0 200", "Content-Length: 5", Framing::Length(5), false),
            (
                "1.0 200",
                "Content-Length: 5\r\nConnection: keep-alive\r\nConnection: keep-alive",
                Framing::Length(5),
                true,
            ),
            ("1.0 200", "Content-Length: 5\r\nConnection: Keep-Alive", Framing::Length(5), true),
            ("1.0 200", "A: b", Framing::UntilClose, false),
            ("1.1 200", "A: b", Framing::UntilClose, false),
            ("1.1 200", "Transfer-Encoding: Chunked", Framing::chunked(), true),
            ("1.1 200", "Transfer-Encoding: gzip, chunked\r\nContent-Length: 3", Framing::chunked(), false),
            ("1.1 200", "Transfer-Encoding: gzip\r\nContent-Length: 3", Framing::UntilClose, false),
            ("1.0 200", "Transfer-Encoding: chunked\r\nConnection: keep-alive", Framing::chunked(), false),
            ("1.1 200", "Transfer-Encoding: Identity\r\nContent-Length: 3", Framing::Length(3), false),
            ("1.1 200", "Transfer-Encoding: identity", Framing::UntilClose, false),
            (
                "1.1 200",
                "Transfer-Encoding: identity\r\nTransfer-Encoding: identity\r\nContent-Length: 3",
                Framing::Length(3),
                false,
            ),
            (
                "1.1 200",
                "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\nTransfer-Encoding: identity",
                Framing::chunked(),
                false,
            ),
            ("1.1 200", "Content-Length: 1\r\nContent-Length: 2", Framing::Length(2), false),
            ("1.1 200", "Content-Length: 1,2", Framing::Length(2), false),
            ("1.1 200", "Content-Length: +2", Framing::Length(2), false),
            ("1.1 200", "Content-Length: 2x", Framing::Length(2), false),
            ("1.1 200", "Content-Length: 18446744073709551616", Framing::UntilClose, false),
            ("1.1 200", "Content-Length : 3", Framing::Length(3), false),
            ("1.1 200", "Content-Length:\r\n 3", Framing::Length(3), false),
            ("1.1 200", ": x\r\nX\u{e9}(1) y: z\r\nContent-Length: 3", Framing::Length(3), false),
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
            assert_eq!(read(&whole.as_bytes()[..end]), Ok(None), "{end}");
        }
        for text in [
            "SSH-2.0-OpenSSH_9.2\r\n\r\n",
            "\0\0\0\0\r\n\r\n",
            "HTTP/2.0 200 OK\r\n\r\n",
            "HTTP/1.1 099 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: x1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n",
            "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        ] {
            assert!(read(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn many_fields_and_long_ones_are_read_and_end_the_connection() {
        for (count, value, persistent) in [
            (100, "b", true),
            (FIELDS_MAX + 1, "b", false),
            (2_000, "b", false),
            (1, &*"b".repeat(ORDINARY_MAX), false),
        ] {
            let fields = format!("a: {value}\r\n").repeat(count);
            let head = head(&format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: 3\r\n\r\n"));
            assert_eq!((head.framing, head.persistent), (Framing::Length(3), persistent), "{count}");
        }
    }

    #[test]
    fn after_a_head_above_8_kib_the_connection_ends() {
        for (length, persistent) in [(8192, true), (8193, false)] {
            let fields = |value: &str| format!("HTTP/1.1 200 OK\r\na: {value}\r\nContent-Length: 3\r\n\r\n");
            let text = fields(&"b".repeat(length - fields("").len()));
            assert_eq!((text.len(), head(&text).persistent), (length, persistent));
        }
    }

    #[test]
    fn a_field_of_another_name_says_nothing_however_long_that_is() {
        let usual =
            "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Length: 12\r\nRetry-After: 7\r\n";
        let expected = head(&format!("{usual}\r\n"));
        for other in [
            "Vary: Sun, 06 Nov 1994 08:49:38 GMT",
            "Accounting: close",
            "Retry-Later: 8",
            "Content-Height: 13",
            "Transfer-Decoding: chunked",
        ] {
            assert_eq!(head(&format!("{usual}{other}\r\n\r\n")), expected, "{other}");
        }
    }

    #[derive(Debug)]
    struct Stopped(i64);

    impl Clock for Stopped {
        fn unix_ms(&self) -> i64 {
            self.0
        }
    }

    #[test]
    fn a_time_to_come_back_is_counted_from_the_servers_time_or_ours() {
        const AT: &str = "Retry-After: Sun, 06 Nov 1994 08:49:37 GMT";
        let date = |time: &str| format!("{AT}\r\nDate: Sun, 06 Nov 1994 {time} GMT");
        for (fields, wait) in [
            ("Retry-After: 7".to_owned(), Some(7_000)),
            ("Retry-After: soon".to_owned(), None),
            (AT.to_owned(), Some(1_500)),
            (date("08:49:07"), Some(30_000)),
            (date("08:49:38"), Some(0)),
            (format!("{AT}\r\nDate: now"), Some(1_500)),
        ] {
            let head = head(&format!("HTTP/1.1 503 Busy\r\n{fields}\r\n\r\n"));
            let clock = Stopped(784_111_775_500);
            assert_eq!(head.retry_after(&clock), wait.map(Duration::from_millis), "{fields}");
        }
    }

    #[test]
    fn interim_answers_are_told_apart() {
        assert!(head("HTTP/1.1 100 Continue\r\n\r\n").is_interim());
        assert!(head("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n").is_interim());
        assert!(!head("HTTP/1.1 101 Switching Protocols\r\n\r\n").is_interim());
        assert!(!head("HTTP/1.1 200 OK\r\n\r\n").is_interim());
    }
}
