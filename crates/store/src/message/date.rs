//! The Date field.

/// How much of a field is looked at.
const DATE_OCTETS: usize = 256;

const MONTHS: [&str; 12] = [
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
];

/// The Date field as seconds since 1970 UTC and its own zone's offset in seconds
/// east of UTC (RFC 5322 section 3.3, obsolete years and zones included). A zone
/// that is not known is UTC (section 4.3), and so is one that is absent; a time that is
/// none is midnight (RFC 5256 section 2.2).
pub fn parse_date(value: &[u8]) -> Option<(i64, i32)> {
    let text = without_comments(value.get(..DATE_OCTETS).unwrap_or(value));
    let mut words = text.split_ascii_whitespace().peekable();
    words.next_if(|word| word.chars().all(char::is_alphabetic));
    let day = number(words.next()?, 2).filter(|day| (1..=31).contains(day))?;
    let month = month(words.next()?)?;
    let year = year(words.next()?)?;
    let mut seconds = days_since_1970(year, month, day) * 86_400;
    if let Some(time) = words.next() {
        seconds += time_of_day(time).unwrap_or(0);
    }
    let zone = words.next().map_or(0, zone);
    Some((seconds - i64::from(zone), zone))
}

/// The text without comments; commas become blanks.
fn without_comments(value: &[u8]) -> String {
    let mut depth = 0_usize;
    let mut text = String::new();
    for octet in value {
        match octet {
            b'(' => depth += 1,
            b')' => depth = depth.saturating_sub(1),
            _ if depth > 0 => {}
            b',' => text.push(' '),
            octet => text.push(char::from(*octet)),
        }
    }
    text
}

fn number(word: &str, digits: usize) -> Option<i64> {
    let fits = (1..=digits).contains(&word.len()) && word.bytes().all(|o| o.is_ascii_digit());
    fits.then(|| word.parse().ok()).flatten()
}

/// Months from 1.
fn month(word: &str) -> Option<i64> {
    let short = word.get(..3)?.to_ascii_lowercase();
    let place = MONTHS.iter().position(|month| *month == short)?;
    i64::try_from(place + 1).ok()
}

fn year(word: &str) -> Option<i64> {
    let year = number(word, 4)?;
    match word.len() {
        2 if year < 50 => Some(2000 + year),
        2 | 3 => Some(1900 + year),
        4 => Some(year),
        _ => None,
    }
}

fn time_of_day(word: &str) -> Option<i64> {
    let mut fields = word.split(':');
    let hour = number(fields.next()?, 2).filter(|hour| *hour < 24)?;
    let minute = number(fields.next()?, 2).filter(|minute| *minute < 60)?;
    let second = fields
        .next()
        .map_or(Some(0), |second| number(second, 2))
        .filter(|second| *second <= 60)?;
    Some(hour * 3600 + minute * 60 + second)
}

/// Days of the Gregorian calendar, months and days from 1.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    // Years that begin in March put the leap day last.
    let year = if month < 3 { year - 1 } else { year };
    let month = (month + 9) % 12;
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    365 * year + leap_days + (153 * month + 2) / 5 + day - 1 - 719_468
}

fn zone(word: &str) -> i32 {
    let hours = match word.to_ascii_uppercase().as_str() {
        "EDT" => -4,
        "EST" | "CDT" => -5,
        "CST" | "MDT" => -6,
        "MST" | "PDT" => -7,
        "PST" => -8,
        _ => 0,
    };
    if hours != 0 {
        return hours * 3600;
    }
    let (sign, digits) = match (word.strip_prefix('+'), word.strip_prefix('-')) {
        (Some(digits), _) => (1, digits),
        (_, Some(digits)) => (-1, digits),
        _ => return 0,
    };
    if digits.len() != 4 {
        return 0;
    }
    let offset = number(digits, 4)
        .filter(|offset| offset % 100 < 60 && *offset < 2400)
        .and_then(|offset| i32::try_from(offset / 100 * 3600 + offset % 100 * 60).ok());
    sign * offset.unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_and_zones() {
        for (date, expected) in [
            (
                "Mon, 2 Nov 2026 10:00:00 +0130 (CET (x))",
                (1_793_608_200, 5400),
            ),
            ("2 Nov 2026 10:00:00 GMT", (1_793_613_600, 0)),
            ("Mon,2 Nov 26 10:00\t-0800", (1_793_642_400, -28_800)),
            (
                "(c) Mon, 02 November 2026 10:00:00 PST",
                (1_793_642_400, -28_800),
            ),
            ("2 Nov 2026 10:00:00 CEST", (1_793_613_600, 0)),
            ("2 Nov 2026 10:00:00 +9999", (1_793_613_600, 0)),
            ("1 Jan 70 00:00:00", (0, 0)),
            ("29 Feb 2000 00:00:00 +0000", (951_782_400, 0)),
            ("1 Mar 1900 00:00:00 +0000", (-2_203_891_200, 0)),
            ("31 Dec 9999 23:59:60 +0000", (253_402_300_800, 0)),
            ("2 Nov 2026 24:00:00 +0000", (1_793_577_600, 0)),
            ("2 Nov 2026 -1:00:00", (1_793_577_600, 0)),
        ] {
            assert_eq!(parse_date(date.as_bytes()), Some(expected), "{date}");
        }
    }

    #[test]
    fn what_is_no_date_is_none() {
        for date in [
            "",
            "nonsense",
            "november rain",
            "2 Nov",
            "0 Nov 2026",
            "32 Nov 2026 10:00:00 +0000",
            "2 Nov 99999999999999 10:00:00 +0000",
            "+2 Nov 2026 10:00:00",
            "2 N\u{f6}v 2026 10:00:00",
        ] {
            assert_eq!(parse_date(date.as_bytes()), None, "{date}");
        }
    }
}
