//! MIME parameters (RFC 2045 section 5.1), comments and quoted strings.

/// The value before the first `;` and the parameters after it, `limit` at most,
/// names as written.
/// RFC 2231 names (`filename*0*`) stay as they are written: clients decode them.
pub(crate) fn parse(value: &[u8], limit: usize) -> super::Disposition {
    let mut scanner = Scanner { rest: value };
    let head = scanner.token(b";");
    let mut parameters = Vec::new();
    while scanner.take(b';') && parameters.len() < limit {
        let name = scanner.token(b"=;");
        if scanner.take(b'=') {
            let value = scanner.token(b";");
            if !name.is_empty() {
                parameters.push((name, value));
            }
        }
    }
    (head, parameters)
}

struct Scanner<'a> {
    rest: &'a [u8],
}

impl Scanner<'_> {
    fn take(&mut self, octet: u8) -> bool {
        let found = self.rest.first() == Some(&octet);
        if found {
            self.rest = &self.rest[1..];
        }
        found
    }

    /// What stands before one of `ends`, unquoted, without comments and the
    /// blanks around it.
    fn token(&mut self, ends: &[u8]) -> Vec<u8> {
        let mut token = Vec::new();
        let mut quoted = false;
        let mut depth = 0_usize;
        let mut kept = 0;
        while let Some((octet, rest)) = self.rest.split_first() {
            match octet {
                _ if depth == 0 && !quoted && ends.contains(octet) => break,
                b'\\' if quoted || depth > 0 => {
                    self.rest = rest;
                    if let Some((escaped, after)) = rest.split_first() {
                        if quoted {
                            match escaped {
                                b'\r' | b'\n' => {}
                                0 => token.push(b' '),
                                escaped => token.push(*escaped),
                            }
                            kept = token.len();
                        }
                        self.rest = after;
                    }
                    continue;
                }
                b'"' if depth == 0 => {
                    quoted = !quoted;
                    kept = token.len();
                }
                b'(' if !quoted => depth += 1,
                b')' if !quoted && depth > 0 => depth -= 1,
                b'\r' | b'\n' => {}
                _ if depth > 0 => {}
                b' ' | b'\t' if !quoted => {
                    if !token.is_empty() {
                        token.push(b' ');
                    }
                }
                0 => token.push(b' '),
                octet => {
                    token.push(*octet);
                    kept = token.len();
                }
            }
            self.rest = rest;
        }
        token.truncate(kept);
        token
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_quotes_and_order_are_kept_right() {
        let (head, parameters) = parse(
            b" text/plain (c; x=y); charset=\"us-ascii\" (c);\r\n Name=\"a;\\\"b\"; broken; x = y",
            128,
        );
        assert_eq!(head, b"text/plain");
        assert_eq!(
            parameters,
            [
                (b"charset".to_vec(), b"us-ascii".to_vec()),
                (b"Name".to_vec(), b"a;\"b".to_vec()),
                (b"x".to_vec(), b"y".to_vec())
            ]
        );
    }

    #[test]
    fn no_line_end_or_nul_gets_through_and_the_limit_holds() {
        let (_, parameters) = parse(b"a/b; x=\"1\\\r\n2\\\0\0\"; y=2; z=3", 2);
        assert_eq!(
            parameters,
            [
                (b"x".to_vec(), b"12  ".to_vec()),
                (b"y".to_vec(), b"2".to_vec())
            ]
        );
    }
}
