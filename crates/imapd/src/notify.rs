//! NOTIFY (RFC 5465): what a client wants to be told, when, and of which mailboxes.

use crate::grammar::command::{EventGroup, FetchItem, MailboxFilter, MessageEvents};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};
use store::{Account, Flags, Lookout, Mailbox, MailboxName, MailboxStatus, News, Watch};

/// So many mailboxes a session may watch.
pub const WATCHED: usize = if cfg!(test) { 40 } else { 2000 };
/// How soon mailboxes are told of again while the client sends nothing: what happens to
/// them meanwhile is told in one response.
pub const QUIET: Duration = Duration::from_millis(100);

/// What is told of the selected mailbox.
#[derive(Debug, Clone)]
pub struct Selected {
    /// Which events.
    pub events: MessageEvents,
    /// When expunges are told.
    pub expunges: Expunges,
    /// What is fetched of new messages.
    pub items: Vec<FetchItem>,
}

/// When expunges in the selected mailbox are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expunges {
    /// At once.
    Immediate,
    /// When a command allows it (RFC 3501 section 7.4.1).
    Delayed,
}

/// The mailboxes of an event group.
#[derive(Debug)]
enum Filter {
    All,
    Subscribed,
    Subtree(BTreeSet<MailboxName>),
    Named(BTreeSet<MailboxName>),
}

/// An event group that is not about the selected mailbox.
#[derive(Debug)]
struct Group {
    filter: Filter,
    events: crate::grammar::command::Events,
}

/// A mailbox that is watched.
#[derive(Debug)]
pub struct Watched {
    /// Which events are told.
    pub events: MessageEvents,
    /// What the client was told, or what was there when it asked; none where it is to be
    /// told of it, whatever it is then.
    pub told: Option<MailboxStatus>,
    /// It could not be read when it was looked at last, which was told.
    pub denied: bool,
}

/// What a client asked for by NOTIFY.
#[derive(Debug)]
pub struct Notify {
    /// What is told of the selected mailbox.
    pub selected: Selected,
    groups: Vec<Group>,
    subscribed: BTreeSet<MailboxName>,
    /// What was subscribed before that which is still to be told.
    unsubscribed: BTreeSet<MailboxName>,
    /// What was told of mailboxes that were renamed to the client's knowledge, until they
    /// are looked at under their new names.
    pub departed: BTreeMap<[u8; 16], MailboxStatus>,
    /// Looks out for what happens in other mailboxes.
    pub lookout: Option<Lookout>,
    /// Those mailboxes.
    pub watched: BTreeMap<MailboxName, Watched>,
    /// Those that may have changed and are still to be told of.
    pub changed: BTreeSet<MailboxName>,
    /// What CLOSE is to remove.
    pub closing: Option<Closing>,
    /// Before this nothing is told of them while the client sends nothing.
    pub quiet_until: Instant,
}

/// What a CLOSE under way is to remove.
#[derive(Debug)]
pub struct Closing {
    /// The mailbox when it began.
    pub before: MailboxStatus,
    /// How many messages.
    pub messages: u32,
    /// How many of them have no `\Seen`.
    pub unseen: u32,
}

/// What was done to names to the client's knowledge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deed {
    /// It made this mailbox itself.
    Created(MailboxName),
    /// This mailbox was renamed, with those below it.
    Renamed(MailboxName),
    /// Mailboxes were made by others: none lost its name.
    Added,
    /// Something else, or more than one thing.
    Other,
}

/// Whom an event concerns that is not about messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    MailboxName,
    SubscriptionChange,
    MetadataChange,
}

/// Too much is asked for.
#[derive(Debug)]
pub struct Overflow;

impl Notify {
    /// NOTIFY NONE.
    pub fn none(now: Instant) -> Self {
        Self {
            selected: Selected {
                events: MessageEvents::None,
                expunges: Expunges::Delayed,
                items: Vec::new(),
            },
            groups: Vec::new(),
            subscribed: BTreeSet::new(),
            unsubscribed: BTreeSet::new(),
            departed: BTreeMap::new(),
            lookout: None,
            watched: BTreeMap::new(),
            changed: BTreeSet::new(),
            closing: None,
            quiet_until: now,
        }
    }

    /// NOTIFY SET. Mailboxes that cannot be are passed over (RFC 5465 section 3.1).
    pub fn set(groups: &[EventGroup], account: &Account, now: Instant) -> Self {
        let mut notify = Self::none(now);
        let names = |names: &[String]| -> BTreeSet<MailboxName> {
            let parsed = names.iter().map(|name| account.parse_name(name));
            parsed.filter_map(Result::ok).collect()
        };
        for group in groups {
            let filter = match &group.filter {
                MailboxFilter::Selected | MailboxFilter::SelectedDelayed => {
                    notify.selected = Selected {
                        events: group.events.messages,
                        expunges: match group.filter {
                            MailboxFilter::Selected => Expunges::Immediate,
                            _ => Expunges::Delayed,
                        },
                        items: group.events.items.clone(),
                    };
                    continue;
                }
                // A mail transport agent can deliver into any mailbox.
                MailboxFilter::Inboxes | MailboxFilter::Personal => Filter::All,
                MailboxFilter::Subscribed => Filter::Subscribed,
                MailboxFilter::Subtree(tops) => Filter::Subtree(names(tops)),
                MailboxFilter::Mailboxes(named) => Filter::Named(names(named)),
            };
            notify.groups.push(Group {
                filter,
                events: group.events.clone(),
            });
        }
        notify
    }

    /// What was told under the terms before is remembered: what happened since is still to
    /// be told of those mailboxes that stay watched. Before [`Notify::watch`].
    pub fn take_over(&mut self, before: Option<&Self>) {
        self.watched.clear();
        self.lookout = None;
        let Some(before) = before else {
            return;
        };
        for (name, known) in &before.watched {
            let watched = Watched {
                events: known.events,
                told: known.told.clone(),
                // Where it cannot be read that is told again (RFC 5465 section 3.1).
                denied: false,
            };
            self.watched.insert(name.clone(), watched);
        }
        self.changed.clone_from(&before.changed);
    }

    /// Whether anything but the selected mailbox is to be told of.
    pub fn listens(&self) -> bool {
        !self.groups.is_empty()
    }

    fn includes(&self, filter: &Filter, name: &MailboxName) -> bool {
        match filter {
            Filter::All => true,
            Filter::Subscribed => self.subscribed.contains(name),
            Filter::Subtree(tops) => {
                tops.contains(name)
                    || std::iter::successors(name.parent(), MailboxName::parent)
                        .any(|above| tops.contains(&above))
            }
            Filter::Named(names) => names.contains(name),
        }
    }

    /// Whether an event is told of a mailbox.
    pub fn wants(&self, event: Event, name: &MailboxName) -> bool {
        self.groups.iter().any(|group| {
            let events = &group.events;
            let is_wanted = match event {
                Event::MailboxName => events.mailbox_name,
                Event::SubscriptionChange => events.subscription_change,
                Event::MetadataChange => events.mailbox_metadata_change,
            };
            // It is told that a name is subscribed no more (RFC 5465 section 5.5).
            let was_included =
                || matches!(group.filter, Filter::Subscribed) && self.unsubscribed.contains(name);
            is_wanted && (self.includes(&group.filter, name) || was_included())
        })
    }

    /// All that was heard is told.
    pub fn note_heard(&mut self) {
        self.unsubscribed.clear();
    }

    /// Whether what happened may change which mailboxes are watched.
    pub fn is_moved_by(&self, news: &News) -> bool {
        let follows = |filter: &Filter| matches!(filter, Filter::Subscribed);
        let by_subscription = self.groups.iter().any(|group| follows(&group.filter));
        let watches = |group: &Group| group.events.messages != MessageEvents::None;
        match news {
            News::Metadata { .. } => false,
            News::Subscription(_) => by_subscription,
            News::Created(_) | News::Deleted(_) | News::Renamed { .. } => {
                by_subscription || self.groups.iter().any(watches)
            }
        }
    }

    /// Whether changes of the server's metadata are told.
    pub fn wants_server_metadata(&self) -> bool {
        self.groups
            .iter()
            .any(|group| group.events.server_metadata_change)
    }

    /// Which events of messages in a mailbox are told while it is not selected.
    fn events_of(&self, name: &MailboxName) -> MessageEvents {
        let groups = self.groups.iter();
        groups
            .filter(|group| self.includes(&group.filter, name))
            .map(|group| group.events.messages)
            .max()
            .unwrap_or_default()
    }

    /// Brings what is watched in line with the mailboxes there are. Gives those that are
    /// watched from now on; those that are other mailboxes than they were are changed.
    ///
    /// # Errors
    /// [`Overflow`] if they are too many, else why they cannot be listed.
    pub fn watch(
        &mut self,
        account: &std::sync::Arc<Account>,
        waker: &std::task::Waker,
        deed: &Deed,
    ) -> store::Result<Result<Vec<MailboxName>, Overflow>> {
        let entries = account.list()?;
        let subscribed = entries.iter().filter(|entry| entry.subscribed);
        let subscribed = subscribed.map(|entry| entry.name.clone()).collect();
        let before = std::mem::replace(&mut self.subscribed, subscribed).into_iter();
        let ended: Vec<MailboxName> = before
            .filter(|name| !self.subscribed.contains(name))
            .collect();
        self.unsubscribed.extend(ended);
        if *deed == Deed::Other {
            self.departed.clear();
        }
        let mut wanted = BTreeMap::new();
        for entry in entries.into_iter().filter(|entry| entry.selectable) {
            let events = self.events_of(&entry.name);
            if events != MessageEvents::None {
                wanted.insert(entry.name, events);
            }
        }
        if wanted.len() > WATCHED {
            return Ok(Err(Overflow));
        }
        let gone: Vec<MailboxName> = self
            .watched
            .keys()
            .filter(|name| !wanted.contains_key(name))
            .cloned()
            .collect();
        for name in gone {
            let told = self.watched.remove(&name).and_then(|watched| watched.told);
            if let Some(told) = told.filter(|_| self.learns_new_name(&name, deed)) {
                self.departed.insert(told.mailbox_id, told);
            }
            self.changed.remove(&name);
            if let Some(lookout) = &mut self.lookout {
                lookout.forget(&name);
            }
        }
        let mut fresh = Vec::new();
        for (name, events) in wanted {
            let lookout = self
                .lookout
                .get_or_insert_with(|| account.lookout(waker.clone()));
            match lookout.watch(&name) {
                Ok(Watch::Kept) => {}
                // What was told may be of another mailbox, or something happened to it while
                // it was not watched.
                Ok(Watch::Begun) if self.watched.contains_key(&name) => {
                    self.changed.insert(name.clone());
                }
                Ok(Watch::Begun) => {}
                Ok(Watch::Refused) => return Ok(Err(Overflow)),
                // It went meanwhile.
                Err(_) => continue,
            }
            if let Some(watched) = self.watched.get_mut(&name) {
                watched.events = events;
                continue;
            }
            let watched = Watched {
                events,
                told: None,
                denied: false,
            };
            self.watched.insert(name.clone(), watched);
            fresh.push(name);
        }
        let watched = &self.watched;
        self.changed.retain(|name| watched.contains_key(name));
        Ok(Ok(fresh))
    }

    /// Whether the client learns which name a mailbox has that lost this one.
    fn learns_new_name(&self, name: &MailboxName, deed: &Deed) -> bool {
        let is_renamed = match deed {
            Deed::Renamed(from) => name == from || name.is_inferior_of(from),
            Deed::Created(_) | Deed::Added | Deed::Other => false,
        };
        is_renamed && self.departed.len() < WATCHED
    }

    /// What was done to names, as far as the client is told. Of much at once it is told how
    /// names are in the end: it cannot follow a mailbox from one to another.
    pub fn deed_of<'a>(&self, news: impl Iterator<Item = &'a News>) -> Deed {
        let mut names = news.filter(|news| match news {
            News::Created(_) | News::Deleted(_) | News::Renamed { .. } => true,
            News::Subscription(_) | News::Metadata { .. } => false,
        });
        match (names.next(), names.next()) {
            (Some(News::Renamed { from, to }), None)
                if self.wants(Event::MailboxName, to) || self.wants(Event::MailboxName, from) =>
            {
                Deed::Renamed(from.clone())
            }
            (Some(News::Created(_)), other)
                if other
                    .into_iter()
                    .chain(names)
                    .all(|news| matches!(news, News::Created(_))) =>
            {
                Deed::Added
            }
            _ => Deed::Other,
        }
    }

    /// Whether mailboxes wait to be told of.
    pub fn has_changed(&self) -> bool {
        !self.changed.is_empty()
            || self
                .lookout
                .as_ref()
                .is_some_and(|lookout| !lookout.is_quiet())
    }

    /// Messages came by the client's own doing, which it is not told of. Where others changed
    /// something before of which it was not told yet it is told of all, though it may be as
    /// it was told to be.
    pub fn note_arrivals(&mut self, mailbox: &Mailbox, uids: &[store::Uid]) {
        let id = mailbox.guid();
        let is_it = |watched: &Watched| {
            let told = watched.told.as_ref();
            told.is_some_and(|told| told.mailbox_id == id)
        };
        let Some((name, watched)) = self.watched.iter_mut().find(|(_, known)| is_it(known)) else {
            return;
        };
        let snapshot = mailbox.snapshot();
        watched.told = watched.told.take().and_then(|mut told| {
            for uid in uids {
                let row = snapshot.of_uid(*uid)?;
                // The store numbers all changes without a gap.
                if row.modseq > told.highest_modseq.saturating_add(1) || row.uid < told.uid_next {
                    return None;
                }
                told.messages = told.messages.saturating_add(1);
                let unseen = u32::from(!row.flags.contains(Flags::SEEN));
                told.unseen = told.unseen.saturating_add(unseen);
                told.uid_next = row.uid.checked_add(1).unwrap_or(row.uid);
                told.highest_modseq = row.modseq.max(told.highest_modseq);
            }
            Some(told)
        });
        if watched.told.is_none() {
            self.changed.insert(name.clone());
        }
    }

    /// Messages went by the client's own doing, which it is not told of, if nothing else
    /// happened meanwhile.
    pub fn note_departures(&mut self, after: MailboxStatus) {
        let Some(closing) = self.closing.take() else {
            return;
        };
        let before = closing.before;
        let of = |status: &MailboxStatus| status.mailbox_id == before.mailbox_id;
        let is_it = |watched: &Watched| watched.told.as_ref().is_some_and(of);
        let Some((name, watched)) = self.watched.iter_mut().find(|(_, known)| is_it(known)) else {
            return;
        };
        let alone = before.messages.checked_sub(after.messages) == Some(closing.messages)
            && before.unseen.checked_sub(after.unseen) == Some(closing.unseen)
            && before.uid_next == after.uid_next
            // One step has one mod-sequence.
            && after.highest_modseq <= before.highest_modseq.saturating_add(1);
        watched.told = (alone && watched.told.as_ref() == Some(&before)).then_some(after);
        self.changed.insert(name.clone());
    }

    /// The client was told of a mailbox while it was selected, but maybe not of all flags.
    pub fn note_told(&mut self, name: &MailboxName, status: MailboxStatus, lacks_flags: bool) {
        if let Some(watched) = self.watched.get_mut(name) {
            let is_untold = lacks_flags && watched.events == MessageEvents::WithFlags;
            watched.told = (!is_untold).then_some(status);
            self.changed.insert(name.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grammar::command::Command;
    use store::Layout;

    fn set(text: &str, account: &Account) -> Notify {
        let text = format!("a NOTIFY SET {text}");
        let tagged = crate::grammar::parse(text.as_bytes()).expect("a command");
        match tagged.command {
            Command::Notify(crate::grammar::command::Notify::Set { groups, .. }) => {
                Notify::set(&groups, account, Instant::now())
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn groups_say_what_is_told_of_what() {
        let directory = tempfile::tempdir().expect("a directory");
        let layout = Layout {
            delimiter: '/',
            prefix: String::new(),
        };
        let account = Account::open(directory.path(), layout).expect("an account");
        let name = |text: &str| account.parse_name(text).expect("a name");
        for text in ["Lists", "Lists/A", "Listsx", "Sent"] {
            account.create(&name(text), None).expect("made");
        }
        account.set_subscribed(&name("Sent"), true).expect("set");
        let mut notify = set(
            "(subtree Lists (MessageNew MessageExpunge)) (mailboxes (INBOX Nowhere) (MailboxName)) \
             (subscribed (MessageNew MessageExpunge FlagChange SubscriptionChange))",
            &account,
        );
        let waker = std::task::Waker::noop();
        let fresh = notify
            .watch(&account, waker, &Deed::Other)
            .expect("listed")
            .expect("few");
        assert_eq!(fresh, [name("Lists"), name("Lists/A"), name("Sent")]);
        assert_eq!(
            notify.watched[&name("Sent")].events,
            MessageEvents::WithFlags
        );
        assert_eq!(notify.watched[&name("Lists")].events, MessageEvents::Counts);
        assert!(notify.wants(Event::MailboxName, &name("Nowhere")));
        assert!(!notify.wants(Event::MailboxName, &name("Sent")));
        assert!(notify.wants(Event::SubscriptionChange, &name("Sent")));
        assert_eq!(notify.selected.events, MessageEvents::None);
        account.set_subscribed(&name("Sent"), false).expect("set");
        account.delete(&name("Lists/A")).expect("deleted");
        let fresh = notify
            .watch(&account, waker, &Deed::Other)
            .expect("listed")
            .expect("few");
        assert!(fresh.is_empty());
        assert_eq!(notify.watched.keys().collect::<Vec<_>>(), [&name("Lists")]);
    }
}
