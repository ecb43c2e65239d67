//! The fast coder: the best of four predictors for each channel and frame, symbols under classes of what was wrong around them in
//! the row above and the frame before. A row's classes are known before its first symbol, so that all of it is decoded at once.

use super::dense::Shape;
use crate::bits::{BitSink, BitSource};
use crate::error::{Result, corrupt};
use crate::labelled::{Class, ClassedDecoder, Classes, FloatFormat, PLAIN_SYMBOLS, TABLES, encode_classed};
use crate::table::Table;
use crate::varint::{put, take, take_bytes, take_u8};

/// Classes of a frame: half octaves of what was wrong nearby.
const DEGREES: usize = 24;
/// The class of what fills a row up to whole lanes; the others are those of first frames, then those of other frames.
const FILLER: u8 = 2 * DEGREES as u8;
/// Symbols that are residuals themselves, in zigzag.
const LITERALS: u16 = 8;
/// Rows and columns of zeros around planes.
const MARGIN: usize = 2;
/// Channels are worked on in steps of so many.
const LANES: usize = 8;
const PRECISION: u8 = 11;

/// Planes of a frame by row, position and channel.
struct Planes {
    /// Residuals' magnitudes of this frame and the one before, with margins.
    wrong: Vec<i32>,
    wrong_before: Vec<i32>,
    values: Vec<i32>,
    before: Vec<i32>,
    /// Positions of a row with its margins.
    stride: usize,
    lanes: usize,
    shape: Shape,
}

impl Planes {
    fn new(shape: Shape) -> Self {
        let lanes = shape.channels.next_multiple_of(LANES);
        let stride = shape.width + 2 * MARGIN;
        let plane = || vec![0; (shape.height + 2 * MARGIN) * stride * lanes];
        Self { wrong: plane(), wrong_before: plane(), values: plane(), before: plane(), stride, lanes, shape }
    }

    /// Where position 0 of row `y` is.
    fn row(&self, y: usize) -> usize {
        ((y + MARGIN) * self.stride + MARGIN) * self.lanes
    }

    fn next_frame(&mut self) {
        core::mem::swap(&mut self.wrong, &mut self.wrong_before);
        core::mem::swap(&mut self.values, &mut self.before);
    }

    /// The class of each symbol of row `y`.
    fn classes(&self, y: usize, first: bool, base: i32, out: &mut Vec<u8>) {
        let Shape { channels, width, .. } = self.shape;
        let (lanes, here) = (self.lanes, self.row(y));
        let (up, two_up, down) =
            (here - self.stride * lanes, here - 2 * self.stride * lanes, here + self.stride * lanes);
        let most = DEGREES as i32 - 1;
        let offset = if first { 0 } else { DEGREES as i32 };
        let count = width * lanes;
        let (wrong, before) = (
            |from: usize| &self.wrong[from..from + count],
            |from: usize| &self.wrong_before[from..from + count],
        );
        let (u, ul, ur, uu) = (wrong(up), wrong(up - lanes), wrong(up + lanes), wrong(two_up));
        let (p, l, r, d) = (before(here), before(here - lanes), before(here + lanes), before(down));
        out.clear();
        out.resize(count, 0);
        for (i, out) in out.iter_mut().enumerate() {
            let sum = 2 * (u[i] + p[i]) + ul[i] + ur[i] + uu[i] + l[i] + r[i] + d[i] + 1;
            // Twice the logarithm, rounded down, and the next bit: of a float's bits.
            let log = ((sum as f32).to_bits() >> 22) as i32 - 254;
            *out = ((log - base).clamp(0, most) + offset) as u8;
        }
        if lanes > channels {
            for x in 1..width {
                out.copy_within(x * lanes..x * lanes + channels, x * channels);
            }
            out.truncate(width * channels);
        }
    }

    /// The four predictions of the channels from `c` on at position `x` of row `y`.
    #[inline(always)]
    fn predict(&self, x: usize, y: usize, c: usize) -> [[i32; LANES]; 4] {
        let lanes = self.lanes;
        let here = self.row(y) + x * lanes + c;
        let (left, up) = (here - lanes, here - self.stride * lanes);
        // On the left edge what is above stands for what is left, and the other way round at the top.
        let (left, up, corner) = match (x, y) {
            (0, 0) => (here, here, here),
            (0, _) => (up, up, up),
            (_, 0) => (left, left, left),
            _ => (left, up, up - lanes),
        };
        let take = |plane: &[i32], from: usize| -> [i32; LANES] {
            plane.get(from..).and_then(<[i32]>::first_chunk).copied().unwrap_or_default()
        };
        let (l, u, ul) = if (x, y) == (0, 0) {
            ([0; LANES], [0; LANES], [0; LANES])
        } else {
            (take(&self.values, left), take(&self.values, up), take(&self.values, corner))
        };
        let (p, pl, pu) = if (x, y) == (0, 0) {
            (take(&self.before, here), [0; LANES], [0; LANES])
        } else {
            (take(&self.before, here), take(&self.before, left), take(&self.before, up))
        };
        let mut all = [[0; LANES]; 4];
        for i in 0..LANES {
            let change = l[i] - pl[i] + u[i] - pu[i];
            all[0][i] = p[i];
            all[1][i] = p[i] + (change >> 1);
            all[2][i] = (3 * (l[i] + u[i]) - 2 * ul[i] + 2) >> 2;
            all[3][i] = p[i] + (change >> 2);
        }
        all
    }
}

/// A residual of 16 bits as a symbol, how many bits follow it, and these.
fn symbol_of(residual: i32) -> (u8, u32, u32) {
    let z = ((residual << 1) ^ (residual >> 31)) as u32;
    if z < u32::from(LITERALS) {
        return (z as u8, 0, 0);
    }
    let log = z.ilog2();
    let bits = log - 2;
    ((u32::from(LITERALS) + 4 * (log - 3) + (z >> bits & 3)) as u8, bits, z & ((1 << bits) - 1))
}

/// Bits that follow a symbol, and the residual in zigzag without them.
const SYMBOLS: [(u8, u32); 64] = {
    let mut all = [(0, 0); 64];
    let mut s = 0;
    while s < 64 {
        all[s] = if s < LITERALS as usize {
            (0, s as u32)
        } else {
            let bits = 1 + (s - LITERALS as usize) / 4;
            let lead = 4 + (s - LITERALS as usize) as u32 % 4;
            (bits as u8, lead << bits)
        };
        s += 1;
    }
    all
};

/// Codes numbers, by frame, position and channel, that lie within 16 bits. `base` is the least degree.
///
/// # Errors
/// None but of the entropy coder.
pub(super) fn encode(shape: Shape, numbers: &[i16], base: u8) -> Result<Vec<u8>> {
    let Shape { channels, height, width, .. } = shape;
    let mut planes = Planes::new(shape);
    let lanes_log2 = if shape.count() >= 1 << 16 { 6 } else { 3 };
    let filled = (width * channels).next_multiple_of(1 << lanes_log2);
    let mut modes = BitSink::default();
    let mut raw = BitSink::default();
    let (mut symbols, mut classes, mut row_classes) = (Vec::new(), Vec::new(), Vec::new());
    for (t, frame) in numbers.chunks_exact(height * width * channels).enumerate() {
        for y in 0..height {
            for x in 0..width {
                let at = planes.row(y) + x * planes.lanes;
                for c in 0..channels {
                    planes.values[at + c] = frame[(y * width + x) * channels + c].into();
                }
            }
        }
        let best = best_modes(&planes);
        best.iter().for_each(|&mode| modes.put(mode.into(), 2));
        for y in 0..height {
            planes.classes(y, t == 0, base.into(), &mut row_classes);
            for x in 0..width {
                for first in (0..channels).step_by(LANES) {
                    let all = planes.predict(x, y, first);
                    let at = planes.row(y) + x * planes.lanes + first;
                    for i in 0..LANES.min(channels - first) {
                        let guess = all[usize::from(best[first + i])][i];
                        let residual = i32::from((planes.values[at + i] - guess) as i16);
                        planes.wrong[at + i] = residual.abs();
                        let (symbol, bits, low) = symbol_of(residual);
                        symbols.push(symbol);
                        raw.put(low, bits);
                    }
                }
            }
            classes.extend_from_slice(&row_classes);
            let whole = (t * height + y + 1) * filled;
            symbols.resize(whole, 0);
            classes.resize(whole, FILLER);
        }
        planes.next_frame();
    }
    let tables = tables_for(&symbols, &classes)?;
    let stream = encode_classed(&tables, &symbols, &classes, lanes_log2)?;
    let (tables, raw) = (tables.to_bytes(), raw.into_bytes());
    let mut out = vec![base];
    out.extend(modes.into_bytes());
    put(&mut out, tables.len() as u64);
    out.extend(tables);
    put(&mut out, raw.len() as u64);
    out.extend(raw);
    out.extend(stream);
    Ok(out)
}

/// The predictor of each channel that is least wrong over the frame.
fn best_modes(planes: &Planes) -> Vec<u8> {
    let Shape { channels, height, width, .. } = planes.shape;
    let mut sums = vec![[0u64; 4]; planes.lanes];
    for y in 0..height {
        for x in 0..width {
            for first in (0..planes.lanes).step_by(LANES) {
                let all = planes.predict(x, y, first);
                let at = planes.row(y) + x * planes.lanes + first;
                for (mode, guess) in all.iter().enumerate() {
                    for i in 0..LANES {
                        let wrong = (planes.values[at + i] - guess[i]) as i16;
                        sums[first + i][mode] += u64::from(wrong.unsigned_abs());
                    }
                }
            }
        }
    }
    let least = |sums: &[u64; 4]| (0..4u8).min_by_key(|&m| sums[usize::from(m)]).unwrap_or(0);
    sums[..channels].iter().map(least).collect()
}

/// Tables for the classes: neighbours that are alike share one.
fn tables_for(symbols: &[u8], classes: &[u8]) -> Result<Classes> {
    let mut counts = vec![[0u64; 64]; usize::from(FILLER) + 1];
    for (symbol, class) in symbols.iter().zip(classes) {
        counts[usize::from(*class)][usize::from(*symbol)] += 1;
    }
    let mut groups: Vec<(Vec<usize>, [u64; 64])> = Vec::new();
    for (class, counts) in counts[..usize::from(FILLER)].iter().enumerate() {
        if counts.iter().any(|&n| n > 0) {
            groups.push((vec![class], *counts));
        }
    }
    let together = |a: &[u64; 64], b: &[u64; 64]| -> [u64; 64] { core::array::from_fn(|s| a[s] + b[s]) };
    loop {
        let mut cheapest: Option<(usize, f64)> = None;
        for (i, pair) in groups.windows(2).enumerate() {
            let loss = cost(&together(&pair[0].1, &pair[1].1)) - cost(&pair[0].1) - cost(&pair[1].1);
            if cheapest.is_none_or(|(_, least)| loss < least) {
                cheapest = Some((i, loss));
            }
        }
        // Of a table's own bytes, about.
        let Some((i, loss)) = cheapest.filter(|(_, loss)| groups.len() >= TABLES || *loss < TABLE_BITS)
        else {
            break;
        };
        debug_assert!(loss > -1.0);
        let (members, added) = groups.remove(i + 1);
        let into = &mut groups[i];
        into.0.extend(members);
        into.1 = together(&into.1, &added);
    }
    let mut of_class = vec![0u8; usize::from(FILLER) + 1];
    let mut tables = Vec::new();
    let mut filler = [0u64; 64];
    filler[0] = 1;
    groups.push((vec![usize::from(FILLER)], filler));
    for (members, counts) in &groups {
        members.iter().for_each(|&class| of_class[class] = tables.len() as u8);
        let used: Vec<u16> = (0..u16::from(PLAIN_SYMBOLS)).filter(|&s| counts[usize::from(s)] > 0).collect();
        let of: Vec<u64> = used.iter().map(|&s| counts[usize::from(s)]).collect();
        tables.push(Table::from_counts(&used, &of, PRECISION)?);
    }
    let classes = of_class.into_iter().map(|table| Class { table, octaves: 0 }).collect();
    Classes::new(FloatFormat::Bf16, 0, classes, tables, None)
}

/// Bits of a table.
const TABLE_BITS: f64 = 160.0;

/// Bits of symbols that occur so often, under their own table.
fn cost(counts: &[u64; 64]) -> f64 {
    let all: u64 = counts.iter().sum();
    let bits = |&n: &u64| if n == 0 { 0.0 } else { n as f64 * (all as f64 / n as f64).log2() };
    counts.iter().map(bits).sum()
}

/// Decodes numbers, by frame, position and channel; calls `done` with those of each row: frame, row.
///
/// # Errors
/// What is malformed.
pub(super) fn decode(bytes: &[u8], shape: Shape, mut done: impl FnMut(usize, usize, &[i16])) -> Result<()> {
    let Shape { frames, channels, height, width } = shape;
    let mut rest = bytes;
    let base = i32::from(take_u8(&mut rest, "least degree")?);
    let mode_bytes = (frames as u64 * channels as u64).div_ceil(4);
    let mut modes = BitSource::new(take_bytes(&mut rest, mode_bytes, "modes")?);
    let length = take(&mut rest)?;
    let tables = Classes::parse(take_bytes(&mut rest, length, "tables")?)?;
    let used = tables.classes().len() == usize::from(FILLER) + 1 && tables.format() == FloatFormat::Bf16;
    let plain = tables.classes().iter().all(|c| c.octaves == 0);
    let below = tables.tables().iter().all(|t| t.values().last().is_some_and(|&v| v < LITERALS + 52));
    if !(used && plain && below && tables.top() == 0 && tables.signs().is_none()) {
        return Err(corrupt("classes of a grid"));
    }
    let length = take(&mut rest)?;
    let mut raw = RawBits { rest: take_bytes(&mut rest, length, "raw bits")?, window: 0, left: 0 };
    let mut decoder = ClassedDecoder::new(&tables, rest)?;
    let filled = (width * channels).next_multiple_of(decoder.lanes());
    let mut planes = Planes::new(shape);
    let lanes = planes.lanes;
    let (mut classes, mut row) = (Vec::new(), vec![0i16; width * channels]);
    let mut symbols = vec![0u16; filled];
    let mut residuals = vec![0i32; lanes];
    let mut masks = vec![[0i32; 4]; lanes];
    for t in 0..frames {
        for mask in &mut masks[..channels] {
            *mask = [0; 4];
            mask[modes.take(2)? as usize] = -1;
        }
        let by_mode: [Vec<i32>; 4] = core::array::from_fn(|m| masks.iter().map(|mask| mask[m]).collect());
        for y in 0..height {
            planes.classes(y, t == 0, base, &mut classes);
            classes.resize(filled, FILLER);
            for (classes, symbols) in classes.chunks(4096).zip(symbols.chunks_mut(4096)) {
                decoder.decode(classes, symbols)?;
            }
            for x in 0..width {
                for (residual, &symbol) in residuals.iter_mut().zip(&symbols[x * channels..][..channels]) {
                    let (bits, z) = SYMBOLS[usize::from(symbol) % 64];
                    let z = z | raw.take(bits.into());
                    *residual = (z >> 1) as i32 ^ -((z & 1) as i32);
                }
                planes.rebuild(x, y, &residuals, &by_mode);
                let at = planes.row(y) + x * lanes;
                for (out, value) in row[x * channels..][..channels].iter_mut().zip(&planes.values[at..]) {
                    *out = *value as i16;
                }
            }
            done(t, y, &row);
        }
        planes.next_frame();
    }
    modes.finish()?;
    raw.finish()?;
    decoder.finish()
}

impl Planes {
    /// Sets the values of a position, and what was wrong.
    #[inline(always)]
    fn rebuild(&mut self, x: usize, y: usize, residuals: &[i32], by_mode: &[Vec<i32>; 4]) {
        for first in (0..self.lanes).step_by(LANES) {
            let all = self.predict(x, y, first);
            let at = self.row(y) + x * self.lanes + first;
            let residuals: &[i32; LANES] = residuals[first..first + LANES].try_into().unwrap_or(&[0; LANES]);
            let masks: [&[i32; LANES]; 4] =
                core::array::from_fn(|m| by_mode[m][first..first + LANES].try_into().unwrap_or(&[0; LANES]));
            let (Some(values), Some(wrong)) = (
                self.values.get_mut(at..).and_then(<[i32]>::first_chunk_mut::<LANES>),
                self.wrong.get_mut(at..).and_then(<[i32]>::first_chunk_mut::<LANES>),
            ) else {
                return;
            };
            for i in 0..LANES {
                let guess = (all[0][i] & masks[0][i])
                    | (all[1][i] & masks[1][i])
                    | (all[2][i] & masks[2][i])
                    | (all[3][i] & masks[3][i]);
                // Modulo 2^16.
                values[i] = i32::from((guess + residuals[i]) as i16);
                wrong[i] = i32::from(residuals[i] as i16).abs();
            }
        }
    }
}

/// Bits of residuals, lowest first; zeros follow the end, which is noticed when all is read.
struct RawBits<'a> {
    rest: &'a [u8],
    window: u64,
    left: i64,
}

impl RawBits<'_> {
    #[inline(always)]
    fn take(&mut self, bits: u32) -> u32 {
        if self.left < 16 {
            self.refill();
        }
        let value = (self.window & ((1 << bits) - 1)) as u32;
        self.window >>= bits;
        self.left -= i64::from(bits);
        value
    }

    #[inline(always)]
    fn refill(&mut self) {
        match self.rest.split_first_chunk::<4>() {
            Some((word, rest)) if self.left >= 0 => {
                self.window |= u64::from(u32::from_le_bytes(*word)) << self.left;
                self.left += 32;
                self.rest = rest;
            }
            _ => self.refill_slowly(),
        }
    }

    #[cold]
    fn refill_slowly(&mut self) {
        while self.left >= 0 && self.left < 32 {
            let Some((&byte, rest)) = self.rest.split_first() else { return };
            self.window |= u64::from(byte) << self.left;
            self.left += 8;
            self.rest = rest;
        }
    }

    fn finish(self) -> Result<()> {
        if self.left < 0 {
            return Err(crate::error::truncated("raw bits"));
        }
        if !self.rest.is_empty() || self.left >= 8 || self.window != 0 {
            return Err(corrupt("raw bits left over"));
        }
        Ok(())
    }
}
