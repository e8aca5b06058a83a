//! Answers as this crate reads them, compared with what `ureq` makes of the same bytes.
//!
//! Where ureq has an answer, this crate has the same. Where ureq has none, this crate may have one: it takes what curl
//! takes (`against_curl`). The generator leaves out encodings other than chunks, or in HTTP/1.0.

use iotda_http::fixtures::answers::{Parts, agree, ours, ureqs};
use proptest::prelude::*;

fn in_chunks(body: &str, size: usize) -> String {
    let chunks: Vec<String> = body
        .as_bytes()
        .chunks(size)
        .map(|chunk| format!("{:x}\r\n{}\r\n", chunk.len(), std::str::from_utf8(chunk).unwrap()))
        .collect();
    format!("{}0\r\n\r\n", chunks.concat())
}

/// Any answer, well formed.
fn answer() -> impl Strategy<Value = String> {
    let status = prop::sample::select(vec![101, 200, 200, 201, 204, 302, 304, 307, 400, 403, 503, 999]);
    let fields = prop::collection::vec(
        prop::sample::select(vec![
            "Server: nginx",
            "Date: Sun, 06 Nov 1994 08:49:37 GMT",
            "connection: close",
            "Connection: x , Keep-Alive",
            "Location: https://elsewhere.example/",
            "Retry-After: 7",
            "Empty:",
            "X-Text:   caf\u{e9}  ",
        ]),
        0..6,
    );
    (0..4, status, fields, "[a-z{}\": ]{0,60}", 1..20usize, any::<bool>()).prop_map(
        |(framing, status, fields, body, size, interim)| {
            let interim = if interim { "HTTP/1.1 100 Continue\r\n\r\n" } else { "" };
            let fields = fields.iter().map(|field| format!("{field}\r\n")).collect::<Vec<_>>().concat();
            let (version, field, body) = match framing {
                0 => ("1.1", format!("Content-Length: {}\r\n", body.len()), body),
                1 => ("1.1", "Transfer-Encoding: chunked\r\n".to_owned(), in_chunks(&body, size)),
                2 => ("1.1", String::new(), body),
                _ => ("1.0", format!("content-length: {0} , {0}\r\n", body.len()), body),
            };
            format!("{interim}HTTP/{version} {status} Some Text\r\n{fields}{field}\r\n{body}")
        },
    )
}

proptest! {
    #[test]
    fn agrees_on_well_formed_answers(text in answer(), size in 1..200usize) {
        let parts = Parts::new(text.as_bytes(), size);
        let ours = ours(&parts);
        prop_assert!(ours.is_some(), "{}", text);
        prop_assert_eq!(ours, ureqs(&parts), "{}", text);
    }

    #[test]
    fn agrees_on_damaged_answers(text in answer(), size in 1..200usize, at in any::<prop::sample::Index>(), byte: u8) {
        let mut bytes = text.into_bytes();
        let at = at.index(bytes.len());
        let cut = Parts::new(&bytes[..at], size);
        bytes[at] = byte;
        let replaced = Parts::new(&bytes, size);
        for parts in [cut, replaced] {
            let (ours, theirs) = (ours(&parts), ureqs(&parts));
            prop_assert!(agree(&ours, &theirs) && (ours.is_some() || theirs.is_none()), "{parts:?}: {ours:?}, {theirs:?}");
        }
    }
}
