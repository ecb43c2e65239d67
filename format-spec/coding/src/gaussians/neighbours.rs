//! The nearest Gaussians of a set (`SPEC.md` section 7.7.4).

/// Neighbours that are listed of each Gaussian, at most.
pub(super) const MOST: usize = 32;

/// One neighbour: the square of the distance of cell centres, in cells, above its index in the set. They order as (distance, index) do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Neighbour(u64);

impl Neighbour {
    #[inline]
    fn new(distance: u32, index: u32) -> Self {
        Self(u64::from(distance) << 32 | u64::from(index))
    }

    /// Square of the distance of cell centres, in cells: sets have at most 2048 cells along an axis.
    #[inline]
    pub(super) fn distance(self) -> u64 {
        self.0 >> 32
    }

    /// Its number.
    #[inline]
    pub(super) fn index(self) -> usize {
        self.0 as u32 as usize
    }
}

/// Of each Gaussian, the [`MOST`] others that are nearest by (distance of cell centres, index), nearest first.
#[derive(Debug)]
pub(super) struct Neighbours {
    lists: Vec<Neighbour>,
    each: usize,
    from: usize,
}

/// Up to so many Gaussians all are asked.
const FEW: usize = 256;

impl Neighbours {
    /// Of Gaussians in these cells (column, row); lists are made from number `from` on.
    pub(super) fn new(cells: &[(u32, u32)], from: usize) -> Self {
        let each = MOST.min(cells.len().saturating_sub(1));
        if each == 0 {
            return Self { lists: Vec::new(), each, from };
        }
        let mut lists = Vec::with_capacity((cells.len() - from) * each);
        if cells.len() <= FEW {
            among_few(cells, from, each, &mut lists);
        } else {
            let buckets = Buckets::new(cells);
            let mut found = Vec::new();
            for index in from..cells.len() {
                buckets.nearest(cells, index, each, &mut found);
                lists.extend_from_slice(&found[..each]);
            }
        }
        Self { lists, each, from }
    }

    pub(super) fn of(&self, index: usize) -> &[Neighbour] {
        &self.lists[(index - self.from) * self.each..][..self.each]
    }
}

/// Appends the `wanted` nearest of each of at most [`FEW`] Gaussians.
fn among_few(cells: &[(u32, u32)], from: usize, wanted: usize, lists: &mut Vec<Neighbour>) {
    let mut all = [Neighbour::default(); FEW];
    // The last Gaussian's furthest neighbour: no neighbour of the next is further away than that and the way between both.
    let mut last: Option<((u32, u32), u64)> = None;
    for (index, &(x, y)) in cells.iter().enumerate().skip(from) {
        let square = |to: (u32, u32)| {
            let (dx, dy) = (to.0.abs_diff(x), to.1.abs_diff(y));
            dx * dx + dy * dy
        };
        let most = last.map_or(u32::MAX, |(place, furthest)| {
            let reach = furthest.isqrt() + u64::from(square(place)).isqrt() + 2;
            u32::try_from(reach * reach).unwrap_or(u32::MAX)
        });
        let mut count = 0;
        for (other, &cell) in cells.iter().enumerate() {
            let distance = square(cell);
            all[count] = Neighbour::new(distance, other as u32);
            count += usize::from(distance <= most && other != index);
        }
        let near = &mut all[..count];
        if count > wanted {
            near.select_nth_unstable(wanted - 1);
        }
        near[..wanted].sort_unstable();
        last = Some(((x, y), near[wanted - 1].distance()));
        lists.extend_from_slice(&near[..wanted]);
    }
}

/// Gaussians by square of the plane, about four in each.
struct Buckets {
    side: u32,
    columns: u32,
    rows: u32,
    origin: (u32, u32),
    /// Where each bucket begins in `members`; one more at the end.
    starts: Vec<u32>,
    members: Vec<u32>,
}

/// Members of a bucket of several cells, at most.
const CROWD: u32 = 256;

impl Buckets {
    /// About four to a bucket; single cells, if that leaves a crowd in one, as when most lie in a corner.
    fn new(cells: &[(u32, u32)]) -> Self {
        let area = |(width, height): (u32, u32)| u64::from(width) * u64::from(height);
        let side = |size| ((area(size) * 4 / cells.len() as u64).isqrt() as u32).max(1);
        let buckets = Self::of_side(cells, side);
        let crowded = buckets.starts.windows(2).any(|pair| pair[1] - pair[0] > CROWD);
        if crowded && buckets.side > 1 { Self::of_side(cells, |_| 1) } else { buckets }
    }

    fn of_side(cells: &[(u32, u32)], side: impl Fn((u32, u32)) -> u32) -> Self {
        let least =
            cells.iter().fold((u32::MAX, u32::MAX), |least, cell| (least.0.min(cell.0), least.1.min(cell.1)));
        let most = cells.iter().fold((0, 0), |most, cell| (most.0.max(cell.0), most.1.max(cell.1)));
        let (width, height) = (most.0 - least.0 + 1, most.1 - least.1 + 1);
        let side = side((width, height));
        let (columns, rows) = (width.div_ceil(side), height.div_ceil(side));
        let bucket =
            |cell: &(u32, u32)| ((cell.1 - least.1) / side * columns + (cell.0 - least.0) / side) as usize;
        let mut starts = vec![0u32; (columns * rows) as usize + 1];
        for cell in cells {
            starts[bucket(cell) + 1] += 1;
        }
        for i in 1..starts.len() {
            starts[i] += starts[i - 1];
        }
        let mut next = starts.clone();
        let mut members = vec![0; cells.len()];
        for (index, cell) in cells.iter().enumerate() {
            let place = &mut next[bucket(cell)];
            members[*place as usize] = index as u32;
            *place += 1;
        }
        Self { side, columns, rows, origin: least, starts, members }
    }

    /// The `wanted` nearest of `cells[index]`, nearest first, are the first of `found` afterwards.
    fn nearest(&self, cells: &[(u32, u32)], index: usize, wanted: usize, found: &mut Vec<Neighbour>) {
        let (x, y) = cells[index];
        let (column, row) = ((x - self.origin.0) / self.side, (y - self.origin.1) / self.side);
        found.clear();
        let mut ring = 0u32;
        loop {
            self.ring(column, row, ring, |member| {
                if member as usize != index {
                    let (cx, cy) = cells[member as usize];
                    let (dx, dy) = (cx.abs_diff(x), cy.abs_diff(y));
                    found.push(Neighbour::new(dx * dx + dy * dy, member));
                }
            });
            // All within this distance are in the rings so far.
            let reach = u64::from(ring) * u64::from(self.side);
            let whole = ring >= self.columns.max(self.rows);
            if found.len() >= wanted {
                found.select_nth_unstable(wanted - 1);
                if whole || found[wanted - 1].distance() <= reach * reach {
                    break;
                }
            }
            ring += 1;
        }
        found[..wanted].sort_unstable();
    }

    fn ring(&self, column: u32, row: u32, ring: u32, mut visit: impl FnMut(u32)) {
        let (left, top) = (i64::from(column) - i64::from(ring), i64::from(row) - i64::from(ring));
        let (right, bottom) = (i64::from(column) + i64::from(ring), i64::from(row) + i64::from(ring));
        for y in top.max(0)..=bottom.min(i64::from(self.rows) - 1) {
            let edge = y == top || y == bottom;
            let step = if edge || ring == 0 { 1 } else { right - left };
            let mut x = left;
            while x <= right {
                if (0..i64::from(self.columns)).contains(&x) {
                    let bucket = (y * i64::from(self.columns) + x) as usize;
                    let members =
                        &self.members[self.starts[bucket] as usize..self.starts[bucket + 1] as usize];
                    // Of one cell all are as far: the first of them are the nearest.
                    let most = if self.side == 1 { MOST + 1 } else { members.len() };
                    members.iter().take(most).for_each(|&member| visit(member));
                }
                x += step;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn lists_are_the_nearest(
            spread in prop::collection::vec((0u32..90, 0u32..40), 1..200),
            crowd in prop::collection::vec((70u32..73, 5u32..7), 0..500),
        ) {
            let cells = [spread, crowd].concat();
            let from = cells.len() / 3;
            let lists = Neighbours::new(&cells, from);
            for (i, &(x, y)) in cells.iter().enumerate().skip(from) {
                let mut all: Vec<Neighbour> = (0..cells.len())
                    .filter(|&j| j != i)
                    .map(|j| {
                        let (dx, dy) = (cells[j].0.abs_diff(x), cells[j].1.abs_diff(y));
                        Neighbour::new(dx * dx + dy * dy, j as u32)
                    })
                    .collect();
                all.sort_unstable();
                all.truncate(MOST);
                prop_assert_eq!(lists.of(i), &all[..]);
            }
        }
    }

    #[test]
    fn a_crowd_takes_no_longer_than_others() {
        // Sixteen times as many would take 256 times as long, if each looked at all.
        let mut cells = vec![(3, 3); 60_000];
        cells.push((2047, 2047));
        assert_eq!(Neighbours::new(&cells, 50_000).of(59_999)[0], Neighbour::new(0, 0));
    }
}
