//! UIDBATCHES's arguments (RFC 10022).

use std::num::NonZeroU32;

/// UIDBATCHES's arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UidBatches {
    /// How many messages a batch is to have.
    pub size: NonZeroU32,
    /// The first and last batch that are wanted, as written.
    pub range: Option<(NonZeroU32, NonZeroU32)>,
}
