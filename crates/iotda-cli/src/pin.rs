//! Pins as people write them: the SHA-256 of a public key (its SubjectPublicKeyInfo, RFC 7469 section 2.4), in hexadecimal
//! digits or, as curl's `--pinnedpubkey` has it, as `sha256//` and base64.

use std::fmt;
use std::str::FromStr;

use data_encoding::{BASE64, HEXLOWER_PERMISSIVE};
use sha2::{Digest, Sha256};

/// A pin. It is shown as curl takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pin(pub [u8; 32]);

impl Pin {
    /// Of a SubjectPublicKeyInfo in DER.
    pub fn of(public_key: &[u8]) -> Self {
        Pin(Sha256::digest(public_key).into())
    }

    /// Several, as a variable holds them: between white space, commas or semicolons.
    pub fn list(text: &str) -> Result<Vec<Self>, String> {
        let words = text.split(|c: char| c.is_whitespace() || matches!(c, ',' | ';'));
        words.filter(|word| !word.is_empty()).map(str::parse).collect()
    }
}

impl FromStr for Pin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.replace(':', "");
        let bytes = match digits.len() {
            64 => HEXLOWER_PERMISSIVE.decode(digits.as_bytes()),
            _ => {
                BASE64.decode(text.strip_prefix("sha256/").map_or(text, |rest| rest.trim_start_matches('/')).as_bytes())
            }
        };
        let bytes = bytes.ok().and_then(|bytes| bytes.try_into().ok());
        bytes.map(Pin).ok_or_else(|| "give the SHA-256 of a public key, as 64 hex digits or sha256//BASE64".to_owned())
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256//{}", BASE64.encode(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The SHA-256 of nothing.
    const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    const BASE64: &str = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";

    #[test]
    fn a_pin_is_hexadecimal_or_base64_and_shown_as_curl_takes_it() {
        let colons: Vec<&str> = (0..32).map(|at| &HEX[2 * at..2 * at + 2]).collect();
        for text in [
            HEX.to_owned(),
            HEX.to_uppercase(),
            colons.join(":"),
            BASE64.to_owned(),
            format!("sha256/{BASE64}"),
            format!("sha256//{BASE64}"),
        ] {
            assert_eq!(text.parse(), Ok(Pin::of(b"")), "{text}");
        }
        assert_eq!(Pin::of(b"").to_string(), format!("sha256//{BASE64}"));
    }

    #[test]
    fn what_is_no_pin_is_refused() {
        for text in
            ["", "server.pem", &HEX[1..], &BASE64[1..], &format!("md5//{BASE64}"), &HEX.replace('e', "g"), "sha256//"]
        {
            assert!(text.parse::<Pin>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_list_has_any_of_the_usual_separators() {
        let pin = Pin::of(b"");
        assert_eq!(Pin::list(&format!(" {HEX};sha256//{BASE64}, {BASE64}\n")), Ok(vec![pin, pin, pin]));
        assert_eq!(Pin::list(" "), Ok(Vec::new()));
        assert!(Pin::list(&format!("{HEX} x")).is_err());
    }
}
