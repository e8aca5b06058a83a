//! The text forms of time that the protocol knows: the hour of an authentication, an event time, and HTTP's own date.
//! Functions on values; what "now" is belongs to `clock`.

use time::{Date, Month, OffsetDateTime, PrimitiveDateTime, Time};

const MS_PER_HOUR: i64 = 3_600_000;

/// Hours since 1970 of an authentication timestamp, `YYYYMMDDHH` in UTC. `None` unless it is ten digits that name an
/// hour which exists.
pub(crate) fn parse_timestamp_hour(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    if bytes.len() != 10 {
        return None;
    }
    let date = date(number(&bytes[0..4])?, number(&bytes[4..6])?, number(&bytes[6..8])?)?;
    let time = Time::from_hms(u8::try_from(number(&bytes[8..10])?).ok()?, 0, 0).ok()?;
    Some(unix_ms(date, time) / MS_PER_HOUR)
}

/// Hours since 1970 of a point in time.
pub(crate) fn hour_of(unix_ms: i64) -> i64 {
    unix_ms.div_euclid(MS_PER_HOUR)
}

/// Unix milliseconds of an event time, `yyyy-MM-dd'T'HH:mm:ss.SSS'Z'`. `None` for anything else, be it ever so close:
/// the platform uses its own time instead.
pub(crate) fn parse_event_time(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    if bytes.len() != 24 {
        return None;
    }
    let separators = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':'), (19, b'.'), (23, b'Z')];
    if separators.iter().any(|&(at, separator)| bytes[at] != separator) {
        return None;
    }
    let date = date(number(&bytes[0..4])?, number(&bytes[5..7])?, number(&bytes[8..10])?)?;
    let time = Time::from_hms_milli(
        u8::try_from(number(&bytes[11..13])?).ok()?,
        u8::try_from(number(&bytes[14..16])?).ok()?,
        u8::try_from(number(&bytes[17..19])?).ok()?,
        number(&bytes[20..23])?,
    )
    .ok()?;
    Some(unix_ms(date, time))
}

/// A point in time in the form of an event time.
pub(crate) fn format_event_time(unix_ms: i64) -> String {
    let at = date_time(unix_ms);
    let (hour, minute, second, milli) = at.to_hms_milli();
    let (year, month, day) = (at.year(), u8::from(at.month()), at.day());
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
}

/// A point in time as HTTP's `Date` header has it (IMF-fixdate, RFC 9110 section 5.6.7).
pub(crate) fn format_http_date(unix_ms: i64) -> String {
    let at = date_time(unix_ms);
    let (hour, minute, second) = at.to_hms();
    let weekday = at.weekday().to_string();
    let month = at.month().to_string();
    let (weekday, month, day, year) = (&weekday[..3], &month[..3], at.day(), at.year());
    format!("{weekday}, {day:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} GMT")
}

fn date(year: u16, month: u16, day: u16) -> Option<Date> {
    let month = Month::try_from(u8::try_from(month).ok()?).ok()?;
    Date::from_calendar_date(i32::from(year), month, u8::try_from(day).ok()?).ok()
}

fn unix_ms(date: Date, time: Time) -> i64 {
    let at = PrimitiveDateTime::new(date, time).assume_utc();
    at.unix_timestamp() * 1000 + i64::from(at.millisecond())
}

/// A time outside the years that four digits can write shows as 1970: `clock` hands out none.
fn date_time(unix_ms: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(unix_ms) * 1_000_000).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

/// ASCII digits only: `str::parse` would take a sign as well.
fn number(digits: &[u8]) -> Option<u16> {
    digits.iter().try_fold(0u16, |value, digit| {
        if !digit.is_ascii_digit() {
            return None;
        }
        value.checked_mul(10)?.checked_add(u16::from(digit - b'0'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_page_s_timestamp_example() {
        // 2018-07-24 17:56:20 UTC, of the page's Device Authentication API.
        assert_eq!(parse_timestamp_hour("2018072417"), Some(hour_of(1_532_454_980_000)));
    }

    #[test]
    fn timestamps_that_name_no_hour() {
        for text in [
            "",
            "201807241",
            "20180724170",
            "2018072424",
            "2018130100",
            "2018002400",
            "2018023000",
            "2019022900",
            "201807241x",
            "+018072417",
            "2018-07-24",
            "２０１８",
            "2018 72417",
        ] {
            assert_eq!(parse_timestamp_hour(text), None, "{text:?}");
        }
        assert!(parse_timestamp_hour("2020022923").is_some());
    }

    #[test]
    fn the_page_s_event_time_example() {
        assert_eq!(parse_event_time("2021-08-13T10:10:10.555Z"), Some(1_628_849_410_555));
        assert_eq!(format_event_time(1_628_849_410_555), "2021-08-13T10:10:10.555Z");
    }

    #[test]
    fn event_times_in_another_form() {
        for text in [
            "",
            "20210813T101010Z",
            "2021-08-13T10:10:10Z",
            "2021-08-13T10:10:10.55Z",
            "2021-08-13T10:10:10.555+00:00",
            "2021-08-13 10:10:10.555Z",
            "2021-08-13T10:10:10.555z",
            "2021-08-13T24:00:00.000Z",
            "2021-08-13T10:60:10.555Z",
            "2021-08-13T10:10:60.555Z",
            "2021-02-29T10:10:10.555Z",
            "2021-08-13T10:10:10,555Z",
            "2021-08-13T10:10:10.555Z ",
            "2021-08-13T+1:10:10.555Z",
        ] {
            assert_eq!(parse_event_time(text), None, "{text:?}");
        }
    }

    #[test]
    fn http_date() {
        // RFC 9110's own example.
        assert_eq!(format_http_date(784_111_777_000), "Sun, 06 Nov 1994 08:49:37 GMT");
    }

    proptest! {
        #[test]
        fn a_formatted_event_time_is_read_back(unix_ms in -62_167_219_200_000i64..253_402_300_800_000) {
            let text = format_event_time(unix_ms);
            prop_assert_eq!(parse_event_time(&text), Some(unix_ms), "{}", text);
        }

        #[test]
        fn what_is_read_is_what_would_be_written(text in "[0-9TZ:.+-]{20,26}|[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-6][0-9]:[0-6][0-9]\\.[0-9]{3}Z|.*") {
            if let Some(unix_ms) = parse_event_time(&text) {
                prop_assert_eq!(format_event_time(unix_ms), text);
            }
        }
    }
}
