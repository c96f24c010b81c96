//! SEARCH's arguments but for the keys (RFC 4731 and extensions).

use super::{FetchItem, Numbers, SortCriterion, SortKey};
use crate::grammar::partial::PartialRange;
use crate::grammar::search_key::SearchKey;

/// SEARCH's arguments.
#[derive(Debug, Clone)]
pub struct Search {
    /// What the answer's numbers are.
    pub numbers: Numbers,
    /// Return options (RFC 4731, RFC 5182); `None` when there was no RETURN.
    /// `RETURN ()` is given as `ALL`.
    pub returns: Option<Vec<ReturnOption>>,
    /// What UPDATE is to fetch of new messages (RFC 5465 section 7).
    pub update_items: Vec<FetchItem>,
    /// What to look for.
    pub key: SearchKey,
}

impl Search {
    /// Whether RELEVANCY, which may be a sort criterion as well, is asked for where nothing
    /// has any: it is nothing without FUZZY (RFC 6203 section 4).
    pub fn lacks_fuzzy(&self, criteria: &[SortCriterion]) -> bool {
        let mut options = self.returns.iter().flatten();
        let mut keys = criteria.iter().map(|criterion| criterion.key);
        let asks = keys.any(|key| key == SortKey::Relevancy)
            || options.any(|option| *option == ReturnOption::Relevancy);
        asks && !self.key.is_fuzzy()
    }
}

/// A SEARCH or SORT return option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReturnOption {
    /// MIN.
    Min,
    /// MAX.
    Max,
    /// ALL.
    All,
    /// COUNT.
    Count,
    /// SAVE (RFC 5182).
    Save,
    /// PARTIAL (RFC 5267, RFC 9394).
    Partial(PartialRange),
    /// CONTEXT (RFC 5267): a hint.
    Context,
    /// UPDATE (RFC 5267).
    Update,
    /// RELEVANCY (RFC 6203).
    Relevancy,
}
