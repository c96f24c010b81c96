//! One line of the UID list.

use crate::maildir::filename;
use std::sync::Arc;

/// The highest UID.
pub(super) const LAST_UID: u32 = u32::MAX - 1;

/// One message's record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    /// Its unique name.
    pub(crate) name: Arc<str>,
    /// Its fields (`P<id> O<n> ...`), space between them.
    pub(crate) fields: Option<Box<str>>,
}

impl Record {
    /// A field's value.
    pub(crate) fn field(&self, letter: char) -> Option<&str> {
        self.fields
            .as_deref()?
            .split(' ')
            .find_map(|field| field.strip_prefix(letter))
    }
    /// Sets a field, others stay.
    pub(crate) fn set_field(&mut self, letter: char, value: &str) {
        let mut fields: Vec<String> = self
            .fields
            .as_deref()
            .unwrap_or_default()
            .split(' ')
            .filter(|field| !field.is_empty() && !field.starts_with(letter))
            .map(str::to_owned)
            .collect();
        fields.push(format!("{letter}{value}"));
        self.fields = Some(fields.join(" ").into_boxed_str());
    }
    /// How much is kept of it.
    pub(super) fn octets(&self) -> usize {
        self.name.len() + self.fields.as_deref().map_or(0, str::len)
    }
    pub(super) fn write(&self, uid: u32, into: &mut Vec<u8>) {
        write_record(uid, self.fields.as_deref(), &self.name, into);
    }
}

/// Writes a line.
pub(super) fn write_record(uid: u32, fields: Option<&str>, name: &str, into: &mut Vec<u8>) {
    into.extend_from_slice(uid.to_string().as_bytes());
    if let Some(fields) = fields.filter(|fields| !fields.is_empty()) {
        into.push(b' ');
        into.extend_from_slice(fields.as_bytes());
    }
    into.extend_from_slice(b" :");
    into.extend_from_slice(name.as_bytes());
    into.push(b'\n');
}

/// Reads a line without its end; version 1 has no fields.
pub(super) fn parse_record(line: &str, with_fields: bool) -> Option<(u32, Record)> {
    let (uid, rest) = line.split_once(' ')?;
    let uid: u32 = uid
        .parse()
        .ok()
        .filter(|uid| (1..=LAST_UID).contains(uid))?;
    let (fields, name) = if with_fields {
        match rest.strip_prefix(':') {
            Some(name) => (None, name),
            None => {
                let (fields, name) = rest.split_once(" :")?;
                (Some(fields.to_owned().into_boxed_str()), name)
            }
        }
    } else {
        (None, rest)
    };
    let name = filename::unique_name(name);
    if name.is_empty() || name.contains('/') || name.starts_with('.') {
        return None;
    }
    let record = Record {
        name: Arc::from(name),
        fields,
    };
    Some((uid, record))
}
