//! [`SearchKey`]: what SEARCH looks for (RFC 3501 section 6.4.4 and extensions).

use super::sequence::SequenceSet;
use store::Flags;

/// A day: days since 1970-01-01.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Date(pub i64);

/// What SEARCH looks for. Strings are decoded by the CHARSET, not folded.
#[derive(Debug, Clone)]
pub enum SearchKey {
    /// ALL.
    All,
    /// Every one of these.
    And(Vec<SearchKey>),
    /// One of both.
    Or(Box<SearchKey>, Box<SearchKey>),
    /// NOT.
    Not(Box<SearchKey>),
    /// A system flag is set: SEEN, ANSWERED and so on.
    Flagged(Flags),
    /// A system flag is not set: UNSEEN and so on.
    Unflagged(Flags),
    /// RECENT.
    Recent,
    /// NEW: RECENT UNSEEN.
    New,
    /// OLD: NOT RECENT.
    Old,
    /// KEYWORD.
    Keyword(String),
    /// UNKEYWORD.
    Unkeyword(String),
    /// BEFORE.
    Before(Date),
    /// ON.
    On(Date),
    /// SINCE.
    Since(Date),
    /// SENTBEFORE.
    SentBefore(Date),
    /// SENTON.
    SentOn(Date),
    /// SENTSINCE.
    SentSince(Date),
    /// SAVEDBEFORE (RFC 8514).
    SavedBefore(Date),
    /// SAVEDON (RFC 8514).
    SavedOn(Date),
    /// SAVEDSINCE (RFC 8514).
    SavedSince(Date),
    /// SAVEDATESUPPORTED (RFC 8514).
    SaveDateSupported,
    /// EMAILID (RFC 8474).
    EmailId(String),
    /// THREADID (RFC 8474).
    ThreadId(String),
    /// OLDER than so many seconds (RFC 5032).
    Older(u32),
    /// YOUNGER than so many seconds (RFC 5032).
    Younger(u32),
    /// LARGER, in octets.
    Larger(u64),
    /// SMALLER, in octets.
    Smaller(u64),
    /// HEADER, and SUBJECT, FROM, TO, CC, BCC.
    Header {
        /// The field's name.
        name: String,
        /// What it is to hold; empty if it is only to be there.
        value: String,
    },
    /// BODY.
    Body(String),
    /// TEXT.
    Text(String),
    /// A set of sequence numbers.
    Sequence(SequenceSet),
    /// UID.
    Uid(SequenceSet),
    /// MODSEQ (RFC 7162 section 3.1.5).
    ModSeq(u64),
    /// FUZZY (RFC 6203).
    Fuzzy(Box<SearchKey>),
    /// FILTER (RFC 5466): what is kept under this name. [`crate::filters`] puts that in its
    /// place before anything is searched.
    Filter(String),
}

impl SearchKey {
    /// Whether MODSEQ occurs in it (the answer then has MODSEQ too).
    pub fn names_modseq(&self) -> bool {
        match self {
            Self::ModSeq(_) => true,
            Self::And(keys) => keys.iter().any(Self::names_modseq),
            Self::Or(left, right) => left.names_modseq() || right.names_modseq(),
            Self::Not(key) | Self::Fuzzy(key) => key.names_modseq(),
            _ => false,
        }
    }
    /// Whether TEXT or BODY occurs in it.
    pub fn looks_into_text(&self) -> bool {
        match self {
            Self::Body(_) | Self::Text(_) => true,
            Self::And(keys) => keys.iter().any(Self::looks_into_text),
            Self::Or(left, right) => left.looks_into_text() || right.looks_into_text(),
            Self::Not(key) | Self::Fuzzy(key) => key.looks_into_text(),
            _ => false,
        }
    }
    /// Whether FUZZY occurs in it, or may: what a filter holds is not known yet.
    pub fn is_fuzzy(&self) -> bool {
        match self {
            Self::Fuzzy(_) | Self::Filter(_) => true,
            Self::And(keys) => keys.iter().any(Self::is_fuzzy),
            Self::Or(left, right) => left.is_fuzzy() || right.is_fuzzy(),
            Self::Not(key) => key.is_fuzzy(),
            _ => false,
        }
    }
    /// Whether FILTER occurs in it.
    pub fn names_filter(&self) -> bool {
        match self {
            Self::Filter(_) => true,
            Self::And(keys) => keys.iter().any(Self::names_filter),
            Self::Or(left, right) => left.names_filter() || right.names_filter(),
            Self::Not(key) | Self::Fuzzy(key) => key.names_filter(),
            _ => false,
        }
    }
}
