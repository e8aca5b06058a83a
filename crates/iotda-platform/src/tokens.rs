//! The access tokens that have been issued, and how long each is good for. Values and times come in, nothing is read
//! from outside. What a token allows belongs to `pipeline::access`.

use std::collections::{HashMap, VecDeque};

/// How long an old token stays valid after a new one has been issued. From the page's "HTTP APIs".
const GRACE_MS: i64 = 30_000;

/// How many tokens of one device are kept. No device needs more than two; one that asks for more within the grace time
/// loses the oldest.
const MOST_TOKENS: usize = 10_000;

#[derive(Default)]
pub(crate) struct Tokens {
    issued: HashMap<String, Issued>,
    /// The tokens of each device, oldest first, so that a new one finds those before it.
    of_device: HashMap<String, VecDeque<String>>,
}

struct Issued {
    device_id: String,
    /// The first millisecond at which it is no longer valid.
    expires_at_ms: i64,
}

impl Tokens {
    /// Takes up a new token, and lets the device's earlier ones run out within the grace time.
    pub(crate) fn issue(&mut self, token: String, device_id: &str, lifetime_ms: i64, now_ms: i64) {
        self.expire_with_grace(device_id, now_ms);
        let of_device = self.of_device.entry(device_id.to_owned()).or_default();
        if of_device.len() >= MOST_TOKENS {
            let oldest = of_device.pop_front().expect("there are many");
            self.issued.remove(&oldest);
        }
        of_device.push_back(token.clone());
        let expires_at_ms = now_ms.saturating_add(lifetime_ms);
        self.issued.insert(token, Issued { device_id: device_id.to_owned(), expires_at_ms });
    }

    /// The device that a token was issued to. `None` if it was never issued or is valid no more.
    ///
    /// The search for a token takes a time that depends on it. It cannot be guessed by that: a token is random, and
    /// the search compares hashes of it under a random key.
    pub(crate) fn holder(&self, token: &str, now_ms: i64) -> Option<&str> {
        self.issued.get(token).filter(|issued| issued.expires_at_ms > now_ms).map(|issued| issued.device_id.as_str())
    }

    /// Lets the device's tokens run out within the grace time.
    ///
    /// It looks at the newest alone, as those before it run out sooner: what an authentication takes does not depend on
    /// how many there were within the grace time. Only a clock that was set back makes it look at more.
    pub(crate) fn expire_with_grace(&mut self, device_id: &str, now_ms: i64) {
        let Some(of_device) = self.of_device.get_mut(device_id) else { return };
        while of_device.front().is_some_and(|oldest| self.issued[oldest].expires_at_ms <= now_ms) {
            let oldest = of_device.pop_front().expect("there is one");
            self.issued.remove(&oldest);
        }
        let latest_ms = now_ms.saturating_add(GRACE_MS);
        for token in of_device.iter().rev() {
            let issued = self.issued.get_mut(token).expect("both lists have the same tokens");
            if issued.expires_at_ms <= latest_ms {
                break;
            }
            issued.expires_at_ms = latest_ms;
        }
    }

    /// Makes the device's tokens invalid at once.
    pub(crate) fn expire(&mut self, device_id: &str) {
        for token in self.of_device.remove(device_id).unwrap_or_default() {
            self.issued.remove(&token);
        }
    }

    /// Makes every token invalid at once, without grace.
    pub(crate) fn expire_all(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn issue(tokens: &mut Tokens, token: &str, device_id: &str, now_ms: i64) {
        tokens.issue(token.to_owned(), device_id, 86_399_000, now_ms);
    }

    #[test]
    fn a_token_is_valid_until_the_end_of_its_life() {
        let mut tokens = Tokens::default();
        issue(&mut tokens, "a", "device", 1_000);
        assert_eq!(tokens.holder("a", 1_000), Some("device"));
        assert_eq!(tokens.holder("a", 86_399_999), Some("device"));
        assert_eq!(tokens.holder("a", 86_400_000), None);
        assert_eq!(tokens.holder("b", 1_000), None);
    }

    #[test]
    fn an_old_token_has_thirty_seconds_after_a_new_one() {
        let mut tokens = Tokens::default();
        issue(&mut tokens, "old", "device", 0);
        issue(&mut tokens, "other", "another device", 0);
        issue(&mut tokens, "new", "device", 5_000);
        assert_eq!(tokens.holder("old", 34_999), Some("device"));
        assert_eq!(tokens.holder("old", 35_000), None);
        assert_eq!(tokens.holder("new", 35_000), Some("device"));
        assert_eq!(tokens.holder("other", 35_000), Some("another device"));
    }

    #[test]
    fn the_grace_never_prolongs_a_token() {
        let mut tokens = Tokens::default();
        tokens.issue("old".to_owned(), "device", 10_000, 0);
        issue(&mut tokens, "new", "device", 9_000);
        assert_eq!(tokens.holder("old", 9_999), Some("device"));
        assert_eq!(tokens.holder("old", 10_000), None);
        // Nor does a third one give it another thirty seconds.
        issue(&mut tokens, "a", "device", 20_000);
        issue(&mut tokens, "b", "device", 40_000);
        assert_eq!(tokens.holder("new", 50_000), None);
        assert_eq!(tokens.holder("a", 69_999), Some("device"));
    }

    #[test]
    fn tokens_that_ran_out_are_forgotten() {
        let mut tokens = Tokens::default();
        for number in 0..100 {
            issue(&mut tokens, &number.to_string(), "device", number * 31_000);
        }
        assert_eq!(tokens.issued.len(), 2);
        assert_eq!(tokens.of_device["device"], ["98", "99"]);
    }

    #[test]
    fn a_clock_that_was_set_back_lets_all_earlier_tokens_run_out() {
        let mut tokens = Tokens::default();
        issue(&mut tokens, "a", "device", 100_000);
        issue(&mut tokens, "b", "device", 110_000);
        issue(&mut tokens, "c", "device", 0);
        assert_eq!((tokens.holder("a", 30_000), tokens.holder("b", 30_000)), (None, None));
        assert_eq!(tokens.holder("c", 30_000), Some("device"));
    }

    #[test]
    fn there_are_no_more_than_so_many() {
        let mut tokens = Tokens::default();
        for number in 0..=MOST_TOKENS {
            issue(&mut tokens, &number.to_string(), "device", 0);
        }
        assert_eq!((tokens.issued.len(), tokens.of_device["device"].len()), (MOST_TOKENS, MOST_TOKENS));
        assert_eq!((tokens.holder("0", 0), tokens.holder("1", 0)), (None, Some("device")));
    }

    #[test]
    fn one_device_s_can_be_made_invalid_at_once_or_with_grace() {
        let mut tokens = Tokens::default();
        issue(&mut tokens, "a", "device", 0);
        issue(&mut tokens, "b", "another", 0);
        tokens.expire_with_grace("device", 1_000);
        assert_eq!(tokens.holder("a", 30_999), Some("device"));
        assert_eq!(tokens.holder("a", 31_000), None);
        tokens.expire("another");
        assert_eq!(tokens.holder("b", 0), None);
        tokens.expire("unknown");
        tokens.expire_with_grace("unknown", 0);
    }

    #[test]
    fn all_can_be_made_invalid() {
        let mut tokens = Tokens::default();
        issue(&mut tokens, "a", "device", 0);
        tokens.expire_all();
        assert_eq!(tokens.holder("a", 0), None);
    }
}
