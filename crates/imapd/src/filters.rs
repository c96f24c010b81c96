//! FILTERS (RFC 5466): searches that are kept under a name, as metadata of the server, and
//! what stands in the place of FILTER.

use crate::capability::Capability;
use crate::commands::Outcome;
use crate::grammar::command::{Command, ReturnOption, SearchKey};
use crate::grammar::{self, Criteria, Reading};
use crate::rules;
use crate::session::{ImapSession, Login};
use std::collections::HashMap;
use store::metadata::Annotation;
use store::{Annotated, EntryName};

/// How deep filters may name others; section 3.1 asks for 3.
const PASSES: usize = 10;
/// How many octets the filters that a command names may have together.
const OCTETS: usize = 1 << 20;

/// What is kept below `/private` and `/shared`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kept<'a> {
    /// What a filter of this name holds.
    Value(&'a str),
    /// What people call it.
    Description,
}

impl<'a> Kept<'a> {
    /// What an entry of the server is, given in small letters.
    fn of(entry: &'a str) -> Option<Self> {
        let rest = entry
            .strip_prefix("/private/filters/")
            .or_else(|| entry.strip_prefix("/shared/filters/"))?;
        match rest.split_once('/')? {
            ("values", name) => Some(Self::Value(name)),
            ("descriptions", _) => Some(Self::Description),
            _ => None,
        }
    }
}

/// Refuses to keep what cannot be a filter, or its description (section 3.2).
///
/// # Errors
/// NO, and why.
pub(crate) fn admit(
    changes: &[(EntryName, Option<Vec<u8>>)],
    reading: Reading,
) -> Result<(), Outcome> {
    for (entry, value) in changes {
        let entry = entry.as_str().to_ascii_lowercase();
        let (Some(kept), Some(value)) = (Kept::of(&entry), value) else {
            continue;
        };
        match kept {
            Kept::Value(name) if !name.bytes().all(is_name_char) => {
                return Err(Outcome::no("[CANNOT] A filter cannot have such a name"));
            }
            Kept::Value(_) => {
                if let Err(fault) = grammar::criteria(value, reading, 0) {
                    return Err(Outcome::No(format!(
                        "[CANNOT] The value is no SEARCH criterion: {fault}"
                    )));
                }
            }
            Kept::Description if std::str::from_utf8(value).is_err() => {
                return Err(Outcome::no("[CANNOT] A description must be in UTF-8"));
            }
            Kept::Description => {}
        }
    }
    Ok(())
}

/// `filter-name` is made of these (section 4).
fn is_name_char(octet: u8) -> bool {
    grammar::is_atom_char(octet) && octet != b'/'
}

/// Filters being put in their places.
struct Inserting {
    /// What they hold, by their names in small letters.
    values: HashMap<String, Vec<u8>>,
    reading: Reading,
    /// Those within which the one stands that is read.
    around: Vec<String>,
    /// What may still be read: octets, keys, TEXT and BODY.
    octets: usize,
    keys: u32,
    texts: u32,
}

impl Inserting {
    fn new(all: Vec<Annotation>, reading: Reading) -> Self {
        let mut values = HashMap::new();
        for (entry, value) in all {
            let entry = entry.as_str().to_ascii_lowercase();
            if let Some(Kept::Value(name)) = Kept::of(&entry) {
                // Section 1: the user's own goes before what is shared.
                if entry.starts_with("/private/") {
                    values.insert(name.to_owned(), value);
                } else {
                    values.entry(name.to_owned()).or_insert(value);
                }
            }
        }
        let (keys, texts) = grammar::FILTERED;
        Self {
            values,
            reading,
            around: Vec::new(),
            octets: OCTETS,
            keys,
            texts,
        }
    }

    /// Puts what filters hold in the places where a key names them. The grammar caps how
    /// deep keys nest, those of filters too.
    fn insert(&mut self, key: &mut SearchKey, depth: u32) -> Result<(), Outcome> {
        let deeper = depth.saturating_add(1);
        match key {
            SearchKey::And(keys) => keys
                .iter_mut()
                .try_for_each(|key| self.insert(key, deeper))?,
            SearchKey::Or(left, right) => {
                self.insert(left, deeper)?;
                self.insert(right, deeper)?;
            }
            SearchKey::Not(inner) | SearchKey::Fuzzy(inner) => self.insert(inner, deeper)?,
            SearchKey::Filter(name) => *key = self.read(name, depth)?,
            _ => {}
        }
        Ok(())
    }

    /// What a filter holds: one key, also where it is of several and NOT, OR or FUZZY stands
    /// before it (section 4: `search-key`), not the first of them only.
    fn read(&mut self, name: &str, depth: u32) -> Result<SearchKey, Outcome> {
        let folded = name.to_ascii_lowercase();
        // Section 3.1: what names itself is as if it were not there.
        if self.around.len() >= PASSES || self.around.contains(&folded) {
            return Err(undefined(
                name,
                "The filter names itself, or too many others",
            ));
        }
        let Some(value) = self.values.get(&folded) else {
            return Err(undefined(name, "No such filter"));
        };
        let too_much = || Outcome::bad("The filters hold too many SEARCH keys");
        self.octets = self.octets.checked_sub(value.len()).ok_or_else(too_much)?;
        let read = grammar::criteria(value, self.reading, depth);
        let Criteria {
            mut key,
            keys,
            texts,
        } = read.map_err(|_| undefined(name, "The filter is no SEARCH criterion"))?;
        self.keys = self.keys.checked_sub(keys).ok_or_else(too_much)?;
        self.texts = self.texts.checked_sub(texts).ok_or_else(too_much)?;
        self.around.push(folded);
        self.insert(&mut key, depth)?;
        self.around.pop();
        Ok(key)
    }
}

/// A name is an atom: it can stand in a code as it is.
fn undefined(name: &str, why: &str) -> Outcome {
    Outcome::No(format!("[UNDEFINED-FILTER {name}] {why}"))
}

impl ImapSession {
    /// Puts what filters hold in the places where a command names them: from here on it is
    /// as if the client had written that.
    ///
    /// # Errors
    /// NO or BAD, by what is wrong with a filter.
    pub(crate) fn insert_filters(&mut self, command: &mut Command) -> Result<(), Outcome> {
        let reading = self.reading();
        let Some((search, criteria)) = command.search_mut() else {
            return Ok(());
        };
        let Some(login) = self.login.as_ref().filter(|_| search.key.names_filter()) else {
            return Ok(());
        };
        let inserted = insert(&mut search.key, login, reading);
        if let (Err(Outcome::No(_)), Some(view)) = (&inserted, &mut self.view)
            && search
                .returns
                .iter()
                .flatten()
                .any(|option| *option == ReturnOption::Save)
        {
            // RFC 5182 section 2.1.
            view.save(Vec::new());
        }
        inserted?;
        if search.lacks_fuzzy(criteria) {
            return Err(Outcome::bad(grammar::NEEDS_FUZZY));
        }
        match rules::refusal(command, self.on()) {
            Some(text) => Err(Outcome::Bad(text)),
            None => Ok(()),
        }
    }

    /// How SETMETADATA looks at filters; not at all where there are none.
    pub(crate) fn reading_of_filters(&self) -> Option<Reading> {
        self.has(Capability::Filters).then(|| self.reading())
    }
}

fn insert(key: &mut SearchKey, login: &Login, reading: Reading) -> Result<(), Outcome> {
    let all = login.account.metadata(Annotated::Server, &login.user)?;
    Inserting::new(all, reading).insert(key, 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grammar::parse;

    /// What becomes of a SEARCH for this key, with these filters.
    fn inserted(key: &str, filters: &[(&str, &str)]) -> Result<SearchKey, String> {
        let all = filters.iter().map(|(entry, value)| {
            let entry = EntryName::new(entry).expect("a name");
            (entry, value.as_bytes().to_vec())
        });
        let mut inserting = Inserting::new(all.collect(), Reading::default());
        let command = parse(format!("a SEARCH {key}").as_bytes());
        let Ok(Command::Search(mut search)) = command.map(|tagged| tagged.command) else {
            panic!("{key}");
        };
        match inserting.insert(&mut search.key, 0) {
            Ok(()) => Ok(search.key),
            Err(outcome) => Err(outcome.reply("")),
        }
    }

    fn shown(key: &str, filters: &[(&str, &str)]) -> String {
        match inserted(key, filters) {
            Ok(key) => format!("{key:?}"),
            Err(reply) => reply,
        }
    }

    #[test]
    fn rfc_5466_section_3_1() {
        let value = "OR SMALLER 5000 FROM \"boss@example.com\"";
        let filters = [("/private/filters/values/on-the-road", value)];
        let whole = format!("UID 300:900 ({value}) SINCE 3-Dec-2002");
        assert_eq!(
            shown(
                "UID 300:900 FILTER on-the-road SINCE \"3-Dec-2002\"",
                &filters
            ),
            shown(&whole, &[])
        );
        assert_eq!(
            shown("FILTER away", &filters),
            "NO [UNDEFINED-FILTER away] No such filter"
        );
        let half = [("/private/filters/values/x", "OR SMALLER")];
        assert!(shown("FILTER x", &half).starts_with("NO [UNDEFINED-FILTER x] "));
    }

    #[test]
    fn private_ones_go_before_shared_ones() {
        let filters = [
            ("/private/filters/values/A", "SEEN"),
            ("/shared/filters/values/a", "FLAGGED"),
            ("/shared/filters/values/b", "DRAFT UNSEEN"),
            ("/shared/filters/descriptions/c", "DRAFT"),
        ];
        assert_eq!(shown("FILTER a", &filters), shown("SEEN", &[]));
        let other = shown("NOT FILTER B", &filters);
        assert_eq!(other, shown("NOT (DRAFT UNSEEN)", &[]));
        assert!(inserted("FILTER c", &filters).is_err());
    }

    #[test]
    fn filters_name_others_but_not_themselves() {
        let entry = |number: usize| format!("/private/filters/values/f{number}");
        for length in [3, PASSES, PASSES + 1] {
            let kept: Vec<(String, String)> = (1..=length)
                .map(|number| match number {
                    _ if number == length => (entry(number), "SEEN".to_owned()),
                    _ => (entry(number), format!("NOT FILTER f{}", number + 1)),
                })
                .collect();
            let kept: Vec<(&str, &str)> = kept.iter().map(|(a, b)| (&**a, &**b)).collect();
            let found = inserted("FILTER f1", &kept);
            assert_eq!(found.is_ok(), length <= PASSES, "{length}: {found:?}");
        }
        let circle = [
            ("/private/filters/values/a", "OR SEEN FILTER b"),
            ("/private/filters/values/b", "FUZZY (FILTER A)"),
        ];
        assert!(shown("FILTER b", &circle).starts_with("NO [UNDEFINED-FILTER b] "));
        // Twice beside one another is no circle.
        let twice = [("/private/filters/values/a", "SEEN")];
        assert!(inserted("OR FILTER a NOT FILTER a", &twice).is_ok());
    }

    #[test]
    fn filters_hold_so_much_and_no_more() {
        let many = "SEEN ".repeat(4_000);
        let filters = [("/private/filters/values/a", many.trim_end())];
        assert!(inserted("FILTER a", &filters).is_ok());
        assert!(shown("FILTER a FILTER a", &filters).starts_with("BAD "));
        let long = format!("SUBJECT \"{}\"", "x".repeat(60_000));
        let filters = [("/private/filters/values/a", &*long)];
        assert!(inserted("FILTER a FILTER a", &filters).is_ok());
        assert!(shown(&"FILTER a ".repeat(18), &filters).starts_with("BAD "));
        // Each doubles the next.
        let entry = |number| format!("/private/filters/values/f{number}");
        let kept: Vec<(String, String)> = (1..=10)
            .map(|number| {
                (
                    entry(number),
                    format!("FILTER f{0} FILTER f{0}", number + 1),
                )
            })
            .collect();
        let kept: Vec<(&str, &str)> = kept.iter().map(|(a, b)| (&**a, &**b)).collect();
        assert!(inserted("FILTER f1", &kept).is_err());
        let deep = format!("{}SEEN{}", "(".repeat(60), ")".repeat(60));
        let filters = [("/private/filters/values/a", &*deep)];
        let within = |depth: usize| {
            let key = format!("{}FILTER a", "NOT ".repeat(depth));
            inserted(&key, &filters)
        };
        assert!(within(30).is_ok() && within(60).is_err());
    }
}
