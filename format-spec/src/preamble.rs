//! Preamble, generation slots and trailer (SPEC sections 2.1, 2.2, 3.5).

use crate::registry::{self, MAGIC, MAJOR, MINOR};
use crate::{Check, FormatError, Result};

/// Bytes of the preamble, slots included.
pub const PREAMBLE_LEN: u64 = 96;
/// Bytes of one slot.
pub const SLOT_LEN: u64 = 32;
/// Number of slots in the preamble.
pub const GENERATION_SLOTS: u8 = 2;
/// Bytes of a trailer frame: tag and slot.
pub const TRAILER_LEN: u64 = 33;

/// The fixed head of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preamble {
    /// Major version.
    pub major: u16,
    /// Minor version of the writer.
    pub minor: u16,
    /// Least minor version that a reader needs.
    pub reader_minor: u16,
    /// Features that a reader must know.
    pub required: u32,
    /// Features that a reader may ignore.
    pub optional: u32,
    /// The generation slots A and B.
    pub slots: [SlotState; 2],
}

/// A slot as found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SlotState {
    /// All bytes are zero.
    Empty,
    /// Its checksum holds.
    Whole(Slot),
    /// Neither empty nor whole: torn or damaged.
    Damaged,
}

/// Where a generation's index is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    /// Generation, from 1.
    pub generation: u32,
    /// Length of the root frame.
    pub root_len: u32,
    /// Offset of the root frame.
    pub root_offset: u64,
    /// Length of the file that belongs to this generation.
    pub committed: u64,
}

impl Slot {
    /// The 32 bytes of the slot at `index` (0, 1, or 2 in a trailer).
    #[must_use]
    pub fn to_bytes(&self, index: u8) -> [u8; 32] {
        let mut out = [0u8; 32];
        out[..4].copy_from_slice(&self.generation.to_le_bytes());
        out[4..8].copy_from_slice(&self.root_len.to_le_bytes());
        out[8..16].copy_from_slice(&self.root_offset.to_le_bytes());
        out[16..24].copy_from_slice(&self.committed.to_le_bytes());
        let check = Check::seeded(index, &out[..24]);
        out[24..].copy_from_slice(&check.0.to_le_bytes());
        out
    }

    /// Whether the places it names are possible in a file of `file_len` bytes.
    #[must_use]
    pub fn fits(&self, file_len: u64) -> bool {
        let end = self.root_offset.checked_add(u64::from(self.root_len));
        self.generation != 0
            && self.root_offset >= PREAMBLE_LEN
            && self.committed <= file_len
            && end.is_some_and(|end| end <= self.committed)
    }

    /// The frame that ends a streaming file whose index is at this slot.
    #[must_use]
    pub fn to_trailer(&self) -> Vec<u8> {
        let mut out = vec![crate::Tag::TRAILER.0];
        out.extend_from_slice(&self.to_bytes(2));
        out
    }

    /// Reads a trailer from the last [`TRAILER_LEN`] bytes of a file of `file_len` bytes.
    #[must_use]
    pub fn from_trailer(tail: &[u8], file_len: u64) -> Option<Self> {
        let (&tag, slot) = tail.split_first()?;
        match SlotState::parse(slot, 2) {
            SlotState::Whole(slot) if tag == crate::Tag::TRAILER.0 && slot.committed == file_len => {
                Some(slot)
            }
            _ => None,
        }
    }
}

impl SlotState {
    /// Reads the slot at `index` from its 32 bytes.
    #[must_use]
    pub fn parse(bytes: &[u8], index: u8) -> Self {
        let Ok(b) = <&[u8; 32]>::try_from(bytes) else { return Self::Damaged };
        if b.iter().all(|&x| x == 0) {
            return Self::Empty;
        }
        if !Check::seeded(index, &b[..24]).matches(&b[24..]) {
            return Self::Damaged;
        }
        Self::Whole(Slot {
            generation: u32_at(b, 0),
            root_len: u32_at(b, 4),
            root_offset: u64_at(b, 8),
            committed: u64_at(b, 16),
        })
    }
}

impl Default for Preamble {
    fn default() -> Self {
        Self {
            major: MAJOR,
            minor: MINOR,
            reader_minor: 0,
            required: 0,
            optional: 0,
            slots: [SlotState::Empty; 2],
        }
    }
}

impl Preamble {
    /// Reads and judges the first [`PREAMBLE_LEN`] bytes of a file. Damaged slots are not an error here.
    ///
    /// # Errors
    /// In the order of SPEC 2.1: not mcodec, truncated, checksum, version, reserved bits, unknown required feature.
    pub fn parse(input: &[u8]) -> Result<Self> {
        check_magic(input)?;
        let Some(b) = input.get(..PREAMBLE_LEN as usize).and_then(|b| <&[u8; 96]>::try_from(b).ok()) else {
            return Err(FormatError::Truncated { what: "preamble", offset: input.len() as u64 });
        };
        if !Check::seeded(0, &b[..24]).matches(&b[24..32]) {
            return Err(FormatError::Check { what: "preamble", offset: 0 });
        }
        let found = Self {
            major: u16_at(b, 8),
            minor: u16_at(b, 10),
            reader_minor: u16_at(b, 12),
            required: u32_at(b, 16),
            optional: u32_at(b, 20),
            slots: [SlotState::parse(&b[32..64], 0), SlotState::parse(&b[64..96], 1)],
        };
        if found.major != MAJOR || found.reader_minor > MINOR {
            let (major, minor) = (found.major, found.reader_minor);
            return Err(FormatError::Unsupported {
                what: format!("format version {major}.{}", found.minor),
                needs: format!(
                    "needs a reader of version {major}.{minor} or later; this one reads {MAJOR}.{MINOR}"
                ),
            });
        }
        if u16_at(b, 14) != 0 {
            return Err(FormatError::corrupt("preamble", 14, "reserved bits are set"));
        }
        let unknown = found.required & !registry::REQUIRED_FEATURES.iter().fold(0, |a, f| a | 1u32 << f.id);
        if unknown != 0 {
            let bit = unknown.trailing_zeros();
            return Err(FormatError::Unsupported {
                what: format!("required feature bit {bit}"),
                needs: "the file needs a newer reader".into(),
            });
        }
        Ok(found)
    }

    /// The 96 bytes.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 96] {
        let mut out = [0u8; 96];
        out[..8].copy_from_slice(&MAGIC);
        out[8..10].copy_from_slice(&self.major.to_le_bytes());
        out[10..12].copy_from_slice(&self.minor.to_le_bytes());
        out[12..14].copy_from_slice(&self.reader_minor.to_le_bytes());
        out[16..20].copy_from_slice(&self.required.to_le_bytes());
        out[20..24].copy_from_slice(&self.optional.to_le_bytes());
        let check = Check::seeded(0, &out[..24]);
        out[24..32].copy_from_slice(&check.0.to_le_bytes());
        for (index, (slot, place)) in self.slots.iter().zip(out[32..].chunks_exact_mut(32)).enumerate() {
            if let SlotState::Whole(slot) = slot {
                place.copy_from_slice(&slot.to_bytes(index as u8));
            }
        }
        out
    }
}

/// Tells what is wrong with the first bytes of a file, if they are not the magic.
fn check_magic(input: &[u8]) -> Result<()> {
    if input.is_empty() {
        return Err(FormatError::NotMcodec("the file is empty"));
    }
    let head = input.get(..8).unwrap_or(input);
    if MAGIC.starts_with(head) {
        return Ok(());
    }
    if head.get(..4) == MAGIC.get(..4) {
        return Err(FormatError::NotMcodec("its line ends were changed, as by a transfer in text mode"));
    }
    if head.first() == Some(&(MAGIC[0] & 0x7f)) && head.get(1..4) == MAGIC.get(1..4) {
        return Err(FormatError::NotMcodec("its high bits were cleared, as by a transfer in 7-bit mode"));
    }
    Err(FormatError::NotMcodec("the first bytes are not the magic"))
}

fn array<const N: usize>(b: &[u8], at: usize) -> [u8; N] {
    b.get(at..).and_then(|b| b.first_chunk()).copied().unwrap_or([0; N])
}

fn u16_at(b: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(array(b, at))
}

fn u32_at(b: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(array(b, at))
}

fn u64_at(b: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(array(b, at))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Preamble {
        let slot = Slot { generation: 1, root_len: 60, root_offset: 96, committed: 500 };
        Preamble { slots: [SlotState::Whole(slot), SlotState::Empty], ..Preamble::default() }
    }

    /// Writes `change` into the preamble and sets its checksum right again.
    fn changed(change: impl Fn(&mut [u8; 96])) -> Result<Preamble> {
        let mut b = sample().to_bytes();
        change(&mut b);
        let check = Check::seeded(0, &b[..24]);
        b[24..32].copy_from_slice(&check.0.to_le_bytes());
        Preamble::parse(&b)
    }

    #[test]
    fn preamble_round_trips() {
        assert_eq!(Preamble::parse(&sample().to_bytes()).unwrap(), sample());
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let good = sample().to_bytes();
        for bit in 0..96 * 8 {
            let mut b = good;
            b[bit / 8] ^= 1 << (bit % 8);
            match Preamble::parse(&b) {
                Err(_) => assert!(bit < 32 * 8),
                Ok(p) => assert!(p.slots.contains(&SlotState::Damaged), "bit {bit}"),
            }
        }
    }

    #[test]
    fn refusals_name_their_reason() {
        assert!(matches!(Preamble::parse(b""), Err(FormatError::NotMcodec(m)) if m.contains("empty")));
        assert!(matches!(Preamble::parse(&[0x8d]), Err(FormatError::Truncated { offset: 1, .. })));
        assert!(matches!(Preamble::parse(&MAGIC), Err(FormatError::Truncated { offset: 8, .. })));
        assert!(
            matches!(Preamble::parse(b"\x8dMCD\n\x1a\n"), Err(FormatError::NotMcodec(m)) if m.contains("text mode"))
        );
        assert!(
            matches!(Preamble::parse(b"\x0dMCD\r\n\x1a\n"), Err(FormatError::NotMcodec(m)) if m.contains("7-bit"))
        );
        let major = changed(|b| b[8] = 2).unwrap_err().to_string();
        assert!(major.contains("version 2.0") && major.contains("reads 1."), "{major}");
        assert!(matches!(changed(|b| b[12] = 9), Err(FormatError::Unsupported { .. })));
        assert!(matches!(changed(|b| b[14] = 1), Err(FormatError::Corrupt { offset: 14, .. })));
        assert!(
            matches!(changed(|b| b[19] = 0x80), Err(FormatError::Unsupported { what, .. }) if what.contains("31"))
        );
        assert_eq!(changed(|b| b[23] = 0x80).unwrap().optional, 1 << 31);
        assert_eq!(changed(|b| b[10] = 7).unwrap().minor, 7);
    }

    #[test]
    fn a_slot_is_bound_to_its_index() {
        let slot = Slot { generation: 3, root_len: 1, root_offset: 96, committed: 97 };
        assert_eq!(SlotState::parse(&slot.to_bytes(0), 0), SlotState::Whole(slot));
        assert_eq!(SlotState::parse(&slot.to_bytes(0), 1), SlotState::Damaged);
        assert!(slot.fits(97) && !slot.fits(96));
        assert!(!Slot { root_offset: u64::MAX, ..slot }.fits(u64::MAX));
        assert!(!Slot { root_offset: 0, ..slot }.fits(97));
    }
}
