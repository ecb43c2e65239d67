//! Chunks as the kernel has them: words of a few buffers.

use super::codes::{self, Lines};
use super::{CLASSES, Chunk, Classes, ColumnLabels, Columns, LANES, Row, Rows, SIGN_PROBABILITIES, TABLES};
use crate::error::{GpuError, Result};

/// Words before the buckets of classes, as the kernel has them.
const CLASSES_HEAD: usize = 184;
const CLASS_MAP: usize = 8;
const COMMONER: usize = 72;
const FLAG_LABELS: u32 = 1;
const FLAG_BIASES: u32 = 2;
const FLAG_HELD: u32 = 4;
/// Bytes of planes that the last states hold.
const HELD_BYTES: usize = 31 * LANES / 8;
/// The most elements of a chunk, so that every bit of it has a number below 2^32.
const MAX_LEN: usize = 1 << 26;
const STATE_START: u32 = 1 << 16;

/// A chunk as the kernel reads it, in the order of `Job` in `labelled.wgsl`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, bytemuck::NoUninit)]
#[repr(C)]
pub(super) struct Job {
    pub(super) len: u32,
    pub(super) out_word: u32,
    pub(super) classes: u32,
    pub(super) labels: u32,
    pub(super) columns: u32,
    first_column: u32,
    raw_per_row: u32,
    raw_first: u32,
    flags: u32,
    pub(super) rows: u32,
    states: u32,
    words: u32,
    word_count: u32,
    planes: u32,
    stored_bits: u32,
    low_bits: u32,
    sign_start: u32,
    sign_bits: u32,
    escapes: u32,
    escape_count: u32,
    replay: u32,
}

pub(super) const JOB_BYTES: usize = size_of::<Job>();

impl Job {
    /// Fills up a workgroup: it has no elements.
    pub(super) fn empty(classes: u32) -> Self {
        Self {
            len: 0,
            out_word: 0,
            classes,
            labels: 0,
            columns: 1,
            first_column: 0,
            raw_per_row: 0,
            raw_first: 0,
            flags: 0,
            rows: 0,
            states: 0,
            words: 0,
            word_count: 0,
            planes: 0,
            stored_bits: 0,
            low_bits: 0,
            sign_start: 0,
            sign_bits: 0,
            escapes: 0,
            escape_count: 0,
            replay: 0,
        }
    }
}

/// The words of classes, their tables filled up to the room that a kernel has.
pub(super) fn classes(of: &Classes) -> Result<Vec<u32>> {
    let (total, bucket_bits) = (u32::from(of.bytes) * 8, of.precision.wrapping_sub(6));
    let sound = matches!(of.bytes, 2 | 4 | 8)
        && (10..=12).contains(&of.precision)
        && of.top <= 3
        && (1..=14).contains(&of.high_bits)
        && of.high_bits + of.low_bits + 1 == total
        && (1..=CLASSES).contains(&of.classes.len())
        && (1..=TABLES).contains(&of.tables.len())
        && of.classes.iter().all(|c| usize::from(c.table) < of.tables.len() && c.offset >> of.high_bits == 0);
    if !sound {
        return Err(GpuError::Input("classes"));
    }
    let tables = table_room(of);
    let mut words = vec![0; CLASSES_HEAD + 128 * tables];
    let first_octave = of.signs.as_ref().map_or(0, |signs| signs.0.into());
    let last_class = of.classes.len() as u32 - 1;
    let head = [of.precision, of.top, of.high_bits, of.low_bits, first_octave, last_class];
    words[..head.len()].copy_from_slice(&head);
    for (word, class) in words[CLASS_MAP..].iter_mut().zip(&of.classes) {
        *word = (u32::from(class.table) * 64) | u32::from(class.offset) << 16;
    }
    let even = [64; SIGN_PROBABILITIES];
    let signs = of.signs.as_ref().map_or(&even, |signs| &signs.1);
    if signs.iter().any(|p| !(1..128).contains(p)) {
        return Err(GpuError::Input("probabilities of signs"));
    }
    for (word, p) in words[COMMONER..].iter_mut().zip(signs) {
        *word = u32::from(*p);
    }
    for (number, (pair, bucket)) in
        words[CLASSES_HEAD..].as_chunks_mut::<2>().0.iter_mut().zip(of.tables.iter().flatten()).enumerate()
    {
        let most = 1 << of.precision;
        let sound = u32::from(bucket.own) <= 1 << bucket_bits
            && bucket.own_frequency <= most
            && bucket.other_frequency <= most
            && bucket.other < 64;
        if !sound {
            return Err(GpuError::Input("a bucket of a table"));
        }
        // A bucket of one symbol has that as its other, so that six bits hold the slots of its own.
        let (own, frequency, add, other) = if u32::from(bucket.own) == 1 << bucket_bits {
            (0, bucket.own_frequency, 0, number as u32 % 64)
        } else {
            (u32::from(bucket.own), bucket.other_frequency, bucket.other_rank, bucket.other.into())
        };
        *pair = [
            u32::from(bucket.own_frequency) | own << 26,
            u32::from(frequency) | (u32::from(add) & 0x1FFF) << 13 | other << 26,
        ];
    }
    Ok(words)
}

/// Tables there is room for in the kernel: all, or half of that, which leaves workgroup memory to others.
pub(super) fn table_room(of: &Classes) -> usize {
    if of.tables.len() <= TABLES / 2 { TABLES / 2 } else { TABLES }
}

/// The words of columns, and what else chunks need to know of them.
#[derive(Debug)]
pub(super) enum OfColumns {
    Labels(Labels),
    Lines(Lines),
}

impl OfColumns {
    pub(super) fn new(of: &Columns<'_>) -> Result<Self> {
        match of {
            Columns::Labels(labels) => Labels::new(labels).map(Self::Labels),
            Columns::Lines(lines) => Lines::new(lines).map(Self::Lines),
        }
    }

    pub(super) fn words(&self) -> &[u32] {
        match self {
            Self::Labels(labels) => &labels.words,
            Self::Lines(lines) => lines.words(),
        }
    }
}

/// The words of column labels, and what else chunks need to know of them.
#[derive(Debug)]
pub(super) struct Labels {
    pub(super) words: Vec<u32>,
    max_class: u8,
    has_biases: bool,
    /// Raw signs in the columns together.
    raw: u32,
}

impl Labels {
    pub(super) fn new(of: &ColumnLabels<'_>) -> Result<Self> {
        let fits = |len| len == 0 || len == of.columns;
        let sound = (1..=1 << 20).contains(&of.columns)
            && fits(of.classes.len())
            && fits(of.biases.len())
            && of.classes.iter().all(|&c| usize::from(c) < CLASSES)
            && of.biases.iter().all(|b| b.unsigned_abs() <= 14);
        if !sound {
            return Err(GpuError::Input("column labels"));
        }
        let mut raw = 0;
        let words = (0..of.columns)
            .map(|column| {
                let class = of.classes.get(column).copied().unwrap_or(0);
                let bias = of.biases.get(column).copied().unwrap_or(0);
                let word = u32::from(class) | ((i32::from(bias) + 16) as u32) << 6 | raw << 11;
                raw += u32::from(bias == 0);
                word
            })
            .collect();
        let max_class = of.classes.iter().copied().max().unwrap_or(0);
        Ok(Self { words, max_class, has_biases: !of.biases.is_empty(), raw })
    }

    /// Raw signs in the columns before `column`.
    fn raw_before(&self, column: usize) -> u32 {
        self.words.get(column).map_or(self.raw, |word| word >> 11)
    }
}

/// Where in the planes an element's bits are.
struct Positions<'c> {
    rows: &'c [Row],
    columns: usize,
    first: usize,
    low_bits: i64,
    /// By row: where column 0 is, or would be, in the low plane.
    starts: Vec<i64>,
    labels: Option<&'c Labels>,
}

impl Positions<'_> {
    /// Low bits, and raw signs, of the elements before `element`.
    fn before(&self, element: usize) -> (u64, u64) {
        let place = self.first + element;
        let (row, column) = (place / self.columns, place % self.columns);
        let width = |row: &Row| self.low_bits - i64::from(row.zeros);
        let low = match self.starts.get(row) {
            Some(start) => start + column as i64 * self.rows.get(row).map_or(0, width),
            // The chunk ends with a row.
            None => {
                let last = self.starts.last().zip(self.rows.last());
                last.map_or(0, |(start, row)| start + self.columns as i64 * width(row))
            }
        };
        let raw = match self.labels.filter(|labels| labels.has_biases) {
            None => element as u64,
            Some(labels) => {
                let before = row as u64 * u64::from(labels.raw) + u64::from(labels.raw_before(column));
                before - u64::from(labels.raw_before(self.first))
            }
        };
        (low as u64, raw)
    }
}

/// Appends a chunk's parts to `data`; what is left to say in its job is where the classes, the columns and the output lie.
pub(super) fn chunk(
    chunk: &Chunk<'_>,
    classes: &Classes,
    columns: Option<&OfColumns>,
    data: &mut Vec<u8>,
) -> Result<Job> {
    let mut job = Job::empty(0);
    // A row that does not end within the chunk is as long as anyone likes.
    let end = chunk.first_column.checked_add(chunk.len);
    let one_row = end.is_some_and(|end| end <= chunk.columns) && columns.is_none();
    let (width, first) = if one_row { (chunk.len, 0) } else { (chunk.columns, chunk.first_column) };
    check(chunk, classes, (width, first))?;
    if columns.is_some_and(|columns| columns.words().len() != width) {
        return Err(GpuError::Input("another number of columns"));
    }
    (job.len, job.columns, job.first_column) = (chunk.len as u32, width as u32, first as u32);
    let flag = |flag, set| if set { flag } else { 0 };
    job.flags = flag(FLAG_LABELS, columns.is_some()) | flag(FLAG_HELD, chunk.held);
    match (&chunk.rows, columns) {
        (Rows::Labels(rows), None) => floats((chunk, rows), classes, None, &mut job, data)?,
        (Rows::Labels(rows), Some(OfColumns::Labels(labels))) => {
            floats((chunk, rows), classes, Some(labels), &mut job, data)?;
        }
        (Rows::Lines(_, rows), None) => codes::rows(rows, None, &mut job, data)?,
        (Rows::Lines(_, rows), Some(OfColumns::Lines(lines))) => {
            codes::rows(rows, Some(lines), &mut job, data)?;
        }
        _ => return Err(GpuError::Input("rows of floats and columns of codes, or the other way round")),
    }
    let held = if chunk.held { HELD_BYTES } else { 0 };
    job.states = begin(data);
    data.extend_from_slice(bytemuck::cast_slice(&chunk.states.map(u32::to_le)));
    job.words = begin(data);
    data.extend_from_slice(chunk.words.as_flattened());
    job.word_count = chunk.words.len() as u32;
    job.planes = begin(data);
    data.extend_from_slice(chunk.planes);
    // What is not stored reads as 0; windows reach up to two words beyond an end.
    data.resize(data.len() + held + 8, 0);
    job.stored_bits = chunk.planes.len() as u32 * 8;
    job.escapes = begin(data);
    data.extend_from_slice(chunk.escapes);
    data.resize(data.len() + 8, 0);
    job.escape_count = chunk.escape_count as u32;
    Ok(job)
}

/// What a chunk of floats has of its own: rows, and where their bits are in the planes.
fn floats(
    (chunk, rows): (&Chunk<'_>, &[Row]),
    classes: &Classes,
    labels: Option<&Labels>,
    job: &mut Job,
    data: &mut Vec<u8>,
) -> Result<()> {
    check_rows(rows, classes, labels)?;
    let (columns, first) = (job.columns as usize, job.first_column as usize);
    let mut starts = Vec::with_capacity(rows.len());
    let mut start = 0;
    for (i, row) in rows.iter().enumerate() {
        let width = i64::from(classes.low_bits) - i64::from(row.zeros);
        let skipped = if i == 0 { first as i64 } else { 0 };
        starts.push(start - skipped * width);
        start += (columns as i64 - skipped) * width;
    }
    let positions = Positions { rows, columns, first, low_bits: classes.low_bits.into(), starts, labels };
    let (low_total, raw_total) = positions.before(chunk.len);
    let sign_start = low_total.next_multiple_of(8);
    let all = (sign_start + raw_total).div_ceil(8);
    let held = if chunk.held { HELD_BYTES } else { 0 };
    if all != (chunk.planes.len() + held) as u64 {
        return Err(GpuError::Input("planes of another length than their elements need"));
    }
    let stored_bits = chunk.planes.len() as u64 * 8;
    let is_stored = |element: usize| {
        let (low, raw) = positions.before(element + 1);
        low <= stored_bits && sign_start + raw <= stored_bits
    };
    let replay = first_false(chunk.len, is_stored) / LANES;
    job.replay = if chunk.held { replay } else { chunk.len.div_ceil(LANES) } as u32;
    job.raw_per_row = labels.map_or(0, |labels| labels.raw);
    job.raw_first = labels.map_or(0, |labels| labels.raw_before(first));
    if labels.is_some_and(|labels| labels.has_biases) {
        job.flags |= FLAG_BIASES;
    }
    job.rows = begin(data);
    for (row, start) in rows.iter().zip(&positions.starts) {
        let pair = [u32::from(row.class) | u32::from(row.zeros) << 8, *start as u32];
        data.extend_from_slice(bytemuck::cast_slice(&pair.map(u32::to_le)));
    }
    (job.low_bits, job.sign_start, job.sign_bits) = (low_total as u32, sign_start as u32, raw_total as u32);
    Ok(())
}

/// Bytes that [`chunk`] may append at most.
pub(super) fn packed_len(chunk: &Chunk<'_>) -> u64 {
    let parts = 8 * chunk.rows.count() + 2 * chunk.words.len() + chunk.planes.len() + chunk.escapes.len();
    (parts + 4 * LANES + HELD_BYTES + 64) as u64
}

fn check(chunk: &Chunk<'_>, classes: &Classes, (columns, first): (usize, usize)) -> Result<()> {
    let rows = (1..=MAX_LEN)
        .contains(&chunk.len)
        .then(|| (first + chunk.len).div_ceil(columns.max(1)))
        .filter(|_| first < columns && columns <= u32::MAX as usize - MAX_LEN);
    if rows != Some(chunk.rows.count()) {
        return Err(GpuError::Input("rows or columns of a chunk"));
    }
    if chunk.states.iter().any(|&state| state < STATE_START) {
        return Err(GpuError::Input("a state below 2^16"));
    }
    let escapes = (chunk.escape_count as u64 * u64::from(classes.high_bits)).div_ceil(8);
    if chunk.escape_count > chunk.len || escapes != chunk.escapes.len() as u64 {
        return Err(GpuError::Input("escapes"));
    }
    // 25 bits of an element at most, and 64 of a float.
    if chunk.words.len() > 2 * MAX_LEN || chunk.planes.len() >= 8 * MAX_LEN || !chunk.out_at.is_multiple_of(4)
    {
        return Err(GpuError::Input("words, planes, or the place in the output"));
    }
    Ok(())
}

fn check_rows(rows: &[Row], classes: &Classes, labels: Option<&Labels>) -> Result<()> {
    let class = rows.iter().map(|row| row.class).max().unwrap_or(0);
    let column = labels.map_or(0, |labels| labels.max_class);
    if usize::from(class) + usize::from(column) >= classes.classes.len() {
        return Err(GpuError::Input("a class above the last"));
    }
    if rows.iter().any(|row| u32::from(row.zeros) > classes.low_bits) {
        return Err(GpuError::Input("trailing zeros of a row"));
    }
    Ok(())
}

/// The next word of `data`, as a number.
pub(super) fn begin(data: &mut Vec<u8>) -> u32 {
    data.resize(data.len().next_multiple_of(4), 0);
    (data.len() / 4) as u32
}

/// The least of 0..len for which `holds` is false, if it is false for all after one; len if there is none.
fn first_false(len: usize, holds: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut high) = (0, len);
    while low < high {
        let middle = low + (high - low) / 2;
        if holds(middle) { low = middle + 1 } else { high = middle }
    }
    low
}
