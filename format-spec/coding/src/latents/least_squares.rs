//! Predictors whose weights follow the data, by one sweep of Gauss-Seidel over running normal equations; integers only.

/// Channels are worked on in steps of so many; planes are padded to them.
pub(super) const LANES: usize = 8;
/// Features of a channel's own predictor.
pub(super) const OWN: usize = 16;
/// Of these, how many are known before the position is begun; the others are of the channels before.
pub(super) const OWN_KNOWN: usize = 13;
/// Features of the predictor that channels share.
pub(super) const LOCAL: usize = 13;

const OWN_PAIRS: usize = OWN * (OWN + 1) / 2;
const LOCAL_PAIRS: usize = LOCAL * (LOCAL + 1) / 2;
/// Weights are in units of 2^-16, and within this.
const WEIGHT_LIMIT: i32 = 1 << 18;
/// Features are clamped to this before they are weighed.
pub(super) const FEATURE_LIMIT: i32 = 1 << 21;
const OWN_LIMIT: i32 = 23_170;
const LOCAL_LIMIT: i32 = 8191;

/// Least squares of each channel by itself.
#[derive(Clone)]
pub(super) struct OwnSquares {
    lanes: usize,
    memory: u32,
    products: Vec<i32>,
    targets: Vec<i32>,
    pub(super) weights: Vec<i32>,
    inverses: Vec<i64>,
    turn: usize,
}

#[inline(always)]
fn pair(i: usize, j: usize) -> usize {
    if i >= j { i * (i + 1) / 2 + j } else { j * (j + 1) / 2 + i }
}

impl OwnSquares {
    pub(super) fn new(lanes: usize, memory: u32) -> Self {
        let mut new = Self {
            lanes,
            memory,
            products: vec![0; OWN_PAIRS * lanes],
            targets: vec![0; OWN * lanes],
            weights: vec![0; OWN * lanes],
            inverses: vec![0; OWN * lanes],
            turn: 0,
        };
        new.reset();
        new
    }

    /// Begins with what another has learned; whose turn it is goes on.
    pub(super) fn begin_as(&mut self, other: &Self) {
        let turn = self.turn;
        self.clone_from(other);
        self.turn = turn;
    }

    /// Bytes in memory, about.
    pub(super) fn memory(&self) -> usize {
        size_of_val(&self.products[..]) + 4 * size_of_val(&self.targets[..])
    }

    /// Begins anew.
    fn reset(&mut self) {
        self.products.fill(0);
        self.targets.fill(0);
        self.weights.fill(0);
        for i in 0..OWN {
            self.products[pair(i, i) * self.lanes..][..self.lanes].fill(START);
            for c in 0..self.lanes {
                self.invert(i, c);
            }
        }
    }

    #[inline(always)]
    fn invert(&mut self, i: usize, c: usize) {
        let own = self.products[pair(i, i) * self.lanes + c];
        self.inverses[i * self.lanes + c] = (1 << 40) / i64::from(own + (own >> 8) + RIDGE);
    }

    /// The part of each channel's prediction that is known before the position, in units of 2^-16.
    #[inline(always)]
    pub(super) fn known(&self, features: &[i32], out: &mut [i64]) {
        out.fill(1 << 15);
        for i in 0..OWN_KNOWN {
            let features = &features[i * self.lanes..][..self.lanes];
            let weights = &self.weights[i * self.lanes..][..self.lanes];
            for ((out, feature), weight) in out.iter_mut().zip(features).zip(weights) {
                *out += i64::from(*feature) * i64::from(*weight);
            }
        }
    }

    /// What feature `i` adds to the prediction of channel `c`.
    #[inline(always)]
    pub(super) fn term(&self, i: usize, c: usize, feature: i32) -> i64 {
        i64::from(self.weights[i * self.lanes + c]) * i64::from(feature)
    }

    /// Learns from a position: `features` of all channels, and what they should have given.
    #[inline(always)]
    pub(super) fn learn(&mut self, features: &[i32], target: &[i32], shift: u32, scratch: &mut Vec<i32>) {
        let (lanes, memory) = (self.lanes, self.memory);
        scratch.clear();
        scratch.extend(features.iter().chain(target).map(|f| (f >> shift).clamp(-OWN_LIMIT, OWN_LIMIT)));
        let (features, target) = scratch.split_at(OWN * lanes);
        for i in 0..OWN {
            let first = &features[i * lanes..][..lanes];
            for j in 0..=i {
                let second = &features[j * lanes..][..lanes];
                let products = &mut self.products[pair(i, j) * lanes..][..lanes];
                for ((product, a), b) in products.iter_mut().zip(first).zip(second) {
                    *product += (a * b - *product) >> memory;
                }
            }
            let targets = &mut self.targets[i * lanes..][..lanes];
            for ((product, a), b) in targets.iter_mut().zip(first).zip(target) {
                *product += (a * b - *product) >> memory;
            }
        }
        self.turn = (self.turn + 1) % 4;
        for i in (self.turn..OWN).step_by(4) {
            for c in 0..lanes {
                self.invert(i, c);
            }
        }
        self.sweep();
    }

    #[inline(always)]
    fn sweep(&mut self) {
        let lanes = self.lanes;
        for i in (self.turn % 2..OWN).step_by(2) {
            for first in (0..lanes).step_by(LANES) {
                let mut gap = [0i64; LANES];
                for (gap, target) in gap.iter_mut().zip(&self.targets[i * lanes + first..][..LANES]) {
                    *gap = i64::from(*target) << 16;
                }
                for j in 0..OWN {
                    let products = &self.products[pair(i, j) * lanes + first..][..LANES];
                    let weights = &self.weights[j * lanes + first..][..LANES];
                    for ((gap, product), weight) in gap.iter_mut().zip(products).zip(weights) {
                        *gap -= i64::from(*product) * i64::from(*weight);
                    }
                }
                let inverses = &self.inverses[i * lanes + first..][..LANES];
                let weights = &mut self.weights[i * lanes + first..][..LANES];
                for ((gap, inverse), weight) in gap.iter().zip(inverses).zip(weights) {
                    let step = ((gap >> 16) * inverse) >> 24;
                    *weight = (i64::from(*weight) + step)
                        .clamp(i64::from(-WEIGHT_LIMIT), i64::from(WEIGHT_LIMIT))
                        as i32;
                }
            }
        }
    }
}

const START: i32 = 1 << 24;
const RIDGE: i32 = 1 << 18;

/// Least squares that all channels share, of the places around one position.
#[derive(Clone)]
pub(super) struct LocalSquares {
    width: usize,
    lanes: usize,
    /// Normal equations of the positions of three rows.
    rows: Vec<Equations>,
    gathered: Wide,
    own: Equations,
    pub(super) weights: [i32; LOCAL],
    scratch: Vec<i32>,
}

#[derive(Clone, Copy)]
struct Equations {
    products: [i32; LOCAL_PAIRS],
    targets: [i32; LOCAL],
}

const NO_EQUATIONS: Equations = Equations { products: [0; LOCAL_PAIRS], targets: [0; LOCAL] };

#[derive(Clone)]
struct Wide {
    products: [i64; LOCAL_PAIRS],
    targets: [i64; LOCAL],
}

impl LocalSquares {
    pub(super) fn new(width: usize, lanes: usize) -> Self {
        Self {
            width,
            lanes,
            rows: vec![NO_EQUATIONS; 3 * width],
            gathered: Wide { products: [0; LOCAL_PAIRS], targets: [0; LOCAL] },
            own: NO_EQUATIONS,
            weights: [0; LOCAL],
            scratch: Vec::new(),
        }
    }

    /// Begins frames of another width.
    pub(super) fn restart(&mut self, width: usize) {
        self.width = width;
        self.rows = vec![NO_EQUATIONS; 3 * width];
    }

    /// Begins a frame.
    pub(super) fn reset(&mut self) {
        self.rows.fill(NO_EQUATIONS);
    }

    #[inline(always)]
    fn gather(&mut self, x: usize, y: usize) {
        self.gathered.products.fill(0);
        self.gathered.targets.fill(0);
        let (width, row) = (self.width, |back: usize| (y + 3 - back) % 3 * self.width);
        let all = [
            (x >= 1, 2, row(0) + x.saturating_sub(1)),
            (y >= 1, 2, row(1) + x),
            (y >= 1 && x >= 1, 1, row(1) + x.saturating_sub(1)),
            (y >= 1 && x + 1 < width, 1, row(1) + x + 1),
            (x >= 2, 1, row(0) + x.saturating_sub(2)),
            (y >= 2, 1, row(2) + x),
        ];
        for (there, weight, at) in all {
            if !there {
                continue;
            }
            let from = &self.rows[at];
            for (sum, product) in self.gathered.products.iter_mut().zip(&from.products) {
                *sum += i64::from(*product) * weight;
            }
            for (sum, product) in self.gathered.targets.iter_mut().zip(&from.targets) {
                *sum += i64::from(*product) * weight;
            }
        }
    }

    /// Begins a position: `features` of all channels.
    #[inline(always)]
    pub(super) fn begin(&mut self, x: usize, y: usize, features: &[i32], shift: u32) {
        self.gather(x, y);
        self.own = NO_EQUATIONS;
        self.scratch.clear();
        self.scratch.extend(features.iter().map(|f| (f >> shift).clamp(-LOCAL_LIMIT, LOCAL_LIMIT)));
        self.sweep();
    }

    /// Learns from the channels of one step.
    #[inline(always)]
    pub(super) fn learn(&mut self, first: usize, target: &[i32], shift: u32) {
        let mut reduced = [0i32; LANES];
        for (reduced, target) in reduced.iter_mut().zip(&target[first..first + LANES]) {
            *reduced = (target >> shift).clamp(-LOCAL_LIMIT, LOCAL_LIMIT);
        }
        let rows: [[i32; LANES]; LOCAL] =
            core::array::from_fn(|i| core::array::from_fn(|c| self.scratch[i * self.lanes + first + c]));
        for i in 0..LOCAL {
            for j in 0..=i {
                let sum: i32 = rows[i].iter().zip(&rows[j]).map(|(a, b)| a * b).sum();
                let products = &mut self.own.products[pair(i, j)];
                *products = products.saturating_add(sum);
                self.gathered.products[pair(i, j)] += i64::from(sum) * 2;
            }
            let sum: i32 = rows[i].iter().zip(&reduced).map(|(a, b)| a * b).sum();
            self.own.targets[i] = self.own.targets[i].saturating_add(sum);
            self.gathered.targets[i] += i64::from(sum) * 2;
        }
        if first + LANES < self.lanes {
            self.sweep();
        }
    }

    /// Ends the position.
    #[inline(always)]
    pub(super) fn end(&mut self, x: usize, y: usize) {
        self.rows[y % 3 * self.width + x] = self.own;
    }

    #[inline(always)]
    fn sweep(&mut self) {
        for i in 0..LOCAL {
            let mut gap = self.gathered.targets[i] << 16;
            for j in 0..LOCAL {
                gap -= self.gathered.products[pair(i, j)] * i64::from(self.weights[j]);
            }
            let own = self.gathered.products[pair(i, i)];
            let step = gap / (own + (own >> 8) + LOCAL_RIDGE);
            self.weights[i] = (i64::from(self.weights[i]) + step)
                .clamp(i64::from(-WEIGHT_LIMIT), i64::from(WEIGHT_LIMIT))
                as i32;
        }
    }

    /// Predictions of the channels of one step.
    #[inline(always)]
    pub(super) fn predict(&self, first: usize, features: &[i32], out: &mut [i32]) {
        let mut sums = [1i64 << 15; LANES];
        for (i, weight) in self.weights.iter().enumerate() {
            for (sum, feature) in sums.iter_mut().zip(&features[i * self.lanes + first..][..LANES]) {
                *sum += i64::from(*feature) * i64::from(*weight);
            }
        }
        for (out, sum) in out[first..first + LANES].iter_mut().zip(sums) {
            *out = (sum >> 16) as i32;
        }
    }
}

const LOCAL_RIDGE: i64 = 1 << 20;
