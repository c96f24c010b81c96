//! Metadata of an account's mailboxes and of the server (RFC 5464), special uses among
//! them (RFC 6154 section 4).

use super::{Account, SpecialUse, SpecialUses};
use crate::control_file;
use crate::maildir::attributes;
use crate::metadata::{Annotated, Annotation, EntryName, Metadata, OF_MAILBOX, OF_SERVER, Unset};
use crate::news::News;
use crate::{Error, MailboxName, Result};
use std::path::PathBuf;

/// The entry that holds a mailbox's special use.
pub const SPECIAL_USE_ENTRY: &str = "/private/specialuse";

impl Account {
    /// What a user sees of the entries of a mailbox or of the server, by name; the
    /// special use is no such entry, see [`Account::special_use`].
    ///
    /// # Errors
    /// `NonExistent` where the mailbox cannot be selected.
    pub fn metadata(&self, of: Annotated<'_>, user: &str) -> Result<Vec<Annotation>> {
        let (directory, file) = self.metadata_place(of)?;
        let metadata = self.read_metadata(of, user, (&directory, file))?;
        if metadata.is_empty() && !control_file::is_directory(&directory)? {
            // It was renamed or deleted meanwhile.
            return Err(Error::NonExistent);
        }
        Ok(metadata.seen_by(user))
    }

    /// The special use of a mailbox, as LIST tells it.
    pub fn special_use(&self, name: &MailboxName) -> Result<Option<SpecialUse>> {
        let directories = self.directories()?;
        let exists = |name: &MailboxName| name.is_inbox() || directories.contains_key(name);
        let uses = SpecialUses::read(&self.root)?.of_existing(exists);
        Ok(uses.get(name).copied())
    }

    /// Sets values, or takes entries away where there is none. All are durable when it
    /// returns, or none is set. A crash leaves all of them set or none; the special use
    /// is a file of its own, written last.
    ///
    /// # Errors
    /// Why nothing was set.
    pub fn set_metadata(
        &self,
        of: Annotated<'_>,
        user: &str,
        changes: &[(EntryName, Option<Vec<u8>>)],
    ) -> std::result::Result<(), Unset> {
        let (uses, others): (Vec<_>, Vec<_>) = changes
            .iter()
            .cloned()
            .partition(|(name, _)| name.is(SPECIAL_USE_ENTRY));
        let special_use = match uses.last() {
            Some(_) if of == Annotated::Server => return Err(Unset::ReadOnly),
            Some((_, value)) => Some(read_use(value.as_deref())?),
            None => None,
        };
        // What Dovecot kept is found by the mailbox's GUID: it is opened for that.
        let (directory, file) = self.metadata_place(of)?;
        let taken_over = self.read_metadata(of, user, (&directory, file))?;
        let _changing = self.changing.lock();
        let (directory, file) = self.metadata_place(of)?;
        let before = Metadata::read(&directory, file)?.unwrap_or(taken_over);
        let mut after = before.clone();
        let changed = after.change(user, &others)?;
        let put_back = || {
            if !changed.is_empty()
                && let Err(error) = before.write(&directory, file)
            {
                tracing::error!(%error, "metadata that was refused may be set");
            }
        };
        if !changed.is_empty()
            && let Err(error) = after.write(&directory, file)
        {
            // It may be there, not durable.
            put_back();
            return Err(error.into());
        }
        let mailbox = match of {
            Annotated::Server => None,
            Annotated::Mailbox(name) => Some(name.clone()),
        };
        if let (Some(special_use), Some(name)) = (special_use, &mailbox)
            && let Err(error) = self.set_special_use(name, special_use, user)
        {
            put_back();
            return Err(error.into());
        }
        if !changed.is_empty() {
            self.feed.publish(&News::Metadata {
                mailbox,
                entries: changed,
                user: user.to_owned(),
            });
        }
        Ok(())
    }

    /// Gives a mailbox a use, which another that was given it loses, or takes it away.
    fn set_special_use(
        &self,
        name: &MailboxName,
        special_use: Option<SpecialUse>,
        user: &str,
    ) -> Result<()> {
        let directories = self.directories()?;
        let exists = |name: &MailboxName| name.is_inbox() || directories.contains_key(name);
        let before = SpecialUses::read(&self.root)?.of_existing(exists);
        if before.get(name).copied() == special_use {
            return Ok(());
        }
        SpecialUses::read(&self.root)?.give(&self.root, name, special_use)?;
        let after = SpecialUses::read(&self.root)?.of_existing(exists);
        let Ok(entry) = EntryName::new(SPECIAL_USE_ENTRY) else {
            return Ok(());
        };
        for name in before
            .keys()
            .chain(after.keys().filter(|name| !before.contains_key(*name)))
        {
            if before.get(name) != after.get(name) {
                self.feed.publish(&News::Metadata {
                    mailbox: Some(name.clone()),
                    entries: vec![entry.clone()],
                    user: user.to_owned(),
                });
            }
        }
        Ok(())
    }

    /// The directory and name of the file.
    fn metadata_place(&self, of: Annotated<'_>) -> Result<(PathBuf, &'static str)> {
        match of {
            Annotated::Server => Ok((self.root.clone(), OF_SERVER)),
            Annotated::Mailbox(name) => {
                let directory = self.directory(name)?.ok_or(Error::NonExistent)?;
                Ok((directory, OF_MAILBOX))
            }
        }
    }

    /// Reads the entries; until one is set, those that Dovecot kept.
    fn read_metadata(
        &self,
        of: Annotated<'_>,
        user: &str,
        (directory, file): (&std::path::Path, &str),
    ) -> Result<Metadata> {
        if let Some(metadata) = Metadata::read(directory, file)? {
            return Ok(metadata);
        }
        let mut metadata = Metadata::default();
        if attributes::are_in(&self.root)? {
            let inbox = MailboxName::inbox();
            let name = match of {
                Annotated::Server => &inbox,
                Annotated::Mailbox(name) => name,
            };
            let guid = self.mailbox(name)?.guid();
            for (name, value) in attributes::read(&self.root, guid, of)? {
                metadata.adopt(user, name, value);
            }
        }
        Ok(metadata)
    }
}

/// The one use that a value names; none for no value.
fn read_use(value: Option<&[u8]>) -> std::result::Result<Option<SpecialUse>, Unset> {
    let Some(value) = value else {
        return Ok(None);
    };
    let text = std::str::from_utf8(value).map_err(|_| Unset::NoSuchUse)?;
    let mut words = text.split_ascii_whitespace();
    let (word, rest) = (words.next(), words.next());
    match (word, rest) {
        (None, _) => Ok(None),
        (Some(word), None) => {
            let special_use = word.strip_prefix('\\').and_then(SpecialUse::from_name);
            // \All would have to show every message.
            match special_use {
                None | Some(SpecialUse::All) => Err(Unset::NoSuchUse),
                given => Ok(given),
            }
        }
        _ => Err(Unset::NoSuchUse),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Layout;

    #[test]
    fn one_use_is_read() {
        assert!(matches!(
            read_use(Some(b"\\sent")),
            Ok(Some(SpecialUse::Sent))
        ));
        assert!(matches!(read_use(Some(b" ")), Ok(None)) && matches!(read_use(None), Ok(None)));
        for wrong in [&b"\\All"[..], b"sent", b"\\sent \\junk", b"\\x", b"\xff"] {
            assert!(matches!(read_use(Some(wrong)), Err(Unset::NoSuchUse)));
        }
    }

    #[test]
    fn what_dovecot_kept_is_taken_over() {
        let directory = tempfile::tempdir().unwrap();
        let layout = Layout {
            delimiter: '/',
            prefix: String::new(),
        };
        let account = Account::open(directory.path(), layout).unwrap();
        let name = MailboxName::new(vec!["Work".to_owned()]).unwrap();
        let made = account.create(&name, None).unwrap();
        let show = |guid: [u8; 16]| {
            let digits = guid.iter().map(|octet| format!("{octet:02x}"));
            digits.collect::<String>()
        };
        let inbox = account.mailbox(&MailboxName::inbox()).unwrap();
        let (guid, inbox_guid) = (show(made.guid()), show(inbox.guid()));
        let text = format!(
            "priv/{guid}/comment\nmine\u{1}nis\u{1}1\nshared/{guid}/comment\nours\n\
             priv/{inbox_guid}/vendor/vendor.dovecot/pvt/server/vendor/x/y\nz\n\
             priv/{inbox_guid}/vendor/vendor.dovecot/pvt/sieve\nhidden\nodd"
        );
        std::fs::write(directory.path().join("dovecot-attributes"), text).unwrap();
        let of = Annotated::Mailbox(&name);
        let seen = |of| {
            let all = account.metadata(of, "anna").unwrap().into_iter();
            all.map(|(name, value)| (name.as_str().to_owned(), value))
                .collect::<Vec<_>>()
        };
        let comment = |scope: &str, text: &[u8]| (format!("/{scope}/comment"), text.to_vec());
        assert_eq!(
            seen(of),
            [
                comment("private", b"mine\nis\x01"),
                comment("shared", b"ours")
            ]
        );
        assert_eq!(
            seen(Annotated::Server),
            [("/private/vendor/x/y".to_owned(), b"z".to_vec())]
        );
        let inbox = MailboxName::inbox();
        assert!(seen(Annotated::Mailbox(&inbox)).is_empty());
        let gone = [(EntryName::new("/shared/comment").unwrap(), None)];
        account.set_metadata(of, "anna", &gone).unwrap();
        assert_eq!(seen(of), [comment("private", b"mine\nis\x01")]);
    }
}
