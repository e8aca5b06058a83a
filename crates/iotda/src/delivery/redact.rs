//! Takes secrets out of what a server sent, before any of it is parsed, cut, shown or logged.
//!
//! A server, or a proxy before it, may repeat in an error what it was sent: the token, the password of an
//! authentication. It is looked for as it is, as a JSON string holds it, and percent-encoded, in upper or lower case.

use std::borrow::Cow;

use zeroize::Zeroizing;

use crate::report::json::write;

/// What is shown instead of a secret.
const HIDDEN: &[u8] = b"***";

/// A shorter secret would be found in any text. The platform's have 8 bytes or more (protocol notes, "Platform facts").
const SHORTEST: usize = 4;

/// The secrets that an answer may repeat, in each form that is looked for.
pub(crate) struct Secrets {
    forms: Vec<Zeroizing<Vec<u8>>>,
}

impl Secrets {
    pub(crate) fn new(secrets: &[&[u8]]) -> Self {
        let mut forms = Vec::new();
        for secret in secrets.iter().filter(|secret| secret.len() >= SHORTEST) {
            forms.push(percent_encoded(secret));
            forms.extend(std::str::from_utf8(secret).ok().map(json_escaped));
            forms.push(Zeroizing::new(secret.to_vec()));
        }
        Secrets { forms }
    }

    /// `text` without any of the secrets.
    pub(crate) fn hidden_in<'a>(&self, text: &'a [u8]) -> Cow<'a, [u8]> {
        let Some(first) = (0..text.len()).find(|&at| self.found(&text[at..]).is_some()) else {
            return Cow::Borrowed(text);
        };
        let mut out = text[..first].to_vec();
        let mut at = first;
        while at < text.len() {
            match self.found(&text[at..]) {
                Some(length) => {
                    out.extend_from_slice(HIDDEN);
                    at += length;
                }
                None => {
                    out.push(text[at]);
                    at += 1;
                }
            }
        }
        Cow::Owned(out)
    }

    /// The same, for a text whose end whoever wrote it may have cut off in the middle of a secret.
    pub(crate) fn hidden_in_cut<'a>(&self, text: &'a [u8]) -> Cow<'a, [u8]> {
        let whole = self.hidden_in(text);
        let is_end = |length: &usize| {
            let end = &whole[whole.len() - length..];
            self.forms.iter().any(|form| form.get(..*length).is_some_and(|start| start.eq_ignore_ascii_case(end)))
        };
        let longest = self.forms.iter().map(|form| form.len()).max().unwrap_or(0).min(whole.len());
        match (SHORTEST..=longest).rev().find(is_end) {
            Some(length) => Cow::Owned([&whole[..whole.len() - length], HIDDEN].concat()),
            None => whole,
        }
    }

    /// How long the secret is with which `text` begins.
    fn found(&self, text: &[u8]) -> Option<usize> {
        let is_start =
            |form: &&Zeroizing<Vec<u8>>| text.get(..form.len()).is_some_and(|start| start.eq_ignore_ascii_case(form));
        self.forms.iter().filter(is_start).map(|form| form.len()).max()
    }
}

/// As in a URL, with everything encoded that is not unreserved (RFC 3986 section 2.3).
fn percent_encoded(secret: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut out = Zeroizing::new(Vec::with_capacity(3 * secret.len()));
    for &byte in secret {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(byte);
        } else {
            let digit = |nibble: u8| b"0123456789ABCDEF"[usize::from(nibble)];
            out.extend_from_slice(&[b'%', digit(byte >> 4), digit(byte & 15)]);
        }
    }
    out
}

/// As between the quotes of a JSON string.
fn json_escaped(secret: &str) -> Zeroizing<Vec<u8>> {
    let mut out = Zeroizing::new(Vec::with_capacity(write::string_length(secret)));
    write::string(&mut out, secret);
    out.pop();
    out.remove(0);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hidden(secrets: &[&str], text: &str) -> String {
        let secrets: Vec<_> = secrets.iter().map(|secret| secret.as_bytes()).collect();
        String::from_utf8(Secrets::new(&secrets).hidden_in_cut(text.as_bytes()).into_owned()).unwrap()
    }

    #[test]
    fn secrets_are_hidden_in_every_form_and_wherever_they_stand() {
        for (secret, text, expected) in [
            ("hunter2", "hunter2", "***"),
            ("hunter2", "a hunter2 b hunter2hunter2", "a *** b ******"),
            ("hunter2", "HUNTER2 Hunter2", "*** ***"),
            ("a\"b\\c", r#"{"password":"a\"b\\c"}"#, r#"{"password":"***"}"#),
            ("a\"b\\c", r#"a"b\c"#, "***"),
            ("p w/d+1", "?p=p%20w%2Fd%2B1&q", "?p=***&q"),
            ("p w/d+1", "?p=p%20w%2fd%2b1&q", "?p=***&q"),
            ("hunter2", "nothing", "nothing"),
            // Cut off in the middle, by whoever wrote it.
            ("0123456789abcdef", "header: 0123456789ab", "header: ***"),
            ("0123456789abcdef", "header: 0123", "header: ***"),
            ("0123456789abcdef", "0123 is not the end", "0123 is not the end"),
            // So short that it says nothing.
            ("abc", "abc", "abc"),
        ] {
            assert_eq!(hidden(&[secret], text), expected, "{secret} in {text}");
        }
        assert_eq!(hidden(&["first-secret", "second-secret"], "second-secret, first-secret"), "***, ***");
        assert_eq!(hidden(&["abcd", "abcdef"], "abcdef"), "***", "the longer one");
        assert_eq!(hidden(&[], "text"), "text");
    }
}
