//! Times as HTTP writes them (RFC 9110 section 5.6.7), and days as messages do.

/// The last time that was read: the answers of one second have the same, and reading it takes longer than comparing.
#[derive(Default)]
pub(crate) struct Dates {
    text: [u8; 29],
    unix_ms: Option<i64>,
}

impl Dates {
    /// As [`unix_ms`].
    pub(crate) fn unix_ms(&mut self, text: &[u8]) -> Option<i64> {
        if text != self.text {
            let Ok(text) = text.try_into() else { return unix_ms(text) };
            *self = Dates { text, unix_ms: unix_ms(&text) };
        }
        self.unix_ms
    }
}

/// The time of an HTTP date: in the one form that servers send today, or in the two obsolete ones that RFC 9110 section
/// 5.6.7 has every recipient read.
pub(crate) fn unix_ms(text: &[u8]) -> Option<i64> {
    match text.try_into() {
        Ok(preferred) => of_preferred(preferred),
        Err(_) => of_preferred(&without_century(text).or_else(|| as_asctime(text))?),
    }
}

/// Of `Sun, 06 Nov 1994 08:49:37 GMT`.
fn of_preferred(text: &[u8; 29]) -> Option<i64> {
    const MONTHS: &[u8; 36] = b"JanFebMarAprMayJunJulAugSepOctNovDec";
    let two = |at: usize| {
        let (tens, ones) = (text[at].wrapping_sub(b'0'), text[at + 1].wrapping_sub(b'0'));
        (tens < 10 && ones < 10).then(|| i64::from(tens * 10 + ones))
    };
    let month = MONTHS.chunks_exact(3).position(|name| name == &text[8..11])? as i64 + 1;
    let (year, day) = (two(12)? * 100 + two(14)?, two(5)?);
    let (hour, minute, second) = (two(17)?, two(20)?, two(23)?);
    let possible = year >= 1970
        && (1..=days_in_month(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        && second <= 60 // A leap second.
        && &text[25..] == b" GMT";
    possible.then(|| (day_number(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second) * 1_000)
}

/// `Sunday, 06-Nov-94 08:49:37 GMT` in the preferred form. No date before 1970 is read, which decides the century.
fn without_century(text: &[u8]) -> Option<[u8; 29]> {
    let comma = text.iter().position(|byte| *byte == b',')?;
    let date: &[u8; 24] = text[comma..].try_into().ok()?;
    let century = if date[9] < b'7' { b"20" } else { b"19" };
    (date[4] == b'-' && date[8] == b'-' && date[20..] == *b" GMT")
        .then(|| preferred(&date[2..4], &date[5..8], &[century, &date[9..11]].concat(), &date[12..20]))
}

/// `Sun Nov  6 08:49:37 1994` in the preferred form.
fn as_asctime(text: &[u8]) -> Option<[u8; 29]> {
    let date: &[u8; 24] = text.try_into().ok()?;
    let mut day = [date[8], date[9]];
    if day[0] == b' ' {
        day[0] = b'0';
    }
    Some(preferred(&day, &date[4..7], &date[20..], &date[11..19]))
}

/// The weekday is not looked at.
fn preferred(day: &[u8], month: &[u8], year: &[u8], time: &[u8]) -> [u8; 29] {
    let mut text = *b"---, -- --- ---- --:--:-- GMT";
    text[5..7].copy_from_slice(day);
    text[8..11].copy_from_slice(month);
    text[12..16].copy_from_slice(year);
    text[17..25].copy_from_slice(time);
    text
}

/// The day of a time in seconds since 1970, `2026-11-25`.
pub(crate) fn day(seconds: u64) -> String {
    // As `day_number`, the other way round. Certificates end before the year 10000.
    let days = i64::try_from(seconds / 86_400).unwrap_or(0).min(2_932_896) + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = (shifted_month + 2) % 12 + 1;
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

/// Days from 1970-01-01, by eras of 400 years that start on 1 March, so that the leap day is the last day of a year.
fn day_number(year: i64, month: i64, day: i64) -> i64 {
    let shifted_year = if month <= 2 { year - 1 } else { year };
    let shifted_month = (month + 9) % 12; // March is 0.
    let (era, year_of_era) = (shifted_year.div_euclid(400), shifted_year.rem_euclid(400));
    let day_of_year = (153 * shifted_month + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use time::OffsetDateTime;
    use time::macros::format_description;

    #[test]
    fn http_dates_are_read() {
        for (text, seconds) in [
            ("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_777),
            ("Sunday, 06-Nov-94 08:49:37 GMT", 784_111_777),
            ("Sun Nov  6 08:49:37 1994", 784_111_777),
            ("Thu Nov 26 08:49:37 2026", 1_795_682_977),
            ("Thursday, 26-Nov-26 08:49:37 GMT", 1_795_682_977),
            ("Thursday, 01-Jan-70 00:00:00 GMT", 0),
            ("Tuesday, 31-Dec-69 00:00:00 GMT", 3_155_673_600),
            ("Sat, 31 Dec 2016 23:59:60 GMT", 1_483_228_800),
            ("Tue, 29 Feb 2000 12:00:00 GMT", 951_825_600),
            ("Thu, 29 Feb 2024 12:00:00 GMT", 1_709_208_000),
            ("Mon, 30 Jun 2025 00:00:00 GMT", 1_751_241_600),
        ] {
            assert_eq!(unix_ms(text.as_bytes()), Some(seconds * 1_000), "{text}");
        }
        for text in [
            "",
            "Sun, 06 Nov 1994 08:49:37 UTC",
            "Sun, 31 Feb 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 24:49:37 GMT",
            "Sun, +6 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:61 GMT",
            "Sunday, 06-Nov-94 08:49:37 UTC",
            "Sunday, 06 Nov 94 08:49:37 GMT",
            "Sunday, 06-Nov 94 08:49:37 GMT",
            "Sunday, 06 Nov-94 08:49:37 GMT",
            "Wed, 29 Feb 2023 12:00:00 GMT",
            "Sat, 29 Feb 2025 12:00:00 GMT",
            "Mon, 29 Feb 2100 12:00:00 GMT",
            "Tue, 31 Apr 2024 12:00:00 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT ",
            "Sunday, 31-Feb-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1969",
            "Sun Nov 06 08:49:37 94",
            "Sun Nov +6 08:49:37 1994",
            ",",
        ] {
            assert_eq!(unix_ms(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn the_last_date_is_remembered_and_no_other() {
        let mut dates = Dates::default();
        let (one, two) = (b"Sun, 06 Nov 1994 08:49:37 GMT", b"Sun, 06 Nov 1994 08:49:38 GMT");
        for (text, expected) in [
            (&one[..], Some(784_111_777_000)),
            (one, Some(784_111_777_000)),
            (two, Some(784_111_778_000)),
            (b"Sun, 06 Nov 1994 08:49:38 UTC", None),
            (b"", None),
            (b"Sun Nov  6 08:49:37 1994", Some(784_111_777_000)),
            (one, Some(784_111_777_000)),
        ] {
            assert_eq!(dates.unix_ms(text), expected);
        }
    }

    #[test]
    fn days_of_leap_years_are_written() {
        for (seconds, expected) in [
            (0, "1970-01-01"),
            (951_825_600, "2000-02-29"),
            (951_868_800, "2000-03-01"),
            (1_735_603_200, "2024-12-31"),
            (4_107_542_399, "2100-02-28"),
            (4_107_542_400, "2100-03-01"),
            (13_569_465_600, "2400-01-01"),
            (13_574_563_200, "2400-02-29"),
        ] {
            assert_eq!(day(seconds), expected);
        }
    }

    proptest! {
        #[test]
        fn days_agree_with_the_time_crate(seconds in 0i64..=253_402_300_799) {
            let other = OffsetDateTime::from_unix_timestamp(seconds).unwrap().date().to_string();
            prop_assert_eq!(day(u64::try_from(seconds).unwrap()), other);
        }

        #[test]
        fn http_dates_agree_with_the_time_crate(seconds in 0i64..=253_402_300_799) {
            let other = OffsetDateTime::from_unix_timestamp(seconds).unwrap();
            let form = format_description!("[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT");
            prop_assert_eq!(unix_ms(other.format(&form).unwrap().as_bytes()), Some(seconds * 1000));
            let form = format_description!("[weekday repr:short] [month repr:short] [day padding:space] [hour]:[minute]:[second] [year]");
            prop_assert_eq!(unix_ms(other.format(&form).unwrap().as_bytes()), Some(seconds * 1000));
        }
    }
}
