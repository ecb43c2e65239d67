//! Reading chunks of codes.

#[cfg(target_arch = "x86_64")]
use super::avx2::Avx2;
use super::columns::ColumnSteps;
use super::numbers::{Element, octave, quarter, to_bf16, to_f16};
use super::payload::{Block, Row, effective_classes};
use super::{CODE_BITS, FIRST_WITH_LOW_BITS, IN_FULL, SharedObjects, low_bits};
use crate::error::{Result, corrupt};
use crate::labelled::{CLASSES, Level, NumberDecoder};

/// Elements whose symbols are decoded at a time; a multiple of all lane counts.
const GROUP: usize = 4096;
/// Elements of a row whose floats are made at a time.
const RUN: usize = 512;
/// Codes that get their signs together.
pub(super) const STEP: usize = 32;

#[cfg(not(target_arch = "x86_64"))]
use none::Avx2;

/// There is no AVX2.
#[cfg(not(target_arch = "x86_64"))]
mod none {
    use super::{Element, Level, Plane, STEP, Steps};

    #[derive(Debug, Clone, Copy)]
    pub(super) enum Avx2 {}

    impl Avx2 {
        pub(super) fn of(_: Level) -> Option<Self> {
            None
        }

        pub(super) fn signed(self, _: &mut Plane, _: &[[u16; STEP]], _: &mut [[i32; STEP]]) {
            match self {}
        }

        pub(super) fn write(self, _: Element, _: &[i32], _: &Steps<'_>, _: &mut [u8]) {
            match self {}
        }
    }
}

/// Decodes the payload of a chunk of coding 24 into `out`, whose length is the chunk's decoded length. Stored chunks (form 0) are the
/// caller's.
///
/// Scratch memory is two bytes an element, what the rows' lists take, and the plane. After an error the content of `out` is unspecified.
///
/// # Errors
/// Any breach of section 7.13; [`crate::CodingError::MissingTable`] if `shared` lacks what the chunk names.
pub fn decode(payload: &[u8], shared: &(impl SharedObjects + ?Sized), out: &mut [u8]) -> Result<()> {
    decode_at(Level::detect(), payload, shared, out)
}

/// As [`decode`], with no more vector instructions than `level`, which the machine must have: for tests and measurements.
///
/// # Errors
/// As [`decode`].
pub fn decode_at(
    level: Level,
    payload: &[u8],
    shared: &(impl SharedObjects + ?Sized),
    out: &mut [u8],
) -> Result<()> {
    let block = Block::parse(payload, shared, out.len())?;
    let columns = effective_classes(block.columns, block.steps, block.column_classes());
    let (numbers, held) = numbers_of(&block, &columns, level.available())?;
    let vector = Avx2::of(level);
    let mut plane = Plane::new(block.plane, &held);
    let mut codes = [0i32; RUN];
    let size = block.element.bytes();
    let mut rest = out;
    let mut at = 0;
    for (row, span) in row_spans(&block) {
        let row_scale = octave(row.step >> 2);
        for start in span.clone().step_by(RUN) {
            let run = start..(start + RUN).min(span.end);
            let codes = &mut codes[..run.len()];
            let classes = &columns[run.clone()];
            let numbers = &numbers[at..at + run.len()];
            at += run.len();
            plane.codes((numbers, vector), row, (classes, block.classes.classes().len()), codes)?;
            let (head, tail) = rest.split_at_mut(run.len() * size);
            let steps = Steps { of_columns: block.steps.map(|s| (s, run)), row, row_scale };
            match vector {
                Some(vector) => vector.write(block.element, codes, &steps, head),
                None => write_values(block.element, codes, &steps, head),
            }
            rest = tail;
        }
    }
    plane.finish()
}

/// The columns of each row that the chunk touches.
fn row_spans<'b>(block: &'b Block<'_>) -> impl Iterator<Item = (Row, core::ops::Range<usize>)> + 'b {
    let mut left = block.len;
    let mut first = block.first_column;
    block.rows.iter().map(move |&row| {
        let span = first..(first + left).min(block.columns);
        left -= span.len();
        first = 0;
        (row, span)
    })
}

/// The class of an element of a row and column of these classes.
#[inline]
pub(super) fn class_at(row: i16, column: i16, last: i16) -> u8 {
    (row + column).clamp(0, last) as u8
}

/// The symbols of all elements, escapes resolved, and the bytes that the states held.
fn numbers_of(block: &Block<'_>, columns: &[i16], level: Level) -> Result<(Vec<u16>, Vec<u8>)> {
    let escapes = (block.escapes, block.escape_count);
    let states = (block.states, block.lanes);
    let mut decoder =
        NumberDecoder::new(block.classes, level, states, block.words, escapes, block.is_absorbed)?;
    let last = block.classes.classes().len() as i16 - 1;
    let mut numbers = vec![0u16; block.len];
    let mut classes = [0u8; GROUP];
    let (mut row, mut column) = (0, block.first_column);
    for numbers in numbers.chunks_mut(GROUP) {
        let mut filled = 0;
        while filled < numbers.len() {
            let run = (block.columns - column).min(numbers.len() - filled);
            let of_row = block.rows[row].class;
            let target = classes[filled..filled + run].iter_mut();
            target
                .zip(&columns[column..column + run])
                .for_each(|(class, &c)| *class = class_at(of_row, c, last));
            filled += run;
            column += run;
            if column == block.columns {
                (row, column) = (row + 1, 0);
            }
        }
        decoder.decode(&classes[..numbers.len()], numbers)?;
    }
    let held = decoder.finish()?;
    debug_assert_eq!(held.len(), block.held());
    Ok((numbers, held))
}

/// The bits beside the symbols.
pub(super) struct Plane {
    /// Eight zero bytes follow the last.
    bytes: Vec<u8>,
    bits: usize,
    at: usize,
}

impl Plane {
    fn new(stored: &[u8], held: &[u8]) -> Self {
        let bytes = [stored, held, &[0; 8]].concat();
        Self { bits: 8 * (bytes.len() - 8), bytes, at: 0 }
    }

    /// At least 57 bits from the current place; zeros beyond the end.
    #[inline]
    pub(super) fn window(&self) -> u64 {
        let word = self.bytes.get(self.at / 8..).and_then(<[u8]>::first_chunk);
        word.map_or(0, |word| u64::from_le_bytes(*word)) >> (self.at % 8)
    }

    /// Goes on by so many bits.
    #[inline]
    pub(super) fn skip(&mut self, bits: usize) {
        self.at += bits;
    }

    /// The codes of numbers that have no low bits.
    fn signed(&mut self, numbers: &[u16], codes: &mut [i32]) {
        // Two bits an element would do; 32 fit one window with room for the shift.
        for (numbers, codes) in numbers.chunks(STEP).zip(codes.chunks_mut(STEP)) {
            let mut window = self.window();
            for (&number, code) in numbers.iter().zip(codes) {
                let is_coded = u32::from(number != 0);
                let minus = -((window as u32 & is_coded) as i32);
                *code = (i32::from(number) ^ minus) - minus;
                window >>= is_coded;
                self.skip(is_coded as usize);
            }
        }
    }

    /// The codes of a run of elements of one row.
    fn codes(
        &mut self,
        (numbers, vector): (&[u16], Option<Avx2>),
        row: Row,
        (classes, count): (&[i16], usize),
        codes: &mut [i32],
    ) -> Result<()> {
        let last = count as i16 - 1;
        let greatest = classes.iter().copied().max().unwrap_or(0);
        let is_plain = usize::from(class_at(row.class, greatest, last)) < FIRST_WITH_LOW_BITS
            && numbers.iter().all(|&n| u32::from(n) < IN_FULL);
        if is_plain {
            let (steps, rest) = match vector {
                Some(vector) => {
                    let (steps, rest) = numbers.as_chunks();
                    vector.signed(self, steps, codes.as_chunks_mut().0);
                    (STEP * steps.len(), rest)
                }
                None => (0, numbers),
            };
            self.signed(rest, &mut codes[steps..]);
        } else {
            let low: [u32; CLASSES] = core::array::from_fn(low_bits);
            for ((&number, &class), code) in numbers.iter().zip(classes).zip(codes) {
                let low = low[usize::from(class_at(row.class, class, last)) % CLASSES];
                let window = self.window();
                let number = u32::from(number);
                let in_full = number == IN_FULL;
                let taken = if in_full { CODE_BITS } else { low };
                let bits = window as u32 & ((1 << taken) - 1);
                let magnitude = if in_full { bits } else { number << low | bits };
                if magnitude >> CODE_BITS != 0 {
                    return Err(corrupt("a code is above 24 bits"));
                }
                let is_coded = u32::from(magnitude != 0);
                let minus = -(((window >> taken) as u32 & is_coded) as i32);
                *code = (magnitude as i32 ^ minus) - minus;
                self.at += (taken + is_coded) as usize;
            }
        }
        if self.at > self.bits { Err(corrupt("the plane of a chunk of codes ends early")) } else { Ok(()) }
    }

    fn finish(self) -> Result<()> {
        let unused = self.bytes.get(self.at / 8).map_or(0, |byte| byte >> (self.at % 8));
        if self.bits - self.at >= 8 || unused != 0 {
            return Err(corrupt("the plane of a chunk of codes has bits left over"));
        }
        Ok(())
    }
}

/// The steps of a run of elements of one row.
pub(super) struct Steps<'b> {
    of_columns: Option<(&'b ColumnSteps, core::ops::Range<usize>)>,
    row: Row,
    row_scale: f32,
}

/// Writes what codes are worth, in rows of `columns`, the first of them in column `first_column` of the first row. `out` has room for all.
///
/// # Panics
/// If `out`, `row_steps` or the columns' steps are too short for the codes.
pub fn dequantise(
    element: Element,
    codes: &[i32],
    (columns, first_column): (usize, usize),
    row_steps: &[i16],
    column_steps: Option<&ColumnSteps>,
    out: &mut [u8],
) {
    let (size, vector) = (element.bytes(), Avx2::of(Level::detect()));
    let (mut done, mut column, mut row) = (0, first_column, 0);
    while done < codes.len() {
        let run = (columns - column).min(codes.len() - done).min(RUN);
        let step = row_steps[row];
        let of_columns = column_steps.map(|steps| (steps, column..column + run));
        let steps = Steps { of_columns, row: Row { step, class: 0 }, row_scale: octave(step >> 2) };
        let (codes, out) = (&codes[done..done + run], &mut out[done * size..(done + run) * size]);
        match vector {
            Some(vector) => vector.write(element, codes, &steps, out),
            None => write_values(element, codes, &steps, out),
        }
        done += run;
        column += run;
        if column == columns {
            (row, column) = (row + 1, 0);
        }
    }
}

/// Writes what the codes are worth.
#[inline(always)]
pub(super) fn write_values(element: Element, codes: &[i32], steps: &Steps<'_>, out: &mut [u8]) {
    let mut values = [0f32; RUN];
    let values = &mut values[..codes.len()];
    match &steps.of_columns {
        Some((of_columns, run)) => {
            let steps_of = &of_columns.steps(steps.row.step)[run.clone()];
            for ((value, &code), &step) in values.iter_mut().zip(codes).zip(steps_of) {
                *value = code as f32 * (step * steps.row_scale);
            }
        }
        None => {
            let step = quarter(steps.row.step);
            values.iter_mut().zip(codes).for_each(|(value, &code)| *value = code as f32 * step);
        }
    }
    match element {
        Element::Bf16 => {
            for (bytes, &value) in out.as_chunks_mut().0.iter_mut().zip(&*values) {
                *bytes = to_bf16(value).to_le_bytes();
            }
        }
        Element::F16 => {
            for (bytes, &value) in out.as_chunks_mut().0.iter_mut().zip(&*values) {
                *bytes = to_f16(value).to_le_bytes();
            }
        }
        Element::F32 => {
            for (bytes, &value) in out.as_chunks_mut().0.iter_mut().zip(&*values) {
                *bytes = value.to_le_bytes();
            }
        }
    }
}
