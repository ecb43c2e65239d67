//! How much of a track repeats what is before or beside it.

use super::array::Array;
use super::reduce::{distance, scaled};
use super::statistics::{Moments, identity};
use mcodec_coding::latents::{Element, MAX_CHANNELS, Statistics};
use mcodec_format::registry::Dtype;
use mcodec_format::track::AxisOrder;

/// How many positions (all channels, or tokens, at one time, row and column) repeat another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Repeats {
    /// Positions that have the other one.
    pub positions: u64,
    /// Those that are bit for bit the same.
    pub same: u64,
    /// Those that are the same or near it; of elements that are no floats, those that are the same.
    pub near: u64,
}

/// What positions of a track repeat.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Redundancy {
    /// How far two positions that are near are apart at most: the root of their mean squared difference over the channels, in standard
    /// deviations of each over the track. `None` of elements that are no floats.
    pub within: Option<f64>,
    /// The same place in the frame before.
    pub before: Repeats,
    /// The neighbour to the left.
    pub left: Repeats,
    /// The neighbour above.
    pub above: Repeats,
    /// Any of the two.
    pub beside: Repeats,
}

impl Repeats {
    fn add(&mut self, (same, near): (bool, bool)) {
        self.positions += 1;
        self.same += u64::from(same);
        self.near += u64::from(same || near);
    }
}

/// Counts what positions of a track repeat: `bytes` are its elements by time, channel, row and column, whose sizes are `shape`. `None` if
/// that is not so.
#[must_use]
pub fn redundancy(dtype: Dtype, shape: [u64; 4], bytes: Vec<u8>, within: f64) -> Option<Redundancy> {
    let shape = shape.map(usize::try_from);
    let [Ok(frames), Ok(channels), Ok(height), Ok(width)] = shape else { return None };
    let size = dtype.bits as usize / 8;
    let count = [frames, channels, height, width, size].iter().try_fold(1usize, |n, &d| n.checked_mul(d))?;
    if count != bytes.len() || count == 0 {
        return None;
    }
    let shape = [frames, channels, height, width];
    let array = Array { name: String::new(), dtype, axes: AxisOrder::parse("TCHW")?, shape, bytes };
    let float = Element::by_id(dtype.id).filter(|e| e.float().is_some() && channels <= MAX_CHANNELS);
    let scale = float.map(|element| (element, statistics_of(&array, element)));
    let mut all = Redundancy { within: scale.is_some().then_some(within), ..Redundancy::default() };
    let mut before: Option<Frame<'_>> = None;
    for bytes in array.bytes.chunks_exact(channels * height * width * size) {
        let values = scale.as_ref().map(|(e, s)| scaled(bytes, *e, s, height * width)).unwrap_or_default();
        let frame = Frame { bytes, values, size, channels, area: height * width };
        for p in 0..frame.area {
            let of = |other: &Frame<'_>, q: usize| frame.repeats(p, other, q, within);
            if let Some(before) = &before {
                all.before.add(of(before, p));
            }
            let left = (p % width > 0).then(|| of(&frame, p - 1));
            let above = p.checked_sub(width).map(|q| of(&frame, q));
            left.into_iter().for_each(|found| all.left.add(found));
            above.into_iter().for_each(|found| all.above.add(found));
            let any = left.into_iter().chain(above).reduce(|a, b| (a.0 || b.0, a.1 || b.1));
            any.into_iter().for_each(|found| all.beside.add(found));
        }
        before = Some(frame);
    }
    Some(all)
}

/// Statistics of the array itself, or none if its values have no finite ones.
fn statistics_of(array: &Array, element: Element) -> Statistics {
    let mut moments = Moments::default();
    moments.add(array, element);
    moments.statistics().unwrap_or_else(|_| identity(array.channels()))
}

struct Frame<'a> {
    bytes: &'a [u8],
    /// In deviations, channels innermost; nothing of elements that are no floats.
    values: Vec<f64>,
    size: usize,
    channels: usize,
    area: usize,
}

impl Frame<'_> {
    /// Whether position `p` is the same as `q` of another frame, and whether it is near it.
    fn repeats(&self, p: usize, other: &Frame<'_>, q: usize, within: f64) -> (bool, bool) {
        let element = |frame: &Self, c: usize, p: usize| (c * frame.area + p) * frame.size;
        let same = (0..self.channels).all(|c| {
            let (a, b) = (element(self, c, p), element(self, c, q));
            self.bytes[a..a + self.size] == other.bytes[b..b + self.size]
        });
        let near =
            !self.values.is_empty() && distance(&self.values, p, &other.values, q, self.channels) <= within;
        (same, near)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeats_are_counted() {
        let dtype = Dtype::by_name("U8").unwrap();
        let bytes = vec![1, 1, 2, 1, 5, 6, 7, 8, 1, 1, 2, 2, 5, 5, 7, 8];
        // Two frames of two channels of 2 x 2.
        let found = redundancy(dtype, [2, 2, 2, 2], bytes.clone(), 0.0).unwrap();
        let repeats = |positions, same| Repeats { positions, same, near: same };
        assert_eq!(found.within, None);
        assert_eq!(found.before, repeats(4, 2));
        assert_eq!(found.left, repeats(4, 1));
        assert_eq!(found.above, repeats(4, 0));
        assert_eq!(found.beside, repeats(6, 1));
        assert_eq!(redundancy(dtype, [2, 2, 2, 1], bytes, 0.0), None);
        let floats = [0.0f32, 0.1, 3.0, 3.0].iter().flat_map(|v| v.to_le_bytes()).collect();
        let found = redundancy(Dtype::by_name("F32").unwrap(), [4, 1, 1, 1], floats, 0.125).unwrap();
        assert_eq!((found.within, found.before), (Some(0.125), Repeats { positions: 3, same: 1, near: 2 }));
    }
}
