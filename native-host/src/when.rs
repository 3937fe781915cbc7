//! Moments as people say them: `7d` ago, a date, a date and a time.

use jiff::{civil, tz::TimeZone};

const MINUTE: i64 = 60_000;

/// The moment that `said` means for somebody who looks back from `now`, Unix time in milliseconds: so long ago (`30m`,
/// `12h`, `7d`, `2w`), the beginning of a day (`2026-11-01`) or a time of it (`2026-11-01 14:30`, in this time zone unless it
/// says another).
pub(crate) fn since(said: &str, now: i64) -> Result<i64, String> {
    parse(said, now).map(|(at, _)| at)
}

/// The same for an end: a day is meant to its end.
pub(crate) fn until(said: &str, now: i64) -> Result<i64, String> {
    parse(said, now).map(|(_, end)| end)
}

fn parse(said: &str, now: i64) -> Result<(i64, i64), String> {
    let said = said.trim();
    if let Some(ago) = ago(said) {
        return Ok((now - ago, now - ago));
    }
    let zone = TimeZone::system();
    let begin = |day: civil::Date| day.to_zoned(zone.clone()).map(|time| time.timestamp().as_millisecond());
    let whole_day = said.len() == 10;
    if let Some(day) = said.parse::<civil::Date>().ok().filter(|_| whole_day) {
        let end = day.tomorrow().and_then(begin);
        return begin(day).and_then(|at| Ok((at, end?))).map_err(|error| error.to_string());
    }
    if let Ok(at) = said.parse::<jiff::Timestamp>() {
        return Ok((at.as_millisecond(), at.as_millisecond()));
    }
    match said.parse::<civil::DateTime>().ok().and_then(|time| time.to_zoned(zone).ok()) {
        Some(time) => Ok((time.timestamp().as_millisecond(), time.timestamp().as_millisecond())),
        None => Err("say how long ago (30m, 12h, 7d, 2w), a date (2026-11-01) or a date and a time".to_owned()),
    }
}

/// `7d` in milliseconds.
fn ago(said: &str) -> Option<i64> {
    let unit = match said.chars().last()? {
        'm' => MINUTE,
        'h' => 60 * MINUTE,
        'd' => 24 * 60 * MINUTE,
        'w' => 7 * 24 * 60 * MINUTE,
        _ => return None,
    };
    let number: u32 = said[..said.len() - 1].parse().ok()?;
    i64::from(number).checked_mul(unit)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn moments_are_read_as_people_say_them() {
        let now = 1_795_345_200_000;
        assert_eq!(since("30m", now), Ok(now - 30 * MINUTE));
        assert_eq!(since("7d", now), Ok(now - 7 * 24 * 60 * MINUTE));
        assert_eq!(until("2w", now), Ok(now - 14 * 24 * 60 * MINUTE));
        assert_eq!(since("2026-11-22T11:00:00Z", 0), Ok(now));
        assert_eq!(since("2026-11-22 11:00", 0).unwrap(), until("2026-11-22 11:00", 0).unwrap());
        let (from, to) = (since("2026-11-22", 0).unwrap(), until("2026-11-22", 0).unwrap());
        assert_eq!(to - from, 24 * 60 * MINUTE);
        for wrong in ["", "d", "yesterday", "7", "-7d", "2026-13-01", "é"] {
            assert!(since(wrong, now).is_err(), "{wrong}");
        }
    }
}
