//! NOTIFY (RFC 5465 section 8).

use super::command::{Command, FetchItem};
use super::cursor::{Cursor, Parsed};
use super::{fetch, parser};

/// NOTIFY's arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notify {
    /// NONE.
    None,
    /// SET.
    Set {
        /// Whether the present state is to be told.
        status: StatusWanted,
        /// What is to be told of which mailboxes, one group at least.
        groups: Vec<EventGroup>,
    },
}

/// NOTIFY's STATUS indicator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusWanted {
    /// Given.
    Yes,
    /// Not given.
    No,
}

/// Events and the mailboxes they are told of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventGroup {
    /// Of which mailboxes.
    pub filter: MailboxFilter,
    /// What.
    pub events: Events,
}

/// Which mailboxes a group is about (RFC 5465 section 6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MailboxFilter {
    /// SELECTED.
    Selected,
    /// SELECTED-DELAYED.
    SelectedDelayed,
    /// INBOXES.
    Inboxes,
    /// PERSONAL.
    Personal,
    /// SUBSCRIBED.
    Subscribed,
    /// SUBTREE.
    Subtree(Vec<String>),
    /// MAILBOXES.
    Mailboxes(Vec<String>),
}

impl MailboxFilter {
    /// Whether it is about the selected mailbox.
    pub fn is_selected(&self) -> bool {
        matches!(self, Self::Selected | Self::SelectedDelayed)
    }
}

/// The events of a group (RFC 5465 section 5).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Events {
    /// MessageNew, MessageExpunge and FlagChange.
    pub messages: MessageEvents,
    /// What is fetched of new messages.
    pub items: Vec<FetchItem>,
    /// MailboxName.
    pub mailbox_name: bool,
    /// SubscriptionChange.
    pub subscription_change: bool,
    /// MailboxMetadataChange.
    pub mailbox_metadata_change: bool,
    /// ServerMetadataChange.
    pub server_metadata_change: bool,
    /// One is named that is not supported.
    pub unsupported: bool,
}

impl Events {
    /// Whether events are named that are not about messages.
    pub fn names_others(&self) -> bool {
        self.mailbox_name
            || self.subscription_change
            || self.mailbox_metadata_change
            || self.server_metadata_change
    }
}

/// Which events of messages are told; no others can be combined.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum MessageEvents {
    /// None.
    #[default]
    None,
    /// MessageNew and MessageExpunge.
    Counts,
    /// FlagChange as well.
    WithFlags,
}

/// How many event groups a command may have.
const GROUPS: usize = 50;
/// How many mailboxes it may name.
const MAILBOXES: usize = 1000;
/// How many events a group may name.
const EVENTS: usize = 50;

/// Reads what follows `NOTIFY`.
pub(super) fn arguments(cursor: &mut Cursor<'_>) -> Parsed<Command> {
    cursor.space()?;
    match cursor.word()?.as_str() {
        "NONE" => return Ok(Command::Notify(Notify::None)),
        "SET" => {}
        _ => return Err("NOTIFY takes SET or NONE".into()),
    }
    cursor.space()?;
    let mut status = StatusWanted::No;
    if cursor.peek() != Some(b'(') {
        if cursor.word()? != "STATUS" {
            return Err("STATUS or an event group was expected".into());
        }
        status = StatusWanted::Yes;
        cursor.space()?;
    }
    let mut groups = Vec::new();
    let mut mailboxes = 0;
    loop {
        let group = group(cursor)?;
        mailboxes += match &group.filter {
            MailboxFilter::Subtree(names) | MailboxFilter::Mailboxes(names) => names.len(),
            _ => 0,
        };
        groups.push(group);
        if groups.len() > GROUPS || mailboxes > MAILBOXES {
            return Err("NOTIFY names too much".into());
        }
        let mut ahead = cursor.clone();
        ahead.skip_spaces();
        if ahead.is_at_end() {
            break;
        }
        cursor.space()?;
    }
    let selected = groups.iter().filter(|group| group.filter.is_selected());
    if selected.count() > 1 {
        return Err("Only one SELECTED or SELECTED-DELAYED is allowed".into());
    }
    Ok(Command::Notify(Notify::Set { status, groups }))
}

fn group(cursor: &mut Cursor<'_>) -> Parsed<EventGroup> {
    cursor.expect(b'(', "An event group was expected")?;
    cursor.skip_spaces();
    let filter = match cursor.word()?.as_str() {
        "SELECTED" => MailboxFilter::Selected,
        "SELECTED-DELAYED" => MailboxFilter::SelectedDelayed,
        "INBOXES" => MailboxFilter::Inboxes,
        "PERSONAL" => MailboxFilter::Personal,
        "SUBSCRIBED" => MailboxFilter::Subscribed,
        "SUBTREE" => MailboxFilter::Subtree(mailboxes(cursor)?),
        "MAILBOXES" => MailboxFilter::Mailboxes(mailboxes(cursor)?),
        _ => return Err("Unknown mailboxes".into()),
    };
    cursor.space()?;
    let events = events(cursor, &filter)?;
    cursor.skip_spaces();
    cursor.expect(b')', "A ) is missing")?;
    Ok(EventGroup { filter, events })
}

/// ` one-or-more-mailbox`.
pub(super) fn mailboxes(cursor: &mut Cursor<'_>) -> Parsed<Vec<String>> {
    let name = |cursor: &mut Cursor<'_>| {
        let octets = cursor.astring()?;
        cursor.how().names.decode(&octets)
    };
    cursor.space()?;
    if cursor.peek() != Some(b'(') {
        return Ok(vec![name(cursor)?]);
    }
    let names = parser::parenthesized(cursor, name)?;
    if names.is_empty() {
        return Err("A mailbox was expected".into());
    }
    Ok(names)
}

/// `events`. Without parentheses they are taken too, up to the group's own: so two of
/// the RFC's examples have them.
fn events(cursor: &mut Cursor<'_>, filter: &MailboxFilter) -> Parsed<Events> {
    let mut events = Events::default();
    let mut named = Named::default();
    let is_list = cursor.eat(b'(');
    cursor.skip_spaces();
    let mut count = 0;
    while cursor.peek() != Some(b')') {
        count += 1;
        if count > EVENTS {
            return Err("Too many events".into());
        }
        let word = cursor.word()?;
        if word == "NONE" && !is_list && count == 1 {
            return Ok(events);
        }
        event(&word, cursor, &mut events, &mut named)?;
        if cursor.peek() != Some(b')') {
            cursor.expect(b' ', "A ) is missing")?;
            cursor.skip_spaces();
        }
    }
    if count == 0 {
        return Err("An event was expected".into());
    }
    if is_list {
        cursor.expect(b')', "A ) is missing")?;
    }
    // RFC 5465 section 5.
    if named.new != named.expunge || ((named.flags || named.annotations) && !named.new) {
        return Err("MessageNew and MessageExpunge go together, and with the others".into());
    }
    if named.new {
        events.messages = match named.flags {
            true => MessageEvents::WithFlags,
            false => MessageEvents::Counts,
        };
    }
    if filter.is_selected() && events.names_others() {
        return Err("Only events of messages are told of the selected mailbox".into());
    }
    if !filter.is_selected() && !events.items.is_empty() {
        return Err("Only messages of the selected mailbox can be fetched".into());
    }
    Ok(events)
}

/// Which events of messages are named.
#[derive(Default)]
struct Named {
    new: bool,
    expunge: bool,
    flags: bool,
    annotations: bool,
}

fn event(
    word: &str,
    cursor: &mut Cursor<'_>,
    events: &mut Events,
    named: &mut Named,
) -> Parsed<()> {
    match word {
        "MESSAGENEW" => {
            named.new = true;
            let mut ahead = cursor.clone();
            ahead.skip_spaces();
            if ahead.peek() == Some(b'(') {
                *cursor = ahead;
                let items: Vec<FetchItem> = fetch::attributes(cursor)?;
                events.items = items;
            }
        }
        "MESSAGEEXPUNGE" => named.expunge = true,
        "FLAGCHANGE" => named.flags = true,
        "MAILBOXNAME" => events.mailbox_name = true,
        "SUBSCRIPTIONCHANGE" => events.subscription_change = true,
        "MAILBOXMETADATACHANGE" => events.mailbox_metadata_change = true,
        "SERVERMETADATACHANGE" => events.server_metadata_change = true,
        "ANNOTATIONCHANGE" => {
            named.annotations = true;
            events.unsupported = true;
        }
        // RFC 5465 section 3.1: no BAD.
        _ => events.unsupported = true,
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grammar::parse;

    fn groups(text: &str) -> Option<Vec<EventGroup>> {
        match parse(format!("a NOTIFY {text}").as_bytes()).ok()?.command {
            Command::Notify(Notify::Set { groups, .. }) => Some(groups),
            _ => None,
        }
    }

    #[test]
    fn the_examples_of_the_rfc() {
        let read = groups(
            "set status (selected (MessageNew (uid body.peek[header.fields (from to subject)]) \
             MessageExpunge)) (subtree Lists (MessageNew MessageExpunge))",
        )
        .expect("read");
        assert_eq!(read.len(), 2);
        assert_eq!(read[0].events.items.len(), 2);
        assert_eq!(read[0].events.messages, MessageEvents::Counts);
        assert_eq!(
            read[1].filter,
            MailboxFilter::Subtree(vec!["Lists".to_owned()])
        );
        let bare = groups("set (selected MessageNew (uid) MessageExpunge)").expect("read");
        assert_eq!(bare[0].events.items, [FetchItem::Uid]);
        let read = groups(
            "set (mailboxes (INBOX \"a b\") (Messagenew messageExpunge FlagChange)) \
             (personal (SubscriptionChange MailboxName MailboxMetadataChange ServerMetadataChange))",
        )
        .expect("read");
        assert_eq!(read[0].events.messages, MessageEvents::WithFlags);
        assert!(read[1].events.subscription_change && read[1].events.mailbox_name);
        let none = groups("SET (selected-delayed NONE)").expect("read");
        assert_eq!(none[0].events, Events::default());
    }

    #[test]
    fn what_is_not_supported_is_no_mistake() {
        for text in [
            "SET (personal (MessageNew MessageExpunge AnnotationChange))",
            "SET (personal (Unheard-Of))",
        ] {
            assert!(
                groups(text).is_some_and(|read| read[0].events.unsupported),
                "{text}"
            );
        }
    }

    #[test]
    fn mistakes_are_refused() {
        for text in [
            "",
            "SET",
            "NONE (personal NONE)",
            "SET STATUS",
            "SET ()",
            "SET (personal)",
            "SET (personal ())",
            "SET (personal (MessageNew))",
            "SET (personal (MessageExpunge))",
            "SET (personal (FlagChange))",
            "SET (personal (AnnotationChange))",
            "SET (personal (MessageNew (UID) MessageExpunge))",
            "SET (selected (MailboxName))",
            "SET (selected NONE) (selected-delayed NONE)",
            "SET (subtree () NONE)",
            "SET (subtree NONE)",
            "SET (some NONE)",
            "SET (selected (MessageNew () MessageExpunge))",
            "SET (selected (MessageNew (NONSENSE) MessageExpunge))",
        ] {
            assert!(groups(text).is_none(), "{text}");
        }
        let many = "(personal NONE) ".repeat(GROUPS + 1);
        assert!(groups(&format!("SET {many}")).is_none());
        let many = "x ".repeat(600);
        assert!(groups(&format!("SET (mailboxes ({many}) NONE)")).is_some());
        assert!(
            groups(&format!(
                "SET (mailboxes ({many}) NONE) (subtree ({many}) NONE)"
            ))
            .is_none()
        );
        let many = "FlagChange ".repeat(EVENTS + 1);
        assert!(
            groups(&format!(
                "SET (personal (MessageNew MessageExpunge {many}))"
            ))
            .is_none()
        );
    }
}
