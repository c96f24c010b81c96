//! RENAME: what has another name keeps everything else.

use super::Account;
use crate::control_file::{self, failed};
use crate::disk;
use crate::metadata::{Metadata, OF_MAILBOX};
use crate::news::News;
use crate::special_use::SpecialUses;
use crate::{Error, Mailbox, MailboxName, Result, Uid};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

/// A mailbox that is to be renamed.
struct Move {
    name: MailboxName,
    directory: PathBuf,
    renamed: MailboxName,
    place: PathBuf,
}

/// What came of renaming directories.
enum Renamed {
    /// These are open, under their new names.
    Done(Vec<(MailboxName, Arc<Mailbox>)>),
    /// Something is done in this one.
    Busy(Arc<Mailbox>),
}

impl Account {
    /// Renames with inferiors; INBOX's messages move, INBOX stays (RFC 3501 6.3.5).
    /// Subscriptions stay as they are. What is done in one of them is complete before, or
    /// waits. Each directory is renamed by itself: after a
    /// crash some inferiors may still be under the old name, none is lost.
    pub fn rename(&self, from: &MailboxName, to: &MailboxName) -> Result<()> {
        if to.is_inbox() || from == to {
            return Err(Error::AlreadyExists);
        }
        if from.is_inbox() {
            return self.rename_inbox(to);
        }
        if to.is_inferior_of(from) {
            return Err(Error::CannotDo("a mailbox cannot become its own inferior"));
        }
        while let Some(busy) = self.rename_idle(from, to)? {
            busy.wait();
        }
        Ok(())
    }

    /// Renames; gives one of the mailboxes if something is done in it, which is to be
    /// waited for: nothing was renamed then.
    fn rename_idle(&self, from: &MailboxName, to: &MailboxName) -> Result<Option<Arc<Mailbox>>> {
        let _changing = self.changing.lock();
        let directories = self.directories()?;
        let mut moves = Vec::new();
        for (name, directory) in &directories {
            if name != from && !name.is_inferior_of(from) {
                continue;
            }
            let mut levels = to.levels().to_vec();
            levels.extend(name.levels().iter().skip(from.levels().len()).cloned());
            let renamed = MailboxName::new(levels)?;
            if renamed.is_inbox() {
                return Err(Error::AlreadyExists);
            }
            let taken = directories.contains_key(&renamed)
                && renamed != *from
                && !renamed.is_inferior_of(from);
            if taken {
                return Err(Error::AlreadyExists);
            }
            let place = self.place(&renamed)?;
            moves.push(Move {
                name: name.clone(),
                directory: directory.clone(),
                renamed,
                place,
            });
        }
        if moves.is_empty() {
            return Err(Error::NonExistent);
        }
        if directories.contains_key(to) {
            return Err(Error::AlreadyExists);
        }
        // Shallow before deep: where the new name is a superior of the old one, each place is
        // left before it is taken.
        moves.sort_by_key(|moved| moved.name.levels().len());
        let reopened = match self.rename_held(&moves)? {
            Renamed::Done(reopened) => reopened,
            Renamed::Busy(mailbox) => return Ok(Some(mailbox)),
        };
        for Move { name, renamed, .. } in &moves {
            self.posts.end(name);
            self.posts.end(renamed);
            self.open.remove(name);
        }
        for Move { renamed, .. } in &moves {
            // What had this name was removed by another program, and nobody noticed.
            self.lose(renamed);
        }
        for (renamed, mailbox) in reopened {
            self.open.insert(renamed, Arc::downgrade(&mailbox));
        }
        self.feed.publish(&News::Renamed {
            from: from.clone(),
            to: to.clone(),
        });
        let renamed: BTreeMap<_, _> = moves
            .iter()
            .map(|moved| (&moved.name, &moved.renamed))
            .collect();
        // A use that only the old name told goes along (RFC 6154 section 2).
        let uses = SpecialUses::read(&self.root)?;
        let told_by_name = SpecialUses::read(&self.root)?
            .of_existing(|name| directories.contains_key(name))
            .into_iter()
            .filter(|(name, _)| renamed.contains_key(name));
        uses.with(told_by_name).change(&self.root, |name| {
            Some((*renamed.get(name).unwrap_or(&name)).clone())
        })?;
        Ok(None)
    }

    /// Gives directories their new names while nothing happens in those that are open;
    /// gives these, with their new names.
    fn rename_held(&self, moves: &[Move]) -> Result<Renamed> {
        let mut open: Vec<(&Move, Arc<Mailbox>)> = moves
            .iter()
            .filter_map(|moved| Some((moved, self.open.get(&moved.name)?.upgrade()?)))
            .filter(|(_, mailbox)| !mailbox.is_gone())
            .collect();
        open.sort_unstable_by_key(|(_, mailbox)| mailbox.id());
        let mut held = Vec::with_capacity(open.len());
        for (_, mailbox) in &open {
            match mailbox.hold() {
                Some(mailbox) => held.push(mailbox),
                None => return Ok(Renamed::Busy(Arc::clone(mailbox))),
            }
        }
        if let Err(error) = self.rename_directories(moves) {
            if let Err(error) = control_file::sync_directory(&self.root) {
                tracing::error!(%error, "a rename undone may not last");
            }
            return Err(error);
        }
        for ((moved, _), held) in open.iter().zip(&mut held) {
            held.relocate(moved.place.clone());
        }
        drop(held);
        let renamed = |(moved, mailbox): (&Move, _)| (moved.renamed.clone(), mailbox);
        Ok(Renamed::Done(open.into_iter().map(renamed).collect()))
    }

    /// Gives directories their new names, durably; all, or as far as can be none.
    fn rename_directories(&self, moves: &[Move]) -> Result<()> {
        let mut renamed = Ok(());
        let mut done = 0;
        for Move {
            directory, place, ..
        } in moves
        {
            renamed =
                disk::rename(directory, place).map_err(|error| failed("rename", directory, error));
            if renamed.is_err() {
                break;
            }
            done += 1;
        }
        let renamed = renamed.and_then(|()| control_file::sync_directory(&self.root));
        if renamed.is_err() {
            for moved in moves.iter().take(done).rev() {
                self.put_back(&moved.place, &moved.directory);
            }
        }
        renamed
    }

    fn rename_inbox(&self, to: &MailboxName) -> Result<()> {
        let inbox = self.mailbox(&MailboxName::inbox())?;
        let destination = {
            let _changing = self.changing.lock();
            // Its metadata stay, and are the new mailbox's too (RFC 5464 section 4.1).
            let metadata = Metadata::read(&self.root, OF_MAILBOX)?;
            self.create_locked(to, None, metadata.as_ref())?
        };
        self.feed.publish(&News::Renamed {
            from: MailboxName::inbox(),
            to: to.clone(),
        });
        let uids: Vec<Uid> = inbox.snapshot().rows().map(|row| row.uid).collect();
        inbox.move_to(&uids, &destination, &mut Vec::new())
    }
}
