//! Times as the protocol writes them, computed from Unix milliseconds: the hour stamp of a password
//! and the event time of a report. Always UTC. No I/O, no locale, no time zone.

use std::fmt::{self, Write};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::error::{Error, Result};

const MS_PER_DAY: i64 = 86_400_000;

/// 2000-01-01T00:00:00Z. No report was measured before: such a time is in seconds, or comes from a clock that was
/// never set and counts from 1970.
pub(crate) const FIRST_MS: i64 = 946_684_800_000;

/// 9999-12-31T23:59:59.999Z, the last time that four digits of a year can say.
pub(crate) const LAST_MS: i64 = 253_402_300_799_999;

/// Length of `yyyy-MM-ddTHH:mm:ss.SSSZ`.
pub(crate) const EVENT_TIME_LEN: usize = 24;

/// A civil date and time of day, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Civil {
    year: i64,
    month: i64,
    day: i64,
    ms_of_day: i64,
}

/// Gregorian date of a day number, by eras of 400 years that start on 1 March, so that the leap day
/// is the last day of a year (the well-known civil calendar algorithm).
fn civil(unix_ms: i64) -> Civil {
    let days = unix_ms.div_euclid(MS_PER_DAY) + 719_468; // Days from 0000-03-01.
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153; // March is 0.
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    Civil {
        year: era * 400 + year_of_era + i64::from(month <= 2),
        month,
        day: day_of_year - (153 * shifted_month + 2) / 5 + 1,
        ms_of_day: unix_ms.rem_euclid(MS_PER_DAY),
    }
}

/// The hour in the form `YYYYMMDDHH`, for the `timestamp` of an authentication.
pub(crate) fn hour_stamp(unix_ms: i64) -> [u8; 10] {
    let civil = civil(unix_ms.clamp(0, LAST_MS));
    let mut out = [0; 10];
    digits(&mut out[0..4], civil.year);
    digits(&mut out[4..6], civil.month);
    digits(&mut out[6..8], civil.day);
    digits(&mut out[8..10], civil.ms_of_day / 3_600_000);
    out
}

/// A time in Unix milliseconds; the millisecond before, where it lies between two.
pub(crate) fn unix_ms(time: SystemTime) -> i64 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
        Err(error) => {
            let before = error.duration().as_nanos().div_ceil(1_000_000);
            i64::try_from(before).map_or(i64::MIN, |before| -before)
        }
    }
}

/// A time of Unix milliseconds; `None`: the system's times do not reach as far.
pub(crate) fn system_time(unix_ms: i64) -> Option<SystemTime> {
    let distance = Duration::from_millis(unix_ms.unsigned_abs());
    if unix_ms < 0 { UNIX_EPOCH.checked_sub(distance) } else { UNIX_EPOCH.checked_add(distance) }
}

/// The event time in the one form that the platform accepts; it silently replaces any other by its own
/// time (HTTPS access page, `event_time`).
///
/// `unix_ms` must be in 0 to [`LAST_MS`]; [`check_event_time_ms`] demands more.
pub(crate) fn event_time(unix_ms: i64) -> [u8; EVENT_TIME_LEN] {
    let civil = civil(unix_ms.clamp(0, LAST_MS));
    // Parts of a date are small, and such numbers are divided in fewer steps. No loop: each report does this.
    let (year, ms) = (civil.year as u32, civil.ms_of_day as u32);
    let ([c, d], [y, z]) = (pair(year / 100), pair(year % 100));
    let ([m, n], [e, f]) = (pair(civil.month as u32), pair(civil.day as u32));
    let ([h, i], [j, k]) = (pair(ms / 3_600_000), pair(ms / 60_000 % 60));
    let ([s, t], [u, v]) = (pair(ms / 1_000 % 60), pair(ms % 1_000 / 10));
    let w = pair(ms % 10)[1];
    [c, d, y, z, b'-', m, n, b'-', e, f, b'T', h, i, b':', j, k, b':', s, t, b'.', u, v, w, b'Z']
}

/// Checks that an event time is in the years 2000 to 9999.
pub(crate) fn check_event_time_ms(unix_ms: i64, field: &dyn fmt::Display) -> Result<()> {
    if (FIRST_MS..=LAST_MS).contains(&unix_ms) {
        return Ok(());
    }
    let units = [
        ("seconds", unix_ms.checked_mul(1_000)),
        ("microseconds", Some(unix_ms / 1_000)),
        ("nanoseconds", Some(unix_ms / 1_000_000)),
    ];
    // A hundred years from the first one on: what is a likely date in another unit.
    let likely = FIRST_MS..FIRST_MS + 36_525 * MS_PER_DAY;
    for (unit, as_unit) in units {
        if let Some(as_unit) = as_unit.filter(|as_unit| likely.contains(as_unit)) {
            return Err(Error::invalid(format!(
                "give milliseconds: {field} is {unix_ms}, which looks like {unit} ({})",
                Shown(as_unit)
            )));
        }
    }
    if (0..FIRST_MS).contains(&unix_ms) {
        return Err(Error::invalid(format!(
            "set the clock before it is read: {field} is {unix_ms} ({}), from a clock that was never set; \
             milliseconds of the years 2000 to 9999 are taken",
            Shown(unix_ms)
        )));
    }
    Err(Error::invalid(format!(
        "give Unix milliseconds of the years 2000 to 9999 ({FIRST_MS} to {LAST_MS}): {field} is {unix_ms}"
    )))
}

/// Shows a time as [`event_time`] writes it.
struct Shown(i64);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        event_time(self.0).iter().try_for_each(|byte| f.write_char(char::from(*byte)))
    }
}

/// Whether `text` is an event time as the platform takes it, of a day that exists and is not before 2000.
pub(crate) fn is_event_time(text: &[u8]) -> bool {
    year_of_event_time(text).is_some_and(|year| year >= 2000)
}

/// Whether `text` would be an event time but for its year, which is that of a clock that was never set.
pub(crate) fn is_event_time_of_no_clock(text: &[u8]) -> bool {
    year_of_event_time(text).is_some_and(|year| year < 2000)
}

/// The year of a text in the form of an event time, of a day that exists.
fn year_of_event_time(text: &[u8]) -> Option<i64> {
    let text = <&[u8; EVENT_TIME_LEN]>::try_from(text).ok()?;
    let form = b"0000-00-00T00:00:00.000Z";
    let same_form = text.iter().zip(form).all(|(given, wanted)| match wanted {
        b'0' => given.is_ascii_digit(),
        _ => given == wanted,
    });
    if !same_form {
        return None;
    }
    let number =
        |range: std::ops::Range<usize>| text[range].iter().fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0'));
    let (year, month, day) = (number(0..4), number(5..7), number(8..10));
    let exists = (1..=12).contains(&month)
        && (1..=days_in_month(year, month)).contains(&day)
        && number(11..13) < 24
        && number(14..16) < 60
        && number(17..19) < 60;
    exists.then_some(year)
}

fn days_in_month(year: i64, month: i64) -> i64 {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Writes `value` with leading zeros over all of `out`.
/// Two digits.
fn pair(value: u32) -> [u8; 2] {
    [b'0' + (value / 10) as u8, b'0' + (value % 10) as u8]
}

fn digits(out: &mut [u8], value: i64) {
    // As much as a part of a date is, which is divided in fewer steps.
    let mut value = value as u32;
    for digit in out.iter_mut().rev() {
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use time::OffsetDateTime;
    use time::macros::format_description;

    fn text(unix_ms: i64) -> String {
        String::from_utf8(event_time(unix_ms).to_vec()).unwrap()
    }

    #[test]
    fn known_times() {
        assert_eq!(text(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(text(1_628_849_410_555), "2021-08-13T10:10:10.555Z"); // The page's example.
        assert_eq!(text(951_782_400_000), "2000-02-29T00:00:00.000Z");
        assert_eq!(text(LAST_MS), "9999-12-31T23:59:59.999Z");
        // The page: UTC 2018/7/24 17:56:20 is 2018072417.
        assert_eq!(&hour_stamp(1_532_454_980_000), b"2018072417");
    }

    #[test]
    fn a_time_of_the_system_is_that_of_its_milliseconds() {
        for ms in [0, 1, -1, 1_628_849_410_555, -62_135_596_800_000, LAST_MS] {
            assert_eq!(unix_ms(system_time(ms).unwrap()), ms);
        }
        assert!(system_time(1).unwrap() > UNIX_EPOCH && system_time(-1).unwrap() < UNIX_EPOCH);
    }

    #[test]
    fn times_that_do_not_exist_are_refused() {
        for text in [
            "2021-08-13T10:10:10.555",
            "2021-08-13 10:10:10.555Z",
            "2021-08-13T10:10:10Z",
            "2021-08-13T10:10:10.55Z",
            "2021-08-13T10:10:10.5555Z",
            "2021-02-29T00:00:00.000Z",
            "2021-04-31T00:00:00.000Z",
            "2021-13-01T00:00:00.000Z",
            "2021-00-01T00:00:00.000Z",
            "2021-01-00T00:00:00.000Z",
            "2021-01-01T24:00:00.000Z",
            "2021-01-01T00:60:00.000Z",
            "2021-01-01T00:00:60.000Z",
            "1969-12-31T23:59:59.999Z",
            "1970-01-20T20:27:29.410Z",
            "1999-12-31T23:59:59.999Z",
            "20210813T101010Z",
            "2021-08-13T10:10:10.555+",
            "2021-08-13t10:10:10.555z",
            "",
        ] {
            assert!(!is_event_time(text.as_bytes()), "{text}");
        }
        assert!(is_event_time(b"2024-02-29T23:59:59.999Z"));
        assert!(is_event_time(b"2000-02-29T00:00:00.000Z"));
        assert!(is_event_time(b"2000-01-01T00:00:00.000Z"));
        assert!(is_event_time(b"9999-12-31T23:59:59.999Z"));
        assert!(!is_event_time(b"2100-02-29T00:00:00.000Z"));
    }

    fn refusal(unix_ms: i64) -> String {
        let field = "children[4294967295].services[4294967295].event_time_ms";
        let message = check_event_time_ms(unix_ms, &field).unwrap_err().message().to_owned();
        assert!(message.contains(&format!("{field} is {unix_ms}")) && message.len() < 256, "{message}");
        message
    }

    #[test]
    fn years_2000_to_9999_are_taken() {
        assert_eq!(text(FIRST_MS), "2000-01-01T00:00:00.000Z");
        for unix_ms in [FIRST_MS, 1_628_849_410_555, LAST_MS] {
            check_event_time_ms(unix_ms, &"").unwrap();
        }
        for wrong in [-1, i64::MIN, LAST_MS + 1, i64::MAX] {
            assert!(
                refusal(wrong).starts_with("give Unix milliseconds of the years 2000 to 9999"),
                "{}",
                refusal(wrong)
            );
        }
    }

    #[test]
    fn a_time_in_another_unit_is_recognized() {
        for (given, unit, date) in [
            (1_628_849_410, "seconds", "2021-08-13T10:10:10.000Z"),
            (946_684_800, "seconds", "2000-01-01T00:00:00.000Z"),
            (4_102_444_799, "seconds", "2099-12-31T23:59:59.000Z"),
            (1_628_849_410_555_123, "microseconds", "2021-08-13T10:10:10.555Z"),
            (1_628_849_410_555_123_456, "nanoseconds", "2021-08-13T10:10:10.555Z"),
        ] {
            let message = refusal(given);
            assert!(message.starts_with("give milliseconds: "), "{message}");
            assert!(message.ends_with(&format!("which looks like {unit} ({date})")), "{message}");
        }
    }

    #[test]
    fn a_clock_that_was_never_set_is_recognized() {
        for given in [0, 1, 86_400_000, 946_684_799, 4_102_444_800, FIRST_MS - 1] {
            assert!(refusal(given).starts_with("set the clock before it is read: "), "{}", refusal(given));
        }
        assert!(refusal(61_000).contains("(1970-01-01T00:01:01.000Z)"));
        assert!(is_event_time_of_no_clock(b"1970-01-01T00:01:01.000Z"));
        assert!(is_event_time_of_no_clock(b"1999-12-31T23:59:59.999Z"));
        assert!(!is_event_time_of_no_clock(b"2000-01-01T00:00:00.000Z"));
        assert!(!is_event_time_of_no_clock(b"1970-01-01T00:01:01Z"));
    }

    proptest! {
        #[test]
        fn agrees_with_the_time_crate(unix_ms in 0..=LAST_MS) {
            let other = OffsetDateTime::from_unix_timestamp_nanos(i128::from(unix_ms) * 1_000_000).unwrap();
            let form = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
            prop_assert_eq!(text(unix_ms), other.format(&form).unwrap());
            let hour = format_description!("[year][month][day][hour]");
            prop_assert_eq!(hour_stamp(unix_ms).to_vec(), other.format(&hour).unwrap().into_bytes());
            prop_assert_eq!(is_event_time(&event_time(unix_ms)), unix_ms >= FIRST_MS);
            prop_assert_eq!(check_event_time_ms(unix_ms, &"").is_ok(), unix_ms >= FIRST_MS);
        }

        #[test]
        fn accepts_a_text_only_if_the_time_crate_reads_it(text in "(19[67][0-9]|1999|20[0-9]{2})-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-6][0-9]:[0-6][0-9]\\.[0-9]{3}Z") {
            let form = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
            let other = time::PrimitiveDateTime::parse(&text, &form).is_ok_and(|time| time.year() >= 2000);
            prop_assert_eq!(is_event_time(text.as_bytes()), other);
        }
    }
}
