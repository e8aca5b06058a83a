//! The head of a request as it was sent, for what hyper forgives and a strict server does not: it reads a line that ends
//! in LF alone, cuts a fragment off the target, and drops a length that stands beside chunks. Bytes in, an objection out.

/// How much of a head is looked at, in bytes. hyper reads no longer one than some 400 kB; the rest of such a one is taken
/// as it is.
const MOST: usize = 65_536;

#[derive(Debug, Default)]
pub(super) struct Scan {
    head: Vec<u8>,
    is_over: bool,
}

impl Scan {
    /// Takes what has come of a request. What is wrong with its head, once all of that has come.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Option<&'static str> {
        if self.is_over {
            return None;
        }
        let from = self.head.len().saturating_sub(3);
        self.head.extend_from_slice(&bytes[..bytes.len().min(MOST - self.head.len())]);
        let end = end_of_head(&self.head, from);
        self.is_over = end.is_some() || self.head.len() == MOST;
        let head = std::mem::take(&mut self.head);
        match end {
            Some(end) => objection(&head[..end]),
            None => {
                self.head = head;
                None
            }
        }
    }
}

/// Where the head ends, its last line break included: hyper takes an empty line of either kind for the end.
fn end_of_head(bytes: &[u8], from: usize) -> Option<usize> {
    (from..bytes.len()).find_map(|at| {
        let rest = &bytes[at..];
        let length = if rest.starts_with(b"\n\n") {
            2
        } else if rest.starts_with(b"\n\r\n") {
            3
        } else {
            return None;
        };
        Some(at + length)
    })
}

fn objection(head: &[u8]) -> Option<&'static str> {
    let first = head.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let mut words = first.split(|byte| *byte == b' ');
    let (Some(method), Some(target), Some(version)) = (words.next(), words.next(), words.next()) else { return None };
    if method.is_empty() || !method.iter().all(u8::is_ascii_alphabetic) || !version.starts_with(b"HTTP/1.") {
        // It is the rest of a head whose beginning has come with the request before it.
        return None;
    }
    if head.split_inclusive(|byte| *byte == b'\n').any(|line| !line.ends_with(b"\r\n")) {
        return Some("a line of the head ends in LF alone: HTTP's lines end in CR LF");
    }
    if target.contains(&b'#') {
        return Some("the target has a fragment (#): it is for the client alone and never sent");
    }
    let has = |name: &[u8]| {
        head.split(|byte| *byte == b'\n').skip(1).any(|line| {
            let field = line.split(|byte| *byte == b':').next().unwrap_or_default();
            field.eq_ignore_ascii_case(name)
        })
    };
    if has(b"content-length") && has(b"transfer-encoding") {
        return Some("Content-Length stands beside Transfer-Encoding: the body's end is not the same for everybody");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said of a head, in whatever pieces it comes, and of nothing that follows it.
    fn said(head: &str) -> Option<&'static str> {
        let whole = [head.as_bytes(), b"body\n\n#"].concat();
        let said = |size: usize| {
            let mut scan = Scan::default();
            whole.chunks(size).filter_map(|piece| scan.push(piece)).collect::<Vec<_>>()
        };
        assert_eq!(said(1), said(10_000), "{head:?}");
        assert!(said(3).len() < 2);
        said(3).first().copied()
    }

    #[test]
    fn what_a_strict_server_does_not_take() {
        assert_eq!(said("POST /a HTTP/1.1\r\nHost: a\r\n\r\n"), None);
        assert_eq!(said("POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\nX-Content-Length: 3\r\n\r\n"), None);
        assert_eq!(said("POST /a HTTP/1.1\r\nX: #\r\n\r\n"), None);
        for (head, expected) in [
            ("POST /a HTTP/1.1\nHost: a\r\n\r\n", "LF alone"),
            ("POST /a HTTP/1.1\r\nHost: a\n\r\n", "LF alone"),
            ("POST /a HTTP/1.1\r\nHost: a\r\n\n", "LF alone"),
            ("POST /a#b HTTP/1.1\r\nHost: a\r\n\r\n", "fragment"),
            ("POST /a HTTP/1.1\r\ncontent-length: 3\r\nTRANSFER-ENCODING: chunked\r\n\r\n", "beside"),
        ] {
            assert!(said(head).is_some_and(|text| text.contains(expected)), "{head:?}");
        }
    }

    #[test]
    fn the_rest_of_a_head_and_endless_ones_are_let_through() {
        assert_eq!(said("st: a#b\r\n\r\n"), None);
        assert_eq!(said("ontent-length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"), None);
        let mut scan = Scan::default();
        for _ in 0..100 {
            assert_eq!(scan.push(&[b'x'; 4096]), None);
        }
        assert!(scan.head.len() <= MOST);
    }
}
