//! POP3 (RFC 1939) with CAPA (RFC 2449), STLS (RFC 2595), AUTH (RFC 5034) and
//! response codes (RFC 2449, RFC 3206), UTF8 and LANG (RFC 6856), as a state machine without socket.
//!
//! A session goes from AUTHORIZATION through TRANSACTION to UPDATE, and only
//! [`transaction::Transaction::quit`] makes an [`update::Update`]: a connection
//! that is dropped, times out or is shut down removes nothing.

pub mod access;
pub mod authorization;
pub mod capability;
pub mod command;
mod cost;
pub mod language;
pub mod maildrop;
pub mod policy;
pub mod reply;
pub mod session;
pub mod stuffing;
pub mod transaction;
pub mod update;

pub use capability::{Capabilities, Capability};
pub use language::Language;
pub use maildrop::backlog;
pub use policy::{Access, DeletePolicy, Device, Login, NulPolicy, Policy, SeenPolicy};
pub use session::{HeaderForm, Options, Pop3Session, StartTls};
