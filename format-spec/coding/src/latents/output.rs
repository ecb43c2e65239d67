//! From decoded numbers to elements in the order frame, channel, row, column.

use super::dense::Shape;
use super::element::Element;
use super::grid::{Quantiser, Statistics};

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
        Self { shape, element, zero, quantised, low_halves, known, out }
    }

    /// Puts the channels of the positions from `first` on of frame `t`.
    pub(super) fn put<N: Copy + Into<i32>>(&mut self, t: usize, first: usize, numbers: &[N]) {
        let Shape { channels, height, width, .. } = self.shape;
        let (plane, size) = (height * width, self.element.bytes());
        for c in 0..channels {
            let start = ((t * channels + c) * plane + first) * size;
            let count = numbers.len() / channels;
            let numbers = numbers.iter().skip(c).step_by(channels).map(|&n| n.into() + self.zero);
            let out = &mut self.out[start..][..count * size];
            if let Some((step, statistics)) = self.quantised {
                let known = &mut self.known[c * 2 * KNOWN as usize..][..2 * KNOWN as usize];
                let quantiser = Quantiser { step: *step, statistics, dependency: None };
                put_quantised(&quantiser, c, self.element, known, numbers, out);
            } else if size == 2 {
                let out = out.as_chunks_mut::<2>().0.iter_mut();
                out.zip(numbers).for_each(|(out, number)| self.element.put(number as u16, 0, out));
            } else if size == 1 {
                let out = out.as_chunks_mut::<1>().0.iter_mut();
                out.zip(numbers).for_each(|(out, number)| self.element.put(number as u16, 0, out));
            } else {
                for (x, (out, number)) in out.as_chunks_mut::<4>().0.iter_mut().zip(numbers).enumerate() {
                    let at = 2 * ((t * plane + first + x) * channels + c);
                    let low = self.low_halves.get(at..at + 2).map_or(0, |b| u16::from_le_bytes([b[0], b[1]]));
                    self.element.put(number as u16, low, out);
                }
            }
        }
    }
}

fn put_quantised(
    quantiser: &Quantiser<'_>,
    c: usize,
    element: Element,
    known: &mut [u64],
    numbers: impl Iterator<Item = i32>,
    out: &mut [u8],
) {
    let size = element.bytes();
    for (number, out) in numbers.zip(out.chunks_exact_mut(size)) {
        let place = usize::try_from(number + KNOWN).ok().filter(|&at| at < known.len());
        if let Some(at) = place {
            if known[at] >> 32 == 0 {
                let mut bytes = [0; 4];
                quantiser.put(c, number, element, &mut bytes[..size]);
                known[at] = u64::from(u32::from_le_bytes(bytes)) | 1 << 32;
            }
            out.copy_from_slice(&(known[at] as u32).to_le_bytes()[..size]);
        } else {
            quantiser.put(c, number, element, out);
        }
    }
}
