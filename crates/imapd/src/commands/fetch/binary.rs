//! BINARY and BINARY.SIZE (RFC 3516, RFC 9051 section 6.4.5): content is decoded while it
//! is sent, and once before to know its size.

use super::names;
use super::promised::Promised;
use super::response::{INLINE_OCTETS, Response};
use crate::grammar::command::Binary;
use crate::response::Nul;
use std::io::Read;
use store::message::DecodedReader;
use store::{Error, Result};

impl Response<'_> {
    /// `BINARY[...]`: a literal, a literal8 where NUL is in it, NIL where there is no such
    /// part.
    pub(super) fn binary(&mut self, asked: &Binary) -> Result<()> {
        names::write_binary(asked, self.out);
        let (first, length) = asked.partial.unwrap_or((0, u64::MAX));
        let Some(reader) = self.content(&asked.path, first)? else {
            self.out.text("NIL");
            return Ok(());
        };
        let mut octets = Vec::new();
        let most = length.min(INLINE_OCTETS.saturating_add(1));
        let mut ahead = reader.clone().take(most);
        ahead
            .read_to_end(&mut octets)
            .map_err(|error| Error::io("reading a message", error))?;
        if octets.len() as u64 <= INLINE_OCTETS {
            let nul = nul_in(memchr::memchr(0, &octets).is_some());
            self.out
                .literal8_announcement(octets.len() as u64, nul)
                .raw(&octets);
            return Ok(());
        }
        let measured = reader.measure(length)?;
        let nul = nul_in(measured.holds_nul);
        let promised = Promised::new(Box::new(reader), measured.octets, nul);
        self.out
            .literal8_announcement(measured.octets, nul)
            .reader(Box::new(promised));
        Ok(())
    }

    /// `BINARY.SIZE[...]`: octets of what `BINARY[...]` would give.
    pub(super) fn binary_size(&mut self, path: &[u32]) -> Result<()> {
        names::write_binary_size(path, self.out);
        let octets = match self.content(path, 0)? {
            Some(reader) => reader.measure(u64::MAX)?.octets,
            None => 0,
        };
        self.out.number(octets);
        Ok(())
    }

    /// A part's content from an octet on.
    fn content(&mut self, path: &[u32], first: u64) -> Result<Option<DecodedReader>> {
        let Some((extent, encoding)) = self.summary()?.content(path) else {
            return Ok(None);
        };
        let encoding = encoding.ok_or(Error::UnknownEncoding)?;
        self.opened()?.decoded(extent, encoding, first).map(Some)
    }
}

fn nul_in(is_there: bool) -> Nul {
    if is_there { Nul::Kept } else { Nul::Replaced }
}
