//! `date` and `date-time` (RFC 3501 section 9), and the calendar behind them.

use super::command::Date;
use super::cursor::{Cursor, Parsed};
use store::InternalDate;

/// Month names as dates write them.
pub(crate) const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// Days since 1970-01-01 of a day of the proleptic Gregorian calendar.
pub(crate) fn days_from_civil(year: i64, month: u32, day: u32) -> i64 {
    // Years that begin in March have their leap day last.
    let month = i64::from(month);
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + i64::from(day) - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// Year, month (1 to 12) and day of a day since 1970-01-01.
pub(crate) fn civil_from_days(days: i64) -> (i64, u32, u32) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 {
        from_march + 3
    } else {
        from_march - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (
        year,
        u32::try_from(month).unwrap_or(1),
        u32::try_from(day).unwrap_or(1),
    )
}

/// How many days a month has.
fn month_days(year: i64, month: u32) -> u32 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// `date`, quoted or not.
pub(super) fn date(cursor: &mut Cursor<'_>) -> Parsed<Date> {
    let quoted = cursor.eat(b'"');
    let days = day_month_year(cursor)?;
    if quoted {
        cursor.expect(b'"', "Invalid date")?;
    }
    Ok(Date(days))
}

/// `date-time`, quoted: `"17-Jul-1996 02:44:25 -0700"`.
pub(super) fn date_time(cursor: &mut Cursor<'_>) -> Parsed<InternalDate> {
    const WRONG: &str = "Invalid date-time";
    cursor.expect(b'"', WRONG)?;
    cursor.skip_spaces();
    let days = day_month_year(cursor)?;
    cursor.space()?;
    let hours = digits(cursor, 1, 2)?;
    cursor.expect(b':', WRONG)?;
    let minutes = digits(cursor, 2, 2)?;
    cursor.expect(b':', WRONG)?;
    let seconds = digits(cursor, 2, 2)?;
    cursor.space()?;
    let east = match cursor.peek() {
        Some(sign @ (b'+' | b'-')) => {
            cursor.eat(sign);
            sign == b'+'
        }
        _ => return Err(WRONG.into()),
    };
    let zone = digits(cursor, 4, 4)?;
    let (zone_hours, zone_minutes) = (zone / 100, zone % 100);
    cursor.expect(b'"', WRONG)?;
    if hours > 23 || minutes > 59 || seconds > 60 || zone_minutes > 59 {
        return Err(WRONG.into());
    }
    let zone = (zone_hours * 60 + zone_minutes) * 60;
    let local = days * 86_400 + hours * 3600 + minutes * 60 + seconds;
    Ok(InternalDate(if east { local - zone } else { local + zone }))
}

fn day_month_year(cursor: &mut Cursor<'_>) -> Parsed<i64> {
    const WRONG: &str = "Invalid date";
    let day = digits(cursor, 1, 2)?;
    cursor.expect(b'-', WRONG)?;
    let name = cursor.take_while(|octet| octet.is_ascii_alphabetic());
    let month = MONTHS
        .iter()
        .zip(1_u32..)
        .find(|(month, _)| name.eq_ignore_ascii_case(month.as_bytes()))
        .map(|(_, number)| number)
        .ok_or(WRONG)?;
    cursor.expect(b'-', WRONG)?;
    let year = digits(cursor, 4, 4)?;
    let day = u32::try_from(day).map_err(|_| WRONG)?;
    if day == 0 || day > month_days(year, month) {
        return Err(WRONG.into());
    }
    Ok(days_from_civil(year, month, day))
}

fn digits(cursor: &mut Cursor<'_>, least: usize, most: usize) -> Parsed<i64> {
    let digits = cursor.take_while(|octet| octet.is_ascii_digit());
    if digits.len() < least || digits.len() > most {
        return Err("Invalid date".into());
    }
    Ok(digits
        .iter()
        .fold(0, |number, digit| number * 10 + i64::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_dates() {
        let read = |text: &str| date(&mut Cursor::new(text.as_bytes())).ok();
        assert_eq!(read("1-Jan-1970"), Some(Date(0)));
        assert_eq!(read("\"29-feb-2000\""), Some(Date(11_016)));
        assert_eq!(read("01-Mar-2000"), Some(Date(11_017)));
        for wrong in [
            "29-Feb-1900",
            "0-Jan-1970",
            "32-Jan-1970",
            "1-Foo-1970",
            "1-Jan-70",
            "\"1-Jan-1970",
        ] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
        let read = |text: &str| date_time(&mut Cursor::new(text.as_bytes())).ok();
        assert_eq!(
            read("\"17-Jul-1996 02:44:25 -0700\""),
            Some(InternalDate(837_596_665))
        );
        assert_eq!(
            read("\" 1-Jan-1970 01:00:00 +0100\""),
            Some(InternalDate(0))
        );
        assert_eq!(read("\"1-Jan-1970 24:00:00 +0000\""), None);
        assert_eq!(read("1-Jan-1970 01:00:00 +0000"), None);
    }

    #[test]
    fn calendar_goes_both_ways() {
        for days in (-800_000..800_000).step_by(37) {
            let (year, month, day) = civil_from_days(days);
            assert_eq!(days_from_civil(year, month, day), days);
        }
        assert_eq!(civil_from_days(11_016), (2000, 2, 29));
    }
}
