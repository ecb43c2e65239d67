//! The fast coder: the best of four predictors for each channel and frame, symbols under classes of what was wrong around them in
//! the row above and the frame before. A row's classes are known before its first symbol, so that all of it is decoded at once.

mod deposit;
mod planes;
mod residuals;
mod tables;

use super::avx2::{self, Work};
use super::dense::Shape;
use super::output::Output;
use crate::bits::{BitSink, BitSource};
use crate::error::{Result, corrupt};
use crate::labelled::{ClassedDecoder, Classes, FloatFormat, encode_classed};
use crate::varint::{put, take, take_bytes, take_u8};
use planes::{LANES, Modes, Planes, best_modes};
use residuals::{RawBits, SYMBOLS, symbol_of};
use tables::tables_for;

/// Classes of a frame: half octaves of what was wrong nearby.
const DEGREES: usize = 24;
/// The greatest least degree: twice the logarithm of 2^16, less all degrees but the last.
const MOST_BASE: u8 = 32 - (DEGREES as u8 - 1);
/// The class of what fills a row up to whole lanes; the others are those of first frames, then those of other frames.
const FILLER: u8 = 2 * DEGREES as u8;

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
                    planes.values[at + c] = frame[(y * width + x) * channels + c];
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
                        let residual = i32::from((i32::from(planes.values[at + i]) - guess) as i16);
                        planes.wrong[at + i] = (residual as i16).unsigned_abs();
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

/// Decodes numbers, by frame, position and channel, and puts their elements.
///
/// # Errors
/// What is malformed.
pub(super) fn decode(bytes: &[u8], shape: Shape, output: Output<'_>) -> Result<()> {
    let mut rest = bytes;
    let base = take_u8(&mut rest, "least degree")?;
    if base > MOST_BASE {
        return Err(corrupt("least degree"));
    }
    let mode_bytes = (shape.frames as u64 * shape.channels as u64).div_ceil(4);
    let modes = BitSource::new(take_bytes(&mut rest, mode_bytes, "modes")?);
    let length = take(&mut rest)?;
    let tables = Classes::parse(take_bytes(&mut rest, length, "tables")?)?;
    let used = tables.classes().len() == usize::from(FILLER) + 1 && tables.format() == FloatFormat::Bf16;
    let plain = tables.classes().iter().all(|c| c.octaves == 0);
    let below = tables.tables().iter().all(|t| t.values().last().is_some_and(|&v| v < SYMBOLS));
    if !(used && plain && below && tables.top() == 0 && tables.signs().is_none()) {
        return Err(corrupt("classes of a grid"));
    }
    let length = take(&mut rest)?;
    let raw = RawBits::new(take_bytes(&mut rest, length, "raw bits")?);
    let symbols = ClassedDecoder::new(&tables, rest)?;
    avx2::run(Frames { shape, base: base.into(), modes, raw, symbols, output })
}

/// The frames of a grid, which are decoded row by row.
struct Frames<'a, 'o> {
    shape: Shape,
    base: i32,
    modes: BitSource<'a>,
    raw: RawBits<'a>,
    symbols: ClassedDecoder<'a>,
    output: Output<'o>,
}

impl Work for Frames<'_, '_> {
    type Done = Result<()>;

    #[inline(always)]
    fn work(mut self) -> Result<()> {
        let Shape { frames, channels, height, width } = self.shape;
        let count = width * channels;
        let filled = count.next_multiple_of(self.symbols.lanes());
        let mut planes = Planes::new(self.shape);
        let mut modes = Modes::new(planes.lanes);
        let (mut classes, mut row) = (Vec::new(), vec![0i16; count]);
        let mut symbols = vec![0u16; filled];
        let mut residuals = vec![0u16; count];
        let mut filled_up = if planes.lanes == channels { Vec::new() } else { vec![0; width * planes.lanes] };
        for t in 0..frames {
            for c in 0..channels {
                modes.set(c, self.modes.take(2)? as usize);
            }
            for y in 0..height {
                planes.classes(y, t == 0, self.base, &mut classes);
                classes.resize(filled, FILLER);
                for (classes, symbols) in classes.chunks(4096).zip(symbols.chunks_mut(4096)) {
                    self.symbols.decode(classes, symbols)?;
                }
                self.raw.residuals(&symbols[..count], &mut residuals);
                let positions = filled_up.chunks_exact_mut(planes.lanes);
                for (filled_up, residuals) in positions.zip(residuals.chunks_exact(channels)) {
                    filled_up[..channels].copy_from_slice(residuals);
                }
                let all = if filled_up.is_empty() { &residuals } else { &filled_up };
                planes.rebuild(y, all, &mut modes);
                self.output.put(t, y * width, planes.row_without_fill(y, &mut row));
            }
            planes.next_frame();
        }
        self.modes.finish()?;
        self.raw.finish()?;
        self.symbols.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::super::element::Element;
    use super::*;
    use crate::error::CodingError;

    #[test]
    fn a_least_degree_is_at_most_what_sixteen_bits_allow() {
        let shape = Shape { frames: 2, channels: 3, height: 4, width: 5 };
        let numbers: Vec<i16> = (0..120i32).map(|i| (i * i * 547 % 65_521 - 32_760) as i16).collect();
        for base in 0..=MOST_BASE + 1 {
            let payload = encode(shape, &numbers, base).unwrap();
            let mut out = [0; 240];
            let done =
                decode(&payload, shape, Output::new(shape, Element::Bf16, 0x8000, None, &[], &mut out));
            let is_refused = matches!(done, Err(CodingError::Corrupt { what: "least degree", .. }));
            assert_eq!((done.is_ok(), is_refused), (base <= MOST_BASE, base > MOST_BASE), "{done:?}");
        }
    }
}
