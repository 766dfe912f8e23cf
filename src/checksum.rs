//! A checksum that is the same on every machine and in every build, which std's hasher is not. No protection against
//! malice.

/// FNV-1a, 64 bits. <https://datatracker.ietf.org/doc/html/draft-eastlake-fnv>
pub fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equals_the_published_values() {
        for (bytes, sum) in
            [("", 0xcbf2_9ce4_8422_2325), ("a", 0xaf63_dc4c_8601_ec8c), ("foobar", 0x8594_4171_f739_67e8)]
        {
            assert_eq!(fnv1a(bytes.as_bytes()), sum);
        }
    }
}
