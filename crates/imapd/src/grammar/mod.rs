//! The command grammar: octets become values.
//!
//! [`framing::CommandBuffer`] cuts the client's octets into whole commands,
//! [`parse`] reads one.

pub mod command;
mod cursor;
pub(crate) mod date;
mod fetch;
pub mod framing;
mod mailboxes;
mod metadata;
mod notify;
mod parser;
mod partial;
pub mod reading;
mod search;
pub mod sequence;

pub use command::*;
pub(crate) use cursor::is_atom_char;
pub use framing::{CommandBuffer, Limits, Line, Need, Phase, Refusal};
pub use parser::{Malformed, Reply, Saved, parse, parse_as};
pub use reading::Reading;
pub use sequence::{Bound, SequenceSet};
