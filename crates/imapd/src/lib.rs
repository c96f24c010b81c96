//! IMAP4rev1 (RFC 3501) and IMAP4rev2 (RFC 9051) with extensions, as a state machine without socket.
//!
//! [`grammar`] turns octets into commands, [`rules`] says where each is allowed,
//! [`commands`] runs them, [`order`] sorts and threads, [`view`] keeps what the client was told of its
//! mailbox, [`response`] writes, and [`session`] ties them together.

mod appends;
pub mod capability;
mod client_id;
pub(crate) mod commands;
mod contexts;
mod cost;
pub mod dialect;
mod dispatch;
mod filters;
mod fuzzy;
pub mod grammar;
mod language;
pub mod limit;
mod login;
mod news;
mod notify;
#[cfg(test)]
mod notify_between_tests;
#[cfg(test)]
mod notify_tests;
pub mod order;
pub mod progress;
pub mod response;
pub mod rules;
pub mod search;
pub mod session;
#[cfg(test)]
mod session_tests;
mod steps;
mod transport;
mod unasked;
pub mod view;
mod waiting;

pub use capability::{Capabilities, Capability};
pub use commands::append::Headers as AppendedHeaders;
pub use limit::MessageLimit;
pub use session::{ImapSession, Login, Options, ServerMetadata, StartTls};
