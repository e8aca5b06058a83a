//! Which start of the machine an entry was put in, how old it is, and when it was really measured. Functions on
//! values; who asks the clocks is [`super::worker`].

use super::frame::{Stamp, u32_at, u64_at};

/// The clocks of this machine.
pub(crate) trait Clocks: Send + Sync {
    /// Unix time in milliseconds.
    fn wall_ms(&self) -> i64;
    /// Since the machine's start.
    fn boot_ms(&self) -> u64;
}

/// A clock is off when it differs from the platform's by more than this.
pub(crate) const CLOCK_OFF_MS: u64 = 60_000;

/// Starts of which the platform's time is kept.
const KEPT: usize = 8;

/// A clock before 2024 was never set.
const PLAUSIBLE_MS: i64 = 1_704_067_200_000;

/// All clocks at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Now {
    /// Unix time as this machine's clock has it.
    pub(crate) wall_ms: i64,
    /// Since the machine's start.
    pub(crate) boot_ms: u64,
    /// The number of that start.
    pub(crate) boot: u32,
    /// The platform's Unix time, from its last answer.
    pub(crate) platform_ms: Option<i64>,
}

impl Now {
    /// The stamp of an entry that is put now.
    pub(crate) fn stamp(&self) -> Stamp {
        let trusted = self.platform_ms.is_some_and(|platform| platform.abs_diff(self.wall_ms) <= CLOCK_OFF_MS);
        Stamp { wall_ms: self.wall_ms, boot_ms: self.boot_ms, boot: self.boot, trusted }
    }
}

/// One start of the machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Boot {
    number: u32,
    /// The kernel's; zeros where it has none.
    id: [u8; 16],
    /// The platform's Unix time when the machine started; 0: not known.
    started_ms: i64,
}

/// The starts that are known, by number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Boots {
    all: Vec<Boot>,
    /// The highest number that an entry names.
    highest: u32,
}

impl Boots {
    /// Adds what a frame says.
    pub(crate) fn merge(&mut self, payload: &[u8]) {
        let Some(id) = payload.get(8..24).and_then(|id| id.try_into().ok()) else { return };
        self.add(Boot { number: u32_at(payload, 0), id, started_ms: u64_at(payload, 24) as i64 });
    }

    /// An entry names this start.
    pub(crate) fn named(&mut self, number: u32) {
        self.highest = self.highest.max(number);
    }

    /// The number of the present start, whose id the kernel gives. Without an id every process counts as one, since
    /// times before and after a start must not be compared.
    pub(crate) fn enter(&mut self, id: Option<[u8; 16]>) -> u32 {
        let last = self.all.last().copied().unwrap_or_default();
        if last.number >= self.highest && last.number > 0 && id.is_some_and(|id| id == last.id) {
            return last.number;
        }
        let number = last.number.max(self.highest).saturating_add(1);
        self.add(Boot { number, id: id.unwrap_or_default(), started_ms: 0 });
        number
    }

    /// The platform's time is known; `true`: it was not, or differs.
    pub(crate) fn learn(&mut self, now: &Now) -> bool {
        let Some(platform_ms) = now.platform_ms else { return false };
        let started_ms = platform_ms.saturating_sub_unsigned(now.boot_ms);
        match self.all.iter_mut().find(|boot| boot.number == now.boot) {
            Some(boot) if boot.started_ms == 0 || boot.started_ms.abs_diff(started_ms) > CLOCK_OFF_MS / 2 => {
                boot.started_ms = started_ms;
                true
            }
            _ => false,
        }
    }

    /// Payloads of the frames that keep this.
    pub(crate) fn payloads(&self) -> Vec<[u8; 32]> {
        let last = self.all.last().map(|boot| boot.number);
        self.all
            .iter()
            .filter(|boot| boot.started_ms != 0 || Some(boot.number) == last)
            .map(|boot| {
                let mut out = [0; 32];
                out[..4].copy_from_slice(&boot.number.to_le_bytes());
                out[8..24].copy_from_slice(&boot.id);
                out[24..].copy_from_slice(&boot.started_ms.to_le_bytes());
                out
            })
            .collect()
    }

    /// When an entry was put, by the platform's clock if that can be known: its own stamp unless that is off.
    pub(crate) fn event_time_ms(&self, stamp: &Stamp, now: &Now) -> i64 {
        let elapsed = now.boot_ms.saturating_sub(stamp.boot_ms);
        let real = match (now.platform_ms, stamp.boot == now.boot) {
            (Some(platform_ms), true) => Some(platform_ms.saturating_sub_unsigned(elapsed)),
            // A clock that was never set and is now: as good as the platform's, which TLS relies on as well.
            (None, true) if stamp.wall_ms < PLAUSIBLE_MS && now.wall_ms >= PLAUSIBLE_MS => {
                Some(now.wall_ms.saturating_sub_unsigned(elapsed))
            }
            _ => self.started_ms(stamp.boot).map(|started| started.saturating_add_unsigned(stamp.boot_ms)),
        };
        real.filter(|real| real.abs_diff(stamp.wall_ms) > CLOCK_OFF_MS).unwrap_or(stamp.wall_ms)
    }

    /// How long ago an entry was put; `None`: it cannot be known.
    pub(crate) fn age_ms(&self, stamp: &Stamp, now: &Now) -> Option<u64> {
        if stamp.boot == now.boot {
            return Some(now.boot_ms.saturating_sub(stamp.boot_ms));
        }
        let then = match self.started_ms(stamp.boot) {
            Some(started) => started.saturating_add_unsigned(stamp.boot_ms),
            None if stamp.trusted => stamp.wall_ms,
            None => return None,
        };
        Some(u64::try_from(now.platform_ms?.saturating_sub(then)).unwrap_or(0))
    }

    fn started_ms(&self, number: u32) -> Option<i64> {
        self.all.iter().find(|boot| boot.number == number).map(|boot| boot.started_ms).filter(|started| *started != 0)
    }

    fn add(&mut self, boot: Boot) {
        match self.all.binary_search_by_key(&boot.number, |known| known.number) {
            Ok(at) if boot.started_ms != 0 || self.all[at].started_ms == 0 => self.all[at] = boot,
            Ok(_) => {}
            Err(at) => self.all.insert(at, boot),
        }
        if self.all.len() > KEPT {
            self.all.remove(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 86_400_000;
    const T: i64 = 1_800_000_000_000;

    fn now(boot: u32, boot_ms: u64, wall_ms: i64, platform_ms: Option<i64>) -> Now {
        Now { wall_ms, boot_ms, boot, platform_ms }
    }

    #[test]
    fn a_start_has_one_number_and_a_new_one_the_next() {
        let mut boots = Boots::default();
        assert_eq!(boots.enter(Some([1; 16])), 1);
        assert_eq!(boots.enter(Some([1; 16])), 1, "the process was started again");
        assert_eq!(boots.enter(Some([2; 16])), 2);
        assert_eq!((boots.enter(None), boots.enter(None)), (3, 4), "without an id nothing is known");
        let mut read = Boots::default();
        for payload in boots.payloads() {
            read.merge(&payload);
        }
        assert_eq!(read.enter(Some([9; 16])), 5);
        let mut damaged = Boots::default();
        damaged.named(7);
        assert_eq!(damaged.enter(Some([1; 16])), 8, "the frame is lost, and its number is not used again");
    }

    #[test]
    fn a_clock_of_1970_that_becomes_right() {
        let mut boots = Boots::default();
        boots.enter(Some([1; 16]));
        let stamp = now(1, 5_000, 5_000, None).stamp();
        assert!(!stamp.trusted);
        assert_eq!(boots.event_time_ms(&stamp, &now(1, 60_000, 60_000, None)), 5_000, "nothing is known yet");
        assert_eq!(boots.event_time_ms(&stamp, &now(1, 65_000, T, None)), T - 60_000, "the clock was set");
        assert_eq!(boots.event_time_ms(&stamp, &now(1, 65_000, 65_000, Some(T))), T - 60_000, "the platform's clock");
    }

    #[test]
    fn only_a_clock_that_was_never_set_is_corrected_without_the_platform() {
        let mut boots = Boots::default();
        boots.enter(Some([1; 16]));
        let stamp = |wall_ms| now(1, 5_000, wall_ms, None).stamp();
        let later = |wall_ms| now(1, 65_000, wall_ms, None);
        // Set, or not set yet: whatever it shows now.
        for (then, wall_ms, expected) in [
            (T, T - 9 * DAY as i64, T),
            (T, 1_000_000, T),
            (PLAUSIBLE_MS, T, PLAUSIBLE_MS),
            (PLAUSIBLE_MS - 1, T, T - 60_000),
            (5_000, PLAUSIBLE_MS - 1, 5_000),
            (5_000, PLAUSIBLE_MS, PLAUSIBLE_MS - 60_000),
            (5_000, 900_000_000, 5_000),
        ] {
            assert_eq!(boots.event_time_ms(&stamp(then), &later(wall_ms)), expected, "{then} {wall_ms}");
        }
        // More than a minute off, and not a minute.
        let off = |ms| boots.event_time_ms(&stamp(T - 60_000 + ms), &now(1, 65_000, T, Some(T)));
        assert_eq!([off(CLOCK_OFF_MS as i64), off(-(CLOCK_OFF_MS as i64))], [T, T - 120_000]);
        assert_eq!([off(CLOCK_OFF_MS as i64 + 1), off(-(CLOCK_OFF_MS as i64) - 1)], [T - 60_000; 2]);
    }

    #[test]
    fn the_start_of_a_boot_is_learned_again_where_it_differs_by_half_a_minute() {
        let half = CLOCK_OFF_MS as i64 / 2;
        for (apart, is_news) in [(0, false), (half, false), (half + 1, true), (-half, false), (-half - 1, true)] {
            let mut boots = Boots::default();
            boots.enter(Some([1; 16]));
            assert!(boots.learn(&now(1, 2_000, 0, Some(T))), "the first time");
            assert_eq!(boots.learn(&now(1, 2_000, 0, Some(T + apart))), is_news, "{apart}");
            let expected = T - 2_000 + if is_news { apart } else { 0 };
            assert_eq!(boots.started_ms(1), Some(expected));
            assert!(!boots.learn(&now(1, 2_000, 0, None)) && !boots.learn(&now(9, 2_000, 0, Some(T))));
        }
    }

    #[test]
    fn what_is_known_of_a_start_is_not_lost_to_a_frame_that_knows_less() {
        let unknown = Boot { number: 3, id: [1; 16], started_ms: 0 };
        let known = Boot { started_ms: T, ..unknown };
        let later = Boot { started_ms: T + 1, ..unknown };
        for (frames, expected) in
            [([unknown, known], T), ([known, unknown], T), ([known, later], T + 1), ([later, known], T)]
        {
            let mut boots = Boots::default();
            frames.into_iter().for_each(|boot| boots.add(boot));
            assert_eq!((boots.started_ms(3), boots.all.len()), (Some(expected), 1));
        }
    }

    #[test]
    fn a_clock_that_leaps_in_the_middle_of_a_lane() {
        let mut boots = Boots::default();
        boots.enter(Some([1; 16]));
        let right = now(1, 1_000, T, None).stamp();
        let wrong = now(1, 2_000, T + 7 * DAY as i64, None).stamp();
        let at = now(1, 3_000, T + 7 * DAY as i64 + 1_000, Some(T + 2_000));
        assert_eq!(boots.event_time_ms(&right, &at), T);
        assert_eq!(boots.event_time_ms(&wrong, &at), T + 1_000);
        // Within a minute the device's clock is finer than a Date header.
        let close = now(1, 2_000, T + 1_000 + 59_000, None).stamp();
        assert_eq!(boots.event_time_ms(&close, &at), T + 60_000);
    }

    #[test]
    fn age_counts_sleep_and_crosses_starts_only_between_trusted_clocks() {
        let mut boots = Boots::default();
        boots.enter(Some([1; 16]));
        let (plain, trusted) = (now(1, 1_000, T, None).stamp(), now(1, 1_000, T, Some(T)).stamp());
        assert!(trusted.trusted);
        assert_eq!(boots.age_ms(&plain, &now(1, DAY, 0, None)), Some(DAY - 1_000));
        assert_eq!(boots.enter(Some([2; 16])), 2);
        let later = now(2, 10, T, Some(T + 5_000));
        assert_eq!(boots.age_ms(&plain, &later), None, "a clock that nobody vouched for");
        assert_eq!(boots.age_ms(&trusted, &later), Some(5_000));
        assert_eq!(boots.age_ms(&trusted, &now(2, 10, T + 5_000, None)), None, "nobody vouches for this one");
        assert_eq!(boots.age_ms(&trusted, &now(2, 10, 0, Some(T - 5_000))), Some(0));
    }

    #[test]
    fn what_the_platform_told_counts_for_the_entries_of_that_start_later_too() {
        let mut boots = Boots::default();
        boots.enter(Some([1; 16]));
        let stamp = now(1, 1_000, 1_000, None).stamp();
        assert!(boots.learn(&now(1, 2_000, 2_000, Some(T))));
        assert!(!boots.learn(&now(1, 3_000, 3_000, Some(T + 1_000))));
        let mut read = Boots::default();
        for payload in boots.payloads() {
            read.merge(&payload);
        }
        read.enter(Some([2; 16]));
        let later = now(2, 10, 10, Some(T + 60_000));
        assert_eq!(read.event_time_ms(&stamp, &later), T - 1_000);
        assert_eq!(read.age_ms(&stamp, &later), Some(61_000));
    }

    #[test]
    fn only_the_last_starts_are_kept() {
        let mut boots = Boots::default();
        for number in 1..=64_u8 {
            assert_eq!(boots.enter(Some([number; 16])), u32::from(number));
        }
        assert!(boots.all.len() <= KEPT && boots.payloads().len() == 1);
    }

    #[test]
    fn the_last_eight_starts_are_known() {
        let mut boots = Boots::default();
        for id in 1..=20 {
            let number = boots.enter(Some([id; 16]));
            boots.learn(&now(number, 0, T, Some(T)));
            let known: Vec<u32> = (1..=20).filter(|number| boots.started_ms(*number).is_some()).collect();
            assert_eq!(known, (1.max(number.saturating_sub(7))..=number).collect::<Vec<_>>());
        }
    }
}
