//! One user's mailboxes: list, create, rename, delete, subscribe.
//!
//! INBOX is the root; every other mailbox is a directory beside it, named as
//! `maildir::names` says. A mailbox appears and goes by one rename in the root,
//! which is synced before success is told, so that a crash leaves it whole or not
//! there. What may be left over has a name starting with `..`, which is no
//! mailbox's, and is removed when the account is opened.

mod inspection;
mod lookout;
mod metadata;
mod rename;

pub use inspection::Inspection;
pub use lookout::{Lookout, Watch};
pub use metadata::SPECIAL_USE_ENTRY;

use crate::control_file::{self, failed};
use crate::disk::{self, Kind};
use crate::index;
use crate::kept_open::KeptOpen;
use crate::mailbox::Subscription;
use crate::maildir::dotlock::{self, Dotlock};
use crate::maildir::uidlist::Uidlist;
use crate::maildir::{subscriptions, uidvalidity};
use crate::metadata::{Metadata, OF_MAILBOX};
use crate::news::{Feed, Listener, News};
pub use crate::special_use::SpecialUse;
use crate::special_use::SpecialUses;
use crate::{Error, Mailbox, MailboxName, ModSeq, Result, SearchTexts, Uid, UidValidity};
use dashmap::DashMap;
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::task::Waker;
use std::time::Instant;
use unicode_normalization::{UnicodeNormalization, is_nfc};

/// How many mailboxes a user may make.
const MAX_MAILBOXES: usize = 10_000;
/// How often a mailbox is opened anew whose place another takes at that moment.
const ATTEMPTS: usize = 3;
/// Deleted mailboxes get this name first.
const TRASHED: &str = "..DOVECOT-TRASHED-";
/// New mailboxes are made under this name.
const UNFINISHED: &str = "..PILLARBOX-NEW-";
/// Tells that the default mailboxes are made or being made.
const DEFAULTS_MARKER: &str = "pillarbox-default-mailboxes";
const DEFAULTS_BEGUN: &[u8] = b"begun\n";
const DEFAULTS_DONE: &[u8] = b"done\n";

/// How names are shown and mail is laid out.
#[derive(Debug, Clone)]
pub struct Layout {
    /// The hierarchy delimiter, `/` or `.`.
    pub delimiter: char,
    /// What is shown before every name but INBOX: empty, or `INBOX.` as Courier.
    pub prefix: String,
}

/// One line of a listing.
#[derive(Debug, Clone)]
pub struct ListEntry {
    /// The mailbox's name.
    pub name: MailboxName,
    /// Whether it can be selected (false: only a parent, or only subscribed).
    pub selectable: bool,
    /// Whether it exists at all (false: subscribed only).
    pub exists: bool,
    /// Whether it has inferiors.
    pub has_children: bool,
    /// Whether it is subscribed.
    pub subscribed: bool,
    /// Its special use.
    pub special_use: Option<SpecialUse>,
}

/// What STATUS tells (RFC 3501 section 6.3.10, RFC 7162, RFC 8438).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailboxStatus {
    pub messages: u32,
    pub recent: u32,
    pub unseen: u32,
    pub deleted: u32,
    pub uid_next: Uid,
    pub uid_validity: UidValidity,
    pub highest_modseq: ModSeq,
    pub size_octets: u64,
    pub mailbox_id: [u8; 16],
}

impl MailboxStatus {
    /// What STATUS tells of a mailbox as it was then.
    pub fn of(snapshot: &crate::Snapshot, mailbox_id: [u8; 16]) -> Self {
        let count = |number| u32::try_from(number).unwrap_or(u32::MAX);
        let mut status = Self {
            messages: count(snapshot.len()),
            recent: 0,
            unseen: 0,
            deleted: 0,
            uid_next: snapshot.uid_next(),
            uid_validity: snapshot.uid_validity(),
            highest_modseq: snapshot.highest_modseq(),
            size_octets: 0,
            mailbox_id,
        };
        for tally in snapshot.rows.tallies() {
            status.recent += count(tally.recent);
            status.unseen += count(tally.unseen);
            status.deleted += count(tally.deleted);
            status.size_octets = status.size_octets.saturating_add(tally.octets);
        }
        status
    }
}

/// What the accounts of a process share.
#[derive(Debug, Clone, Default)]
pub struct Shared {
    /// Who has texts of mailboxes completed in the background, if anybody.
    pub search_texts: Option<Arc<SearchTexts>>,
    /// What keeps mailboxes open that were used lately, if anything does.
    pub kept_open: Option<Arc<KeptOpen>>,
}

/// One user's mailboxes.
#[derive(Debug)]
pub struct Account {
    root: PathBuf,
    layout: Layout,
    /// Whether another process may own the mail.
    is_guest: bool,
    /// What is open. Only changed with `changing` locked, so that no mailbox is in
    /// memory twice.
    open: DashMap<MailboxName, Weak<Mailbox>>,
    /// Held while the set of mailboxes changes and while one is opened.
    changing: Mutex<()>,
    /// Held while what POP3 devices did is noted.
    pub(crate) noting_visits: Mutex<()>,
    shared: Shared,
    /// Who listens.
    feed: Arc<Feed>,
    /// Which mailboxes are watched.
    posts: lookout::Posts,
}

impl Account {
    /// Opens (and makes, where absent) the Maildir at `root`. One `Account` per
    /// root and process: the caller keeps and shares it. A crash leaves some of the
    /// directories, all of them empty.
    pub fn open(root: &Path, layout: Layout) -> Result<Arc<Self>> {
        Self::open_with(root, layout, Shared::default())
    }

    /// As [`Account::open`], with what the process's accounts share.
    pub fn open_with(root: &Path, layout: Layout, shared: Shared) -> Result<Arc<Self>> {
        if !disk::leads_to_directory(&root.join(LAST_MADE)) {
            disk::make_directories(root).map_err(|error| failed("make directory", root, error))?;
        }
        make_maildir(root)?;
        remove_left_over(root);
        control_file::remove_left_over(root);
        // What a process that died made, renamed or removed is durable before anyone
        // is told of it.
        control_file::sync_directory(root)?;
        Ok(Arc::new(Self::of(root, layout, shared)))
    }

    /// As [`Account::open`], for a command that works on the mail while a server may do so
    /// too: what that one may be making or removing is left alone, and a mailbox that it
    /// has open is not opened.
    pub fn open_beside(root: &Path, layout: Layout) -> Result<Arc<Self>> {
        make_maildir(root)?;
        Ok(Arc::new(Self {
            is_guest: true,
            ..Self::of(root, layout, Shared::default())
        }))
    }

    /// What is known of an account before anything is read.
    fn of(root: &Path, layout: Layout, shared: Shared) -> Self {
        Self {
            root: root.to_owned(),
            layout,
            is_guest: false,
            open: DashMap::new(),
            changing: Mutex::new(()),
            noting_visits: Mutex::new(()),
            shared,
            feed: Arc::default(),
            posts: lookout::Posts::default(),
        }
    }

    /// Hears what others do to the account's mailboxes; a user is told of entries of
    /// metadata that they may see. The waker is woken when there is news.
    pub fn listen(&self, user: &str, waker: Waker) -> Listener {
        self.feed.listen(user, waker)
    }

    /// Where the mail is.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The layout.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Makes Drafts, Sent, Junk, Trash and Archive, subscribed, with their special
    /// uses, if the account has no mailbox but INBOX and had none made before. What
    /// a crash interrupts is completed at the next call, as long as all of it is not
    /// durable: a mailbox is there whole, or as a directory that lacks some of its own,
    /// which are made then.
    pub fn make_default_mailboxes(&self) -> Result<()> {
        let _changing = self.changing.lock();
        let marker = control_file::read(&self.root.join(DEFAULTS_MARKER))?;
        match marker.as_deref() {
            Some(DEFAULTS_BEGUN) => {}
            Some(_) => return Ok(()),
            None if self.directories()?.is_empty() => {
                control_file::replace(&self.root, DEFAULTS_MARKER, DEFAULTS_BEGUN)?;
            }
            None => return control_file::replace(&self.root, DEFAULTS_MARKER, DEFAULTS_DONE),
        }
        // Their names tell their special uses. The first login waits for this: all names
        // are made durable at once, and a mailbox is opened when it is first asked for.
        let names = ["Drafts", "Sent", "Junk", "Trash", "Archive"]
            .map(|level| MailboxName(vec![level.to_owned()]));
        for name in &names {
            let place = self.place(name)?;
            control_file::make_directory(&place)?;
            mark_mailbox(&place)?;
            make_maildir(&place)?;
        }
        control_file::sync_directory(&self.root)?;
        subscriptions::add(&self.root, &names)?;
        control_file::replace(&self.root, DEFAULTS_MARKER, DEFAULTS_DONE)
    }

    /// Reads a name as a client writes it, decoded to Unicode, prefix and
    /// delimiter included. A trailing delimiter is dropped.
    pub fn parse_name(&self, text: &str) -> Result<MailboxName> {
        MailboxName::parse(text, &self.layout)
    }

    /// A name as for `parse_name` in Normalization Form C, unless it is in that form or a
    /// mailbox has it as it stands (RFC 9051 section 5.1): names that came before, or in
    /// modified UTF-7, are kept to the letter.
    pub fn normalised(&self, text: &str) -> Option<String> {
        if text.is_ascii() || is_nfc(text) {
            return None;
        }
        let is_there = self
            .parse_name(text)
            .is_ok_and(|name| self.directory(&name).is_ok_and(|place| place.is_some()));
        (!is_there).then(|| text.nfc().collect())
    }

    /// The reverse of `parse_name`.
    pub fn show_name(&self, name: &MailboxName) -> String {
        name.show(&self.layout)
    }

    /// Every mailbox, \Noselect parents and subscribed-only names included,
    /// INBOX first, then sorted.
    pub fn list(&self) -> Result<Vec<ListEntry>> {
        let mut directories = self.directories()?;
        directories.insert(MailboxName::inbox(), self.root.clone());
        let subscribed = subscriptions::read(&self.root)?;
        let uses =
            SpecialUses::read(&self.root)?.of_existing(|name| directories.contains_key(name));
        let mut parents = BTreeSet::new();
        for name in directories.keys() {
            let mut parent = name.parent();
            while let Some(name) = parent {
                parent = name.parent();
                parents.insert(name);
            }
        }
        if directories.len() > 1 && self.prefix_is_inbox() {
            parents.insert(MailboxName::inbox());
        }
        let names: BTreeSet<&MailboxName> = directories
            .keys()
            .chain(&parents)
            .chain(&subscribed)
            .collect();
        let mut entries: Vec<_> = names
            .into_iter()
            .map(|name| ListEntry {
                selectable: directories.contains_key(name),
                exists: directories.contains_key(name) || parents.contains(name),
                has_children: parents.contains(name),
                subscribed: subscribed.contains(name),
                special_use: uses.get(name).copied(),
                name: name.clone(),
            })
            .collect();
        entries.sort_by_key(|entry| !entry.name.is_inbox());
        Ok(entries)
    }

    /// Creates a mailbox; missing parents then are \Noselect until created
    /// themselves. After a crash it is there whole or not at all; its special use
    /// may be missing.
    pub fn create(
        &self,
        name: &MailboxName,
        special_use: Option<SpecialUse>,
    ) -> Result<Arc<Mailbox>> {
        let _changing = self.changing.lock();
        let made = self.create_locked(name, special_use, None)?;
        self.feed.publish(&News::Created(name.clone()));
        Ok(made)
    }

    /// Deletes a mailbox; one with inferiors becomes \Noselect. Subscriptions stay
    /// (RFC 3501 section 6.3.6). After a crash it is gone or untouched; what is
    /// left of its files is removed when the account is opened next.
    pub fn delete(&self, name: &MailboxName) -> Result<()> {
        if name.is_inbox() {
            return Err(Error::CannotDo("INBOX cannot be deleted"));
        }
        let trashed = loop {
            let changing = self.changing.lock();
            let directory = self.directory(name)?.ok_or(Error::NonExistent)?;
            let trashed = self.unique(TRASHED)?;
            // What is done there is complete before; who waits for it finds it gone.
            let open = self.open.get(name).and_then(|mailbox| mailbox.upgrade());
            let held = open.as_ref().map(|mailbox| (mailbox, mailbox.hold()));
            let held = match held {
                Some((mailbox, None)) => {
                    drop(changing);
                    mailbox.wait();
                    continue;
                }
                held => held.and_then(|(_, held)| held),
            };
            disk::rename(&directory, &trashed)
                .map_err(|error| failed("remove", &directory, error))?;
            if let Err(error) = control_file::sync_directory(&self.root) {
                self.put_back(&trashed, &directory);
                return Err(error);
            }
            if let Some(held) = held {
                held.end();
            }
            self.posts.end(name);
            self.lose(name);
            self.feed.publish(&News::Deleted(name.clone()));
            SpecialUses::read(&self.root)?
                .change(&self.root, |kept| (kept != name).then(|| kept.clone()))?;
            break trashed;
        };
        if let Err(error) = disk::remove_tree(&trashed) {
            tracing::warn!(path = %trashed.display(), %error, "deleted mailbox is left over");
        }
        Ok(())
    }

    /// Subscribes or unsubscribes; the mailbox need not exist.
    pub fn set_subscribed(&self, name: &MailboxName, subscribed: bool) -> Result<()> {
        let _changing = self.changing.lock();
        let result = subscriptions::set(&self.root, name, subscribed);
        // Where it failed it may be changed all the same: who hears of it looks.
        self.feed.publish(&News::Subscription(name.clone()));
        result
    }

    /// Opens a mailbox, or gives the one that is open, up to date with the disk.
    pub fn mailbox(&self, name: &MailboxName) -> Result<Arc<Mailbox>> {
        let (mailbox, ()) = self.mailbox_after(name, |_| ())?;
        Ok(mailbox)
    }

    /// As [`Account::mailbox`], watched since before the disk was looked at: whatever the
    /// mailbox given does not have wakes the waker.
    pub fn watched_mailbox(
        &self,
        name: &MailboxName,
        waker: &Waker,
    ) -> Result<(Arc<Mailbox>, Subscription)> {
        self.mailbox_after(name, |mailbox| mailbox.subscribe(waker.clone()))
    }

    /// Opens a mailbox, has something begin with it, then looks at the disk.
    fn mailbox_after<T>(
        &self,
        name: &MailboxName,
        begin: impl Fn(&Arc<Mailbox>) -> T,
    ) -> Result<(Arc<Mailbox>, T)> {
        for _ in 0..ATTEMPTS {
            let known = self.open.get(name).and_then(|mailbox| mailbox.upgrade());
            let mailbox = match known {
                Some(mailbox) if !mailbox.is_gone() => mailbox,
                _ => self.open_patiently(name)?,
            };
            let begun = begin(&mailbox);
            let result = mailbox.sync();
            if result.is_ok() && !mailbox.is_gone() {
                if let Some(kept_open) = &self.shared.kept_open {
                    kept_open.keep(&mailbox);
                }
                return Ok((mailbox, begun));
            }
            // What ends with it may wait for the mailbox.
            drop(begun);
            let _changing = self.changing.lock();
            if let Err(error) = result
                && self.directory(name)?.is_some()
            {
                return Err(error);
            }
            // Someone removed its directory, or put another mailbox there.
            self.lose_one(name, &mailbox);
        }
        Err(Error::NonExistent)
    }

    /// Whether a mailbox is open and nobody works on it: who asks for it does not wait.
    pub fn has_free(&self, name: &MailboxName) -> bool {
        let open = self.open.get(name).and_then(|mailbox| mailbox.upgrade());
        open.is_some_and(|mailbox| !mailbox.is_gone() && !mailbox.is_busy())
    }

    /// What STATUS tells, without claiming new mail.
    pub fn status(&self, name: &MailboxName) -> Result<MailboxStatus> {
        let mailbox = self.mailbox(name)?;
        Ok(MailboxStatus::of(&mailbox.snapshot(), mailbox.guid()))
    }

    fn create_locked(
        &self,
        name: &MailboxName,
        special_use: Option<SpecialUse>,
        metadata: Option<&Metadata>,
    ) -> Result<Arc<Mailbox>> {
        if name.is_inbox() || self.directory(name)?.is_some() {
            return Err(Error::AlreadyExists);
        }
        self.posts.end(name);
        // What had this name was removed by another program, and nobody noticed.
        self.lose(name);
        let place = self.place(name)?;
        if self.directories()?.len() >= MAX_MAILBOXES {
            return Err(Error::CannotDo("there are too many mailboxes"));
        }
        if control_file::is_directory(&place)? {
            // Someone made it, or removed its cur/.
            make_maildir(&place)?;
        } else {
            let unfinished = self.unique(UNFINISHED)?;
            let made = make_mailbox(&unfinished).and_then(|()| {
                if let Some(metadata) = metadata {
                    metadata.write(&unfinished, OF_MAILBOX)?;
                }
                disk::rename(&unfinished, &place).map_err(|error| failed("create", &place, error))
            });
            if let Err(error) = made {
                // What is left has no mail and is removed at the next opening.
                let _ = disk::remove_tree(&unfinished);
                return Err(error);
            }
            if let Err(error) = control_file::sync_directory(&self.root) {
                self.put_back(&place, &unfinished);
                let _ = disk::remove_tree(&unfinished);
                return Err(error);
            }
        }
        if let Some(special_use) = special_use {
            SpecialUses::read(&self.root)?.set(&self.root, name, special_use)?;
        }
        self.open_locked(name)
    }

    /// Opens a mailbox; where another program has its UID list locked that is waited for,
    /// while others open, make and rename mailboxes.
    fn open_patiently(&self, name: &MailboxName) -> Result<Arc<Mailbox>> {
        let began = Instant::now();
        loop {
            let opened = {
                let _changing = self.changing.lock();
                self.open_locked(name)
            };
            let left = dotlock::PATIENCE.saturating_sub(began.elapsed());
            if !matches!(opened, Err(Error::Locked(_))) || left.is_zero() {
                return opened;
            }
            Dotlock::await_free(&self.place(name)?, dotlock::UIDLIST, left);
        }
    }

    fn open_locked(&self, name: &MailboxName) -> Result<Arc<Mailbox>> {
        let known = self.open.get(name).and_then(|mailbox| mailbox.upgrade());
        if let Some(mailbox) = known.filter(|mailbox| !mailbox.is_gone()) {
            return Ok(mailbox);
        }
        let directory = self.directory(name)?.ok_or(Error::NonExistent)?;
        make_maildir(&directory)?;
        self.lose_moved(&directory)?;
        let busy = |error| failed("look at the index in", &directory, error);
        if self.is_guest && index::is_busy(&directory).map_err(busy)? {
            return Err(Error::CannotDo("a server has the mailbox open"));
        }
        let open = || Mailbox::open(directory.clone(), || uidvalidity::next(&self.root));
        let mailbox = match open() {
            // Another program put another there at that moment.
            Err(Error::NonExistent) => open()?,
            opened => opened?,
        };
        if let Some(search_texts) = &self.shared.search_texts {
            mailbox.complete_texts_by(search_texts);
        }
        self.open.retain(|_, mailbox| mailbox.strong_count() > 0);
        self.open.insert(name.clone(), Arc::downgrade(&mailbox));
        self.posts.attach(name, &mailbox);
        Ok(mailbox)
    }

    /// Undoes a rename that could not be made durable.
    fn put_back(&self, to: &Path, from: &Path) {
        if let Err(error) = disk::rename(to, from) {
            tracing::error!(path = %to.display(), %error, "cannot undo a rename");
        }
    }

    /// A mailbox is no more; who has it open is told.
    fn lose(&self, name: &MailboxName) {
        let open = self.open.get(name).and_then(|mailbox| mailbox.upgrade());
        if let Some(mailbox) = open {
            self.lose_one(name, &mailbox);
        }
    }

    /// The same of one that another may have followed under its name.
    fn lose_one(&self, name: &MailboxName, mailbox: &Arc<Mailbox>) {
        let is_it = |open: &Weak<Mailbox>| std::ptr::eq(open.as_ptr(), Arc::as_ptr(mailbox));
        self.open.remove_if(name, |_, open| is_it(open));
        mailbox.mark_gone();
        if let Some(kept_open) = &self.shared.kept_open {
            kept_open.let_go(mailbox);
        }
    }

    /// Mailboxes that are open under other names and were moved to this directory by
    /// another program are lost there: they have its index locked.
    fn lose_moved(&self, directory: &Path) -> Result<()> {
        let Some(guid) = Uidlist::guid_at(directory)? else {
            return Ok(());
        };
        let upgraded = self.open.iter().filter_map(|open| {
            let mailbox = open.value().upgrade()?;
            Some((open.key().clone(), mailbox))
        });
        // What is dropped meanwhile is closed, which is not to happen within the table.
        let upgraded: Vec<_> = upgraded.collect();
        for (name, mailbox) in upgraded {
            if mailbox.guid() == guid && mailbox.has_left() {
                self.lose_one(&name, &mailbox);
            }
        }
        Ok(())
    }

    /// Where a mailbox of that name is or would be.
    fn place(&self, name: &MailboxName) -> Result<PathBuf> {
        if name.is_inbox() {
            return Ok(self.root.clone());
        }
        let directory = name.directory_name();
        Ok(self
            .root
            .join(directory.ok_or(Error::InvalidName("name is too long"))?))
    }

    /// The directory of an existing mailbox, also one that is not named as we would.
    fn directory(&self, name: &MailboxName) -> Result<Option<PathBuf>> {
        if let Ok(place) = self.place(name)
            && (name.is_inbox() || control_file::is_directory(&place.join("cur"))?)
            && control_file::is_directory(&place)?
        {
            return Ok(Some(place));
        }
        Ok(self.directories()?.remove(name))
    }

    /// Every mailbox but INBOX with its directory. Links are passed over: mail lies
    /// beneath the root. What cannot be looked into counts: it is there, and keeps nobody
    /// from the others.
    fn directories(&self) -> Result<BTreeMap<MailboxName, PathBuf>> {
        let mut directories = BTreeMap::new();
        let list_failed = |error| failed("list", &self.root, error);
        for entry in disk::list(&self.root).map_err(list_failed)? {
            let file_name = entry.name;
            let Some(name) = MailboxName::from_directory_name(&file_name) else {
                continue;
            };
            let path = self.root.join(&file_name);
            let is_mailbox = || control_file::is_directory(&path.join("cur")).unwrap_or(true);
            if entry.kind != Kind::Directory || !is_mailbox() {
                continue;
            }
            let canonical = name.directory_name();
            if canonical.as_deref().map(std::ffi::OsStr::new) == Some(&file_name) {
                directories.insert(name, path);
            } else {
                directories.entry(name).or_insert(path);
            }
        }
        Ok(directories)
    }

    /// A name in the root that no one has and that is no mailbox's.
    fn unique(&self, prefix: &str) -> Result<PathBuf> {
        let random = control_file::random_name()?;
        Ok(self.root.join(format!("{prefix}{random}")))
    }

    /// Whether other mailboxes are shown below INBOX.
    fn prefix_is_inbox(&self) -> bool {
        let level = self.layout.prefix.strip_suffix(self.layout.delimiter);
        level.is_some_and(|level| level.eq_ignore_ascii_case("INBOX"))
    }
}

/// The directory that is made last in a Maildir: where it is, the others are.
const LAST_MADE: &str = "cur";

/// Makes cur/, new/ and tmp/ where absent.
fn make_maildir(directory: &Path) -> Result<()> {
    let mut made = false;
    for part in ["tmp", "new", LAST_MADE] {
        made |= control_file::make_directory(&directory.join(part))?;
    }
    if made {
        control_file::sync_directory(directory)?;
    }
    Ok(())
}

/// Makes a whole new mailbox directory, not INBOX's.
fn make_mailbox(directory: &Path) -> Result<()> {
    control_file::make_directory(directory)?;
    mark_mailbox(directory)?;
    make_maildir(directory)
}

/// Says that a directory is a mailbox beneath a Maildir, as deliverers ask for it; durable
/// once the directory is.
fn mark_mailbox(directory: &Path) -> Result<()> {
    let mark = directory.join("maildirfolder");
    match disk::create_new(&mark) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => {
            Err(failed("create", &mark, error))
        }
        _ => Ok(()),
    }
}

/// Removes what a crash left of mailboxes being made or deleted.
fn remove_left_over(root: &Path) {
    for entry in disk::list(root).into_iter().flatten() {
        let name = entry.name.to_string_lossy();
        if !name.starts_with(TRASHED) && !name.starts_with(UNFINISHED) {
            continue;
        }
        let path = root.join(&entry.name);
        match disk::remove_tree(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                tracing::warn!(path = %path.display(), %error, "cannot remove left over directory");
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod locked_tests;
#[cfg(test)]
mod replaced_tests;
#[cfg(test)]
#[path = "account_tests.rs"]
mod tests;
#[cfg(test)]
mod unreadable_tests;
