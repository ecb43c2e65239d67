//! How many Gaussians lie in each cell of a set, as a tree of halvings (`SPEC.md` section 7.7.5).

use super::mixing::{Binary, Mixer};
use super::numbers::{Layout, Numbers, Signed, Tree};
use crate::error::{Result, corrupt};

/// Counts up to this are coded under their own number.
const SMALL: u32 = 12;

/// The numbers of the tree.
#[derive(Debug)]
pub(super) struct CountModel {
    small: Tree<2>,
    large: Signed<2>,
}

/// Contexts of the depth that is left.
const DEPTHS: usize = 16;
/// Contexts of the neighbours' balance.
const BALANCES: usize = 5;

impl CountModel {
    pub(super) fn new(layout: &mut Layout) -> Self {
        let counts = SMALL as usize + 1;
        Self {
            small: Tree::new(layout, [counts * DEPTHS * BALANCES, counts * BALANCES], 5),
            large: Signed::new(layout, [DEPTHS, BALANCES], 24),
        }
    }

    /// Codes how many of `count`, at most [`SMALL`], lie in the first half, at `depth` halvings before the end.
    pub(super) fn code_first(
        &self,
        mixer: &mut Mixer,
        io: &mut impl Binary,
        first: u32,
        count: u32,
        depth: usize,
        balance: usize,
    ) -> u32 {
        let n = count as usize;
        let contexts = [(n * DEPTHS + depth) * BALANCES + balance, n * BALANCES + balance];
        self.small.search(mixer, io, first, count, contexts, n.min(4))
    }

    /// Codes by how many units that is off the half, of more.
    pub(super) fn code_quotient(
        &self,
        mixer: &mut Mixer,
        io: &mut impl Binary,
        quotient: i32,
        depth: usize,
        balance: usize,
    ) -> Result<i32> {
        self.large.code(mixer, io, quotient, [depth, balance])
    }
}

/// Codes how many of `count` lie in the first half, at `depth` halvings before the end.
fn code_half(numbers: &mut impl Numbers, first: u32, count: u32, depth: u32, balance: usize) -> Result<u32> {
    let depth = depth.min(DEPTHS as u32 - 1) as usize;
    if count <= SMALL {
        return Ok(numbers.first(first, count, depth, balance));
    }
    let unit = (count.isqrt() / 2).max(1) as i32;
    let half = (count / 2) as i32;
    // d = q * unit + r, 0 <= r < unit.
    let difference = first as i32 - half;
    let quotient = numbers.quotient(difference.div_euclid(unit), depth, balance)?;
    let bits = u32::BITS - (unit as u32 - 1).leading_zeros();
    let rest = numbers.raw(difference.rem_euclid(unit) as u32, bits);
    let first = quotient
        .checked_mul(unit)
        .and_then(|value| value.checked_add(rest as i32))
        .and_then(|value| value.checked_add(half));
    first
        .and_then(|first| u32::try_from(first).ok())
        .filter(|&first| first <= count)
        .ok_or(corrupt("counts of Gaussians in cells"))
}

/// The counts of the cells of a set: `width` by `height` of them, row by row, in the least box of powers of two.
#[derive(Debug)]
pub(super) struct Counts {
    /// log2 of the box.
    log: (u32, u32),
    width: u32,
    height: u32,
    /// Per cell of the box.
    cells: Vec<u32>,
    /// Likewise, those of the layers below.
    below: Vec<u32>,
}

/// Least power of two that holds `size`, as a logarithm.
fn log_of(size: u32) -> u32 {
    u32::BITS - (size - 1).leading_zeros()
}

impl Counts {
    /// No Gaussians in `width` by `height` cells, both at least 1.
    pub(super) fn new(width: u32, height: u32) -> Self {
        let log = (log_of(width), log_of(height));
        let cells = vec![0; 1 << (log.0 + log.1)];
        Self { log, width, height, below: cells.clone(), cells }
    }

    /// Adds a Gaussian to the cell in column `x` and row `y`.
    pub(super) fn add(&mut self, x: u32, y: u32) {
        self.cells[((y << self.log.0) + x) as usize] += 1;
    }

    /// Tells of a Gaussian of a layer below.
    pub(super) fn add_below(&mut self, x: u32, y: u32) {
        self.below[((y << self.log.0) + x) as usize] += 1;
    }

    /// Codes the counts of `total` Gaussians: given ones are written, or those read put in their place.
    pub(super) fn code(&mut self, numbers: &mut impl Numbers, total: u32) -> Result<()> {
        // Which axis each halving goes along, first to last; then the sums that halvings divide, last to first.
        let mut axes = Vec::new();
        let (mut across, mut down) = self.log;
        while across + down > 0 {
            let along_x = across >= down;
            axes.push(along_x);
            if along_x { across -= 1 } else { down -= 1 }
        }
        let mut levels = vec![(self.cells.clone(), self.log)];
        let mut lower = vec![(self.below.clone(), self.log)];
        for &along_x in axes.iter().rev() {
            for levels in [&mut levels, &mut lower] {
                let (cells, log) = &levels[levels.len() - 1];
                let next = sums(cells, *log, along_x);
                levels.push(next);
            }
        }
        let mut level = vec![total];
        let mut log = (0, 0);
        levels.pop();
        lower.pop();
        for (step, &along_x) in axes.iter().enumerate() {
            let (Some((below, below_log)), Some((lower, _))) = (levels.pop(), lower.pop()) else { break };
            let halves = Halving {
                counts: &level,
                lower: &lower,
                log,
                along_x,
                depth: (axes.len() - step) as u32,
                // Where a second half begins at or beyond the set's edge, it is empty.
                shift: if along_x { self.log.0 - below_log.0 } else { self.log.1 - below_log.1 },
                edge: if along_x { self.width } else { self.height },
            };
            level = halves.code(numbers, below)?;
            log = below_log;
        }
        self.cells = level;
        Ok(())
    }

    /// Columns and rows of the Gaussians' cells, in Morton order (the column in the even bits).
    pub(super) fn cells(&self) -> Vec<(u32, u32)> {
        let mut occupied: Vec<(u64, u32, u32)> = Vec::new();
        for (place, &count) in (0u32..).zip(&self.cells) {
            if count > 0 {
                let (x, y) = (place & ((1 << self.log.0) - 1), place >> self.log.0);
                occupied.push((morton(x, y), place, count));
            }
        }
        occupied.sort_unstable();
        let cell = |place: u32| (place & ((1 << self.log.0) - 1), place >> self.log.0);
        let cells = occupied
            .into_iter()
            .flat_map(|(_, place, count)| core::iter::repeat_n(cell(place), count as usize));
        cells.collect()
    }
}

/// The bits of `x` at even places and those of `y` at odd ones.
pub(super) fn morton(x: u32, y: u32) -> u64 {
    spread(x) | spread(y) << 1
}

/// Of each halving of the distance between bits, the bits that stay.
const SPREADS: [(u32, u64); 5] = [
    (16, 0x0000_ffff_0000_ffff),
    (8, 0x00ff_00ff_00ff_00ff),
    (4, 0x0f0f_0f0f_0f0f_0f0f),
    (2, 0x3333_3333_3333_3333),
    (1, 0x5555_5555_5555_5555),
];

fn spread(value: u32) -> u64 {
    SPREADS.iter().fold(u64::from(value), |bits, &(by, stay)| (bits | bits << by) & stay)
}

/// The counts of pairs of cells along an axis.
fn sums(cells: &[u32], log: (u32, u32), along_x: bool) -> (Vec<u32>, (u32, u32)) {
    let (width, height) = (1usize << log.0, 1usize << log.1);
    if along_x {
        let sums = cells.chunks_exact(2).map(|pair| pair[0].wrapping_add(pair[1])).collect();
        (sums, (log.0 - 1, log.1))
    } else {
        let mut sums = Vec::with_capacity(cells.len() / 2);
        for row in 0..height / 2 {
            let (upper, lower) =
                (&cells[2 * row * width..][..width], &cells[(2 * row + 1) * width..][..width]);
            sums.extend(upper.iter().zip(lower).map(|(a, b)| a.wrapping_add(*b)));
        }
        (sums, (log.0, log.1 - 1))
    }
}

/// One step of the tree: every node of a level is cut in two along one axis.
struct Halving<'a> {
    /// Of the nodes, row by row.
    counts: &'a [u32],
    /// Of the halves, those of the layers below.
    lower: &'a [u32],
    log: (u32, u32),
    along_x: bool,
    /// Halvings left, this one counted.
    depth: u32,
    /// log2 of the size of a half along the axis, in cells.
    shift: u32,
    /// Size of the set along the axis, in cells.
    edge: u32,
}

impl Halving<'_> {
    /// Codes the halves; `halves` are those to write and is what is read afterwards.
    fn code(&self, numbers: &mut impl Numbers, mut halves: Vec<u32>) -> Result<Vec<u32>> {
        let (columns, rows) = (1usize << self.log.0, 1usize << self.log.1);
        // The place of a node's first half, and how far its second is from it.
        let (stride, apart) = if self.along_x { (2 * columns, 1) } else { (columns, columns) };
        for row in 0..rows {
            for column in 0..columns {
                let place = if self.along_x { row * stride + 2 * column } else { 2 * row * stride + column };
                let count = self.counts[row * columns + column];
                let along = if self.along_x { column } else { row };
                let second = (2 * along as u64 + 1) << self.shift;
                let first = if count == 0 {
                    0
                } else if second >= u64::from(self.edge) {
                    count
                } else {
                    let balance = self.balance(&halves, row, column, place, apart);
                    code_half(numbers, halves[place], count, self.depth, balance)?
                };
                halves[place] = first;
                halves[place + apart] = count - first;
            }
        }
        Ok(halves)
    }

    /// To which side the neighbours lean: 0 (second half) to 4 (first half).
    fn balance(&self, halves: &[u32], row: usize, column: usize, place: usize, apart: usize) -> usize {
        let (columns, rows) = (1usize << self.log.0, 1usize << self.log.1);
        // Along the axis: the node before, already halved, and the one after, still whole. Across it: the one before, halved.
        let (before, after, beside) = if self.along_x {
            let row_above = (row > 0).then(|| place - 2 * columns);
            (
                (column > 0).then(|| place - 2),
                (column + 1 < columns).then(|| row * columns + column + 1),
                row_above,
            )
        } else {
            (
                (row > 0).then(|| place - 2 * columns),
                (row + 1 < rows).then(|| (row + 1) * columns + column),
                (column > 0).then(|| place - 1),
            )
        };
        let at = |place: usize| i64::from(halves[place]);
        let first = before.map_or(1, |before| 2 * at(before + apart)) + beside.map_or(0, at);
        let second = after.map_or(1, |after| i64::from(self.counts[after]))
            + beside.map_or(0, |beside| at(beside + apart));
        let lower = i64::from(self.lower[place]) - i64::from(self.lower[place + apart]);
        match first - second + lower {
            ..=-3 => 0,
            -2..=-1 => 1,
            0 => 2,
            1..=2 => 3,
            _ => 4,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::binary::{BinaryDecoder, BinaryEncoder};
    use crate::gaussians::model::{model, untrained};
    use crate::gaussians::numbers::Mixed;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn counts_come_back(
            width in 1u32..70, height in 1u32..70,
            places in prop::collection::vec((any::<u32>(), any::<u32>()), 0..300),
            repeat in 1u32..40,
        ) {
            let mut mixer = untrained();
            let mut counts = Counts::new(width, height);
            for &(x, y) in &places {
                for _ in 0..repeat {
                    counts.add(x % width, y % height);
                }
            }
            let total = places.len() as u32 * repeat;
            let given = counts.cells.clone();
            let mut io = BinaryEncoder::new();
            counts.code(&mut Mixed { model: model(), mixer: &mut mixer, io: &mut io }, total).unwrap();
            prop_assert_eq!(&counts.cells, &given);
            let bytes = io.finish();
            let mut read = Counts::new(width, height);
            let (mut mixer, mut io) = (untrained(), BinaryDecoder::new(&bytes));
            read.code(&mut Mixed { model: model(), mixer: &mut mixer, io: &mut io }, total).unwrap();
            prop_assert_eq!(&read.cells, &given);
            prop_assert!(read.cells().is_sorted_by_key(|&(x, y)| morton(x, y)));
        }

        #[test]
        fn any_bytes_give_counts_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200), total in 0u32..5000) {
            let (mut mixer, mut io) = (untrained(), BinaryDecoder::new(&bytes));
            let mut counts = Counts::new(50, 30);
            if counts.code(&mut Mixed { model: model(), mixer: &mut mixer, io: &mut io }, total).is_ok() {
                prop_assert_eq!(counts.cells.iter().map(|&count| u64::from(count)).sum::<u64>(), u64::from(total));
                prop_assert!(counts.cells().iter().all(|&(x, y)| x < 50 && y < 30));
            }
        }
    }
}
