//! [`Facts`]: what a message is sorted and threaded by, as it is kept beside its summary.

use super::message_id::message_ids;
use super::subject::{Reply, base_subject};
use store::message::{Address, Envelope, decode_header, header_values, parse_date};

/// No longer text is kept, in octets: what follows hardly ever decides an order.
const TEXT_OCTETS: usize = 1000;
/// So many references of a message count: the first, and the last ones. Mailers shorten
/// the field in the same way, and threading is made to cope (RFC 5256 section 3, 1.A).
const REFERENCES: usize = 100;
/// How long they are altogether, in octets.
const REFERENCES_OCTETS: usize = 16 << 10;

/// A text to sort by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Text {
    /// The base subject.
    Subject,
    /// addr-mailbox of the first From address.
    From,
    /// The same of To.
    To,
    /// The same of Cc.
    Cc,
    /// What is displayed of the first From address (RFC 5957).
    DisplayFrom,
    /// The same of To.
    DisplayTo,
}

/// How many there are.
const TEXTS: usize = 6;

/// What is kept of a message. Texts are decoded, but not folded: that is the comparator's.
#[derive(Debug, Default)]
pub struct Facts<'a> {
    /// The Date field, in seconds since 1970 UTC, if it can be read.
    pub sent: Option<i64>,
    reply: bool,
    texts: [&'a str; TEXTS],
    /// The Message ID.
    pub message_id: Option<&'a [u8]>,
    /// Of which messages it is a reply, the first one first.
    pub references: Vec<&'a [u8]>,
}

impl<'a> Facts<'a> {
    /// A text.
    pub fn text(&self, text: Text) -> &'a str {
        self.texts.get(text as usize).copied().unwrap_or_default()
    }

    /// Whether the subject is a reply's.
    pub fn reply(&self) -> Reply {
        match self.reply {
            true => Reply::Yes,
            false => Reply::No,
        }
    }

    /// Reads what [`facts`] made; `None` for anything else. References are read where
    /// they are asked for.
    pub fn read(octets: &'a [u8], references: WithReferences) -> Option<Self> {
        let mut reader = Reader(octets);
        let flags = reader.octet()?;
        let date = reader.take(8)?;
        let mut facts = Self {
            sent: (flags & HAS_DATE != 0)
                .then(|| date.try_into().ok().map(i64::from_le_bytes))
                .flatten(),
            reply: flags & IS_REPLY != 0,
            ..Self::default()
        };
        for text in &mut facts.texts {
            *text = std::str::from_utf8(reader.string()?).ok()?;
        }
        facts.message_id = Some(reader.string()?).filter(|id| !id.is_empty());
        if references == WithReferences::Yes {
            while !reader.0.is_empty() {
                facts.references.push(reader.string()?);
            }
        }
        Some(facts)
    }
}

/// Whether references are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WithReferences {
    /// They are.
    Yes,
    /// They are not.
    No,
}

const HAS_DATE: u8 = 1;
const IS_REPLY: u8 = 2;

/// What [`Facts::read`] reads: made of a message's envelope and of a header with its
/// References.
pub fn facts(envelope: &Envelope, header: &[u8]) -> Vec<u8> {
    let subject = envelope.subject.as_deref().unwrap_or_default();
    let (subject, reply) = base_subject(&decode_header(subject));
    let sent = envelope.date.as_deref().and_then(parse_date);
    let mut flags = 0;
    if sent.is_some() {
        flags |= HAS_DATE;
    }
    if reply == Reply::Yes {
        flags |= IS_REPLY;
    }
    let mut out = vec![flags];
    out.extend_from_slice(&sent.map_or(0, |(seconds, _)| seconds).to_le_bytes());
    string(&mut out, cut(&subject).as_bytes());
    for addresses in [&envelope.from, &envelope.to, &envelope.cc] {
        string(&mut out, cut(&mailbox(addresses)).as_bytes());
    }
    for addresses in [&envelope.from, &envelope.to] {
        string(&mut out, cut(&display(addresses)).as_bytes());
    }
    let own = envelope.message_id.as_deref().unwrap_or_default();
    string(&mut out, &message_ids(own).next().unwrap_or_default());
    for reference in references(envelope, header) {
        string(&mut out, &reference);
    }
    out
}

/// All Message IDs of References, or the first one of In-Reply-To (RFC 5256 section 3).
fn references(envelope: &Envelope, header: &[u8]) -> Vec<Vec<u8>> {
    let values = header_values(header, b"references");
    let mut ids = values.iter().flat_map(|value| message_ids(value));
    let first = ids.next();
    let Some(first) = first else {
        let replied = envelope.in_reply_to.as_deref().unwrap_or_default();
        return message_ids(replied).next().into_iter().collect();
    };
    let mut latest = std::collections::VecDeque::new();
    let mut octets = first.len();
    for id in ids {
        octets += id.len();
        latest.push_back(id);
        while latest.len() >= REFERENCES || octets > REFERENCES_OCTETS {
            octets -= latest.pop_front().map_or(0, |id| id.len());
        }
    }
    std::iter::once(first).chain(latest).collect()
}

/// addr-mailbox of the first address.
fn mailbox(addresses: &[Address]) -> String {
    let mailbox = addresses.first().and_then(|first| first.mailbox.as_deref());
    decode_header(mailbox.unwrap_or_default())
}

/// RFC 5957 section 3.
fn display(addresses: &[Address]) -> String {
    let Some(first) = addresses.first() else {
        return String::new();
    };
    let name = decode_header(first.name.as_deref().unwrap_or_default());
    if !name.is_empty() {
        return name;
    }
    let mailbox = mailbox(addresses);
    match (&first.mailbox, &first.host) {
        (Some(_), Some(host)) => format!("{mailbox}@{}", decode_header(host)),
        _ => mailbox,
    }
}

/// The beginning of a text.
fn cut(text: &str) -> &str {
    let mut end = text.len().min(TEXT_OCTETS);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

/// Lengths take one octet, or three that begin with 255.
fn string(out: &mut Vec<u8>, octets: &[u8]) {
    match u8::try_from(octets.len()) {
        Ok(length) if length < u8::MAX => out.push(length),
        _ => {
            out.push(u8::MAX);
            let length = u16::try_from(octets.len()).unwrap_or(u16::MAX);
            out.extend_from_slice(&length.to_le_bytes());
        }
    }
    out.extend_from_slice(
        octets
            .get(..octets.len().min(u16::MAX.into()))
            .unwrap_or(octets),
    );
}

/// What is left to be read.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }
    fn octet(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }
    fn string(&mut self) -> Option<&'a [u8]> {
        let length = match self.octet()? {
            u8::MAX => u16::from_le_bytes(self.take(2)?.try_into().ok()?).into(),
            length => length.into(),
        };
        self.take(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(name: Option<&str>, mailbox: Option<&str>, host: Option<&str>) -> Address {
        let octets = |text: Option<&str>| text.map(|text| text.as_bytes().to_vec());
        Address {
            name: octets(name),
            route: None,
            mailbox: octets(mailbox),
            host: octets(host),
        }
    }

    #[test]
    fn facts_come_back_as_they_were() {
        let envelope = Envelope {
            date: Some(b"31 Dec 2000 16:01:33 -0800".to_vec()),
            subject: Some(b"Re: =?utf-8?q?Gr=C3=BC=C3=9Fe?=".to_vec()),
            from: vec![address(
                Some("=?utf-8?q?=C3=84nn?="),
                Some("ann"),
                Some("x.org"),
            )],
            to: vec![address(None, Some("bob"), Some("x.org"))],
            cc: vec![address(None, Some("group"), None), Address::default()],
            message_id: Some(b"<\"2\"@x>".to_vec()),
            in_reply_to: Some(b"<0@x>".to_vec()),
            ..Envelope::default()
        };
        let octets = facts(&envelope, b"References: <0@x>\r\n <1@x>\r\n\r\n");
        let read = Facts::read(&octets, WithReferences::Yes).expect("facts");
        // RFC 5256 section 2.2.
        assert_eq!(read.sent, Some(978_307_293));
        assert_eq!(read.reply(), Reply::Yes);
        let texts = [
            (Text::Subject, "Gr\u{fc}\u{df}e"),
            (Text::From, "ann"),
            (Text::To, "bob"),
            (Text::Cc, "group"),
            (Text::DisplayFrom, "\u{c4}nn"),
            (Text::DisplayTo, "bob@x.org"),
        ];
        for (text, expected) in texts {
            assert_eq!(read.text(text), expected);
        }
        assert_eq!(read.message_id, Some(&b"2@x"[..]));
        assert_eq!(read.references, [b"0@x", b"1@x"]);
        for cut in 0..octets.len() - 8 {
            assert!(Facts::read(&octets[..cut], WithReferences::Yes).is_none());
        }
        // Without References the first of In-Reply-To counts.
        let octets = facts(&envelope, b"References: none\r\n\r\n");
        let read = Facts::read(&octets, WithReferences::Yes).expect("facts");
        assert_eq!(read.references, [b"0@x"]);
    }

    #[test]
    fn absent_fields_are_empty() {
        let octets = facts(&Envelope::default(), b"");
        let read = Facts::read(&octets, WithReferences::Yes).expect("facts");
        assert_eq!((read.sent, read.message_id), (None, None));
        assert!(read.texts.iter().all(|text| text.is_empty()));
        assert!(read.references.is_empty());
        assert_eq!(display(&[address(None, None, Some("x"))]), "");
        assert_eq!(display(&[address(Some(""), Some("a"), None)]), "a");
    }

    #[test]
    fn hostile_messages_stay_short() {
        let many: String = (0..10_000)
            .map(|number| format!(" <{number}@x>\r\n"))
            .collect();
        let envelope = Envelope {
            subject: Some("\u{e4}".repeat(100_000).into_bytes()),
            ..Envelope::default()
        };
        let octets = facts(&envelope, format!("References:{many}\r\n").as_bytes());
        let read = Facts::read(&octets, WithReferences::Yes).expect("facts");
        assert_eq!(read.references.len(), REFERENCES);
        assert_eq!(read.references.first(), Some(&&b"0@x"[..]));
        assert_eq!(read.references.last(), Some(&&b"9999@x"[..]));
        assert_eq!(read.text(Text::Subject).len(), TEXT_OCTETS);
        let long: String = (0..100)
            .map(|number| format!(" <{number}{}@x>\r\n", "y".repeat(900)))
            .collect();
        let octets = facts(&envelope, format!("References:{long}\r\n").as_bytes());
        assert!(octets.len() < REFERENCES_OCTETS + 2000);
        assert!(Facts::read(&octets, WithReferences::Yes).is_some());
    }

    proptest::proptest! {
        #[test]
        fn any_octets_are_read_or_refused(octets: Vec<u8>) {
            let _ = Facts::read(&octets, WithReferences::Yes);
        }
    }
}
