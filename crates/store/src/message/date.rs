//! The Date field.

/// How much of a field is looked at.
const DATE_OCTETS: usize = 256;

const MONTHS: [&str; 12] = [
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
];

/// The Date field as seconds since 1970 UTC and its own zone's offset in seconds
/// east of UTC (RFC 5322 section 3.3, obsolete zones included).
pub fn parse_date(value: &[u8]) -> Option<(i64, i32)> {
    let text = String::from_utf8_lossy(value.get(..DATE_OCTETS).unwrap_or(value)).into_owned();
    let without_comment = text.split('(').next().unwrap_or_default().trim();
    // The library takes what it does not understand for 1970.
    let lower = without_comment.to_ascii_lowercase();
    if !MONTHS.iter().any(|month| lower.contains(month)) {
        return None;
    }
    let seconds = mailparse::dateparse(without_comment).ok()?;
    Some((
        seconds,
        zone(without_comment.split_ascii_whitespace().next_back()?),
    ))
}

fn zone(word: &str) -> i32 {
    let named = match word.to_ascii_uppercase().as_str() {
        "EDT" => Some(-4),
        "EST" | "CDT" => Some(-5),
        "CST" | "MDT" => Some(-6),
        "MST" | "PDT" => Some(-7),
        "PST" => Some(-8),
        _ => None,
    };
    if let Some(hours) = named {
        return hours * 3600;
    }
    let Some((sign, digits)) = word.split_at_checked(1) else {
        return 0;
    };
    let sign = match sign {
        "+" => 1,
        "-" => -1,
        _ => return 0,
    };
    match digits.parse::<i32>() {
        Ok(number) if digits.len() == 4 => sign * (number / 100 * 3600 + number % 100 * 60),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_and_zones() {
        assert_eq!(
            parse_date(b"Mon, 2 Nov 2026 10:00:00 +0130 (CET)"),
            Some((1_793_608_200, 5400))
        );
        assert_eq!(
            parse_date(b"2 Nov 2026 10:00:00 GMT"),
            Some((1_793_613_600, 0))
        );
        assert_eq!(parse_date(b"nonsense"), None);
        assert_eq!(zone("-0800"), -28_800);
    }
}
