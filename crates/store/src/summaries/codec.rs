//! How a summary is kept: numbers in seven bits an octet, strings with their lengths.

use crate::message::{Address, Content, Envelope, Part, Summary};

/// No deeper nesting is read.
const DEPTH: usize = 128;

/// A summary as octets.
pub(crate) fn encode(summary: &Summary) -> Vec<u8> {
    let mut out = Vec::with_capacity(512);
    optional(&mut out, summary.listed_header.as_deref());
    string(&mut out, summary.preview.as_bytes());
    number(&mut out, summary.size_octets);
    envelope(&mut out, &summary.envelope);
    part(&mut out, &summary.root);
    out
}

/// The reverse of [`encode`]; `None` for anything it does not make.
pub(super) fn decode(octets: &[u8]) -> Option<Summary> {
    let mut reader = Reader(octets);
    let listed_header = reader.optional()?;
    let preview = reader.text()?;
    let summary = Summary {
        size_octets: reader.number()?,
        envelope: reader.envelope()?,
        root: reader.part(DEPTH)?,
        listed_header,
        preview,
    };
    reader.0.is_empty().then_some(summary)
}

/// The listed header of what [`encode`] made; it comes first, so that nothing else is
/// read.
pub(super) fn decode_listed_header(octets: &[u8]) -> Option<Option<Vec<u8>>> {
    Reader(octets).optional()
}

/// The preview of what [`encode`] made.
pub(super) fn decode_preview(octets: &[u8]) -> Option<String> {
    let mut reader = Reader(octets);
    reader.optional()?;
    reader.text()
}

fn number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn string(out: &mut Vec<u8>, octets: &[u8]) {
    number(out, octets.len() as u64);
    out.extend_from_slice(octets);
}

fn optional(out: &mut Vec<u8>, octets: Option<&[u8]>) {
    match octets {
        None => out.push(0),
        Some(octets) => {
            number(out, octets.len() as u64 + 1);
            out.extend_from_slice(octets);
        }
    }
}

fn pairs(out: &mut Vec<u8>, pairs: &[(Vec<u8>, Vec<u8>)]) {
    number(out, pairs.len() as u64);
    for (name, value) in pairs {
        string(out, name);
        string(out, value);
    }
}

fn envelope(out: &mut Vec<u8>, envelope: &Envelope) {
    for text in [
        &envelope.date,
        &envelope.subject,
        &envelope.in_reply_to,
        &envelope.message_id,
    ] {
        optional(out, text.as_deref());
    }
    for addresses in envelope.address_lists() {
        number(out, addresses.len() as u64);
        for address in addresses {
            for text in [
                &address.name,
                &address.route,
                &address.mailbox,
                &address.host,
            ] {
                optional(out, text.as_deref());
            }
        }
    }
}

fn part(out: &mut Vec<u8>, shown: &Part) {
    for text in [&shown.media_type, &shown.media_subtype, &shown.encoding] {
        string(out, text);
    }
    for text in [&shown.id, &shown.description, &shown.md5, &shown.location] {
        optional(out, text.as_deref());
    }
    pairs(out, &shown.parameters);
    match &shown.disposition {
        None => out.push(0),
        Some((value, parameters)) => {
            out.push(1);
            string(out, value);
            pairs(out, parameters);
        }
    }
    number(out, shown.language.len() as u64);
    for language in &shown.language {
        string(out, language);
    }
    for place in places(shown) {
        number(out, place);
    }
    match &shown.content {
        Content::Single => out.push(0),
        Content::Multipart(parts) => {
            out.push(1);
            number(out, parts.len() as u64);
            for inner in parts {
                part(out, inner);
            }
        }
        Content::Message(message) => {
            out.push(2);
            envelope(out, &message.0);
            part(out, &message.1);
        }
    }
}

fn places(part: &Part) -> [u64; 6] {
    [
        part.header_start,
        part.body_start,
        part.end,
        part.header_octets,
        part.body_octets,
        part.body_lines,
    ]
}

/// What is left to be read.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn octet(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }
    fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let octet = self.octet()?;
            number |= u64::from(octet & 0x7f).checked_shl(shift)?;
            if octet < 0x80 {
                return Some(number);
            }
        }
        None
    }
    /// A count of things of at least one octet each.
    fn count(&mut self) -> Option<usize> {
        let count = usize::try_from(self.number()?).ok()?;
        (count <= self.0.len()).then_some(count)
    }
    fn take(&mut self, length: usize) -> Option<Vec<u8>> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken.to_vec())
    }
    fn string(&mut self) -> Option<Vec<u8>> {
        let length = self.count()?;
        self.take(length)
    }
    fn text(&mut self) -> Option<String> {
        String::from_utf8(self.string()?).ok()
    }
    fn optional(&mut self) -> Option<Option<Vec<u8>>> {
        match usize::try_from(self.number()?).ok()?.checked_sub(1) {
            None => Some(None),
            Some(length) => Some(Some(self.take(length)?)),
        }
    }
    fn pairs(&mut self) -> Option<Vec<(Vec<u8>, Vec<u8>)>> {
        (0..self.count()?)
            .map(|_| Some((self.string()?, self.string()?)))
            .collect()
    }
    fn addresses(&mut self) -> Option<Vec<Address>> {
        let count = self.count()?;
        let address = |_| {
            Some(Address {
                name: self.optional()?,
                route: self.optional()?,
                mailbox: self.optional()?,
                host: self.optional()?,
            })
        };
        (0..count).map(address).collect()
    }
    fn envelope(&mut self) -> Option<Envelope> {
        Some(Envelope {
            date: self.optional()?,
            subject: self.optional()?,
            in_reply_to: self.optional()?,
            message_id: self.optional()?,
            from: self.addresses()?,
            sender: self.addresses()?,
            reply_to: self.addresses()?,
            to: self.addresses()?,
            cc: self.addresses()?,
            bcc: self.addresses()?,
        })
    }
    /// A part with at most `depth` levels of parts in it.
    fn part(&mut self, depth: usize) -> Option<Part> {
        let depth = depth.checked_sub(1)?;
        Some(Part {
            media_type: self.string()?,
            media_subtype: self.string()?,
            encoding: self.string()?,
            id: self.optional()?,
            description: self.optional()?,
            md5: self.optional()?,
            location: self.optional()?,
            parameters: self.pairs()?,
            disposition: match self.octet()? {
                0 => None,
                1 => Some((self.string()?, self.pairs()?)),
                _ => return None,
            },
            language: (0..self.count()?)
                .map(|_| self.string())
                .collect::<Option<_>>()?,
            header_start: self.number()?,
            body_start: self.number()?,
            end: self.number()?,
            header_octets: self.number()?,
            body_octets: self.number()?,
            body_lines: self.number()?,
            content: match self.octet()? {
                0 => Content::Single,
                1 => {
                    let count = self.count()?;
                    Content::Multipart(
                        (0..count)
                            .map(|_| self.part(depth))
                            .collect::<Option<_>>()?,
                    )
                }
                2 => Content::Message(Box::new((self.envelope()?, self.part(depth)?))),
                _ => return None,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MESSAGE: &str = "From: Ben <ben@example.org>\r\nTo: a@b, g: c@d;\r\nSubject: =?utf-8?q?x?=\r\n\
        Date: Mon, 2 Nov 2026 10:00:00 +0000\r\nMessage-ID: <1@x>\r\nIn-Reply-To: <0@x>\r\n\
        Content-Type: multipart/mixed; boundary=b\r\nContent-Language: de, en\r\n\r\n--b\r\n\
        Content-Type: text/plain; charset=utf-8\r\nContent-ID: <p>\r\nContent-MD5: m\r\n\
        Content-Description: d\r\nContent-Location: l\r\n\r\ntext\r\n--b\r\n\
        Content-Type: message/rfc822\r\nContent-Disposition: attachment; filename=x\r\n\r\n\
        Subject: inner\r\n\r\ninner text\r\n--b--\r\n";

    fn summary() -> Summary {
        let mut summary = crate::message::tests_scan(MESSAGE.as_bytes());
        summary.listed_header = Some(b"Subject: =?utf-8?q?x?=\r\n\r\n".to_vec());
        summary.preview = "text \u{e9}".to_owned();
        summary
    }

    #[test]
    fn summaries_come_back_as_they_were() {
        let summary = summary();
        let octets = encode(&summary);
        let back = decode(&octets).unwrap();
        assert_eq!(format!("{back:?}"), format!("{summary:?}"));
        assert_eq!(decode_preview(&octets), Some(summary.preview));
        for cut in 0..octets.len() {
            assert!(decode(&octets[..cut]).is_none(), "{cut}");
        }
    }

    #[test]
    fn deep_nesting_is_refused() {
        let mut part = summary().root;
        part.content = Content::Single;
        for _ in 0..DEPTH {
            part = Part {
                content: Content::Multipart(vec![part.clone()]),
                ..part
            };
        }
        let mut deep = summary();
        deep.root = part;
        assert!(decode(&encode(&deep)).is_none());
    }

    proptest! {
        #[test]
        fn any_octets_are_read_or_refused(place in 0..400_usize, octet: u8, junk: Vec<u8>) {
            let mut octets = encode(&summary());
            let length = octets.len();
            octets[place % length] = octet;
            let _ = decode(&octets);
            let _ = decode(&junk);
        }
    }
}
