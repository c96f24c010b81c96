//! Message IDs of References and In-Reply-To (RFC 5256 section 3, THREAD).

/// A longer one is no Message ID: no line of a message is longer (RFC 5322 section 2.1.1).
const ID_OCTETS: usize = 998;

/// The Message IDs of a field's value in order, in the form without quoting, so that
/// those are equal that mean the same. What is no Message ID is passed over.
pub fn message_ids(value: &[u8]) -> impl Iterator<Item = Vec<u8>> + '_ {
    let mut rest = value;
    std::iter::from_fn(move || {
        while let Some(begin) = memchr::memchr(b'<', rest) {
            rest = rest.get(begin + 1..).unwrap_or_default();
            let (id, after) = read(rest);
            rest = after;
            if id.is_some() {
                return id;
            }
        }
        None
    })
}

/// Reads what follows `<`: the ID, if there is one, and where to go on.
fn read(text: &[u8]) -> (Option<Vec<u8>>, &[u8]) {
    let mut id = Vec::new();
    let mut at = None;
    let mut is_quoted = false;
    let mut octets = text.iter().enumerate();
    while let Some((place, octet)) = octets.next() {
        match octet {
            b'"' => is_quoted = !is_quoted,
            b'\\' if is_quoted => id.extend(octets.next().map(|(_, octet)| *octet)),
            _ if is_quoted => id.push(*octet),
            // Blanks stand where a line was folded.
            b' ' | b'\t' | b'\r' | b'\n' => {}
            // The one before had no end.
            b'<' => return (None, text.get(place..).unwrap_or_default()),
            b'>' => {
                let is_id = at.is_some_and(|at| at > 0 && at + 1 < id.len());
                let id = (is_id && id.len() <= ID_OCTETS).then_some(id);
                return (id, text.get(place + 1..).unwrap_or_default());
            }
            b'@' => {
                at = Some(id.len());
                id.push(*octet);
            }
            _ => id.push(*octet),
        }
    }
    (None, &[])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(value: &str) -> Vec<String> {
        let ids = message_ids(value.as_bytes());
        ids.map(|id| String::from_utf8_lossy(&id).into_owned())
            .collect()
    }

    #[test]
    fn quoting_makes_no_difference() {
        // RFC 5256 section 3.
        let plain = ids("<01KF8JCEOCBS0045PS@xxx.yyy.com>");
        assert_eq!(ids("<\"01KF8JCEOCBS0045PS\"@xxx.yyy.com>"), plain);
        assert_eq!(plain, ["01KF8JCEOCBS0045PS@xxx.yyy.com"]);
        assert_eq!(ids("<\"a\\\"b>\"@c>"), ["a\"b>@c"]);
    }

    #[test]
    fn what_is_no_id_is_passed_over() {
        assert_eq!(ids("<a@b>\r\n\t<c@d>"), ["a@b", "c@d"]);
        assert_eq!(ids("Your message of <a@\r\n b> (was: <c>)"), ["a@b"]);
        assert_eq!(ids("<@b> <a@> <> < <a@b> x <a"), ["a@b"]);
        assert!(ids(&format!("<{}@b>", "a".repeat(ID_OCTETS))).is_empty());
        assert!(ids("\"a@b\"").is_empty());
        assert_eq!(ids(&"<\"".repeat(200_000)).len(), 0);
        assert_eq!(ids(&"<".repeat(400_000)).len(), 0);
    }
}
