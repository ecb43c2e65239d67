//! What each way to code a field would cost.

use std::collections::BTreeMap;

use mcodec_coding::{Result, Table, planes, rans, zstd_frame};

use super::Element;
use super::histogram::{Histogram, Histograms, MAX_COUNTED};
use super::shared::SharedTable;
use super::split::{Field, Split};

/// The most symbols a table may have.
const MAX_SYMBOLS: usize = 256;

/// About what a symbol costs in a table, in bits: its value and its level.
const TABLE_BITS_PER_SYMBOL: f64 = 4.0;

/// Bytes of a field head with a length.
const HEAD: f64 = 5.0;

/// Zstd is tried in full if a sample comes out below this share of the best other cost.
const SAMPLE_GAIN: f64 = 0.98;

/// A byte whose frequencies alone save this much is not plain noise.
const STANDS_OUT: f64 = 0.995;

/// A sample is this many slices of this many bytes.
const SAMPLE_SLICES: usize = 4;
const SAMPLE_SLICE: usize = 4096;

/// Fewer symbols than this get the smallest lookup table.
const FEW_UNITS: usize = 4096;

/// How one field is to be coded.
#[derive(Debug, Clone)]
pub(super) enum Plan {
    Packed,
    Constant(u64),
    Zstd(Vec<u8>),
    /// A table of its own.
    Rans,
    /// The shared table of this number among those offered.
    Shared(usize),
}

/// A plan and about how many bytes it takes, head included.
#[derive(Debug, Clone)]
pub(super) struct Priced {
    pub(super) plan: Plan,
    pub(super) bytes: f64,
}

/// Prices the fields of one chunk.
pub(super) struct Survey<'a> {
    bytes: &'a [u8],
    element: Element,
    effort: u8,
    shared: &'a [(u32, &'a SharedTable)],
    pub(super) histograms: Histograms<'a>,
    priced: BTreeMap<Field, Priced>,
}

impl<'a> Survey<'a> {
    pub(super) fn new(
        bytes: &'a [u8],
        element: Element,
        effort: u8,
        shared: &'a [(u32, &'a SharedTable)],
    ) -> Result<Self> {
        let unit_bits = element.unit_bits();
        let mut histograms = Histograms::new(bytes, unit_bits);
        if let (Some((start, _)), 2..) = (element.exponent(), effort) {
            // One pass for sign, exponent and the upper mantissa bits in all their divisions, one for the rest.
            let top = start - 3;
            histograms.prepare(Field { shift: top, width: (unit_bits - top).min(MAX_COUNTED) })?;
            let low = if start < 16 { 0 } else { start & !7 };
            histograms.prepare(Field { shift: low, width: (start - low).max(8) })?;
        }
        Ok(Self { bytes, element, effort, shared, histograms, priced: BTreeMap::new() })
    }

    fn unit_bits(&self) -> u8 {
        self.element.unit_bits()
    }

    /// Units in the chunk.
    pub(super) fn units(&self) -> usize {
        self.bytes.len() / usize::from(self.unit_bits() / 8)
    }

    /// About how many bytes the chunk takes under `split`.
    pub(super) fn price_split(&mut self, split: &Split) -> Result<f64> {
        let mut bytes = 2.0;
        for &field in &split.fields {
            bytes += self.price(field)?.bytes;
        }
        Ok(bytes)
    }

    /// The cheapest plan for `field`, by estimate.
    pub(super) fn price(&mut self, field: Field) -> Result<Priced> {
        if let Some(known) = self.priced.get(&field) {
            return Ok(known.clone());
        }
        let packed = planes::packed_len(self.units(), field.width) as f64;
        let mut best = Priced { plan: Plan::Packed, bytes: packed + 2.0 };
        let mut best_of_symbols = best.bytes;
        if field.width <= MAX_COUNTED {
            let units = self.units();
            let unit_bits = self.unit_bits();
            let counts = self.histograms.of(field)?;
            let (values, counts) = counts.occurring();
            if let Some(option) = price_symbols(units, &values, &counts) {
                best_of_symbols = best_of_symbols.min(option.bytes);
                // Packed bits decode several times faster than symbols: a trifle does not buy them out.
                if option.bytes < least_gain(self.effort) * packed {
                    take_cheaper(&mut best, option);
                }
            }
            for (number, (_, shared)) in self.shared.iter().enumerate() {
                if shared.element.unit_bits() == unit_bits && shared.field == field {
                    let bytes = stream_bytes(units, shared.table.cost_bits(&values, &counts)) + HEAD + 1.0;
                    take_cheaper(&mut best, Priced { plan: Plan::Shared(number), bytes });
                }
            }
        }
        if !matches!(best.plan, Plan::Constant(_)) && self.wants_zstd(field, packed, best_of_symbols) {
            self.try_zstd(field, &mut best)?;
        }
        self.priced.insert(field, best.clone());
        Ok(best)
    }

    /// Whether a match finder might do better than symbol frequencies.
    fn wants_zstd(&self, field: Field, packed: f64, best_of_symbols: f64) -> bool {
        if !field.width.is_multiple_of(8) || packed < 64.0 {
            return false;
        }
        match self.element {
            Element::Bytes | Element::Bits => true,
            _ if self.effort <= 2 => false,
            Element::Int { .. } | Element::Codes { .. } | Element::Fp8 | Element::Bool => true,
            // Starting the library would take longer than all else.
            _ if self.effort <= 6 && packed < FEW_UNITS as f64 => false,
            // Low mantissa bytes are noise unless some rows were widened from a shorter type: then 0 stands out.
            _ => self.effort >= 7 || best_of_symbols < STANDS_OUT * packed,
        }
    }

    /// Prices a zstd frame, by sample first where it seldom wins.
    fn try_zstd(&mut self, field: Field, best: &mut Priced) -> Result<()> {
        let plane = planes::packed(self.bytes, self.unit_bits(), field.shift, field.width)?;
        // Low mantissa bytes that stand out may do so in a few rows, which a sample could miss.
        let is_mantissa =
            self.element.exponent().is_some_and(|(start, _)| field.shift + field.width <= start);
        let stands_out = is_mantissa && best.bytes < STANDS_OUT * plane.len() as f64;
        let sample_first = !matches!(self.element, Element::Bytes | Element::Bits) && !stands_out;
        if sample_first && plane.len() > 2 * SAMPLE_SLICE * SAMPLE_SLICES {
            let sample = sample(&plane);
            let packed = zstd_frame::compress(&sample, 1)?.len() as f64;
            if packed / sample.len() as f64 > SAMPLE_GAIN * best.bytes / plane.len() as f64 {
                return Ok(());
            }
        }
        let frame = zstd_frame::compress(&plane, zstd_level(self.effort))?;
        let bytes = frame.len() as f64 + HEAD;
        take_cheaper(best, Priced { plan: Plan::Zstd(frame), bytes });
        Ok(())
    }

    /// The table for `field`'s own symbols, of the precision that suits it, and the bytes of table and stream.
    pub(super) fn own_table(&mut self, field: Field) -> Result<(Table, f64)> {
        let units = self.units();
        let effort = self.effort;
        let histogram = self.histograms.of(field)?;
        best_table(histogram, units, effort)
    }
}

/// The cost of symbols as a constant or under a table of their own.
fn price_symbols(units: usize, values: &[u16], counts: &[u64]) -> Option<Priced> {
    match values {
        [] => Some(Priced { plan: Plan::Constant(0), bytes: 3.0 }),
        [value] => Some(Priced { plan: Plan::Constant((*value).into()), bytes: 4.0 }),
        _ if values.len() <= MAX_SYMBOLS => {
            let bits = entropy_bits(counts);
            let table = 4.0 + TABLE_BITS_PER_SYMBOL / 8.0 * values.len() as f64;
            Some(Priced { plan: Plan::Rans, bytes: stream_bytes(units, bits) + table + HEAD })
        }
        _ => None,
    }
}

/// The share of a packed field's bytes below which a rANS stream is taken instead.
fn least_gain(effort: u8) -> f64 {
    match effort {
        0 | 1 => 0.97,
        2..=6 => 0.995,
        _ => 1.0,
    }
}

fn take_cheaper(best: &mut Priced, option: Priced) {
    if option.bytes < best.bytes {
        *best = option;
    }
}

/// The ideal code length of symbols that occur `counts` times, in bits.
fn entropy_bits(counts: &[u64]) -> f64 {
    let n: f64 = counts.iter().map(|&count| count as f64).sum();
    let each = counts.iter().map(|&count| count as f64).map(|count| -count * (count / n).log2());
    each.sum()
}

/// The bytes of a stream whose symbols take `bits`.
pub(super) fn stream_bytes(units: usize, bits: f64) -> f64 {
    let lanes_log2 = lanes_log2(units);
    // States carry about half their bits as payload, but for the lower bound's.
    rans::head_len(lanes_log2) as f64 - f64::from(1u32 << lanes_log2) + bits / 8.0
}

/// log2 of the lanes for a stream of `units` symbols: many for speed, few where states would weigh.
pub(super) fn lanes_log2(units: usize) -> u8 {
    match units {
        32_768.. => 5,
        4096.. => 3,
        1024.. => 2,
        _ => 0,
    }
}

/// The zstd level for an effort of 1 to 9.
pub(crate) fn zstd_level(effort: u8) -> i32 {
    match effort {
        0 | 1 => 1,
        2..=5 => 3,
        6 => 6,
        7 => 9,
        8 => 12,
        _ => 19,
    }
}

/// Slices spread over `plane`.
fn sample(plane: &[u8]) -> Vec<u8> {
    let stride = plane.len() / SAMPLE_SLICES;
    plane
        .chunks(stride)
        .take(SAMPLE_SLICES)
        .flat_map(|part| &part[..SAMPLE_SLICE.min(part.len())])
        .copied()
        .collect()
}

/// A table for symbols that occur `counts` times, and the bits that the symbols then take.
pub(crate) fn table_for(counts: &[u32], units: usize, effort: u8) -> Result<(Table, f64)> {
    let histogram = Histogram { counts: counts.to_vec() };
    let (table, _) = best_table(&histogram, units, effort)?;
    let (values, counts) = histogram.occurring();
    let bits = table.cost_bits(&values, &counts);
    Ok((table, bits))
}

/// A table for the counts of `histogram`; the bytes of table and stream.
///
/// 12 bits of precision keep a decoder's lookup table in the first-level cache; other precisions must earn it.
pub(super) fn best_table(histogram: &Histogram, units: usize, effort: u8) -> Result<(Table, f64)> {
    let (values, counts) = histogram.occurring();
    let make = |precision| -> Result<(Table, f64)> {
        let table = Table::from_counts(&values, &counts, precision)?;
        let bytes = table.byte_len() as f64 + stream_bytes(units, table.cost_bits(&values, &counts));
        Ok((table, bytes))
    };
    // So few symbols would not repay a large lookup table's set-up.
    if units < FEW_UNITS {
        return make(11);
    }
    let mut best = make(12)?;
    if effort <= 1 {
        return Ok(best);
    }
    let finer = make(14)?;
    if finer.1 < best.1 * (if effort <= 5 { 0.999 } else { 1.0 }) {
        best = finer;
    } else if values.len() <= 64 {
        let coarser = make(11)?;
        if coarser.1 < best.1 * 1.0002 {
            best = coarser;
        }
    }
    Ok(best)
}
