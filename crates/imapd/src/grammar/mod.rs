//! The command grammar: octets become values.
//!
//! [`framing::CommandBuffer`] cuts the client's octets into whole commands,
//! [`parse`] reads one.

mod append;
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
mod search_key;
pub mod sequence;
pub mod url;

pub use command::*;
pub(crate) use cursor::is_atom_char;
pub use framing::{CommandBuffer, Limits, Line, Need, Phase, Refusal};
pub use parser::{Malformed, Reply, Saved, parse, parse_as};
pub use reading::Reading;
pub(crate) use search::{Criteria, FILTERED, NEEDS_FUZZY, criteria};
pub use sequence::{Bound, SequenceSet};
