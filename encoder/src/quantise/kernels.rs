//! Inner loops, compiled for what the machine has. Products are added unfused and always in one order, so that files do not depend on it.

use mcodec_coding::codes::MAX_CODE;
use mcodec_decode::gaussians::lanes::{self, Kernel, LANES as WIDTH, Lanes};

/// Columns whose feedback is summed together.
pub(super) const TILE: usize = 4;
/// Rows that go through the columns together.
pub(super) const ROWS: usize = 32;
/// Columns of a panel, in registers of [`WIDTH`].
const PANEL: usize = 32;
/// Rows of a tile of [`less_products`], and registers of each.
const TALL: usize = 4;
const WIDE: usize = 2;

/// One column of a block of rows.
pub(super) type Column = [f32; ROWS];

/// From each of the rows (of `n` numbers) takes, at the columns after the first `across.len()`, the products of those first columns with
/// the `panel` (at most 32) columns of `across`.
pub(super) fn less_products(rows: &mut [f32], n: usize, across: &[[f32; PANEL]], panel: usize) {
    lanes::run(Less { rows, n, across, panel });
}

struct Less<'k> {
    rows: &'k mut [f32],
    n: usize,
    across: &'k [[f32; PANEL]],
    panel: usize,
}

impl Kernel for Less<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L) {
        let (n, k) = (self.n, self.across.len());
        for rows in self.rows.chunks_mut(TALL * n) {
            // Where there are fewer rows the last stands for those that are not there.
            let count = rows.len() / n;
            let of: [&[f32]; TALL] = std::array::from_fn(|r| {
                let r = r.min(count - 1);
                &rows[r * n..r * n + k]
            });
            let mut sums = [[0f32; PANEL]; TALL];
            for part in 0..PANEL / (WIDE * WIDTH) {
                let mut own = [[lanes.splat(0.0); WIDE]; TALL];
                for (at, across) in self.across.iter().enumerate() {
                    let across = &across.as_chunks::<WIDTH>().0[part * WIDE..(part + 1) * WIDE];
                    let across: [L::F; WIDE] = std::array::from_fn(|w| lanes.load(&across[w]));
                    for r in 0..TALL {
                        let value = lanes.splat(of[r][at]);
                        for (own, across) in own[r].iter_mut().zip(across) {
                            *own = lanes.add(*own, lanes.mul(value, across));
                        }
                    }
                }
                for r in 0..TALL {
                    let to = &mut sums[r].as_chunks_mut::<WIDTH>().0[part * WIDE..];
                    for (sum, to) in own[r].into_iter().zip(to) {
                        lanes.store(sum, to);
                    }
                }
            }
            for (row, sums) in rows.chunks_mut(n).zip(&sums) {
                row[k..k + self.panel].iter_mut().zip(sums).for_each(|(v, sum)| *v -= sum);
            }
        }
    }
}

/// Weights of one block of rows and the steps of these rows and of the columns.
pub(super) struct Steps {
    /// Steps of the rows under the column exponents 0 to 3.
    pub(super) rows: [Column; 4],
    /// Of each column which of these, and the power of two that is multiplied with it.
    pub(super) columns: Vec<(usize, f32)>,
}

/// Rounds a block of rows, column after column, each to what makes up for the errors before it: `columns` are weights and become errors,
/// `mixing(b)` is what the columns up to block `b` of [`TILE`] add to its own, and `store` is given each column's codes.
pub(super) fn round_columns<'m>(
    columns: &mut [Column],
    steps: &Steps,
    mixing: &(impl Fn(usize) -> &'m [[f32; TILE]] + Sync),
    store: &mut impl FnMut(usize, &[i32; ROWS]),
) {
    lanes::run(Feedback { columns, steps, mixing, store });
}

struct Feedback<'k, M, S> {
    columns: &'k mut [Column],
    steps: &'k Steps,
    mixing: &'k M,
    store: &'k mut S,
}

impl<'m, M: Fn(usize) -> &'m [[f32; TILE]], S: FnMut(usize, &[i32; ROWS])> Kernel for Feedback<'_, M, S> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L) {
        let n = self.columns.len();
        for block in 0..n.div_ceil(TILE) {
            let (first, mixing) = (block * TILE, (self.mixing)(block));
            let (errors, rest) = self.columns.split_at_mut(first);
            let mut sums = [[0f32; ROWS]; TILE];
            add_products(lanes, errors, &mixing[..first], &mut sums);
            for c in 0..TILE.min(n - first) {
                let sum = &mut sums[c];
                for (errors, mix) in rest[..c].iter().zip(&mixing[first..]) {
                    for (sum, error) in sum.iter_mut().zip(errors) {
                        *sum += error * mix[c];
                    }
                }
                let (phase, scale) = self.steps.columns[first + c];
                let mut codes = [0i32; ROWS];
                let steps = &self.steps.rows[phase];
                for i in 0..ROWS {
                    let (weight, step) = (rest[c][i], steps[i] * scale);
                    let code = nearest(weight + sum[i], step);
                    rest[c][i] = weight - code * step;
                    codes[i] = code as i32;
                }
                (self.store)(first + c, &codes);
            }
        }
    }
}

/// Adds to `sums` of [`TILE`] columns the products of `errors` with what each column takes of them.
#[inline(always)]
fn add_products<L: Lanes>(lanes: L, errors: &[Column], mixing: &[[f32; TILE]], sums: &mut [Column; TILE]) {
    for part in 0..ROWS / (WIDE * WIDTH) {
        let mut own = [[lanes.splat(0.0); WIDE]; TILE];
        for (errors, mix) in errors.iter().zip(mixing) {
            let errors = &errors.as_chunks::<WIDTH>().0[part * WIDE..(part + 1) * WIDE];
            let errors: [L::F; WIDE] = std::array::from_fn(|w| lanes.load(&errors[w]));
            for c in 0..TILE {
                let mix = lanes.splat(mix[c]);
                for (own, error) in own[c].iter_mut().zip(errors) {
                    *own = lanes.add(*own, lanes.mul(error, mix));
                }
            }
        }
        for c in 0..TILE {
            let to = &mut sums[c].as_chunks_mut::<WIDTH>().0[part * WIDE..];
            for (sum, to) in own[c].into_iter().zip(to) {
                lanes.store(sum, to);
            }
        }
    }
}

/// Rounds a run of weights of one row; the step of each is that of `steps` times `scale`, a power of two.
pub(super) fn round_row(weights: &[f32], steps: &[f32], scale: f32, codes: &mut [i32]) {
    lanes::run(Plain { weights, steps, scale, codes });
}

struct Plain<'k> {
    weights: &'k [f32],
    steps: &'k [f32],
    scale: f32,
    codes: &'k mut [i32],
}

impl Kernel for Plain<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self, _: L) {
        for ((code, &weight), &step) in self.codes.iter_mut().zip(self.weights).zip(self.steps) {
            *code = nearest(weight, step * self.scale) as i32;
        }
    }
}

/// The nearest code, of two the even one.
#[inline(always)]
fn nearest(value: f32, step: f32) -> f32 {
    let most = MAX_CODE as f32;
    (value / step).round_ties_even().clamp(-most, most)
}
