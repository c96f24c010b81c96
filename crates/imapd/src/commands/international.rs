//! LANGUAGE and COMPARATOR (RFC 5255).

use super::{Outcome, Ran};
use crate::language::{self, Language};
use crate::order::collation::Comparator;
use crate::response::Writer;

/// LANGUAGE: lists the languages, or changes to the first that is spoken. What follows the
/// response is in the new one.
pub fn language(ranges: &[String], out: &mut Writer) -> Ran {
    if ranges.is_empty() {
        let tags: Vec<&str> = language::ALL
            .iter()
            .map(|language| language.tag())
            .collect();
        out.text("* LANGUAGE (").text(&tags.join(" ")).text(")");
        out.crlf();
        return Ok(Outcome::ok("Supported languages are listed"));
    }
    let Some(language) = ranges.iter().find_map(|range| Language::matching(range)) else {
        return Err(Outcome::no("Unsupported language"));
    };
    out.text("* LANGUAGE (")
        .text(language.tag())
        .text(")")
        .crlf();
    out.set_language(language);
    Ok(Outcome::ok("Now speaking this language"))
}

/// COMPARATOR: tells the active comparator, or changes it to the first that matches
/// (section 4.7).
pub fn comparator(orders: &[String], active: &mut Comparator, out: &mut Writer) -> Ran {
    let mut matching: Vec<Comparator> = Vec::new();
    for order in orders {
        let found = Comparator::matching(order);
        let found = found.ok_or_else(|| Outcome::bad("Invalid comparator"))?;
        for comparator in found {
            if !matching.contains(&comparator) {
                matching.push(comparator);
            }
        }
    }
    match matching.first() {
        Some(first) => *active = *first,
        None if orders.is_empty() => {}
        None => return Err(Outcome::no("[BADCOMPARATOR] No comparator matches")),
    }
    out.text("* COMPARATOR ").text(&active.name());
    if matching.len() > 1 {
        let names: Vec<String> = matching.into_iter().map(Comparator::name).collect();
        out.text(" (").text(&names.join(" ")).text(")");
    }
    out.crlf();
    Ok(Outcome::ok("COMPARATOR completed"))
}
