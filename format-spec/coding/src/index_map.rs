//! Index maps: which row or column of an array each of another is (`SPEC.md` section 6.1.2).

use crate::DecodeTable;
use crate::error::{CodingError, Result, corrupt, invalid};
use crate::fields::{self, SharedTables};
use crate::grouped::CodeBytes;
use crate::varint::{put, take, take_u8};

const MASK: u8 = 0;
const LIST: u8 = 1;
/// The most places of a map.
pub const MAX_PLACES: usize = 1 << 20;

/// Which of `sources` places each place is; some are none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexMap {
    /// 0, or the source's number plus 1.
    places: Vec<u32>,
    sources: u32,
}

/// Parts of a map need no tables of others.
struct NoTables;

impl SharedTables for NoTables {
    fn table(&self, _: u32) -> Option<&DecodeTable> {
        None
    }
}

impl IndexMap {
    /// A map of places, each one of `sources` or none.
    ///
    /// # Errors
    /// [`CodingError::Invalid`] if there are not 1 to 2^20 places, or one is of a source that is not there.
    pub fn new(places: &[Option<u32>], sources: u32) -> Result<Self> {
        let within = |place: &Option<u32>| place.is_none_or(|source| source < sources);
        if !(1..=MAX_PLACES).contains(&places.len()) || sources == 0 || !places.iter().all(within) {
            return Err(invalid("an index map has 1 to 2^20 places of sources that are there"));
        }
        let places = places.iter().map(|place| place.map_or(0, |source| source + 1)).collect();
        Ok(Self { places, sources })
    }

    /// Reads a map that fills `bytes`.
    ///
    /// # Errors
    /// Any breach of section 6.1.2.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let mut rest = bytes;
        let form = take_u8(&mut rest, "form of an index map")?;
        let (count, sources) = (take(&mut rest)?, take(&mut rest)?);
        let known = (1..=MAX_PLACES as u64).contains(&count);
        let (Some(count), Ok(sources)) = (known.then_some(count as usize), u32::try_from(sources)) else {
            return Err(corrupt("places or sources of an index map"));
        };
        let places = match form {
            MASK => {
                let mut mask = vec![0; count.div_ceil(8)];
                part(rest, &mut mask)?;
                let mut next = 0;
                let bit = |at: usize| mask.get(at / 8).is_some_and(|byte| byte >> (at % 8) & 1 != 0);
                let list: Vec<u32> = (0..count)
                    .map(|at| {
                        next += u32::from(bit(at));
                        if bit(at) { next } else { 0 }
                    })
                    .collect();
                if next != sources || (count..8 * mask.len()).any(bit) {
                    return Err(corrupt("an index map's mask has another number of ones than sources"));
                }
                list
            }
            LIST => {
                let mut list = vec![0; 4 * count];
                part(rest, &mut list)?;
                list.as_chunks::<4>().0.iter().map(|place| u32::from_le_bytes(*place)).collect()
            }
            other => return Err(CodingError::Unsupported { what: "form of an index map", id: other.into() }),
        };
        if sources == 0 || places.iter().any(|&place| place > sources) {
            return Err(corrupt("a place of an index map is of a source that is not there"));
        }
        Ok(Self { places, sources })
    }

    /// The map as section 6.1.2 writes it. `code` codes its list or mask: what it returns must be a payload of coding 1, of units of so
    /// many bits, without shared tables.
    ///
    /// # Errors
    /// What `code` says.
    pub fn to_bytes(&self, code: CodeBytes<'_>) -> Result<Vec<u8>> {
        let mut next = 0;
        let ascending = self.places.iter().all(|&place| {
            next += u32::from(place != 0);
            place == 0 || place == next
        });
        let as_mask = ascending && next == self.sources;
        let mut out = vec![if as_mask { MASK } else { LIST }];
        put(&mut out, self.places.len() as u64);
        put(&mut out, self.sources.into());
        let (bytes, unit) = if as_mask {
            let byte = |eight: &[u32]| eight.iter().rev().fold(0u8, |byte, &p| byte << 1 | u8::from(p != 0));
            (self.places.chunks(8).map(byte).collect::<Vec<u8>>(), 8)
        } else {
            (self.places.iter().flat_map(|place| place.to_le_bytes()).collect(), 32)
        };
        out.extend(code(&bytes, unit)?);
        Ok(out)
    }

    /// Places.
    #[must_use]
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// There is one place at least.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Places of the source.
    #[must_use]
    pub fn sources(&self) -> u32 {
        self.sources
    }

    /// Which place of the source place `at` is; `None` if it is none.
    #[must_use]
    pub fn source(&self, at: usize) -> Option<u32> {
        self.places.get(at)?.checked_sub(1)
    }

    /// Bytes in memory.
    #[must_use]
    pub fn memory(&self) -> usize {
        4 * self.places.len()
    }
}

fn part(payload: &[u8], out: &mut [u8]) -> Result<()> {
    match payload.split_first() {
        Some((0, stored)) if stored.len() == out.len() => out.copy_from_slice(stored),
        Some((0, _)) => return Err(corrupt("a stored part has another length than its content")),
        _ => fields::decode(payload, &NoTables, out)?,
    }
    Ok(())
}
