//! What the server says: the one place where protocol text is put together.
//!
//! [`Writer`] alone quotes. Texts and octets from messages reach a line only
//! through it, so none of them can end a line or become syntax.

mod esearch;
mod stream;
mod structure;
mod writer;

pub use esearch::{
    Change, ExtendedSearch, MailboxCorrelator, ResultUpdate, write_extended_search,
    write_result_update, write_search, write_sort, write_thread,
};
pub use stream::{Batches, More, Numbers, Produce, Runs, Segment};
pub use structure::Extension;
pub use writer::{
    ChildInfo, ListResponse, Nul, Recent, Writer, replace_nul, show_identifier, show_internal_date,
    show_set, special_use_attribute,
};
