//! Finite scalar quantisation as published (arXiv 2309.15505), and whether tokens are it of given latents.
//!
//! `half = (L - 1)(1 + 10^-3) / 2`, `offset = 1/2` of an even L, else 0, `shift = atanh(offset / half)`; a value is bounded as
//! `tanh(z + shift) half - offset`, rounded, and `L / 2` added: the digit. The least significant digit of a token comes first.

use super::array::Array;
use mcodec_coding::latents::{DigitCells, Digits, Element, Quantiser, Statistics};

/// Numbers on either side of where one digit should end, that the other may have: what rounding in a model's own arithmetic does.
const SLACK: i32 = 2;

/// One digit's quantiser.
#[derive(Debug, Clone, Copy)]
struct Scalar {
    levels: u16,
    half: f64,
    offset: f64,
    shift: f64,
}

impl Scalar {
    fn new(levels: u16) -> Self {
        let half = (f64::from(levels) - 1.0) * (1.0 + 1e-3) / 2.0;
        let offset = if levels.is_multiple_of(2) { 0.5 } else { 0.0 };
        Self { levels, half, offset, shift: (offset / half).atanh() }
    }

    fn digit(&self, z: f64) -> u16 {
        let bounded = (z + self.shift).tanh() * self.half - self.offset;
        let digit = bounded.round_ties_even() + f64::from(self.levels / 2);
        digit.clamp(0.0, f64::from(self.levels - 1)) as u16
    }

    /// What a digit is taken for: the middle of what is rounded to it. The outermost are cut off by the bound.
    fn value(&self, digit: u16) -> f64 {
        let quantised = f64::from(digit) - f64::from(self.levels / 2);
        let low = (quantised - 0.5).max(-self.half - self.offset);
        let high = (quantised + 0.5).min(self.half - self.offset);
        (((low + high) / 2.0 + self.offset) / self.half).atanh() - self.shift
    }
}

/// How the elements of a grid are numbers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Numbering<'a> {
    pub(super) element: Element,
    /// None: numbers are the elements in their order.
    pub(super) quantiser: Option<Quantiser<'a>>,
    /// What values are normalised by before they are quantised.
    pub(super) scale: Option<&'a Statistics>,
}

impl Numbering<'_> {
    /// The number of an element of channel `c`.
    fn number(&self, c: usize, bytes: &[u8]) -> i32 {
        match &self.quantiser {
            None => self.element.number(bytes),
            Some(quantiser) => quantiser.number(c, self.element.value(bytes)).unwrap_or(0),
        }
    }

    fn normalised(&self, c: usize, value: f64) -> f64 {
        let (shift, scale) = self.scale.map_or((0.0, 1.0), |s| s.channels()[c]);
        (value - f64::from(shift)) / f64::from(scale)
    }

    /// The cells of a channel by the published rule.
    fn cells(&self, c: usize, levels: u16) -> DigitCells {
        let scalar = Scalar::new(levels);
        let element = self.element;
        let (low, high) = element.finite_keys();
        let mut bytes = vec![0; element.bytes()];
        let mut at_key = |key: u32| {
            element.put_key(key, &mut bytes);
            let value = element.value(&bytes);
            // Where a type has something else than minus zero.
            (if value.is_nan() { 0.0 } else { value }, self.number(c, &bytes))
        };
        let first = |wanted: u16, at_key: &mut dyn FnMut(u32) -> (f64, i32)| {
            let (mut below, mut above) = (low, high);
            while below < above {
                let middle = below + (above - below) / 2;
                if scalar.digit(self.normalised(c, at_key(middle).0)) >= wanted {
                    above = middle;
                } else {
                    below = middle + 1;
                }
            }
            at_key(below).1
        };
        let firsts = (1..levels).map(|d| first(d, &mut at_key)).collect();
        let (shift, scale) = self.scale.map_or((0.0, 1.0), |s| s.channels()[c]);
        let mut point = |digit: u16| {
            let value = f64::from(shift) + f64::from(scale) * scalar.value(digit);
            let mut bytes = vec![0; element.bytes()];
            element.put_nearest(value, &mut bytes);
            element.number(&bytes)
        };
        let points = (0..levels).map(&mut point).collect();
        // Where several elements have one number, it may belong to two digits.
        let join = u8::from(self.quantiser.is_some() || element == Element::F32);
        DigitCells { firsts, join, points }
    }
}

/// Tokens beside a grid, in the order frame, token of the position, row, column.
pub(super) struct Tokens<'a> {
    pub(super) levels: &'a [Vec<u16>],
    pub(super) size: usize,
    pub(super) bytes: &'a [u8],
}

/// What the digits of the tokens stand for, if they are a quantisation of the array's channels. The numberings are tried in turn; where
/// none fits, any intervals of numbers that the digits have do.
pub(super) fn fit(array: &Array, numberings: &[Numbering<'_>], tokens: &Tokens<'_>) -> Option<Digits> {
    let levels: Vec<u16> = tokens.levels.iter().flatten().copied().collect();
    let first = numberings.first()?;
    if levels.len() != array.channels() {
        return None;
    }
    let seen = seen_of(array, first, tokens, &levels);
    let counts: Vec<usize> = tokens.levels.iter().map(Vec::len).collect();
    for numbering in numberings {
        let cells: Option<Vec<DigitCells>> = levels
            .iter()
            .enumerate()
            .map(|(c, &levels)| widened(numbering.cells(c, levels), &seen[c]))
            .collect();
        if let Some(cells) = cells {
            return Digits::new(counts, &cells).ok();
        }
    }
    let index = |c: usize, number: i32| match &first.quantiser {
        None => number,
        Some(quantiser) => {
            let mut bytes = vec![0; first.element.bytes()];
            quantiser.put(c, number, first.element, &mut bytes);
            first.element.number(&bytes)
        }
    };
    let cells: Option<Vec<DigitCells>> =
        seen.iter().enumerate().map(|(c, seen)| observed(seen, |number| index(c, number))).collect();
    Digits::new(counts, &cells?).ok()
}

/// The lowest and the highest number of each digit of each channel, if it occurs.
type Seen = Vec<Option<(i32, i32)>>;

fn seen_of(array: &Array, numbering: &Numbering<'_>, tokens: &Tokens<'_>, levels: &[u16]) -> Vec<Seen> {
    let [frames, channels, height, width] = array.shape;
    let plane = height * width;
    let size = numbering.element.bytes();
    let mut seen: Vec<Seen> = levels.iter().map(|&l| vec![None; l.into()]).collect();
    for t in 0..frames {
        for p in 0..plane {
            let mut c = 0;
            for (k, levels) in tokens.levels.iter().enumerate() {
                let from = ((t * tokens.levels.len() + k) * plane + p) * tokens.size;
                let mut word = [0; 8];
                word[..tokens.size].copy_from_slice(&tokens.bytes[from..][..tokens.size]);
                let mut token = u64::from_le_bytes(word);
                for &level in levels {
                    let digit = (token % u64::from(level)) as usize;
                    token /= u64::from(level);
                    let at = ((t * channels + c) * plane + p) * size;
                    let number = numbering.number(c, &array.bytes[at..][..size]);
                    let range = seen[c][digit].get_or_insert((number, number));
                    *range = (range.0.min(number), range.1.max(number));
                    c += 1;
                }
            }
        }
    }
    seen
}

/// Of each digit but the first: the lowest number of it and those above, and the highest of those below.
fn gaps(seen: &Seen) -> impl Iterator<Item = (Option<i32>, Option<i32>)> + '_ {
    (1..seen.len()).map(|d| {
        let above = seen[d..].iter().flatten().map(|r| r.0).min();
        let below = seen[..d].iter().flatten().map(|r| r.1).max();
        (above, below)
    })
}

/// The cells, made to hold all that was seen; `None` if they are too far from it.
fn widened(mut cells: DigitCells, seen: &Seen) -> Option<DigitCells> {
    let (mut low, mut high) = (0, i32::from(cells.join));
    for (&first, (above, below)) in cells.firsts.iter().zip(gaps(seen)) {
        low = low.max(above.map_or(0, |above| first - above));
        high = high.max(below.map_or(0, |below| below - (first - 1)));
    }
    if low > SLACK || high > SLACK + i32::from(cells.join) {
        return None;
    }
    cells.firsts.iter_mut().for_each(|first| *first -= low);
    cells.join = (low + high) as u8;
    Some(cells)
}

/// Cells as they were seen; `None` if digits do not ascend with numbers.
fn observed(seen: &Seen, index: impl Fn(i32) -> i32) -> Option<DigitCells> {
    let highest = seen.iter().flatten().map(|r| r.1).max()?;
    let mut join = 0;
    let mut firsts = Vec::new();
    for (above, below) in gaps(seen) {
        let first = above.unwrap_or(highest + 1);
        join = join.max(below.map_or(0, |below| below + 1 - first));
        firsts.push(first);
    }
    if join > SLACK {
        return None;
    }
    let lowest = seen.iter().flatten().map(|r| r.0).min()?;
    let point = |(d, range): (usize, &Option<(i32, i32)>)| match range {
        Some((low, high)) => low + (high - low) / 2,
        None => d.checked_sub(1).and_then(|d| firsts.get(d)).copied().unwrap_or(lowest),
    };
    let points = seen.iter().enumerate().map(point).map(index).collect();
    Some(DigitCells { firsts, join: join as u8, points })
}

/// Levels of the tokens that an array's channels are quantised to: groups of as many channels as there are levels, the last with fewer.
pub(super) fn levels_for(channels: usize, levels: &[u16]) -> Vec<Vec<u16>> {
    (0..channels)
        .step_by(levels.len().max(1))
        .map(|c| levels[..levels.len().min(channels - c)].to_vec())
        .collect()
}

/// Quantises an array: the bytes of an unsigned number of `size` bytes for each token.
pub(super) fn quantise(
    array: &Array,
    numbering: &Numbering<'_>,
    levels: &[Vec<u16>],
    size: usize,
) -> Vec<u8> {
    let [frames, channels, height, width] = array.shape;
    let plane = height * width;
    let bytes = numbering.element.bytes();
    let cells: Vec<DigitCells> =
        levels.iter().flatten().enumerate().map(|(c, &l)| numbering.cells(c, l)).collect();
    let exact = Numbering { quantiser: None, ..*numbering };
    let mut out = Vec::with_capacity(frames * levels.len() * plane * size);
    for t in 0..frames {
        let mut from = 0;
        for levels in levels {
            for p in 0..plane {
                let (mut token, mut basis) = (0u64, 1u64);
                for (i, &level) in levels.iter().enumerate() {
                    let c = from + i;
                    let element = &array.bytes[((t * channels + c) * plane + p) * bytes..][..bytes];
                    let digit = if numbering.element == Element::F32 {
                        // The upper half of an element does not tell its digit.
                        let value = exact.normalised(c, numbering.element.value(element));
                        if value.is_nan() { 0 } else { usize::from(Scalar::new(level).digit(value)) }
                    } else {
                        let number = exact.number(c, element);
                        cells[c].firsts.partition_point(|&first| first <= number)
                    };
                    token += digit as u64 * basis;
                    basis *= u64::from(level);
                }
                out.extend_from_slice(&token.to_le_bytes()[..size]);
            }
            from += levels.len();
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_as_published() {
        // Worked out with the published formulas in double precision.
        let eight = Scalar::new(8);
        let digits: Vec<u16> = [-9.0, -1.5, -0.5, 0.0, 0.3, 1.0, 9.0].map(|z| eight.digit(z)).to_vec();
        assert_eq!(digits, [0, 0, 2, 4, 5, 6, 7]);
        let five = Scalar::new(5);
        assert_eq!([-9.0, -0.6, -0.1, 0.3, 9.0].map(|z| five.digit(z)), [0, 1, 2, 3, 4]);
        for levels in 2..=20 {
            let scalar = Scalar::new(levels);
            for digit in 0..levels {
                assert_eq!(scalar.digit(scalar.value(digit)), digit, "{levels}");
            }
        }
        assert_eq!(levels_for(8, &[8, 8, 5]), [vec![8, 8, 5], vec![8, 8, 5], vec![8, 8]]);
    }

    #[test]
    fn cells_hold_what_was_seen() {
        let seen: Seen = vec![Some((-9, -4)), None, Some((-3, 5)), Some((6, 6))];
        let cells = observed(&seen, |n| n).unwrap();
        assert_eq!((cells.firsts.clone(), cells.join), (vec![-3, -3, 6], 0));
        assert!(widened(DigitCells { firsts: vec![-4, -3, 7], ..cells.clone() }, &seen).is_some());
        assert!(widened(DigitCells { firsts: vec![-40, -3, 7], ..cells }, &seen).is_none());
        assert!(observed(&vec![Some((0, 9)), Some((3, 12))], |n| n).is_none());
    }
}
