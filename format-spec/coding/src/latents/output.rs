//! From decoded numbers to elements in the order frame, channel, row, column.

use super::dense::Shape;
use super::element::{Element, unordered};
use super::grid::{Quantiser, Statistics};
use super::turn::{TILE, Tile, turned};

/// Numbers to either side of 0 whose elements are remembered.
const KNOWN: i32 = 512;

/// Puts the elements of decoded numbers in their places.
pub(super) struct Output<'a> {
    shape: Shape,
    element: Element,
    /// What is added to a number.
    zero: i32,
    quantised: Option<&'a (f32, Statistics)>,
    /// Lower halves of `F32`.
    low_halves: &'a [u8],
    /// Of each channel, the elements of the numbers about 0: the element, and a one above it if it is known.
    known: Vec<u64>,
    /// A row of elements of two bytes.
    words: Vec<u16>,
    out: &'a mut [u8],
}

impl<'a> Output<'a> {
    pub(super) fn new(
        shape: Shape,
        element: Element,
        zero: i32,
        quantised: Option<&'a (f32, Statistics)>,
        low_halves: &'a [u8],
        out: &'a mut [u8],
    ) -> Self {
        let known =
            if quantised.is_some() { vec![0; shape.channels * 2 * KNOWN as usize] } else { Vec::new() };
        Self { shape, element, zero, quantised, low_halves, known, words: Vec::new(), out }
    }

    /// Puts the channels of the positions from `first` on of frame `t`.
    #[inline(always)]
    pub(super) fn put<N: Copy + Into<i32>>(&mut self, t: usize, first: usize, numbers: &[N]) {
        let Shape { channels, height, width, .. } = self.shape;
        let (plane, size) = (height * width, self.element.bytes());
        match (size, self.quantised) {
            (2, _) => return self.put_words(t, first, numbers),
            (4, None) => return self.put_double_words(t, first, numbers),
            _ => {}
        }
        for c in 0..channels {
            let start = ((t * channels + c) * plane + first) * size;
            let count = numbers.len() / channels;
            let numbers = numbers.iter().skip(c).step_by(channels).map(|&n| n.into() + self.zero);
            let out = &mut self.out[start..][..count * size];
            if let Some((step, statistics)) = self.quantised {
                let known = &mut self.known.as_chunks_mut().0[c];
                let quantiser = Quantiser { step: *step, statistics, dependency: None };
                put_quantised(&quantiser, c, self.element, known, numbers, out);
            } else {
                let out = out.as_chunks_mut::<1>().0.iter_mut();
                out.zip(numbers).for_each(|(out, number)| self.element.put(number as u16, 0, out));
            }
        }
    }

    /// Elements of two bytes: first all in the order of numbers, then each in its place.
    #[inline(always)]
    fn put_words<N: Copy + Into<i32>>(&mut self, t: usize, first: usize, numbers: &[N]) {
        let (channels, count) = (self.shape.channels, numbers.len() / self.shape.channels);
        self.words.resize(numbers.len(), 0);
        let (zero, element) = (self.zero, self.element);
        if let Some((step, statistics)) = self.quantised {
            let quantiser = Quantiser { step: *step, statistics, dependency: None };
            let positions = self.words.chunks_exact_mut(channels).zip(numbers.chunks_exact(channels));
            for (words, numbers) in positions {
                let known = self.known.as_chunks_mut::<{ 2 * KNOWN as usize }>().0.iter_mut();
                for (c, ((word, &n), known)) in words.iter_mut().zip(numbers).zip(known).enumerate() {
                    *word = known_element(&quantiser, c, element, known, n.into() + zero) as u16;
                }
            }
            return self.place_words(t, first, count);
        }
        let words = self.words.iter_mut().zip(numbers.iter().map(|&n| n.into() + zero));
        if let Element::F16 | Element::Bf16 = element {
            words.for_each(|(word, number)| *word = unordered(number as u16));
        } else {
            words.for_each(|(word, number)| {
                let mut bytes = [0; 2];
                element.put(number as u16, 0, &mut bytes);
                *word = u16::from_le_bytes(bytes);
            });
        }
        self.place_words(t, first, count);
    }

    /// Puts the words of `count` positions in their places.
    #[inline(always)]
    fn place_words(&mut self, t: usize, first: usize, count: usize) {
        let Shape { channels, height, width, .. } = self.shape;
        let plane = height * width;
        let frame = &mut self.out[2 * t * channels * plane..][..2 * channels * plane].as_chunks_mut::<2>().0;
        if channels < TILE || count < TILE {
            for c in 0..channels {
                let words = self.words.iter().skip(c).step_by(channels);
                let out = frame[c * plane + first..][..count].iter_mut();
                out.zip(words).for_each(|(out, word)| *out = word.to_le_bytes());
            }
            return;
        }
        for c in tiles(channels) {
            for x in tiles(count) {
                let row = |i: usize| self.words[(x + i) * channels + c..].first_chunk().copied();
                let tile: Tile = core::array::from_fn(|i| row(i).unwrap_or_default());
                for (i, row) in turned(tile).into_iter().enumerate() {
                    let out = &mut frame[(c + i) * plane + first + x..][..TILE];
                    out.iter_mut().zip(row).for_each(|(out, word)| *out = word.to_le_bytes());
                }
            }
        }
    }

    /// Elements of four bytes, whose lower halves are there.
    #[inline(always)]
    fn put_double_words<N: Copy + Into<i32>>(&mut self, t: usize, first: usize, numbers: &[N]) {
        let Shape { channels, height, width, .. } = self.shape;
        let (plane, count) = (height * width, numbers.len() / channels);
        let zero = self.zero;
        self.words.resize(numbers.len(), 0);
        let words = self.words.iter_mut().zip(numbers);
        words.for_each(|(word, &n)| *word = unordered((n.into() + zero) as u16));
        let lows =
            self.low_halves[2 * (t * plane + first) * channels..][..2 * numbers.len()].as_chunks::<2>().0;
        let frame = &mut self.out[4 * t * channels * plane..][..4 * channels * plane].as_chunks_mut::<4>().0;
        if channels < TILE || count < TILE {
            for c in 0..channels {
                let halves = lows.iter().zip(&self.words).skip(c).step_by(channels);
                let out = frame[c * plane + first..][..count].iter_mut();
                out.zip(halves).for_each(|(out, (low, high))| *out = together(*low, *high));
            }
            return;
        }
        for c in tiles(channels) {
            for x in tiles(count) {
                let row = |i: usize| self.words[(x + i) * channels + c..].first_chunk().copied();
                let highs: Tile = core::array::from_fn(|i| row(i).unwrap_or_default());
                let row = |i: usize| lows[(x + i) * channels + c..].first_chunk().copied();
                let lows: Tile = core::array::from_fn(|i| row(i).unwrap_or_default().map(u16::from_le_bytes));
                for (i, (lows, highs)) in turned(lows).into_iter().zip(turned(highs)).enumerate() {
                    let out = frame[(c + i) * plane + first + x..][..TILE].iter_mut();
                    let halves = lows.into_iter().zip(highs);
                    out.zip(halves).for_each(|(out, (low, high))| *out = together(low.to_le_bytes(), high));
                }
            }
        }
    }
}

/// A float of its halves.
#[inline(always)]
fn together(low: [u8; 2], high: u16) -> [u8; 4] {
    (u32::from(u16::from_le_bytes(low)) | u32::from(high) << 16).to_le_bytes()
}

/// Where tiles begin. The last begins within the one before, where it puts the same again.
#[inline(always)]
fn tiles(all: usize) -> impl Iterator<Item = usize> {
    (0..all).step_by(TILE).map(move |at| at.min(all - TILE))
}

/// Puts what numbers of a channel stand for.
fn put_quantised(
    quantiser: &Quantiser<'_>,
    c: usize,
    element: Element,
    known: &mut [u64; 2 * KNOWN as usize],
    numbers: impl Iterator<Item = i32>,
    out: &mut [u8],
) {
    let size = element.bytes();
    for (number, out) in numbers.zip(out.chunks_exact_mut(size)) {
        let bytes = known_element(quantiser, c, element, known, number).to_le_bytes();
        out.copy_from_slice(&bytes[..size]);
    }
}

/// What a number stands for, as the bits of an element.
#[inline(always)]
fn known_element(
    quantiser: &Quantiser<'_>,
    c: usize,
    element: Element,
    known: &mut [u64; 2 * KNOWN as usize],
    number: i32,
) -> u32 {
    match known.get_mut((number + KNOWN) as usize) {
        Some(known) if *known >> 32 != 0 => *known as u32,
        known => {
            let bits = element_of(quantiser, c, element, number);
            if let Some(known) = known {
                *known = u64::from(bits) | 1 << 32;
            }
            bits
        }
    }
}

#[cold]
fn element_of(quantiser: &Quantiser<'_>, c: usize, element: Element, number: i32) -> u32 {
    let mut bytes = [0; 4];
    quantiser.put(c, number, element, &mut bytes[..element.bytes()]);
    u32::from_le_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_come_to_their_places_in_tiles_and_without() {
        for (channels, width) in [(1, 1), (3, 20), (8, 8), (13, 19), (24, 7), (9, 33)] {
            let shape = Shape { frames: 2, channels, height: 3, width };
            let numbers: Vec<i16> = (0..shape.count()).map(|i| (i * 40_503 % 65_521) as u16 as i16).collect();
            let low_halves: Vec<u8> = (0..2 * shape.count()).map(|i| (i * 7 % 251) as u8).collect();
            for (element, lows) in
                [(Element::Bf16, &[][..]), (Element::I16, &[]), (Element::F32, &low_halves)]
            {
                let size = element.bytes();
                let mut expected = vec![0; shape.count() * size];
                for (i, number) in numbers.iter().enumerate() {
                    let (at, c) = (i / channels, i % channels);
                    let (t, place) = (at / (3 * width), at % (3 * width));
                    let low = lows.get(2 * i..2 * i + 2).map_or(0, |l| u16::from_le_bytes([l[0], l[1]]));
                    let to = ((t * channels + c) * 3 * width + place) * size;
                    element.put((i32::from(*number) + 0x8000) as u16, low, &mut expected[to..to + size]);
                }
                for run in [1, width] {
                    let mut out = vec![0; expected.len()];
                    let mut output = Output::new(shape, element, 0x8000, None, lows, &mut out);
                    for (at, numbers) in numbers.chunks_exact(run * channels).enumerate() {
                        let first = at * run;
                        output.put(first / (3 * width), first % (3 * width), numbers);
                    }
                    assert_eq!(
                        out, expected,
                        "{element:?}, {channels} channels, {width} wide, {run} at once"
                    );
                }
            }
        }
    }
}
