//! The head of a labelled chunk, and where its parts lie (`SPEC.md` section 7.4.4).

use super::classes::Classes;
use super::labels::ColumnLabels;
use super::{SharedObjects, lists};
use crate::bits::{BitSink, BitSource};
use crate::error::{CodingError, Result, corrupt, truncated};
use crate::rans::MAX_LANES_LOG2;
use crate::varint::{take, take_bytes, take_u8};

/// First byte of a labelled payload. Under coding 2, a chunk that begins otherwise is as under coding 1.
pub const LABELLED: u8 = 1;
pub(super) const LABELS_SHARED: u8 = 1;
pub(super) const LABELS_INLINE: u8 = 2;
pub(super) const ROW_ZEROS: u8 = 4;
/// The states hold bits of the planes.
pub(super) const ABSORBED: u8 = 8;
/// Bits of a state that hold bits of the planes.
pub(super) const STATE_BITS: usize = 31;
pub(super) const MAX_LANES: usize = 1 << MAX_LANES_LOG2;
/// The most columns: more would make sums of them overflow; an address space of 32 bits has no room for a row of so many anyway.
pub(crate) const MAX_COLUMNS: usize = 1 << if usize::BITS > 40 { 40 } else { 30 };
/// Every state's lower bound.
pub(super) const STATE_START: u32 = 1 << 16;

/// Column labels as a chunk has them.
#[derive(Debug)]
enum Labels<'a> {
    None,
    Shared(&'a ColumnLabels),
    Inline(ColumnLabels),
}

/// A row of the chunk's elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Row {
    /// Added to the column's class.
    pub(super) class: u8,
    /// Trailing zero bits of every element, which are not stored.
    pub(super) zeros: u8,
}

/// A parsed payload.
#[derive(Debug)]
pub(super) struct Block<'a> {
    pub(super) classes: &'a Classes,
    labels: Labels<'a>,
    /// Elements.
    pub(super) len: usize,
    /// Elements of a row.
    pub(super) columns: usize,
    /// Column of the first element.
    pub(super) first_column: usize,
    pub(super) rows: Vec<Row>,
    pub(super) lanes: usize,
    pub(super) states: [u32; MAX_LANES],
    /// Low mantissa bits and raw signs, but for the bytes that the states hold.
    pub(super) planes: &'a [u8],
    /// Bytes of low mantissa bits.
    pub(super) low_len: usize,
    /// Bytes of planes that the states hold.
    pub(super) absorbed: usize,
    /// Bytes that the states take.
    state_bytes: usize,
    pub(super) escapes: &'a [u8],
    pub(super) escape_count: usize,
    pub(super) words: &'a [[u8; 2]],
    /// With prefix codes in the place of states and words: all bit strings.
    pub(super) strings: &'a [u8],
    /// The byte that each of them ends before.
    pub(super) string_ends: Vec<usize>,
    pub(super) is_absorbed: bool,
}

impl<'a> Block<'a> {
    /// Parses the payload of a chunk of `decoded_len` bytes.
    pub(super) fn parse(
        payload: &'a [u8],
        shared: &'a (impl SharedObjects + ?Sized),
        decoded_len: usize,
    ) -> Result<Self> {
        let mut rest = payload;
        let head = Head::take(&mut rest)?;
        let missing = CodingError::MissingTable { dependency: head.classes };
        let classes = shared.classes(head.classes).ok_or(missing)?;
        if !decoded_len.is_multiple_of(classes.format().bytes()) {
            return Err(corrupt("decoded length is not a multiple of the element"));
        }
        let len = decoded_len / classes.format().bytes();
        let (columns, first_column) = head.columns(len)?;
        let labels = match head.labels {
            None => Labels::None,
            Some(Some(dependency)) => {
                Labels::Shared(shared.labels(dependency).ok_or(CodingError::MissingTable { dependency })?)
            }
            Some(None) => Labels::Inline(ColumnLabels::take(&mut rest)?),
        };
        let rows = take_rows(&mut rest, &head, classes, (first_column + len).div_ceil(columns))?;
        let escape_count = take(&mut rest)?;
        let lanes_log2 = take_u8(&mut rest, "lanes")?;
        if lanes_log2 > MAX_LANES_LOG2 {
            return Err(CodingError::Unsupported { what: "rANS lane code", id: lanes_log2.into() });
        }
        let lanes = 1 << lanes_log2;
        if classes.is_prefix() && head.flags & ABSORBED != 0 {
            return Err(corrupt("prefix codes have no states that hold plane bits"));
        }
        let mut string_ends = Vec::new();
        let before = rest.len();
        let (states, state_bytes) = if classes.is_prefix() {
            string_ends = take_lengths(&mut rest, lanes)?;
            ([STATE_START; MAX_LANES], before - rest.len())
        } else {
            take_states(&mut rest, lanes)?
        };
        let mut block = Self {
            classes,
            labels,
            len,
            columns,
            first_column,
            rows,
            lanes,
            states,
            state_bytes,
            planes: &[],
            low_len: 0,
            absorbed: if head.flags & ABSORBED == 0 { 0 } else { STATE_BITS * lanes / 8 },
            escapes: &[],
            escape_count: usize::try_from(escape_count)
                .ok()
                .filter(|&n| n <= len)
                .ok_or(corrupt("escape count"))?,
            words: &[],
            strings: &[],
            string_ends,
            is_absorbed: head.flags & ABSORBED != 0,
        };
        block.check_labels()?;
        block.take_planes(&mut rest)?;
        if let Some(&end) = block.string_ends.last() {
            if rest.len() != end {
                return Err(corrupt("bit strings of prefix codes do not fill the chunk"));
            }
            block.strings = rest;
            return Ok(block);
        }
        let (words, half) = rest.as_chunks::<2>();
        if !half.is_empty() {
            return Err(corrupt("rANS stream ends in half a word"));
        }
        block.words = words;
        Ok(block)
    }

    /// The labels of the columns, if they have any.
    pub(super) fn labels(&self) -> Option<&ColumnLabels> {
        match &self.labels {
            Labels::None => None,
            Labels::Shared(labels) => Some(labels),
            Labels::Inline(labels) => Some(labels),
        }
    }

    /// The classes of all columns; empty: all 0.
    pub(super) fn column_classes(&self) -> &[u8] {
        self.labels().map_or(&[], ColumnLabels::classes)
    }

    /// The sign biases of all columns; empty: all signs are stored as they are.
    pub(super) fn biases(&self) -> &[i8] {
        self.labels().map_or(&[], ColumnLabels::biases)
    }

    fn check_labels(&self) -> Result<()> {
        let labels = self.labels();
        if labels.is_some_and(|labels| labels.columns() != self.columns) {
            return Err(corrupt("labels of another number of columns"));
        }
        if !self.biases().is_empty() && self.classes.signs().is_none() {
            return Err(corrupt("biased columns without sign probabilities"));
        }
        let column = labels.map_or(0, ColumnLabels::max_class);
        let row = self.rows.iter().map(|row| row.class).max().unwrap_or(0);
        if usize::from(row) + usize::from(column) >= self.classes.classes().len() {
            return Err(corrupt("class of a row and column is above the last class"));
        }
        Ok(())
    }

    fn take_planes(&mut self, rest: &mut &'a [u8]) -> Result<()> {
        let low_bits: u64 =
            self.row_spans().map(|(row, span)| u64::from(self.low_bits(row)) * span.len() as u64).sum();
        let low_len = low_bits.div_ceil(8);
        let stored = (low_len + (self.raw_signs() as u64).div_ceil(8)).checked_sub(self.absorbed as u64);
        let stored = stored.ok_or(corrupt("planes shorter than what the states hold of them"))?;
        self.planes = take_bytes(rest, stored, "planes")?;
        self.low_len = low_len as usize;
        let escapes = (self.escape_count as u64 * u64::from(self.classes.high_bits())).div_ceil(8);
        self.escapes = take_bytes(rest, escapes, "escapes")?;
        Ok(())
    }

    /// Low bits that are stored for each element of a row.
    pub(super) fn low_bits(&self, row: Row) -> u32 {
        self.classes.low_bits() - u32::from(row.zeros)
    }

    /// Each row and the elements of the chunk that are in it.
    pub(super) fn row_spans(&self) -> impl Iterator<Item = (Row, core::ops::Range<usize>)> + '_ {
        let (first, columns, len) = (self.first_column, self.columns, self.len);
        self.rows.iter().enumerate().map(move |(i, &row)| {
            let start = (i * columns).saturating_sub(first);
            (row, start..((i + 1) * columns - first).min(len))
        })
    }

    /// Elements whose signs are stored as they are.
    fn raw_signs(&self) -> usize {
        let biases = self.biases();
        if biases.is_empty() {
            return self.len;
        }
        let raw = |columns: core::ops::Range<usize>| biases[columns].iter().filter(|b| **b == 0).count();
        let end = self.first_column + self.len;
        if end <= self.columns {
            return raw(self.first_column..end);
        }
        let whole = (end / self.columns - 1) * raw(0..self.columns);
        raw(self.first_column..self.columns) + whole + raw(0..end % self.columns)
    }
}

fn take_rows(rest: &mut &[u8], head: &Head, classes: &Classes, count: usize) -> Result<Vec<Row>> {
    let last = classes.classes().len() as i32 - 1;
    let labels = lists::take(rest, count, 0..=last)?;
    let zeros = if head.flags & ROW_ZEROS == 0 {
        Vec::new()
    } else {
        lists::take(rest, count, 0..=classes.low_bits() as i32)?
    };
    let zeros = zeros.into_iter().chain(core::iter::repeat(0));
    Ok(labels
        .into_iter()
        .zip(zeros)
        .map(|(class, zeros)| Row { class: class as u8, zeros: zeros as u8 })
        .collect())
}

/// What comes before the labels.
struct Head {
    flags: u8,
    classes: u32,
    columns: u64,
    first_column: u64,
    /// Column labels: none, inline, or a dependency.
    labels: Option<Option<u32>>,
}

impl Head {
    fn take(rest: &mut &[u8]) -> Result<Self> {
        let form = take_u8(rest, "form")?;
        if form != LABELLED {
            return Err(CodingError::Unsupported { what: "form of a labelled chunk", id: form.into() });
        }
        let flags = take_u8(rest, "flags")?;
        if flags & !(LABELS_SHARED | LABELS_INLINE | ROW_ZEROS | ABSORBED) != 0 {
            return Err(corrupt("flags of a labelled chunk"));
        }
        let classes = take_dependency(rest)?;
        let (columns, first_column) = (take(rest)?, take(rest)?);
        let labels = match flags & (LABELS_SHARED | LABELS_INLINE) {
            0 => None,
            LABELS_SHARED => Some(Some(take_dependency(rest)?)),
            LABELS_INLINE => Some(None),
            _ => return Err(corrupt("labels that are both shared and inline")),
        };
        Ok(Self { flags, classes, columns, first_column, labels })
    }

    /// Columns and first column, for a chunk of `len` elements.
    fn columns(&self, len: usize) -> Result<(usize, usize)> {
        let columns = usize::try_from(self.columns).ok().filter(|&c| c > 0).ok_or(corrupt("column count"))?;
        let first = usize::try_from(self.first_column)
            .ok()
            .filter(|&f| f < columns)
            .ok_or(corrupt("first column"))?;
        if len == 0 || columns > MAX_COLUMNS {
            return Err(corrupt("a labelled chunk has elements, and fewer columns"));
        }
        Ok((columns, first))
    }
}

fn take_dependency(rest: &mut &[u8]) -> Result<u32> {
    u32::try_from(take(rest)?).map_err(|_| corrupt("dependency index above 32 bits"))
}

/// The dependency indices that a labelled payload names, in ascending order, each once.
///
/// # Errors
/// As [`super::decode`], for what the head says.
pub fn dependencies(payload: &[u8]) -> Result<Vec<u32>> {
    let head = Head::take(&mut &payload[..])?;
    let mut all = vec![head.classes];
    all.extend(head.labels.flatten());
    all.sort_unstable();
    all.dedup();
    Ok(all)
}

/// Takes `lanes` states: how many bits above 16 each has below its highest, then these bits. Returns the bytes they take, too.
pub(super) fn take_states(rest: &mut &[u8], lanes: usize) -> Result<([u32; MAX_LANES], usize)> {
    let mut states = [STATE_START; MAX_LANES];
    let mut source = BitSource::new(rest);
    for state in &mut states[..lanes] {
        *state = source.take(4)?;
    }
    for state in &mut states[..lanes] {
        let bits = STATE_START.ilog2() + *state;
        *state = 1 << bits | source.take(bits)?;
    }
    let used = source.finish()?;
    *rest = &rest[used..];
    Ok((states, used))
}

/// Takes the lengths of `count` bit strings that lie one after another: where each ends.
fn take_lengths(rest: &mut &[u8], count: usize) -> Result<Vec<usize>> {
    let mut end = 0usize;
    let mut next = || {
        let length = usize::try_from(take(rest)?).ok();
        end = length.and_then(|length| end.checked_add(length)).ok_or(corrupt("length of a bit string"))?;
        Ok(end)
    };
    (0..count).map(|_| next()).collect()
}

/// Appends states as [`take_states`] reads them; none is below 2^16.
pub(super) fn put_states(out: &mut Vec<u8>, states: &[u32]) {
    let mut sink = BitSink::default();
    states.iter().for_each(|state| sink.put(state.ilog2() - STATE_START.ilog2(), 4));
    for state in states {
        let bits = state.ilog2();
        sink.put(state & !(1 << bits), bits);
    }
    out.extend(sink.into_bytes());
}

/// The bytes of a labelled payload, or of one of differences, by what they are for. The byte counts sum to the payload's length.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct LabelledLedger {
    /// Lanes of the rANS stream, or bit strings (not bytes).
    pub lanes: u32,
    /// Head, labels of rows and columns.
    pub labels: u64,
    /// States of the rANS stream, or lengths of bit strings.
    pub states: u64,
    /// Bits stored as they are: low mantissa bits, signs, escapes.
    pub packed: u64,
    /// Words of the rANS stream, or prefix codes.
    pub entropy_coded: u64,
}

/// The ledger of a labelled payload. Nothing is decoded.
///
/// # Errors
/// As [`super::decode`], for what the head says.
pub fn ledger(
    payload: &[u8],
    shared: &(impl SharedObjects + ?Sized),
    decoded_len: usize,
) -> Result<LabelledLedger> {
    let block = Block::parse(payload, shared, decoded_len)?;
    let states = block.state_bytes as u64;
    let packed = (block.planes.len() + block.escapes.len()) as u64;
    let entropy_coded = 2 * block.words.len() as u64 + block.strings.len() as u64;
    let labels =
        (payload.len() as u64).checked_sub(states + packed + entropy_coded).ok_or(truncated("head"))?;
    Ok(LabelledLedger { lanes: block.lanes as u32, labels, states, packed, entropy_coded })
}
