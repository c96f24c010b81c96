//! [`Threading`]: a THREAD under way (RFC 5256 section 3; THREAD=REFS as in
//! draft-ietf-morg-inthread).

use super::collation::{Comparator, Prepared, Strings};
use super::facts::{Facts, Text, WithReferences};
use super::merge::{Merge, key_of};
use super::reading::{Candidate, Reading};
use super::references::{Parent, References};
use super::subject::Reply;
use super::threads::Threads;
use crate::grammar::command::ThreadAlgorithm;
use crate::response::More;
use std::collections::HashMap;
use store::{Mailbox, Result};

/// Messages being threaded.
#[derive(Debug)]
pub struct Threading {
    algorithm: ThreadAlgorithm,
    candidates: Vec<Candidate>,
    comparator: Comparator,
    most_octets: usize,
    strings: Strings,
    /// The sent date of each message.
    sent: Vec<i64>,
    /// Its base subject, where the algorithm looks at it.
    subjects: Vec<(Prepared, Reply)>,
    references: References,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    Reading(Reading),
    /// By the sent date.
    Sorting(Merge),
    Linking(Vec<u32>),
    Done(Threads),
}

impl Threading {
    /// Begins to thread messages that stand in mailbox order.
    pub fn new(
        candidates: Vec<Candidate>,
        algorithm: ThreadAlgorithm,
        comparator: Comparator,
    ) -> Self {
        let count = candidates.len();
        Self {
            algorithm,
            comparator,
            most_octets: Strings::most_octets(count),
            strings: Strings::default(),
            sent: Vec::with_capacity(count),
            subjects: Vec::new(),
            references: References::new(count),
            stage: Stage::Reading(Reading::default()),
            candidates,
        }
    }

    /// Goes on.
    ///
    /// # Errors
    /// When a message cannot be read.
    pub fn step(&mut self, mailbox: &Mailbox) -> Result<More> {
        match &mut self.stage {
            Stage::Reading(reading) => {
                let with_references = match self.algorithm {
                    ThreadAlgorithm::OrderedSubject => WithReferences::No,
                    ThreadAlgorithm::References | ThreadAlgorithm::Refs => WithReferences::Yes,
                };
                let (algorithm, comparator) = (self.algorithm, self.comparator);
                let most_octets = self.most_octets;
                let (strings, subjects) = (&mut self.strings, &mut self.subjects);
                let (sent, references) = (&mut self.sent, &mut self.references);
                let candidates = &self.candidates;
                let mut take = |place: usize, facts: &Facts<'_>| {
                    let candidate = candidates.get(place);
                    let internal_date = candidate.map_or(0, |candidate| candidate.internal_date);
                    sent.push(facts.sent.unwrap_or(internal_date));
                    if algorithm != ThreadAlgorithm::Refs {
                        let subject = facts.text(Text::Subject);
                        let prepared = strings.add(subject, comparator, most_octets);
                        subjects.push((prepared, facts.reply()));
                    }
                    if algorithm != ThreadAlgorithm::OrderedSubject {
                        references.add(facts.message_id, &facts.references);
                    }
                };
                if reading.step(mailbox, candidates, with_references, &mut take)? == More::Nothing {
                    self.stage =
                        Stage::Sorting(Merge::new(self.sent.iter().map(|sent| key_of(*sent))));
                }
            }
            Stage::Sorting(merge) => {
                let key = |place: u32| {
                    let index = usize::try_from(place).unwrap_or(usize::MAX);
                    (self.sent.get(index).copied().unwrap_or_default(), place)
                };
                if merge.step(|a, b| key(a).cmp(&key(b))) == More::Nothing {
                    self.stage = Stage::Linking(std::mem::take(merge).into_sorted());
                }
            }
            Stage::Linking(by_date) => {
                let by_date = std::mem::take(by_date);
                self.stage = Stage::Done(self.link(&by_date));
            }
            Stage::Done(_) => return Ok(More::Nothing),
        }
        Ok(More::Follows)
    }

    /// The threads, of places among the messages.
    pub fn into_threads(self) -> Threads {
        match self.stage {
            Stage::Done(threads) => threads,
            _ => Threads::default(),
        }
    }

    fn link(&mut self, by_date: &[u32]) -> Threads {
        let references = std::mem::replace(&mut self.references, References::new(0));
        match self.algorithm {
            ThreadAlgorithm::OrderedSubject => Threads::new(&self.by_subject(by_date), by_date),
            ThreadAlgorithm::References => {
                let mut parents = references.into_parents();
                let threads = Threads::new(&parents, by_date);
                self.join_subjects(&threads, &mut parents);
                Threads::new(&parents, by_date)
            }
            ThreadAlgorithm::Refs => {
                let mut threads = Threads::new(&references.into_parents(), by_date);
                let dates = self.candidates.iter();
                let arrived: Vec<i64> = dates.map(|candidate| candidate.internal_date).collect();
                threads.sort_by_highest(&arrived);
                threads
            }
        }
    }

    fn subject(&self, message: u32) -> (&[u8], Reply) {
        let index = usize::try_from(message).unwrap_or(usize::MAX);
        match self.subjects.get(index) {
            Some((subject, reply)) => (self.strings.get(*subject), *reply),
            None => (&[], Reply::No),
        }
    }

    /// ORDEREDSUBJECT: all of one base subject are below the first of them.
    fn by_subject(&self, by_date: &[u32]) -> Vec<Parent> {
        let mut first: HashMap<&[u8], u32> = HashMap::new();
        let mut parents = vec![Parent::None; by_date.len()];
        for message in by_date {
            let (subject, _) = self.subject(*message);
            let first = *first.entry(subject).or_insert(*message);
            if first != *message {
                set(&mut parents, *message, Parent::Message(first));
            }
        }
        parents
    }

    /// REFERENCES, step 5: threads of one base subject are put together.
    fn join_subjects(&self, threads: &Threads, parents: &mut [Parent]) {
        let messages = parents.len();
        let tops: Vec<Top> = threads
            .roots()
            .iter()
            .map(|root| {
                let message = threads.first_message(*root, messages);
                match parents.get(usize::try_from(message).unwrap_or(usize::MAX)) {
                    Some(Parent::Absent(number)) => Top::Absent(*number, message),
                    _ => Top::Message(message),
                }
            })
            .collect();
        // Step 5.B.
        let mut table: HashMap<&[u8], Top> = HashMap::new();
        for top in &tops {
            let (subject, reply) = self.subject(top.message());
            if subject.is_empty() {
                continue;
            }
            let entry = table.entry(subject).or_insert(*top);
            if let Top::Message(known) = *entry {
                let is_reply = self.subject(known).1 == Reply::Yes;
                if matches!(top, Top::Absent(..)) || (is_reply && reply == Reply::No) {
                    *entry = *top;
                }
            }
        }
        // Step 5.C. What was not there as one may stand for another's: `joined` has it.
        let mut joined: HashMap<u32, u32> = HashMap::new();
        let mut absent = ABSENT_BY_SUBJECT;
        for top in tops {
            let (subject, reply) = self.subject(top.message());
            let Some(entry) = table.get_mut(subject) else {
                continue;
            };
            match (*entry, top) {
                (Top::Absent(into, _), Top::Absent(number, _)) if into != number => {
                    joined.insert(number, into);
                }
                (Top::Absent(into, _), Top::Message(message)) => {
                    // It may have been put there with the one it was joined with.
                    set(parents, message, Parent::Absent(into));
                }
                (Top::Message(known), Top::Message(message)) if known != message => {
                    let is_reply = self.subject(known).1 == Reply::Yes;
                    if reply == Reply::Yes && !is_reply {
                        set(parents, message, Parent::Message(known));
                        continue;
                    }
                    for message in [known, message] {
                        set(parents, message, Parent::Absent(absent));
                    }
                    *entry = Top::Absent(absent, known);
                    absent -= 1;
                }
                // It is the one in the table. One that is not there was put into the table
                // before any message was.
                (Top::Absent(..), Top::Absent(..)) | (Top::Message(_), _) => {}
            }
        }
        if joined.is_empty() {
            return;
        }
        for parent in parents {
            if let Parent::Absent(number) = parent
                && let Some(into) = joined.get(number)
            {
                *number = *into;
            }
        }
    }
}

/// Numbers downwards from here are of what is not there, but holds subjects together: no
/// node of [`References`] has one of them.
const ABSENT_BY_SUBJECT: u32 = u32::MAX - 1;

/// What is at the top of a thread.
#[derive(Debug, Clone, Copy)]
enum Top {
    Message(u32),
    /// One that is not there, and the first message below it.
    Absent(u32, u32),
}

impl Top {
    /// Whose subject is the thread's.
    fn message(self) -> u32 {
        match self {
            Self::Message(message) | Self::Absent(_, message) => message,
        }
    }
}

fn set(parents: &mut [Parent], message: u32, parent: Parent) {
    let index = usize::try_from(message).unwrap_or(usize::MAX);
    if let Some(of_message) = parents.get_mut(index) {
        *of_message = parent;
    }
}

#[cfg(test)]
#[path = "threading_tests.rs"]
mod tests;
