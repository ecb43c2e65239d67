//! Planes of a frame: what is predicted in them, how wrong that was, and which classes follow.

use super::super::dense::Shape;
use super::DEGREES;

/// Channels are worked on in steps of so many.
pub(super) const LANES: usize = 8;
/// Rows and columns of zeros around planes.
const MARGIN: usize = 2;

/// Planes of a frame by row, position and channel.
pub(super) struct Planes {
    /// Residuals' magnitudes of this frame and the one before, with margins.
    pub(super) wrong: Vec<u16>,
    wrong_before: Vec<u16>,
    pub(super) values: Vec<i16>,
    before: Vec<i16>,
    /// Of a row, what was wrong around each symbol.
    nearby: Vec<u16>,
    /// Positions of a row with its margins.
    stride: usize,
    /// Channels, and what fills them up.
    pub(super) lanes: usize,
    shape: Shape,
}

/// Of each predictor, in quarters: how often what is left and above counts, and whether it is that of the plane through them and the
/// corner. The others begin with what was here in the frame before, and it is the change of what is left and above that counts.
const PREDICTORS: [(i32, bool); 4] = [(0, false), (2, false), (3, true), (1, false)];

/// What is known around eight channels of a position.
#[derive(Default)]
struct Around {
    left: [i32; LANES],
    up: [i32; LANES],
    corner: [i32; LANES],
    /// Of the frame before, what was here, and what was left and above.
    before: [i32; LANES],
    left_before: [i32; LANES],
    up_before: [i32; LANES],
}

/// The predictors of eight channels: see [`PREDICTORS`].
#[derive(Clone, Copy, Default)]
struct Counts {
    sides: [i32; LANES],
    /// All ones for the plane.
    is_plane: [i32; LANES],
}

impl Counts {
    /// Four times the predictions.
    #[inline(always)]
    fn sum(&self, around: &Around) -> [i32; LANES] {
        core::array::from_fn(|i| {
            let sides = around.left[i] + around.up[i];
            self.sum_of(
                i,
                sides,
                around.corner[i],
                around.before[i],
                around.left_before[i] + around.up_before[i],
            )
        })
    }

    /// The same of one channel, from the sums of what is and was left and above.
    #[inline(always)]
    fn sum_of(&self, i: usize, sides: i32, corner: i32, before: i32, sides_before: i32) -> i32 {
        let is_plane = self.is_plane[i];
        self.sides[i] * (sides - (sides_before & !is_plane))
            + ((2 - 2 * corner) & is_plane)
            + ((4 * before) & !is_plane)
    }
}

/// The predictors of all channels, and what rows are rebuilt in.
pub(super) struct Modes {
    counts: Vec<Counts>,
    /// Of each position but the first, four times the value, but for what is left of it.
    sums: Vec<[i32; LANES]>,
    left: Vec<[i32; LANES]>,
}

impl Modes {
    pub(super) fn new(lanes: usize) -> Self {
        let blocks = lanes / LANES;
        Self { counts: vec![Counts::default(); blocks], sums: Vec::new(), left: vec![[0; LANES]; blocks] }
    }

    /// Sets the predictor of a channel.
    pub(super) fn set(&mut self, c: usize, mode: usize) {
        let (counts, i) = (&mut self.counts[c / LANES], c % LANES);
        let (sides, is_plane) = PREDICTORS[mode % PREDICTORS.len()];
        (counts.sides[i], counts.is_plane[i]) = (sides, -i32::from(is_plane));
    }
}

impl Planes {
    pub(super) fn new(shape: Shape) -> Self {
        let lanes = shape.channels.next_multiple_of(LANES);
        let stride = shape.width + 2 * MARGIN;
        let size = (shape.height + 2 * MARGIN) * stride * lanes;
        let (wrong, values) = (vec![0; size], vec![0; size]);
        let (wrong_before, before, nearby) = (wrong.clone(), values.clone(), Vec::new());
        Self { wrong, wrong_before, values, before, nearby, stride, lanes, shape }
    }

    /// Where position 0 of row `y` is.
    pub(super) fn row(&self, y: usize) -> usize {
        ((y + MARGIN) * self.stride + MARGIN) * self.lanes
    }

    pub(super) fn next_frame(&mut self) {
        core::mem::swap(&mut self.wrong, &mut self.wrong_before);
        core::mem::swap(&mut self.values, &mut self.before);
    }

    /// The class of each symbol of row `y`.
    #[inline(always)]
    pub(super) fn classes(&mut self, y: usize, first: bool, base: i32, out: &mut Vec<u8>) {
        let Shape { channels, width, .. } = self.shape;
        let (lanes, here) = (self.lanes, self.row(y));
        let (up, two_up, down) =
            (here - self.stride * lanes, here - 2 * self.stride * lanes, here + self.stride * lanes);
        let most = DEGREES as i32 - 1;
        let offset = if first { 0 } else { DEGREES as i32 };
        let count = width * lanes;
        let (wrong, before) = (
            |from: usize| &self.wrong[from..from + count],
            |from: usize| &self.wrong_before[from..from + count],
        );
        let (u, ul, ur, uu) = (wrong(up), wrong(up - lanes), wrong(up + lanes), wrong(two_up));
        let (p, l, r, d) = (before(here), before(here - lanes), before(here + lanes), before(down));
        // What does not fit 16 bits is of the last class, as `base` is at most MOST_BASE.
        self.nearby.resize(count, 0);
        for (i, sum) in self.nearby.iter_mut().enumerate() {
            let twice = u[i].saturating_add(p[i]);
            let row = twice.saturating_add(twice).saturating_add(ul[i]).saturating_add(ur[i]);
            let row = row.saturating_add(uu[i]).saturating_add(l[i]).saturating_add(r[i]);
            *sum = row.saturating_add(d[i]);
        }
        out.clear();
        out.resize(count, 0);
        for (out, sum) in out.iter_mut().zip(&self.nearby) {
            // Twice the logarithm, rounded down, and the next bit: of a float's bits.
            let log = (((i32::from(*sum) + 1) as f32).to_bits() >> 22) as i32 - 254;
            *out = ((log - base).clamp(0, most) + offset) as u8;
        }
        if lanes > channels {
            for x in 1..width {
                out.copy_within(x * lanes..x * lanes + channels, x * channels);
            }
            out.truncate(width * channels);
        }
    }

    /// What is known around the channels from `c` on at position `x` of row `y`.
    #[inline(always)]
    fn around(&self, x: usize, y: usize, c: usize) -> Around {
        let lanes = self.lanes;
        let here = self.row(y) + x * lanes + c;
        let (left, up) = (here - lanes, here - self.stride * lanes);
        let take = |plane: &[i16], from: usize| -> [i32; LANES] {
            let values: [i16; LANES] =
                plane.get(from..).and_then(<[i16]>::first_chunk).copied().unwrap_or_default();
            values.map(i32::from)
        };
        // On the left edge what is above stands for what is left, and the other way round at the top.
        let (left, up, corner) = match (x, y) {
            (0, 0) => return Around { before: take(&self.before, here), ..Around::default() },
            (0, _) => (up, up, up),
            (_, 0) => (left, left, left),
            _ => (left, up, up - lanes),
        };
        Around {
            left: take(&self.values, left),
            up: take(&self.values, up),
            corner: take(&self.values, corner),
            before: take(&self.before, here),
            left_before: take(&self.before, left),
            up_before: take(&self.before, up),
        }
    }

    /// The four predictions of the channels from `c` on at position `x` of row `y`.
    #[inline(always)]
    pub(super) fn predict(&self, x: usize, y: usize, c: usize) -> [[i32; LANES]; 4] {
        let around = self.around(x, y, c);
        PREDICTORS.map(|(sides, is_plane)| {
            let counts = Counts { sides: [sides; LANES], is_plane: [-i32::from(is_plane); LANES] };
            counts.sum(&around).map(|sum| sum >> 2)
        })
    }
}

/// The predictor of each channel that is least wrong over the frame.
pub(super) fn best_modes(planes: &Planes) -> Vec<u8> {
    let Shape { channels, height, width, .. } = planes.shape;
    let mut sums = vec![[0u64; 4]; planes.lanes];
    for y in 0..height {
        for x in 0..width {
            for first in (0..planes.lanes).step_by(LANES) {
                let all = planes.predict(x, y, first);
                let at = planes.row(y) + x * planes.lanes + first;
                for (mode, guess) in all.iter().enumerate() {
                    for i in 0..LANES {
                        let wrong = (i32::from(planes.values[at + i]) - guess[i]) as i16;
                        sums[first + i][mode] += u64::from(wrong.unsigned_abs());
                    }
                }
            }
        }
    }
    let least = |sums: &[u64; 4]| (0..4u8).min_by_key(|&m| sums[usize::from(m)]).unwrap_or(0);
    sums[..channels].iter().map(least).collect()
}

impl Planes {
    /// Sets the values of a row, and what was wrong, from residuals in zigzag.
    #[inline(always)]
    pub(super) fn rebuild(&mut self, y: usize, residuals: &[u16], modes: &mut Modes) {
        // The first row and the first column have one neighbour, which stands for all.
        let (lanes, row) = (self.lanes, self.row(y));
        if y == 0 {
            for (x, residuals) in residuals.chunks_exact(lanes).enumerate() {
                self.rebuild_edge(row + x * lanes, lanes, residuals, &modes.counts);
            }
            return;
        }
        self.rebuild_edge(row, self.stride * lanes, residuals, &modes.counts);
        if self.shape.width > 1 {
            self.sum_without_left(y, &residuals[lanes..], modes);
            self.add_left(y, modes);
        }
    }

    /// One position, of which the neighbour is so far before it. That of the first is in the margin, and 0.
    #[inline(always)]
    fn rebuild_edge(&mut self, here: usize, distance: usize, residuals: &[u16], counts: &[Counts]) {
        let (lanes, beside) = (self.lanes, here - distance);
        let (known, values) = self.values.split_at_mut(here);
        let (known, values) = (&known[beside..][..lanes], &mut values[..lanes]);
        let (before, beside_before) = (&self.before[here..][..lanes], &self.before[beside..][..lanes]);
        let (wrong, residuals) = (&mut self.wrong[here..][..lanes], &residuals[..lanes]);
        for (block, counts) in counts.iter().enumerate() {
            let at = block * LANES..(block + 1) * LANES;
            let (known, values) = (&known[at.clone()], &mut values[at.clone()]);
            let (before, beside_before) = (&before[at.clone()], &beside_before[at.clone()]);
            let (wrong, residuals) = (&mut wrong[at.clone()], &residuals[at]);
            for i in 0..LANES {
                let residual = of_zigzag(residuals[i]);
                wrong[i] = residual.unsigned_abs();
                let (known, before) = (i32::from(known[i]), i32::from(before[i]));
                let sum = counts.sum_of(i, 2 * known, known, before, 2 * i32::from(beside_before[i]));
                values[i] = ((sum >> 2) as i16).wrapping_add(residual);
            }
        }
    }

    /// All positions of a row but the first: what does not wait for the position before.
    #[inline(always)]
    fn sum_without_left(&mut self, y: usize, residuals: &[u16], modes: &mut Modes) {
        let (lanes, above) = (self.lanes, self.stride * self.lanes);
        let (from, count) = (self.row(y) + lanes, (self.shape.width - 1) * lanes);
        fn eights<T>(plane: &[T], from: usize, count: usize) -> &[[T; LANES]] {
            plane[from..from + count].as_chunks().0
        }
        let up = eights(&self.values, from - above, count).iter();
        let corner = eights(&self.values, from - above - lanes, count);
        let here = eights(&self.before, from, count).iter();
        let left = eights(&self.before, from - lanes, count);
        let over = eights(&self.before, from - above, count);
        let residuals = eights(residuals, 0, count).iter();
        let wrong = self.wrong[from..from + count].as_chunks_mut::<LANES>().0.iter_mut();
        modes.sums.resize(count / LANES, [0; LANES]);
        let out = modes.sums.iter_mut().zip(wrong).zip(modes.counts.iter().cycle());
        let around = up.zip(corner).zip(here.zip(left).zip(over)).zip(residuals);
        for (((sums, wrong), n), (((up, corner), ((here, left), over)), residuals)) in out.zip(around) {
            let residuals = residuals.map(of_zigzag);
            *wrong = residuals.map(i16::unsigned_abs);
            let wide = |values: &[i16; LANES]| values.map(i32::from);
            let (up, corner, here) = (wide(up), wide(corner), wide(here));
            let (left, over) = (wide(left), wide(over));
            *sums = core::array::from_fn(|i| {
                n.sum_of(i, up[i], corner[i], here[i], left[i] + over[i]) + 4 * i32::from(residuals[i])
            });
        }
    }

    /// The same positions: with what is left of each.
    #[inline(always)]
    fn add_left(&mut self, y: usize, modes: &mut Modes) {
        let (from, lanes) = (self.row(y), self.lanes);
        let row = self.values[from..from + self.shape.width * lanes].as_chunks_mut::<LANES>().0;
        let blocks = modes.counts.len();
        let (first, rest) = row.split_at_mut(blocks);
        modes.left.iter_mut().zip(first).for_each(|(left, first)| *left = first.map(i32::from));
        for (values, sums) in rest.chunks_exact_mut(blocks).zip(modes.sums.chunks_exact(blocks)) {
            let lanes = values.iter_mut().zip(sums).zip(modes.left.iter_mut().zip(&modes.counts));
            for ((values, sums), (left, counts)) in lanes {
                let (before, counts) = (*left, counts.sides);
                let new: [i32; LANES] = core::array::from_fn(|i| {
                    // Once and twice, which is quicker than a product.
                    let (once, twice) = (-(counts[i] & 1), -(counts[i] >> 1));
                    let sum = sums[i] + (before[i] & once) + ((before[i] & twice) << 1);
                    (sum << 14) >> 16
                });
                *values = new.map(|value| value as i16);
                *left = new;
            }
        }
    }

    /// The values of a row, without what fills channels up; in `out`, if there is such.
    #[inline(always)]
    pub(super) fn row_without_fill<'a>(&'a self, y: usize, out: &'a mut [i16]) -> &'a [i16] {
        let (from, channels) = (self.row(y), self.shape.channels);
        let values = &self.values[from..from + self.shape.width * self.lanes];
        if self.lanes == channels {
            return values;
        }
        for (out, values) in out.chunks_exact_mut(channels).zip(values.chunks_exact(self.lanes)) {
            out.copy_from_slice(&values[..channels]);
        }
        out
    }
}

/// A residual of its zigzag.
#[inline(always)]
fn of_zigzag(z: u16) -> i16 {
    (z >> 1) as i16 ^ -((z & 1) as i16)
}
