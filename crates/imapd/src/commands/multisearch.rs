//! ESEARCH (RFC 7377): many mailboxes searched by one command, one after the other.

use super::search::{Searcher, now_seconds, write_no_update};
use super::{Outcome, search};
use crate::contexts::{Context, ResultOrder};
use crate::grammar::command::{Esearch, FetchItem, Numbers, ReturnOption, SearchKey, Source};
use crate::order::collation::Comparator;
use crate::response::{ExtendedSearch, MailboxCorrelator, More, Writer, write_extended_search};
use crate::search::{Evaluation, Manner, Scope};
use crate::view::View;
use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use store::{Account, Error, Mailbox, MailboxName, Snapshot, Uid};

/// An ESEARCH under way.
pub struct MultiSearching {
    account: Arc<Account>,
    /// The mailboxes still to be searched; all of them before the first step.
    waiting: VecDeque<MailboxName>,
    key: SearchKey,
    returns: Vec<ReturnOption>,
    names_modseq: bool,
    manner: Manner,
    /// The mailbox that is being searched.
    current: Option<Searched>,
    comparator: Comparator,
    /// Whether UPDATE was asked for, and nothing is kept up to date yet.
    is_to_update: bool,
    /// What is fetched then of new messages.
    update_items: Vec<FetchItem>,
}

struct Searched {
    name: MailboxName,
    mailbox: Arc<Mailbox>,
    evaluation: Evaluation,
    found: Vec<Found>,
}

struct Found {
    uid: Uid,
    modseq: u64,
    relevancy: u8,
}

/// Begins to search other mailboxes than the selected one, or as well.
pub fn esearch(
    account: Arc<Account>,
    (view, tag): (Option<&View>, &str),
    esearch: Esearch,
    session: Searcher<'_>,
) -> Result<Outcome, Outcome> {
    let Esearch { sources, search } = esearch;
    if sources.contains(&Source::Selected) && view.is_none() {
        return Err(Outcome::bad("Select a mailbox first"));
    }
    let returns = search.returns.unwrap_or_default();
    let is_alone = sources.iter().all(|source| *source == Source::Selected);
    // RFC 7377 section 2.2.
    if !is_alone && returns.contains(&ReturnOption::Save) {
        return Err(Outcome::bad("SAVE is for the selected mailbox alone"));
    }
    if returns.contains(&ReturnOption::Update) {
        match view {
            None => return Err(Outcome::bad("Select a mailbox first")),
            Some(view) if view.contexts().has(tag) => {
                return Err(Outcome::bad("This tag is that of a search with UPDATE"));
            }
            Some(_) => {}
        }
    }
    let is_to_update = returns.contains(&ReturnOption::Update);
    let names_modseq = search.key.names_modseq();
    if names_modseq || search.update_items.contains(&FetchItem::ModSeq) {
        session.enabled.enable_condstore();
    }
    let waiting = names(&account, view, &sources)?;
    Ok(Outcome::MultiSearching(Box::new(MultiSearching {
        account,
        waiting,
        key: search.key,
        returns,
        names_modseq,
        manner: Manner {
            now_seconds: now_seconds(),
            folding: session.comparator.folding(),
        },
        current: None,
        comparator: session.comparator,
        is_to_update,
        update_items: search.update_items,
    })))
}

/// The mailboxes that sources name, each once. What does not exist is passed over.
fn names(
    account: &Account,
    view: Option<&View>,
    sources: &[Source],
) -> Result<VecDeque<MailboxName>, Outcome> {
    let listed = account.list()?;
    let mut seen = HashSet::new();
    let mut names = VecDeque::new();
    let mut add = |name: &MailboxName| {
        if seen.insert(name.clone()) {
            names.push_back(name.clone());
        }
    };
    let selectable = || listed.iter().filter(|entry| entry.selectable);
    for source in sources {
        match source {
            Source::Selected => view.iter().for_each(|view| add(view.name())),
            Source::Inboxes => add(&MailboxName::inbox()),
            Source::Personal => selectable().for_each(|entry| add(&entry.name)),
            Source::Subscribed => selectable()
                .filter(|entry| entry.subscribed)
                .for_each(|entry| add(&entry.name)),
            Source::Mailboxes(texts) => {
                let asked = texts
                    .iter()
                    .filter_map(|text| account.parse_name(text).ok());
                let asked: HashSet<MailboxName> = asked.collect();
                let found = selectable().filter(|entry| asked.contains(&entry.name));
                found.for_each(|entry| add(&entry.name));
            }
            Source::Subtree(texts) | Source::SubtreeOne(texts) => {
                let one = matches!(source, Source::SubtreeOne(_));
                let asked = texts
                    .iter()
                    .filter_map(|text| account.parse_name(text).ok());
                let asked: HashSet<MailboxName> = asked.collect();
                let is_below = |name: &MailboxName| {
                    let mut above = Some(name.clone());
                    let mut levels = 0;
                    while let Some(at) = above {
                        if asked.contains(&at) {
                            return !one || levels <= 1;
                        }
                        above = at.parent();
                        levels += 1;
                    }
                    false
                };
                let found = selectable().filter(|entry| is_below(&entry.name));
                found.for_each(|entry| add(&entry.name));
            }
        }
    }
    Ok(names)
}

impl MultiSearching {
    /// Looks at some messages, and writes what was found in a mailbox when all of it was
    /// looked at.
    ///
    /// # Errors
    /// When a mailbox cannot be read. One that is gone meanwhile is passed over, and one
    /// that the server may not read, as any that the user may not (RFC 7377 section 2.1),
    /// but the client hears of it.
    pub fn step(
        &mut self,
        view: &mut Option<View>,
        tag: &str,
        out: &mut Writer,
    ) -> Result<More, Outcome> {
        let Some(mut searched) = self.current.take() else {
            let Some(name) = self.waiting.pop_front() else {
                if std::mem::take(&mut self.is_to_update) {
                    write_no_update(tag, out);
                }
                return Ok(More::Nothing);
            };
            self.current = self.begin(view.as_ref(), name, out)?;
            return Ok(More::Follows);
        };
        let selected = view.as_ref().filter(|view| *view.name() == searched.name);
        let (snapshot, told) = (
            searched.evaluation.snapshot().clone(),
            selected.map(View::told),
        );
        let is_recent = |uid: Uid| match selected {
            Some(view) => view.is_recent(uid),
            None => snapshot
                .index_of(uid)
                .and_then(|index| snapshot.row(index))
                .is_some_and(|row| row.recent),
        };
        let scope = Scope {
            mailbox: &searched.mailbox,
            recent: &is_recent,
            // `$` names messages of the selected mailbox.
            saved: selected.map(View::saved).unwrap_or_default(),
        };
        let found = &mut searched.found;
        let more = searched.evaluation.step(&scope, |row, relevancy| {
            if told.is_none_or(|told: &Snapshot| told.index_of(row.uid).is_some()) {
                found.push(Found {
                    uid: row.uid,
                    modseq: row.modseq,
                    relevancy,
                });
            }
        })?;
        match more {
            More::Follows => self.current = Some(searched),
            More::Nothing => self.tell(searched, view, tag, out),
        }
        Ok(More::Follows)
    }

    fn begin(
        &self,
        view: Option<&View>,
        name: MailboxName,
        out: &mut Writer,
    ) -> Result<Option<Searched>, Outcome> {
        let selected = view.filter(|view| *view.name() == name);
        let (mailbox, key) = match selected {
            Some(view) => (Arc::clone(view.mailbox()), search::by_uid(view, &self.key)),
            None => match self.account.mailbox(&name) {
                Ok(mailbox) => (mailbox, self.key.clone()),
                Err(Error::NonExistent) => return Ok(None),
                Err(error) if error.is_forbidden() => {
                    let remedy = error.remedy();
                    tracing::error!(%error, "a mailbox was not searched{remedy}");
                    let told = "NO [CONTACTADMIN] The server may not use one of the mailboxes";
                    out.text("* ").status_text(told).crlf();
                    return Ok(None);
                }
                Err(error) => return Err(error.into()),
            },
        };
        if self.key.looks_into_text() {
            mailbox.begin_texts();
        }
        let evaluation = Evaluation::new(mailbox.snapshot(), &key, self.manner);
        Ok(Some(Searched {
            name,
            mailbox,
            evaluation,
            found: Vec::new(),
        }))
    }

    /// Nothing is told of a mailbox where nothing was found (RFC 7377 section 2.1).
    fn tell(&mut self, searched: Searched, view: &mut Option<View>, tag: &str, out: &mut Writer) {
        let Searched {
            name,
            evaluation,
            found,
            ..
        } = searched;
        let reported = search::reported(&found, &self.returns);
        let modseq = reported.iter().map(|found| found.modseq).max();
        if let Some(view) = view.as_mut().filter(|view| *view.name() == name)
            && self.returns.contains(&ReturnOption::Save)
        {
            let mut saved: Vec<Uid> = reported.iter().map(|found| found.uid).collect();
            saved.sort_unstable();
            saved.dedup();
            view.save(saved);
        }
        if !found.is_empty() {
            self.write(&name, &evaluation, &found, (tag, modseq), out);
        }
        if let Some(view) = view.as_mut().filter(|view| *view.name() == name)
            && self.is_to_update
        {
            let key = search::without_saved(view, search::by_uid(view, &self.key));
            let context = Context {
                tag: tag.to_owned(),
                numbers: Numbers::Uid,
                key,
                comparator: self.comparator,
                order: ResultOrder::Mailbox,
                items: self.update_items.clone(),
            };
            let results = found.iter().map(|found| found.uid).collect();
            let added = view.add_context(context, results, evaluation.snapshot());
            self.is_to_update = added.is_err();
        }
    }

    fn write(
        &self,
        name: &MailboxName,
        evaluation: &Evaluation,
        found: &[Found],
        (tag, modseq): (&str, Option<u64>),
        out: &mut Writer,
    ) {
        let numbers: Vec<u32> = found.iter().map(|found| found.uid.get()).collect();
        let relevancies: Vec<u8> = found.iter().map(|found| found.relevancy).collect();
        write_extended_search(
            out,
            &ExtendedSearch {
                tag,
                mailbox: Some(MailboxCorrelator {
                    name: &self.account.show_name(name),
                    uid_validity: evaluation.snapshot().uid_validity(),
                }),
                numbers: Numbers::Uid,
                returns: &self.returns,
                found: &numbers,
                relevancies: &relevancies,
                modseq: modseq.filter(|_| self.names_modseq),
            },
        );
    }
}
