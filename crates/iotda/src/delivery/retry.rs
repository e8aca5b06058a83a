//! When to send again, and after how long: full-jitter exponential back-off (as in the AWS Architecture
//! Blog's "Exponential Backoff And Jitter"). Functions on values; who waits is [`crate::delivery::call`].

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use crate::error::ErrorKind;

/// How a call retries transient failures.
///
/// ```
/// use iotda::RetryPolicy;
/// use std::time::Duration;
///
/// let mut config = iotda::Config::new();
/// config.retry(RetryPolicy::new().max_attempts(4).max_delay(Duration::from_secs(30)))?;
/// # Ok::<(), iotda::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetryPolicy {
    /// Attempts in all, the first one included; 1: never try again.
    pub max_attempts: u32,
    /// The longest pause after the first failure; it doubles with each further one.
    pub base_delay: Duration,
    /// The longest pause.
    pub max_delay: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self::new()
    }
}

impl RetryPolicy {
    /// The default: ten attempts; pauses of up to 0.5 s after the first failure, and of up to 10 s.
    pub const fn new() -> Self {
        RetryPolicy { max_attempts: 10, base_delay: Duration::from_millis(500), max_delay: Duration::from_secs(10) }
    }

    /// Attempts in all, the first one included; 1: never try again.
    #[must_use]
    pub const fn max_attempts(self, max_attempts: u32) -> Self {
        RetryPolicy { max_attempts, ..self }
    }

    /// The longest pause after the first failure; it doubles with each further one.
    #[must_use]
    pub const fn base_delay(self, base_delay: Duration) -> Self {
        RetryPolicy { base_delay, ..self }
    }

    /// The longest pause.
    #[must_use]
    pub const fn max_delay(self, max_delay: Duration) -> Self {
        RetryPolicy { max_delay, ..self }
    }

    /// The pause after `failures` failures (1 or more). `fraction` is random, from 0 up to 1.
    pub(crate) fn delay(&self, failures: u32, fraction: f64, server_asks: Option<Duration>) -> Duration {
        let doubled =
            2_u32.checked_pow(failures.saturating_sub(1)).and_then(|factor| self.base_delay.checked_mul(factor));
        let longest = doubled.unwrap_or(self.max_delay).min(self.max_delay);
        longest.mul_f64(fraction.clamp(0.0, 1.0)).max(server_asks.unwrap_or_default())
    }
}

/// Whether the same request may succeed within the same call. Whether its data is worth keeping is another question:
/// [`ErrorKind::is_transient`].
pub(crate) fn is_worth_retrying(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::Dns | ErrorKind::Connect | ErrorKind::Timeout | ErrorKind::Server | ErrorKind::RateLimited
    )
}

/// A random number from 0 up to 1. Each `RandomState` hashes with keys of its own.
pub(crate) fn random_fraction() -> f64 {
    (RandomState::new().hash_one(()) >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: RetryPolicy =
        RetryPolicy { max_attempts: 5, base_delay: Duration::from_millis(100), max_delay: Duration::from_secs(1) };

    #[test]
    fn the_longest_pause_doubles_up_to_the_limit() {
        let longest: Vec<_> = (1..=6).map(|failures| POLICY.delay(failures, 1.0, None).as_millis()).collect();
        assert_eq!(longest, [100, 200, 400, 800, 1000, 1000]);
        assert_eq!(POLICY.delay(u32::MAX, 1.0, None), POLICY.max_delay);
    }

    #[test]
    fn the_whole_range_is_used_and_a_wish_of_the_server_kept() {
        assert_eq!(POLICY.delay(3, 0.0, None), Duration::ZERO);
        assert_eq!(POLICY.delay(3, 0.5, None), Duration::from_millis(200));
        assert_eq!(POLICY.delay(1, 0.5, Some(Duration::from_secs(7))), Duration::from_secs(7));
    }

    #[test]
    fn what_is_worth_retrying() {
        for kind in
            [ErrorKind::AuthFailed, ErrorKind::Tls, ErrorKind::Rejected, ErrorKind::Cancelled, ErrorKind::TooLarge]
        {
            assert!(!is_worth_retrying(kind), "{kind:?}");
        }
        assert!(is_worth_retrying(ErrorKind::RateLimited) && is_worth_retrying(ErrorKind::Dns));
    }

    #[test]
    fn fractions_differ_and_are_in_range() {
        let fractions: Vec<_> = (0..100).map(|_| random_fraction()).collect();
        assert!(fractions.iter().all(|fraction| (0.0..1.0).contains(fraction)));
        let (low, high) =
            (fractions.iter().filter(|f| **f < 0.5).count(), fractions.iter().filter(|f| **f >= 0.5).count());
        assert!(low > 10 && high > 10, "{low} {high}");
    }
}
