//! A token that outlives the process: the program keeps it as text, and gives it back.

use std::fmt::Write;
use std::time::Duration;

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::delivery::token::{Token, TokenCell, is_token};

/// A token and its expiry, which is a Unix time, since a monotonic clock begins anew.
pub(crate) struct SavedToken {
    token: Zeroizing<String>,
    /// `None`: not known.
    expires_unix_ms: Option<i64>,
}

/// The first word of a saved token; another form would get another. Then come the device's id, the expiry in Unix
/// milliseconds, the [`checksum`] of these and the token, and the token.
const SAVED_FORM: &str = "iotda-token-2";

/// Stands for an expiry that is not known.
const UNKNOWN: &str = "-";

impl SavedToken {
    /// Reads a saved token, which must be one of `device_id`. `Err` says what is wrong with it; it shows nothing of it.
    pub(crate) fn parse(text: &str, device_id: &str) -> Result<Self, &'static str> {
        // An editor, or a shell that wrote it to a file, may have put a line's end behind it.
        let text = text.trim_ascii();
        if text.split(' ').next() != Some(SAVED_FORM) {
            return Err("is not one that this version exported");
        }
        let words: Vec<_> = text.split(' ').collect();
        let [_, owner, expires, sum, token] = words.as_slice() else { return Err(DAMAGED) };
        if **sum != *checksum(&[owner, expires, token]) {
            return Err(DAMAGED);
        }
        if *owner != device_id {
            return Err("belongs to another device");
        }
        let expires_unix_ms = match *expires {
            UNKNOWN => None,
            expires => Some(expires.parse().map_err(|_| DAMAGED)?),
        };
        if !is_token(token) {
            return Err(DAMAGED);
        }
        Ok(SavedToken { token: Zeroizing::new((*token).to_owned()), expires_unix_ms })
    }
}

const DAMAGED: &str = "is cut off or damaged";

/// Puts a saved token into `cell`, if it is still valid.
pub(crate) fn restore(cell: &TokenCell, saved: SavedToken, unix_ms: i64, now: Duration) {
    if let Some(token) = Token::saved(saved.token, saved.expires_unix_ms, unix_ms, now) {
        cell.set(token);
    }
}

/// The token in `cell` as [`SavedToken::parse`] reads it, if there is one that is valid. The same token always gives the
/// same text.
pub(crate) fn save(cell: &TokenCell, device_id: &str, now: Duration) -> Option<String> {
    let token = cell.valid(now)?;
    let expires = token.expires_unix_ms().map_or_else(|| UNKNOWN.to_owned(), |expires| expires.to_string());
    let sum = checksum(&[device_id, &expires, token.text()]);
    let words = [SAVED_FORM, device_id, &expires, &sum, token.text()];
    // Growing would leave a copy of the token behind.
    let mut text = String::with_capacity(words.iter().map(|word| word.len() + 1).sum());
    for word in words {
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(word);
    }
    Some(text)
}

/// Eight hexadecimal digits of a hash: it finds damage, and proves nothing.
fn checksum(words: &[&str]) -> String {
    let mut hash = Sha256::new();
    for word in words {
        hash.update(word.as_bytes());
        hash.update(b" ");
    }
    let mut sum = String::with_capacity(8);
    for byte in &hash.finalize()[..4] {
        // Writing into a String cannot fail.
        let _ = write!(sum, "{byte:02x}");
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::token::{Issue, Lease};

    const HOUR: Duration = Duration::from_secs(3600);
    const START: &str = "iotda-token-2 d 4600000 ";

    /// A token that was asked for at 1,000,000 Unix milliseconds.
    fn with_token(lifetime: Option<Duration>) -> TokenCell {
        let cell = TokenCell::default();
        let issue = Issue { asked: Duration::ZERO, unix_ms: 1_000_000, lifetime, jitter: 0.0 };
        cell.set(Token::issued("t0k3n".to_owned().into(), issue));
        cell
    }

    fn is_held(cell: &TokenCell, now: Duration) -> bool {
        matches!(cell.acquire(now, None, None).unwrap(), Lease::Token(token) if token.text() == "t0k3n")
    }

    #[test]
    fn a_token_is_saved_and_restored_while_it_lasts() {
        assert_eq!(save(&TokenCell::default(), "d", Duration::ZERO), None);
        let saved = save(&with_token(Some(HOUR)), "d", Duration::from_secs(600)).unwrap();
        assert!(saved.starts_with(START) && saved.ends_with(" t0k3n"), "{saved}");
        assert_eq!(saved.len(), START.len() + 8 + " t0k3n".len());
        // After a restart the monotonic clock begins anew; 1000 s of the token's life are left.
        let restarted = TokenCell::default();
        restore(&restarted, SavedToken::parse(&saved, "d").unwrap(), 3_600_000, Duration::ZERO);
        assert!(is_held(&restarted, Duration::from_secs(800)));
        assert!(!is_held(&restarted, Duration::from_secs(1000)));
        let late = TokenCell::default();
        restore(&late, SavedToken::parse(&saved, "d").unwrap(), 4_600_000, Duration::ZERO);
        assert!(!is_held(&late, Duration::ZERO));
        assert_eq!(save(&with_token(Some(HOUR)), "d", HOUR), None);
    }

    #[test]
    fn the_text_stays_the_same_as_long_as_the_token() {
        for lifetime in [Some(HOUR), None] {
            let cell = with_token(lifetime);
            let saved = save(&cell, "d", Duration::ZERO).unwrap();
            assert_eq!(save(&cell, "d", Duration::from_nanos(1_234_567)), Some(saved.clone()));
            let restarted = TokenCell::default();
            restore(&restarted, SavedToken::parse(&saved, "d").unwrap(), 1_000_123, Duration::from_nanos(77));
            assert_eq!(save(&restarted, "d", Duration::from_secs(9)), Some(saved));
        }
    }

    #[test]
    fn a_token_without_an_expiry_is_kept_without_one() {
        let saved = save(&with_token(None), "d", Duration::ZERO).unwrap();
        assert!(saved.starts_with("iotda-token-2 d - "), "{saved}");
        let restarted = TokenCell::default();
        restore(&restarted, SavedToken::parse(&saved, "d").unwrap(), i64::MAX, Duration::ZERO);
        assert!(is_held(&restarted, Duration::MAX - HOUR));
    }

    #[test]
    fn white_space_around_it_does_not_matter() {
        let saved = save(&with_token(Some(HOUR)), "d", Duration::ZERO).unwrap();
        for text in [format!("{saved}\n"), format!("\t{saved}\r\n ")] {
            assert!(SavedToken::parse(&text, "d").is_ok());
        }
    }

    #[test]
    fn every_cut_and_every_other_byte_is_noticed() {
        let saved = save(&with_token(Some(HOUR)), "d", Duration::ZERO).unwrap();
        for end in 0..saved.len() {
            assert!(SavedToken::parse(&saved[..end], "d").is_err(), "{}", &saved[..end]);
        }
        for at in 0..saved.len() {
            for other in [b'x', b' ', b'0'] {
                let mut damaged = saved.clone().into_bytes();
                if damaged[at] != other {
                    damaged[at] = other;
                    let damaged = String::from_utf8(damaged).unwrap();
                    assert!(SavedToken::parse(&damaged, "d").is_err(), "{damaged}");
                }
            }
        }
        assert_eq!(SavedToken::parse(&saved, "e").map(drop), Err("belongs to another device"));
        for text in ["", "hunter2", "iotda-token-1 d 4600000 t0k3n"] {
            assert_eq!(SavedToken::parse(text, "d").map(drop), Err("is not one that this version exported"), "{text}");
        }
    }
}
