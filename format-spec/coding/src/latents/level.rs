//! Levels of precision: grids of whole numbers, each told finer by the next (`SPEC.md` section 7.12.1).

use super::dense::Shape;
use super::digits::Known;
use super::element::Element;
use super::grid::Statistics;
use crate::error::{Result, corrupt};

/// First byte of the object.
const FORM: u8 = 1;
/// Bytes of the object before its statistics.
const HEAD: usize = 6;
/// Most halvings of a step.
const MAX_HALVINGS: u8 = 15;

/// What the numbers of a coarse grid are worth: number `m` of a channel stands for `mean + (2^h m + (2^h - 1) / 2) step deviation`, h the halvings.
#[derive(Debug, Clone, PartialEq)]
pub struct Level {
    step: f32,
    halvings: u8,
    statistics: Statistics,
}

impl Level {
    /// Of a step in deviations, of which each halving doubles what a number spans.
    ///
    /// # Errors
    /// If the step is not finite and above 0, or there are more than 15 halvings.
    pub fn new(step: f32, halvings: u8, statistics: Statistics) -> Result<Self> {
        if !(step.is_finite() && step > 0.0) || halvings > MAX_HALVINGS {
            return Err(corrupt("step of a level"));
        }
        Ok(Self { step, halvings, statistics })
    }

    /// Reads the object.
    ///
    /// # Errors
    /// If it is malformed.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        match bytes {
            [FORM, a, b, c, d, halvings, statistics @ ..] => {
                Self::new(f32::from_le_bytes([*a, *b, *c, *d]), *halvings, Statistics::parse(statistics)?)
            }
            _ => Err(corrupt("form of a level")),
        }
    }

    /// The bytes that [`Level::parse`] reads.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEAD + 8 * self.channels());
        out.push(FORM);
        out.extend(self.step.to_le_bytes());
        out.push(self.halvings);
        out.extend(self.statistics.to_bytes());
        out
    }

    /// How many channels there are.
    #[must_use]
    pub fn channels(&self) -> usize {
        self.statistics.channels().len()
    }

    /// What a number spans, in deviations.
    #[must_use]
    pub fn span(&self) -> f64 {
        f64::from(self.step) * f64::from(1u32 << self.halvings)
    }

    /// What a number of channel `c` stands for.
    fn value(&self, c: usize, number: i32) -> f64 {
        let (mean, deviation) = self.statistics.channels()[c];
        let whole = f64::from(1u32 << self.halvings);
        let steps = f64::from(number) * whole + (whole - 1.0) / 2.0;
        f64::from(mean) + steps * (f64::from(self.step) * f64::from(deviation))
    }

    /// The number that a value of channel `c` has where there are no halvings.
    fn number(&self, c: usize, value: f64) -> f64 {
        let (mean, deviation) = self.statistics.channels()[c];
        ((value - f64::from(mean)) / (f64::from(self.step) * f64::from(deviation))).round()
    }

    /// What the numbers of a grid (of 16 bits, signed) stand for, as elements, in the order frame, channel, row, column.
    ///
    /// # Errors
    /// If they are of another shape.
    pub fn elements(&self, shape: Shape, numbers: &[u8], element: Element) -> Result<Vec<u8>> {
        self.check(shape, numbers)?;
        let (plane, size) = (shape.height * shape.width, element.bytes());
        let mut out = vec![0; shape.count() * size];
        for (at, (number, out)) in numbers.chunks_exact(2).zip(out.chunks_exact_mut(size)).enumerate() {
            let number = i16::from_le_bytes([number[0], number[1]]);
            element.put_nearest(self.value(at / plane % shape.channels, number.into()), out);
        }
        Ok(out)
    }

    fn check(&self, shape: Shape, numbers: &[u8]) -> Result<()> {
        let fits = shape.count().checked_mul(2) == Some(numbers.len());
        if shape.channels == self.channels() && fits {
            Ok(())
        } else {
            Err(corrupt("a level of another shape"))
        }
    }

    /// The numbers of a finer grid that number `number` of channel `c` leaves: the lowest, and the one after the last. Numbers of values
    /// (`values`: of elements of this type) if there are no halvings, else numbers of half the span.
    fn range(&self, c: usize, number: i32, values: Option<Element>) -> (i32, i32) {
        let Some(element) = values else { return (2 * number, 2 * number + 2) };
        let (low, high) = element.finite_keys();
        let mut bytes = [0; 4];
        let bytes = &mut bytes[..element.bytes()];
        let mut at_key = |key: u32| {
            element.put_key(key, bytes);
            let value = element.value(bytes);
            // Where a type has something else than minus zero.
            (self.number(c, if value.is_nan() { 0.0 } else { value }), element.number(bytes))
        };
        // The first key from which numbers are at least `wanted`; the one after the last if there is none.
        let mut first = |wanted: i32| {
            let (mut below, mut above) = (low, high + 1);
            while below < above {
                let middle = below + (above - below) / 2;
                if at_key(middle).0 >= f64::from(wanted) { above = middle } else { below = middle + 1 }
            }
            below
        };
        let (from, to) = (first(number), first(number + 1));
        if from >= to {
            return (0, 0);
        }
        (at_key(from).1, at_key(to - 1).1 + 1)
    }

    /// What `numbers` leave of a finer grid of this shape, whose numbers stand for those from `low` on, `count` of them. `values` as above.
    pub(super) fn known(
        &self,
        shape: Shape,
        numbers: &[u8],
        values: Option<Element>,
        (low, count): (i32, i32),
    ) -> Result<Known> {
        self.check(shape, numbers)?;
        if values.is_some() != (self.halvings == 0) {
            return Err(corrupt("a level that does not tell of such numbers"));
        }
        let (plane, channels) = (shape.height * shape.width, shape.channels);
        let number = |t: usize, c: usize, p: usize| {
            let at = 2 * ((t * channels + c) * plane + p);
            i16::from_le_bytes([numbers[at], numbers[at + 1]])
        };
        let within = |n: i32| n.saturating_sub(low).clamp(0, count);
        let mut digits = vec![0u16; shape.count()];
        let mut ranges = Vec::with_capacity(channels);
        for c in 0..channels {
            let all = || (0..shape.frames).flat_map(move |t| (0..plane).map(move |p| (t, p)));
            let mut met: Vec<i16> = all().map(|(t, p)| number(t, c, p)).collect();
            met.sort_unstable();
            met.dedup();
            for (t, p) in all() {
                let at = met.partition_point(|&m| m < number(t, c, p));
                digits[(t * plane + p) * channels + c] = at as u16;
            }
            let of = |&m: &i16| {
                let (first, end) = self.range(c, m.into(), values);
                (within(first), within(end))
            };
            ranges.push(met.iter().map(of).collect::<Vec<_>>());
        }
        if ranges.iter().flatten().any(|(first, end)| first >= end) {
            return Err(corrupt("a number of a level that leaves nothing"));
        }
        Ok(Known::new(digits, shape, ranges))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn level(halvings: u8) -> Level {
        Level::new(0.125, halvings, Statistics::new(vec![(0.5, 2.0), (-1.0, 1.0)]).unwrap()).unwrap()
    }

    #[test]
    fn objects_come_back() {
        for halvings in [0, 3] {
            let level = level(halvings);
            let bytes = level.to_bytes();
            assert_eq!(Level::parse(&bytes).unwrap(), level);
            assert!(
                (0..bytes.len())
                    .all(|end| Level::parse(&bytes[..end]).is_err() || (end - HEAD).is_multiple_of(8))
            );
        }
        assert!(Level::new(0.0, 0, Statistics::new(vec![(0.0, 1.0)]).unwrap()).is_err());
        assert!(Level::new(1.0, 16, Statistics::new(vec![(0.0, 1.0)]).unwrap()).is_err());
    }

    #[test]
    fn a_number_stands_for_the_middle_of_those_it_leaves() {
        let (coarse, fine) = (level(2), level(1));
        for m in [-5, 0, 7] {
            assert_eq!(coarse.range(1, m, None), (2 * m, 2 * m + 2));
            let middle = (fine.value(1, 2 * m) + fine.value(1, 2 * m + 1)) / 2.0;
            assert_eq!(coarse.value(1, m), middle);
        }
        assert!((coarse.span() - 0.5).abs() < 1e-9);
    }

    #[test]
    fn values_are_those_that_round_to_the_number() {
        let level = level(0);
        for element in [Element::Bf16, Element::F16, Element::F32, Element::F8E4m3] {
            for m in [-9, -1, 0, 3] {
                let (first, end) = level.range(0, m, Some(element));
                assert!(first < end, "{element:?} {m}");
                for index in [first, (first + end) / 2, end - 1] {
                    let mut bytes = vec![0; element.bytes()];
                    element.put(index as u16, 0, &mut bytes);
                    let number = level.number(0, element.value(&bytes));
                    // Of `F32` an index stands for many elements.
                    assert!((number - f64::from(m)).abs() <= f64::from(u8::from(element == Element::F32)));
                }
            }
            assert_eq!(level.range(0, 32_000, Some(Element::F8E4m3Fnuz)), (0, 0));
        }
    }
}
