//! The part of an image that a Gaussian may change, without that Gaussian, and how well any Gaussian would do there.

use mcodec_decode::gaussians::lanes::{self, Kernel, LANES, Lanes};
use mcodec_decode::gaussians::{CUT, MEAN_WEIGHT, Shape};

use super::step::MOMENTS;
use super::target::{MAX_CHANNELS, Target};
use std::sync::Arc;

type Group = [f32; LANES];
const ACROSS: Group = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0];

/// A rectangle of pixels, its columns in groups of eight: `left` and `right` are groups, ends are past the last.
#[derive(Default, Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Area {
    pub(super) left: usize,
    pub(super) right: usize,
    pub(super) top: usize,
    pub(super) bottom: usize,
}

impl Area {
    /// Bounding box of what a Gaussian reaches, within an image; may be empty.
    pub(super) fn of(shape: &Shape, width: usize, height: usize) -> Self {
        let first = |centre: f32, half: f32| (centre - half - 0.5).ceil().max(0.0) as usize;
        let end = |centre: f32, half: f32, size: usize| {
            ((centre + half - 0.5).floor() + 1.0).clamp(0.0, size as f32) as usize
        };
        let [across, down] = shape.half.map(|half| half + 0.02);
        Self {
            left: first(shape.x, across) / LANES,
            right: end(shape.x, across, width).div_ceil(LANES),
            top: first(shape.y, down),
            bottom: end(shape.y, down, height),
        }
    }

    /// The least area that holds both.
    pub(super) fn union(self, other: Self) -> Self {
        Self {
            left: self.left.min(other.left),
            right: self.right.max(other.right),
            top: self.top.min(other.top),
            bottom: self.bottom.max(other.bottom),
        }
    }

    /// Groups in it.
    pub(super) fn groups(&self) -> usize {
        self.right.saturating_sub(self.left) * self.bottom.saturating_sub(self.top)
    }
}

/// Sums of weights and of weighted colours (with the mean's) of an image, and what it should be, in rows of groups.
#[derive(Debug, Clone, Default)]
pub(super) struct Canvas {
    pub(super) columns: usize,
    pub(super) height: usize,
    channels: usize,
    /// For each group the weights, then each channel.
    pub(super) sums: Vec<Group>,
    /// For each group the root of each pixel's importance (0 off the image), then each channel times that.
    goal: Arc<Vec<Group>>,
}

impl Canvas {
    /// Nothing drawn yet.
    pub(super) fn new(target: &Target) -> Self {
        let (columns, channels) = (target.width.div_ceil(LANES), target.channels());
        let stride = 1 + channels;
        let mut goal = vec![[0.0; LANES]; columns * target.height * stride];
        for at in 0..target.width * target.height {
            let (x, y) = (at % target.width, at / target.width);
            let group = &mut goal[(y * columns + x / LANES) * stride..][..stride];
            let root = target.importance.as_ref().map_or(1.0, |q| q[at].sqrt());
            group[0][x % LANES] = root;
            for channel in 0..channels {
                group[1 + channel][x % LANES] = root * target.plane(channel)[at];
            }
        }
        let mut sums = vec![[0.0; LANES]; goal.len()];
        for group in sums.chunks_exact_mut(stride) {
            group[1..].iter_mut().zip(&target.mean).for_each(|(sum, &m)| *sum = [MEAN_WEIGHT * m; LANES]);
        }
        Self { columns, height: target.height, channels, sums, goal: Arc::new(goal) }
    }

    /// The same without anything drawn.
    pub(super) fn clear(&mut self, mean: &[f32]) {
        for group in self.sums.chunks_exact_mut(1 + self.channels) {
            group[0] = [0.0; LANES];
            group[1..].iter_mut().zip(mean).for_each(|(sum, &m)| *sum = [MEAN_WEIGHT * m; LANES]);
        }
    }

    /// The weighted squared error.
    pub(super) fn squared_error(&self) -> f64 {
        let stride = 1 + self.channels;
        let rows =
            self.sums.chunks_exact(self.columns * stride).zip(self.goal.chunks_exact(self.columns * stride));
        rows.map(|(sums, goal)| f64::from(lanes::run(Error { stride, sums, goal }))).sum()
    }

    /// Fills a patch: the area without the Gaussian `own`, if there is one.
    pub(super) fn cut(&self, area: Area, own: Option<(&Shape, &[f32])>, patch: &mut Patch) {
        patch.area = area;
        patch.channels = self.channels;
        patch.groups.resize(area.groups() * (3 + 2 * self.channels), [0.0; LANES]);
        match self.channels {
            3 => lanes::run(Cut::<3> { canvas: self, own, patch }),
            _ => lanes::run(Cut::<0> { canvas: self, own, patch }),
        }
    }
}

/// Adds a Gaussian `sign` times to rows of a canvas's sums.
pub(super) fn draw_rows(
    sums: &mut [Group],
    columns: usize,
    rows: (usize, usize),
    shape: &Shape,
    colours: &[f32],
    sign: f32,
) {
    lanes::run(Draw { sums, columns, rows, shape, colours, sign });
}

/// Groups of a row that a Gaussian reaches, from `left` on and up to `right`.
#[inline(always)]
fn reached(shape: &Shape, y: usize, left: usize, right: usize) -> Option<(usize, usize)> {
    let (first, last) = shape.columns_at(y as f32 + 0.5 - shape.y)?;
    let first = ((shape.x + first - 0.5) / LANES as f32).max(left as f32) as usize;
    let end = ((shape.x + last - 0.5) / LANES as f32).floor() + 1.0;
    let end = end.clamp(0.0, right as f32) as usize;
    (first < end).then_some((first, end))
}

/// Values of a Gaussian in a row: u at the row's column -0.5, and minus the square of v.
#[inline(always)]
fn row_of(shape: &Shape, y: usize) -> (f32, f32) {
    let dy = y as f32 + 0.5 - shape.y;
    let v = shape.down * dy;
    (shape.along * dy, -v * v)
}

/// A Gaussian's values in one group.
#[inline(always)]
fn values<L: Lanes>(l: L, shape: &Shape, group: usize, (u, v): (f32, f32)) -> L::F {
    let dx = l.add(l.load(&ACROSS), l.splat((group * LANES) as f32 + 0.5 - shape.x));
    let u = l.add(l.mul(l.splat(shape.across), dx), l.splat(u));
    l.max(l.sub(l.exp2(l.neg_mul_add(u, u, l.splat(v))), l.splat(CUT)), l.splat(0.0))
}

struct Draw<'a> {
    sums: &'a mut [Group],
    columns: usize,
    rows: (usize, usize),
    shape: &'a Shape,
    colours: &'a [f32],
    sign: f32,
}

impl Kernel for Draw<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self, l: L) {
        let stride = 1 + self.colours.len();
        let area = Area::of(self.shape, self.columns * LANES, self.rows.1);
        for y in area.top.max(self.rows.0)..area.bottom {
            let Some((first, end)) = reached(self.shape, y, area.left, area.right) else { continue };
            let row = row_of(self.shape, y);
            let at = ((y - self.rows.0) * self.columns + first) * stride;
            let groups = &mut self.sums[at..][..(end - first) * stride];
            for (group, sums) in groups.chunks_exact_mut(stride).enumerate() {
                let w = l.mul(values(l, self.shape, first + group, row), l.splat(self.sign));
                l.store(l.add(l.load(&sums[0]), w), &mut sums[0]);
                for (sum, &colour) in sums[1..].iter_mut().zip(self.colours) {
                    l.store(l.mul_add(w, l.splat(colour), l.load(sum)), sum);
                }
            }
        }
    }
}

struct Error<'a> {
    stride: usize,
    sums: &'a [Group],
    goal: &'a [Group],
}

impl Kernel for Error<'_> {
    type Output = f32;

    #[inline(always)]
    fn run<L: Lanes>(self, l: L) -> f32 {
        let mut error = l.splat(0.0);
        for (sums, goal) in self.sums.chunks_exact(self.stride).zip(self.goal.chunks_exact(self.stride)) {
            let root = l.load(&goal[0]);
            let whole = l.add(l.max(l.load(&sums[0]), l.splat(0.0)), l.splat(MEAN_WEIGHT));
            for (sum, goal) in sums[1..].iter().zip(&goal[1..]) {
                let off = l.neg_mul_add(root, l.div(l.load(sum), whole), l.load(goal));
                error = l.mul_add(off, off, error);
            }
        }
        l.sum(error)
    }
}

/// An area of a canvas: for each group what colours are divided by, the root of the importance, the squared error, then for each
/// channel what it should be and its sum, both times the root.
#[derive(Debug, Default)]
pub(super) struct Patch {
    area: Area,
    channels: usize,
    groups: Vec<Group>,
    /// Of the Gaussian that was cut out the moments of the squared error's gradient in its exponent, as a step of the fit has them.
    pub(super) moments: [f32; MOMENTS],
}

/// What is to be known of a Gaussian with any colours c on a patch: the squared error changes by `rise` + sum of (`curve` c^2 - 2 `pull` c).
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Trial {
    pub(super) rise: f32,
    pub(super) curve: f32,
    pub(super) pull: [f32; MAX_CHANNELS],
}

impl Trial {
    /// Adds what is to be known on another patch, with this weight.
    pub(super) fn add(&mut self, other: &Self, weight: f32) {
        self.rise += weight * other.rise;
        self.curve += weight * other.curve;
        self.pull.iter_mut().zip(&other.pull).for_each(|(sum, pull)| *sum += weight * pull);
    }
}

impl Patch {
    /// Tries a Gaussian; what it reaches outside the patch does not count.
    pub(super) fn try_out(&self, shape: &Shape) -> Trial {
        match self.channels {
            1 => lanes::run(Try::<1> { patch: self, shape }),
            3 => lanes::run(Try::<3> { patch: self, shape }),
            4 => lanes::run(Try::<4> { patch: self, shape }),
            _ => lanes::run(Try::<0> { patch: self, shape }),
        }
    }
}

struct Cut<'a, const C: usize> {
    canvas: &'a Canvas,
    own: Option<(&'a Shape, &'a [f32])>,
    patch: &'a mut Patch,
}

impl<const C: usize> Kernel for Cut<'_, C> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self, l: L) {
        let canvas = self.canvas;
        let channels = if C == 0 { canvas.channels } else { C };
        let (stride, width) = (1 + channels, 3 + 2 * channels);
        let Area { left, right, top, bottom } = self.patch.area;
        let mut moments = [l.splat(0.0); MOMENTS];
        for y in top..bottom {
            let own_row =
                self.own.map_or((0, 0), |(shape, _)| reached(shape, y, left, right).unwrap_or((0, 0)));
            let row = self.own.map_or((0.0, 0.0), |(shape, _)| row_of(shape, y));
            let at = (y * canvas.columns + left) * stride;
            let sums = canvas.sums[at..][..(right - left) * stride].chunks_exact(stride);
            let goals = canvas.goal[at..][..(right - left) * stride].chunks_exact(stride);
            let out = &mut self.patch.groups[(y - top) * (right - left) * width..][..(right - left) * width];
            for (i, ((sums, goal), out)) in sums.zip(goals).zip(out.chunks_exact_mut(width)).enumerate() {
                let is_own = (own_row.0..own_row.1).contains(&(left + i));
                let (w, colours) = match self.own {
                    Some((shape, colours)) if is_own => (values(l, shape, left + i, row), colours),
                    _ => (l.splat(0.0), &[] as &[f32]),
                };
                let whole = l.add(l.max(l.sub(l.load(&sums[0]), w), l.splat(0.0)), l.splat(MEAN_WEIGHT));
                let (root, one_over) = (l.load(&goal[0]), l.div(l.splat(1.0), whole));
                if let Some((shape, colours)) = self.own.filter(|_| is_own) {
                    // Half of what the squared error rises by with the Gaussian's value.
                    let one_over = l.div(l.splat(1.0), l.add(whole, w));
                    let mut rise = l.splat(0.0);
                    for (channel, &colour) in colours.iter().enumerate().take(channels) {
                        let blend = l.mul(l.load(&sums[1 + channel]), one_over);
                        let off = l.sub(l.mul(root, blend), l.load(&goal[1 + channel]));
                        let by_value = l.mul(l.mul(root, one_over), l.sub(l.splat(colour), blend));
                        rise = l.mul_add(off, by_value, rise);
                    }
                    let z = l.where_positive(w, l.mul(l.add(w, l.splat(CUT)), rise));
                    let dx = l.add(l.load(&ACROSS), l.splat(((left + i) * LANES) as f32 + 0.5 - shape.x));
                    let dy = l.splat(y as f32 + 0.5 - shape.y);
                    let (zx, zy) = (l.mul(z, dx), l.mul(z, dy));
                    moments[0] = l.add(moments[0], zx);
                    moments[1] = l.add(moments[1], zy);
                    moments[2] = l.mul_add(zx, dx, moments[2]);
                    moments[3] = l.mul_add(zx, dy, moments[3]);
                    moments[4] = l.mul_add(zy, dy, moments[4]);
                }
                let mut error = l.splat(0.0);
                for channel in 0..channels {
                    let mut sum = l.load(&sums[1 + channel]);
                    if let Some(&colour) = colours.get(channel) {
                        sum = l.neg_mul_add(w, l.splat(colour), sum);
                    }
                    let (sum, wanted) = (l.mul(sum, root), l.load(&goal[1 + channel]));
                    let off = l.neg_mul_add(sum, one_over, wanted);
                    error = l.mul_add(off, off, error);
                    l.store(wanted, &mut out[3 + 2 * channel]);
                    l.store(sum, &mut out[4 + 2 * channel]);
                }
                l.store(whole, &mut out[0]);
                l.store(root, &mut out[1]);
                l.store(error, &mut out[2]);
            }
        }
        self.patch.moments = moments.map(|sum| -2.0 * l.sum(sum));
    }
}

struct Try<'a, const C: usize> {
    patch: &'a Patch,
    shape: &'a Shape,
}

impl<const C: usize> Kernel for Try<'_, C> {
    type Output = Trial;

    #[inline(always)]
    fn run<L: Lanes>(self, l: L) -> Trial {
        let channels = if C == 0 { self.patch.channels } else { C };
        let width = 3 + 2 * channels;
        let Area { left, right, top, bottom } = self.patch.area;
        let shape = self.shape;
        let zero = l.splat(0.0);
        let (mut rise, mut curve, mut pull) = (zero, zero, [zero; MAX_CHANNELS]);
        let own = Area::of(shape, right * LANES, bottom);
        for y in own.top.max(top)..own.bottom {
            let Some((first, end)) = reached(shape, y, left, right) else { continue };
            let row = row_of(shape, y);
            let at = ((y - top) * (right - left) + first - left) * width;
            let groups = &self.patch.groups[at..][..(end - first) * width];
            for (i, group) in groups.chunks_exact(width).enumerate() {
                let w = values(l, shape, first + i, row);
                let one_over = l.div(l.splat(1.0), l.add(l.load(&group[0]), w));
                let share = l.mul(l.mul(w, one_over), l.load(&group[1]));
                curve = l.mul_add(share, share, curve);
                rise = l.sub(rise, l.load(&group[2]));
                for channel in 0..channels {
                    let off = l.neg_mul_add(
                        l.load(&group[4 + 2 * channel]),
                        one_over,
                        l.load(&group[3 + 2 * channel]),
                    );
                    rise = l.mul_add(off, off, rise);
                    pull[channel] = l.mul_add(share, off, pull[channel]);
                }
            }
        }
        let mut trial = Trial { rise: l.sum(rise), curve: l.sum(curve), pull: [0.0; MAX_CHANNELS] };
        trial.pull[..channels].iter_mut().zip(pull).for_each(|(out, lanes)| *out = l.sum(lanes));
        trial
    }
}
