//! The bytes of a request (RFC 9112 section 3), as pieces that lie where they are: nothing is joined
//! before it is encrypted.

use crate::exchange::Post;

/// How many pieces the head of a request has. Each costs a little to encrypt, so what can be made beforehand
/// is joined.
pub(crate) const HEAD_PIECES: usize = 7;

/// What stands between the fields that all requests have and the token; with an underscore, as the platform has it.
const TOKEN: &str = "\r\naccess_token: ";

/// Everything before the body. `fixed` is from [`fixed_fields`], `length` is the body's.
pub(crate) fn head<'a>(post: &Post<'a>, fixed: &'a str, length: &'a ContentLength) -> [&'a [u8]; HEAD_PIECES] {
    let (fixed, token) = match post.token {
        Some(token) => (fixed, token),
        None => (fixed.strip_suffix(TOKEN).unwrap_or(fixed), ""),
    };
    let [first, second, third] = post.path;
    let [first, second, third, fixed, token] = [first, second, third, fixed, token].map(str::as_bytes);
    [b"POST ", first, second, third, fixed, token, length.bytes()]
}

/// What all requests to `authority` (`host[:port]`) have in common, from the end of the path to the token.
pub(crate) fn fixed_fields(authority: &str) -> String {
    format!(" HTTP/1.1\r\nhost: {authority}\r\ncontent-type: application/json{TOKEN}")
}

/// The field of the body's length, and the end of the head.
#[derive(Debug)]
pub(crate) struct ContentLength {
    text: [u8; NAME.len() + DIGITS_MAX + END.len()],
    length: usize,
}

const NAME: &[u8; 18] = b"\r\ncontent-length: ";
const END: &[u8; 4] = b"\r\n\r\n";
/// Of 2^64.
const DIGITS_MAX: usize = 20;

impl ContentLength {
    pub(crate) fn new(mut value: usize) -> Self {
        // The digits come last first.
        let mut digits = [0; DIGITS_MAX];
        let mut first = digits.len();
        loop {
            first -= 1;
            digits[first] = b'0' + (value % 10) as u8;
            value /= 10;
            if value == 0 {
                break;
            }
        }
        let digits = &digits[first..];
        let mut text = [0; NAME.len() + DIGITS_MAX + END.len()];
        let end = NAME.len() + digits.len();
        text[..NAME.len()].copy_from_slice(NAME);
        text[NAME.len()..end].copy_from_slice(digits);
        text[end..end + END.len()].copy_from_slice(END);
        ContentLength { text, length: end + END.len() }
    }

    fn bytes(&self) -> &[u8] {
        &self.text[..self.length]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(post: &Post<'_>) -> String {
        let fixed = fixed_fields("iot.example:8943");
        let length = ContentLength::new(post.body.len());
        let mut bytes = head(post, &fixed, &length).concat();
        bytes.extend_from_slice(post.body);
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_request_with_a_token_and_one_without() {
        let path = ["/v5/devices/", "d-1", "/sys/messages/up"];
        assert_eq!(
            text(&Post { path, token: Some("t0k3n"), body: b"hello" }),
            "POST /v5/devices/d-1/sys/messages/up HTTP/1.1\r\nhost: iot.example:8943\r\n\
             content-type: application/json\r\naccess_token: t0k3n\r\ncontent-length: 5\r\n\r\nhello"
        );
        assert_eq!(
            text(&Post { path: ["/v5/device-auth", "", ""], token: None, body: b"" }),
            "POST /v5/device-auth HTTP/1.1\r\nhost: iot.example:8943\r\n\
             content-type: application/json\r\ncontent-length: 0\r\n\r\n"
        );
    }

    #[test]
    fn lengths_are_decimal() {
        for length in [0, 9, 10, 123, 1_048_575, usize::MAX] {
            assert_eq!(ContentLength::new(length).bytes(), format!("\r\ncontent-length: {length}\r\n\r\n").as_bytes());
        }
    }
}
