//! BODY and BODYSTRUCTURE (RFC 3501 section 7.4.2, RFC 9051 section 7.5.2).

use super::Writer;
use crate::dialect::{Dialect, Revision, Text};
use std::borrow::Cow;
use store::message::{Content, Part, join_parameters};

/// How deep a structure is shown; deeper parts are shown as opaque octets.
const NESTING: u32 = 120;

/// Whether extension fields are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extension {
    /// BODYSTRUCTURE.
    Shown,
    /// BODY.
    Left,
}

type Parameters = [(Vec<u8>, Vec<u8>)];

impl Writer {
    /// A message's structure, from its outermost part.
    pub fn body_structure(&mut self, part: &Part, extension: Extension) -> &mut Self {
        self.part(part, extension, 0)
    }

    /// One part. `depth` is capped, so recursion is.
    fn part(&mut self, part: &Part, extension: Extension, depth: u32) -> &mut Self {
        self.text("(");
        match &part.content {
            Content::Multipart(parts) if depth < NESTING && !parts.is_empty() => {
                for inner in parts {
                    self.part(inner, extension, depth + 1);
                }
                self.text(" ").string(&part.media_subtype);
                if extension == Extension::Shown {
                    self.text(" ").parameters(&part.parameters);
                    self.common_extension(part);
                }
                return self.text(")");
            }
            Content::Message(message) if depth < NESTING && is_message(part, self.dialect()) => {
                let (envelope, inner) = message.as_ref();
                self.media(&part.media_type, &part.media_subtype);
                self.fields(part).text(" ").envelope(envelope).text(" ");
                self.part(inner, extension, depth + 1)
                    .text(" ")
                    .number(part.body_lines);
            }
            Content::Single if part.media_type.eq_ignore_ascii_case(b"text") => {
                self.media(&part.media_type, &part.media_subtype);
                self.fields(part).text(" ").number(part.body_lines);
            }
            Content::Single if needs_structure(part, self.dialect()) => {
                // What claims to be multipart or message/rfc822 and is not read
                // as such would lack what its type asks for.
                self.media(b"application", b"octet-stream");
                self.fields(part);
            }
            // As RFC 3501 has message/global.
            Content::Message(_) if !is_message(part, self.dialect()) => {
                self.media(&part.media_type, &part.media_subtype);
                self.fields(part);
            }
            Content::Single => {
                self.media(&part.media_type, &part.media_subtype);
                self.fields(part);
            }
            Content::Multipart(_) | Content::Message(_) => {
                self.media(b"application", b"octet-stream");
                self.fields(part);
            }
        }
        if extension == Extension::Shown {
            self.text(" ").nstring(part.md5.as_deref());
            self.common_extension(part);
        }
        self.text(")")
    }

    fn media(&mut self, media_type: &[u8], subtype: &[u8]) -> &mut Self {
        self.string(media_type).text(" ").string(subtype)
    }

    /// `body-fields`: parameters, id, description, encoding, octets.
    fn fields(&mut self, part: &Part) -> &mut Self {
        self.text(" ")
            .parameters(&part.parameters)
            .text(" ")
            .nstring(part.id.as_deref())
            .text(" ")
            .nstring(part.description.as_deref())
            .text(" ")
            .string(&part.encoding)
            .text(" ")
            .number(part.body_octets)
    }

    /// `body-fld-param`. IMAP4rev2 wants joined what RFC 2231 cut; before, clients do that.
    fn parameters(&mut self, parameters: &Parameters) -> &mut Self {
        let parameters: Cow<'_, Parameters> = match self.dialect().revision {
            Revision::Rev1 => parameters.into(),
            Revision::Rev2 => join_parameters(parameters).into(),
        };
        if parameters.is_empty() {
            return self.text("NIL");
        }
        self.text("(");
        let mut space = "";
        for (name, value) in parameters.iter() {
            self.text(space).string(name).text(" ").string(value);
            space = " ";
        }
        self.text(")")
    }

    /// Disposition, language, location.
    fn common_extension(&mut self, part: &Part) -> &mut Self {
        self.text(" ");
        match &part.disposition {
            Some((kind, parameters)) => self
                .text("(")
                .string(kind)
                .text(" ")
                .parameters(parameters)
                .text(")"),
            None => self.text("NIL"),
        };
        self.text(" ");
        match part.language.as_slice() {
            [] => self.text("NIL"),
            [language] => self.string(language),
            languages => {
                self.text("(");
                let mut space = "";
                for language in languages {
                    self.text(space).string(language);
                    space = " ";
                }
                self.text(")")
            }
        };
        self.text(" ").nstring(part.location.as_deref())
    }
}

/// Whether a part's type promises inner structure.
fn needs_structure(part: &Part, dialect: Dialect) -> bool {
    part.media_type.eq_ignore_ascii_case(b"multipart")
        || part.media_type.eq_ignore_ascii_case(b"message")
            && (part.media_subtype.eq_ignore_ascii_case(b"rfc822")
                || part.media_subtype.eq_ignore_ascii_case(b"global"))
            && is_message(part, dialect)
}

/// Whether the structure of a message in a part is told: message/global is for who knows
/// UTF-8 what message/rfc822 is (RFC 9051 section 7.5.2, RFC 9755 section 6).
fn is_message(part: &Part, dialect: Dialect) -> bool {
    dialect.text == Text::Utf8 || !part.media_subtype.eq_ignore_ascii_case(b"global")
}

#[cfg(test)]
mod tests {
    use super::*;
    use store::message::Envelope;

    fn part(media_type: &str, subtype: &str, octets: u64, lines: u64, content: Content) -> Part {
        Part {
            media_type: media_type.into(),
            media_subtype: subtype.into(),
            parameters: Vec::new(),
            id: None,
            description: None,
            encoding: b"7BIT".to_vec(),
            md5: None,
            disposition: None,
            language: Vec::new(),
            location: None,
            header_start: 0,
            body_start: 0,
            end: 0,
            header_octets: 0,
            body_octets: octets,
            body_lines: lines,
            content,
        }
    }

    fn shown(part: &Part, extension: Extension) -> String {
        let mut writer = Writer::new();
        writer.body_structure(part, extension);
        String::from_utf8(writer.into_octets()).expect("ASCII")
    }

    /// The example of RFC 3501 section 7.4.2.
    #[test]
    fn shows_the_example() {
        let charset = (b"CHARSET".to_vec(), b"US-ASCII".to_vec());
        let mut first = part("TEXT", "PLAIN", 1152, 23, Content::Single);
        first.parameters = vec![charset.clone()];
        assert_eq!(
            shown(&first, Extension::Left),
            r#"("TEXT" "PLAIN" ("CHARSET" "US-ASCII") NIL NIL "7BIT" 1152 23)"#
        );
        let mut second = part("TEXT", "PLAIN", 4554, 73, Content::Single);
        second.parameters = vec![charset, (b"NAME".to_vec(), b"cc.diff".to_vec())];
        second.id = Some(b"<960723163407.20117h@cac.washington.edu>".to_vec());
        second.description = Some(b"Compiler diff".to_vec());
        second.encoding = b"BASE64".to_vec();
        let both = part(
            "MULTIPART",
            "MIXED",
            0,
            0,
            Content::Multipart(vec![first, second]),
        );
        assert_eq!(
            shown(&both, Extension::Left),
            concat!(
                r#"(("TEXT" "PLAIN" ("CHARSET" "US-ASCII") NIL NIL "7BIT" 1152 23)"#,
                r#"("TEXT" "PLAIN" ("CHARSET" "US-ASCII" "NAME" "cc.diff") "#,
                r#""<960723163407.20117h@cac.washington.edu>" "Compiler diff" "BASE64" 4554 73) "MIXED")"#
            )
        );
    }

    #[test]
    fn shows_extension_and_messages() {
        let mut image = part("image", "png", 9, 1, Content::Single);
        image.disposition = Some((
            b"attachment".to_vec(),
            vec![(b"filename".to_vec(), b"a\r\nb".to_vec())],
        ));
        image.language = vec![b"de".to_vec(), b"en".to_vec()];
        let inner = part("multipart", "mixed", 5, 1, Content::Multipart(vec![image]));
        let outer = part(
            "message",
            "rfc822",
            100,
            7,
            Content::Message(Box::new((Envelope::default(), inner))),
        );
        assert_eq!(
            shown(&outer, Extension::Shown),
            concat!(
                r#"("message" "rfc822" NIL NIL NIL "7BIT" 100 "#,
                "(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL) ",
                r#"(("image" "png" NIL NIL NIL "7BIT" 9 NIL ("attachment" ("filename" {4}"#,
                "\r\na\r\nb",
                r#")) ("de" "en") NIL) "mixed" NIL NIL NIL NIL) 7 NIL NIL NIL NIL)"#
            )
        );
    }

    #[test]
    fn depth_is_bounded() {
        let mut inner = part("text", "plain", 1, 1, Content::Single);
        for _ in 0..500 {
            inner = part("multipart", "mixed", 1, 1, Content::Multipart(vec![inner]));
        }
        let shown = shown(&inner, Extension::Left);
        assert!(shown.contains("octet-stream"));
        assert_eq!(shown.matches('(').count(), shown.matches(')').count());
    }
}
