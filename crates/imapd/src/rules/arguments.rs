//! Which capabilities a command's arguments need.

use crate::capability::{Capabilities, Capability};
use crate::grammar::SequenceSet;
use crate::grammar::command::{
    AppendContent, CatenatePart, Command, Condstore, Fetch, FetchItem, List, ListReturn,
    ListSelect, Literal, Notify, ReturnOption, Search, SearchKey, Select, Sort, SortKey,
    StatusItem, Store, Vanished,
};
use crate::grammar::url::MessageUrl;

/// What the arguments need. What ENABLE names is passed over where it is off, and a
/// mechanism that is off is answered as an unknown one: neither is here.
pub(super) fn needed(command: &Command) -> Capabilities {
    let none = Capabilities::none();
    match command {
        Command::Authenticate { initial, .. } => when(initial.is_some(), Capability::SaslIr),
        Command::Select(select) | Command::Examine(select) => of_select(select),
        Command::Create { special_use, .. } => {
            when(special_use.is_some(), Capability::CreateSpecialUse)
        }
        Command::List(list) => of_list(list),
        Command::Status { items, .. } => of_status(items),
        Command::Append { messages, .. } => {
            let many = when(messages.len() > 1, Capability::MultiAppend);
            let each = messages.iter().map(|message| of_content(&message.content));
            each.fold(many, Capabilities::and)
        }
        Command::Replace(replace) => of_content(&replace.message.content),
        Command::UidExpunge(set) | Command::Copy { set, .. } | Command::Move { set, .. } => {
            of_set(set)
        }
        Command::Search(search) => {
            of_search(search).and(of_updates(search, Capability::ContextSearch))
        }
        Command::Esearch(esearch) => {
            let search = &esearch.search;
            of_search(search).and(of_updates(search, Capability::ContextSearch))
        }
        Command::Sort(sort) => of_sort(sort),
        Command::Thread(thread) => of_search(&thread.search),
        Command::Fetch(fetch) => of_fetch(fetch),
        Command::Store(store) => of_store(store),
        Command::Notify(notify) => of_notify(notify),
        Command::Capability
        | Command::Noop
        | Command::Logout
        | Command::Id(_)
        | Command::Starttls
        | Command::Language(_)
        | Command::Comparator(_)
        | Command::CancelUpdate(_)
        | Command::Compress(_)
        | Command::Unauthenticate
        | Command::Login { .. }
        | Command::Namespace
        | Command::Enable(_)
        | Command::Delete(_)
        | Command::Rename { .. }
        | Command::Subscribe(_)
        | Command::Unsubscribe(_)
        | Command::Lsub { .. }
        | Command::GetMetadata(_)
        | Command::SetMetadata(_)
        | Command::Idle
        | Command::Check
        | Command::Close
        | Command::Unselect
        | Command::Expunge
        | Command::UidBatches(_) => none,
    }
}

/// One capability, or none.
fn when(is_needed: bool, capability: Capability) -> Capabilities {
    let none = Capabilities::none();
    if is_needed {
        none.with(capability)
    } else {
        none
    }
}

fn of_set(set: &SequenceSet) -> Capabilities {
    when(*set == SequenceSet::Saved, Capability::SearchRes)
}

fn of_content(content: &AppendContent) -> Capabilities {
    let parts = match content {
        AppendContent::Literal { literal, .. } => {
            return when(*literal == Literal::Binary, Capability::Binary);
        }
        AppendContent::Catenate { parts, .. } => parts,
    };
    let names_partial = |part: &CatenatePart| match part {
        CatenatePart::Text(_) => false,
        CatenatePart::Url(url) => MessageUrl::parse(url).is_some_and(|url| url.partial.is_some()),
    };
    when(true, Capability::Catenate).and(when(
        parts.iter().any(names_partial),
        Capability::UrlPartial,
    ))
}

fn of_item(item: &FetchItem) -> Capabilities {
    match item {
        FetchItem::ModSeq => when(true, Capability::Condstore),
        FetchItem::Binary(_) | FetchItem::BinarySize(_) => when(true, Capability::Binary),
        FetchItem::Preview(_) => when(true, Capability::Preview),
        FetchItem::SaveDate => when(true, Capability::SaveDate),
        FetchItem::EmailId | FetchItem::ThreadId => when(true, Capability::ObjectId),
        FetchItem::Envelope
        | FetchItem::Flags
        | FetchItem::InternalDate
        | FetchItem::Rfc822
        | FetchItem::Rfc822Header
        | FetchItem::Rfc822Text
        | FetchItem::Rfc822Size
        | FetchItem::Body
        | FetchItem::BodyStructure
        | FetchItem::Uid
        | FetchItem::Section(_) => Capabilities::none(),
    }
}

fn of_select(select: &Select) -> Capabilities {
    when(select.condstore == Condstore::Asked, Capability::Condstore)
        .and(when(select.qresync.is_some(), Capability::Qresync))
}

fn of_list(list: &List) -> Capabilities {
    let is_extended = !list.select.is_empty() || list.returns.is_some() || list.patterns.len() > 1;
    let mut needed = when(is_extended, Capability::ListExtended);
    for option in &list.select {
        needed = needed.and(match option {
            ListSelect::SpecialUse => when(true, Capability::SpecialUse),
            ListSelect::Subscribed | ListSelect::Remote | ListSelect::RecursiveMatch => {
                Capabilities::none()
            }
        });
    }
    for option in list.returns.iter().flatten() {
        needed = needed.and(match option {
            ListReturn::SpecialUse => when(true, Capability::SpecialUse),
            ListReturn::Status(items) => of_status(items).with(Capability::ListStatus),
            ListReturn::Metadata(_) => when(true, Capability::ListMetadata),
            ListReturn::Subscribed | ListReturn::Children => Capabilities::none(),
        });
    }
    needed
}

fn of_status(items: &[StatusItem]) -> Capabilities {
    items.iter().fold(Capabilities::none(), |needed, item| {
        needed.and(match item {
            StatusItem::HighestModSeq => when(true, Capability::Condstore),
            StatusItem::Size => when(true, Capability::StatusSize),
            StatusItem::AppendLimit => when(true, Capability::AppendLimit),
            StatusItem::MailboxId => when(true, Capability::ObjectId),
            StatusItem::Messages
            | StatusItem::Recent
            | StatusItem::UidNext
            | StatusItem::UidValidity
            | StatusItem::Unseen
            | StatusItem::Deleted => Capabilities::none(),
        })
    })
}

fn of_search(search: &Search) -> Capabilities {
    let options = search.returns.iter().flatten();
    let needed = options.fold(Capabilities::none(), |needed, option| {
        needed.and(match option {
            ReturnOption::Save => when(true, Capability::SearchRes),
            ReturnOption::Partial(_) => when(true, Capability::Partial),
            ReturnOption::Relevancy => when(true, Capability::SearchFuzzy),
            ReturnOption::Min
            | ReturnOption::Max
            | ReturnOption::All
            | ReturnOption::Count
            | ReturnOption::Context
            | ReturnOption::Update => Capabilities::none(),
        })
    });
    when(search.returns.is_some(), Capability::Esearch)
        .and(needed)
        .and(of_key(&search.key))
}

/// CONTEXT and UPDATE, which SEARCH and SORT have by different capabilities, and what
/// UPDATE fetches, which is NOTIFY's (RFC 5465 section 7).
fn of_updates(search: &Search, capability: Capability) -> Capabilities {
    let is_update =
        |option: &ReturnOption| matches!(option, ReturnOption::Context | ReturnOption::Update);
    let mut options = search.returns.iter().flatten();
    of_items(&search.update_items)
        .and(when(!search.update_items.is_empty(), Capability::Notify))
        .and(when(options.any(is_update), capability))
}

fn of_items(items: &[FetchItem]) -> Capabilities {
    let items = items.iter().map(of_item);
    items.fold(Capabilities::none(), Capabilities::and)
}

fn of_notify(notify: &Notify) -> Capabilities {
    let groups = match notify {
        Notify::None => return Capabilities::none(),
        Notify::Set { groups, .. } => groups.iter(),
    };
    let groups = groups.map(|group| of_items(&group.events.items));
    groups.fold(Capabilities::none(), Capabilities::and)
}

fn of_sort(sort: &Sort) -> Capabilities {
    let criteria = sort.criteria.iter();
    let needed = criteria.fold(Capabilities::none(), |needed, criterion| {
        needed.and(match criterion.key {
            SortKey::DisplayFrom | SortKey::DisplayTo => when(true, Capability::SortDisplay),
            SortKey::Relevancy => when(true, Capability::SearchFuzzy),
            SortKey::Arrival
            | SortKey::Cc
            | SortKey::Date
            | SortKey::From
            | SortKey::Size
            | SortKey::Subject
            | SortKey::To => Capabilities::none(),
        })
    });
    when(sort.search.returns.is_some(), Capability::Esort)
        .and(needed)
        .and(of_updates(&sort.search, Capability::ContextSort))
        .and(of_search(&sort.search))
}

/// The grammar caps how deep keys nest.
fn of_key(key: &SearchKey) -> Capabilities {
    match key {
        SearchKey::And(keys) => keys
            .iter()
            .fold(Capabilities::none(), |needed, key| needed.and(of_key(key))),
        SearchKey::Or(left, right) => of_key(left).and(of_key(right)),
        SearchKey::Not(key) => of_key(key),
        SearchKey::Fuzzy(key) => of_key(key).with(Capability::SearchFuzzy),
        SearchKey::Filter(_) => when(true, Capability::Filters),
        SearchKey::Older(_) | SearchKey::Younger(_) => when(true, Capability::Within),
        SearchKey::ModSeq(_) => when(true, Capability::Condstore),
        SearchKey::SavedBefore(_)
        | SearchKey::SavedOn(_)
        | SearchKey::SavedSince(_)
        | SearchKey::SaveDateSupported => when(true, Capability::SaveDate),
        SearchKey::EmailId(_) | SearchKey::ThreadId(_) => when(true, Capability::ObjectId),
        SearchKey::Sequence(set) | SearchKey::Uid(set) => of_set(set),
        SearchKey::All
        | SearchKey::Flagged(_)
        | SearchKey::Unflagged(_)
        | SearchKey::Recent
        | SearchKey::New
        | SearchKey::Old
        | SearchKey::Keyword(_)
        | SearchKey::Unkeyword(_)
        | SearchKey::Before(_)
        | SearchKey::On(_)
        | SearchKey::Since(_)
        | SearchKey::SentBefore(_)
        | SearchKey::SentOn(_)
        | SearchKey::SentSince(_)
        | SearchKey::Larger(_)
        | SearchKey::Smaller(_)
        | SearchKey::Header { .. }
        | SearchKey::Body(_)
        | SearchKey::Text(_) => Capabilities::none(),
    }
}

fn of_fetch(fetch: &Fetch) -> Capabilities {
    of_items(&fetch.items)
        .and(of_set(&fetch.set))
        .and(when(fetch.changed_since.is_some(), Capability::Condstore))
        .and(when(fetch.partial.is_some(), Capability::Partial))
        .and(when(fetch.vanished == Vanished::Asked, Capability::Qresync))
}

fn of_store(store: &Store) -> Capabilities {
    of_set(&store.set).and(when(store.unchanged_since.is_some(), Capability::Condstore))
}
