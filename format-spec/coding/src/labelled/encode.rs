//! Writing labelled chunks.

use super::classes::{CLASSES, Classes, ESCAPE, SIGN_PRECISION, SYMBOLS, ZERO};
use super::labels::ColumnLabels;
use super::lists;
use super::payload::{
    ABSORBED, LABELLED, LABELS_INLINE, LABELS_SHARED, MAX_LANES, ROW_ZEROS, STATE_BITS, STATE_START,
};
use crate::bits::{BitSink, BitSource};
use crate::error::{Result, invalid};
use crate::rans::MAX_LANES_LOG2;
use crate::varint;

/// Where a chunk's column labels are.
#[derive(Debug, Clone, Copy)]
pub enum Columns<'a> {
    /// All columns have class 0 and unbiased signs.
    Unlabelled,
    /// In the chunk.
    Inline(&'a ColumnLabels),
    /// In an object that is this dependency of the chunk's entry.
    Shared(u32, &'a ColumnLabels),
}

/// How a chunk is coded.
#[derive(Debug, Clone, Copy)]
pub struct BlockSpec<'a> {
    /// Which dependency of the chunk's entry the classes are.
    pub classes_dependency: u32,
    /// The classes.
    pub classes: &'a Classes,
    /// Elements of a row.
    pub columns: usize,
    /// Column of the chunk's first element.
    pub first_column: usize,
    /// Labels of the columns.
    pub column_labels: Columns<'a>,
    /// The class of each row that the chunk touches; added to the column's, it is below the number of classes.
    pub row_classes: &'a [u8],
    /// Trailing zero bits of each row's elements, at most the low bits of the classes; empty: none.
    pub row_zeros: &'a [u8],
    /// log2 of the lane count, 0 to 6.
    pub lanes_log2: u8,
}

/// The payload of coding 2 of `bytes`. The same arguments always give the same bytes.
///
/// # Errors
/// [`crate::CodingError::Invalid`] if the parts of `spec` do not fit each other or the bytes.
pub fn encode(bytes: &[u8], spec: &BlockSpec<'_>) -> Result<Vec<u8>> {
    let len = bytes.len() / spec.classes.format().bytes();
    let labels = check(bytes, len, spec)?;
    let mut parts = Parts::split(bytes, len, spec, labels)?;
    let mut planes = core::mem::take(&mut parts.low).into_bytes();
    planes.extend(core::mem::take(&mut parts.signs).into_bytes());
    let lanes = 1usize << spec.lanes_log2;
    let absorbed = STATE_BITS * lanes / 8;
    let mut states = [STATE_START; MAX_LANES];
    let mut flags = 0;
    if planes.len() >= absorbed {
        flags |= ABSORBED;
        let held = planes.split_off(planes.len() - absorbed);
        let mut source = BitSource::new(&held);
        let mut left = 8 * absorbed;
        for state in &mut states[..lanes] {
            let bits = left.min(STATE_BITS);
            *state = 1 << STATE_BITS | source.take(bits as u32)?;
            left -= bits;
        }
    }
    let words = parts.code(spec, lanes, &mut states);
    let mut out = Vec::with_capacity(planes.len() + 2 * words.len() + 4 * lanes + 64);
    out.push(LABELLED);
    flags |= if spec.row_zeros.iter().any(|&z| z > 0) { ROW_ZEROS } else { 0 };
    flags |= match spec.column_labels {
        Columns::Unlabelled => 0,
        Columns::Inline(_) => LABELS_INLINE,
        Columns::Shared(..) => LABELS_SHARED,
    };
    out.push(flags);
    varint::put(&mut out, spec.classes_dependency.into());
    varint::put(&mut out, spec.columns as u64);
    varint::put(&mut out, spec.first_column as u64);
    match spec.column_labels {
        Columns::Unlabelled => {}
        Columns::Inline(labels) => out.extend(labels.to_bytes()),
        Columns::Shared(dependency, _) => varint::put(&mut out, dependency.into()),
    }
    let ints = |list: &[u8]| list.iter().map(|&v| i32::from(v)).collect::<Vec<_>>();
    lists::put(&mut out, &ints(spec.row_classes));
    if flags & ROW_ZEROS != 0 {
        lists::put(&mut out, &ints(spec.row_zeros));
    }
    varint::put(&mut out, parts.escape_count as u64);
    out.push(spec.lanes_log2);
    out.extend(states[..lanes].iter().flat_map(|state| state.to_le_bytes()));
    out.extend(planes);
    out.extend(parts.escapes.into_bytes());
    out.extend(words.iter().flat_map(|word| word.to_le_bytes()));
    Ok(out)
}

fn check<'a>(bytes: &[u8], len: usize, spec: &BlockSpec<'a>) -> Result<Option<&'a ColumnLabels>> {
    if len == 0 || !bytes.len().is_multiple_of(spec.classes.format().bytes()) {
        return Err(invalid("a labelled chunk is of whole elements"));
    }
    if spec.columns == 0
        || spec.columns > 1 << 40
        || spec.first_column >= spec.columns
        || spec.lanes_log2 > MAX_LANES_LOG2
    {
        return Err(invalid("columns or lanes of a labelled chunk"));
    }
    let rows = (spec.first_column + len).div_ceil(spec.columns);
    let low_bits = spec.classes.low_bits();
    let zeros = spec.row_zeros;
    if spec.row_classes.len() != rows
        || !(zeros.is_empty() || zeros.len() == rows)
        || zeros.iter().any(|&z| u32::from(z) > low_bits)
    {
        return Err(invalid("row labels of a labelled chunk"));
    }
    let labels = match spec.column_labels {
        Columns::Unlabelled => None,
        Columns::Inline(labels) | Columns::Shared(_, labels) => Some(labels),
    };
    let biased = labels.is_some_and(|labels| !labels.biases().is_empty());
    if labels.is_some_and(|labels| labels.columns() != spec.columns)
        || (biased && spec.classes.signs().is_none())
    {
        return Err(invalid("column labels of a labelled chunk"));
    }
    let row = spec.row_classes.iter().max().map_or(0, |&c| usize::from(c));
    if row + labels.map_or(0, |labels| usize::from(labels.max_class())) >= spec.classes.classes().len() {
        return Err(invalid("a class of a row and column is above the last one"));
    }
    Ok(labels)
}

/// A magnitude symbol with its class's table, and the coded sign.
#[derive(Clone, Copy)]
struct Coded {
    symbol: u8,
    table: u8,
    /// How often the commoner sign comes, out of 128; 0: the sign is not coded.
    commoner: u8,
    rarer: bool,
}

/// A chunk's elements taken apart.
struct Parts {
    coded: Vec<Coded>,
    low: BitSink,
    signs: BitSink,
    escapes: BitSink,
    escape_count: usize,
}

impl Parts {
    fn split(bytes: &[u8], len: usize, spec: &BlockSpec<'_>, labels: Option<&ColumnLabels>) -> Result<Self> {
        let classes = spec.classes;
        let size = classes.format().bytes();
        let mut parts = Self {
            coded: Vec::with_capacity(len),
            low: BitSink::default(),
            signs: BitSink::default(),
            escapes: BitSink::default(),
            escape_count: 0,
        };
        let (offsets, tables) = (classes.offsets(), classes.table_numbers());
        let frequencies = frequencies(classes);
        let octaves = classes.sign_octaves();
        let (low_bits, high_bits) = (classes.low_bits(), classes.high_bits());
        let column_classes = labels.map_or(&[][..], ColumnLabels::classes);
        let biases = labels.map_or(&[][..], ColumnLabels::biases);
        let (mut row, mut column) = (0, spec.first_column);
        for element in bytes.chunks_exact(size) {
            let mut word = [0; 8];
            word[..size].copy_from_slice(element);
            let value = u64::from_le_bytes(word);
            let minus = value >> (8 * size - 1) & 1 == 1;
            let high = (value >> low_bits) as u16 & ((1 << high_bits) - 1);
            let zeros = u32::from(spec.row_zeros.get(row).copied().unwrap_or(0));
            let low = value & ((1 << low_bits) - 1);
            if low & ((1 << zeros) - 1) != 0 {
                return Err(invalid("a row has fewer trailing zeros than stated"));
            }
            parts.low.put_long(low >> zeros, low_bits - zeros);
            let class = usize::from(spec.row_classes[row] + column_classes.get(column).copied().unwrap_or(0))
                % CLASSES;
            let table = tables[class];
            let (symbol, escapes) =
                symbol_of(high, offsets[class], high_bits, &frequencies[usize::from(table)]);
            if escapes {
                if frequencies[usize::from(table)][usize::from(ESCAPE)] == 0 {
                    return Err(invalid("a table lacks the escape that it needs"));
                }
                parts.escape_count += 1;
                parts.escapes.put(high.into(), high_bits);
            }
            let bias = biases.get(column).copied().unwrap_or(0);
            let mut commoner = 0;
            match (bias, classes.signs()) {
                (1.. | ..=-1, Some(signs)) => {
                    let octave = usize::from(octaves[usize::from(symbol)]);
                    commoner = signs.commoner[usize::from(bias.unsigned_abs() - 1)][octave];
                }
                _ => parts.signs.put(minus.into(), 1),
            }
            parts.coded.push(Coded { symbol, table, commoner, rarer: minus != (bias < 0) });
            column += 1;
            if column == spec.columns {
                (row, column) = (row + 1, 0);
            }
        }
        Ok(parts)
    }

    /// The words of the stream, and the states that a decoder starts with.
    fn code(&self, spec: &BlockSpec<'_>, lanes: usize, states: &mut [u32; MAX_LANES]) -> Vec<u16> {
        let precision = spec.classes.precision();
        let tables: Vec<RankTable> = rank_tables(spec.classes);
        // The last word emitted comes first.
        let mut words = Vec::with_capacity(self.coded.len());
        for step in self.coded.chunks(lanes).rev() {
            for (state, coded) in states.iter_mut().zip(step).rev() {
                if coded.commoner > 0 {
                    let commoner = u32::from(coded.commoner);
                    let (freq, first) = if coded.rarer {
                        ((1 << SIGN_PRECISION) - commoner, commoner)
                    } else {
                        (commoner, 0)
                    };
                    let x = shrink(*state, freq, SIGN_PRECISION, &mut words);
                    *state = (x / freq) << SIGN_PRECISION | (x % freq + first);
                }
            }
            for (state, coded) in states.iter_mut().zip(step).rev() {
                let table = &tables[usize::from(coded.table)];
                let (freq, start) = table.symbols[usize::from(coded.symbol) % SYMBOLS];
                let x = shrink(*state, freq, precision, &mut words);
                *state = (x / freq) << precision | u32::from(table.slots[(start + x % freq) as usize]);
            }
        }
        words.reverse();
        words
    }
}

/// Moves the low bits of a state out where a symbol of `freq` would otherwise overflow it.
fn shrink(x: u32, freq: u32, precision: u32, words: &mut Vec<u16>) -> u32 {
    if x >> (32 - precision) < freq {
        return x;
    }
    words.push(x as u16);
    x >> 16
}

/// The symbol of exponent and top mantissa bits `high`, and whether it is the escape.
pub(super) fn symbol_of(high: u16, offset: u16, high_bits: u32, frequencies: &[u16; SYMBOLS]) -> (u8, bool) {
    let own = high.wrapping_sub(offset) & ((1 << high_bits) - 1);
    if own < u16::from(ZERO) && frequencies[usize::from(own)] > 0 {
        (own as u8, false)
    } else if high == 0 && frequencies[usize::from(ZERO)] > 0 {
        (ZERO, false)
    } else {
        (ESCAPE, true)
    }
}

/// The frequency of each symbol, by table.
pub(super) fn frequencies(classes: &Classes) -> Vec<[u16; SYMBOLS]> {
    classes.layouts().map(|(_, freqs)| freqs).collect()
}

/// The slots of a table by symbol and rank.
struct RankTable {
    /// Frequency, and where the symbol's slots start.
    symbols: [(u32, u32); SYMBOLS],
    slots: Vec<u16>,
}

fn rank_tables(classes: &Classes) -> Vec<RankTable> {
    let make = |(layout, freqs): (crate::alias::Layout, [u16; SYMBOLS])| {
        let mut start = 0;
        let symbols = freqs.map(|freq| {
            start += u32::from(freq);
            (u32::from(freq), start - u32::from(freq))
        });
        let mut slots = vec![0; 1 << classes.precision()];
        layout.for_each_slot(|slot, symbol, rank| slots[(symbols[symbol].1 + rank) as usize] = slot as u16);
        RankTable { symbols, slots }
    };
    classes.layouts().map(make).collect()
}
