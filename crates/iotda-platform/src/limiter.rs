//! Rate limits: how much a device and a tenant may send in a second. Values and times come in. Which limits hold is
//! the registry's to say.
//!
//! The page names the two refusals, not how the platform measures. This is our choice: a bucket that holds one second's
//! worth and empties at the rate, so that a full second's worth may come at once and then one for each that has
//! drained.

use crate::refusal::Refusal;
use std::collections::HashMap;

/// A limit per second. What is counted is for the caller to say.
pub(crate) type Rate = u32;

/// The limits that hold for one request.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rates {
    pub(crate) device: Option<Rate>,
    pub(crate) tenant: Option<Rate>,
}

/// What has been counted lately, for each device and for the tenant.
#[derive(Debug, Default)]
pub(crate) struct Limiter {
    devices: HashMap<String, Bucket>,
    tenant: Bucket,
}

impl Limiter {
    /// Counts `cost` against the device and the tenant, or against neither and says which limit was reached.
    pub(crate) fn admit(&mut self, device_id: &str, rates: Rates, cost: u64, now_ms: i64) -> Result<(), Refusal> {
        let device = match rates.device {
            Some(rate) => {
                let before = self.devices.get(device_id).copied().unwrap_or_default();
                let reason = || format!("the limit of device {device_id:?} is {rate} per second");
                Some(before.admit(rate, cost, now_ms).ok_or_else(|| Refusal::device_rate(reason()))?)
            }
            None => None,
        };
        if let Some(rate) = rates.tenant {
            self.tenant = self.tenant.admit(rate, cost, now_ms).ok_or_else(|| Refusal::tenant_rate(rate))?;
        }
        if let Some(device) = device {
            self.devices.insert(device_id.to_owned(), device);
        }
        Ok(())
    }
}

/// What is left of what has been counted, after it has drained at the rate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Bucket {
    /// In thousandths, so that a rate per second drains whole numbers in a millisecond.
    level: u64,
    at_ms: i64,
}

impl Bucket {
    /// The bucket with `cost` more in it, or `None` if there is no room.
    fn admit(self, rate: Rate, cost: u64, now_ms: i64) -> Option<Self> {
        let capacity = u64::from(rate) * 1000;
        let elapsed_ms = u64::try_from(now_ms.saturating_sub(self.at_ms)).unwrap_or(0);
        let level = self.level.saturating_sub(elapsed_ms.saturating_mul(u64::from(rate)));
        let added = cost.saturating_mul(1000);
        // A report of more than one second's worth could never pass. It may when nothing else is in the bucket, and
        // is paid for afterwards.
        if rate == 0 || level + added.min(capacity) > capacity {
            return None;
        }
        Some(Self { level: level.saturating_add(added), at_ms: now_ms })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn both(device: Rate, tenant: Rate) -> Rates {
        Rates { device: Some(device), tenant: Some(tenant) }
    }

    fn code(result: Result<(), Refusal>) -> &'static str {
        result.map_or_else(|refusal| refusal.code, |()| "")
    }

    #[test]
    fn a_second_s_worth_passes_at_once_and_then_as_it_drains() {
        let mut limiter = Limiter::default();
        let rates = Rates { device: Some(10), tenant: None };
        for _ in 0..10 {
            assert_eq!(code(limiter.admit("a", rates, 1, 0)), "");
        }
        assert_eq!(code(limiter.admit("a", rates, 1, 99)), "IOTDA.021101");
        assert_eq!(code(limiter.admit("a", rates, 1, 100)), "");
        assert_eq!(code(limiter.admit("a", rates, 1, 100)), "IOTDA.021101");
        assert_eq!(code(limiter.admit("b", rates, 10, 100)), "");
        assert_eq!(code(limiter.admit("a", rates, 10, 1_100)), "");
    }

    #[test]
    fn the_tenant_s_limit_holds_for_all_devices_together() {
        let mut limiter = Limiter::default();
        assert_eq!(code(limiter.admit("a", both(5, 6), 4, 0)), "");
        assert_eq!(code(limiter.admit("b", both(5, 6), 3, 0)), "IOTDA.021102");
        // What was refused for the tenant has not been counted for the device.
        assert_eq!(code(limiter.admit("b", Rates { device: Some(5), tenant: None }, 5, 0)), "");
        // Nor for the tenant what was refused for the device.
        assert_eq!(code(limiter.admit("a", both(5, 6), 2, 0)), "IOTDA.021101");
        assert_eq!(code(limiter.admit("c", both(5, 6), 2, 0)), "");
    }

    #[test]
    fn a_report_over_a_second_s_worth_passes_alone_and_is_paid_for() {
        let mut limiter = Limiter::default();
        let rates = Rates { device: Some(10), tenant: None };
        assert_eq!(code(limiter.admit("a", rates, 256, 0)), "");
        assert_eq!(code(limiter.admit("a", rates, 1, 24_699)), "IOTDA.021101");
        assert_eq!(code(limiter.admit("a", rates, 1, 24_700)), "");
        assert_eq!(code(limiter.admit("a", rates, 256, 24_700)), "IOTDA.021101");
    }

    #[test]
    fn a_rate_of_zero_refuses_everything_and_none_nothing() {
        let mut limiter = Limiter::default();
        assert_eq!(code(limiter.admit("a", both(0, 10), 1, 0)), "IOTDA.021101");
        assert_eq!(code(limiter.admit("a", both(10, 0), 1, 0)), "IOTDA.021102");
        assert_eq!(code(limiter.admit("a", Rates::default(), u64::MAX, 0)), "");
    }

    #[test]
    fn a_clock_set_back_drains_nothing() {
        let mut limiter = Limiter::default();
        let rates = Rates { device: Some(1), tenant: None };
        assert_eq!(code(limiter.admit("a", rates, 1, 1_000_000)), "");
        assert_eq!(code(limiter.admit("a", rates, 1, 0)), "IOTDA.021101");
    }

    proptest! {
        /// In any stretch of time, at most what drains in it passes, and one second's worth more.
        #[test]
        fn no_stretch_of_time_passes_more_than_the_rate_allows(
            rate in 1u32..20,
            sent in prop::collection::vec((0i64..300, 1u64..4), 1..60),
        ) {
            let mut bucket = Bucket::default();
            let mut passed = Vec::new();
            let mut now_ms = 1_000_000;
            for (pause_ms, cost) in sent {
                now_ms += pause_ms;
                let cost = cost.min(u64::from(rate));
                if let Some(after) = bucket.admit(rate, cost, now_ms) {
                    bucket = after;
                    passed.push((now_ms, cost));
                }
            }
            for first in 0..passed.len() {
                let mut total = 0;
                for &(at_ms, cost) in &passed[first..] {
                    total += cost * 1000;
                    let stretch_ms = u64::try_from(at_ms - passed[first].0).expect("time goes forward");
                    prop_assert!(total <= u64::from(rate) * (stretch_ms + 1000));
                }
            }
        }
    }
}
