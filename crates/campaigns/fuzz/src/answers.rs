//! Answers, cut anywhere: one by the grammar is read as the grammar says, ureq does not read another one where both read
//! one, and how the bytes are cut makes no difference.

use crate::choices::Choices;
use crate::rfc9112::{self, Reading};
use iotda_http::fixtures::answers::{Parts, agree, ours, ureqs};

/// Larger inputs say nothing more, and reach limits that ureq does not have.
const MOST: usize = 8 * 1024;

pub(crate) fn run(data: &[u8]) {
    let mut choices = Choices::new(&data[..data.len().min(MOST)]);
    let size = 1 + choices.below(64);
    let bytes = choices.rest();
    let whole = ours(&Parts::new(bytes, MOST));
    let shown = bytes.escape_ascii();
    let parts = Parts::new(bytes, size);
    assert_eq!(ours(&parts), whole, "in parts of {size}: {shown}");
    if let Reading::Whole { status, body, .. } = rfc9112::read(bytes) {
        assert_eq!(whole, Some((status, body)), "{shown}");
    }
    assert!(!is_comparable(bytes) || agree(&whole, &ureqs(&parts)), "ureq reads another answer: {shown}");
}

/// Not where the two are known to differ: in encodings other than chunks, in HTTP/1.0, or several that contradict one
/// another (the core trusts the connection's end then, as curl does); where a line ends in LF alone, which the core takes.
fn is_comparable(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes).to_ascii_lowercase();
    let count = |name: &str| text.matches(name).count();
    let encodings = count("transfer-encoding");
    let plain = count("\r\ntransfer-encoding: chunked\r\n");
    let are_lines_whole = count("\n") == count("\r\n");
    are_lines_whole
        && encodings + count("content-length") <= 1
        && encodings == plain
        && (encodings == 0 || !text.contains("http/1.0"))
}
