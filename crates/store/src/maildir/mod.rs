//! Maildir++ on disk: file names, control files, foreign changes.

pub(crate) mod attributes;
pub(crate) mod courier;
pub(crate) mod dotlock;
pub(crate) mod filename;
pub(crate) mod imported;
pub(crate) mod keywords;
pub(crate) mod names;
pub(crate) mod subscriptions;
pub(crate) mod uidlist;
pub(crate) mod uidvalidity;
pub(crate) mod watch;
