//! User names and passwords as they are compared (RFC 4013, SASLprep): what looks the same
//! is the same, however a keyboard composes it.

use std::borrow::Cow;

/// A user's name as the users file has it; `None` where none can be so.
pub fn name(text: &str) -> Option<Cow<'_, str>> {
    stringprep::saslprep(text).ok()
}

/// A password as it is hashed. What is no UTF-8 text stays as it is, and so does text with
/// characters that SASLprep, which is of 2002, does not know; `None` for text with control
/// characters.
pub fn password(octets: &[u8]) -> Option<Cow<'_, [u8]>> {
    match std::str::from_utf8(octets) {
        Ok(text) if !text.is_ascii() => match stringprep::saslprep(text) {
            Ok(Cow::Borrowed(text)) => Some(Cow::Borrowed(text.as_bytes())),
            Ok(Cow::Owned(text)) => Some(Cow::Owned(text.into_bytes())),
            Err(_) if text.contains(char::is_control) => None,
            Err(_) => Some(Cow::Borrowed(octets)),
        },
        Ok(_) | Err(_) => Some(Cow::Borrowed(octets)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_the_same_is_the_same() {
        assert_eq!(name("a\u{308}nna").as_deref(), Some("\u{e4}nna"));
        assert_eq!(name("\u{ff21}nna").as_deref(), Some("Anna"));
        assert_eq!(name("an\u{ad}na").as_deref(), Some("anna"));
        assert_eq!(name("a\u{7}").as_deref(), None);
        assert_eq!(
            password("gru\u{308}n".as_bytes()).as_deref(),
            Some("gr\u{fc}n".as_bytes())
        );
        assert_eq!(
            password("\u{1f600}".as_bytes()).as_deref(),
            Some("\u{1f600}".as_bytes())
        );
        assert_eq!(password(b"\xff").as_deref(), Some(&b"\xff"[..]));
        assert_eq!(password("\u{fc}\u{7}".as_bytes()).as_deref(), None);
    }
}
