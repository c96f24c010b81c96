//! Quoted-printable (RFC 2045 section 6.7), decoded piece by piece.

/// A line beyond this is decoded before its end is known; RFC 2045 allows 76 octets.
const LINE_OCTETS: usize = 4 << 10;

/// Quoted-printable on its way. What is no escape stays as it is.
#[derive(Debug, Clone, Default)]
pub(super) struct QuotedPrintable {
    /// The beginning of a line.
    held: Vec<u8>,
}

impl QuotedPrintable {
    /// Decodes a piece; `last` when no more come. Blanks at a line's end were added on
    /// the way and go (rule 3); `=` there says that the line goes on (rule 5).
    pub(super) fn decode(&mut self, raw: &[u8], last: bool) -> Vec<u8> {
        let mut octets = Vec::with_capacity(self.held.len() + raw.len());
        let mut rest = raw;
        while let Some(place) = memchr::memchr(b'\n', rest) {
            let (line, after) = rest.split_at(place + 1);
            if self.held.is_empty() {
                unescape_line(line, &mut octets);
            } else {
                self.held.extend_from_slice(line);
                unescape_line(&self.held, &mut octets);
                self.held.clear();
            }
            rest = after;
        }
        self.held.extend_from_slice(rest);
        if last {
            unescape_line(&self.held, &mut octets);
            self.held.clear();
        } else if self.held.len() > LINE_OCTETS {
            let solid = self.held.len() - count_blanks(&self.held);
            // An escape takes two octets after its `=`.
            let tail = solid.saturating_sub(2);
            let cut = match memchr::memchr(b'=', &self.held[tail..solid]) {
                Some(place) => tail + place,
                None => solid,
            };
            let cut = if cut == 0 { self.held.len() } else { cut };
            unescape(&self.held[..cut], &mut octets);
            self.held.drain(..cut);
        }
        octets
    }
}

/// How many blanks end a text, a CR among them.
fn count_blanks(text: &[u8]) -> usize {
    let blanks = text.iter().rev();
    blanks
        .take_while(|octet| matches!(octet, b' ' | b'\t' | b'\r'))
        .count()
}

/// Decodes a line, whose end may be missing.
fn unescape_line(line: &[u8], octets: &mut Vec<u8>) {
    let text = line.strip_suffix(b"\n").unwrap_or(line);
    let text = match text.len() < line.len() {
        true => text.strip_suffix(b"\r").unwrap_or(text),
        false => text,
    };
    let line_end = &line[text.len()..];
    let blanks = text.iter().rev();
    let blanks = blanks.take_while(|octet| matches!(octet, b' ' | b'\t'));
    let text = &text[..text.len() - blanks.count()];
    match text.strip_suffix(b"=") {
        Some(text) => unescape(text, octets),
        None => {
            unescape(text, octets);
            octets.extend_from_slice(line_end);
        }
    }
}

/// Decodes the escapes of a text without line ends.
pub(super) fn unescape(text: &[u8], octets: &mut Vec<u8>) {
    let digit = |octet: u8| {
        (octet as char)
            .to_digit(16)
            .and_then(|digit| u8::try_from(digit).ok())
    };
    let mut rest = text;
    while let Some(position) = memchr::memchr(b'=', rest) {
        octets.extend_from_slice(&rest[..position]);
        rest = &rest[position + 1..];
        let escaped = match rest {
            [high, low, ..] => digit(*high).zip(digit(*low)),
            _ => None,
        };
        match escaped {
            Some((high, low)) => {
                octets.push(high << 4 | low);
                rest = &rest[2..];
            }
            None => octets.push(b'='),
        }
    }
    octets.extend_from_slice(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(raw: &[u8], size: usize) -> Vec<u8> {
        let mut state = QuotedPrintable::default();
        let mut octets = Vec::new();
        for piece in raw.chunks(size) {
            octets.extend(state.decode(piece, false));
        }
        octets.extend(state.decode(b"", true));
        octets
    }

    #[test]
    fn line_ends_are_as_rfc_2045_says() {
        let cases: [(&[u8], &[u8]); 9] = [
            (b"a=3D=\r\nb=zz==41=", b"a=b=zz=A"),
            (b"soft = \t\r\nbreak  \r\nend \t", b"soft break\r\nend"),
            (b"kept=20\r\n", b"kept \r\n"),
            (b"a=\nb\n", b"ab\n"),
            (b"a\r=3d\r\n", b"a\r=\r\n"),
            (b"=c3=A9=", "\u{e9}".as_bytes()),
            (b"=3", b"=3"),
            (b"==\r\n=\r\n==3D", b"===" as &[u8]),
            (b"", b""),
        ];
        for (raw, expected) in cases {
            for size in 1..7 {
                assert_eq!(decoded(raw, size), expected, "{raw:?} in pieces of {size}");
            }
        }
    }

    #[test]
    fn endless_lines_are_decoded_as_they_come() {
        for unit in [&b"=41"[..], b"x", b" ", b"= ", b"a =\r"] {
            let raw = unit.repeat(20_000);
            let mut state = QuotedPrintable::default();
            let mut count = 0;
            for piece in raw.chunks(100) {
                count += state.decode(piece, false).len();
                assert!(state.held.len() <= LINE_OCTETS + 100);
            }
            count += state.decode(b"", true).len();
            assert!(count > 15_000 || unit == b"= ", "{count} of {unit:?}");
        }
        assert_eq!(decoded(&b"=41".repeat(9000), 1000), b"A".repeat(9000));
    }
}
