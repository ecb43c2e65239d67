//! Tokens, taken apart into digits that are coded as grids are (`SPEC.md` section 7.11).

use super::cells::Cells;
use super::dense::{COUNTED_INPUTS, Counted, Decisions, Dense, INPUTS, Light, Shape};
use super::digits::Free;
use super::grid::{FORM, LIGHT, MAX_CHANNELS, byte, take_shape};
use crate::binary::{BinaryDecoder, BinaryEncoder};
use crate::error::{CodingError, Result, corrupt, invalid};
use crate::varint::{put, take};

/// Digits are this far apart on the line of values.
const UNIT: i32 = 1 << 15;
/// The digit at value 0.
const ZERO: i32 = 3;
/// Levels of a digit at most.
const MAX_LEVELS: u64 = 256;

/// Tokens to be coded, in the order frame, token of the position, row, column.
#[derive(Debug, Clone, Copy)]
pub struct Tokens<'a> {
    /// Size; the channels are the tokens of a position.
    pub shape: Shape,
    /// Bytes of a token, which is an unsigned little-endian number: 1, 2, 4 or 8.
    pub size: usize,
    /// The tokens.
    pub bytes: &'a [u8],
    /// Of each token of a position, the levels of its digits, the least significant first: 2 to 256 each.
    pub levels: &'a [Vec<u16>],
}

/// Codes tokens; `whole`: with all there is.
///
/// # Errors
/// If the tokens do not fit their shape, or one is not below the product of its levels.
pub fn encode_tokens(tokens: &Tokens<'_>, whole: bool) -> Result<Vec<u8>> {
    let Tokens { shape, size, bytes, levels } = *tokens;
    if shape.count() == 0 || bytes.len() != size * shape.count() || levels.len() != shape.channels {
        return Err(invalid("tokens of another shape"));
    }
    let mut out = vec![FORM, size as u8];
    for size in [shape.channels, shape.height, shape.width] {
        put(&mut out, size as u64);
    }
    for levels in levels {
        put(&mut out, levels.len() as u64);
        levels.iter().for_each(|&level| put(&mut out, level.into()));
    }
    out.push(if whole { 4 } else { LIGHT });
    let (digits, counts) = digit_shape(shape, levels)?;
    let plane = shape.height * shape.width;
    let mut numbers = vec![0u16; digits.count()];
    for (at, numbers) in numbers.chunks_exact_mut(digits.channels).enumerate() {
        let (t, p) = (at / plane, at % plane);
        let mut numbers = numbers.iter_mut();
        for (k, levels) in levels.iter().enumerate() {
            let from = ((t * shape.channels + k) * plane + p) * size;
            let mut word = [0; 8];
            word[..size].copy_from_slice(&bytes[from..from + size]);
            let mut token = u64::from_le_bytes(word);
            for (&level, number) in levels.iter().zip(&mut numbers) {
                *number = (token % u64::from(level)) as u16;
                token /= u64::from(level);
            }
            if token > 0 {
                return Err(invalid("a token is not below the number of codes"));
            }
        }
    }
    let mut encoder = BinaryEncoder::new();
    code(digits, counts, whole.then_some(4), &mut encoder, &mut numbers);
    out.extend(encoder.finish());
    Ok(out)
}

fn code(
    shape: Shape,
    counts: Vec<i32>,
    unit: Option<u32>,
    decisions: &mut impl Decisions,
    numbers: &mut [u16],
) {
    let count = counts.iter().copied().max().unwrap_or(1) as u32;
    let cells = Cells::Even { count, zero: ZERO, unit: UNIT };
    match unit {
        Some(unit) => {
            Dense::<Counted, COUNTED_INPUTS>::new(cells, shape, unit)
                .with_counts(counts)
                .code(decisions, &Free, numbers);
        }
        None => {
            Dense::<Light, INPUTS>::new(cells, shape, 0).with_counts(counts).code(decisions, &Free, numbers);
        }
    }
}

/// Digits as channels, and the levels of each.
fn digit_shape(shape: Shape, levels: &[Vec<u16>]) -> Result<(Shape, Vec<i32>)> {
    let counts: Vec<i32> = levels.iter().flatten().map(|&level| level.into()).collect();
    let fits = |levels: &Vec<u16>| {
        let product = levels.iter().try_fold(1u64, |n, &level| n.checked_mul(level.into()));
        !levels.is_empty()
            && product.is_some()
            && levels.iter().all(|&l| (2..=MAX_LEVELS).contains(&l.into()))
    };
    if counts.len() > MAX_CHANNELS || !levels.iter().all(fits) {
        return Err(corrupt("levels of tokens"));
    }
    Ok((Shape { channels: counts.len(), ..shape }, counts))
}

/// Decodes a chunk into `out`, of the chunk's decoded length.
///
/// # Errors
/// What is malformed.
pub fn decode_tokens(payload: &[u8], out: &mut [u8]) -> Result<()> {
    let mut rest = payload;
    if byte(&mut rest)? != FORM {
        return Err(CodingError::Unsupported { what: "form of tokens", id: 0 });
    }
    let size = usize::from(byte(&mut rest)?);
    if !matches!(size, 1 | 2 | 4 | 8) {
        return Err(corrupt("size of tokens"));
    }
    let shape = take_shape(&mut rest, out.len(), size)?;
    let mut levels = Vec::new();
    let mut all = 0;
    for _ in 0..shape.channels {
        let count = take(&mut rest)?;
        all += count.min(1 << 32);
        if count == 0 || all > MAX_CHANNELS as u64 {
            return Err(corrupt("digits of tokens"));
        }
        let mut of_token = Vec::with_capacity(count as usize);
        for _ in 0..count {
            of_token.push(u16::try_from(take(&mut rest)?).unwrap_or(0));
        }
        levels.push(of_token);
    }
    let (digits, counts) = digit_shape(shape, &levels)?;
    let fits = |levels: &Vec<u16>| {
        let most = levels.iter().fold(1u128, |n, &l| n * u128::from(l));
        size == 8 || most <= 1 << (8 * size)
    };
    if !levels.iter().all(fits) {
        return Err(corrupt("levels of tokens that have no room for them"));
    }
    let unit = match byte(&mut rest)? {
        LIGHT => None,
        unit if unit <= 16 => Some(u32::from(unit)),
        _ => return Err(corrupt("unit of features")),
    };
    // Digits are as many as this times the bytes that come of them.
    let mut numbers = Vec::new();
    numbers.try_reserve_exact(digits.count()).map_err(|_| invalid("no memory for digits"))?;
    numbers.resize(digits.count(), 0u16);
    let mut decoder = BinaryDecoder::new(rest);
    code(digits, counts, unit, &mut decoder, &mut numbers);
    if !decoder.is_drained() {
        return Err(corrupt("bytes follow the tokens"));
    }
    let plane = shape.height * shape.width;
    for (at, numbers) in numbers.chunks_exact(digits.channels).enumerate() {
        let (t, p) = (at / plane, at % plane);
        let mut numbers = numbers.iter();
        for (k, levels) in levels.iter().enumerate() {
            let (mut token, mut base) = (0u64, 1u64);
            for (&level, &number) in levels.iter().zip(&mut numbers) {
                token += u64::from(number) * base;
                base = base.saturating_mul(level.into());
            }
            let from = ((t * shape.channels + k) * plane + p) * size;
            out[from..from + size].copy_from_slice(&token.to_le_bytes()[..size]);
        }
    }
    Ok(())
}
