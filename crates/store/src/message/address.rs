//! Addresses of an envelope (RFC 5322 section 3.4, obsolete forms included).

use super::Address;

#[derive(Debug, PartialEq)]
enum Token {
    Word(Vec<u8>),
    Quoted(Vec<u8>),
    Special(u8),
}

/// The addresses of a raw value, about `limit` at most (a group that is open
/// there is closed). Broken ones are kept as well as they can be; encoded words
/// stay as they are.
pub(crate) fn parse(value: &[u8], limit: usize) -> Vec<Address> {
    if limit == 0 {
        return Vec::new();
    }
    let mut list = List::default();
    let mut tokens = Tokens {
        rest: value,
        comment: None,
    };
    let mut item = Item::default();
    while let Some(token) = tokens.next() {
        if list.addresses.len() >= limit {
            item = Item::default();
            break;
        }
        match token {
            Token::Special(b',') if item.is_route() => item.word(b",".to_vec(), true),
            Token::Special(b',') => list.finish(&mut item, tokens.comment.take()),
            Token::Special(b':') if !item.in_angle && !list.in_group => {
                tokens.comment = None;
                list.open_group(&mut item);
            }
            Token::Special(b';') if list.in_group => {
                list.finish(&mut item, tokens.comment.take());
                list.close_group();
            }
            // Some mailers write `;` between addresses.
            Token::Special(b';') if !item.in_angle => {
                list.finish(&mut item, tokens.comment.take());
            }
            Token::Special(b'<') if !item.in_angle => {
                if item.seen_angle || item.host.is_some() {
                    list.finish(&mut item, tokens.comment.take());
                }
                item.in_angle = true;
            }
            Token::Special(b'>') => item.in_angle = false,
            Token::Special(b':') if item.in_angle => item.end_route(),
            Token::Special(b'@') => item.at(),
            Token::Special(other) => item.word(vec![other], true),
            Token::Word(word) => item.word(word, false),
            Token::Quoted(text) => item.word(text, false),
        }
    }
    list.finish(&mut item, tokens.comment.take());
    if list.in_group {
        list.close_group();
    }
    list.addresses
}

#[derive(Default)]
struct List {
    addresses: Vec<Address>,
    in_group: bool,
}

impl List {
    fn finish(&mut self, item: &mut Item, comment: Option<Vec<u8>>) {
        if let Some(address) = std::mem::take(item).finish(comment) {
            self.addresses.push(address);
        }
    }

    fn open_group(&mut self, item: &mut Item) {
        let name = std::mem::take(item).words.join(&b' ');
        self.addresses.push(Address {
            mailbox: Some(name),
            ..Address::default()
        });
        self.in_group = true;
    }

    fn close_group(&mut self) {
        self.addresses.push(Address::default());
        self.in_group = false;
    }
}

/// Whether a word goes on where another ends (`a . b`, RFC 5322 section 4.4; the
/// next domain of a route).
fn is_dotted(before: &[u8], word: &[u8]) -> bool {
    matches!(before.last(), None | Some(b'.' | b'@')) || word.starts_with(b".")
}

/// One address while it is read.
#[derive(Default)]
struct Item {
    /// Words before `<`: the display name, or the local part of a bare address.
    words: Vec<Vec<u8>>,
    in_angle: bool,
    seen_angle: bool,
    route: Option<Vec<u8>>,
    local: Vec<u8>,
    host: Option<Vec<u8>>,
}

impl Item {
    fn word(&mut self, word: Vec<u8>, glued: bool) {
        self.seen_angle |= self.in_angle;
        if self.in_angle && self.host.is_none() {
            if !glued && !is_dotted(&self.local, &word) {
                self.local.push(b' ');
            }
            self.local.extend(word);
        } else if let Some(host) = self
            .host
            .as_mut()
            .filter(|_| self.in_angle || !self.seen_angle)
        {
            // What follows a domain is none of it.
            if glued || is_dotted(host, &word) {
                host.extend(word);
            }
        } else if let (Some(last), true) = (self.words.last_mut(), glued) {
            last.extend(word);
        } else if !self.seen_angle {
            self.words.push(word);
        }
    }

    fn at(&mut self) {
        if self.in_angle {
            self.seen_angle = true;
            match &mut self.host {
                // A route: `<@a,@b:local@host>`.
                Some(host) => host.push(b'@'),
                None => self.host = Some(Vec::new()),
            }
        } else if !self.seen_angle && self.host.is_none() {
            // Words before the local part are a name that lacks its angle brackets.
            while let Some(word) = self.words.pop() {
                let joins = self
                    .words
                    .last()
                    .is_some_and(|before| is_dotted(before, &word));
                self.local.splice(..0, word);
                if !joins {
                    break;
                }
            }
            self.host = Some(Vec::new());
        }
    }

    /// Whether what is read is a source route, in which commas end nothing.
    fn is_route(&self) -> bool {
        self.in_angle && self.local.is_empty() && self.host.is_some()
    }

    fn end_route(&mut self) {
        if let (true, Some(host)) = (self.local.is_empty(), self.host.take()) {
            let mut route = b"@".to_vec();
            route.extend(host);
            self.route = Some(route);
        }
    }

    fn finish(self, comment: Option<Vec<u8>>) -> Option<Address> {
        let named = self.seen_angle || self.host.is_some();
        if !named && self.words.is_empty() {
            return None;
        }
        if !named {
            // A name alone: a local mailbox, as old mailers wrote it.
            let mailbox = Some(self.words.join(&b' '));
            return Some(Address {
                name: comment,
                mailbox,
                host: Some(Vec::new()),
                ..Address::default()
            });
        }
        let name = Some(self.words.join(&b' '))
            .filter(|name| !name.is_empty())
            .or(comment);
        Some(Address {
            name,
            route: self.route,
            mailbox: Some(self.local),
            host: Some(self.host.unwrap_or_default()),
        })
    }
}

struct Tokens<'a> {
    rest: &'a [u8],
    /// The last comment, an old way to give a display name.
    comment: Option<Vec<u8>>,
}

impl Tokens<'_> {
    fn next(&mut self) -> Option<Token> {
        loop {
            let (first, rest) = self.rest.split_first()?;
            match first {
                b' ' | b'\t' | b'\r' | b'\n' => self.rest = rest,
                b'(' => {
                    self.rest = rest;
                    let comment = self.comment();
                    self.comment = Some(comment).filter(|comment| !comment.is_empty());
                }
                b'"' => {
                    self.rest = rest;
                    return Some(Token::Quoted(self.quoted()));
                }
                b',' | b':' | b';' | b'<' | b'>' | b'@' => {
                    self.rest = rest;
                    return Some(Token::Special(*first));
                }
                b'[' => return Some(Token::Word(self.literal())),
                _ => return Some(Token::Word(self.word())),
            }
        }
    }

    fn word(&mut self) -> Vec<u8> {
        let end = self.rest.iter().position(|octet| {
            matches!(
                octet,
                b' ' | b'\t'
                    | b'\r'
                    | b'\n'
                    | b'('
                    | b'"'
                    | b','
                    | b':'
                    | b';'
                    | b'<'
                    | b'>'
                    | b'@'
            )
        });
        let (word, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest;
        word.iter()
            .map(|octet| if *octet == 0 { b'?' } else { *octet })
            .collect()
    }

    /// A domain literal, `]` included; colons in it end nothing, folds go.
    fn literal(&mut self) -> Vec<u8> {
        let end = self
            .rest
            .iter()
            .position(|octet| matches!(octet, b']' | b','));
        let end = end.map_or(self.rest.len(), |end| {
            end + usize::from(self.rest[end] == b']')
        });
        let (word, rest) = self.rest.split_at(end.max(1));
        self.rest = rest;
        word.iter()
            .filter(|octet| !matches!(octet, b'\r' | b'\n'))
            .map(|octet| if *octet == 0 { b'?' } else { *octet })
            .collect()
    }

    fn quoted(&mut self) -> Vec<u8> {
        let mut text = Vec::new();
        while let Some((octet, rest)) = self.rest.split_first() {
            self.rest = rest;
            match octet {
                b'"' => break,
                b'\\' => {
                    if let Some((escaped, after)) = rest.split_first() {
                        if !matches!(escaped, b'\r' | b'\n' | 0) {
                            text.push(*escaped);
                        }
                        self.rest = after;
                    }
                }
                b'\r' | b'\n' | 0 => {}
                octet => text.push(*octet),
            }
        }
        text
    }

    fn comment(&mut self) -> Vec<u8> {
        let mut text = Vec::new();
        let mut depth = 1_usize;
        while let Some((octet, rest)) = self.rest.split_first() {
            self.rest = rest;
            match octet {
                b'(' => depth += 1,
                b')' => {
                    depth -= 1;
                    if depth == 0 {
                        break;
                    }
                }
                b'\\' => {
                    if let Some((escaped, after)) = rest.split_first() {
                        if !matches!(escaped, b'\r' | b'\n' | 0) {
                            text.push(*escaped);
                        }
                        self.rest = after;
                    }
                    continue;
                }
                b'\r' | b'\n' | 0 => continue,
                _ => {}
            }
            text.push(*octet);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(value: &str) -> Vec<String> {
        let text = |part: &Option<Vec<u8>>| {
            part.as_ref().map_or("NIL".into(), |octets| {
                String::from_utf8_lossy(octets).into_owned()
            })
        };
        parse(value.as_bytes(), 100)
            .iter()
            .map(|address| {
                format!(
                    "{}|{}|{}|{}",
                    text(&address.name),
                    text(&address.route),
                    text(&address.mailbox),
                    text(&address.host)
                )
            })
            .collect()
    }

    #[test]
    fn usual_forms() {
        assert_eq!(
            shown("Ben B. <ben@example.org>, anna@example.org (Anna)"),
            ["Ben B.|NIL|ben|example.org", "Anna|NIL|anna|example.org"]
        );
        assert_eq!(
            shown("=?utf-8?q?J=C3=B6?= <j@x>"),
            ["=?utf-8?q?J=C3=B6?=|NIL|j|x"]
        );
        assert_eq!(shown("\"A, B\" <\"a b\"@x>"), ["A, B|NIL|a b|x"]);
        assert_eq!(shown("<@r1,@r2:u@h>"), ["NIL|@r1,@r2|u|h"]);
        assert_eq!(shown("x@[IPv6:::1]"), ["NIL|NIL|x|[IPv6:::1]"]);
    }

    #[test]
    fn groups_and_broken_ones() {
        assert_eq!(
            shown("Team: a@x, b@y; , c@z"),
            [
                "NIL|NIL|Team|NIL",
                "NIL|NIL|a|x",
                "NIL|NIL|b|y",
                "NIL|NIL|NIL|NIL",
                "NIL|NIL|c|z"
            ]
        );
        assert_eq!(
            shown("undisclosed-recipients:;"),
            ["NIL|NIL|undisclosed-recipients|NIL", "NIL|NIL|NIL|NIL"]
        );
        assert_eq!(shown("bare"), ["NIL|NIL|bare|"]);
        let two = ["NIL|NIL|a|x", "NIL|NIL|b|y"];
        assert_eq!(shown("a@x; b@y"), two);
        assert_eq!(shown("<a@x> <b@y>"), two);
        assert_eq!(shown("a@x <b@y>"), two);
        assert_eq!(shown("a@x> junk, b@y junk"), two);
        assert_eq!(shown("Ben Bo b@y"), ["Ben Bo|NIL|b|y"]);
        assert_eq!(shown("<a b@y>"), ["NIL|NIL|a b|y"]);
        assert_eq!(shown("a . b @ c . d"), ["NIL|NIL|a.b|c.d"]);
        assert_eq!(shown("< a . b @ c . d >"), ["NIL|NIL|a.b|c.d"]);
        assert_eq!(
            shown("a.\"b c\"@d, \"e\".f@g"),
            ["NIL|NIL|a.b c|d", "NIL|NIL|e.f|g"]
        );
        assert_eq!(shown(",,,"), Vec::<String>::new());
        assert_eq!(parse(&b"a@b,".repeat(300), 100).len(), 100);
        assert_eq!(shown("\"a\\\r\n b\\\0\" <x@[1\r\n]>"), ["a b|NIL|x|[1]"]);
    }
}
