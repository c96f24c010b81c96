//! Tells what others did to mailboxes that are not selected, and to the server (RFC 5464
//! section 4.4.2, RFC 5465).

use crate::capability::Capability;
use crate::commands::Outcome;
use crate::commands::list::{Access, write_access, write_entry};
use crate::commands::metadata::write_changed;
use crate::grammar::command::{EventGroup, MessageEvents, StatusItem, StatusWanted};
use crate::notify::{Closing, Deed, Event, Notify, QUIET, Watched};
use crate::response::Writer;
use crate::rules::Told;
use crate::session::ImapSession;
use crate::view::{Look, View};
use std::collections::VecDeque;
use std::time::Instant;
use store::news::Acting;
use store::{Account, Flags, ListEntry, Lookout, Mailbox, MailboxName, MailboxStatus, News, Uid};

/// So many mailboxes are looked at before other sessions have their turn: one that nobody
/// has open may have to be opened.
const LOOKED_AT: usize = 8;

/// So often NOTIFY SET looks for mailboxes while they come and go all the time.
const LOOKS: u32 = 4;

/// A NOTIFY SET whose mailboxes are being looked at.
pub struct Notifying {
    /// Those to be looked at yet.
    rest: VecDeque<MailboxName>,
    status: StatusWanted,
}

impl ImapSession {
    /// Listens from now on, if it does not yet.
    pub(crate) fn listen(&mut self) {
        if let (None, Some(login)) = (&self.listener, &self.login) {
            let waker = self.options.waker.clone();
            self.listener = Some(login.account.listen(&login.user, waker));
        }
    }

    /// What is done until the guard drops is this session's doing.
    pub(crate) fn act(&self) -> Option<Acting> {
        self.listener.as_ref().map(store::Listener::act)
    }

    /// NOTIFY NONE: nothing more is told of anything.
    pub(crate) fn notify_none(&mut self) {
        self.notify = Some(Notify::none(self.now));
        self.rest_listening();
    }

    /// Listens no longer where nothing is to be told of what is heard.
    fn rest_listening(&mut self) {
        let listens = self.notify.as_ref().is_some_and(Notify::listens);
        if !listens && !self.enabled.metadata() {
            self.listener = None;
        }
    }

    /// The name that the selected mailbox has now, which others may have renamed.
    fn selected(&self) -> Option<MailboxName> {
        let (view, login) = (self.view.as_ref()?, self.login.as_ref()?);
        login.account.name_of(view.mailbox(), view.name())
    }

    /// NOTIFY SET: what there is to be told of the selected mailbox is told first, as
    /// NOOP does (RFC 5465 section 3.1). The others are looked at in steps.
    pub(crate) fn notify_set(
        &mut self,
        status: StatusWanted,
        groups: &[EventGroup],
    ) -> Result<Notifying, Outcome> {
        let has_metadata = self.has(Capability::Metadata);
        let is_unsupported = |group: &EventGroup| {
            let events = &group.events;
            let of_metadata = events.mailbox_metadata_change || events.server_metadata_change;
            events.unsupported || (of_metadata && !has_metadata)
        };
        if groups.iter().any(is_unsupported) {
            let of_metadata = match has_metadata {
                true => " MailboxMetadataChange ServerMetadataChange",
                false => "",
            };
            return Err(Outcome::No(format!(
                "[BADEVENT (MessageNew MessageExpunge FlagChange MailboxName \
                 SubscriptionChange{of_metadata})] An event is not supported"
            )));
        }
        let account = self.account()?;
        let mut notify = Notify::set(groups, &account, self.now);
        let fetches_modseq = |item: &_| matches!(item, crate::grammar::command::FetchItem::ModSeq);
        let was_aware = self.enabled.condstore();
        if notify.selected.items.iter().any(fetches_modseq) {
            self.enabled.enable_condstore();
        }
        let fresh = self.look_for_mailboxes(&mut notify)?;
        let rest: VecDeque<MailboxName> = match status {
            StatusWanted::Yes => notify.watched.keys().cloned().collect(),
            StatusWanted::No => fresh.into(),
        };
        // What was wanted until now is told once more, under the new terms.
        let items = std::mem::take(&mut notify.selected.items);
        let events = std::mem::replace(&mut notify.selected.events, MessageEvents::WithFlags);
        let fetches = events != MessageEvents::None;
        if fetches {
            notify.selected.items.clone_from(&items);
        }
        self.notify = Some(notify);
        self.rest_listening();
        self.tell(Told::All, Look::Now);
        if let Some(notify) = &mut self.notify {
            notify.selected.items = items;
            notify.selected.events = events;
        }
        if let Some(view) = &self.view
            && self.enabled.condstore()
            && !was_aware
        {
            // RFC 7162 section 3.1: the first command that enables CONDSTORE.
            view.write_highest_modseq(&mut self.out);
        }
        Ok(Notifying { rest, status })
    }

    /// Begins to watch under new terms. Gives the mailboxes that were not watched until now.
    ///
    /// What happened to names is told under the terms until now, what happens from here on
    /// under the new ones. First it listens, then it looks; where it hears something then,
    /// what it saw may be of after that, and it looks again.
    fn look_for_mailboxes(&mut self, notify: &mut Notify) -> Result<Vec<MailboxName>, Outcome> {
        let account = self.account()?;
        let mut looks = 0;
        loop {
            self.tell_heard();
            if notify.listens() {
                self.listen();
            }
            notify.take_over(self.notify.as_ref());
            let waker = &self.options.waker;
            let Ok(fresh) = notify.watch(&account, waker, &Deed::Other)? else {
                return Err(Outcome::no(
                    "[NOTIFICATIONOVERFLOW] That is more than can be watched",
                ));
            };
            looks += 1;
            let hears = |listener: &store::Listener| !listener.is_empty();
            if !self.listener.as_ref().is_some_and(hears) || looks >= LOOKS {
                return Ok(fresh);
            }
        }
    }

    /// Looks at some of the mailboxes that are watched from now on; whether it is done.
    pub(crate) fn step_notifying(&mut self, notifying: &mut Notifying) -> bool {
        let selected = self.selected();
        let mut looked_at = 0;
        while let Some(name) = notifying.rest.pop_front() {
            if let Some(notify) = &mut self.notify
                && let Some(lookout) = &notify.lookout
                && let Some(watched) = notify.watched.get_mut(&name)
                && let Some(login) = &self.login
                && let Some(status) = watched.look(lookout, (&login.account, &name), &mut self.out)
            {
                if notifying.status == StatusWanted::Yes && selected.as_ref() != Some(&name) {
                    let mut items = vec![
                        StatusItem::UidValidity,
                        StatusItem::UidNext,
                        StatusItem::Messages,
                    ];
                    let flags = watched.events == MessageEvents::WithFlags;
                    let has_condstore = login.capabilities.has(Capability::Condstore);
                    if (flags && has_condstore) || self.enabled.condstore() {
                        items.push(StatusItem::HighestModSeq);
                    }
                    if flags {
                        items.push(StatusItem::Unseen);
                    }
                    let shown = login.account.show_name(&name);
                    let limit = self.options.append_limit_octets;
                    self.out.status(&shown, (&status, limit), &items);
                }
                watched.told = Some(status);
                notify.changed.remove(&name);
            }
            looked_at += 1;
            if looked_at >= LOOKED_AT || self.out.is_long() {
                break;
            }
        }
        notifying.rest.is_empty()
    }

    /// Messages came by this session's own doing.
    pub(crate) fn note_arrivals(&mut self, mailbox: &Mailbox, uids: &[Uid]) {
        if let Some(notify) = &mut self.notify {
            notify.note_arrivals(mailbox, uids);
        }
        if let Some(view) = &mut self.view
            && view.mailbox().id() == mailbox.id()
            && (self.notify.is_some() || view.contexts().fetches())
        {
            view.note_own(uids);
        }
    }

    /// As [`ImapSession::note_arrivals`], of what a command copied, moved or replaced.
    pub(crate) fn note_saved(&mut self) {
        let arrivals = self.view.as_mut().map(crate::view::View::take_arrivals);
        for (mailbox, uids) in arrivals.unwrap_or_default() {
            self.note_arrivals(&mailbox, &uids);
        }
    }

    /// CLOSE expunged: what the client did itself it is not told.
    pub(crate) fn note_departures(&mut self, view: &View) {
        if let Some(notify) = &mut self.notify {
            notify.note_departures(status(view));
        }
    }

    /// CLOSE begins to expunge what is marked `\Deleted`.
    pub(crate) fn note_closing(&mut self) {
        if let (Some(notify), Some(view)) = (&mut self.notify, &self.view) {
            let (snapshot, id) = (view.mailbox().snapshot(), view.mailbox().guid());
            let mut closing = Closing {
                before: MailboxStatus::of(&snapshot, id),
                messages: 0,
                unseen: 0,
            };
            let marked = snapshot.rows();
            for row in marked.filter(|row| row.flags.contains(Flags::DELETED)) {
                closing.messages = closing.messages.saturating_add(1);
                let unseen = u32::from(!row.flags.contains(Flags::SEEN));
                closing.unseen = closing.unseen.saturating_add(unseen);
            }
            notify.closing = Some(closing);
        }
    }

    /// The client itself changed names or subscriptions: what is watched follows.
    pub(crate) fn note_names(&mut self, deed: &Deed) {
        if self.notify.as_ref().is_some_and(Notify::listens) {
            // What others did is told later.
            let hears = |listener: &store::Listener| !listener.is_empty();
            let deed = match deed {
                Deed::Renamed(_) if self.listener.as_ref().is_some_and(hears) => &Deed::Other,
                deed => deed,
            };
            self.watch_anew(deed);
        }
    }

    /// The selected mailbox is left: from now on it is told of as others are. Where nothing
    /// of it was to be told while it was selected, what the client did to flags there itself
    /// is told then with what others did.
    pub(crate) fn note_left(&mut self) {
        if let Some(name) = self.selected()
            && let (Some(notify), Some(view)) = (&mut self.notify, &self.view)
        {
            let current = view.mailbox().snapshot();
            let known = match view.knows_all(&current) {
                true => &current,
                false => view.told(),
            };
            let status = MailboxStatus::of(known, view.mailbox().guid());
            notify.note_told(&name, status, view.has_untold());
        }
    }

    /// Whether there is news to be told now, though the client sends nothing.
    pub(crate) fn has_news(&self, now: Instant) -> bool {
        let is_quiet = |notify: &Notify| now < notify.quiet_until;
        !self.notify.as_ref().is_some_and(is_quiet) && self.news_waits()
    }

    fn news_waits(&self) -> bool {
        let heard = |listener: &store::Listener| !listener.is_empty();
        self.listener.as_ref().is_some_and(heard)
            || self.notify.as_ref().is_some_and(Notify::has_changed)
    }

    /// When news is to be told that has to wait.
    pub(crate) fn news_due(&self) -> Option<Instant> {
        let notify = self.notify.as_ref()?;
        let waits = self.news_waits() && !self.buffer.in_command();
        waits.then_some(notify.quiet_until)
    }

    /// Tells what was heard, as far as the client wants to know.
    pub(crate) fn tell_news(&mut self) {
        self.tell_heard();
        self.tell_changed();
    }

    fn tell_heard(&mut self) {
        let Some(listener) = &self.listener else {
            return;
        };
        let heard = listener.take();
        if heard.overflow {
            return self.overflow();
        }
        if heard.news.is_empty() {
            if let Some(notify) = &mut self.notify {
                notify.note_heard();
            }
            return;
        }
        if let Some(notify) = &mut self.notify {
            // Reading names is work: what else happens to them is told together.
            notify.quiet_until = self.now + QUIET;
            let moves = |news: &News| notify.is_moved_by(news);
            let is_moved = heard.news.iter().any(moves);
            let deed = notify.deed_of(heard.news.iter());
            if is_moved && !self.watch_anew(&deed) {
                return;
            }
        }
        // Attributes are told as they are now, whatever happened in between.
        let mut entries = None;
        let is_one = heard.news.len() == 1;
        let mut renamed = Vec::new();
        for news in heard.news {
            if let News::Renamed { to, .. } = &news {
                renamed.push(to.clone());
            }
            self.tell_one(news, &mut entries);
        }
        // Who is told of one name follows it to those below. One that was made, and renamed
        // before that was told, is told to be no more.
        if !is_one && !renamed.is_empty() {
            self.tell_inferiors(&renamed, &mut entries);
        }
        if let Some(notify) = &mut self.notify {
            notify.note_heard();
        }
    }

    /// Notifications end (RFC 5465 section 5.8).
    fn overflow(&mut self) {
        self.out.text("* OK ");
        if !self.notify.as_ref().is_some_and(Notify::listens) {
            // RFC 5464 has no code for this, and that of NOTIFY would end what it tells of
            // the selected mailbox.
            self.out
                .human("Some changes of metadata are not told")
                .crlf();
            return;
        }
        self.out.text("[NOTIFICATIONOVERFLOW] ");
        self.out.human("Too much happens to tell all of it").crlf();
        self.notify_none();
    }

    /// Names came and went: what is watched follows. Whether that was possible.
    fn watch_anew(&mut self, deed: &Deed) -> bool {
        let (Some(notify), Some(login)) = (&mut self.notify, &self.login) else {
            return true;
        };
        match notify.watch(&login.account, &self.options.waker, deed) {
            Ok(Ok(fresh)) => {
                // The client may know nothing of them: all of them is news, unless it made
                // one itself and nobody has used it since.
                for name in fresh {
                    if matches!(deed, Deed::Created(made) if *made == name)
                        && let Some(watched) = notify.watched.get_mut(&name)
                        && let Some(lookout) = &notify.lookout
                    {
                        let of = (&*login.account, &name);
                        let status = watched.look(lookout, of, &mut self.out);
                        watched.told = status.filter(is_as_made);
                    }
                    notify.changed.insert(name);
                }
                true
            }
            Ok(Err(_)) => {
                self.overflow();
                false
            }
            Err(error) => {
                tracing::error!(session = %self.options.session_id, %error, "cannot look for mailboxes");
                true
            }
        }
    }

    fn tell_one(&mut self, news: News, entries: &mut Option<Vec<ListEntry>>) {
        let wants = |event, name: &MailboxName| {
            let notify = self.notify.as_ref();
            notify.is_some_and(|notify| notify.wants(event, name))
        };
        match news {
            News::Metadata {
                mailbox, entries, ..
            } => {
                let is_wanted = match &mailbox {
                    Some(name) => wants(Event::MetadataChange, name),
                    None => self
                        .notify
                        .as_ref()
                        .is_some_and(Notify::wants_server_metadata),
                };
                if (self.enabled.metadata() || is_wanted)
                    && let Some(login) = &self.login
                {
                    let shown = mailbox.map(|name| login.account.show_name(&name));
                    write_changed(&shown.unwrap_or_default(), &entries, &mut self.out);
                }
            }
            News::Created(name) | News::Deleted(name) => {
                let mut affected = vec![name.clone()];
                affected.extend(name.parent());
                affected.retain(|name| wants(Event::MailboxName, name));
                for name in affected.iter().rev() {
                    self.tell_name(name, None, entries);
                }
            }
            News::Renamed { from, to } => {
                if wants(Event::MailboxName, &to) || wants(Event::MailboxName, &from) {
                    self.tell_name(&to, Some(&from), entries);
                }
            }
            News::Subscription(name) => {
                if wants(Event::SubscriptionChange, &name) {
                    self.tell_name(&name, None, entries);
                }
            }
        }
    }

    /// The mailboxes below some that were renamed.
    fn tell_inferiors(&mut self, of: &[MailboxName], entries: &mut Option<Vec<ListEntry>>) {
        let is_below = |name: &MailboxName| of.iter().any(|above| name.is_inferior_of(above));
        let listed = entries.iter().flatten().filter(|entry| entry.exists);
        let names: Vec<MailboxName> = listed
            .map(|entry| entry.name.clone())
            .filter(is_below)
            .collect();
        for name in names {
            let notify = self.notify.as_ref();
            if notify.is_some_and(|notify| notify.wants(Event::MailboxName, &name)) {
                self.tell_name(&name, None, entries);
            }
        }
    }

    /// A LIST response of a name as it is now.
    fn tell_name(
        &mut self,
        name: &MailboxName,
        old: Option<&MailboxName>,
        entries: &mut Option<Vec<ListEntry>>,
    ) {
        let Some(login) = &self.login else {
            return;
        };
        if entries.is_none() {
            match login.account.list() {
                Ok(list) => *entries = Some(list),
                Err(error) => {
                    tracing::error!(session = %self.options.session_id, %error, "cannot list mailboxes");
                    return;
                }
            }
        }
        let listed = entries.iter().flatten().find(|entry| entry.name == *name);
        let absent = ListEntry {
            name: name.clone(),
            selectable: false,
            exists: false,
            has_children: false,
            subscribed: false,
            special_use: None,
        };
        write_entry(
            &login.account,
            listed.unwrap_or(&absent),
            old,
            &mut self.out,
        );
    }

    /// Tells of mailboxes that are not selected in which messages came, went or changed.
    fn tell_changed(&mut self) {
        let selected = self.selected();
        let (Some(notify), Some(login)) = (&mut self.notify, &self.login) else {
            return;
        };
        let Some(lookout) = &notify.lookout else {
            return;
        };
        notify.changed.extend(lookout.take_changed());
        if notify.changed.is_empty() {
            notify.departed.clear();
        }
        if self.now < notify.quiet_until || notify.changed.is_empty() {
            return;
        }
        let mut told = false;
        let mut looked_at = 0;
        while let Some(name) = notify.changed.pop_first() {
            // Of the selected mailbox SELECTED tells, and nothing else.
            if selected.as_ref() == Some(&name) {
                continue;
            }
            let Some(watched) = notify.watched.get_mut(&name) else {
                continue;
            };
            let Some(status) = watched.look(lookout, (&login.account, &name), &mut self.out) else {
                told |= watched.denied;
                continue;
            };
            let before = watched.told.replace(status.clone());
            let before = before.or_else(|| notify.departed.remove(&status.mailbox_id));
            let condstore = self.enabled.condstore();
            let items = news_items(before.as_ref(), &status, watched.events, condstore);
            if !items.is_empty() {
                let shown = login.account.show_name(&name);
                let limit = self.options.append_limit_octets;
                self.out.status(&shown, (&status, limit), &items);
                told = true;
            }
            looked_at += 1;
            if looked_at >= LOOKED_AT {
                break;
            }
        }
        if told {
            notify.quiet_until = self.now + QUIET;
        }
    }
}

/// Whether a mailbox has not been used yet.
fn is_as_made(status: &MailboxStatus) -> bool {
    (status.messages, status.uid_next) == (0, Uid::MIN)
}

/// What STATUS tells of the selected mailbox.
pub(crate) fn status(view: &View) -> MailboxStatus {
    MailboxStatus::of(&view.mailbox().snapshot(), view.mailbox().guid())
}

impl Watched {
    /// What STATUS tells of it; none if it is gone. One that cannot be read is told to be so,
    /// once, and when it can be read again (RFC 5465 sections 3.1 and 5.9).
    fn look(
        &mut self,
        lookout: &Lookout,
        (account, name): (&Account, &MailboxName),
        out: &mut Writer,
    ) -> Option<MailboxStatus> {
        let status = match lookout.status(name) {
            // Another mailbox may have got its name just now.
            Err(error) if !matches!(error, store::Error::NonExistent) => lookout.status(name),
            status => status,
        };
        match status {
            Ok(status) => {
                if std::mem::take(&mut self.denied) {
                    write_access(account, name, Access::Granted, out);
                }
                Some(status)
            }
            Err(store::Error::NonExistent) => None,
            Err(error) => {
                self.told = None;
                if !std::mem::replace(&mut self.denied, true) {
                    tracing::error!(%error, "a watched mailbox cannot be read");
                    write_access(account, name, Access::Denied, out);
                }
                None
            }
        }
    }
}

/// What of a mailbox's state is told (RFC 5465 sections 5.1 to 5.3): all of it if nothing
/// was told before.
fn news_items(
    before: Option<&MailboxStatus>,
    now: &MailboxStatus,
    events: MessageEvents,
    condstore: bool,
) -> Vec<StatusItem> {
    let is_it = |before: &&MailboxStatus| {
        (before.mailbox_id, before.uid_validity) == (now.mailbox_id, now.uid_validity)
    };
    // Of another mailbox of the name nothing is known.
    let before = before.filter(is_it);
    let is_other = before.is_none();
    let differs = |is_other: &dyn Fn(&MailboxStatus) -> bool| before.is_none_or(is_other);
    let mut items = Vec::new();
    let counts = is_other
        || differs(&|before| (before.messages, before.uid_next) != (now.messages, now.uid_next));
    if counts {
        items.extend([StatusItem::UidNext, StatusItem::Messages]);
    }
    let flags = events == MessageEvents::WithFlags;
    let unseen = flags && differs(&|before| before.unseen != now.unseen);
    let changed = differs(&|before| before.highest_modseq != now.highest_modseq);
    if condstore && (counts || (flags && changed)) {
        items.push(StatusItem::HighestModSeq);
    }
    if unseen {
        items.push(StatusItem::Unseen);
    }
    if is_other || (!items.is_empty() && !counts) {
        items.push(StatusItem::UidValidity);
    }
    items
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_depends_on_what_is_wanted() {
        use MessageEvents::{Counts, WithFlags};
        use StatusItem::{HighestModSeq, Messages, UidNext, UidValidity, Unseen};
        let before = MailboxStatus {
            messages: 3,
            recent: 0,
            unseen: 1,
            deleted: 0,
            uid_next: Uid::MAX,
            uid_validity: Uid::MIN,
            highest_modseq: 7,
            size_octets: 0,
            mailbox_id: [0; 16],
        };
        let told = |now: &MailboxStatus, events, condstore| {
            news_items(Some(&before), now, events, condstore)
        };
        let same = before.clone();
        assert!(told(&same, WithFlags, true).is_empty());
        let mut seen = before.clone();
        (seen.unseen, seen.highest_modseq) = (0, 8);
        assert!(told(&seen, Counts, true).is_empty());
        assert_eq!(told(&seen, WithFlags, false), [Unseen, UidValidity]);
        assert_eq!(
            told(&seen, WithFlags, true),
            [HighestModSeq, Unseen, UidValidity]
        );
        let mut flagged = before.clone();
        flagged.highest_modseq = 8;
        assert!(told(&flagged, WithFlags, false).is_empty());
        assert_eq!(
            told(&flagged, WithFlags, true),
            [HighestModSeq, UidValidity]
        );
        let mut gone = flagged.clone();
        gone.messages = 2;
        assert_eq!(told(&gone, Counts, false), [UidNext, Messages]);
        assert_eq!(
            told(&gone, Counts, true),
            [UidNext, Messages, HighestModSeq]
        );
        let mut other = before.clone();
        other.uid_validity = Uid::MAX;
        assert_eq!(
            told(&other, Counts, false),
            [UidNext, Messages, UidValidity]
        );
        assert_eq!(
            told(&other, WithFlags, true),
            [UidNext, Messages, HighestModSeq, Unseen, UidValidity]
        );
    }
}
