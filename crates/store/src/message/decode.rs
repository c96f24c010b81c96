//! Decoding: encoded words (RFC 2047), transfer encodings (RFC 2045), charsets.

use super::base64::Base64;
use super::header::HEADER_OCTETS;
use super::quoted_printable::{QuotedPrintable, unescape};
use encoding_rs::{CoderResult, Decoder, Encoding, WINDOWS_1252};

/// How long an encoded word may be; RFC 2047 allows 75, mailers write more.
const WORD_OCTETS: usize = 2_000;

/// The charset a label names; `None` where it names none or says nothing of what
/// 8-bit octets mean (mailers label UTF-8 as US-ASCII).
fn labelled(label: Option<&[u8]>) -> Option<&'static Encoding> {
    let label = label?.trim_ascii();
    if label.eq_ignore_ascii_case(b"us-ascii") || label.eq_ignore_ascii_case(b"ascii") {
        return None;
    }
    Encoding::for_label(label)
}

/// Turns octets into Unicode by charset label; without a usable label as UTF-8
/// where they are, otherwise as windows-1252.
pub(crate) fn to_unicode(octets: &[u8], charset: Option<&[u8]>) -> String {
    match (labelled(charset), std::str::from_utf8(octets)) {
        (Some(encoding), _) => encoding.decode_without_bom_handling(octets).0.into_owned(),
        (None, Ok(text)) => text.to_owned(),
        (None, Err(_)) => WINDOWS_1252
            .decode_without_bom_handling(octets)
            .0
            .into_owned(),
    }
}

/// Octets in a charset becoming Unicode piece by piece. Without a usable label
/// they are UTF-8 as long as they can be, and windows-1252 from there on.
pub(crate) struct Unicode {
    decoder: Option<Decoder>,
    /// The beginning of a character, of text without label.
    held: Vec<u8>,
}

impl Unicode {
    pub(crate) fn new(charset: Option<&[u8]>) -> Self {
        Self {
            decoder: labelled(charset).map(Encoding::new_decoder_with_bom_removal),
            held: Vec::new(),
        }
    }

    /// Appends what `octets` mean to `text`; `last` when no more come.
    pub(crate) fn decode(&mut self, octets: &[u8], last: bool, text: &mut String) {
        if let Some(decoder) = &mut self.decoder {
            push_decoded(decoder, octets, last, text);
            return;
        }
        let mut joined = std::mem::take(&mut self.held);
        joined.extend_from_slice(octets);
        match std::str::from_utf8(&joined) {
            Ok(valid) => text.push_str(valid),
            Err(error) => {
                let (valid, rest) = joined.split_at(error.valid_up_to());
                text.push_str(&String::from_utf8_lossy(valid));
                if error.error_len().is_none() && !last {
                    self.held = rest.to_vec();
                } else {
                    let decoder = WINDOWS_1252.new_decoder_without_bom_handling();
                    push_decoded(self.decoder.insert(decoder), rest, last, text);
                }
            }
        }
    }
}

fn push_decoded(decoder: &mut Decoder, mut octets: &[u8], last: bool, text: &mut String) {
    loop {
        let room = decoder.max_utf8_buffer_length(octets.len());
        text.reserve(room.unwrap_or(octets.len()));
        let (result, read, _) = decoder.decode_to_string(octets, text, last);
        octets = octets.get(read..).unwrap_or_default();
        if result == CoderResult::InputEmpty {
            return;
        }
    }
}

/// A Content-Transfer-Encoding that can be decoded (RFC 2045 section 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransferEncoding {
    /// 7bit, 8bit and binary.
    Identity,
    /// base64.
    Base64,
    /// quoted-printable.
    QuotedPrintable,
}

impl TransferEncoding {
    /// The encoding of this name in any case; `None` if it is not known.
    pub(crate) fn named(name: &[u8]) -> Option<Self> {
        let names: [(&[u8], Self); 5] = [
            (b"base64", Self::Base64),
            (b"quoted-printable", Self::QuotedPrintable),
            (b"7bit", Self::Identity),
            (b"8bit", Self::Identity),
            (b"binary", Self::Identity),
        ];
        let mut names = names.into_iter();
        let found = names.find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, encoding)| encoding)
    }
}

/// Content decoded piece by piece.
#[derive(Debug, Clone)]
pub(crate) enum Transfer {
    Identity,
    Base64(Base64),
    QuotedPrintable(QuotedPrintable),
}

impl Transfer {
    /// Decodes this encoding.
    pub(crate) fn of(encoding: TransferEncoding) -> Self {
        match encoding {
            TransferEncoding::Identity => Self::Identity,
            TransferEncoding::Base64 => Self::Base64(Base64::default()),
            TransferEncoding::QuotedPrintable => Self::QuotedPrintable(QuotedPrintable::default()),
        }
    }

    /// Decodes the encoding of this name, and leaves what has another as it is.
    pub(crate) fn new(encoding: &[u8]) -> Self {
        let encoding = TransferEncoding::named(encoding);
        Self::of(encoding.unwrap_or(TransferEncoding::Identity))
    }

    /// Decodes a piece; `last` when no more come.
    pub(crate) fn decode(&mut self, raw: &[u8], last: bool) -> Vec<u8> {
        match self {
            Self::Identity => raw.to_vec(),
            Self::Base64(base64) => base64.decode(raw),
            Self::QuotedPrintable(quoted_printable) => quoted_printable.decode(raw, last),
        }
    }
}

/// Decodes encoded words and 8-bit text to Unicode; of a value longer than headers are
/// read the first 1 MiB. Blanks between two encoded words go (RFC 2047 section 6.2), and two
/// neighbours of one charset are decoded together, since mailers cut characters.
pub fn decode_header(value: &[u8]) -> String {
    let mut rest = &value[..value.len().min(HEADER_OCTETS)];
    let mut text = String::new();
    let mut pending: Option<(Vec<u8>, Vec<u8>)> = None;
    while !rest.is_empty() {
        let start = memchr::memmem::find(rest, b"=?").unwrap_or(rest.len());
        let (plain, at) = rest.split_at(start);
        let word = encoded_word(at);
        let joins = pending.is_some() && word.is_some() && plain.trim_ascii().is_empty();
        if !joins {
            if let Some((charset, octets)) = pending.take() {
                text.push_str(&to_unicode(&octets, Some(&charset)));
            }
            push_plain(&mut text, plain);
        }
        match word {
            Some(word) => {
                match &mut pending {
                    Some((charset, octets)) if charset.eq_ignore_ascii_case(word.charset) => {
                        octets.extend(word.octets)
                    }
                    _ => {
                        if let Some((charset, octets)) =
                            pending.replace((word.charset.to_vec(), word.octets))
                        {
                            text.push_str(&to_unicode(&octets, Some(&charset)));
                        }
                    }
                }
                rest = &at[word.length..];
            }
            None if at.is_empty() => rest = at,
            None => {
                text.push_str("=?");
                rest = &at[2..];
            }
        }
    }
    if let Some((charset, octets)) = pending {
        text.push_str(&to_unicode(&octets, Some(&charset)));
    }
    text
}

fn push_plain(text: &mut String, plain: &[u8]) {
    let unfolded: Vec<u8> = plain
        .iter()
        .copied()
        .filter(|octet| !matches!(octet, b'\r' | b'\n'))
        .collect();
    text.push_str(&to_unicode(&unfolded, None));
}

struct EncodedWord<'a> {
    charset: &'a [u8],
    octets: Vec<u8>,
    length: usize,
}

/// The encoded word at the beginning, if there is one.
fn encoded_word(at: &[u8]) -> Option<EncodedWord<'_>> {
    let window = &at[..at.len().min(WORD_OCTETS)];
    let inner = window.strip_prefix(b"=?")?;
    let charset_end = memchr::memchr(b'?', inner)?;
    let charset = inner[..charset_end].split(|octet| *octet == b'*').next()?;
    let (encoding, content) = inner.get(charset_end + 1..)?.split_first()?;
    let content = content.strip_prefix(b"?")?;
    let end = memchr::memmem::find(content, b"?=")?;
    let raw = &content[..end];
    if charset.is_empty() || raw.contains(&b'?') {
        return None;
    }
    let octets = match encoding {
        b'B' | b'b' => Base64::default().decode(raw),
        b'Q' | b'q' => {
            let spaced: Vec<u8> = raw
                .iter()
                .map(|octet| if *octet == b'_' { b' ' } else { *octet })
                .collect();
            let mut octets = Vec::with_capacity(spaced.len());
            unescape(&spaced, &mut octets);
            octets
        }
        _ => return None,
    };
    Some(EncodedWord {
        charset,
        octets,
        length: 2 + charset_end + 3 + end + 2,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encoded_words() {
        assert_eq!(
            decode_header(b"=?ISO-8859-1?Q?a?= =?ISO-8859-1?Q?b?= c"),
            "ab c"
        );
        assert_eq!(decode_header(b"=?ISO-8859-1?Q?a_b?="), "a b");
        assert_eq!(
            decode_header(b"x =?utf-8?b?5LiW?=\r\n =?UTF-8?B?55WM?= y"),
            "x \u{4e16}\u{754c} y"
        );
        assert_eq!(
            decode_header(b"=?utf-8?b?5Lg=?= =?utf-8?b?lg==?="),
            "\u{4e16}"
        );
        assert_eq!(
            decode_header(b"=?x =?utf-8?q?=C3=A4?= caf\xe9"),
            "=?x \u{e4} caf\u{e9}"
        );
        assert_eq!(decode_header(b"=?utf-8?x?abc?="), "=?utf-8?x?abc?=");
    }

    fn by_mailparse(value: &[u8]) -> String {
        let header = [b"X: ", value].concat();
        mailparse::parse_header(&header).unwrap().0.get_value()
    }

    #[test]
    fn mailparse_reads_the_same() {
        for value in [
            "plain",
            "=?ISO-8859-1?Q?a?= =?ISO-8859-1?Q?b?= c",
            "=?utf-8?q?=C3=A4_x?= and =?iso-8859-15?B?pA==?=",
            "x =?utf-8?b?5LiW?=\r\n =?UTF-8?B?55WM?= y",
            "=?gb2312?B?ztLKxw==?= =?big5?B?p9o=?= =?shift_jis?B?g2WDWINn?=",
            "=?koi8-r?Q?=F0=D2=C9=D7=C5=D4?= =?windows-1251?Q?=CF=F0=E8?=",
            "folded\r\n text",
            "=?utf-8?x?abc?=",
            "a =? b ?= c",
        ] {
            let unfolded = crate::message::header::unfold(value.as_bytes());
            assert_eq!(
                decode_header(&unfolded),
                by_mailparse(value.as_bytes()),
                "{value}"
            );
        }
    }

    /// Why mailparse is not the one that decodes: a character that a mailer cut in
    /// two (many do) is lost to it.
    #[test]
    fn characters_cut_in_two_are_read_here() {
        let value = b"=?utf-8?b?5Lg=?= =?utf-8?b?lg==?=";
        assert_eq!(decode_header(value), "\u{4e16}");
        assert!(by_mailparse(value).contains('\u{fffd}'));
    }

    #[test]
    fn long_values_are_read_to_their_end() {
        let value = [&b"a@example.org, ".repeat(5000)[..], b"=?utf-8?q?=C3=A4?="].concat();
        assert!(decode_header(&value).ends_with("org, \u{e4}"));
    }

    #[test]
    fn hostile_values_stay_linear() {
        assert_eq!(decode_header(&b"=?".repeat(600_000)).len(), HEADER_OCTETS);
        assert_eq!(
            decode_header(&b"=?a?q?x".repeat(150_000)).len(),
            HEADER_OCTETS
        );
    }

    /// Decodes whole and in pieces of every small size; all must agree.
    fn transferred(encoding: &[u8], raw: &[u8]) -> Vec<u8> {
        let whole = Transfer::new(encoding).decode(raw, true);
        for size in 1..6 {
            let mut transfer = Transfer::new(encoding);
            let mut octets = Vec::new();
            for piece in raw.chunks(size) {
                octets.extend(transfer.decode(piece, false));
            }
            octets.extend(transfer.decode(b"", true));
            assert_eq!(octets, whole, "pieces of {size}");
        }
        whole
    }

    #[test]
    fn transfer_encodings_are_tolerant() {
        assert_eq!(transferred(b"BASE64", b"aGVs\r\nbG8=!!aGk="), b"hellohi");
        assert_eq!(
            transferred(b"quoted-printable", b"a=3D=\r\nb=zz==41="),
            b"a=b=zz=A"
        );
        assert_eq!(transferred(b"8bit", b"a=3D"), b"a=3D");
    }

    #[test]
    fn charsets_are_decoded_in_pieces() {
        let decoded = |octets: &[u8], charset: Option<&[u8]>| {
            let mut unicode = Unicode::new(charset);
            let mut text = String::new();
            for octet in octets.chunks(1) {
                unicode.decode(octet, false, &mut text);
            }
            unicode.decode(b"", true, &mut text);
            text
        };
        assert_eq!(decoded("gr\u{fc}n".as_bytes(), None), "gr\u{fc}n");
        assert_eq!(
            decoded("gr\u{fc}n".as_bytes(), Some(b"us-ascii")),
            "gr\u{fc}n"
        );
        assert_eq!(decoded(b"gr\xfcn \xc3", None), "gr\u{fc}n \u{c3}");
        assert_eq!(decoded(b"gr\xc3", Some(b"UTF-8")), "gr\u{fffd}");
        assert_eq!(
            decoded(b"\x1b$B@$3&\x1b(B", Some(b"iso-2022-jp")),
            "\u{4e16}\u{754c}"
        );
    }
}
