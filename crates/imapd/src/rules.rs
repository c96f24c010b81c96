//! One row per command: its name, the states it is allowed in, and whether
//! EXPUNGE may be told in answer to it (RFC 3501 sections 6 and 7.4.1).

use crate::grammar::command::{Command, Numbers};

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
}

/// The rule of a command.
pub fn of(command: &Command) -> Rule {
    use States::{Any, Authenticated, NotAuthenticated, Selected};
    let row = |name, states, told| Rule { name, states, told };
    let by_numbers = |numbers: Numbers| match numbers {
        Numbers::Sequence => Told::NotExpunges,
        Numbers::Uid => Told::All,
    };
    match command {
        Command::Capability => row("CAPABILITY", Any, Told::All),
        Command::Noop => row("NOOP", Any, Told::All),
        Command::Logout => row("LOGOUT", Any, Told::Nothing),
        Command::Id(_) => row("ID", Any, Told::All),
        Command::Starttls => row("STARTTLS", NotAuthenticated, Told::Nothing),
        Command::Authenticate { .. } => row("AUTHENTICATE", NotAuthenticated, Told::Nothing),
        Command::Login { .. } => row("LOGIN", NotAuthenticated, Told::Nothing),
        Command::Namespace => row("NAMESPACE", Authenticated, Told::All),
        Command::Enable(_) => row("ENABLE", Authenticated, Told::All),
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
        Command::Append { .. } => row("APPEND", Authenticated, Told::All),
        Command::Idle => row("IDLE", Authenticated, Told::All),
        Command::Check => row("CHECK", Selected, Told::All),
        Command::Close => row("CLOSE", Selected, Told::Nothing),
        Command::Unselect => row("UNSELECT", Selected, Told::Nothing),
        Command::Expunge => row("EXPUNGE", Selected, Told::All),
        Command::UidExpunge(_) => row("UID EXPUNGE", Selected, Told::All),
        Command::Search(search) => row("SEARCH", Selected, by_numbers(search.numbers)),
        Command::Fetch(fetch) => row("FETCH", Selected, by_numbers(fetch.numbers)),
        Command::Store(store) => row("STORE", Selected, by_numbers(store.numbers)),
        // Not forbidden, but clients send COPY and STORE \Deleted of one number together.
        Command::Copy { numbers, .. } => row("COPY", Selected, by_numbers(*numbers)),
        Command::Move { .. } => row("MOVE", Selected, Told::All),
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
            ("a COPY 1 x", Told::NotExpunges),
            ("a UID COPY 1 x", Told::All),
            ("a NOOP", Told::All),
            ("a SELECT x", Told::Nothing),
        ] {
            let tagged = parse(command.as_bytes()).expect("a command");
            assert_eq!(of(&tagged.command).told, told, "{command}");
        }
    }
}
