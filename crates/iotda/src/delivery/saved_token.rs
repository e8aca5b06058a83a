//! A token that outlives the process: the program keeps it as text, and gives it back.

use std::time::Duration;

use zeroize::Zeroizing;

use crate::delivery::token::{Token, TokenCell, is_token};
use crate::error::{Error, Result};

/// A token and its expiry, which is a Unix time, since a monotonic clock begins anew.
pub(crate) struct SavedToken {
    pub(crate) token: Zeroizing<String>,
    pub(crate) expires_unix_ms: i64,
}

/// The first word of a saved token; another form would get another.
const SAVED_FORM: &str = "iotda-token-1";

impl SavedToken {
    /// Reads a saved token, which must be one of `device_id`.
    pub(crate) fn parse(text: &str, device_id: &str) -> Result<Self> {
        let fault = |why: &str| {
            Error::config(format!("the saved token {why}: leave it out, and the device authenticates anew"))
        };
        let words: Vec<_> = text.split(' ').collect();
        let [SAVED_FORM, owner, expires, token] = words.as_slice() else {
            return Err(fault("is not one that this version exported"));
        };
        if *owner != device_id {
            return Err(fault(&format!("belongs to device \"{owner}\" and not to \"{device_id}\"")));
        }
        let expires_unix_ms = expires.parse().map_err(|_| fault("does not say when it expires"))?;
        if !is_token(token) {
            return Err(fault("is damaged"));
        }
        Ok(SavedToken { token: Zeroizing::new((*token).to_owned()), expires_unix_ms })
    }
}

/// Puts a saved token into `cell`, if it is still valid.
pub(crate) fn restore(cell: &TokenCell, saved: SavedToken, unix_ms: i64, now: Duration) {
    let left = u64::try_from(saved.expires_unix_ms.saturating_sub(unix_ms)).unwrap_or(0);
    if left > 0 {
        cell.set(Token::new(saved.token, now, Duration::from_millis(left), 0.0));
    }
}

/// The token in `cell` as [`SavedToken::parse`] reads it, if there is one that is valid.
pub(crate) fn save(cell: &TokenCell, device_id: &str, unix_ms: i64, now: Duration) -> Option<String> {
    let (token, left) = cell.valid(now)?;
    let expires = unix_ms.saturating_add(i64::try_from(left.as_millis()).ok()?);
    Some(format!("{SAVED_FORM} {device_id} {expires} {}", token.text()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::token::Lease;
    use crate::error::ErrorKind;

    const HOUR: Duration = Duration::from_secs(3600);

    fn with_token() -> TokenCell {
        let cell = TokenCell::default();
        cell.set(Token::new("t0k3n".to_owned().into(), Duration::ZERO, HOUR, 0.0));
        cell
    }

    fn is_held(cell: &TokenCell, now: Duration) -> bool {
        matches!(cell.acquire(now, None, None).unwrap(), Lease::Token(token) if token.text() == "t0k3n")
    }

    #[test]
    fn a_token_is_saved_and_restored_while_it_lasts() {
        assert_eq!(save(&TokenCell::default(), "d", 0, Duration::ZERO), None);
        let saved = save(&with_token(), "d", 1_000_000, Duration::from_secs(600)).unwrap();
        assert_eq!(saved, "iotda-token-1 d 4000000 t0k3n");
        // After a restart the monotonic clock begins anew; 1000 s of the token's life are left.
        let restarted = TokenCell::default();
        restore(&restarted, SavedToken::parse(&saved, "d").unwrap(), 3_000_000, Duration::ZERO);
        assert!(is_held(&restarted, Duration::from_secs(800)));
        assert!(!is_held(&restarted, Duration::from_secs(1000)));
        let late = TokenCell::default();
        restore(&late, SavedToken::parse(&saved, "d").unwrap(), 4_000_000, Duration::ZERO);
        assert!(!is_held(&late, Duration::ZERO));
        assert_eq!(save(&with_token(), "d", 0, HOUR), None);
    }

    #[test]
    fn a_saved_token_that_is_none_is_refused_without_showing_it() {
        for text in [
            "",
            "hunter2",
            "iotda-token-1 other 1 hunter2",
            "iotda-token-1 d soon hunter2",
            "iotda-token-1 d 1 ",
            "iotda-token-1 d 1 hunter2\n",
        ] {
            let error = SavedToken::parse(text, "d").map(drop).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config);
            assert!(!error.message().contains("hunter2"), "{error}");
        }
    }
}
