//! A token that outlives the process, or goes from one process to another: the program keeps it as text, and gives it
//! back. Whether it is put to use is for [`crate::client`].

use std::fmt::Write;
use std::time::Duration;

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::delivery::token::{Token, TokenCell, is_token};

/// Whose token a text is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Owner<'a> {
    pub(crate) device_id: &'a str,
    /// Of the platform, `host[:port]`: a token is good at the one that issued it.
    pub(crate) authority: &'a str,
}

/// A token and its expiry, which is a Unix time, since a monotonic clock begins anew.
pub(crate) struct SavedToken {
    token: Zeroizing<String>,
    /// `None`: not known.
    expires_unix_ms: Option<i64>,
}

/// The first word of a saved token; another form would get another. Then come the device's id, the [`checksum`] of the
/// platform's authority, the expiry in Unix milliseconds, the checksum of these three and the token, and the token.
const SAVED_FORM: &str = "iotda-token-3";

/// Written where the expiry is not known.
const UNKNOWN: &str = "-";

impl SavedToken {
    /// Reads a saved token, which must be one of `owner`. `Err` says what is wrong with it; it shows nothing of it.
    pub(crate) fn parse(text: &str, owner: Owner<'_>) -> Result<Self, &'static str> {
        // An editor, or a shell that wrote it to a file, may have put a line's end behind it.
        let text = text.trim_ascii();
        if text.split(' ').next() != Some(SAVED_FORM) {
            return Err("is not one that this version exported");
        }
        let words: Vec<_> = text.split(' ').collect();
        let [_, device_id, platform, expires, sum, token] = words.as_slice() else { return Err(DAMAGED) };
        if **sum != *checksum(&[device_id, platform, expires, token]) {
            return Err(DAMAGED);
        }
        if *device_id != owner.device_id {
            return Err("belongs to another device");
        }
        if **platform != *checksum(&[owner.authority]) {
            return Err("was issued at another endpoint");
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

    /// The token, if it is still valid at `now`, which is `unix_ms`.
    pub(crate) fn valid(self, unix_ms: i64, now: Duration) -> Option<Token> {
        Token::saved(self.token, self.expires_unix_ms, unix_ms, now)
    }
}

const DAMAGED: &str = "is cut off or damaged";

/// The token in `cell` as [`SavedToken::parse`] reads it, if there is one that is valid.
pub(crate) fn save(cell: &TokenCell, owner: Owner<'_>, now: Duration) -> Option<String> {
    cell.valid(now).map(|token| text(&token, owner))
}

/// A token as [`SavedToken::parse`] reads it. The same token always gives the same text.
pub(crate) fn text(token: &Token, owner: Owner<'_>) -> String {
    let expires = token.expires_unix_ms().map_or_else(|| UNKNOWN.to_owned(), |expires| expires.to_string());
    let platform = checksum(&[owner.authority]);
    let sum = checksum(&[owner.device_id, &platform, &expires, token.text()]);
    let words = [SAVED_FORM, owner.device_id, &platform, &expires, &sum, token.text()];
    // Growing would leave a copy of the token behind.
    let mut text = String::with_capacity(words.iter().map(|word| word.len() + 1).sum());
    for word in words {
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(word);
    }
    text
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
    const OWNER: Owner<'static> = Owner { device_id: "d", authority: "iot.example:8943" };

    /// The beginning of the text of [`with_token`]'s.
    fn start(expires: &str) -> String {
        format!("iotda-token-3 d {} {expires} ", checksum(&[OWNER.authority]))
    }

    /// A token that was asked for at 1,000,000 Unix milliseconds.
    fn with_token(lifetime: Option<Duration>) -> TokenCell {
        let cell = TokenCell::default();
        let issue = Issue { asked: Duration::ZERO, unix_ms: 1_000_000, lifetime, jitter: 0.0 };
        cell.set(Token::issued("t0k3n".to_owned().into(), issue));
        cell
    }

    /// A cell of another process, into which a saved token is put.
    fn restored(saved: &str, unix_ms: i64, now: Duration) -> TokenCell {
        let cell = TokenCell::default();
        if let Some(token) = SavedToken::parse(saved, OWNER).unwrap().valid(unix_ms, now) {
            cell.set(token);
        }
        cell
    }

    fn is_held(cell: &TokenCell, now: Duration) -> bool {
        matches!(cell.acquire(now, None, None).unwrap(), Lease::Token(token) if token.text() == "t0k3n")
    }

    #[test]
    fn a_token_is_saved_and_restored_while_it_lasts() {
        assert_eq!(save(&TokenCell::default(), OWNER, Duration::ZERO), None);
        let saved = save(&with_token(Some(HOUR)), OWNER, Duration::from_secs(600)).unwrap();
        assert!(saved.starts_with(&start("4600000")) && saved.ends_with(" t0k3n"), "{saved}");
        assert_eq!(saved.len(), start("4600000").len() + 8 + " t0k3n".len());
        // After a restart the monotonic clock begins anew; 1000 s of the token's life are left.
        let restarted = restored(&saved, 3_600_000, Duration::ZERO);
        assert!(is_held(&restarted, Duration::from_secs(800)));
        assert!(!is_held(&restarted, Duration::from_secs(1000)));
        assert!(!is_held(&restored(&saved, 4_600_000, Duration::ZERO), Duration::ZERO));
        assert_eq!(save(&with_token(Some(HOUR)), OWNER, HOUR), None);
    }

    #[test]
    fn the_text_stays_the_same_as_long_as_the_token() {
        for lifetime in [Some(HOUR), None] {
            let cell = with_token(lifetime);
            let saved = save(&cell, OWNER, Duration::ZERO).unwrap();
            assert_eq!(save(&cell, OWNER, Duration::from_nanos(1_234_567)), Some(saved.clone()));
            let restarted = restored(&saved, 1_000_123, Duration::from_nanos(77));
            assert_eq!(save(&restarted, OWNER, Duration::from_secs(9)), Some(saved));
        }
    }

    #[test]
    fn a_token_without_an_expiry_is_kept_without_one() {
        let saved = save(&with_token(None), OWNER, Duration::ZERO).unwrap();
        assert!(saved.starts_with(&start("-")), "{saved}");
        assert!(is_held(&restored(&saved, i64::MAX, Duration::ZERO), Duration::MAX - HOUR));
    }

    #[test]
    fn white_space_around_it_does_not_matter() {
        let saved = save(&with_token(Some(HOUR)), OWNER, Duration::ZERO).unwrap();
        for text in [format!("{saved}\n"), format!("\t{saved}\r\n ")] {
            assert!(SavedToken::parse(&text, OWNER).is_ok());
        }
    }

    #[test]
    fn every_cut_and_every_other_byte_is_noticed() {
        let saved = save(&with_token(Some(HOUR)), OWNER, Duration::ZERO).unwrap();
        for end in 0..saved.len() {
            assert!(SavedToken::parse(&saved[..end], OWNER).is_err(), "{}", &saved[..end]);
        }
        for at in 0..saved.len() {
            for other in [b'x', b' ', b'0'] {
                let mut damaged = saved.clone().into_bytes();
                if damaged[at] != other {
                    damaged[at] = other;
                    let damaged = String::from_utf8(damaged).unwrap();
                    assert!(SavedToken::parse(&damaged, OWNER).is_err(), "{damaged}");
                }
            }
        }
        for text in ["", "hunter2", "iotda-token-2 d 4600000 01234567 t0k3n"] {
            assert_eq!(
                SavedToken::parse(text, OWNER).map(drop),
                Err("is not one that this version exported"),
                "{text}"
            );
        }
    }

    #[test]
    fn a_token_of_another_device_or_platform_is_none_of_this_one() {
        let saved = save(&with_token(Some(HOUR)), OWNER, Duration::ZERO).unwrap();
        let other = Owner { device_id: "e", ..OWNER };
        assert_eq!(SavedToken::parse(&saved, other).map(drop), Err("belongs to another device"));
        for authority in ["iot.example", "iot.example:8944", "iot.example:8943."] {
            let other = Owner { authority, ..OWNER };
            assert_eq!(SavedToken::parse(&saved, other).map(drop), Err("was issued at another endpoint"));
        }
    }

    #[test]
    fn the_longest_text_fits_into_what_the_c_header_promises() {
        let cell = TokenCell::default();
        let (device_id, token) = ("d".repeat(128), "t".repeat(256));
        let issue = Issue { asked: Duration::ZERO, unix_ms: i64::MAX - 1, lifetime: None, jitter: 0.0 };
        cell.set(Token::issued(token.into(), issue));
        let owner = Owner { device_id: &device_id, ..OWNER };
        // The longest expiry has 19 digits; here it is `-`.
        assert!(save(&cell, owner, Duration::ZERO).unwrap().len() + 19 < 512);
    }
}
