//! Writing labelled chunks.

use super::classes::Classes;
use super::encode_symbols::{Chunk, Stream};
use super::labels::ColumnLabels;
use super::lists;
use super::payload::{
    ABSORBED, LABELLED, LABELS_INLINE, LABELS_SHARED, MAX_COLUMNS, MAX_LANES, ROW_ZEROS, STATE_BITS,
    STATE_START, put_states,
};
use super::take_apart::{GROUP, Parts};
use super::vector::Level;
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
    encode_at(Level::detect(), bytes, spec)
}

/// As [`encode`], with no more vector instructions than `level`, which the machine must have: for tests and measurements.
///
/// # Errors
/// As [`encode`].
pub fn encode_at(level: Level, bytes: &[u8], spec: &BlockSpec<'_>) -> Result<Vec<u8>> {
    let level = level.available();
    let len = bytes.len() / spec.classes.format().bytes();
    let labels = check(bytes, len, spec)?;
    let mut parts = Parts::split(bytes, spec, labels)?;
    let biases = element_biases(labels, len, spec);
    let mut planes = core::mem::take(&mut parts.low).into_bytes();
    planes.extend(raw_signs(level, &parts.signs, len, &biases));
    if spec.classes.is_prefix() {
        let chunk = Chunk { bytes, classes: spec.classes, parts: &parts, biases: &[] };
        let (strings, escapes) = chunk.code_prefix(1 << spec.lanes_log2)?;
        let mut out = put_head(spec, 0, escapes.len());
        strings.iter().for_each(|string| varint::put(&mut out, string.len() as u64));
        out.extend(planes);
        put_escapes(&mut out, &escapes, spec);
        strings.iter().for_each(|string| out.extend_from_slice(string));
        return Ok(out);
    }
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
    let chunk = Chunk { bytes, classes: spec.classes, parts: &parts, biases: &biases };
    let Stream { words, escapes } = chunk.code(level, &mut states[..lanes])?;
    let mut out = put_head(spec, flags, escapes.len());
    out.reserve(planes.len() + 2 * words.len() + 4 * lanes + 2 * escapes.len());
    put_states(&mut out, &states[..lanes]);
    out.extend(planes);
    put_escapes(&mut out, &escapes, spec);
    let start = out.len();
    out.resize(start + 2 * words.len(), 0);
    for (bytes, word) in out[start..].as_chunks_mut().0.iter_mut().zip(&words) {
        *bytes = word.to_le_bytes();
    }
    Ok(out)
}

/// All before the states, or before the lengths of bit strings.
fn put_head(spec: &BlockSpec<'_>, mut flags: u8, escapes: usize) -> Vec<u8> {
    let mut out = vec![LABELLED];
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
    varint::put(&mut out, escapes as u64);
    out.push(spec.lanes_log2);
    out
}

fn put_escapes(out: &mut Vec<u8>, escapes: &[u16], spec: &BlockSpec<'_>) {
    let mut escaped = BitSink::default();
    escapes.iter().for_each(|&high| escaped.put(high.into(), spec.classes.high_bits()));
    out.extend(escaped.into_bytes());
}

fn check<'a>(bytes: &[u8], len: usize, spec: &BlockSpec<'a>) -> Result<Option<&'a ColumnLabels>> {
    if len == 0 || !bytes.len().is_multiple_of(spec.classes.format().bytes()) {
        return Err(invalid("a labelled chunk is of whole elements"));
    }
    if spec.columns == 0
        || spec.columns > MAX_COLUMNS
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

/// The sign bias of each element; empty: no column is biased.
fn element_biases(labels: Option<&ColumnLabels>, len: usize, spec: &BlockSpec<'_>) -> Vec<i8> {
    let of_columns = labels.map_or(&[][..], ColumnLabels::biases);
    if of_columns.is_empty() {
        return Vec::new();
    }
    let mut biases = Vec::with_capacity(len + of_columns.len());
    biases.extend(&of_columns[spec.first_column..]);
    while biases.len() < len {
        biases.extend(of_columns);
    }
    biases.truncate(len);
    biases
}

/// The plane of the signs that are not coded.
fn raw_signs(level: Level, signs: &[u64], len: usize, biases: &[i8]) -> Vec<u8> {
    if biases.is_empty() {
        let mut bytes: Vec<u8> = signs.iter().flat_map(|signs| signs.to_le_bytes()).collect();
        bytes.truncate(len.div_ceil(8));
        return bytes;
    }
    let mut sink = BitSink::with_capacity(len.div_ceil(8));
    for (&signs, biases) in signs.iter().zip(biases.chunks(GROUP)) {
        let raw = biases.iter().enumerate().fold(0, |raw, (i, &bias)| raw | u64::from(bias == 0) << i);
        let (kept, count) = (compress(level, signs, raw), raw.count_ones());
        sink.put_long(kept & u64::from(u32::MAX), count.min(32));
        sink.put_long(kept >> 32, count.saturating_sub(32));
    }
    sink.into_bytes()
}

/// Those of the bits that the mask has, together at the low end.
#[allow(unsafe_code)]
#[cfg_attr(not(target_arch = "x86_64"), allow(unused_variables))]
fn compress(level: Level, bits: u64, mut mask: u64) -> u64 {
    #[cfg(target_arch = "x86_64")]
    if level >= Level::Avx2 {
        // SAFETY: the level says that the machine has BMI2.
        return unsafe { core::arch::x86_64::_pext_u64(bits, mask) };
    }
    let (mut kept, mut at) = (0, 0);
    while mask != 0 {
        kept |= (bits >> mask.trailing_zeros() & 1) << at;
        at += 1;
        mask &= mask - 1;
    }
    kept
}
