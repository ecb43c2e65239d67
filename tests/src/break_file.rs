//! Ways to break a file.

/// Calls `check` with `bytes` after each flip of a single bit, with the number of the bit.
pub fn each_bit_flip(bytes: &[u8], mut check: impl FnMut(usize, &[u8])) {
    let mut broken = bytes.to_vec();
    for bit in 0..bytes.len() * 8 {
        broken[bit / 8] ^= 1 << (bit % 8);
        check(bit, &broken);
        broken[bit / 8] ^= 1 << (bit % 8);
    }
}
