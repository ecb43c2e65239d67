//! The bit strings of a block whose symbols are prefix codes.

use super::classes::{CLASSES, PREFIX_ENTRIES, ZERO};
use super::payload::{Block, MAX_LANES};
use super::prefix::Entry;
use super::symbols::{Escapes, Place};
use crate::error::{Result, corrupt};

/// Codes read from one window of bits: four of 12 bits are within the 57 that it has at least.
const PER_WINDOW: usize = 4;
/// Bit strings that encoders make where there are elements enough; the code for them is unrolled.
const USUAL_LANES: usize = 8;
/// Elements that the usual number of strings gives from a window each.
const ROUND: usize = USUAL_LANES * PER_WINDOW;

/// Decodes the symbols of a block.
pub(super) struct PrefixSymbols<'b> {
    entries: &'b [u16; PREFIX_ENTRIES],
    /// By class; of any byte, so that none need be checked.
    places: [Place; 256],
    high_mask: u16,
    longest: u32,
    /// All bit strings, one after another.
    strings: &'b [u8],
    /// Where each string ends, in bytes.
    ends: &'b [usize],
    /// Bit of `strings` that each string has come to.
    at: [usize; MAX_LANES],
    escapes: Escapes<'b>,
}

impl<'b> PrefixSymbols<'b> {
    pub(super) fn new(block: &'b Block<'b>) -> Self {
        let classes = block.classes;
        let mut at = [0; MAX_LANES];
        let mut places = [Place::default(); 256];
        places[..CLASSES].copy_from_slice(&Place::of_all(classes));
        at.iter_mut().skip(1).zip(&block.string_ends).for_each(|(at, end)| *at = 8 * end);
        Self {
            entries: classes.prefix_entries(),
            places,
            high_mask: (1 << classes.high_bits()) - 1,
            longest: classes.precision(),
            strings: block.strings,
            ends: &block.string_ends,
            at,
            escapes: Escapes::new(block),
        }
    }

    /// Decodes the high parts of the next elements. All calls but the last ask for a multiple of the strings.
    pub(super) fn decode(&mut self, classes: &[u8], highs: &mut [u16]) -> Result<()> {
        let done = match self.longest {
            _ if self.ends.len() != USUAL_LANES => 0,
            10 => self.rounds::<10>(classes, highs)?,
            11 => self.rounds::<11>(classes, highs)?,
            _ => self.rounds::<12>(classes, highs)?,
        };
        self.carefully(&classes[done..], &mut highs[done..])
    }

    /// Decodes whole rounds; returns the elements done.
    fn rounds<const LONGEST: u32>(&mut self, classes: &[u8], highs: &mut [u16]) -> Result<usize> {
        let (entries, places, high_mask) = (self.entries, &self.places, self.high_mask);
        let Some(kept) = self.at.first_chunk_mut::<USUAL_LANES>() else { return Ok(0) };
        let mut at = *kept;
        let mut done = 0;
        for (classes, highs) in classes.as_chunks::<ROUND>().0.iter().zip(highs.as_chunks_mut::<ROUND>().0) {
            let mut found = [0; ROUND];
            let mut all = 0;
            for (lane, at) in at.iter_mut().enumerate() {
                // What lies beyond a string's end is another's, or nothing: this shows when the string is ended.
                let mut window = match self.strings.get(*at / 8..).and_then(|rest| rest.first_chunk()) {
                    Some(bytes) => u64::from_le_bytes(*bytes) >> (*at % 8),
                    None => last_bits(self.strings, *at),
                };
                let mut lengths = 0;
                for step in 0..PER_WINDOW {
                    let i = step * USUAL_LANES + lane;
                    let place = places[usize::from(classes[i])];
                    let entry = entries[usize::from(place.first_slot | window as u16 & ((1 << LONGEST) - 1))];
                    window >>= entry & 63;
                    lengths += usize::from(entry);
                    all |= entry;
                    found[i] = entry;
                    highs[i] = place.offset.wrapping_add(entry >> 8) & high_mask;
                }
                // Of the sum of entries, the lowest six bits are the sum of their lengths.
                *at += lengths % 64;
            }
            if all & Entry::SPECIAL != 0 {
                self.escapes.patch(found.iter().map(|&entry| Entry(entry).symbol()), highs)?;
            }
            done += ROUND;
        }
        *kept = at;
        Ok(done)
    }

    /// Decodes element by element.
    fn carefully(&mut self, classes: &[u8], highs: &mut [u16]) -> Result<()> {
        let lanes = self.ends.len();
        for (i, (&class, high)) in classes.iter().zip(highs).enumerate() {
            let at = &mut self.at[i % lanes];
            let place = self.places[usize::from(class)];
            let bits = last_bits(self.strings, *at) as u16 & ((1 << self.longest) - 1);
            let entry = Entry(self.entries[usize::from(place.first_slot | bits)]);
            *at += entry.length();
            *high = place.offset.wrapping_add(entry.symbol().into()) & self.high_mask;
            if entry.symbol() >= ZERO {
                self.escapes.patch([entry.symbol()], core::slice::from_mut(high))?;
            }
        }
        Ok(())
    }

    /// Every string ends where its codes do, with zero bits to the byte.
    pub(super) fn finish(self) -> Result<()> {
        for (at, &end) in self.at.iter().zip(self.ends) {
            let left = (8 * end).checked_sub(*at).filter(|&left| left < 8);
            let left = left.ok_or(corrupt("prefix codes end elsewhere than their bit string"))?;
            if left > 0 && self.strings[end - 1] >> (8 - left) != 0 {
                return Err(corrupt("bit string of prefix codes not filled with zero bits"));
            }
        }
        self.escapes.finish()
    }
}

/// The bits from bit `at` on, 57 of them at least; zeros beyond the end.
#[cold]
fn last_bits(strings: &[u8], at: usize) -> u64 {
    let mut bytes = [0; 8];
    let rest = strings.get(at / 8..).unwrap_or_default();
    bytes.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
    u64::from_le_bytes(bytes) >> (at % 8)
}
