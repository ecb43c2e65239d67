//! Tokens, as digits that are coded as grids are, or as codes of a codebook; by themselves or under a model (`SPEC.md` section 7.11).

use super::dense::Shape;
use super::grid::{FORM, SharedObjects, byte, take_shape};
use super::scheme::{Coder, TokenScheme};
use crate::binary::{BinaryDecoder, BinaryEncoder};
use crate::error::{CodingError, Result, corrupt, invalid};
use crate::varint::{put, take};

/// First byte of a payload under a model.
const UNDER_MODEL: u8 = 2;
/// First byte of a payload that is a part of a model's example.
const OF_EXAMPLE: u8 = 3;
/// Numbers of an example at most.
const MAX_EXAMPLE: u64 = 1 << 21;
/// Numbers of one frame of it.
const MAX_EXAMPLE_FRAME: u64 = 1 << 19;

/// Tokens to be coded, in the order frame, token of the position, row, column.
#[derive(Debug, Clone, Copy)]
pub struct Tokens<'a> {
    /// Size; the channels are the tokens of a position.
    pub shape: Shape,
    /// Bytes of a token, which is an unsigned little-endian number: 1, 2, 4 or 8.
    pub size: usize,
    /// The tokens.
    pub bytes: &'a [u8],
}

impl Tokens<'_> {
    /// Whether they are those of a scheme.
    fn check(&self, scheme: &TokenScheme) -> Result<()> {
        let Self { shape, size, bytes } = *self;
        let fits =
            shape.count() > 0 && bytes.len() == size * shape.count() && scheme.tokens() == shape.channels;
        if fits && matches!(size, 1 | 2 | 4 | 8) { Ok(()) } else { Err(invalid("tokens of another shape")) }
    }

    /// The token `k` of position `p` of frame `t`.
    fn at(&self, t: usize, k: usize, p: usize) -> u64 {
        let from = ((t * self.shape.channels + k) * self.shape.height * self.shape.width + p) * self.size;
        let mut word = [0; 8];
        word[..self.size].copy_from_slice(&self.bytes[from..from + self.size]);
        u64::from_le_bytes(word)
    }

    /// The numbers that a scheme makes of them, those of a position side by side.
    fn numbers(&self, scheme: &TokenScheme) -> Result<Vec<u16>> {
        let Shape { frames, channels, height, width } = self.shape;
        let mut numbers = Vec::with_capacity(frames * height * width * scheme.numbers());
        for t in 0..frames {
            for p in 0..height * width {
                for k in 0..channels {
                    scheme.take_apart(k, self.at(t, k, p), &mut numbers)?;
                }
            }
        }
        Ok(numbers)
    }
}

/// Puts what numbers stand for into `out`, which is as long as they are.
fn put_tokens(scheme: &TokenScheme, shape: Shape, size: usize, numbers: &[u16], out: &mut [u8]) {
    let plane = shape.height * shape.width;
    for (at, numbers) in numbers.chunks_exact(scheme.numbers()).enumerate() {
        let (t, p) = (at / plane, at % plane);
        let mut rest = numbers;
        for k in 0..shape.channels {
            let token = scheme.put_together(k, &mut rest);
            let from = ((t * shape.channels + k) * plane + p) * size;
            out[from..from + size].copy_from_slice(&token.to_le_bytes()[..size]);
        }
    }
}

/// Codes tokens by themselves.
///
/// # Errors
/// If the tokens do not fit their shape, or one is not of the scheme.
pub fn encode_tokens(tokens: &Tokens<'_>, scheme: &TokenScheme) -> Result<Vec<u8>> {
    tokens.check(scheme)?;
    let Tokens { shape, size, .. } = *tokens;
    let mut out = vec![FORM, size as u8];
    for size in [shape.channels, shape.height, shape.width] {
        put(&mut out, size as u64);
    }
    scheme.put(&mut out);
    let mut numbers = tokens.numbers(scheme)?;
    let mut encoder = BinaryEncoder::new();
    scheme.code_orders(&mut encoder)?;
    scheme.coder(shape).code(&mut encoder, shape, &mut numbers);
    out.extend(encoder.finish());
    Ok(out)
}

/// What tokens of several chunks are coded under: their scheme, and what a coder learned from an example.
#[derive(Debug, Clone)]
pub struct TokenModel {
    scheme: TokenScheme,
    /// Of the example: frames are 0 if there is none.
    shape: Shape,
    numbers: Vec<u16>,
    coder: Coder,
}

impl TokenModel {
    /// Of a scheme and an example, and its bytes.
    ///
    /// # Errors
    /// If the example is not of the scheme, or has more numbers than an example has.
    pub fn new(scheme: TokenScheme, example: Option<&Tokens<'_>>) -> Result<(Self, Vec<u8>)> {
        let none = Shape { frames: 0, channels: scheme.tokens(), height: 1, width: 1 };
        let shape = example.map_or(none, |tokens| tokens.shape);
        let mut numbers = Vec::new();
        if let Some(tokens) = example {
            tokens.check(&scheme)?;
            numbers = tokens.numbers(&scheme)?;
        }
        let of_frame = (shape.height * shape.width * scheme.numbers()) as u64;
        if numbers.len() as u64 > MAX_EXAMPLE || of_frame > MAX_EXAMPLE_FRAME {
            return Err(invalid("an example of too many numbers"));
        }
        let mut out = Vec::new();
        for size in [shape.frames, shape.channels, shape.height, shape.width] {
            put(&mut out, size as u64);
        }
        scheme.put(&mut out);
        let mut encoder = BinaryEncoder::new();
        scheme.code_orders(&mut encoder)?;
        let mut coder = scheme.coder(shape);
        coder.code(&mut encoder, shape, &mut numbers);
        coder.forget_frames();
        out.extend(encoder.finish());
        Ok((Self { scheme, shape, numbers, coder }, out))
    }

    /// Numbers that an example may have at most.
    #[must_use]
    pub fn max_example() -> u64 {
        MAX_EXAMPLE
    }

    /// Reads what [`TokenModel::new`] wrote, and learns from it.
    ///
    /// # Errors
    /// What is malformed.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let mut rest = bytes;
        let mut sizes = [0u64; 4];
        for out in &mut sizes {
            *out = take(&mut rest)?;
        }
        let [_, channels, height, width] = sizes;
        let mut scheme = TokenScheme::take(&mut rest, channels, None)?;
        let product = |sizes: &[u64]| sizes.iter().try_fold(1u64, |n, &size| n.checked_mul(size));
        let of_frame = product(&[scheme.numbers() as u64, height, width]).filter(|&n| n <= MAX_EXAMPLE_FRAME);
        let count = of_frame.and_then(|n| product(&[n, sizes[0]])).filter(|&n| n <= MAX_EXAMPLE);
        // Without an example there is no size.
        let sized = height > 0 && width > 0 && (sizes[0] > 0 || (height, width) == (1, 1));
        let Some(count) = count.filter(|_| sized) else {
            return Err(corrupt("the size of an example of tokens"));
        };
        let [frames, channels, height, width] = sizes.map(|size| size as usize);
        let shape = Shape { frames, channels, height, width };
        let mut decoder = BinaryDecoder::new(rest);
        scheme.take_orders(&mut decoder)?;
        let mut numbers = vec![0; count as usize];
        let mut coder = scheme.coder(shape);
        coder.code(&mut decoder, shape, &mut numbers);
        if !decoder.is_drained() {
            return Err(corrupt("bytes follow a model of tokens"));
        }
        coder.forget_frames();
        Ok(Self { scheme, shape, numbers, coder })
    }

    /// What tokens are made of.
    #[must_use]
    pub fn scheme(&self) -> &TokenScheme {
        &self.scheme
    }

    /// Size of the example.
    #[must_use]
    pub fn example(&self) -> Shape {
        self.shape
    }

    /// Bytes in memory.
    #[must_use]
    pub fn memory(&self) -> usize {
        2 * self.numbers.len() + self.coder.memory()
    }

    /// Codes tokens under this model, which is dependency `dependency` of their entry.
    ///
    /// # Errors
    /// As [`encode_tokens`].
    pub fn encode(&self, dependency: u32, tokens: &Tokens<'_>) -> Result<Vec<u8>> {
        tokens.check(&self.scheme)?;
        let Tokens { shape, size, .. } = *tokens;
        let mut numbers = tokens.numbers(&self.scheme)?;
        let of_example = self.frames_of(shape).and_then(|frames| {
            let frame = numbers.len() / shape.frames;
            (0..=frames).find(|first| self.numbers[first * frame..].starts_with(&numbers))
        });
        let mut out = vec![if of_example.is_some() { OF_EXAMPLE } else { UNDER_MODEL }];
        put(&mut out, dependency.into());
        out.push(size as u8);
        for size in [shape.height, shape.width] {
            put(&mut out, size as u64);
        }
        if let Some(first) = of_example {
            put(&mut out, first as u64);
            return Ok(out);
        }
        let mut encoder = BinaryEncoder::new();
        self.coder.clone().code(&mut encoder, shape, &mut numbers);
        out.extend(encoder.finish());
        Ok(out)
    }

    /// How many frames of the example come before the last place where one of this shape may begin.
    fn frames_of(&self, shape: Shape) -> Option<usize> {
        let grid = (shape.height, shape.width) == (self.shape.height, self.shape.width);
        self.shape.frames.checked_sub(shape.frames).filter(|_| grid)
    }

    fn decode(&self, form: u8, mut rest: &[u8], out: &mut [u8]) -> Result<()> {
        let size = size_of_tokens(&mut rest)?;
        self.scheme.check_size(size)?;
        let shape = take_shape(&mut rest, out.len(), size, Some(self.scheme.tokens()))?;
        if form == OF_EXAMPLE {
            let first = take(&mut rest)?;
            let frame = shape.height * shape.width * self.scheme.numbers();
            let Some(first) = self.frames_of(shape).map(|n| n as u64).filter(|&n| first <= n).map(|_| first)
            else {
                return Err(corrupt("tokens that are no part of the example"));
            };
            if !rest.is_empty() {
                return Err(corrupt("bytes follow the tokens"));
            }
            let numbers = &self.numbers[first as usize * frame..][..shape.frames * frame];
            put_tokens(&self.scheme, shape, size, numbers, out);
            return Ok(());
        }
        decode_numbers(&self.scheme, self.coder.clone(), shape, size, BinaryDecoder::new(rest), out)
    }
}

fn size_of_tokens(rest: &mut &[u8]) -> Result<usize> {
    let size = usize::from(byte(rest)?);
    if matches!(size, 1 | 2 | 4 | 8) { Ok(size) } else { Err(corrupt("size of tokens")) }
}

fn decode_numbers(
    scheme: &TokenScheme,
    mut coder: Coder,
    shape: Shape,
    size: usize,
    mut decoder: BinaryDecoder<'_>,
    out: &mut [u8],
) -> Result<()> {
    // Numbers are as many as a constant times the bytes that come of them.
    let mut numbers = Vec::new();
    let count = shape.frames * shape.height * shape.width * scheme.numbers();
    numbers.try_reserve_exact(count).map_err(|_| invalid("no memory for tokens"))?;
    numbers.resize(count, 0u16);
    coder.code(&mut decoder, shape, &mut numbers);
    if !decoder.is_drained() {
        return Err(corrupt("bytes follow the tokens"));
    }
    put_tokens(scheme, shape, size, &numbers, out);
    Ok(())
}

/// Decodes a chunk into `out`, of the chunk's decoded length.
///
/// # Errors
/// What is malformed.
pub fn decode_tokens(payload: &[u8], shared: &impl SharedObjects, out: &mut [u8]) -> Result<()> {
    let mut rest = payload;
    match byte(&mut rest)? {
        FORM => {}
        form @ (UNDER_MODEL | OF_EXAMPLE) => {
            let dependency = u32::try_from(take(&mut rest)?).unwrap_or(u32::MAX);
            let model = shared.token_model(dependency).ok_or(CodingError::MissingTable { dependency })?;
            return model.decode(form, rest, out);
        }
        form => return Err(CodingError::Unsupported { what: "form of tokens", id: form.into() }),
    }
    let size = size_of_tokens(&mut rest)?;
    let shape = take_shape(&mut rest, out.len(), size, None)?;
    let positions = (shape.frames * shape.height * shape.width) as u64;
    let mut scheme = TokenScheme::take(&mut rest, shape.channels as u64, Some(positions))?;
    scheme.check_size(size)?;
    let mut decoder = BinaryDecoder::new(rest);
    scheme.take_orders(&mut decoder)?;
    let coder = scheme.coder(shape);
    decode_numbers(&scheme, coder, shape, size, decoder, out)
}
