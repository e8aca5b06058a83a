//! An answer as HTTP has it, status, header fields and body, and the bytes that it is written as: as it should be,
//! through hyper, or in one of the forms that a fault gives it.

use crate::fault::{Close, EndlessForm, Kind, Piece};
use bytes::Bytes;
use http_body_util::Full;
use hyper::StatusCode;
use hyper::header::{HeaderName, HeaderValue};

/// A body without an end repeats this.
const ENDLESS: &[u8] = b"There is no end to this. ";

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reply {
    pub(super) status: u16,
    /// Names in lower case. Those that say where the body ends are left to the form.
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
    pub(super) keep_alive: bool,
}

/// A reply as bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) head: Vec<u8>,
    pub(super) body: Vec<u8>,
    /// What follows the body after pauses of so many milliseconds.
    pub(super) later: Vec<(u64, Vec<u8>)>,
    /// What follows that again and again.
    pub(super) endless: Vec<u8>,
    pub(super) then: Then,
}

/// What becomes of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    KeepAlive,
    Close(Close),
    /// It is ended once it has been idle for so many milliseconds.
    Idle(u64, Close),
    /// Nothing more is said on it.
    Hold,
}

impl Reply {
    pub(super) fn into_response(self) -> hyper::Response<Full<Bytes>> {
        let mut response = hyper::Response::new(Full::new(Bytes::from(self.body)));
        *response.status_mut() = StatusCode::from_u16(self.status).expect("the statuses here are all HTTP's");
        let connection = (!self.keep_alive).then(|| ("connection".to_owned(), "close".to_owned()));
        for (name, value) in self.headers.into_iter().chain(connection) {
            let name = HeaderName::try_from(name).expect("the names here are all HTTP's");
            let value = HeaderValue::try_from(value).expect("the values have been checked to be plain ASCII");
            response.headers_mut().append(name, value);
        }
        response
    }

    /// The bytes of the reply, with a fault of form or without.
    pub(super) fn write(mut self, fault: Option<&Kind>) -> Written {
        let mut endless = Vec::new();
        let mut trailing = Vec::new();
        let mut before = Vec::new();
        let mut version = "HTTP/1.1";
        let mut then = if self.keep_alive { Then::KeepAlive } else { Then::Close(Close::Notified) };
        let mut framing = vec![("content-length".to_owned(), self.body.len().to_string())];
        match fault {
            Some(Kind::ContentLength { off_by }) => {
                let hidden = usize::try_from(off_by.unsigned_abs()).unwrap_or(usize::MAX).min(1_048_576);
                if *off_by < 0 && self.body.len() < hidden {
                    self.body.resize(hidden, b' ');
                }
                let length = (self.body.len() as u64).saturating_add_signed(*off_by);
                framing = vec![("content-length".to_owned(), length.to_string())];
                if *off_by > 0 {
                    then = Then::Hold;
                }
            }
            Some(Kind::Chunked { chunk, unterminated }) => {
                framing = vec![("transfer-encoding".to_owned(), "chunked".to_owned())];
                self.body = chunks(&self.body, *chunk, !unterminated);
                if *unterminated {
                    then = Then::Close(Close::Notified);
                }
            }
            Some(Kind::Http10 {}) => {
                version = "HTTP/1.0";
                framing = Vec::new();
                then = Then::Close(Close::Notified);
            }
            Some(Kind::ContinueFirst { count }) => {
                before = b"HTTP/1.1 100 Continue\r\n\r\n".repeat(usize::try_from(*count).unwrap_or(usize::MAX));
            }
            Some(Kind::HugeHeader { bytes }) => framing.push(("x-huge".to_owned(), "x".repeat(*bytes))),
            Some(Kind::ManyHeaders { count }) => {
                framing.extend((1..=*count).map(|number| (format!("x-header-{number}"), "x".to_owned())));
            }
            Some(Kind::Garbage { text }) => {
                let (head, then) = (text.clone().into_bytes(), Then::Close(Close::Notified));
                return Written { head, body: Vec::new(), later: Vec::new(), endless, then };
            }
            Some(Kind::Raw { send, close }) => return self.write_pieces(send, close.map_or(then, Then::Close)),
            Some(Kind::Trailing { text: Some(text) }) => trailing = text.clone().into_bytes(),
            Some(Kind::Trailing { text: None }) => {
                let Written { head, body, .. } = self.clone().write(None);
                trailing = [head, body].concat();
            }
            Some(Kind::Endless { form }) => {
                (framing, endless) = endless_in(*form);
                // What is there of the body is in the form of the rest.
                if *form == EndlessForm::Chunked {
                    self.body = chunks(&self.body, usize::MAX, false);
                }
                then = Then::Hold;
            }
            _ => {}
        }
        if then == Then::Close(Close::Notified) && version == "HTTP/1.1" {
            framing.push(("connection".to_owned(), "close".to_owned()));
        }
        let reason = StatusCode::from_u16(self.status).ok().and_then(|status| status.canonical_reason());
        let mut head = format!("{version} {} {}\r\n", self.status, reason.unwrap_or_default());
        for (name, value) in self.headers.iter().chain(&framing) {
            head.extend([name.as_str(), ": ", value, "\r\n"]);
        }
        head.push_str("\r\n");
        let (head, body) = ([before, head.into_bytes()].concat(), [self.body, trailing].concat());
        Written { head, body, later: Vec::new(), endless, then }
    }

    /// What a fault sends instead of the reply.
    fn write_pieces(self, pieces: &[Piece], then: Then) -> Written {
        let body = self.body.clone();
        let Written { head: own_head, body: own_body, .. } = self.write(None);
        let own = [own_head, own_body].concat();
        let mut head = Vec::new();
        let mut later: Vec<(u64, Vec<u8>)> = Vec::new();
        for piece in pieces {
            let open = later.last_mut().map_or(&mut head, |(_, bytes)| bytes);
            match piece {
                Piece::Text(text) => open.extend_from_slice(text.as_bytes()),
                Piece::Bytes(bytes) => open.extend_from_slice(bytes),
                Piece::Repeat { text, count } => open.extend_from_slice(text.repeat(*count).as_bytes()),
                Piece::Answer => open.extend_from_slice(&own),
                Piece::Body => open.extend_from_slice(&body),
                Piece::PauseMs(ms) => later.push((*ms, Vec::new())),
            }
        }
        Written { head, body: Vec::new(), later, endless: Vec::new(), then }
    }
}

fn endless_in(form: EndlessForm) -> (Vec<(String, String)>, Vec<u8>) {
    let field = |name: &str, value: String| vec![(name.to_owned(), value)];
    match form {
        EndlessForm::Chunked => (field("transfer-encoding", "chunked".to_owned()), chunks(ENDLESS, usize::MAX, false)),
        EndlessForm::Length => (field("content-length", i64::MAX.to_string()), ENDLESS.to_vec()),
        EndlessForm::Close => (field("connection", "close".to_owned()), ENDLESS.to_vec()),
    }
}

/// A body in chunks of this size, with the last chunk that ends it or without.
fn chunks(body: &[u8], size: usize, terminated: bool) -> Vec<u8> {
    let chunk = |data: &[u8]| [format!("{:x}\r\n", data.len()).as_bytes(), data, b"\r\n"].concat();
    let mut written: Vec<u8> = body.chunks(size).flat_map(chunk).collect();
    if terminated {
        written.extend_from_slice(b"0\r\n\r\n");
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::Fault;

    fn reply() -> Reply {
        let headers = vec![("date".to_owned(), "today".to_owned())];
        Reply { status: 200, headers, body: b"abcde".to_vec(), keep_alive: true }
    }

    fn text(written: &Written) -> String {
        String::from_utf8([written.head.as_slice(), &written.body].concat()).expect("text")
    }

    fn with(fault: &Fault) -> (String, Then) {
        let written = reply().write(Some(&fault.kind));
        (text(&written), written.then)
    }

    #[test]
    fn without_a_fault_it_is_what_http_has() {
        let written = reply().write(None);
        assert_eq!(text(&written), "HTTP/1.1 200 OK\r\ndate: today\r\ncontent-length: 5\r\n\r\nabcde");
        assert_eq!(written.then, Then::KeepAlive);
        let closing = Reply { keep_alive: false, ..reply() }.write(None);
        assert!(text(&closing).contains("connection: close\r\n"));
    }

    #[test]
    fn lengths() {
        let (longer, then) = with(&Fault::content_length(3));
        assert!(longer.ends_with("content-length: 8\r\n\r\nabcde") && then == Then::Hold, "{longer}");
        let (shorter, then) = with(&Fault::content_length(-2));
        assert!(shorter.ends_with("content-length: 3\r\n\r\nabcde") && then == Then::KeepAlive, "{shorter}");
        let (padded, _) = with(&Fault::content_length(-7));
        assert!(padded.ends_with("content-length: 0\r\n\r\nabcde  "), "{padded}");
    }

    #[test]
    fn chunked_bodies() {
        let (whole, then) = with(&Fault::chunked(3, false));
        let expected = "transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
        assert!(whole.ends_with(expected) && then == Then::KeepAlive, "{whole}");
        let (broken, then) = with(&Fault::chunked(9, true));
        assert!(broken.ends_with("\r\n\r\n5\r\nabcde\r\n") && then == Then::Close(Close::Notified), "{broken}");
    }

    #[test]
    fn what_comes_before_and_after() {
        let (continued, _) = with(&Fault::continue_first(2));
        assert!(continued.starts_with("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n"));
        let (twice, _) = with(&Fault::duplicate());
        assert_eq!(twice, text(&reply().write(None)).repeat(2));
        assert!(with(&Fault::trailing("more")).0.ends_with("\r\n\r\nabcdemore"));
        assert_eq!(with(&Fault::garbage("SSH")), ("SSH".to_owned(), Then::Close(Close::Notified)));
    }

    #[test]
    fn pieces_that_are_written_by_hand() {
        let pieces = [
            Piece::text("HTTP/1.1 299 \n"),
            Piece::Body,
            Piece::pause(std::time::Duration::ZERO),
            Piece::Repeat { text: "ab".to_owned(), count: 2 },
            Piece::pause(std::time::Duration::from_millis(7)),
            Piece::Answer,
            Piece::bytes(b"\xff"),
        ];
        let written = reply().write(Some(&Fault::raw(pieces.clone(), None).kind));
        let last = [text(&reply().write(None)).as_bytes(), b"\xff"].concat();
        assert_eq!(written.head, b"HTTP/1.1 299 \nabcde");
        assert_eq!(written.later, [(0, b"abab".to_vec()), (7, last)]);
        assert_eq!(written.then, Then::KeepAlive);
        let closed = reply().write(Some(&Fault::raw(pieces, Some(Close::Reset)).kind));
        assert_eq!(closed.then, Then::Close(Close::Reset));
    }

    #[test]
    fn header_fields() {
        let (huge, _) = with(&Fault::huge_header(9));
        assert!(huge.contains("x-huge: xxxxxxxxx\r\n"), "{huge}");
        let (many, _) = with(&Fault::many_headers(120));
        assert_eq!(many.matches("x-header-").count(), 120);
    }

    #[test]
    fn http_1_0_has_no_length() {
        let (old, then) = with(&Fault::http_1_0());
        assert_eq!(old, "HTTP/1.0 200 OK\r\ndate: today\r\n\r\nabcde");
        assert_eq!(then, Then::Close(Close::Notified));
    }
}
