//! CRC-32 (the polynomial of IEEE 802.3, reflected), eight octets at a time.

const POLYNOMIAL: u32 = 0xEDB8_8320;

/// `TABLES[k][octet]`: the remainder of `octet` followed by `k` zero octets.
static TABLES: [[u32; 256]; 8] = tables();

const fn tables() -> [[u32; 256]; 8] {
    let mut tables = [[0; 256]; 8];
    let mut octet = 0;
    while octet < 256 {
        let mut remainder = octet as u32;
        let mut bit = 0;
        while bit < 8 {
            let low = remainder & 1;
            remainder >>= 1;
            if low == 1 {
                remainder ^= POLYNOMIAL;
            }
            bit += 1;
        }
        tables[0][octet] = remainder;
        octet += 1;
    }
    let mut table = 1;
    while table < 8 {
        let mut octet = 0;
        while octet < 256 {
            let before = tables[table - 1][octet];
            tables[table][octet] = (before >> 8) ^ tables[0][(before & 0xff) as usize];
            octet += 1;
        }
        table += 1;
    }
    tables
}

/// The checksum of `octets` after those whose checksum is `before` (0 for none).
pub(crate) fn crc32(before: u32, octets: &[u8]) -> u32 {
    let (groups, rest) = octets.as_chunks::<8>();
    let mut remainder = !before;
    for group in groups {
        let mut group = *group;
        for (octet, own) in group.iter_mut().zip(remainder.to_le_bytes()) {
            *octet ^= own;
        }
        remainder = 0;
        for (table, octet) in TABLES.iter().rev().zip(group) {
            remainder ^= table[usize::from(octet)];
        }
    }
    for octet in rest {
        remainder = (remainder >> 8) ^ TABLES[0][usize::from(remainder as u8 ^ octet)];
    }
    !remainder
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_the_usual_one_however_it_is_cut() {
        assert_eq!(crc32(0, b"123456789"), 0xCBF4_3926);
        let octets: Vec<u8> = (0..=255).collect();
        for cut in 0..octets.len() {
            let (front, back) = octets.split_at(cut);
            assert_eq!(crc32(crc32(0, front), back), 0x2905_8C73);
        }
    }
}
