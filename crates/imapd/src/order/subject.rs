//! The base subject (RFC 5256 section 2.1).

/// Whether a subject is one of a reply or of a message that was forwarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    /// It is: base subject extraction removed a `subj-refwd`, a `(fwd)` or a `[fwd: ]`
    /// (RFC 5256 section 3, THREAD).
    Yes,
    /// It is not.
    No,
}

/// The base subject of a subject whose encoded words are decoded, in time linear to its
/// length.
pub fn base_subject(subject: &str) -> (String, Reply) {
    let text = single_spaces(subject);
    let mut rest = Subject {
        text: text.as_bytes(),
        reply: Reply::No,
    };
    loop {
        rest.remove_trailers();
        rest.remove_leaders();
        if !rest.unwrap_forwarded() {
            break;
        }
    }
    // All that was removed is ASCII, so that what is left is whole characters.
    let base = String::from_utf8_lossy(rest.text).into_owned();
    (base, rest.reply)
}

/// Step 1: tabs and continuations are spaces, and several spaces are one.
fn single_spaces(subject: &str) -> String {
    let mut text = String::with_capacity(subject.len());
    for character in subject.chars() {
        match character {
            ' ' | '\t' | '\r' | '\n' if text.ends_with(' ') => {}
            ' ' | '\t' | '\r' | '\n' => text.push(' '),
            character => text.push(character),
        }
    }
    text
}

/// What is left of a subject.
struct Subject<'a> {
    text: &'a [u8],
    reply: Reply,
}

impl Subject<'_> {
    /// Step 2: `subj-trailer`, as often as there is one.
    fn remove_trailers(&mut self) {
        const FORWARDED: &[u8] = b"(fwd)";
        loop {
            if let Some(rest) = self.text.strip_suffix(b" ") {
                self.text = rest;
                continue;
            }
            let split = self.text.len().checked_sub(FORWARDED.len());
            match split.and_then(|at| self.text.split_at_checked(at)) {
                Some((rest, end)) if end.eq_ignore_ascii_case(FORWARDED) => {
                    self.text = rest;
                    self.reply = Reply::Yes;
                }
                _ => return,
            }
        }
    }

    /// Steps 3 to 5: `subj-leader`, and `subj-blob` where something is left after it.
    fn remove_leaders(&mut self) {
        loop {
            while let Some(rest) = self.text.strip_prefix(b" ") {
                self.text = rest;
            }
            let (mut after, mut last) = (self.text, None);
            while let Some(rest) = after_blob(after) {
                last = Some(after);
                after = rest;
            }
            // All blobs go, with what they precede or for themselves. So whether one is
            // looked for at each blob or only after the last makes no difference, but
            // for the time that many of them take.
            match (after_refwd(after), last) {
                (Some(rest), _) => {
                    self.text = rest;
                    self.reply = Reply::Yes;
                }
                (None, Some(last)) if after.is_empty() => {
                    self.text = last;
                    return;
                }
                (None, _) => {
                    self.text = after;
                    return;
                }
            }
        }
    }

    /// Step 6: what is within `[fwd: ]`, if that is all there is.
    fn unwrap_forwarded(&mut self) -> bool {
        let inner = strip_prefix(self.text, b"[fwd:").and_then(|rest| rest.strip_suffix(b"]"));
        if let Some(inner) = inner {
            self.text = inner;
            self.reply = Reply::Yes;
        }
        inner.is_some()
    }
}

fn strip_prefix<'a>(text: &'a [u8], prefix: &[u8]) -> Option<&'a [u8]> {
    let (start, rest) = text.split_at_checked(prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then_some(rest)
}

/// What follows a `subj-blob`.
fn after_blob(text: &[u8]) -> Option<&[u8]> {
    let inner = text.strip_prefix(b"[")?;
    let end = memchr::memchr3(b'[', b']', 0, inner)?;
    let mut rest = inner.get(end..)?.strip_prefix(b"]")?;
    while let Some(after) = rest.strip_prefix(b" ") {
        rest = after;
    }
    Some(rest)
}

/// What follows a `subj-refwd`.
fn after_refwd(text: &[u8]) -> Option<&[u8]> {
    let mut rest = ["re", "fwd", "fw"]
        .iter()
        .find_map(|word| strip_prefix(text, word.as_bytes()))?;
    while let Some(after) = rest.strip_prefix(b" ") {
        rest = after;
    }
    after_blob(rest).unwrap_or(rest).strip_prefix(b":")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn artifacts_are_removed() {
        for (subject, base, reply) in [
            ("", "", Reply::No),
            ("  a \t b\r\n c ", "a b c", Reply::No),
            ("Re: a", "a", Reply::Yes),
            ("RE:RE : Fw:fWD: a", "a", Reply::Yes),
            ("re[2]: a", "a", Reply::Yes),
            ("Re [2] : a", "a", Reply::Yes),
            ("Re: [list] Re: a", "a", Reply::Yes),
            ("[list] a", "a", Reply::No),
            ("[list] [other]a", "a", Reply::No),
            ("[one] [two]  ", "[two]", Reply::No),
            ("[one][two] Re: ", "", Reply::Yes),
            ("Re: [only]", "[only]", Reply::Yes),
            ("a (fwd) (FWD)", "a", Reply::Yes),
            ("(fwd)", "", Reply::Yes),
            ("[fwd: a]", "a", Reply::Yes),
            ("[Fwd: Re: [x] a (fwd)] ", "a", Reply::Yes),
            ("[list] [fwd: [fwd: a]]", "a", Reply::Yes),
            // The prefix is a blob as well, and something is left after it.
            ("[fwd: a] b", "b", Reply::No),
            ("[fwd: a", "[fwd: a", Reply::No),
            ("Re a", "Re a", Reply::No),
            ("Re: [a] [b", "[b", Reply::Yes),
            ("Regarding: a", "Regarding: a", Reply::No),
            ("AW: a", "AW: a", Reply::No),
            ("re: \u{4e16}\u{754c} (fwd)", "\u{4e16}\u{754c}", Reply::Yes),
            ("Re:", "", Reply::Yes),
        ] {
            assert_eq!(base_subject(subject), (base.to_owned(), reply), "{subject}");
        }
    }

    /// Time that grew with the square of the length would take minutes.
    #[test]
    fn hostile_subjects_take_linear_time() {
        let size = 300_000;
        for (unit, end) in [
            ("[a]", "x"),
            ("[a]", ""),
            ("[fwd: ", "]"),
            ("re:", ""),
            ("[", "]"),
            ("re [", ":"),
            ("x (fwd)", " (fwd)"),
            ("[a]re:", "b"),
        ] {
            base_subject(&(unit.repeat(size) + end));
            base_subject(&("[fwd: ".repeat(size) + unit + &"]".repeat(size) + end));
        }
        let closed = "[fwd: ".repeat(size) + "a" + &"]".repeat(size);
        assert_eq!(base_subject(&closed), ("a".to_owned(), Reply::Yes));
    }

    /// The steps as the RFC has them, one removal at a time.
    fn step_by_step(subject: &str) -> (String, Reply) {
        let text = single_spaces(subject);
        let (mut text, mut reply) = (text.as_bytes(), Reply::No);
        loop {
            let mut trimmed = Subject { text, reply };
            trimmed.remove_trailers();
            (text, reply) = (trimmed.text, trimmed.reply);
            loop {
                if let Some(rest) = text.strip_prefix(b" ") {
                    text = rest;
                    continue;
                }
                let mut after = text;
                while let Some(rest) = after_blob(after) {
                    after = rest;
                }
                if let Some(rest) = after_refwd(after) {
                    text = rest;
                    reply = Reply::Yes;
                    continue;
                }
                match after_blob(text).filter(|rest| !rest.is_empty()) {
                    Some(rest) => text = rest,
                    None => break,
                }
            }
            let mut wrapped = Subject { text, reply };
            let again = wrapped.unwrap_forwarded();
            (text, reply) = (wrapped.text, wrapped.reply);
            if !again {
                return (String::from_utf8_lossy(text).into_owned(), reply);
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn it_is_the_rfcs_procedure(
            pieces in proptest::collection::vec(
                proptest::sample::select(vec![
                    "re", ":", " ", "[", "]", "a", "fw", "fwd", "[fwd:", "(fwd)", "[b]", "\u{e9}",
                ]),
                0..14,
            ),
        ) {
            let subject = pieces.concat();
            proptest::prop_assert_eq!(base_subject(&subject), step_by_step(&subject));
        }
    }
}
