//! A Gaussian as it is evaluated: a quadratic form in a shape that does not cancel, and exactly which pixels it can reach.

use super::View;
use super::lanes::Lanes;

/// exp(-4.5): what is taken off a Gaussian's value, so that it ends at three standard deviations.
pub const CUT: f32 = 0.011_108_997;
/// Standard deviations to which lists of pixels reach: a little over 3, so that rounding never leaves out a pixel that counts.
const REACH: f32 = 3.002;
/// Pixels of slack on each side of a list, for the same reason.
const SLACK: f32 = 0.01;
/// sqrt(0.5 * log2(e)): turns standard deviations into the square root of a binary exponent.
const ROOT: f32 = 0.849_321_8;

/// One Gaussian, dequantised. Lengths are source pixels; a pixel's centre is its integer position plus 0.5.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Splat {
    /// Centre, from the left edge.
    pub x: f32,
    /// Centre, from the top edge.
    pub y: f32,
    /// Standard deviations along the first axis and across it.
    pub sigma: [f32; 2],
    /// Direction of the first axis, radians from x towards y.
    pub angle: f32,
}

/// A Gaussian ready to be evaluated: its value at (dx, dy) from its centre is 2^-(u^2 + v^2) with u = `across` dx + `along` dy and
/// v = `down` dy, less [`CUT`], where that is positive.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Shape {
    /// Centre, from the left edge.
    pub x: f32,
    /// Centre, from the top edge.
    pub y: f32,
    /// u per dx.
    pub across: f32,
    /// u per dy.
    pub along: f32,
    /// v per dy.
    pub down: f32,
    /// Covariance: xx, xy, yy.
    pub covariance: [f32; 3],
    /// Half the width and half the height of the bounding box of what it can reach.
    pub half: [f32; 2],
    /// Determinant of the covariance.
    determinant: f32,
}

impl Splat {
    /// The splat, ready to be evaluated.
    #[must_use]
    pub fn shape(&self) -> Shape {
        let (sin, cos) = self.angle.sin_cos();
        let (v0, v1) = (self.sigma[0] * self.sigma[0], self.sigma[1] * self.sigma[1]);
        let xx = cos * cos * v0 + sin * sin * v1;
        let yy = sin * sin * v0 + cos * cos * v1;
        let xy = cos * sin * (v0 - v1);
        Shape::new(self.x, self.y, [xx, xy, yy], v0 * v1)
    }

    /// The splat widened by a Gaussian of these variances across and down (square pixels), ready to be evaluated, and what its values
    /// are to be multiplied by so that its integral stays.
    #[must_use]
    pub fn widened(&self, [across, down]: [f32; 2]) -> (Shape, f32) {
        let plain = self.shape();
        if across == 0.0 && down == 0.0 {
            return (plain, 1.0);
        }
        let [xx, xy, yy] = plain.covariance;
        let determinant = plain.determinant + across * yy + down * xx + across * down;
        let shape = Shape::new(self.x, self.y, [xx + across, xy, yy + down], determinant);
        (shape, (plain.determinant / determinant).sqrt())
    }

    /// Whether it may reach pixels of a view that widens Gaussians by these variances: a circle that holds it meets the view.
    pub(super) fn may_reach(&self, view: &View, [across, down]: [f32; 2]) -> bool {
        let sigma = self.sigma[0].max(self.sigma[1]);
        let radius = f64::from((sigma * sigma + across.max(down)).sqrt() * (REACH + 0.01) + 1.0);
        let is_near = |at: f32, from: f64, step: f64, count: usize| {
            (from - radius..=from + step * count as f64 + radius).contains(&f64::from(at))
        };
        is_near(self.x, view.left, view.step[0], view.width)
            && is_near(self.y, view.top, view.step[1], view.height)
    }

    /// Everything is a number, and the standard deviations are positive and neither tiny nor huge.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        let is_in = |value: f32, most: f32| value.abs() <= most;
        is_in(self.x, 1e6)
            && is_in(self.y, 1e6)
            && is_in(self.angle, 1e3)
            && self.sigma.iter().all(|&s| (1e-2..=1e5).contains(&s))
    }
}

impl Shape {
    /// Of what reaches no pixel.
    pub(super) const NOWHERE: Self = Self {
        x: -1e9,
        y: -1e9,
        across: 0.0,
        along: 0.0,
        down: 1.0,
        covariance: [1.0, 0.0, 1.0],
        half: [0.0, 0.0],
        determinant: 1.0,
    };

    fn new(x: f32, y: f32, covariance: [f32; 3], determinant: f32) -> Self {
        let [xx, xy, yy] = covariance;
        let across = ROOT * (yy / determinant).sqrt();
        Self {
            x,
            y,
            across,
            along: -across * xy / yy,
            down: ROOT / yy.sqrt(),
            covariance,
            half: [REACH * xx.sqrt(), REACH * yy.sqrt()],
            determinant,
        }
    }

    /// Determinant of the covariance.
    #[must_use]
    pub fn determinant(&self) -> f32 {
        self.determinant
    }

    /// Columns that it can reach between two heights, both relative to the centre: leftmost and rightmost, relative too.
    #[must_use]
    #[inline(always)]
    pub fn columns(&self, top: f32, bottom: f32) -> Option<(f32, f32)> {
        self.span(top, bottom, self.half[1], self.half[0], self.covariance[2])
    }

    /// Columns that it can reach at one height, as [`Self::columns`].
    #[must_use]
    #[inline(always)]
    pub fn columns_at(&self, height: f32) -> Option<(f32, f32)> {
        let yy = self.covariance[2];
        let left = REACH * REACH - height * height / yy;
        if left < 0.0 {
            return None;
        }
        let (middle, out) = (self.covariance[1] / yy * height, (left * self.determinant / yy).sqrt() + SLACK);
        Some((middle - out, middle + out))
    }

    /// Rows that it can reach between two columns, all relative to the centre: uppermost and lowest.
    #[must_use]
    #[inline(always)]
    pub fn rows(&self, left: f32, right: f32) -> Option<(f32, f32)> {
        self.span(left, right, self.half[0], self.half[1], self.covariance[0])
    }

    /// [`Self::rows`] of eight bands of columns, from `lefts` to `rights` in the source: the lowest above the uppermost where it reaches none.
    #[must_use]
    #[inline(always)]
    pub fn rows_of_groups<L: Lanes>(&self, l: L, lefts: L::F, rights: L::F) -> (L::F, L::F) {
        let [xx, xy, _] = self.covariance;
        let (half, slope, spread) = (self.half[0], xy / xx, self.determinant / xx);
        let left = l.max(l.sub(lefts, l.splat(self.x)), l.splat(-half));
        let right = l.min(l.sub(rights, l.splat(self.x)), l.splat(half));
        let peak = REACH * REACH * xy / self.half[1];
        let clamped = |at: f32| l.min(l.max(l.splat(at), left), right);
        let curve = l.splat(spread / xx);
        let out = |d: L::F| {
            let left = l.neg_mul_add(l.mul(d, d), curve, l.splat(REACH * REACH * spread));
            l.add(l.sqrt(l.max(left, l.splat(0.0))), l.splat(SLACK))
        };
        let (high, low) = (clamped(peak), clamped(-peak));
        let top = l.sub(l.mul(l.splat(slope), low), out(low));
        let bottom = l.mul_add(l.splat(slope), high, out(high));
        // Where the band is beyond the ellipse, left is above right.
        let is_reached = l.sub(right, left);
        let far = l.splat(1e9);
        let beyond = l.sub(far, l.where_not_negative(is_reached, far));
        (l.add(top, beyond), l.sub(bottom, beyond))
    }

    /// The extent of the ellipse along one axis within a band [from, to] of the other axis, whose half-extent and variance are given.
    #[inline(always)]
    fn span(&self, from: f32, to: f32, half: f32, other_half: f32, variance: f32) -> Option<(f32, f32)> {
        let (from, to) = (from.max(-half), to.min(half));
        if from > to {
            return None;
        }
        let slope = self.covariance[1] / variance;
        let spread = self.determinant / variance;
        // Where the ellipse is furthest out, in the band's direction.
        let peak = REACH * REACH * self.covariance[1] / other_half;
        let out = |d: f32| ((REACH * REACH - d * d / variance).max(0.0) * spread).sqrt();
        let high = peak.clamp(from, to);
        let low = (-peak).clamp(from, to);
        Some((slope * low - out(low) - SLACK, slope * high + out(high) + SLACK))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(shape: &Shape, dx: f32, dy: f32) -> f32 {
        let (u, v) = (shape.across * dx + shape.along * dy, shape.down * dy);
        super::super::exp::exp2(-(u * u) - v * v) - CUT
    }

    #[test]
    fn shape_is_the_rotated_gaussian_and_spans_hold_all_it_reaches() {
        for (i, sigma) in [[3.0, 1.0], [0.5, 0.5], [60.0, 0.6], [2.0, 9.0]].into_iter().enumerate() {
            let splat = Splat { x: 0.0, y: 0.0, sigma, angle: 0.4 + i as f32 };
            let shape = splat.shape();
            let (sin, cos) = splat.angle.sin_cos();
            for k in 0..20_000 {
                let (dx, dy) = ((k % 200) as f32 * 2.0 - 199.3, (k / 200) as f32 * 2.0 - 99.7);
                let (u, v) = ((cos * dx + sin * dy) / sigma[0], (cos * dy - sin * dx) / sigma[1]);
                let s = 0.5 * (u * u + v * v);
                let got = value(&shape, dx, dy);
                assert!((got - ((-s).exp() - CUT)).abs() < 2e-4, "{splat:?} {dx} {dy}");
                if got > 0.0 {
                    let (left, right) = shape.columns(dy, dy).expect("reached");
                    assert!(left <= dx && dx <= right, "{splat:?} {dx} {dy} {left} {right}");
                    let (top, bottom) = shape.rows(dx - 4.0, dx + 3.0).expect("reached");
                    assert!(top <= dy && dy <= bottom);
                }
            }
        }
    }
}
