//! Patterns of a transcript: `$name` and a trailing `...`.

use std::collections::HashMap;

/// Matches a line against a pattern, binding `$name`s.
pub fn matches(pattern: &str, line: &str, names: &mut HashMap<String, String>) -> bool {
    let (mut pattern, mut line) = (pattern, line);
    let mut bound = names.clone();
    while let Some(position) = pattern.find(['$', '.']) {
        if pattern[position..] == *"..." {
            if !line.starts_with(&pattern[..position]) {
                return false;
            }
            *names = bound;
            return true;
        }
        let Some(rest) = line.strip_prefix(&pattern[..position]) else {
            return false;
        };
        line = rest;
        pattern = &pattern[position..];
        let length = pattern[1..]
            .find(|c: char| !c.is_ascii_lowercase())
            .map_or(pattern.len(), |end| end + 1);
        if !pattern.starts_with('$') || length == 1 {
            let Some(rest) = line.strip_prefix(&pattern[..1]) else {
                return false;
            };
            line = rest;
            pattern = &pattern[1..];
            continue;
        }
        let name = pattern[1..length].to_owned();
        pattern = &pattern[length..];
        let end = line.find([' ', ']', ')', '(']).unwrap_or(line.len());
        let value = line[..end].to_owned();
        if value.is_empty() || bound.get(&name).is_some_and(|known| *known != value) {
            return false;
        }
        line = &line[end..];
        bound.insert(name, value);
    }
    if pattern != line {
        return false;
    }
    *names = bound;
    true
}

/// Puts the words that were bound in the place of their names.
pub fn substitute(text: &str, names: &HashMap<String, String>) -> String {
    let mut text = text.to_owned();
    let mut known: Vec<_> = names.iter().collect();
    known.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
    for (name, value) in known {
        text = text.replace(&format!("${name}"), value);
    }
    text
}
