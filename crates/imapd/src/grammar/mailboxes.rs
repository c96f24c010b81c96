//! Which of a command's arguments name mailboxes, and which messages.

use super::command::{
    Command, MailboxFilter, Notify, Numbers, Search, SearchKey, SortCriterion, Source,
};
use super::sequence::SequenceSet;

impl Command {
    /// The mailbox names among its arguments, in the order they stand in.
    pub fn mailboxes_mut(&mut self) -> Vec<&mut String> {
        match self {
            Self::Select(select) | Self::Examine(select) => vec![&mut select.mailbox],
            Self::Create { mailbox, .. }
            | Self::Delete(mailbox)
            | Self::Subscribe(mailbox)
            | Self::Unsubscribe(mailbox)
            | Self::Status { mailbox, .. }
            | Self::Append { mailbox, .. }
            | Self::Copy { mailbox, .. }
            | Self::Move { mailbox, .. } => vec![mailbox],
            Self::Replace(replace) => vec![&mut replace.mailbox],
            Self::Rename { from, to } => vec![from, to],
            Self::GetMetadata(arguments) => vec![&mut arguments.mailbox],
            Self::SetMetadata(arguments) => vec![&mut arguments.mailbox],
            Self::Notify(Notify::Set { groups, .. }) => groups
                .iter_mut()
                .flat_map(|group| match &mut group.filter {
                    MailboxFilter::Subtree(names) | MailboxFilter::Mailboxes(names) => {
                        names.iter_mut()
                    }
                    MailboxFilter::Selected
                    | MailboxFilter::SelectedDelayed
                    | MailboxFilter::Inboxes
                    | MailboxFilter::Personal
                    | MailboxFilter::Subscribed => [].iter_mut(),
                })
                .collect(),
            Self::Notify(Notify::None) => Vec::new(),
            Self::List(list) => list.patterns.iter_mut().collect(),
            Self::Lsub { pattern, .. } => vec![pattern],
            Self::Esearch(esearch) => esearch
                .sources
                .iter_mut()
                .flat_map(|source| match source {
                    Source::Subtree(names)
                    | Source::SubtreeOne(names)
                    | Source::Mailboxes(names) => names.iter_mut(),
                    Source::Selected | Source::Inboxes | Source::Personal | Source::Subscribed => {
                        [].iter_mut()
                    }
                })
                .collect(),
            Self::Capability
            | Self::Noop
            | Self::Logout
            | Self::Id(_)
            | Self::Starttls
            | Self::Compress(_)
            | Self::Unauthenticate
            | Self::Authenticate { .. }
            | Self::Login { .. }
            | Self::Namespace
            | Self::Enable(_)
            | Self::Idle
            | Self::Check
            | Self::Close
            | Self::Unselect
            | Self::Expunge
            | Self::UidExpunge(_)
            | Self::UidBatches(_)
            | Self::Language(_)
            | Self::Comparator(_)
            | Self::CancelUpdate(_)
            | Self::Sort(_)
            | Self::Thread(_)
            | Self::Search(_)
            | Self::Fetch(_)
            | Self::Store(_) => Vec::new(),
        }
    }

    /// What it searches for, and the criteria by which it sorts that.
    pub fn search_mut(&mut self) -> Option<(&mut Search, &[SortCriterion])> {
        match self {
            Self::Search(search) => Some((search, &[])),
            Self::Esearch(esearch) => Some((&mut esearch.search, &[])),
            Self::Sort(sort) => Some((&mut sort.search, &sort.criteria)),
            Self::Thread(thread) => Some((&mut thread.search, &[])),
            Self::Capability
            | Self::Noop
            | Self::Logout
            | Self::Id(_)
            | Self::Starttls
            | Self::Compress(_)
            | Self::Unauthenticate
            | Self::Authenticate { .. }
            | Self::Login { .. }
            | Self::Namespace
            | Self::Enable(_)
            | Self::Select(_)
            | Self::Examine(_)
            | Self::Create { .. }
            | Self::Delete(_)
            | Self::Rename { .. }
            | Self::Subscribe(_)
            | Self::Unsubscribe(_)
            | Self::List(_)
            | Self::Lsub { .. }
            | Self::Status { .. }
            | Self::GetMetadata(_)
            | Self::SetMetadata(_)
            | Self::Notify(_)
            | Self::Append { .. }
            | Self::Idle
            | Self::Check
            | Self::Close
            | Self::Unselect
            | Self::Expunge
            | Self::UidExpunge(_)
            | Self::UidBatches(_)
            | Self::Language(_)
            | Self::Comparator(_)
            | Self::CancelUpdate(_)
            | Self::Fetch(_)
            | Self::Store(_)
            | Self::Copy { .. }
            | Self::Replace(_)
            | Self::Move { .. } => None,
        }
    }

    /// Whether it speaks of messages by sequence numbers, in its arguments or its answer
    /// (RFC 9586 sections 3.2, 3.5, 3.7 and 3.8).
    pub fn uses_sequence_numbers(&self) -> bool {
        let by_sequence = |numbers: Numbers| numbers == Numbers::Sequence;
        match self {
            Self::Select(select) | Self::Examine(select) => select
                .qresync
                .as_ref()
                .is_some_and(|known| !known.sequence_match.is_empty()),
            Self::Search(search) => {
                by_sequence(search.numbers) || search.key.names_sequence_numbers()
            }
            Self::Esearch(esearch) => esearch.search.key.names_sequence_numbers(),
            Self::Sort(sort) => {
                by_sequence(sort.search.numbers) || sort.search.key.names_sequence_numbers()
            }
            Self::Thread(thread) => {
                by_sequence(thread.search.numbers) || thread.search.key.names_sequence_numbers()
            }
            Self::Fetch(fetch) => by_sequence(fetch.numbers),
            Self::Store(store) => by_sequence(store.numbers),
            Self::Replace(replace) => by_sequence(replace.numbers),
            Self::Copy { numbers, .. } | Self::Move { numbers, .. } => by_sequence(*numbers),
            Self::Capability
            | Self::Noop
            | Self::Logout
            | Self::Id(_)
            | Self::Starttls
            | Self::Compress(_)
            | Self::Unauthenticate
            | Self::Authenticate { .. }
            | Self::Login { .. }
            | Self::Namespace
            | Self::Enable(_)
            | Self::Create { .. }
            | Self::Delete(_)
            | Self::Rename { .. }
            | Self::Subscribe(_)
            | Self::Unsubscribe(_)
            | Self::List(_)
            | Self::Lsub { .. }
            | Self::Status { .. }
            | Self::GetMetadata(_)
            | Self::SetMetadata(_)
            | Self::Notify(_)
            | Self::Append { .. }
            | Self::Idle
            | Self::Check
            | Self::Close
            | Self::Unselect
            | Self::Expunge
            | Self::UidExpunge(_)
            | Self::UidBatches(_)
            | Self::Language(_)
            | Self::Comparator(_)
            | Self::CancelUpdate(_) => false,
        }
    }
}

impl SearchKey {
    /// Whether a set of sequence numbers occurs in it; `$` is none.
    fn names_sequence_numbers(&self) -> bool {
        match self {
            Self::Sequence(set) => *set != SequenceSet::Saved,
            Self::And(keys) => keys.iter().any(Self::names_sequence_numbers),
            Self::Or(left, right) => {
                left.names_sequence_numbers() || right.names_sequence_numbers()
            }
            Self::Not(key) | Self::Fuzzy(key) => key.names_sequence_numbers(),
            _ => false,
        }
    }
}
