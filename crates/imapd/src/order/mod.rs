//! Messages in order: SORT and THREAD (RFC 5256, RFC 5957).
//!
//! What messages are sorted by is made of their summaries once and kept beside them
//! ([`facts`]). All work goes in steps, in time near to linear and in memory that is
//! bounded by how many messages there are, whatever they hold.

pub mod collation;
mod facts;
mod forest;
mod kept;
mod merge;
mod message_id;
mod reading;
mod references;
mod sorting;
mod subject;
mod threading;
mod threads;

pub use kept::KeptOrder;
pub use message_id::message_ids;
pub use reading::Candidate;
pub use sorting::Sorting;
pub use subject::{Reply, base_subject};
pub use threading::Threading;
pub use threads::Threads;
