//! CRC-32 (IEEE 802.3), which tells a torn record from a whole one.

/// The checksum of `octets` after those whose checksum is `before` (0 for none).
pub(crate) fn crc32(before: u32, octets: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(before);
    hasher.update(octets);
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_the_usual_one_however_it_is_cut() {
        assert_eq!(crc32(0, b"123456789"), 0xCBF4_3926);
        for cut in 0..9 {
            let (first, second) = b"123456789".split_at(cut);
            assert_eq!(crc32(crc32(0, first), second), 0xCBF4_3926);
        }
    }
}
