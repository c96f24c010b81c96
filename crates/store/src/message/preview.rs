//! [`preview`]: the first words of a message (RFC 8970).

use super::html::{HtmlText, Shown};
use super::{Content, Part};

/// How many characters a preview has at most (RFC 8970 section 3.3).
const CHARACTERS: usize = 200;
/// How much of one part is looked at: pages begin with long style sheets.
const LOOKED_AT_OCTETS: usize = 256 << 10;
/// How much of it is decoded at once.
const PIECE_OCTETS: usize = 4 << 10;
/// How many parts are looked at.
const PARTS: usize = 8;
/// A line longer than this is not looked at as one.
const LINE_CHARACTERS: usize = 2_000;

/// The first words that somebody wrote, on one line: the text of the first part that has
/// any, plain text before HTML where they say the same, without what is quoted, unless
/// all is. Empty where there is none, and of what is encrypted.
///
/// `text` is the beginning of the message, as its file has it.
pub(super) fn preview(text: &[u8], root: &Part) -> String {
    let mut parts = Vec::new();
    if !collect(root, &mut parts) {
        return String::new();
    }
    for quotes in [Quotes::Left, Quotes::Shown] {
        for part in &parts {
            let words = words(text, part, quotes);
            if words.is_encrypted {
                return String::new();
            }
            if !words.text.is_empty() {
                return words.text;
            }
        }
    }
    String::new()
}

/// Whether quoted text counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quotes {
    Left,
    Shown,
}

/// Collects the parts to look at, the best first; false if the message is encrypted. The
/// scanner caps how deep parts lie, so recursion is capped.
fn collect<'a>(part: &'a Part, parts: &mut Vec<&'a Part>) -> bool {
    if part.is(b"multipart", b"encrypted")
        || part.is(b"application", b"pkcs7-mime")
        || part.is(b"application", b"x-pkcs7-mime")
    {
        return false;
    }
    let disposition = part.disposition.as_ref();
    let is_attached = disposition.is_some_and(|(kind, _)| kind.eq_ignore_ascii_case(b"attachment"));
    if is_attached || parts.len() >= PARTS {
        return true;
    }
    match &part.content {
        Content::Multipart(inner) => {
            let mut inner: Vec<&Part> = inner.iter().take(PARTS).collect();
            if part.is(b"multipart", b"alternative") {
                inner.sort_by_key(|part| !part.is(b"text", b"plain"));
            }
            inner.into_iter().all(|part| collect(part, parts))
        }
        Content::Message(message) => collect(&message.1, parts),
        Content::Single => {
            if part.is(b"text", b"plain") || part.is(b"text", b"html") {
                parts.push(part);
            }
            true
        }
    }
}

/// The first words of a part.
fn words(text: &[u8], part: &Part, quotes: Quotes) -> Words {
    let place = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX);
    let (start, end) = (place(part.body_start), place(part.end).min(text.len()));
    let raw = text.get(start..end).unwrap_or_default();
    let raw = &raw[..raw.len().min(LOOKED_AT_OCTETS)];
    let (mut transfer, mut unicode) = part.decoders();
    let mut html = part.is(b"text", b"html").then(|| {
        HtmlText::showing(match quotes {
            Quotes::Left => Shown::Words,
            Quotes::Shown => Shown::WordsAndQuotes,
        })
    });
    let mut words = Words::new(match &html {
        // What begins with `>` in HTML is no quote.
        Some(_) => Quotes::Shown,
        None => quotes,
    });
    let (mut decoded, mut read) = (String::new(), String::new());
    for piece in raw.chunks(PIECE_OCTETS) {
        let octets = transfer.decode(piece, false);
        decoded.clear();
        unicode.decode(&octets, false, &mut decoded);
        match &mut html {
            None => words.push(&decoded),
            Some(html) => {
                read.clear();
                html.push(&decoded, &mut read);
                words.push(&read);
            }
        }
        if words.is_over {
            return words;
        }
    }
    decoded.clear();
    unicode.decode(&transfer.decode(b"", true), true, &mut decoded);
    match &mut html {
        None => words.push(&decoded),
        Some(html) => {
            read.clear();
            html.push(&decoded, &mut read);
            html.finish(&mut read);
            words.push(&read);
        }
    }
    words.end_line();
    words.end();
    words
}

/// Words as they are found, line by line.
struct Words {
    text: String,
    characters: usize,
    quotes: Quotes,
    /// The line that is being read.
    line: String,
    line_characters: usize,
    /// A line that may introduce a quote ("Ben wrote:"), to be said unless it does.
    introduction: String,
    /// Whether the fields before signed text (RFC 9580 section 7) are being read.
    in_armor: bool,
    is_encrypted: bool,
    /// Nothing more is needed.
    is_over: bool,
}

impl Words {
    fn new(quotes: Quotes) -> Self {
        Self {
            text: String::new(),
            characters: 0,
            quotes,
            line: String::new(),
            line_characters: 0,
            introduction: String::new(),
            in_armor: false,
            is_encrypted: false,
            is_over: false,
        }
    }

    fn push(&mut self, text: &str) {
        for character in text.chars() {
            if self.is_over {
                return;
            }
            if character == '\n' {
                self.end_line();
                continue;
            }
            self.line.push(character);
            self.line_characters += 1;
            if self.line_characters >= LINE_CHARACTERS {
                self.end_line();
            }
        }
    }

    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        self.line_characters = 0;
        let text = line.trim();
        match text {
            "-----BEGIN PGP MESSAGE-----" => {
                self.is_encrypted = true;
                self.is_over = true;
            }
            "-----BEGIN PGP SIGNED MESSAGE-----" => self.in_armor = true,
            "-----BEGIN PGP SIGNATURE-----" => self.end(),
            "" => self.in_armor = false,
            _ if self.in_armor => {}
            // RFC 3676 section 4.3; the blank is often lost.
            "--" => self.end(),
            _ if text.starts_with('>') && self.quotes == Quotes::Left => {
                self.introduction.clear();
            }
            _ => {
                let before = std::mem::take(&mut self.introduction);
                self.say(&before);
                if text.ends_with(':') && self.quotes == Quotes::Left {
                    self.introduction = text.to_owned();
                } else {
                    self.say(text.trim_start_matches(['>', ' ']));
                }
            }
        }
        // Reused for the next line.
        self.line = line;
        self.line.clear();
    }

    /// Nothing follows that could be quoted.
    fn end(&mut self) {
        let before = std::mem::take(&mut self.introduction);
        self.say(&before);
        self.is_over = true;
    }

    /// Adds words, one blank before each but the first.
    fn say(&mut self, line: &str) {
        let mut is_within = false;
        let mut joiner = None;
        for character in line.chars() {
            if character.is_whitespace() || character.is_control() {
                is_within = false;
                joiner = None;
                continue;
            }
            match joining(character) {
                Joining::No => {}
                // Newsletters fill the lines after their first words with them.
                Joining::Within => {
                    joiner = Some(character).filter(|_| is_within);
                    continue;
                }
                Joining::Never => continue,
            }
            if !is_within && self.characters > 0 {
                self.add(' ');
            }
            if let Some(joiner) = joiner.take() {
                self.add(joiner);
            }
            self.add(character);
            is_within = true;
            if self.is_over {
                return;
            }
        }
    }

    fn add(&mut self, character: char) {
        if self.characters < CHARACTERS {
            self.text.push(character);
            self.characters += 1;
        }
        if self.characters >= CHARACTERS {
            self.text.truncate(self.text.trim_end().len());
            self.is_over = true;
        }
    }
}

/// Whether a character without width has its place between two others.
enum Joining {
    /// It has a width.
    No,
    /// Joiners and non-joiners: in Persian, and between emoji.
    Within,
    /// Marks of byte order and direction, soft hyphens and the like.
    Never,
}

fn joining(character: char) -> Joining {
    match character {
        '\u{200c}' | '\u{200d}' => Joining::Within,
        '\u{ad}'
        | '\u{34f}'
        | '\u{61c}'
        | '\u{180e}'
        | '\u{200b}'
        | '\u{200e}'
        | '\u{200f}'
        | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{fe00}'..='\u{fe0e}'
        | '\u{feff}' => Joining::Never,
        _ => Joining::No,
    }
}

#[cfg(test)]
mod tests {
    use super::super::scan::scan;
    use super::*;

    fn shown(text: &str) -> String {
        shown_octets(text.as_bytes())
    }

    fn shown_octets(text: &[u8]) -> String {
        preview(text, &scan(text).root)
    }

    #[test]
    fn plain_text_is_on_one_line() {
        assert_eq!(
            shown("Subject: x\n\n  Hello,\r\n\r\n\tyou\u{a0}there\0 .\n"),
            "Hello, you there ."
        );
        assert_eq!(shown("Subject: x\n\n"), "");
        assert_eq!(shown(""), "");
        let long = format!("Subject: x\n\n{}", "w\u{f6}rd ".repeat(100));
        let text = shown(&long);
        assert_eq!(text.chars().count(), 199);
        assert!(text.ends_with("w\u{f6}rd"));
        let endless = format!("Subject: x\n\n{}", "x".repeat(100_000));
        assert_eq!(shown(&endless), "x".repeat(200));
    }

    #[test]
    fn quotes_and_signatures_are_left_out() {
        let reply = "Subject: x\n\nYes: it is.\n\nOn Monday, Ben wrote:\n\n> Is it?\n> Ben\nBye\n-- \nAnna\n";
        assert_eq!(shown(reply), "Yes: it is. Bye");
        assert_eq!(
            shown("Subject: x\n\nBen wrote:\n> a\n>> b\n"),
            "Ben wrote: a b"
        );
        assert_eq!(
            shown("Subject: x\n\nNote:\nthis\nand this:\n"),
            "Note: this and this:"
        );
    }

    #[test]
    fn signed_text_is_shown_and_encrypted_is_not() {
        let signed = "Subject: x\n\n-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\nHello\n-----BEGIN PGP SIGNATURE-----\n\niQ\n";
        assert_eq!(shown(signed), "Hello");
        assert_eq!(
            shown("Subject: x\n\n-----BEGIN PGP MESSAGE-----\n\nhQ\n"),
            ""
        );
        assert_eq!(
            shown(
                "Content-Type: multipart/encrypted; boundary=b\n\n--b\n\nVersion: 1\n--b\n\nx\n--b--\n"
            ),
            ""
        );
        assert_eq!(shown("Content-Type: application/pkcs7-mime\n\nMIAG\n"), "");
    }

    #[test]
    fn any_encoding_and_charset_is_read() {
        assert_eq!(
            shown(
                "Content-Type: text/plain; charset=iso-8859-1\nContent-Transfer-Encoding: quoted-printable\n\nGr=FC=\n=DFe\n"
            ),
            "Gr\u{fc}\u{df}e"
        );
        assert_eq!(
            shown(
                "Content-Type: text/plain; charset=gb18030\nContent-Transfer-Encoding: base64\n\nysC9\n58c=\n"
            ),
            "\u{4e16}\u{754c}\u{fffd}"
        );
        assert_eq!(shown_octets(b"Subject: x\n\ncaf\xe9"), "caf\u{e9}");
    }

    #[test]
    fn html_is_shown_as_it_is_read() {
        let html = "Content-Type: text/html\n\n<html><head><title>Title</title><style>p{}</style></head>\
            <body><p>Hello&nbsp;<b>Anna</b>,</p><a href='http://x/' title=t>click</a> <img alt='a cat'>\
            <blockquote>quoted <p>more</p></blockquote>&zwnj;&nbsp;&zwnj;&#847;&nbsp;bye</body></html>";
        assert_eq!(shown(html), "Hello Anna, click bye");
        assert_eq!(
            shown("Content-Type: text/html\n\n<blockquote>all of it</blockquote>"),
            "all of it"
        );
        let late = format!(
            "Content-Type: text/html\n\n<style>{}</style>late",
            "p { }\n".repeat(20_000)
        );
        assert_eq!(shown(&late), "late");
    }

    #[test]
    fn the_best_part_is_shown() {
        let alternative = |plain: &str| {
            format!(
                "Content-Type: multipart/alternative; boundary=b\n\n--b\nContent-Type: text/html\n\n<p>rich</p>\n--b\n\n{plain}\n--b--\n"
            )
        };
        assert_eq!(shown(&alternative("plain")), "plain");
        assert_eq!(shown(&alternative(" \n")), "rich");
        assert_eq!(
            shown(
                "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Disposition: attachment\n\nattached\n\
                 --b\nContent-Type: application/pdf\n\n%PDF\n--b\nContent-Type: message/rfc822\n\nSubject: y\n\ninner\n--b--\n"
            ),
            "inner"
        );
        assert_eq!(shown("Content-Type: image/png\n\nx\n"), "");
    }

    #[test]
    fn joiners_stay_within_words() {
        assert_eq!(
            shown(
                "Subject: x\n\n\u{645}\u{6cc}\u{200c}\u{62e} \u{202e}a\u{1f468}\u{200d}\u{1f469}\u{200d} b\n"
            ),
            "\u{645}\u{6cc}\u{200c}\u{62e} a\u{1f468}\u{200d}\u{1f469} b"
        );
    }

    const BREAKS: [char; 3] = ['\r', '\n', '\u{a0}'];

    proptest::proptest! {
        /// Whatever the text: no more than may be sent, on one line.
        #[test]
        fn previews_are_short_lines(text in "[a:> \\n\\r\u{200c}\u{a0}<p>&;é-]{0,600}", html: bool) {
            let header = if html { "Content-Type: text/html\n\n" } else { "X: y\n\n" };
            let text = shown(&format!("{header}{text}"));
            proptest::prop_assert!(text.chars().count() <= CHARACTERS);
            let is_line = !text.contains(BREAKS) && !text.contains("  ");
            proptest::prop_assert!(is_line);
            proptest::prop_assert_eq!(text.trim(), text.as_str());
        }
    }
}
