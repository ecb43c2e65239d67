//! The payload of a chunk of a grid: what its numbers are, then their codes (`SPEC.md` sections 7.8 and 7.9).

use super::beside;
use super::cells::{Cells, VALUE_LIMIT};
use super::dense::{Decisions, Dense, INPUTS, Light, REFINED_INPUTS, Refined, Shape, Whole};
use super::digits::{Bounds, Digits, Free, Known};
use super::element::Element;
use super::fast;
use super::level::Level;
use super::output::Output;
use super::tokens::TokenModel;
use crate::binary::{BinaryDecoder, BinaryEncoder};
use crate::error::{CodingError, Result, corrupt, invalid, truncated};
use crate::varint::{put as put_varint, take as take_varint, take_bytes, take_u8};

/// First byte of a payload that is not stored.
pub const FORM: u8 = 1;
/// Channels of a grid at most.
pub const MAX_CHANNELS: usize = 4096;

const QUANTISED: u8 = 1;
const SHARED_STATISTICS: u8 = 2;
const REFINED: u8 = 4;
const BESIDE: u8 = 8;
/// Where a payload has its flags.
const FLAGS_AT: usize = 2;
const FLAGS: u8 = QUANTISED | SHARED_STATISTICS | REFINED | BESIDE;
/// Features are looked at in units of this power of two.
const FEATURE_SHIFT: u32 = 4;
/// In the place of that: there are no least squares.
pub(super) const LIGHT: u8 = 255;

/// Mean and standard deviation of each channel.
#[derive(Debug, Clone, PartialEq)]
pub struct Statistics(Vec<(f32, f32)>);

impl Statistics {
    /// Of all channels.
    ///
    /// # Errors
    /// If there are no channels, or a number is not finite, or a deviation not above 0.
    pub fn new(channels: Vec<(f32, f32)>) -> Result<Self> {
        let fine =
            |(mean, deviation): &(f32, f32)| mean.is_finite() && deviation.is_finite() && *deviation > 0.0;
        if channels.is_empty() || channels.len() > MAX_CHANNELS || !channels.iter().all(fine) {
            return Err(corrupt("statistics of channels"));
        }
        Ok(Self(channels))
    }

    /// Reads `8` bytes for each channel.
    ///
    /// # Errors
    /// As [`Statistics::new`].
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let float = |b: &[u8]| f32::from_le_bytes([b[0], b[1], b[2], b[3]]);
        if !bytes.len().is_multiple_of(8) {
            return Err(corrupt("statistics of channels"));
        }
        Self::new(bytes.chunks_exact(8).map(|b| (float(b), float(&b[4..]))).collect())
    }

    /// Mean and deviation of each channel.
    #[must_use]
    pub fn channels(&self) -> &[(f32, f32)] {
        &self.0
    }

    /// The bytes that [`Statistics::parse`] reads.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.iter().flat_map(|(m, d)| [m.to_le_bytes(), d.to_le_bytes()].concat()).collect()
    }
}

/// Shared objects of an entry, by dependency index.
pub trait SharedObjects {
    /// Statistics of channels.
    fn statistics(&self, dependency: u32) -> Option<&Statistics>;

    /// What tokens are coded under.
    fn token_model(&self, dependency: u32) -> Option<&TokenModel>;

    /// What digits of tokens stand for.
    fn digits(&self, _dependency: u32) -> Option<&Digits> {
        None
    }

    /// What numbers of a coarser grid stand for.
    fn level(&self, _dependency: u32) -> Option<&Level> {
        None
    }
}

/// How numbers became whole ones: `round((x - mean) / (step * deviation))`.
#[derive(Debug, Clone, Copy)]
pub struct Quantiser<'a> {
    /// Size of a step in standard deviations.
    pub step: f32,
    /// Mean and deviation of each channel.
    pub statistics: &'a Statistics,
    /// Where the statistics are stored, if not in the chunk.
    pub dependency: Option<u32>,
}

impl Quantiser<'_> {
    /// The number that stands for a value of channel `c`; `None` if the value is not finite, or too far away.
    #[must_use]
    pub fn number(&self, c: usize, value: f64) -> Option<i32> {
        let (mean, deviation) = self.statistics.0[c];
        let number = ((value - f64::from(mean)) / (f64::from(self.step) * f64::from(deviation))).round();
        (number.abs() < 32_000.0).then_some(number as i32)
    }

    /// What a number of channel `c` stands for.
    #[inline(always)]
    #[must_use]
    pub fn value(&self, c: usize, number: i32) -> f64 {
        let (mean, deviation) = self.statistics.0[c];
        f64::from(mean) + f64::from(number) * (f64::from(self.step) * f64::from(deviation))
    }

    /// Puts what a number of channel `c` stands for.
    pub fn put(&self, c: usize, number: i32, element: Element, out: &mut [u8]) {
        element.put_value(self.value(c, number), out);
    }
}

/// A grid to be coded: elements in the order frame, channel, row, column.
#[derive(Debug, Clone, Copy)]
pub struct Grid<'a> {
    /// Its size.
    pub shape: Shape,
    /// What its elements are when decoded.
    pub element: Element,
    /// Elements as they are, or whole numbers that stand for them.
    pub content: GridContent<'a>,
}

/// See [`Grid`].
#[derive(Debug, Clone, Copy)]
pub enum GridContent<'a> {
    /// The bytes of the elements.
    Bytes(&'a [u8]),
    /// Numbers, and how they came about.
    Quantised(&'a [i16], Quantiser<'a>),
}

/// Which coder a grid is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coder {
    /// Hundreds of megabytes in a second.
    Fast,
    /// Few bits.
    Dense,
    /// The dense coder with less to it.
    Light,
}

/// What is known where a grid is decoded: tokens, whose digits say what its numbers can be, or the numbers of a coarser grid.
#[derive(Debug, Clone, Copy)]
pub struct Base<'a> {
    /// The tokens, in the order frame, token of the position, row, column; or numbers of 16 bits, frame, channel, row, column.
    pub tokens: &'a [u8],
    /// What they tell.
    pub told: Told<'a>,
    /// Which dependency that is.
    pub dependency: u32,
}

/// See [`Base`].
#[derive(Debug, Clone, Copy)]
pub enum Told<'a> {
    /// What digits of tokens stand for.
    Digits(&'a Digits),
    /// What numbers stand for.
    Level(&'a Level),
}

impl Told<'_> {
    /// What is known of the numbers of a grid of this shape, `count` from `low` on; they are indices of `indexed` if they are not quantised.
    fn known(
        &self,
        shape: Shape,
        tokens: &[u8],
        indexed: Option<Element>,
        (low, count): (i32, i32),
    ) -> Result<Known> {
        let level = match self {
            Self::Digits(digits) => return Known::of_tokens(digits, shape, tokens, (low, count)),
            Self::Level(level) => level,
        };
        match indexed {
            Some(element) if element.float().is_some() => level.known(shape, tokens, indexed, (low, count)),
            // Integers are numbers themselves.
            Some(element @ (Element::I16 | Element::I8)) => {
                level.known(shape, tokens, None, (low - element.middle(), count))
            }
            _ => level.known(shape, tokens, None, (low, count)),
        }
    }
}

/// Codes a grid.
///
/// # Errors
/// If the grid is empty, or its content does not fit its shape.
pub fn encode(grid: &Grid<'_>, coder: Coder) -> Result<Vec<u8>> {
    encode_refined(grid, coder, None)
}

/// Codes a grid, by what tokens tell of it if there are such; then not with the fast coder.
///
/// # Errors
/// If the grid is empty, or its content does not fit its shape or the tokens.
pub fn encode_refined(grid: &Grid<'_>, coder: Coder, base: Option<&Base<'_>>) -> Result<Vec<u8>> {
    if coder == Coder::Fast && base.is_some() {
        return Err(invalid("fast grids are not refined"));
    }
    let refined = if base.is_some() { REFINED } else { 0 };
    let put_base = |out: &mut Vec<u8>| base.iter().for_each(|b| put_varint(out, b.dependency.into()));
    let Shape { frames, channels, height, width } = grid.shape;
    if grid.shape.count() == 0 || channels > MAX_CHANNELS {
        return Err(invalid("a grid of no elements, or too many channels"));
    }
    let plane = height * width;
    // From frame, channel, position to frame, position, channel.
    let places = || {
        (0..frames).flat_map(move |t| {
            (0..plane).flat_map(move |p| (0..channels).map(move |c| (t * channels + c) * plane + p))
        })
    };
    let mut out = vec![FORM, grid.element as u8];
    let mut low_halves = Vec::new();
    match grid.content {
        GridContent::Bytes(bytes) => {
            let size = grid.element.bytes();
            if bytes.len() != size * grid.shape.count() {
                return Err(invalid("the elements of a grid"));
            }
            let mut numbers = Vec::with_capacity(grid.shape.count());
            for at in places() {
                let (index, low) = grid.element.index_of(&bytes[at * size..][..size]);
                numbers.push(index);
                if grid.element == Element::F32 {
                    low_halves.extend(low.to_le_bytes());
                }
            }
            out.push(refined);
            put_shape(&mut out, &grid.shape);
            put_base(&mut out);
            out.extend(low_halves);
            if coder == Coder::Fast {
                let middle = grid.element.middle();
                let numbers: Vec<i16> = numbers.iter().map(|&n| (i32::from(n) - middle) as i16).collect();
                out.extend(fast::encode(grid.shape, &numbers, if size == 1 { 1 } else { 9 })?);
                return Ok(out);
            }
            let (cells, low) = put_cells(&mut out, grid.element, bytes, &mut numbers);
            let base = (base, Some(grid.element));
            put_dense(&mut out, cells, grid.shape, coder == Coder::Light, base, low, &mut numbers)?;
        }
        GridContent::Quantised(all, quantiser) => {
            if all.len() != grid.shape.count() || quantiser.statistics.0.len() != channels {
                return Err(invalid("the numbers of a grid"));
            }
            let shared = if quantiser.dependency.is_some() { SHARED_STATISTICS } else { 0 };
            out.push(QUANTISED | shared | refined);
            put_shape(&mut out, &grid.shape);
            put_base(&mut out);
            out.extend(quantiser.step.to_le_bytes());
            match quantiser.dependency {
                Some(dependency) => put_varint(&mut out, dependency.into()),
                None => out.extend(quantiser.statistics.to_bytes()),
            }
            if coder == Coder::Fast {
                let numbers: Vec<i16> = places().map(|at| all[at]).collect();
                out.extend(fast::encode(grid.shape, &numbers, 1)?);
                return Ok(out);
            }
            let low = all.iter().copied().min().map_or(0, i32::from);
            let high = all.iter().copied().max().map_or(0, i32::from);
            let unit = (f64::from(quantiser.step) * 65536.0).round().clamp(1.0, 65536.0) as i32;
            let mut numbers: Vec<u16> = places().map(|at| (i32::from(all[at]) - low) as u16).collect();
            let cells = put_even(&mut out, low, (high - low + 1) as u32, -low, unit);
            put_dense(&mut out, cells, grid.shape, coder == Coder::Light, (base, None), low, &mut numbers)?;
        }
    }
    Ok(out)
}

/// Codes numbers, of which 0 stands for `low`.
fn put_dense(
    out: &mut Vec<u8>,
    cells: Cells,
    shape: Shape,
    light: bool,
    (base, indexed): (Option<&Base<'_>>, Option<Element>),
    low: i32,
    numbers: &mut [u16],
) -> Result<()> {
    out.push(if light { LIGHT } else { FEATURE_SHIFT as u8 });
    let asked = base.is_none() && beside::pays(numbers, shape.channels, (shape.height, shape.width));
    if let Some(flags) = out.get_mut(FLAGS_AT).filter(|_| asked) {
        *flags |= BESIDE;
    }
    let mut encoder = BinaryEncoder::new();
    let shift = if light { None } else { Some(FEATURE_SHIFT) };
    match base {
        None => code(cells, shape, (shift, asked), &mut encoder, &Free, numbers),
        Some(base) => {
            let known = base.told.known(shape, base.tokens, indexed, (low, cells.count()))?;
            let channels = shape.channels;
            let can_be = |(at, &number): (usize, &u16)| {
                let (first, end) = known.of(at / channels, at % channels, cells.count());
                (first..end).contains(&number.into())
            };
            if !numbers.iter().enumerate().all(can_be) {
                return Err(invalid("tokens are not of the grid"));
            }
            code(cells, shape, (shift, false), &mut encoder, &known, numbers);
        }
    }
    out.extend(encoder.finish());
    Ok(())
}

/// Codes numbers with least squares of features in this unit, or without; `asked`: whether positions are what is beside them.
fn code<B: Bounds>(
    cells: Cells,
    shape: Shape,
    (shift, asked): (Option<u32>, bool),
    decisions: &mut impl Decisions,
    bounds: &B,
    numbers: &mut [u16],
) {
    match shift {
        Some(shift) if B::NARROW => {
            Dense::<Refined, REFINED_INPUTS>::new(cells, shape, shift).code(decisions, bounds, numbers);
        }
        Some(shift) => {
            Dense::<Whole, INPUTS>::new(cells, shape, shift)
                .with_beside(asked)
                .code(decisions, bounds, numbers);
        }
        None => {
            Dense::<Light, INPUTS>::new(cells, shape, 0).with_beside(asked).code(decisions, bounds, numbers);
        }
    }
}

fn put_shape(out: &mut Vec<u8>, shape: &Shape) {
    for size in [shape.channels, shape.height, shape.width] {
        put_varint(out, size as u64);
    }
}

fn put_even(out: &mut Vec<u8>, low: i32, count: u32, zero: i32, unit: i32) -> Cells {
    // All values must lie within the line.
    let far = zero.unsigned_abs().max((count as i32 - zero).unsigned_abs()).max(1);
    let unit = unit.min((VALUE_LIMIT as u32 / 2 / far).max(1) as i32);
    put_signed(out, low.into());
    put_varint(out, count.into());
    put_signed(out, zero.into());
    put_varint(out, unit as u64);
    Cells::Even { count, zero, unit }
}

/// Says what the elements are, once it is known how large they are. Indices of even cells are made to begin at 0; returns what that stands
/// for, too.
fn put_cells(out: &mut Vec<u8>, element: Element, bytes: &[u8], numbers: &mut [u16]) -> (Cells, i32) {
    if element.float().is_some() {
        let (mut sum, mut count) = (0.0, 0u32);
        for value in bytes.chunks_exact(element.bytes()).map(|b| element.value(b)).filter(|v| v.is_finite()) {
            sum += value.abs();
            count += 1;
        }
        let mean = sum / f64::from(count.max(1));
        let log = if mean > 0.0 { mean.log2().round() } else { 0.0 };
        let shift = (16.0 - log).clamp(-120.0, 120.0) as i8;
        out.push(shift as u8);
        let cells = element.float_cells(shift.into());
        return (cells.unwrap_or(Cells::Even { count: 1, zero: 0, unit: 1 }), 0);
    }
    let low = numbers.iter().copied().min().unwrap_or(0);
    let count = numbers.len().max(1) as f64;
    let mean = numbers.iter().map(|&n| f64::from(n - low)).sum::<f64>() / count;
    let spread = numbers.iter().map(|&n| (f64::from(n - low) - mean).powi(2)).sum::<f64>() / count;
    numbers.iter_mut().for_each(|n| *n -= low);
    let high = numbers.iter().copied().max().unwrap_or(0);
    let unit = (65536.0 / spread.sqrt().max(0.25)) as i32;
    (put_even(out, low.into(), u32::from(high) + 1, mean.round() as i32, unit), low.into())
}

/// What a payload says of its numbers.
struct Head<'a> {
    shape: Shape,
    element: Element,
    quantised: Option<(f32, Statistics)>,
    /// Of `F32`, the lower half of each element, in the order of the numbers.
    low_halves: &'a [u8],
    /// Which dependency says what tokens tell.
    digits: Option<u32>,
    /// Whether it is asked of positions if they are what is beside them.
    asked: bool,
}

/// Decodes a chunk into `out`, of the chunk's decoded length.
///
/// # Errors
/// What is malformed, or not supported.
pub fn decode(payload: &[u8], coder: Coder, shared: &impl SharedObjects, out: &mut [u8]) -> Result<()> {
    decode_refined(payload, coder, shared, &[], out)
}

/// Decodes a chunk that may be coded by what `tokens` tell, those of the same frames.
///
/// # Errors
/// As [`decode`].
pub fn decode_refined(
    payload: &[u8],
    coder: Coder,
    shared: &impl SharedObjects,
    tokens: &[u8],
    out: &mut [u8],
) -> Result<()> {
    let mut rest = payload;
    let head = Head::parse(&mut rest, shared, out.len())?;
    if (head.digits.is_some() || head.asked) && coder == Coder::Fast {
        return Err(corrupt("a fast grid that is refined, or asks what is beside"));
    }
    let Shape { channels, height, width, .. } = head.shape;
    if coder == Coder::Fast {
        let middle = if head.quantised.is_some() { 0 } else { head.element.middle() };
        return fast::decode(rest, head.shape, head.output(middle, out));
    }
    let (cells, low) = head.take_cells(&mut rest)?;
    let shift = match byte(&mut rest)? {
        LIGHT => None,
        shift if shift <= 16 => Some(u32::from(shift)),
        _ => return Err(corrupt("unit of features")),
    };
    let mut numbers = vec![0u16; head.shape.count()];
    let mut decoder = BinaryDecoder::new(rest);
    match head.digits {
        None => code(cells, head.shape, (shift, head.asked), &mut decoder, &Free, &mut numbers),
        Some(dependency) => {
            let digits = shared.digits(dependency).map(Told::Digits);
            let told = digits.or_else(|| shared.level(dependency).map(Told::Level));
            let told = told.ok_or(CodingError::MissingTable { dependency })?;
            let indexed = if head.quantised.is_some() { None } else { Some(head.element) };
            let known = told.known(head.shape, tokens, indexed, (low, cells.count()))?;
            code(cells, head.shape, (shift, false), &mut decoder, &known, &mut numbers);
        }
    }
    if !decoder.is_drained() {
        return Err(corrupt("bytes follow the numbers of a grid"));
    }
    let mut output = head.output(low, out);
    for (t, numbers) in numbers.chunks_exact(height * width * channels).enumerate() {
        output.put(t, 0, numbers);
    }
    Ok(())
}

impl<'a> Head<'a> {
    fn parse(rest: &mut &'a [u8], shared: &impl SharedObjects, len: usize) -> Result<Self> {
        if byte(rest)? != FORM {
            return Err(CodingError::Unsupported { what: "form of a grid", id: 0 });
        }
        let id = byte(rest)?.into();
        let element =
            Element::by_id(id).ok_or(CodingError::Unsupported { what: "element type of a grid", id })?;
        let flags = byte(rest)?;
        let asked = flags & BESIDE != 0;
        let at_odds = flags & (QUANTISED | SHARED_STATISTICS) == SHARED_STATISTICS
            || flags & (REFINED | BESIDE) == REFINED | BESIDE;
        if flags & !FLAGS != 0 || at_odds {
            return Err(corrupt("flags of a grid"));
        }
        let shape = take_shape(rest, len, element.bytes(), None)?;
        let digits = match flags & REFINED {
            0 => None,
            _ => Some(u32::try_from(take_varint(rest)?).unwrap_or(u32::MAX)),
        };
        if flags & QUANTISED == 0 {
            let low_halves = match element {
                Element::F32 => take_bytes(rest, 2 * shape.count() as u64, "low halves")?,
                _ => &[],
            };
            return Ok(Self { shape, element, quantised: None, low_halves, digits, asked });
        }
        if element.float().is_none() {
            return Err(corrupt("quantised elements that are no floats"));
        }
        let step = f32::from_le_bytes(array(rest)?);
        if !(step.is_finite() && step > 0.0) {
            return Err(corrupt("step of a grid"));
        }
        let statistics = if flags & SHARED_STATISTICS != 0 {
            let dependency = u32::try_from(take_varint(rest)?).unwrap_or(u32::MAX);
            let found = shared.statistics(dependency);
            found.cloned().ok_or(CodingError::MissingTable { dependency })?
        } else {
            Statistics::parse(take_bytes(rest, 8 * shape.channels as u64, "statistics")?)?
        };
        if statistics.0.len() != shape.channels {
            return Err(corrupt("statistics of other channels"));
        }
        let quantised = Some((step, statistics));
        Ok(Self { shape, element, quantised, low_halves: &[], digits, asked })
    }

    /// The cells of the dense coder's numbers, and what number 0 is.
    fn take_cells(&self, rest: &mut &[u8]) -> Result<(Cells, i32)> {
        if self.quantised.is_none() && self.element.float().is_some() {
            let shift = byte(rest)? as i8;
            let cells = self.element.float_cells(shift.into());
            return Ok((cells.ok_or(corrupt("element type of a grid"))?, 0));
        }
        take_even(rest)
    }

    fn output<'o>(&'o self, zero: i32, out: &'o mut [u8]) -> Output<'o> {
        Output::new(self.shape, self.element, zero, self.quantised.as_ref(), self.low_halves, out)
    }
}

pub(super) fn byte(rest: &mut &[u8]) -> Result<u8> {
    take_u8(rest, "head of a grid")
}

fn put_signed(out: &mut Vec<u8>, value: i64) {
    put_varint(out, (value << 1 ^ value >> 63) as u64);
}

fn take_signed(rest: &mut &[u8]) -> Result<i64> {
    let value = take_varint(rest)?;
    Ok((value >> 1) as i64 ^ -((value & 1) as i64))
}

fn array<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N]> {
    let (array, after) = rest.split_first_chunk().ok_or(truncated("head of a grid"))?;
    *rest = after;
    Ok(*array)
}

/// Channels (unless they are known), height and width; frames are as many as the decoded bytes hold.
pub(super) fn take_shape(
    rest: &mut &[u8],
    len: usize,
    size: usize,
    channels: Option<usize>,
) -> Result<Shape> {
    let mut sizes = [channels.unwrap_or(0), 0, 0];
    for out in sizes.iter_mut().skip(usize::from(channels.is_some())) {
        *out = usize::try_from(take_varint(rest)?).unwrap_or(usize::MAX);
    }
    let [channels, height, width] = sizes;
    let frame = sizes.iter().try_fold(size, |n, &d| n.checked_mul(d)).filter(|&n| n > 0 && n <= len);
    let Some(frame) = frame.filter(|n| len.is_multiple_of(*n)) else {
        return Err(corrupt("the shape of a grid is not that of the chunk"));
    };
    if channels > MAX_CHANNELS {
        return Err(CodingError::TooLarge {
            what: "channels",
            size: channels as u64,
            limit: MAX_CHANNELS as u64,
        });
    }
    Ok(Shape { frames: len / frame, channels, height, width })
}

fn take_even(rest: &mut &[u8]) -> Result<(Cells, i32)> {
    let low = take_signed(rest)?;
    let count = take_varint(rest)?;
    let zero = take_signed(rest)?;
    let unit = take_varint(rest)?;
    let fits = (1..=1 << 16).contains(&count)
        && (-(1 << 16)..1 << 16).contains(&low)
        && (-(1 << 17)..1 << 17).contains(&zero)
        && (1..=1 << 22).contains(&unit);
    if !fits {
        return Err(corrupt("numbers of a grid"));
    }
    Ok((Cells::Even { count: count as u32, zero: zero as i32, unit: unit as i32 }, low as i32))
}
