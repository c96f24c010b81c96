//! Domains in ASCII: labels that are not become A-labels (RFC 5890, RFC 5891), in Punycode
//! (RFC 3492).

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// The longest label and the longest domain (RFC 1035 section 2.3.4).
const LABEL_OCTETS: usize = 63;
const DOMAIN_OCTETS: usize = 253;

/// A domain with A-labels for what is not ASCII; `None` where a label has characters that no
/// domain has, or is too long. Different domains stay different, but for case (RFC 5895).
pub(super) fn to_ascii(domain: &str) -> Option<String> {
    let labels: Option<Vec<String>> = domain.split('.').map(label_to_ascii).collect();
    let ascii = labels?.join(".");
    (ascii.len() <= DOMAIN_OCTETS).then_some(ascii)
}

fn label_to_ascii(label: &str) -> Option<String> {
    let ascii = match label.is_ascii() {
        true => label.to_owned(),
        // No such label could be encoded in 63 octets; what follows is quadratic.
        false if label.len() > 4 * LABEL_OCTETS => return None,
        false => {
            let label: String = label.to_lowercase().nfc().collect();
            let has_letters = label.chars().all(|letter| {
                letter == '-' || letter.is_alphanumeric() || is_combining_mark(letter)
            });
            let hyphens = label.starts_with('-') || label.ends_with('-');
            if !has_letters || hyphens || label.starts_with(is_combining_mark) {
                return None;
            }
            format!("xn--{}", punycode(&label)?)
        }
    };
    let is_octet = |octet: u8| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_');
    (!ascii.is_empty() && ascii.len() <= LABEL_OCTETS && ascii.bytes().all(is_octet))
        .then_some(ascii)
}

/// RFC 3492 section 6.3, with the parameters of section 5; `None` where a number overflows.
fn punycode(label: &str) -> Option<String> {
    let mut encoded: String = label.chars().filter(char::is_ascii).collect();
    let basic = u32::try_from(encoded.len()).ok()?;
    let all = u32::try_from(label.chars().count()).ok()?;
    if basic > 0 {
        encoded.push('-');
    }
    let (mut threshold, mut delta, mut bias, mut handled) = (128_u32, 0_u32, 72_u32, basic);
    while handled < all {
        let points = || label.chars().map(u32::from);
        let next = points().filter(|point| *point >= threshold).min()?;
        delta = next
            .checked_sub(threshold)?
            .checked_mul(handled.checked_add(1)?)?
            .checked_add(delta)?;
        threshold = next;
        for point in points() {
            if point < threshold {
                delta = delta.checked_add(1)?;
            }
            if point == threshold {
                push_delta(&mut encoded, delta, bias);
                bias = adapted(delta, handled + 1, handled == basic);
                delta = 0;
                handled += 1;
            }
        }
        delta = delta.checked_add(1)?;
        threshold = threshold.checked_add(1)?;
    }
    Some(encoded)
}

/// A delta as a variable-length integer (RFC 3492 section 3.3).
fn push_delta(encoded: &mut String, delta: u32, bias: u32) {
    let digit = |value: u32| match u8::try_from(value) {
        Ok(value @ 0..=25) => char::from(b'a' + value),
        Ok(value @ 26..=35) => char::from(b'0' + (value - 26)),
        // Digits are below the base, 36.
        _ => '-',
    };
    let mut rest = delta;
    let mut position = 36_u32;
    loop {
        let limit = position.saturating_sub(bias).clamp(1, 26);
        if rest < limit {
            break;
        }
        encoded.push(digit(limit + (rest - limit) % (36 - limit)));
        rest = (rest - limit) / (36 - limit);
        position += 36;
    }
    encoded.push(digit(rest));
}

/// RFC 3492 section 6.1.
fn adapted(delta: u32, points: u32, is_first: bool) -> u32 {
    let mut delta = delta / if is_first { 700 } else { 2 };
    delta += delta / points.max(1);
    let mut bias = 0;
    while delta > 455 {
        delta /= 35;
        bias += 36;
    }
    bias + 36 * delta / (delta + 38)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domains_become_ascii() {
        for (domain, ascii) in [
            ("b\u{fc}cher.example", "xn--bcher-kva.example"),
            ("B\u{dc}CHER.Example", "xn--bcher-kva.Example"),
            ("bu\u{308}cher.example", "xn--bcher-kva.example"),
            // RFC 3492 section 7.1.
            (
                "\u{4ed6}\u{4eec}\u{4e3a}\u{4ec0}\u{4e48}\u{4e0d}\u{8bf4}\u{4e2d}\u{6587}",
                "xn--ihqwcrb4cv8a8dqg056pqjye",
            ),
            (
                "3\u{5e74}b\u{7d44}\u{91d1}\u{516b}\u{5148}\u{751f}",
                "xn--3b-ww4c5e180e575a65lsy2b",
            ),
            ("plain.example", "plain.example"),
        ] {
            assert_eq!(to_ascii(domain).as_deref(), Some(ascii), "{domain}");
        }
    }

    #[test]
    fn what_is_no_domain_stays_none() {
        let long = format!("{}.example", "\u{fc}".repeat(60));
        for domain in [
            "",
            ".",
            "\u{fc}.",
            "\u{fc} x.example",
            "-\u{fc}.example",
            "\u{fc}-.example",
            "\u{301}a.example",
            "\u{fc}@x",
            "[\u{fc}]",
            "\u{202e}a",
            long.as_str(),
            "a b",
        ] {
            assert_eq!(to_ascii(domain), None, "{domain}");
        }
    }
}
