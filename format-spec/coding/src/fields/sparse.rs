//! Units that are mostly one value: which differ, and those that do (`SPEC.md` section 7.1.1).

use super::decode::{SharedTables, decode_dense};
use super::head::{Payload, unit_of};
use crate::error::{Result, corrupt, invalid};
use crate::planes::mask;
use crate::varint::{put, take, take_bytes, take_u8};
use bitvec::order::Lsb0;
use bitvec::view::BitView;

/// The first byte of a sparse payload, where others have their unit.
pub const SPARSE: u8 = 2;

/// A sparse payload cut into its parts.
pub(super) struct SparsePayload<'a> {
    unit_bytes: usize,
    filler: u64,
    /// Units that are in `values`.
    kept: usize,
    /// Bytes before `places`.
    pub(super) head_len: usize,
    /// A payload without this form, of `places_len` bytes: a bit for each unit.
    pub(super) places: &'a [u8],
    pub(super) places_len: usize,
    /// A payload without this form, of `values_len` bytes.
    pub(super) values: &'a [u8],
    pub(super) values_len: usize,
}

impl<'a> SparsePayload<'a> {
    /// Parses the payload of a chunk of `decoded_len` bytes; `None` if it is of another form.
    pub(super) fn parse(payload: &'a [u8], decoded_len: usize) -> Result<Option<Self>> {
        let Some((&SPARSE, mut rest)) = payload.split_first() else { return Ok(None) };
        let unit_bits = take_u8(&mut rest, "unit")?;
        let (unit_bytes, units) = unit_of(unit_bits, decoded_len)?;
        let filler = take(&mut rest)?;
        if filler > mask(unit_bits) {
            return Err(corrupt("filler wider than its unit"));
        }
        let kept = take(&mut rest)?;
        let kept = usize::try_from(kept).ok().filter(|&kept| kept <= units);
        let kept = kept.ok_or(corrupt("more values than units"))?;
        let length = take(&mut rest)?;
        let head_len = payload.len() - rest.len();
        let places = take_bytes(&mut rest, length, "places of sparse units")?;
        Ok(Some(Self {
            unit_bytes,
            filler,
            kept,
            head_len,
            places,
            places_len: units.div_ceil(8),
            values: rest,
            values_len: kept * unit_bytes,
        }))
    }

    /// The payloads of places and values, each with its decoded length.
    pub(super) fn parts(&self) -> [(&'a [u8], usize); 2] {
        [(self.places, self.places_len), (self.values, self.values_len)]
    }

    /// Decodes into `out`, which has the decoded length.
    pub(super) fn decode(&self, shared: &(impl SharedTables + ?Sized), out: &mut [u8]) -> Result<()> {
        let mut places = vec![0u8; self.places_len];
        decode_dense(self.places, shared, &mut places)?;
        let (bits, rest) = places.view_bits::<Lsb0>().split_at(out.len() / self.unit_bytes);
        if rest.any() {
            return Err(corrupt("places of sparse units not filled with zero bits"));
        }
        // Counted before values are read: a wrong number would misplace them all.
        if bits.count_ones() != self.kept {
            return Err(corrupt("the places of sparse units are not as many as their values"));
        }
        let mut values = vec![0u8; self.values_len];
        decode_dense(self.values, shared, &mut values)?;
        match self.unit_bytes {
            1 => self.scatter::<1>(&places, &values, out),
            2 => self.scatter::<2>(&places, &values, out),
            3 => self.scatter::<3>(&places, &values, out),
            5 => self.scatter::<5>(&places, &values, out),
            4 => self.scatter::<4>(&places, &values, out),
            _ => self.scatter::<8>(&places, &values, out),
        }
        Ok(())
    }

    /// Puts `values` in their places among units of `N` bytes.
    fn scatter<const N: usize>(&self, places: &[u8], values: &[u8], out: &mut [u8]) {
        let mut filler = [0; N];
        filler.copy_from_slice(&self.filler.to_le_bytes()[..N]);
        let (units, _) = out.as_chunks_mut::<N>();
        let (values, _) = values.as_chunks::<N>();
        units.fill(filler);
        let mut values = values.iter();
        for (units, &byte) in units.chunks_mut(8).zip(places) {
            let mut left = byte;
            while left != 0 {
                let at = left.trailing_zeros() as usize;
                if let (Some(unit), Some(value)) = (units.get_mut(at), values.next()) {
                    *unit = *value;
                }
                left &= left - 1;
            }
        }
    }
}

/// Units that differ from a filler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SparseUnits {
    unit_bits: u8,
    filler: u64,
    /// A bit for each unit, lowest first: 1 where it is not the filler.
    pub places: Vec<u8>,
    /// The bytes of those that are not, one after another.
    pub values: Vec<u8>,
}

impl SparseUnits {
    /// Takes `bytes` apart, units of `unit_bits` (8, 16, 24, 32, 40 or 64) of which many are `filler`.
    ///
    /// # Errors
    /// [`crate::CodingError::Invalid`] if units do not fill the bytes, or the filler does not fit one.
    pub fn of(bytes: &[u8], unit_bits: u8, filler: u64) -> Result<Self> {
        let whole = unit_of(unit_bits, bytes.len()).ok().filter(|_| filler <= mask(unit_bits));
        let (size, units) = whole.ok_or(invalid("units do not fill the bytes, or a filler not its unit"))?;
        let fill = &filler.to_le_bytes()[..size];
        let (mut places, mut values) = (vec![0u8; units.div_ceil(8)], Vec::new());
        for (place, run) in places.iter_mut().zip(bytes.chunks(8 * size)) {
            for (bit, unit) in run.chunks_exact(size).enumerate().filter(|(_, unit)| *unit != fill) {
                *place |= 1 << bit;
                values.extend_from_slice(unit);
            }
        }
        Ok(Self { unit_bits, filler, places, values })
    }

    /// The payload, from those that [`super::encode`] made of `places` and `values`.
    #[must_use]
    pub fn payload(&self, places: &[u8], values: &[u8]) -> Vec<u8> {
        let mut out = vec![SPARSE, self.unit_bits];
        put(&mut out, self.filler);
        put(&mut out, (self.values.len() / usize::from(self.unit_bits / 8)) as u64);
        put(&mut out, places.len() as u64);
        out.extend_from_slice(places);
        out.extend_from_slice(values);
        out
    }
}

/// The heads of a payload's parts: one, or those of places and values.
pub(super) fn dense_parts(payload: &[u8], decoded_len: usize) -> Result<(usize, Vec<Payload<'_>>)> {
    match SparsePayload::parse(payload, decoded_len)? {
        None => Ok((0, vec![Payload::parse(payload, decoded_len)?])),
        Some(sparse) => {
            let parts = sparse.parts().into_iter().map(|(part, len)| Payload::parse(part, len));
            Ok((sparse.head_len, parts.collect::<Result<_>>()?))
        }
    }
}
