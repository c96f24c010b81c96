//! Base64 (RFC 2045 section 6.8), decoded piece by piece.

/// What no octet of the alphabet has.
const NONE: u8 = 0xff;
/// The value of each octet.
const VALUES: [u8; 256] = values();

const fn values() -> [u8; 256] {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut values = [NONE; 256];
    let mut value = 0;
    while value < alphabet.len() {
        values[alphabet[value] as usize] = value as u8;
        value += 1;
    }
    values
}

/// Base64 on its way. What is not of the alphabet is passed over; `=` ends a run, and
/// another may follow.
#[derive(Debug, Clone, Default)]
pub(crate) struct Base64 {
    bits: u32,
    count: u32,
}

impl Base64 {
    /// Decodes a piece.
    pub(super) fn decode(&mut self, raw: &[u8]) -> Vec<u8> {
        let value = |octet: u8| VALUES[usize::from(octet)];
        let mut octets = Vec::with_capacity(raw.len() / 4 * 3 + 3);
        let mut rest = raw;
        loop {
            while self.count == 0
                && let [first, second, third, fourth, after @ ..] = rest
            {
                let four = [value(*first), value(*second), value(*third), value(*fourth)];
                if four.contains(&NONE) {
                    break;
                }
                let bits = four
                    .iter()
                    .fold(0, |bits: u32, value| bits << 6 | u32::from(*value));
                octets.extend_from_slice(&bits.to_be_bytes()[1..]);
                rest = after;
            }
            let Some((octet, after)) = rest.split_first() else {
                return octets;
            };
            rest = after;
            match value(*octet) {
                NONE if *octet == b'=' => *self = Self::default(),
                NONE => {}
                value => {
                    self.bits = (self.bits << 6 | u32::from(value)) & 0xff_ffff;
                    self.count += 6;
                    if self.count >= 8 {
                        self.count -= 8;
                        octets.push((self.bits >> self.count & 0xff) as u8);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_and_every_cut() {
        use base64::Engine as _;
        for length in 0..70_usize {
            let octets: Vec<u8> = (0..length).map(|place| (place * 37) as u8).collect();
            let text = base64::engine::general_purpose::STANDARD.encode(&octets);
            // Lines, and what is not of the alphabet between them.
            let raw: Vec<u8> = text
                .as_bytes()
                .chunks(11)
                .flat_map(|line| [line, b" \r\n!"].concat())
                .collect();
            for size in 1..9 {
                let mut base64 = Base64::default();
                let decoded: Vec<u8> = raw
                    .chunks(size)
                    .flat_map(|piece| base64.decode(piece))
                    .collect();
                assert_eq!(decoded, octets, "{length} in pieces of {size}");
            }
        }
    }
}
