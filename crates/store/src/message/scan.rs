//! The structure of a message, found in one pass without recursion.
//!
//! Entities are kept in a flat list while they are read; the tree is made of it
//! at the end. What goes beyond a limit is plain content of the part it is in.

use super::facts::{Allowance, Facts, Place, read_facts};
use super::header::{count_line_ends, is_empty_line, line_end};
use super::{Content, Envelope, Part, Summary};

/// How deep parts may lie in each other.
const DEPTH: usize = 100;
/// How many parts a message may have.
const PARTS: usize = 10_000;
/// How long a boundary may be (RFC 2046 section 5.1.1 allows 70).
const BOUNDARY_OCTETS: usize = 1_000;
/// An entity while it is read.
struct Entity {
    header_start: usize,
    body_start: usize,
    end: usize,
    kind: Kind,
    children: Vec<usize>,
    depth: usize,
    facts: Facts,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Leaf,
    Multipart,
    Message,
}

/// A multipart whose boundary may still come.
struct Open {
    entity: usize,
    boundary: Vec<u8>,
}

/// Scans a message.
pub(crate) fn scan(text: &[u8]) -> Summary {
    let mut scanner = Scanner {
        text,
        entities: Vec::new(),
        open: Vec::new(),
        unfinished: Vec::new(),
        allowance: Allowance::new(),
    };
    let mut position = scanner.begin(0, Place::Top, None);
    while position < text.len() {
        position = scanner.body_line(position);
    }
    scanner.close_down_to(0, text.len());
    scanner.summary()
}

struct Scanner<'a> {
    text: &'a [u8],
    entities: Vec<Entity>,
    open: Vec<Open>,
    /// Entities whose end is not known, outermost first.
    unfinished: Vec<usize>,
    allowance: Allowance,
}

impl Scanner<'_> {
    /// Reads the header of an entity (and of the messages that begin in it) and
    /// gives the position after it.
    fn begin(&mut self, start: usize, place: Place, parent: Option<usize>) -> usize {
        let (mut start, mut place, mut parent) = (start, place, parent);
        loop {
            let (header_end, body_start) = self.header(start);
            let facts = read_facts(&self.text[start..header_end], place, &mut self.allowance);
            let depth = parent.map_or(0, |parent| self.entities[parent].depth + 1);
            let room = depth < DEPTH && self.entities.len() < PARTS;
            let boundary = facts
                .parameters
                .iter()
                .find(|(name, _)| name.eq_ignore_ascii_case(b"boundary"))
                .map(|(_, value)| value.trim_ascii_end().to_vec())
                .filter(|value| !value.is_empty() && value.len() <= BOUNDARY_OCTETS);
            let is_multipart = facts.media_type.eq_ignore_ascii_case(b"multipart");
            let is_message = facts.media_type.eq_ignore_ascii_case(b"message")
                && [&b"rfc822"[..], b"global"]
                    .iter()
                    .any(|subtype| facts.media_subtype.eq_ignore_ascii_case(subtype))
                && facts.encoding.as_deref().is_none_or(|encoding| {
                    !encoding.eq_ignore_ascii_case(b"base64")
                        && !encoding.eq_ignore_ascii_case(b"quoted-printable")
                });
            let entity = self.entities.len();
            let mut kind = Kind::Leaf;
            if let (true, true, Some(boundary)) = (room, is_multipart, boundary) {
                kind = Kind::Multipart;
                self.open.push(Open { entity, boundary });
            } else if room && is_message {
                kind = Kind::Message;
            }
            self.entities.push(Entity {
                header_start: start,
                body_start,
                end: self.text.len(),
                kind,
                children: Vec::new(),
                depth,
                facts,
            });
            if let Some(parent) = parent {
                self.entities[parent].children.push(entity);
            }
            self.unfinished.push(entity);
            if kind != Kind::Message {
                return body_start;
            }
            (start, place, parent) = (body_start, Place::Top, Some(entity));
        }
    }

    /// Where a header's fields end and where the body begins: after the empty
    /// line, or at the boundary that comes before one.
    fn header(&self, start: usize) -> (usize, usize) {
        let mut position = start;
        while position < self.text.len() {
            let end = line_end(self.text, position);
            if is_empty_line(&self.text[position..end]) {
                return (position, end);
            }
            if self.boundary_at(position).is_some() {
                return (position, position);
            }
            position = end;
        }
        (self.text.len(), self.text.len())
    }

    /// The open multipart whose boundary this line is, and whether it closes it.
    fn boundary_at(&self, position: usize) -> Option<(usize, Closing)> {
        let line = self.text.get(position..)?.strip_prefix(b"--")?;
        if self.open.is_empty() {
            return None;
        }
        let line = line[..line_end(line, 0)].trim_ascii_end();
        let closed = line.strip_suffix(b"--");
        self.open
            .iter()
            .enumerate()
            .rev()
            .find_map(|(level, open)| {
                if line == open.boundary {
                    return Some((level, Closing::No));
                }
                (closed? == open.boundary).then_some((level, Closing::Yes))
            })
    }

    /// Takes one line of a body and gives the position after it.
    fn body_line(&mut self, position: usize) -> usize {
        let end = line_end(self.text, position);
        let Some((level, closing)) = self.boundary_at(position) else {
            return end;
        };
        let multipart = self.open[level].entity;
        self.open.truncate(level + 1);
        let keep = self
            .unfinished
            .iter()
            .position(|entity| *entity == multipart)
            .map_or(0, |place| place + 1);
        self.close_down_to(keep, position);
        match closing {
            Closing::Yes => {
                self.open.truncate(level);
                end
            }
            Closing::No if self.entities.len() < PARTS => {
                let in_digest = self.entities[multipart]
                    .facts
                    .media_subtype
                    .eq_ignore_ascii_case(b"digest");
                self.begin(end, Place::Part { in_digest }, Some(multipart))
            }
            Closing::No => end,
        }
    }

    /// Ends all but the first `keep` unfinished entities before the line that
    /// begins at `position`; the line end before it belongs to the boundary.
    fn close_down_to(&mut self, keep: usize, position: usize) {
        let mut end = position;
        if position < self.text.len() && self.text[..end].ends_with(b"\n") {
            end -= 1;
            if self.text[..end].ends_with(b"\r") {
                end -= 1;
            }
        }
        while self.unfinished.len() > keep {
            if let Some(entity) = self.unfinished.pop() {
                let entity = &mut self.entities[entity];
                // A header keeps its line end, and all around it reach as far.
                end = end.max(entity.body_start);
                entity.end = end;
            }
        }
    }

    fn summary(self) -> Summary {
        let counts = Counts::of(self.text, &self.entities);
        let size_octets = counts.as_sent(0, self.text.len());
        let mut parts: Vec<Option<Part>> = self.entities.iter().map(|_| None).collect();
        let mut envelopes: Vec<Option<Envelope>> = Vec::with_capacity(parts.len());
        let mut entities = self.entities;
        for entity in &mut entities {
            envelopes.push(entity.facts.envelope.take());
        }
        for (index, entity) in entities.into_iter().enumerate().rev() {
            let children: Vec<usize> = entity.children.clone();
            let mut content = Content::Single;
            match entity.kind {
                Kind::Multipart if !children.is_empty() => {
                    content = Content::Multipart(
                        children
                            .iter()
                            .filter_map(|child| parts[*child].take())
                            .collect(),
                    );
                }
                Kind::Message => {
                    if let Some((child, part)) = children
                        .first()
                        .and_then(|child| Some((*child, parts[*child].take()?)))
                    {
                        content = Content::Message(Box::new((
                            envelopes[child].take().unwrap_or_default(),
                            part,
                        )));
                    }
                }
                _ => {}
            }
            parts[index] = Some(entity.into_part(content, &counts));
        }
        let envelope = envelopes
            .first_mut()
            .and_then(Option::take)
            .unwrap_or_default();
        let root = parts
            .first_mut()
            .and_then(Option::take)
            .unwrap_or_else(|| Part::empty(size_octets));
        Summary {
            envelope,
            root,
            size_octets,
            listed_header: None,
            preview: String::new(),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Closing {
    Yes,
    No,
}

impl Entity {
    fn into_part(self, content: Content, counts: &Counts) -> Part {
        let facts = self.facts;
        let (mut media_type, mut media_subtype, mut parameters) =
            (facts.media_type, facts.media_subtype, facts.parameters);
        let lies = match content {
            Content::Single => {
                media_type.eq_ignore_ascii_case(b"multipart")
                    || (media_type.eq_ignore_ascii_case(b"message")
                        && media_subtype.eq_ignore_ascii_case(b"rfc822"))
            }
            _ => false,
        };
        if lies {
            // BODYSTRUCTURE has no form for a multipart without parts or a message
            // that is not one (RFC 3501 section 7.4.2).
            let plain = media_type.eq_ignore_ascii_case(b"multipart");
            if plain {
                (media_type, media_subtype) = (b"text".to_vec(), b"plain".to_vec());
                parameters = vec![(b"charset".to_vec(), b"us-ascii".to_vec())];
            } else {
                // Its name stays, for saving it.
                (media_type, media_subtype) = (b"application".to_vec(), b"octet-stream".to_vec());
            }
        }
        Part {
            media_type,
            media_subtype,
            parameters,
            id: facts.id,
            description: facts.description,
            encoding: facts.encoding.unwrap_or_else(|| b"7bit".to_vec()),
            md5: facts.md5,
            disposition: facts.disposition,
            language: facts.language,
            location: facts.location,
            header_start: self.header_start as u64,
            body_start: self.body_start as u64,
            end: self.end as u64,
            header_octets: counts.as_sent(self.header_start, self.body_start),
            body_octets: counts.as_sent(self.body_start, self.end),
            body_lines: counts.lines(self.body_start, self.end),
            content,
        }
    }
}

impl Part {
    fn empty(octets: u64) -> Self {
        let facts = read_facts(b"", Place::Part { in_digest: false }, &mut Allowance::new());
        let entity = Entity {
            header_start: 0,
            body_start: 0,
            end: 0,
            kind: Kind::Leaf,
            children: Vec::new(),
            depth: 0,
            facts,
        };
        let mut part = entity.into_part(Content::Single, &Counts { marks: Vec::new() });
        part.body_octets = octets;
        part
    }
}

/// Line ends before each offset that matters, counted in one pass.
struct Counts {
    /// Offset, LFs before it, LFs without CR before it.
    marks: Vec<(usize, u64, u64)>,
}

impl Counts {
    fn of(text: &[u8], entities: &[Entity]) -> Self {
        let mut offsets = vec![0, text.len()];
        for entity in entities {
            offsets.extend([entity.header_start, entity.body_start, entity.end]);
        }
        offsets.sort_unstable();
        offsets.dedup();
        let (mut from, mut all, mut bare) = (0, 0, 0);
        let marks = offsets
            .into_iter()
            .map(|offset| {
                let counted = count_line_ends(&text[from..offset], text[..from].last().copied());
                all += counted.0;
                bare += counted.1;
                from = offset;
                (offset, all, bare)
            })
            .collect();
        Self { marks }
    }

    fn at(&self, offset: usize) -> (u64, u64) {
        let place = self.marks.partition_point(|mark| mark.0 < offset);
        self.marks
            .get(place)
            .map_or((0, 0), |mark| (mark.1, mark.2))
    }

    /// Octets of a range as sent: each LF without CR becomes CRLF.
    fn as_sent(&self, start: usize, end: usize) -> u64 {
        (end - start) as u64 + self.at(end).1 - self.at(start).1
    }

    /// Lines of a range: its line ends. A last line whose line end belongs to the
    /// boundary is not counted, as other servers count too, so that BODYSTRUCTURE
    /// stays the same where a mailbox is taken over.
    fn lines(&self, start: usize, end: usize) -> u64 {
        self.at(end).0 - self.at(start).0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outline(part: &Part) -> String {
        let kind = format!(
            "{}/{}",
            String::from_utf8_lossy(&part.media_type),
            String::from_utf8_lossy(&part.media_subtype)
        );
        match &part.content {
            Content::Single => format!("{kind}:{}:{}", part.body_octets, part.body_lines),
            Content::Multipart(parts) => format!(
                "{kind}({})",
                parts.iter().map(outline).collect::<Vec<_>>().join(" ")
            ),
            Content::Message(inner) => format!(
                "{kind}:{}:{}[{}]",
                part.body_octets,
                part.body_lines,
                outline(&inner.1)
            ),
        }
    }

    fn scanned(text: &str) -> String {
        let lf = outline(&scan(text.as_bytes()).root);
        let crlf = outline(&scan(text.replace('\n', "\r\n").as_bytes()).root);
        assert_eq!(lf, crlf, "LF and CRLF are counted alike");
        lf
    }

    #[test]
    fn parts_are_found_and_counted_as_sent() {
        let text = "Content-Type: multipart/mixed; boundary=\"b1\"\n\npreamble\n--b1\n\none\n--b1\nContent-Type: multipart/alternative; boundary=b10\n\n--b10\nContent-Type: text/html\n\ntwo\nlines\n\n--b10--\nepilogue\n--b1--\n";
        assert_eq!(
            scanned(text),
            "multipart/mixed(text/plain:3:0 multipart/alternative(text/html:12:2))"
        );
    }

    #[test]
    fn messages_in_messages() {
        let text = "Content-Type: multipart/digest; boundary=d\n\n--d\n\nSubject: x\nFrom: a@b\n\nbody\n--d\nContent-Type: message/rfc822\n\nContent-Type: message/rfc822\n\nSubject: deep\n\nx\n--d--\n";
        assert_eq!(
            scanned(text),
            "multipart/digest(message/rfc822:29:3[text/plain:4:0] message/rfc822:50:4[message/rfc822:18:2[text/plain:1:0]])"
        );
        let Content::Multipart(parts) = scan(text.as_bytes()).root.content else {
            panic!("multipart")
        };
        let Content::Message(inner) = &parts[0].content else {
            panic!("message")
        };
        assert_eq!(inner.0.subject.as_deref(), Some(&b"x"[..]));
        assert_eq!(inner.0.sender.len(), 1);
    }

    #[test]
    fn broken_structure_is_plain() {
        assert_eq!(
            scanned("Content-Type: multipart/mixed; boundary=b\n\nno part\n"),
            "text/plain:9:1"
        );
        assert_eq!(
            scanned("Content-Type: multipart/mixed\n\nx\n"),
            "text/plain:3:1"
        );
        assert_eq!(
            scanned("Content-Type: multipart/mixed; boundary=b\n\n--b\n\nunclosed\n"),
            "multipart/mixed(text/plain:10:1)"
        );
        assert_eq!(scanned("Subject: header only\n"), "text/plain:0:0");
        assert_eq!(
            scanned(
                "Content-Type: multipart/mixed; boundary=e\n\n--e\nContent-Type: message/rfc822\n\n--e--\n"
            ),
            "multipart/mixed(message/rfc822:0:0[text/plain:0:0])"
        );
        assert_eq!(scanned(""), "text/plain:0:0");
        assert_eq!(
            scanned("Content-Type: multipart/mixed; boundary=b\n\n--b\nX: y\n--b--\n"),
            "multipart/mixed(text/plain:0:0)"
        );
    }

    #[test]
    fn what_is_no_message_keeps_its_name() {
        let text = b"Content-Type: message/rfc822; name=x.eml\nContent-Transfer-Encoding: base64\n\neA==\n";
        let part = scan(text).root;
        assert_eq!(outline(&part), "application/octet-stream:6:1");
        assert_eq!(part.parameters, [(b"name".to_vec(), b"x.eml".to_vec())]);
    }

    #[test]
    fn depth_and_number_of_parts_are_limited() {
        let mut text = String::new();
        for level in 0..5_000 {
            text += &format!("Content-Type: multipart/mixed; boundary=b{level}\n\n--b{level}\n");
        }
        let summary = scan(text.as_bytes());
        assert_eq!(
            summary.size_octets,
            text.len() as u64 + text.matches('\n').count() as u64
        );
        let nested = "Content-Type: message/rfc822\n\n".repeat(200_000);
        assert_eq!(
            scan(nested.as_bytes()).size_octets,
            nested.len() as u64 + 400_000
        );
        let many = format!(
            "Content-Type: multipart/mixed; boundary=b\n\n{}",
            "--b\n\n".repeat(50_000)
        );
        let Content::Multipart(parts) = scan(many.as_bytes()).root.content else {
            panic!("multipart")
        };
        assert!(parts.len() < PARTS);
    }

    #[test]
    fn boundaries_match_whole_lines_only() {
        assert_eq!(
            scanned(
                "Content-Type: multipart/mixed; boundary=\"b \"\n\n--b  \n\n--bc\n--b--c\n --b\n--b-- \nepilogue\n"
            ),
            "multipart/mixed(text/plain:18:2)"
        );
    }

    #[test]
    fn addresses_and_parameters_of_all_parts_are_limited_together() {
        let part = format!(
            "--b\n\nTo: {}\nContent-Type: text/plain{}\n\n",
            "a,".repeat(15_000),
            ";a=b".repeat(200)
        );
        let text = format!(
            "To: x@y\nContent-Type: multipart/digest; boundary=b\n\n{}",
            part.repeat(400)
        );
        let summary = scan(text.as_bytes());
        assert_eq!(summary.envelope.to.len(), 1);
        let Content::Multipart(parts) = &summary.root.content else {
            panic!("multipart")
        };
        let (mut addresses, mut parameters) = (1, 1);
        for part in parts {
            let Content::Message(inner) = &part.content else {
                panic!("message")
            };
            addresses += inner.0.to.len();
            let written = inner.1.parameters.iter().filter(|(name, _)| name == b"a");
            parameters += written.count();
        }
        assert_eq!(parts.len(), 400);
        assert_eq!(addresses, Allowance::new().addresses);
        assert_eq!(parameters, Allowance::new().parameters);
    }
}
