//! The generalised Hilbert curve through a box of any size (J. Cerveny, github.com/jakubcerveny/gilbert), as Video-BLADE (arXiv 2508.10774) orders
//! tokens by.

type Vector = [i64; 3];

/// The cells of a box of `[width, height, depth]` in the order of the curve, each `x + width (y + height z)`.
pub(super) fn curve(size: [usize; 3]) -> Vec<usize> {
    let [width, height, depth] = size;
    let [w, h, d] = size.map(|n| n as i64);
    let (x, y, z) = ([w, 0, 0], [0, h, 0], [0, 0, d]);
    let mut out = Vec::with_capacity(width * height * depth);
    let mut put = |[x, y, z]: Vector| out.push(x as usize + width * (y as usize + height * z as usize));
    if size.contains(&0) {
        return out;
    }
    if width >= height && width >= depth {
        walk([0; 3], x, y, z, &mut put);
    } else if height >= width && height >= depth {
        walk([0; 3], y, x, z, &mut put);
    } else {
        walk([0; 3], z, x, y, &mut put);
    }
    out
}

fn add(a: Vector, b: Vector) -> Vector {
    [0, 1, 2].map(|i| a[i] + b[i])
}

fn less(a: Vector, b: Vector) -> Vector {
    [0, 1, 2].map(|i| a[i] - b[i])
}

fn minus(a: Vector) -> Vector {
    a.map(|n| -n)
}

fn length(a: Vector) -> i64 {
    (a[0] + a[1] + a[2]).abs()
}

/// Half of a side, rounded down; a step more if that is odd and the side is long.
fn half(a: Vector) -> Vector {
    let half = a.map(|n| n.div_euclid(2));
    if length(half) % 2 == 1 && length(a) > 2 { add(half, a.map(i64::signum)) } else { half }
}

/// Walks through the box at `at` with these sides, along `a` first of all.
fn walk(at: Vector, a: Vector, b: Vector, c: Vector, put: &mut impl FnMut(Vector)) {
    let [w, h, d] = [a, b, c].map(length);
    for (along, n, others) in [(a, w, h * d), (b, h, w * d), (c, d, w * h)] {
        if others == 1 {
            let step = along.map(i64::signum);
            (0..n).for_each(|i| put(add(at, step.map(|s| s * i))));
            return;
        }
    }
    let (a2, b2, c2) = (half(a), half(b), half(c));
    let [da, db, dc] = [a, b, c].map(|side| side.map(i64::signum));
    let at = |parts: &[Vector]| parts.iter().fold(at, |sum, part| add(sum, *part));
    if 2 * w > 3 * h && 2 * w > 3 * d {
        walk(at(&[]), a2, b, c, put);
        walk(at(&[a2]), less(a, a2), b, c, put);
    } else if 3 * h > 4 * d {
        walk(at(&[]), b2, c, a2, put);
        walk(at(&[b2]), a, less(b, b2), c, put);
        let from = at(&[less(a, da), less(b2, db)]);
        walk(from, minus(b2), c, minus(less(a, a2)), put);
    } else if 3 * d > 4 * h {
        walk(at(&[]), c2, a2, b, put);
        walk(at(&[c2]), a, b, less(c, c2), put);
        let from = at(&[less(a, da), less(c2, dc)]);
        walk(from, minus(c2), minus(less(a, a2)), b, put);
    } else {
        walk(at(&[]), b2, c2, a2, put);
        walk(at(&[b2]), c, a2, less(b, b2), put);
        walk(at(&[less(b2, db), less(c, dc)]), a, minus(b2), minus(less(c, c2)), put);
        let from = at(&[less(a, da), b2, less(c, dc)]);
        walk(from, minus(c), minus(less(a, a2)), less(b, b2), put);
        let from = at(&[less(a, da), less(b2, db)]);
        walk(from, minus(b2), c2, minus(less(a, a2)), put);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cell_is_met_once_and_steps_are_short() {
        for size in [[4, 4, 4], [5, 3, 2], [52, 30, 21], [1, 1, 9], [2, 7, 1], [1, 1, 1], [48, 20, 17]] {
            let order = curve(size);
            let mut met = order.clone();
            met.sort_unstable();
            assert!(met.iter().copied().eq(0..size.iter().product()), "{size:?}");
            let place = |n: usize| [n % size[0], n / size[0] % size[1], n / size[0] / size[1]];
            let far = |pair: &[usize]| {
                let (a, b) = (place(pair[0]), place(pair[1]));
                (0..3).map(|i| a[i].abs_diff(b[i])).sum::<usize>()
            };
            // Boxes with odd sides have a few steps across a corner.
            assert!(order.windows(2).all(|pair| far(pair) <= 3), "{size:?}");
        }
        assert!(curve([0, 3, 3]).is_empty());
    }

    #[test]
    fn the_order_is_that_of_the_published_program() {
        assert_eq!(curve([2, 2, 2]), [0, 2, 6, 4, 5, 7, 3, 1]);
        assert_eq!(
            curve([5, 3, 2]),
            [
                0, 15, 20, 5, 10, 25, 26, 11, 6, 21, 16, 1, 2, 17, 18, 3, 8, 23, 22, 7, 12, 13, 27, 28, 29,
                14, 9, 24, 19, 4
            ]
        );
        // Of larger boxes, what its cells are folded to.
        for (size, folded) in [
            ([4, 4, 4], 419_484_160),
            ([52, 30, 21], 1_405_149_568),
            ([48, 20, 17], 1_109_207_936),
            ([3, 9, 5], 158_443_123),
            ([2, 3, 11], 1_915_755_051),
        ] {
            let fold = |sum: u32, cell: &usize| sum.wrapping_mul(31).wrapping_add(*cell as u32);
            assert_eq!(curve(size).iter().fold(0, fold), folded, "{size:?}");
        }
    }
}
