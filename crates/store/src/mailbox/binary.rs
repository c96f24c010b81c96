//! Messages that are no text (RFC 3516 section 4.4): parts with octets that do not survive
//! in lines are kept in base64, so that whoever reads the message finds what was sent.

use super::Incoming;
use crate::message::{Content, Part, Summary, TransferEncoding, fields, header_octets};
use crate::{Error, OpenedMessage, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Octets of a line of base64 before they are encoded (RFC 2045 section 6.8).
const LINE_OCTETS: usize = 57;
/// How much is read at once: whole lines.
const PIECE_OCTETS: usize = 512 * LINE_OCTETS;

/// What is to be written instead of some octets of a message.
struct Change {
    start: u64,
    end: u64,
    with: With,
}

enum With {
    /// These.
    Octets(Vec<u8>),
    /// The same in base64.
    Base64,
}

/// Writes a message to `text`: content that is called binary, or that holds NUL and has
/// no encoding, in base64, all other octets as they are.
///
/// # Errors
/// [`Error::UnknownEncoding`] where NUL stands in a header, between parts or in what is
/// encoded already; and when the disk fails.
pub(super) fn make_text(binary: &OpenedMessage, text: &mut Incoming) -> Result<()> {
    let summary = Summary::read(binary)?;
    let mut changes = Vec::new();
    add_changes(binary, &summary.root, Place::Message, &mut changes)?;
    let mut position = 0;
    for change in changes {
        copy(binary, position, change.start, text)?;
        match change.with {
            With::Octets(octets) => write(&octets, text)?,
            With::Base64 => encode(binary, change.start, change.end, text)?,
        }
        position = change.end;
    }
    copy(binary, position, binary.file_octets, text)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// The message itself.
    Message,
    /// In it.
    Within,
}

/// The changes to a part and to those in it, in order. The scanner caps how deep parts
/// lie, so recursion is capped.
fn add_changes(
    binary: &OpenedMessage,
    part: &Part,
    place: Place,
    changes: &mut Vec<Change>,
) -> Result<()> {
    let is_binary = part.encoding.eq_ignore_ascii_case(b"binary");
    let identity = TransferEncoding::named(&part.encoding) == Some(TransferEncoding::Identity);
    let body = (part.body_start, part.end);
    match &part.content {
        Content::Single if is_binary || (identity && holds_nul(binary, body)?) => {
            if body.0 < body.1 {
                changes.push(relabelled(binary, part, "base64", place)?);
                changes.push(Change {
                    start: body.0,
                    end: body.1,
                    with: With::Base64,
                });
            }
            return Ok(());
        }
        // What contains parts can have no other (RFC 2045 section 6.4).
        _ if is_binary => changes.push(relabelled(binary, part, "8bit", place)?),
        _ => {}
    }
    match &part.content {
        Content::Single => Ok(()),
        Content::Multipart(parts) => parts
            .iter()
            .try_for_each(|inner| add_changes(binary, inner, Place::Within, changes)),
        Content::Message(message) => add_changes(binary, &message.1, Place::Within, changes),
    }
}

/// The header of a part with another encoding named.
fn relabelled(binary: &OpenedMessage, part: &Part, encoding: &str, place: Place) -> Result<Change> {
    let header = header_octets(binary, part)?;
    let label = format!("Content-Transfer-Encoding: {encoding}\r\n");
    let mut written = Vec::with_capacity(header.len() + label.len());
    let (mut copied, mut is_labelled, mut is_mime) = (0, false, false);
    let mut fields_end = 0;
    for field in fields(&header) {
        fields_end = field.start + field.lines.len();
        is_mime |= field.name.eq_ignore_ascii_case(b"mime-version");
        if field
            .name
            .eq_ignore_ascii_case(b"content-transfer-encoding")
        {
            written.extend_from_slice(&header[copied..field.start]);
            copied = fields_end;
            if !std::mem::replace(&mut is_labelled, true) {
                written.extend_from_slice(label.as_bytes());
            }
        }
    }
    if !is_labelled {
        written.extend_from_slice(&header[copied..fields_end]);
        copied = fields_end;
        if place == Place::Message && !is_mime {
            written.extend_from_slice(b"MIME-Version: 1.0\r\n");
        }
        written.extend_from_slice(label.as_bytes());
    }
    written.extend_from_slice(&header[copied..]);
    Ok(Change {
        start: part.header_start,
        end: part.header_start + header.len() as u64,
        with: With::Octets(written),
    })
}

fn holds_nul(binary: &OpenedMessage, (start, end): (u64, u64)) -> Result<bool> {
    let mut found = false;
    read(binary, start, end, |octets| {
        found = found || memchr::memchr(0, octets).is_some();
        Ok(())
    })?;
    Ok(found)
}

fn copy(binary: &OpenedMessage, start: u64, end: u64, text: &mut Incoming) -> Result<()> {
    read(binary, start, end, |octets| write(octets, text))
}

fn write(octets: &[u8], text: &mut Incoming) -> Result<()> {
    if memchr::memchr(0, octets).is_some() {
        return Err(Error::UnknownEncoding);
    }
    text.write(octets)
}

fn encode(binary: &OpenedMessage, start: u64, end: u64, text: &mut Incoming) -> Result<()> {
    let mut line_end = "";
    let mut lines = String::with_capacity(PIECE_OCTETS / 2 * 3);
    read(binary, start, end, |octets| {
        lines.clear();
        for line in octets.chunks(LINE_OCTETS) {
            lines.push_str(line_end);
            STANDARD.encode_string(line, &mut lines);
            line_end = "\r\n";
        }
        text.write(lines.as_bytes())
    })?;
    if end == binary.file_octets {
        text.write(b"\r\n")?;
    }
    Ok(())
}

/// Gives octets in pieces, each but the last of [`PIECE_OCTETS`].
fn read(
    binary: &OpenedMessage,
    start: u64,
    end: u64,
    mut take: impl FnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    let most = end.saturating_sub(start).min(PIECE_OCTETS as u64);
    let mut piece = vec![0; usize::try_from(most).unwrap_or(PIECE_OCTETS)];
    let mut position = start;
    while position < end {
        let wanted = usize::try_from(end - position).unwrap_or(PIECE_OCTETS);
        let wanted = wanted.min(piece.len());
        let mut filled = 0;
        while filled < wanted {
            let into = &mut piece[filled..wanted];
            let count = binary.file.read_at(into, position + filled as u64);
            match count.map_err(|error| Error::io("read a message", error))? {
                0 => {
                    let ended = std::io::ErrorKind::UnexpectedEof.into();
                    return Err(Error::io("read a message", ended));
                }
                count => filled += count,
            }
        }
        take(&piece[..filled])?;
        position += filled as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Account, Layout, MailboxName};
    use std::io::Read;

    /// The message as it is kept, or why it is not; and what its parts hold.
    fn kept(binary: &[u8], paths: &[&[u32]]) -> Result<(String, Vec<Vec<u8>>)> {
        let directory = tempfile::tempdir().unwrap();
        let layout = Layout {
            delimiter: '/',
            prefix: String::new(),
        };
        let account = Account::open(directory.path(), layout).unwrap();
        let mailbox = account.mailbox(&MailboxName::inbox()).unwrap();
        let mut incoming = mailbox.begin_append()?;
        incoming.take_binary();
        for piece in binary.chunks(7) {
            incoming.write(piece)?;
        }
        let uids = mailbox.append(vec![incoming])?;
        let message = mailbox.open_message(uids[0])?;
        let summary = mailbox.summary(uids[0])?;
        let whole = message.whole()?;
        let snapshot = mailbox.snapshot();
        assert_eq!(snapshot.of_uid(uids[0]).unwrap().size_octets, whole.octets);
        let mut text = String::new();
        let mut reader = message.reader(whole, 0, u64::MAX)?;
        reader.read_to_string(&mut text).unwrap();
        let content = |path: &&[u32]| {
            let (extent, encoding) = summary.content(path).unwrap();
            let mut reader = message.decoded(extent, encoding.unwrap(), 0).unwrap();
            let mut octets = Vec::new();
            reader.read_to_end(&mut octets).unwrap();
            octets
        };
        assert_eq!(
            std::fs::read_dir(directory.path().join("tmp"))
                .unwrap()
                .count(),
            0
        );
        Ok((text, paths.iter().map(content).collect()))
    }

    #[test]
    fn binary_parts_come_back_octet_by_octet() {
        let long: Vec<u8> = (0..100_000_u32).map(|place| (place * 7) as u8).collect();
        let message = [
            b"Subject: x\r\nContent-Type: multipart/mixed; boundary=b\r\n\
              Content-Transfer-Encoding: BINARY\r\n\r\n\
              --b\r\ncontent-transfer-ENCODING:\r\n binary\r\nX: 1\r\n\r\n",
            &long[..],
            b"\r\n--b\r\n\r\nplain\r\n--b\r\nX: 2\r\n\r\na\0b\n\r\n--b--\r\n",
        ]
        .concat();
        let (text, contents) = kept(&message, &[&[1], &[2], &[3]]).unwrap();
        assert_eq!(contents[0], long);
        assert_eq!(contents[1], b"plain");
        assert_eq!(contents[2], b"a\0b\n");
        let head = "Subject: x\r\nContent-Type: multipart/mixed; boundary=b\r\n\
             Content-Transfer-Encoding: 8bit\r\n\r\n\
             --b\r\nContent-Transfer-Encoding: base64\r\nX: 1\r\n\r\nAAcO";
        assert!(text.starts_with(head), "{}", &text[..300]);
        let tail = "\r\n--b\r\n\r\nplain\r\n--b\r\nX: 2\r\n\
             Content-Transfer-Encoding: base64\r\n\r\nYQBiCg==\r\n--b--\r\n";
        assert!(text.ends_with(tail), "{}", &text[text.len() - 200..]);
    }

    #[test]
    fn what_is_text_stays_as_it_is() {
        let message = "Subject: x\r\nContent-Transfer-Encoding: 8bit\r\n\r\ngr\u{fc}n\r\n\r\n";
        let (text, _) = kept(message.as_bytes(), &[]).unwrap();
        assert_eq!(text, message);
        let (text, contents) = kept(b"Subject: x\r\n\r\n\0", &[&[1]]).unwrap();
        assert_eq!(
            text,
            "Subject: x\r\nMIME-Version: 1.0\r\nContent-Transfer-Encoding: base64\r\n\r\nAA==\r\n"
        );
        assert_eq!(contents, [b"\0"]);
    }

    #[test]
    fn nul_that_no_encoding_keeps_is_refused() {
        for message in [
            &b"Subject: \0\r\n\r\nx"[..],
            b"Content-Type: multipart/mixed; boundary=b\r\n\r\n\0\r\n--b\r\n\r\nx\r\n--b--\r\n",
            b"Content-Transfer-Encoding: base64\r\n\r\n\0",
            b"Content-Transfer-Encoding: x-own\r\n\r\n\0",
        ] {
            let refused = kept(message, &[]);
            assert!(matches!(refused, Err(Error::UnknownEncoding)));
        }
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(40))]

        /// Whatever is sent is refused or kept without NUL, and a part called binary
        /// comes back as it was.
        #[test]
        fn nothing_is_lost(content in proptest::collection::vec(proptest::prelude::any::<u8>(), 1..300)) {
            let header = b"MIME-Version: 1.0\r\nContent-Transfer-Encoding: binary\r\n\r\n";
            let (text, contents) = kept(&[&header[..], &content].concat(), &[&[1]]).unwrap();
            proptest::prop_assert!(!text.contains('\0'));
            proptest::prop_assert_eq!(&contents[0], &content);
        }
    }
}
