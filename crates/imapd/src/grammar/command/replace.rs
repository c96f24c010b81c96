//! REPLACE's arguments (RFC 8508).

use super::{AppendMessage, Numbers};
use crate::grammar::sequence::Bound;

/// REPLACE's arguments.
#[derive(Debug, Clone)]
pub struct Replace {
    /// The message to be replaced.
    pub number: Bound,
    /// What its number is.
    pub numbers: Numbers,
    /// Where the new one goes.
    pub mailbox: String,
    /// The new one, alone.
    pub message: AppendMessage,
}
