//! URLs of messages and their parts (RFC 5092 section 11, `imessagepart`).

use super::command::SectionText;
use super::cursor::Cursor;
use super::fetch;
use super::reading::Reading;
use std::num::NonZeroU32;

/// A longer URL is none.
pub(super) const URL_OCTETS: usize = 4096;

/// A message of the user's, or a part of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageUrl {
    /// The mailbox's name, decoded; `None` for the one that is selected.
    pub mailbox: Option<String>,
    /// The UIDVALIDITY the mailbox is to have.
    pub uid_validity: Option<NonZeroU32>,
    /// The message's UID.
    pub uid: NonZeroU32,
    /// The part's number; empty for the message itself.
    pub path: Vec<u32>,
    /// What of the part.
    pub text: SectionText,
    /// First octet and length (not 0; `None` for all that follows).
    pub partial: Option<(u64, Option<u64>)>,
}

impl MessageUrl {
    /// Reads a URL without server: `/mailbox;UIDVALIDITY=1/;UID=20/;SECTION=1.2`, all but
    /// mailbox and UID optional. With a mailbox selected (RFC 4469 section 3) it may be
    /// left out with its slash. `None` for all that names no message so.
    pub fn parse(url: &[u8]) -> Option<Self> {
        if url.len() > URL_OCTETS || !url.iter().all(u8::is_ascii_graphic) {
            return None;
        }
        let end = memchr::memchr(b';', url)?;
        let (head, mut rest) = url.split_at_checked(end)?;
        let mut mailbox = None;
        if let Some(mut name) = head.strip_prefix(b"/") {
            if let Some(before) = name.strip_suffix(b"/") {
                name = before;
                rest = url.get(end - 1..)?;
            }
            // RFC 5092 section 7.1: a leading slash of a name is encoded.
            if name.is_empty() || name.starts_with(b"/") || name.contains(&b'?') {
                return None;
            }
            mailbox = Some(String::from_utf8(percent_decode(name)?).ok()?);
        } else if !head.is_empty() {
            return None;
        }
        let mut uid_validity = None;
        let uid = if mailbox.is_none() {
            take(&mut rest, ";UID=")?
        } else {
            if let Some(number) = take(&mut rest, ";UIDVALIDITY=") {
                uid_validity = Some(nz_number(number)?);
            }
            take(&mut rest, "/;UID=")?
        };
        let uid = nz_number(uid)?;
        let (mut path, mut text) = (Vec::new(), SectionText::Whole);
        if let Some(section) = take(&mut rest, "/;SECTION=") {
            let section = percent_decode(section)?;
            let mut cursor = Cursor::reading(&section, Reading::default());
            (path, text) = fetch::section_spec(&mut cursor).ok()?;
            if !cursor.is_at_end() {
                return None;
            }
        }
        let mut partial = None;
        if let Some(range) = take(&mut rest, "/;PARTIAL=") {
            partial = Some(partial_range(range)?);
        }
        rest.is_empty().then_some(Self {
            mailbox,
            uid_validity,
            uid,
            path,
            text,
            partial,
        })
    }
}

/// Takes a parameter's value, if it comes next.
fn take<'a>(rest: &mut &'a [u8], name: &str) -> Option<&'a [u8]> {
    let (found, value) = rest.split_at_checked(name.len())?;
    if !found.eq_ignore_ascii_case(name.as_bytes()) {
        return None;
    }
    let end = memchr::memchr(b';', value).map_or(value.len(), |end| {
        let is_slash = end.checked_sub(1).and_then(|before| value.get(before)) == Some(&b'/');
        end - usize::from(is_slash)
    });
    let (value, after) = value.split_at_checked(end)?;
    *rest = after;
    Some(value)
}

fn nz_number(digits: &[u8]) -> Option<NonZeroU32> {
    let mut cursor = Cursor::reading(digits, Reading::default());
    let number = cursor.nz_number().ok()?;
    cursor.is_at_end().then_some(number)
}

/// `number ["." nz-number]`.
fn partial_range(range: &[u8]) -> Option<(u64, Option<u64>)> {
    let mut cursor = Cursor::reading(range, Reading::default());
    let first = cursor.number64().ok()?;
    let length = match cursor.eat(b'.') {
        true => Some(cursor.number64().ok().filter(|length| *length > 0)?),
        false => None,
    };
    cursor.is_at_end().then_some((first, length))
}

/// Decodes `%41` (RFC 3986 section 2.1).
fn percent_decode(encoded: &[u8]) -> Option<Vec<u8>> {
    let digit = |octet: u8| {
        let digit = (octet as char).to_digit(16)?;
        u8::try_from(digit).ok()
    };
    let mut decoded = Vec::with_capacity(encoded.len());
    let mut rest = encoded;
    while let Some((octet, after)) = rest.split_first() {
        rest = after;
        if *octet != b'%' {
            decoded.push(*octet);
            continue;
        }
        let ([high, low], after) = rest.split_first_chunk()?;
        decoded.push(digit(*high)? << 4 | digit(*low)?);
        rest = after;
    }
    Some(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str) -> Option<MessageUrl> {
        MessageUrl::parse(url.as_bytes())
    }

    #[test]
    fn messages_and_parts() {
        let whole = MessageUrl {
            mailbox: Some("Drafts".to_owned()),
            uid_validity: NonZeroU32::new(385_759_045),
            uid: NonZeroU32::new(20).expect("not 0"),
            path: Vec::new(),
            text: SectionText::Whole,
            partial: None,
        };
        let url = "/Drafts;UIDVALIDITY=385759045/;UID=20";
        assert_eq!(read(url), Some(whole.clone()));
        let header = MessageUrl {
            text: SectionText::Header,
            ..whole.clone()
        };
        assert_eq!(read(&format!("{url}/;section=HEADER")), Some(header));
        let part = MessageUrl {
            path: vec![1, 2],
            text: SectionText::Mime,
            partial: Some((5, Some(10))),
            ..whole.clone()
        };
        let url = format!("{url}/;SECTION=1.2.MIME/;partial=5.10");
        assert_eq!(read(&url), Some(part));
        let fields = read("/a/;UID=20/;SECTION=HEADER.FIELDS%20(To%20Cc)/;PARTIAL=7");
        let fields = fields.expect("a URL");
        let names = vec![b"To".to_vec(), b"Cc".to_vec()];
        assert_eq!(fields.text, SectionText::HeaderFields(names));
        assert_eq!(fields.partial, Some((7, None)));
        let name = |url| read(url).and_then(|url| url.mailbox);
        assert_eq!(
            name("/Z%C3%BCrich/2026/;UID=1").as_deref(),
            Some("Z\u{fc}rich/2026")
        );
        assert_eq!(name("/a%3bb/;UID=1").as_deref(), Some("a;b"));
        let selected = read(";UID=20/;SECTION=TEXT").expect("a URL");
        assert_eq!((selected.mailbox, selected.uid.get()), (None, 20));
    }

    #[test]
    fn what_is_no_message_of_ones_own_is_refused() {
        for url in [
            "",
            "/",
            "/INBOX",
            "/INBOX;UIDVALIDITY=1",
            "/INBOX;UID=1",
            "/INBOX;UIDVALIDITY=1;UID=1",
            "/INBOX;UIDVALIDITY=0/;UID=1",
            "/INBOX/;UID=0",
            "/INBOX/;UID=1/",
            "/INBOX/;UID=1/;SECTION=NONE",
            "/INBOX/;UID=1/;SECTION=1.",
            "/INBOX/;UID=1/;SECTION=HEADER%",
            "/INBOX/;UID=1/;PARTIAL=1.0",
            "/INBOX/;UID=1/;PARTIAL=1/;SECTION=1",
            "/INBOX/;UID=1;URLAUTH=anonymous",
            "/INBOX/;UID=1/;UID=1",
            "//host/INBOX/;UID=1",
            "imap://host/INBOX/;UID=1",
            "INBOX/;UID=1",
            "/;UID=1",
            "/IN BOX/;UID=1",
            "/%ff/;UID=1",
            "/INBOX?ALL",
            ";UIDVALIDITY=1/;UID=1",
        ] {
            assert_eq!(read(url), None, "{url}");
        }
        let long = format!("/{}/;UID=1", "x".repeat(URL_OCTETS));
        assert_eq!(read(&long), None);
    }

    proptest::proptest! {
        #[test]
        fn any_octets_are_read_or_refused(url in "[/;=%.a-cUIDVALTYSECNP0-9]{0,60}") {
            let _ = read(&url);
        }
    }
}
