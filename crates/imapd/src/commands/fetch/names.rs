//! How FETCH's answers name sections.

use crate::grammar::command::{Binary, Section, SectionText};
use crate::response::Writer;

/// `BODY[1.HEADER.FIELDS (From)]<8> `, the space included.
pub(super) fn write_section(section: &Section, out: &mut Writer) {
    out.text("BODY[");
    let dot = write_path(&section.path, out);
    let (name, fields) = match &section.text {
        SectionText::Whole => ("", None),
        SectionText::Header => ("HEADER", None),
        SectionText::HeaderFields(names) => ("HEADER.FIELDS", Some(names)),
        SectionText::HeaderFieldsNot(names) => ("HEADER.FIELDS.NOT", Some(names)),
        SectionText::Text => ("TEXT", None),
        SectionText::Mime => ("MIME", None),
    };
    if !name.is_empty() {
        out.text(dot).text(name);
    }
    if let Some(names) = fields {
        let mut before = " (";
        for name in names {
            out.text(before);
            before = " ";
            match std::str::from_utf8(name) {
                Ok(text) if !text.is_empty() && text.bytes().all(crate::grammar::is_atom_char) => {
                    out.text(text);
                }
                _ => {
                    out.string(name);
                }
            }
        }
        out.text(")");
    }
    out.text("]");
    write_origin(section.partial, out);
}

/// `BINARY[1.2]<8> `, the space included.
pub(super) fn write_binary(binary: &Binary, out: &mut Writer) {
    out.text("BINARY[");
    write_path(&binary.path, out);
    out.text("]");
    write_origin(binary.partial, out);
}

/// `BINARY.SIZE[1.2] `, the space included.
pub(super) fn write_binary_size(path: &[u32], out: &mut Writer) {
    out.text("BINARY.SIZE[");
    write_path(path, out);
    out.text("] ");
}

/// A part's number; gives what stands between it and what may follow.
fn write_path(path: &[u32], out: &mut Writer) -> &'static str {
    let mut dot = "";
    for number in path {
        out.text(dot).number((*number).into());
        dot = ".";
    }
    dot
}

/// The first octet, if a part was asked for, and the space.
fn write_origin(partial: Option<(u64, u64)>, out: &mut Writer) {
    if let Some((first, _)) = partial {
        out.text("<").number(first).text(">");
    }
    out.text(" ");
}
