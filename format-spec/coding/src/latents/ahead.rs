//! What digits of places that are still to be decoded tell of a number (`SPEC.md` section 7.12).
//!
//! A latent changes little from frame to frame: where the next digits of its place lie says on which side of a boundary it is, and how near.

use super::cells::VALUE_LIMIT;
use super::tables::Tables;

/// Places that are looked at: those of the next frames, and the two beside it.
pub(super) const PLACES: usize = FRAMES + BESIDE;
/// Frames that are looked at.
pub(super) const FRAMES: usize = 6;
/// Places of the same frame: to the right and below.
pub(super) const BESIDE: usize = 2;
/// Sharpness at each place in 256ths of that of the number: what lies further ahead has changed more.
const SHARPNESS: [i64; PLACES] = [256, 190, 160, 140, 120, 110, 128, 128];
/// Added to each likelihood, in units of 2^-31: that a place is elsewhere altogether.
const ELSEWHERE: u32 = 1 << 20;

/// Where the value of a place lies.
#[derive(Clone, Copy)]
pub(super) struct Ends {
    pub(super) low: i32,
    pub(super) high: i32,
}

impl Ends {
    #[inline(always)]
    pub(super) fn clamp(self, value: i32) -> i32 {
        value.clamp(self.low, self.high.max(self.low))
    }
}

/// The places ahead of one number.
#[derive(Clone)]
pub(super) struct Ahead {
    /// Those of the next frames, nearest first, where there are any.
    pub(super) frames: [Option<Ends>; FRAMES],
    /// Those beside it, each with its value in the frame before.
    pub(super) beside: [Option<(Ends, i32)>; BESIDE],
    /// The blended guess of the number.
    blend: i32,
    /// Twice the scale of its error, and the inverse of the scale in units of 2^-35.
    step: i32,
    inverse: i64,
}

impl Ahead {
    pub(super) fn new() -> Self {
        Self { frames: [None; FRAMES], beside: [None; BESIDE], blend: 0, step: 0, inverse: 0 }
    }

    /// Of a number that is expected at `blend`, give or take `scale` sixteenths.
    #[inline(always)]
    pub(super) fn expect(&mut self, blend: i32, scale: i64, inverse: i64) {
        (self.blend, self.step, self.inverse) = (blend, (scale >> 3).min(1 << 27) as i32, inverse);
    }

    /// How the places speak for a number from `bound` to below `high`, against one from `low` to below `bound`: one stretched
    /// probability each.
    #[inline(always)]
    pub(super) fn inputs(&self, tables: &Tables, bound: i32, Ends { low, high }: Ends, inputs: &mut [i32]) {
        let up = ((bound + high) >> 1).min(bound + self.step);
        let down = ((bound + low) >> 1).max(bound - self.step);
        let frames = self.frames.iter().map(|ends| ends.map(|ends| (ends, up, down)));
        let beside = self.beside.iter().map(|place| {
            // Half of what the guess is amiss by, it is expected to be amiss by there.
            place.map(|(ends, was)| {
                let there = |x: i32| was + ((x - self.blend) >> 1);
                (ends, there(up), there(down))
            })
        });
        for ((input, place), sharpness) in inputs.iter_mut().zip(frames.chain(beside)).zip(SHARPNESS) {
            let Some((ends, up, down)) = place else { continue };
            let inverse = (self.inverse * sharpness) >> 8;
            let likelihood = |x: i32| {
                let below = |end: i32| tables.logistic((i64::from(end - x) * inverse) >> 20);
                let low = if ends.low > -VALUE_LIMIT { below(ends.low) } else { 0 };
                let high = if ends.high < VALUE_LIMIT { below(ends.high) } else { 1 << 31 };
                tables.log2(high.saturating_sub(low) + ELSEWHERE)
            };
            *input = 2 * (likelihood(up) - likelihood(down));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_speaks_for_the_side_that_it_lies_on() {
        let mut ahead = Ahead::new();
        ahead.expect(0, 1 << 18, (1 << 39) >> 18);
        let of = |low, high| Some(Ends { low, high });
        ahead.frames[..3].copy_from_slice(&[of(9000, VALUE_LIMIT), of(-VALUE_LIMIT, 0), None]);
        ahead.beside[0] = of(40_000, 60_000).map(|ends| (ends, 0));
        let mut inputs = [7; PLACES];
        inputs[2] = 0;
        let all = Ends { low: -VALUE_LIMIT, high: VALUE_LIMIT };
        ahead.inputs(Tables::get(), 0, all, &mut inputs);
        assert!(inputs[0] > 0 && inputs[1] < 0 && inputs[2] == 0 && inputs[FRAMES] > 0, "{inputs:?}");
        // Nothing is known of what is as likely on either side.
        ahead.frames[0] = of(-VALUE_LIMIT, VALUE_LIMIT);
        ahead.inputs(Tables::get(), 0, all, &mut inputs);
        assert_eq!(inputs[0], 0);
    }
}
