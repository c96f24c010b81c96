//! What clients, deliveries and accidents do.

use super::client::{Client, name};
use super::told::{Marks, Told, ToldDevice, ToldMessage};
use crate::disk;
use crate::{Annotated, EntryName, Unset};
use crate::{DeviceVisit, Error, FlagAction, Flags, Keyword, Result, SpecialUse, Uid};
use std::io::Write;

/// Which messages of a mailbox.
#[derive(Debug, Clone)]
pub(super) enum Uids {
    These(Vec<u32>),
    All,
}

#[derive(Debug, Clone)]
pub(super) enum Operation {
    /// APPEND or MULTIAPPEND of messages with these texts.
    Append {
        mailbox: &'static str,
        texts: Vec<String>,
        flags: Flags,
        keywords: Vec<String>,
    },
    /// A mail transport agent delivers.
    Deliver {
        mailbox: &'static str,
        text: String,
    },
    /// SELECT: new mail is moved to `cur`.
    Claim(&'static str),
    Copy(&'static str, Uids, &'static str),
    Move(&'static str, Uids, &'static str),
    /// REPLACE of a message by one with this text.
    Replace(&'static str, u32, &'static str, String),
    Store {
        mailbox: &'static str,
        uids: Uids,
        action: FlagAction,
        flags: Flags,
        keywords: Vec<String>,
    },
    Expunge(&'static str, Uids),
    /// UIDL.
    UniqueIds(&'static str),
    /// QUIT of a POP3 device that fetched and deleted these for itself.
    Visit {
        device: &'static str,
        fetched: Uids,
        deleted: Uids,
    },
    Create(&'static str, Option<SpecialUse>),
    Delete(&'static str),
    Rename(&'static str, &'static str),
    Subscribe(&'static str, bool),
    /// Sets an entry of a mailbox, or of the server.
    Annotate(&'static str, &'static str, &'static str),
    Defaults,
    /// The last session leaves a mailbox.
    Close(&'static str),
    /// The server ends and starts again.
    Restart,
    /// Someone removes a control file of a closed INBOX.
    Remove(&'static str),
    /// Someone moves a mailbox to a device of its own, while all are closed.
    SetApart(&'static str),
}

use Operation as O;

/// The POP3 devices there are.
pub(super) const DEVICES: [&str; 2] = ["phone", "tablet"];

pub(super) const DEFAULTS: [&str; 5] = ["Drafts", "Sent", "Junk", "Trash", "Archive"];

pub(super) fn append(mailbox: &'static str, texts: &[&str]) -> Operation {
    O::Append {
        mailbox,
        texts: texts.iter().map(|text| letter(text)).collect(),
        flags: Flags::default(),
        keywords: Vec::new(),
    }
}

pub(super) fn append_marked(
    mailbox: &'static str,
    texts: &[&str],
    flags: Flags,
    keywords: &[&str],
) -> Operation {
    O::Append {
        mailbox,
        texts: texts.iter().map(|text| letter(text)).collect(),
        flags,
        keywords: keywords.iter().map(|name| (*name).to_owned()).collect(),
    }
}

pub(super) fn deliver(mailbox: &'static str, text: &str) -> Operation {
    O::Deliver {
        mailbox,
        text: letter(text),
    }
}

pub(super) fn store(
    mailbox: &'static str,
    uids: Uids,
    action: FlagAction,
    flags: Flags,
    keywords: &[&str],
) -> Operation {
    O::Store {
        mailbox,
        uids,
        action,
        flags,
        keywords: keywords.iter().map(|name| (*name).to_owned()).collect(),
    }
}

pub(super) fn replace(mailbox: &'static str, uid: u32, to: &'static str, text: &str) -> Operation {
    O::Replace(mailbox, uid, to, letter(text))
}

/// A message about something.
pub(super) fn letter(subject: &str) -> String {
    format!("Subject: {subject}\n\nWhat is to be said of {subject},\nand no more.\n")
}

fn keyword_names(names: &[String]) -> Vec<Keyword> {
    names
        .iter()
        .map(|name| Keyword::from(name.as_str()))
        .collect()
}

/// The mailboxes that a rename renames, with their new names.
fn renamed(told: &Told, from: &str, to: &str) -> Vec<(String, String)> {
    let inferior = format!("{from}/");
    told.mailboxes
        .keys()
        .filter(|text| *text == from || text.starts_with(&inferior))
        .map(|text| (text.clone(), format!("{to}{}", &text[from.len()..])))
        .collect()
}

/// Messages may come to another mailbox.
fn come(told: &mut Told, from: &str, uids: &Uids, to: &str) {
    let uids = uids.of(told, from);
    let messages = uids.iter().filter_map(|uid| told.message(from, *uid));
    let texts = messages.map(|message| message.text.clone()).collect();
    told.come(to, texts);
}

/// Messages may go; gives their texts.
fn go(told: &mut Told, from: &str, uids: &Uids) -> Vec<String> {
    let uids = uids.of(told, from);
    let mut texts = Vec::new();
    if let Some(told) = told.mailboxes.get_mut(from) {
        for uid in uids {
            texts.extend(told.messages.get(&uid).map(|message| message.text.clone()));
            told.perhaps_gone.insert(uid);
        }
    }
    texts
}

impl Uids {
    fn of(&self, told: &Told, mailbox: &str) -> Vec<Uid> {
        match self {
            Self::These(numbers) => {
                let numbers = numbers.iter().filter_map(|number| Uid::new(*number));
                numbers.collect()
            }
            Self::All => {
                let mailbox = told.mailboxes.get(mailbox);
                mailbox.map_or_else(Vec::new, |told| told.messages.keys().copied().collect())
            }
        }
    }
}

impl Operation {
    /// What may be seen of it before it is acknowledged.
    pub(super) fn foretell(&self, told: &mut Told) {
        match self {
            O::Append { mailbox, texts, .. } => told.come(mailbox, texts.clone()),
            O::Deliver { mailbox, text } => told.come(mailbox, vec![text.clone()]),
            O::Copy(from, uids, to) => come(told, from, uids, to),
            O::Move(from, uids, to) => {
                come(told, from, uids, to);
                go(told, from, uids);
            }
            O::Replace(from, uid, to, text) => {
                told.come(to, vec![text.clone()]);
                for old in go(told, from, &Uids::These(vec![*uid])) {
                    told.replacing.push((old, text.clone()));
                }
            }
            O::Store {
                mailbox,
                uids,
                action,
                flags,
                keywords,
            } => {
                let uids = uids.of(told, mailbox);
                let Some(told) = told.mailboxes.get_mut(*mailbox) else {
                    return;
                };
                for uid in uids {
                    if let Some(message) = told.messages.get_mut(&uid)
                        && let Some(last) = message.marks.last()
                    {
                        let marks = last.after(*action, *flags, keywords);
                        message.perhaps.push(marks);
                    }
                }
            }
            O::Expunge(mailbox, uids) => {
                for text in go(told, mailbox, uids) {
                    told.leaving.insert(text);
                }
            }
            O::Create(text, _) => {
                told.perhaps_made.insert((*text).to_owned(), Vec::new());
            }
            O::Delete(text) => {
                told.perhaps_deleted.insert((*text).to_owned());
                if let Some(mailbox) = told.mailboxes.get(*text) {
                    let texts = mailbox.messages.values();
                    told.leaving
                        .extend(texts.map(|message| message.text.clone()));
                }
            }
            O::Rename("INBOX", to) => {
                let texts = go(told, "INBOX", &Uids::All);
                told.perhaps_made.insert((*to).to_owned(), texts);
            }
            O::Rename(from, to) => told.perhaps_renamed = renamed(told, from, to),
            O::Subscribe(text, _) => drop(told.perhaps_subscribed.insert((*text).to_owned())),
            O::Annotate(of, entry, value) => {
                let metadata = told.metadata(of);
                metadata.perhaps.push(metadata.with(entry, value));
            }
            O::Defaults => {
                for text in DEFAULTS {
                    if !told.mailboxes.contains_key(text) {
                        told.perhaps_made.insert(text.to_owned(), Vec::new());
                    }
                    told.perhaps_subscribed.insert(text.to_owned());
                }
            }
            O::Visit { device, .. } => {
                let after = self.visited(told);
                told.perhaps_devices.push(((*device).to_owned(), after));
            }
            O::Claim(_)
            | O::UniqueIds(_)
            | O::Close(_)
            | O::Restart
            | O::Remove(_)
            | O::SetApart(_) => {}
        }
    }
    /// What the device did after its visit.
    fn visited(&self, told: &Told) -> ToldDevice {
        let O::Visit {
            device,
            fetched,
            deleted,
        } = self
        else {
            return ToldDevice::default();
        };
        let mut after = told.devices.get(*device).cloned().unwrap_or_default();
        // Of messages there are not nothing is noted.
        let there = |uids: &Uids| {
            let uids = uids.of(told, "INBOX").into_iter();
            uids.filter(|uid| told.message("INBOX", *uid).is_some())
        };
        after.fetched.extend(there(fetched));
        after.deleted.extend(there(deleted));
        after
    }
    pub(super) fn perform(&self, client: &mut Client) -> Result<()> {
        match self {
            O::Append {
                mailbox: name,
                texts,
                flags,
                keywords,
            } => {
                let mailbox = client.mailbox(name)?;
                let mut messages = Vec::new();
                for text in texts {
                    let mut incoming = mailbox.begin_append()?;
                    incoming.write(text.replace('\n', "\r\n").as_bytes())?;
                    incoming.describe(*flags, keyword_names(keywords), None);
                    messages.push(incoming);
                }
                let uids = mailbox.append(messages)?;
                let marks = Marks {
                    flags: *flags,
                    keywords: keywords.iter().cloned().collect(),
                };
                for (uid, text) in uids.into_iter().zip(texts) {
                    let message = ToldMessage::new(text.clone(), marks.clone());
                    client.told.came(name, uid, message);
                }
                Ok(())
            }
            O::Deliver { mailbox, text } => {
                let directory = client.directory(mailbox);
                let unique = crate::maildir::filename::fresh();
                let temporary = directory.join("tmp").join(&unique);
                let delivered = disk::create_new(&temporary).and_then(|mut file| {
                    file.write_all(text.as_bytes())?;
                    file.sync()?;
                    disk::rename(&temporary, &directory.join("new").join(&unique))?;
                    disk::sync_directory(&directory.join("new"))
                });
                delivered.map_err(|error| Error::io("deliver", error))?;
                client.told.delivered.insert(text.clone());
                client.mailbox(mailbox)?.sync().map(drop)
            }
            O::Claim(mailbox) => client.mailbox(mailbox)?.claim_recent().map(drop),
            O::Copy(from, uids, to) => {
                let uids = uids.of(&client.told, from);
                let destination = client.mailbox(to)?;
                let copied = client.mailbox(from)?.copy_to(&uids, &destination)?;
                client.told.copied(from, to, &copied.pairs);
                Ok(())
            }
            O::Move(from, uids, to) => {
                let uids = uids.of(&client.told, from);
                let destination = client.mailbox(to)?;
                let mut pairs = Vec::new();
                let source = client.mailbox(from)?;
                source.move_to(&uids, &destination, &mut pairs)?;
                client.told.copied(from, to, &pairs);
                for (uid, _) in pairs {
                    client.told.went(from, uid);
                }
                Ok(())
            }
            O::Replace(from, uid, to, text) => {
                let Some(old) = Uid::new(*uid) else {
                    return Ok(());
                };
                let destination = client.mailbox(to)?;
                let mut incoming = destination.begin_append()?;
                incoming.write(text.replace('\n', "\r\n").as_bytes())?;
                let replaced = client.mailbox(from)?.replace(old, &destination, incoming);
                if matches!(replaced, Err(Error::Expunged)) {
                    return Ok(());
                }
                let marks = Marks {
                    flags: Flags::default(),
                    keywords: std::collections::BTreeSet::new(),
                };
                let message = ToldMessage::new(text.clone(), marks);
                client.told.came(to, replaced?, message);
                client.told.went(from, old);
                Ok(())
            }
            O::Store {
                mailbox: name,
                uids,
                action,
                flags,
                keywords,
            } => {
                let uids = uids.of(&client.told, name);
                let keywords = keyword_names(keywords);
                let mailbox = client.mailbox(name)?;
                let outcome = mailbox.store_flags(&uids, *action, *flags, &keywords, None)?;
                for uid in uids.iter().filter(|uid| !outcome.expunged.contains(uid)) {
                    client.told.marked(name, *uid);
                }
                Ok(())
            }
            O::Expunge(name, uids) => {
                let uids = uids.of(&client.told, name);
                for uid in client.mailbox(name)?.expunge(&uids)? {
                    client.told.went(name, uid);
                }
                Ok(())
            }
            O::UniqueIds(text) => {
                let mailbox = client.mailbox(text)?;
                let listing = mailbox.unique_id_listing(&mailbox.sync()?)?;
                if let Some(told) = client.told.mailboxes.get_mut(*text) {
                    for (uid, unique_id) in listing {
                        told.unique_ids.insert(uid, unique_id.to_string());
                    }
                }
                Ok(())
            }
            O::Visit {
                device,
                fetched,
                deleted,
            } => {
                let visit = DeviceVisit {
                    fetched: fetched.of(&client.told, "INBOX"),
                    deleted: deleted.of(&client.told, "INBOX"),
                };
                let known = DEVICES.map(str::to_owned);
                client.account()?.note_visit(device, &visit, &known)?;
                let after = self.visited(&client.told);
                client.told.devices.insert((*device).to_owned(), after);
                client.told.perhaps_devices.clear();
                Ok(())
            }
            O::Create(text, special_use) => {
                let made = client.account()?.create(&name(text), *special_use)?;
                client.told.meet(text, &made, Vec::new());
                Ok(())
            }
            O::Delete(text) => {
                client.account()?.delete(&name(text))?;
                client.told.mailboxes.remove(*text);
                client.told.perhaps_deleted.clear();
                Ok(())
            }
            O::Rename("INBOX", to) => {
                client.account()?.rename(&name("INBOX"), &name(to))?;
                let made = client.mailbox(to)?;
                let texts = client.told.perhaps_made.remove(*to).unwrap_or_default();
                client.told.meet(to, &made, texts);
                for uid in Uids::All.of(&client.told, "INBOX") {
                    client.told.went("INBOX", uid);
                }
                let told = client.told.metadata("INBOX").told.clone();
                client.told.metadata(to).told = told;
                client.told.metadata(to).perhaps.clear();
                Ok(())
            }
            O::Rename(from, to) => {
                client.account()?.rename(&name(from), &name(to))?;
                for (old, new) in std::mem::take(&mut client.told.perhaps_renamed) {
                    client.close_mailbox(&old);
                    if let Some(mailbox) = client.told.mailboxes.remove(&old) {
                        client.told.mailboxes.insert(new, mailbox);
                    }
                }
                Ok(())
            }
            O::Subscribe(text, subscribed) => {
                client.account()?.set_subscribed(&name(text), *subscribed)?;
                client.told.subscription(text, *subscribed);
                Ok(())
            }
            O::Annotate(of, entry, value) => {
                if !of.is_empty() {
                    client.mailbox(of)?;
                }
                let entry_name = EntryName::new(entry).expect("a name");
                let changes = [(entry_name, Some(value.as_bytes().to_vec()))];
                let mailbox = name(of);
                let annotated = match *of {
                    "" => Annotated::Server,
                    _ => Annotated::Mailbox(&mailbox),
                };
                match client.account()?.set_metadata(annotated, "anna", &changes) {
                    Ok(()) => {}
                    Err(Unset::Failed(error)) => return Err(error),
                    Err(other) => panic!("{other:?}"),
                }
                let metadata = client.told.metadata(of);
                metadata.told = metadata.with(entry, value);
                metadata.perhaps.clear();
                Ok(())
            }
            O::Defaults => {
                client.account()?.make_default_mailboxes()?;
                for text in DEFAULTS {
                    let made = client.mailbox(text)?;
                    if !client.told.mailboxes.contains_key(text) {
                        client.told.meet(text, &made, Vec::new());
                    }
                    client.told.subscription(text, true);
                }
                Ok(())
            }
            O::Close(text) => {
                client.close_mailbox(text);
                Ok(())
            }
            O::Restart => {
                client.close();
                client.account().map(drop)
            }
            O::Remove(file) => {
                client.close();
                disk::unlink(&client.root().join(file)).map_err(|error| Error::io("remove", error))
            }
            O::SetApart(mailbox) => {
                client.close();
                let directory = client.directory(mailbox);
                let done = client.disk.set_apart(&directory);
                done.map_err(|error| Error::io("set apart", error))
            }
        }
    }
    /// It was refused: what had not happened before must not be seen, unless not even
    /// undoing was possible. Only a loss of power may still decide some of it.
    pub(super) fn refused(&self, told: &mut Told, lasting: bool) {
        match self {
            O::Append { mailbox, .. }
            | O::Copy(_, _, mailbox)
            | O::Move(_, _, mailbox)
            | O::Replace(_, _, mailbox, _) => {
                if let Some(told) = told.mailboxes.get_mut(*mailbox) {
                    told.limbo.extend(told.perhaps_came.iter().cloned());
                    // These can fail when the messages have come already.
                    if !lasting && !matches!(self, O::Move(..) | O::Replace(..)) {
                        told.perhaps_came.clear();
                    }
                }
            }
            O::Create(text, _) | O::Delete(text) | O::Subscribe(text, _) => {
                told.in_doubt.insert((*text).to_owned());
            }
            O::Rename(from, to) => {
                for (old, new) in renamed(told, from, to) {
                    told.in_doubt.extend([old, new]);
                }
                told.in_doubt.insert((*to).to_owned());
            }
            O::Annotate(of, ..) => told.metadata(of).refused(lasting),
            O::Defaults => told.in_doubt.extend(DEFAULTS.map(str::to_owned)),
            O::Visit { device, .. } => {
                let before = told.devices.get(*device).cloned().unwrap_or_default();
                let after = self.visited(told);
                told.doubted_devices
                    .extend([before, after].map(|did| ((*device).to_owned(), did)));
            }
            _ => {}
        }
    }
}
