//! One row per command: its name, the states it is allowed in, whether EXPUNGE may be
//! told in answer to it (RFC 3501 sections 6 and 7.4.1), and the capability it needs.

mod arguments;

use crate::capability::{Capabilities, Capability};
use crate::grammar::command::{Command, Numbers, ThreadAlgorithm};

/// The states a command is allowed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum States {
    /// Any.
    Any,
    /// Before login only.
    NotAuthenticated,
    /// After login, with or without a mailbox selected.
    Authenticated,
    /// With a mailbox selected.
    Selected,
}

/// What of the mailbox may be told before a command's tagged reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// All changes.
    All,
    /// All but expunges: sequence numbers must stay.
    NotExpunges,
    /// Nothing: the command changes what is selected.
    Nothing,
}

/// A command's row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// The command's name.
    pub name: &'static str,
    /// Where it is allowed.
    pub states: States,
    /// What may be told in answer to it.
    pub told: Told,
    /// The capability without which there is no such command.
    pub needs: Option<Capability>,
}

impl Rule {
    fn needs(self, capability: Capability) -> Self {
        Self {
            needs: Some(capability),
            ..self
        }
    }
}

/// Why a command is not taken though it was understood.
///
/// This is the one place where what is switched off is looked for: commands by their
/// rules, their arguments by what [`arguments::needed`] says of them.
pub fn refusal(command: &Command, on: Capabilities) -> Option<String> {
    if of(command).needs.is_some_and(|needed| !on.has(needed)) {
        return Some("Unknown command".to_owned());
    }
    let missing = on.missing(arguments::needed(command))?;
    Some(format!("Unknown argument ({} is off)", missing.name))
}

/// The rule of a command.
pub fn of(command: &Command) -> Rule {
    use States::{Any, Authenticated, NotAuthenticated, Selected};
    let row = |name, states, told| Rule {
        name,
        states,
        told,
        needs: None,
    };
    let by_numbers = |numbers: Numbers| match numbers {
        Numbers::Sequence => Told::NotExpunges,
        Numbers::Uid => Told::All,
    };
    match command {
        Command::Capability => row("CAPABILITY", Any, Told::All),
        Command::Noop => row("NOOP", Any, Told::All),
        Command::Logout => row("LOGOUT", Any, Told::Nothing),
        Command::Id(_) => row("ID", Any, Told::All).needs(Capability::Id),
        Command::Language(_) => row("LANGUAGE", Any, Told::All).needs(Capability::Language),
        Command::Comparator(_) => {
            row("COMPARATOR", Authenticated, Told::All).needs(Capability::I18nLevel2)
        }
        Command::Starttls => {
            row("STARTTLS", NotAuthenticated, Told::Nothing).needs(Capability::StartTls)
        }
        Command::Authenticate { .. } => row("AUTHENTICATE", NotAuthenticated, Told::Nothing),
        Command::Login { .. } => row("LOGIN", NotAuthenticated, Told::Nothing),
        Command::Compress(_) => {
            row("COMPRESS", Authenticated, Told::All).needs(Capability::CompressDeflate)
        }
        Command::Unauthenticate => {
            row("UNAUTHENTICATE", Authenticated, Told::Nothing).needs(Capability::Unauthenticate)
        }
        Command::Namespace => {
            row("NAMESPACE", Authenticated, Told::All).needs(Capability::Namespace)
        }
        Command::Enable(_) => row("ENABLE", Authenticated, Told::All).needs(Capability::Enable),
        Command::Select(_) => row("SELECT", Authenticated, Told::Nothing),
        Command::Examine(_) => row("EXAMINE", Authenticated, Told::Nothing),
        Command::Create { .. } => row("CREATE", Authenticated, Told::All),
        Command::Delete(_) => row("DELETE", Authenticated, Told::All),
        Command::Rename { .. } => row("RENAME", Authenticated, Told::All),
        Command::Subscribe(_) => row("SUBSCRIBE", Authenticated, Told::All),
        Command::Unsubscribe(_) => row("UNSUBSCRIBE", Authenticated, Told::All),
        Command::List(_) => row("LIST", Authenticated, Told::All),
        Command::Lsub { .. } => row("LSUB", Authenticated, Told::All),
        Command::Status { .. } => row("STATUS", Authenticated, Told::All),
        Command::GetMetadata(_) => {
            row("GETMETADATA", Authenticated, Told::All).needs(Capability::Metadata)
        }
        Command::SetMetadata(_) => {
            row("SETMETADATA", Authenticated, Told::All).needs(Capability::Metadata)
        }
        Command::Append { .. } => row("APPEND", Authenticated, Told::All),
        Command::Notify(_) => row("NOTIFY", Authenticated, Told::All).needs(Capability::Notify),
        Command::Idle => row("IDLE", Authenticated, Told::All).needs(Capability::Idle),
        Command::Check => row("CHECK", Selected, Told::All),
        Command::Close => row("CLOSE", Selected, Told::Nothing),
        Command::Unselect => row("UNSELECT", Selected, Told::Nothing).needs(Capability::Unselect),
        Command::Expunge => row("EXPUNGE", Selected, Told::All),
        Command::UidExpunge(_) => {
            row("UID EXPUNGE", Selected, Told::All).needs(Capability::UidPlus)
        }
        Command::UidBatches(_) => {
            row("UIDBATCHES", Selected, Told::All).needs(Capability::UidBatches)
        }
        Command::Search(search) => row("SEARCH", Selected, by_numbers(search.numbers)),
        Command::Esearch(_) => {
            row("ESEARCH", Authenticated, Told::All).needs(Capability::MultiSearch)
        }
        Command::CancelUpdate(_) => row("CANCELUPDATE", Selected, Told::All),
        Command::Sort(sort) => {
            row("SORT", Selected, by_numbers(sort.search.numbers)).needs(Capability::Sort)
        }
        Command::Thread(thread) => {
            let rule = row("THREAD", Selected, by_numbers(thread.search.numbers));
            rule.needs(match thread.algorithm {
                ThreadAlgorithm::OrderedSubject => Capability::ThreadOrderedSubject,
                ThreadAlgorithm::References => Capability::ThreadReferences,
                ThreadAlgorithm::Refs => Capability::ThreadRefs,
            })
        }
        Command::Fetch(fetch) => row("FETCH", Selected, by_numbers(fetch.numbers)),
        Command::Store(store) => row("STORE", Selected, by_numbers(store.numbers)),
        // Not forbidden, but clients send COPY and STORE \Deleted of one number together.
        Command::Copy { numbers, .. } => row("COPY", Selected, by_numbers(*numbers)),
        Command::Replace(_) => row("REPLACE", Selected, Told::All).needs(Capability::Replace),
        Command::Move { .. } => row("MOVE", Selected, Told::All).needs(Capability::Move),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grammar::parse;

    #[test]
    fn expunges_wait_while_sequence_numbers_are_used() {
        for (command, told) in [
            ("a FETCH 1 FLAGS", Told::NotExpunges),
            ("a UID FETCH 1 FLAGS", Told::All),
            ("a STORE 1 FLAGS ()", Told::NotExpunges),
            ("a SEARCH ALL", Told::NotExpunges),
            ("a SORT (DATE) UTF-8 ALL", Told::NotExpunges),
            ("a UID SORT (DATE) UTF-8 ALL", Told::All),
            ("a THREAD REFS UTF-8 ALL", Told::NotExpunges),
            ("a UID THREAD REFS UTF-8 ALL", Told::All),
            ("a COPY 1 x", Told::NotExpunges),
            ("a UID COPY 1 x", Told::All),
            ("a NOOP", Told::All),
            ("a SELECT x", Told::Nothing),
        ] {
            let tagged = parse(command.as_bytes()).expect("a command");
            assert_eq!(of(&tagged.command).told, told, "{command}");
        }
    }

    #[test]
    fn what_is_off_is_unknown() {
        use Capability as C;
        for (command, capability) in [
            ("a ID NIL", C::Id),
            ("a IDLE", C::Idle),
            ("a COMPRESS DEFLATE", C::CompressDeflate),
            ("a UNAUTHENTICATE", C::Unauthenticate),
            ("a UID EXPUNGE 1", C::UidPlus),
            ("a MOVE 1 x", C::Move),
            ("a AUTHENTICATE PLAIN AHgAeA==", C::SaslIr),
            ("a SELECT x (CONDSTORE)", C::Condstore),
            ("a SELECT x (QRESYNC (1 2))", C::Qresync),
            ("a CREATE x (USE (\\Sent))", C::CreateSpecialUse),
            ("a LIST (SUBSCRIBED) \"\" *", C::ListExtended),
            ("a LIST \"\" (a b)", C::ListExtended),
            ("a LIST \"\" * RETURN (SPECIAL-USE)", C::SpecialUse),
            ("a LIST \"\" * RETURN (STATUS (UNSEEN))", C::ListStatus),
            ("a LIST \"\" * RETURN (STATUS (SIZE))", C::StatusSize),
            (
                "a LIST \"\" * RETURN (METADATA (/shared/a))",
                C::ListMetadata,
            ),
            ("a NOTIFY NONE", C::Notify),
            ("a GETMETADATA x /shared/a", C::Metadata),
            ("a SETMETADATA x (/shared/a NIL)", C::Metadata),
            ("a STATUS x (HIGHESTMODSEQ)", C::Condstore),
            ("a STATUS x (APPENDLIMIT)", C::AppendLimit),
            ("a SEARCH RETURN (COUNT) ALL", C::Esearch),
            ("a SEARCH RETURN (SAVE) ALL", C::SearchRes),
            ("a SEARCH NOT OR SEEN (OLDER 3)", C::Within),
            ("a SEARCH UID $", C::SearchRes),
            ("a SEARCH MODSEQ 3", C::Condstore),
            ("a FETCH $ FLAGS", C::SearchRes),
            ("a FETCH 1 MODSEQ", C::Condstore),
            ("a UID FETCH 1 FLAGS (CHANGEDSINCE 3 VANISHED)", C::Qresync),
            ("a STORE 1 (UNCHANGEDSINCE 3) FLAGS ()", C::Condstore),
            ("a COPY $ x", C::SearchRes),
            ("a SORT (DATE) UTF-8 ALL", C::Sort),
            ("a SORT (DISPLAYTO) UTF-8 ALL", C::SortDisplay),
            ("a SORT RETURN () (DATE) UTF-8 ALL", C::Esort),
            ("a SORT RETURN (UPDATE) (DATE) UTF-8 ALL", C::ContextSort),
            ("a SORT (RELEVANCY) UTF-8 FUZZY TEXT x", C::SearchFuzzy),
            ("a THREAD ORDEREDSUBJECT UTF-8 ALL", C::ThreadOrderedSubject),
            ("a THREAD REFERENCES UTF-8 ALL", C::ThreadReferences),
            ("a THREAD REFS UTF-8 OLDER 3", C::Within),
            ("a UID THREAD REFS UTF-8 ALL", C::ThreadRefs),
            ("a SEARCH RETURN (PARTIAL 1:2) ALL", C::Partial),
            ("a SEARCH RETURN (CONTEXT) ALL", C::ContextSearch),
            ("a UID FETCH 1 FLAGS (PARTIAL 1:2)", C::Partial),
            ("a COMPARATOR", C::I18nLevel2),
            ("a LANGUAGE en", C::Language),
            ("a ESEARCH IN (personal) ALL", C::MultiSearch),
            ("a ESEARCH RETURN (UPDATE) ALL", C::ContextSearch),
            ("a FETCH 1 BINARY[1]", C::Binary),
            ("a FETCH 1 BINARY.SIZE[1]", C::Binary),
            ("a APPEND x ~{3}\r\n", C::Binary),
            ("a APPEND x CATENATE (URL /x/;UID=1)", C::Catenate),
            (
                "a APPEND x CATENATE (URL /x/;UID=1/;PARTIAL=2)",
                C::UrlPartial,
            ),
            ("a REPLACE 1 x {3}\r\n", C::Replace),
            ("a UID REPLACE 1 x CATENATE (URL /x/;UID=1)", C::Catenate),
            ("a FETCH 1 (UID PREVIEW (LAZY))", C::Preview),
            ("a FETCH 1 SAVEDATE", C::SaveDate),
            ("a SEARCH NOT SAVEDON 1-Jan-2026", C::SaveDate),
            ("a FETCH 1 THREADID", C::ObjectId),
            ("a SEARCH EMAILID x", C::ObjectId),
            ("a SEARCH NOT FILTER x", C::Filters),
            ("a STATUS x (MAILBOXID)", C::ObjectId),
        ] {
            let tagged = parse(command.as_bytes()).expect("a command");
            let all = Capabilities::all();
            assert_eq!(refusal(&tagged.command, all), None, "{command}");
            let off = all.without(capability);
            assert!(refusal(&tagged.command, off).is_some(), "{command}");
        }
    }
}
