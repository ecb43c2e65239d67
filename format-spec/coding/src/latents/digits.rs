//! How the digits of tokens tell what the numbers of a grid's channels can be (`SPEC.md` section 7.12).

use super::dense::Shape;
use super::element::Element;
use super::grid::MAX_CHANNELS;
use crate::error::{Result, corrupt};
use crate::varint::{put, take, take_u8};

/// First byte of the object.
const FORM: u8 = 1;
/// Numbers lie within this to either side of 0.
const FAR: i64 = 1 << 17;
/// Levels of a digit at most.
const MAX_LEVELS: u64 = 256;

/// What numbers each digit of a channel stands for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DigitCells {
    /// The lowest number of each digit but the first, ascending.
    pub firsts: Vec<i32>,
    /// How many numbers two neighbouring digits share, where rounding put a number on either side.
    pub join: u8,
    /// The index of the element (of `F32`, of its upper half) that each digit is taken for, where only tokens are read.
    pub points: Vec<i32>,
}

impl DigitCells {
    /// How many digits there are.
    #[must_use]
    pub fn levels(&self) -> usize {
        self.points.len()
    }

    /// The numbers of a digit: the lowest, and the one after the last.
    #[must_use]
    pub fn range(&self, digit: usize) -> (i32, i32) {
        let first = digit.checked_sub(1).and_then(|d| self.firsts.get(d)).copied().unwrap_or(i32::MIN);
        let end = self.firsts.get(digit).map_or(i32::MAX, |&next| next + i32::from(self.join));
        (first, end)
    }
}

/// Digits of tokens, and the channels that they are of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Digits {
    /// Digits of each token of a position.
    tokens: Vec<usize>,
    tables: Vec<DigitCells>,
    /// The table of each channel.
    of_channel: Vec<usize>,
}

impl Digits {
    /// Of tokens with so many digits, and the cells of each channel: as many as there are digits.
    ///
    /// # Errors
    /// If a number is out of range.
    pub fn new(tokens: Vec<usize>, channels: &[DigitCells]) -> Result<Self> {
        let mut tables: Vec<DigitCells> = Vec::new();
        let mut of_channel = Vec::with_capacity(channels.len());
        for cells in channels {
            let at = tables.iter().position(|table| table == cells).unwrap_or_else(|| {
                tables.push(cells.clone());
                tables.len() - 1
            });
            of_channel.push(at);
        }
        let digits = Self { tokens, tables, of_channel };
        digits.check()?;
        Ok(digits)
    }

    fn check(&self) -> Result<()> {
        let far = |n: &i32| !(-FAR..FAR).contains(&i64::from(*n));
        let sound = |table: &DigitCells| {
            (2..=MAX_LEVELS as usize).contains(&table.levels())
                && table.firsts.len() + 1 == table.levels()
                && table.firsts.windows(2).all(|pair| pair[0] <= pair[1])
                && !table.firsts.iter().chain(&table.points).any(far)
        };
        let counted = self.tokens.iter().try_fold(0usize, |n, &t| n.checked_add(t).filter(|_| t > 0));
        let fits =
            counted == Some(self.of_channel.len()) && (1..=MAX_CHANNELS).contains(&self.of_channel.len());
        let known = self.of_channel.iter().all(|&at| at < self.tables.len());
        // Tokens are numbers of 64 bits.
        let mut rest = self.of_channel.iter();
        let small = self.tokens.iter().all(|&count| {
            let levels = rest.by_ref().take(count).filter_map(|&at| self.tables.get(at));
            levels.map(DigitCells::levels).try_fold(1u64, |n, l| n.checked_mul(l as u64)).is_some()
        });
        if fits && known && small && self.tables.iter().all(sound) {
            Ok(())
        } else {
            Err(corrupt("digits of tokens"))
        }
    }

    /// Reads the object.
    ///
    /// # Errors
    /// If it is malformed.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let mut rest = bytes;
        if take_u8(&mut rest, "digits of tokens")? != FORM {
            return Err(corrupt("form of digits"));
        }
        let number = |rest: &mut &[u8], most: u64| -> Result<usize> {
            let n = take(rest)?;
            if n == 0 || n > most { Err(corrupt("digits of tokens")) } else { Ok(n as usize) }
        };
        let most = MAX_CHANNELS as u64;
        let mut tokens = Vec::new();
        let mut channels = 0u64;
        for _ in 0..number(&mut rest, most)? {
            let count = number(&mut rest, most - channels)?;
            channels += count as u64;
            tokens.push(count);
        }
        let mut tables = Vec::new();
        for _ in 0..number(&mut rest, channels)? {
            let levels = number(&mut rest, MAX_LEVELS)?;
            let join = take_u8(&mut rest, "digits of tokens")?;
            let firsts = take_rising(&mut rest, levels - 1)?;
            let points = take_rising(&mut rest, levels)?;
            tables.push(DigitCells { firsts, join, points });
        }
        let mut of_channel = Vec::new();
        for _ in 0..channels {
            of_channel.push(usize::try_from(take(&mut rest)?).unwrap_or(usize::MAX));
        }
        let digits = Self { tokens, tables, of_channel };
        if !rest.is_empty() {
            return Err(corrupt("bytes follow the digits of tokens"));
        }
        digits.check()?;
        Ok(digits)
    }

    /// The bytes that [`Digits::parse`] reads.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = vec![FORM];
        put(&mut out, self.tokens.len() as u64);
        self.tokens.iter().for_each(|&count| put(&mut out, count as u64));
        put(&mut out, self.tables.len() as u64);
        for table in &self.tables {
            put(&mut out, table.levels() as u64);
            out.push(table.join);
            for list in [&table.firsts, &table.points] {
                let mut last = 0i64;
                for &number in list {
                    let change = i64::from(number) - last;
                    put(&mut out, (change << 1 ^ change >> 63) as u64);
                    last = number.into();
                }
            }
        }
        self.of_channel.iter().for_each(|&at| put(&mut out, at as u64));
        out
    }

    /// How many channels there are.
    #[must_use]
    pub fn channels(&self) -> usize {
        self.of_channel.len()
    }

    /// Tokens of a position.
    #[must_use]
    pub fn tokens(&self) -> usize {
        self.tokens.len()
    }

    /// The cells of a channel.
    #[must_use]
    pub fn cells(&self, channel: usize) -> Option<&DigitCells> {
        self.tables.get(*self.of_channel.get(channel)?)
    }

    /// Takes tokens apart: for each position of each frame the digits of all channels. `shape` is that of the channels.
    ///
    /// # Errors
    /// If the tokens are of another shape, or one is not below the number of codes.
    pub fn of_tokens(&self, shape: Shape, tokens: &[u8]) -> Result<Vec<u8>> {
        let plane = shape.height * shape.width;
        let places =
            shape.frames.checked_mul(plane).filter(|&n| n > 0).ok_or(corrupt("tokens of another shape"))?;
        let size = tokens.len() / places / self.tokens.len();
        let whole = size.checked_mul(places * self.tokens.len()) == Some(tokens.len());
        if !matches!(size, 1 | 2 | 4 | 8) || !whole || self.channels() != shape.channels {
            return Err(corrupt("tokens of another shape"));
        }
        let mut out = Vec::new();
        out.try_reserve_exact(shape.count()).map_err(|_| corrupt("no memory for digits"))?;
        for place in 0..places {
            let (t, p) = (place / plane, place % plane);
            let mut channel = 0;
            for (k, &count) in self.tokens.iter().enumerate() {
                let from = ((t * self.tokens.len() + k) * plane + p) * size;
                let mut word = [0; 8];
                word[..size].copy_from_slice(&tokens[from..from + size]);
                let mut token = u64::from_le_bytes(word);
                for _ in 0..count {
                    let levels = self.cells(channel).map_or(1, DigitCells::levels) as u64;
                    out.push((token % levels) as u8);
                    token /= levels;
                    channel += 1;
                }
                if token > 0 {
                    return Err(corrupt("a token that is not below the number of codes"));
                }
            }
        }
        Ok(out)
    }
}

impl Digits {
    /// The elements that tokens are taken for where nothing else is read, in the order frame, channel, row, column.
    ///
    /// # Errors
    /// As [`Digits::of_tokens`], or if a point is no element.
    pub fn elements(&self, shape: Shape, tokens: &[u8], element: Element) -> Result<Vec<u8>> {
        let digits = self.of_tokens(shape, tokens)?;
        let (plane, size) = (shape.height * shape.width, element.bytes());
        let mut points: Vec<Vec<u8>> = Vec::new();
        for c in 0..shape.channels {
            let mut of_channel = Vec::new();
            for &point in self.cells(c).map_or(&[][..], |cells| &cells.points) {
                let index = u16::try_from(point).ok().filter(|&i| size > 1 || i < 256);
                let mut bytes = [0; 4];
                element.put(index.ok_or(corrupt("a point that is no element"))?, 0, &mut bytes[..size]);
                of_channel.extend(&bytes[..size]);
            }
            points.push(of_channel);
        }
        let mut out = vec![0; shape.count() * size];
        for (at, &digit) in digits.iter().enumerate() {
            let (place, c) = (at / shape.channels, at % shape.channels);
            let (t, p) = (place / plane, place % plane);
            let to = ((t * shape.channels + c) * plane + p) * size;
            out[to..to + size].copy_from_slice(&points[c][usize::from(digit) * size..][..size]);
        }
        Ok(out)
    }
}

fn take_rising(rest: &mut &[u8], count: usize) -> Result<Vec<i32>> {
    let mut last = 0i64;
    let mut all = Vec::with_capacity(count);
    for _ in 0..count {
        let zigzag = take(rest)?;
        let change = (zigzag >> 1) as i64 ^ -((zigzag & 1) as i64);
        last = last
            .checked_add(change)
            .filter(|n| (-FAR..FAR).contains(n))
            .ok_or(corrupt("digits of tokens"))?;
        all.push(last as i32);
    }
    Ok(all)
}

/// What each number of a grid can be, from digits that are known.
pub(super) trait Bounds {
    /// Whether they tell more than how many numbers there are.
    const NARROW: bool;

    /// The lowest number, and the one after the last, of channel `c` at the place of this number; `count` of them in all.
    fn of(&self, place: usize, c: usize, count: i32) -> (i32, i32);
}

/// Nothing is known.
pub(super) struct Free;

impl Bounds for Free {
    const NARROW: bool = false;

    #[inline(always)]
    fn of(&self, _: usize, _: usize, count: i32) -> (i32, i32) {
        (0, count)
    }
}

/// Digits are known, or numbers of a coarser grid.
pub(super) struct Known {
    digits: Vec<u16>,
    channels: usize,
    /// Of each channel, the first number of each digit and the one after the last.
    ranges: Vec<Vec<(i32, i32)>>,
}

impl Known {
    /// Of digits of each channel of each position, each among the channel's ranges.
    pub(super) fn new(digits: Vec<u16>, shape: Shape, ranges: Vec<Vec<(i32, i32)>>) -> Self {
        Self { digits, channels: shape.channels, ranges }
    }

    /// Of numbers from 0 to below `count`, which stand for those from `low` on.
    pub(super) fn of_tokens(
        digits: &Digits,
        shape: Shape,
        tokens: &[u8],
        (low, count): (i32, i32),
    ) -> Result<Self> {
        let known = digits.of_tokens(shape, tokens)?;
        let within = |n: i32| n.saturating_sub(low).clamp(0, count);
        let ranges: Vec<Vec<(i32, i32)>> = (0..shape.channels)
            .filter_map(|c| digits.cells(c))
            .map(|cells| {
                let range = |d| {
                    let (first, end) = cells.range(d);
                    (within(first), within(end))
                };
                (0..cells.levels()).map(range).collect()
            })
            .collect();
        for (at, &digit) in known.iter().enumerate() {
            let (first, end) = ranges[at % shape.channels][usize::from(digit)];
            if first >= end {
                return Err(corrupt("a digit that stands for no number"));
            }
        }
        Ok(Self::new(known.into_iter().map(u16::from).collect(), shape, ranges))
    }
}

impl Bounds for Known {
    const NARROW: bool = true;

    #[inline(always)]
    fn of(&self, place: usize, c: usize, _: i32) -> (i32, i32) {
        self.ranges[c][usize::from(self.digits[place * self.channels + c])]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells(firsts: &[i32], join: u8) -> DigitCells {
        DigitCells {
            firsts: firsts.to_vec(),
            join,
            points: (0..=firsts.len() as i32).map(|p| p * 10 - 3).collect(),
        }
    }

    #[test]
    fn digits_come_back_and_say_what_numbers_can_be() {
        let (a, b) = (cells(&[-5, 0, 7], 1), cells(&[100], 0));
        let digits = Digits::new(vec![2, 1], &[a.clone(), b.clone(), a.clone()]).unwrap();
        let bytes = digits.to_bytes();
        assert_eq!(Digits::parse(&bytes).unwrap(), digits);
        assert_eq!((digits.tables.len(), digits.cells(1)), (2, Some(&b)));
        assert_eq!((a.range(0), a.range(1), a.range(3)), ((i32::MIN, -4), (-5, 1), (7, i32::MAX)));
        let shape = Shape { frames: 1, channels: 3, height: 1, width: 2 };
        assert_eq!(digits.of_tokens(shape, &[7, 2, 0, 3]).unwrap(), [3, 1, 0, 2, 0, 3]);
        assert!(digits.of_tokens(shape, &[8, 2, 0, 3]).is_err());
        assert!(digits.of_tokens(shape, &[7, 2, 0]).is_err());
        for end in 0..bytes.len() {
            assert!(Digits::parse(&bytes[..end]).is_err());
        }
        assert!(Digits::new(vec![1], &[cells(&[3, 2], 0)]).is_err());
        assert!(Digits::new(vec![2], &[a]).is_err());
    }
}
