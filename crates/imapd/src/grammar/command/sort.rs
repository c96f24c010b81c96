//! SORT's arguments (RFC 5256, RFC 5957).

use super::Search;

/// SORT's arguments.
#[derive(Debug, Clone)]
pub struct Sort {
    /// What to sort by, the first before all others; at least one.
    pub criteria: Vec<SortCriterion>,
    /// Which messages to sort, and what to return (RFC 5267 section 3).
    pub search: Search,
}

/// One of SORT's criteria.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SortCriterion {
    /// What is compared.
    pub key: SortKey,
    /// Which way.
    pub direction: Direction,
}

/// What SORT compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SortKey {
    /// ARRIVAL.
    Arrival,
    /// CC.
    Cc,
    /// DATE.
    Date,
    /// DISPLAYFROM (RFC 5957).
    DisplayFrom,
    /// DISPLAYTO (RFC 5957).
    DisplayTo,
    /// FROM.
    From,
    /// RELEVANCY (RFC 6203): what is most relevant is first.
    Relevancy,
    /// SIZE.
    Size,
    /// SUBJECT.
    Subject,
    /// TO.
    To,
}

/// Whether a criterion was given with REVERSE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// It was not.
    Forward,
    /// It was.
    Reverse,
}
