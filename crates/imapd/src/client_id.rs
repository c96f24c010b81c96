//! ID (RFC 2971), and what Apple Mail says in it of a background download.

use crate::commands::Outcome;
use crate::rules::Told;
use crate::session::{ImapSession, Work};
use wire::{Action, Load};

/// Whether a client's ID says that nobody waits for what it will do.
///
/// Apple Mail (iOS 18.5 and later, TN3189) tells in a field `event` what a connection is
/// for; values that hold `indexer` or `back-fill` are downloads in the background, and
/// `NO [UNAVAILABLE]` has it come again later.
pub(crate) fn is_background(fields: &[(Vec<u8>, Option<Vec<u8>>)]) -> bool {
    fields.iter().any(|(name, value)| {
        let value = value.as_deref().unwrap_or_default().to_ascii_lowercase();
        name.eq_ignore_ascii_case(b"event")
            && [&b"indexer"[..], b"back-fill"]
                .iter()
                .any(|word| memchr::memmem::find(&value, word).is_some())
    })
}

impl ImapSession {
    /// Tells who the server is, and no version (RFC 2971 section 4).
    pub(crate) fn identify(&mut self) -> Outcome {
        self.out.text("* ID (\"name\" \"Pillarbox\")").crlf();
        Outcome::ok("ID completed")
    }

    /// Asks whether there is room for work that can wait.
    pub(crate) fn ask_load(&mut self, tag: String) {
        self.work = Work::AskingLoad { tag };
        self.enqueue(Action::AskLoad);
    }

    /// Takes the answer.
    pub(crate) fn take_load(&mut self, load: Load) {
        match std::mem::replace(&mut self.work, Work::Ready) {
            Work::AskingLoad { tag } => {
                let outcome = match load {
                    Load::Free => self.identify(),
                    Load::Busy => Outcome::no("[UNAVAILABLE] Others are at work, come later"),
                };
                self.finish(&tag, Told::All, &outcome);
            }
            work => self.work = work,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn background_downloads_say_so() {
        let field = |name: &str, value: Option<&str>| {
            (name.into(), value.map(|value| value.as_bytes().to_vec()))
        };
        let name = field("name", Some("com.apple.email.maild"));
        let says = |event| is_background(&[name.clone(), field("EVENT", event)]);
        assert!(says(Some("com.apple.mail.Indexer.body")));
        assert!(says(Some("back-fill")));
        assert!(!says(Some("foreground fetch")) && !says(None));
        assert!(!is_background(&[field("name", Some("indexer"))]));
    }
}
