//! What tokens are made of, and which coder codes that.

use super::cells::Cells;
use super::codes::{CodeCoder, CodeForm, LEAST_COUNTERS, MAX_VOCABULARY, MOST_COUNTERS};
use super::dense::{COUNTED_INPUTS, Counted, Decisions, Dense, INPUTS, Light, Shape};
use super::digits::Free;
use super::grid::{LIGHT, MAX_CHANNELS, byte};
use super::order::CodeOrder;
use crate::error::{CodingError, Result, corrupt, invalid};
use crate::varint::{put, take};
use core::fmt;

/// Digits are this far apart on the line of values.
const UNIT: i32 = 1 << 15;
/// The digit at value 0.
const ZERO: i32 = 3;
/// Levels of a digit at most.
const MAX_LEVELS: u64 = 256;
/// Features of digits are looked at in units of this power of two.
const FEATURE_SHIFT: u32 = 4;
/// Tokens of all orders at most.
const MAX_ORDERED: u64 = 1 << 20;

const DIGITS: u8 = 0;
const CODES: u8 = 1;
const WHOLE: u8 = 1;
const ORDERED: u8 = 2;

/// What tokens are made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenScheme(Kind);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    /// Of each token of a position, the levels of its digits, the least significant first; the unit of features.
    Digits { levels: Vec<Vec<u16>>, unit: Option<u32> },
    /// Of a codebook, with an order for each token of a position, or none.
    Codes { tokens: usize, form: CodeForm, ordered: bool, orders: Vec<CodeOrder> },
}

impl TokenScheme {
    /// Tokens of digits: for each token of a position the levels of its digits (2 to 256 each), the least significant first. `whole`: coded
    /// with all there is.
    ///
    /// # Errors
    /// If levels are out of range, or their product is not below 2^64.
    pub fn digits(levels: Vec<Vec<u16>>, whole: bool) -> Result<Self> {
        let all = levels.iter().flatten().count();
        let fits = |levels: &Vec<u16>| {
            let product = levels.iter().try_fold(1u64, |n, &level| n.checked_mul(level.into()));
            let in_range = levels.iter().all(|&l| (2..=MAX_LEVELS).contains(&l.into()));
            !levels.is_empty() && product.is_some() && in_range
        };
        if all == 0 || all > MAX_CHANNELS || !levels.iter().all(fits) {
            return Err(corrupt("levels of tokens"));
        }
        Ok(Self(Kind::Digits { levels, unit: whole.then_some(FEATURE_SHIFT) }))
    }

    /// Codes below `vocabulary` (2 to 65535), `tokens` (1 to 4096) at a position, under orders for each of these, or none. `counters` is the
    /// logarithm of how many counters there are: 10 to 22.
    ///
    /// # Errors
    /// If a number is out of range, or orders are of another codebook.
    pub fn codes(
        tokens: usize,
        vocabulary: u32,
        whole: bool,
        counters: u8,
        orders: Vec<CodeOrder>,
    ) -> Result<Self> {
        let form = CodeForm { vocabulary, whole, counters };
        check_codes(tokens as u64, form, !orders.is_empty())?;
        let of_others = orders.iter().any(|order| order.vocabulary() != vocabulary as usize);
        if of_others || (!orders.is_empty() && orders.len() != tokens) {
            return Err(invalid("orders of another codebook"));
        }
        Ok(Self(Kind::Codes { tokens, form, ordered: !orders.is_empty(), orders }))
    }

    /// Tokens of a position.
    #[must_use]
    pub fn tokens(&self) -> usize {
        match &self.0 {
            Kind::Digits { levels, .. } => levels.len(),
            Kind::Codes { tokens, .. } => *tokens,
        }
    }

    /// Of each token of a position, the levels of its digits.
    #[must_use]
    pub fn levels(&self) -> Option<&[Vec<u16>]> {
        match &self.0 {
            Kind::Digits { levels, .. } => Some(levels),
            Kind::Codes { .. } => None,
        }
    }

    /// Codes of the codebook.
    #[must_use]
    pub fn vocabulary(&self) -> Option<u32> {
        match &self.0 {
            Kind::Digits { .. } => None,
            Kind::Codes { form, .. } => Some(form.vocabulary),
        }
    }

    /// Numbers of a position.
    pub(super) fn numbers(&self) -> usize {
        match &self.0 {
            Kind::Digits { levels, .. } => levels.iter().flatten().count(),
            Kind::Codes { tokens, .. } => *tokens,
        }
    }

    /// Appends the numbers of a token.
    pub(super) fn take_apart(&self, k: usize, mut token: u64, numbers: &mut Vec<u16>) -> Result<()> {
        match &self.0 {
            Kind::Digits { levels, .. } => {
                for &level in &levels[k] {
                    numbers.push((token % u64::from(level)) as u16);
                    token /= u64::from(level);
                }
                if token > 0 {
                    return Err(invalid("a token is not below the number of codes"));
                }
            }
            Kind::Codes { form, orders, .. } => {
                if token >= form.vocabulary.into() {
                    return Err(invalid("a token is not below the number of codes"));
                }
                numbers.push(orders.get(k).map_or(token as u16, |order| order.rank(token as u16)));
            }
        }
        Ok(())
    }

    /// The token that the next of the numbers make.
    pub(super) fn put_together(&self, k: usize, numbers: &mut &[u16]) -> u64 {
        match &self.0 {
            Kind::Digits { levels, .. } => {
                let (of_token, rest) = numbers.split_at(levels[k].len());
                *numbers = rest;
                let (mut token, mut base) = (0u64, 1u64);
                for (&level, &number) in levels[k].iter().zip(of_token) {
                    token += u64::from(number) * base;
                    base = base.saturating_mul(level.into());
                }
                token
            }
            Kind::Codes { orders, .. } => {
                let (code, rest) = (numbers[0], &numbers[1..]);
                *numbers = rest;
                orders.get(k).map_or(code, |order| order.token(code)).into()
            }
        }
    }

    /// Whether every token fits so many bytes.
    pub(super) fn check_size(&self, size: usize) -> Result<()> {
        let room = 1u128 << (8 * size);
        let fits = match &self.0 {
            Kind::Digits { levels, .. } => levels
                .iter()
                .all(|levels| levels.iter().fold(1u128, |n, &l| n.saturating_mul(l.into())) <= room),
            Kind::Codes { form, .. } => u128::from(form.vocabulary) <= room,
        };
        if fits { Ok(()) } else { Err(corrupt("levels of tokens that have no room for them")) }
    }

    /// Puts all but the orders.
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        match &self.0 {
            Kind::Digits { levels, unit } => {
                out.push(DIGITS);
                for levels in levels {
                    put(out, levels.len() as u64);
                    levels.iter().for_each(|&level| put(out, level.into()));
                }
                out.push(unit.map_or(LIGHT, |unit| unit as u8));
            }
            Kind::Codes { form, ordered, .. } => {
                out.push(CODES);
                put(out, form.vocabulary.into());
                out.push(if form.whole { WHOLE } else { 0 } | if *ordered { ORDERED } else { 0 });
                out.push(form.counters);
            }
        }
    }

    /// Reads what [`TokenScheme::put`] put, for `tokens` at a position. Without `positions`, that of a model.
    pub(super) fn take(rest: &mut &[u8], tokens: u64, positions: Option<u64>) -> Result<Self> {
        match byte(rest)? {
            DIGITS => Self::take_digits(rest, tokens),
            CODES => {
                let vocabulary = u32::try_from(take(rest)?).unwrap_or(u32::MAX);
                let flags = byte(rest)?;
                if flags > WHOLE | ORDERED {
                    return Err(corrupt("flags of codes"));
                }
                let form = CodeForm { vocabulary, whole: flags & WHOLE != 0, counters: byte(rest)? };
                let ordered = flags & ORDERED != 0;
                check_codes(tokens, form, ordered)?;
                // Who has few tokens needs few counters.
                if let Some(positions) = positions
                    && form.counters > LEAST_COUNTERS
                    && 1 << (form.counters - 10) > positions.saturating_mul(tokens)
                {
                    return Err(corrupt("more counters than tokens can need"));
                }
                Ok(Self(Kind::Codes { tokens: tokens as usize, form, ordered, orders: Vec::new() }))
            }
            kind => Err(CodingError::Unsupported { what: "kind of tokens", id: kind.into() }),
        }
    }

    fn take_digits(rest: &mut &[u8], tokens: u64) -> Result<Self> {
        if !(1..=MAX_CHANNELS as u64).contains(&tokens) {
            return Err(corrupt("tokens of a position"));
        }
        let mut levels = Vec::new();
        let mut all = 0;
        for _ in 0..tokens {
            let count = take(rest)?;
            all += count.min(1 << 32);
            if count == 0 || all > MAX_CHANNELS as u64 {
                return Err(corrupt("digits of tokens"));
            }
            let mut of_token = Vec::with_capacity(count as usize);
            for _ in 0..count {
                of_token.push(u16::try_from(take(rest)?).unwrap_or(0));
            }
            levels.push(of_token);
        }
        let unit = match byte(rest)? {
            LIGHT => None,
            unit if unit <= 16 => Some(u32::from(unit)),
            _ => return Err(corrupt("unit of features")),
        };
        match Self::digits(levels, false)? {
            Self(Kind::Digits { levels, .. }) => Ok(Self(Kind::Digits { levels, unit })),
            other => Ok(other),
        }
    }

    /// Writes the orders that there are.
    pub(super) fn code_orders(&self, decisions: &mut impl Decisions) -> Result<()> {
        let Kind::Codes { form, orders, .. } = &self.0 else { return Ok(()) };
        orders.iter().try_for_each(|order| {
            CodeOrder::code(decisions, form.vocabulary as usize, Some(order)).map(|_| ())
        })
    }

    /// Reads the orders that there should be.
    pub(super) fn take_orders(&mut self, decisions: &mut impl Decisions) -> Result<()> {
        let Kind::Codes { tokens, form, ordered: true, orders } = &mut self.0 else { return Ok(()) };
        for _ in 0..*tokens {
            orders.push(CodeOrder::code(decisions, form.vocabulary as usize, None)?);
        }
        Ok(())
    }

    /// A new coder of tokens of this shape.
    pub(super) fn coder(&self, shape: Shape) -> Coder {
        match &self.0 {
            Kind::Codes { form, .. } => Coder::Codes(Box::new(CodeCoder::new(*form))),
            Kind::Digits { levels, unit } => {
                let counts: Vec<i32> = levels.iter().flatten().map(|&level| level.into()).collect();
                let count = counts.iter().copied().max().unwrap_or(1) as u32;
                let cells = Cells::Even { count, zero: ZERO, unit: UNIT };
                let shape = Shape { channels: counts.len(), ..shape };
                match *unit {
                    Some(unit) => Coder::Digits(Box::new(Dense::new(cells, shape, unit).with_counts(counts))),
                    None => Coder::Light(Box::new(Dense::new(cells, shape, 0).with_counts(counts))),
                }
            }
        }
    }
}

fn check_codes(tokens: u64, form: CodeForm, ordered: bool) -> Result<()> {
    let CodeForm { vocabulary, counters, .. } = form;
    let in_range = (1..=MAX_CHANNELS as u64).contains(&tokens)
        && (2..=MAX_VOCABULARY).contains(&vocabulary)
        && (LEAST_COUNTERS..=MOST_COUNTERS).contains(&counters)
        && (!ordered || tokens * u64::from(vocabulary) <= MAX_ORDERED);
    if in_range { Ok(()) } else { Err(corrupt("codebook of tokens")) }
}

/// What codes numbers, and has learned from those it has coded.
#[derive(Clone)]
pub(super) enum Coder {
    Digits(Box<Dense<Counted, COUNTED_INPUTS>>),
    Light(Box<Dense<Light, INPUTS>>),
    Codes(Box<CodeCoder>),
}

impl fmt::Debug for Coder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Digits(_) => "Digits",
            Self::Light(_) => "Light",
            Self::Codes(_) => "Codes",
        })
    }
}

impl Coder {
    /// Codes all numbers of tokens of this shape, as those of frames that no others come before.
    pub(super) fn code(&mut self, decisions: &mut impl Decisions, shape: Shape, numbers: &mut [u16]) {
        match self {
            Self::Digits(dense) => {
                dense.restart(shape);
                dense.code(decisions, &Free, numbers);
            }
            Self::Light(dense) => {
                dense.restart(shape);
                dense.code(decisions, &Free, numbers);
            }
            Self::Codes(codes) => codes.code(decisions, shape, numbers),
        }
    }

    /// Lets go of the last frames, which no others follow.
    pub(super) fn forget_frames(&mut self) {
        let small = Shape { frames: 0, channels: 0, height: 1, width: 1 };
        match self {
            Self::Digits(dense) => dense.restart(small),
            Self::Light(dense) => dense.restart(small),
            Self::Codes(_) => {}
        }
    }

    /// Bytes in memory.
    pub(super) fn memory(&self) -> usize {
        match self {
            Self::Digits(dense) => dense.memory(),
            Self::Light(dense) => dense.memory(),
            Self::Codes(codes) => codes.memory(),
        }
    }
}
