//! What both protocols share: the seam between a protocol session and the
//! server that carries it, line framing, SASL exchanges and secrets.
//!
//! A session has no socket, clock, thread or file. Bytes and events go in,
//! actions come out; the server crate does what the actions say.

pub mod capability;
pub mod line;
pub mod sasl;
pub mod secret;
pub mod session;

pub use secret::Secret;
pub use session::{Action, Cost, Denial, Event, Load, Meanwhile, Security, Session};
