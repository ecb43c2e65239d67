//! Checks: XXH3-64 bound to a place (SPEC sections 2.2, 3, 3.1).

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Payloads shorter than this carry 4 bytes of their check in indexed frames.
const SHORT: u64 = 4096;

/// The place of a chunk, to which its check is bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChunkPlace {
    /// Ordinal of the asset.
    pub asset: u32,
    /// Id of the entry in the asset.
    pub entry: u32,
    /// Ordinal of the chunk in the entry.
    pub chunk: u64,
}

/// A check of some bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Check(pub u64);

impl Check {
    /// Check of `payload` as the chunk at `place`.
    #[must_use]
    pub fn chunk(place: ChunkPlace, payload: &[u8]) -> Self {
        let mut key = [0u8; 16];
        key[..4].copy_from_slice(&place.asset.to_le_bytes());
        key[4..8].copy_from_slice(&place.entry.to_le_bytes());
        key[8..].copy_from_slice(&place.chunk.to_le_bytes());
        Self(xxh3_64_with_seed(payload, xxh3_64_with_seed(&key, 0)))
    }

    /// Check of `bytes` in the structure with this small seed: a frame's tag, or a slot's index.
    #[must_use]
    pub fn seeded(seed: u8, bytes: &[u8]) -> Self {
        Self(xxh3_64_with_seed(bytes, u64::from(seed)))
    }

    /// Whether `stored` (4 or 8 bytes) is this check.
    #[must_use]
    pub fn matches(self, stored: &[u8]) -> bool {
        let all = self.0.to_le_bytes();
        matches!(stored.len(), 4 | 8) && all.get(..stored.len()) == Some(stored)
    }
}

/// Bytes of the check that an indexed frame carries for a payload of `payload_len` bytes.
#[must_use]
pub fn check_len(payload_len: u64) -> u64 {
    if payload_len < SHORT { 4 } else { 8 }
}

/// The check bytes that an indexed frame carries for `payload`.
#[must_use]
pub fn check_bytes(place: ChunkPlace, payload: &[u8]) -> Vec<u8> {
    let all = Check::chunk(place, payload).0.to_le_bytes();
    all.get(..check_len(payload.len() as u64) as usize).unwrap_or(&all).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_is_bound_to_its_place() {
        let a = ChunkPlace { asset: 0, entry: 1, chunk: 2 };
        for b in [ChunkPlace { asset: 1, ..a }, ChunkPlace { entry: 2, ..a }, ChunkPlace { chunk: 3, ..a }] {
            assert_ne!(Check::chunk(a, b"payload"), Check::chunk(b, b"payload"));
        }
        assert!(Check::chunk(a, b"p").matches(&check_bytes(a, b"p")));
        assert_eq!(check_bytes(a, &[0; 4095]).len(), 4);
        assert_eq!(check_bytes(a, &[0; 4096]).len(), 8);
        assert!(!Check(0).matches(&[]));
    }
}
