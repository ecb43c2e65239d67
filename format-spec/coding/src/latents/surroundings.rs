//! What is around a token of a codebook: the tokens before it in its frame, and those of the three frames before.

use super::dense::Shape;

/// Surroundings that the whole coder looks at.
pub(super) const WHOLE: usize = 8;
/// Those of the light one.
pub(super) const LIGHT: usize = 4;

/// Tokens around one; where there is none, the vocabulary.
#[derive(Debug, Clone, Copy)]
pub(super) struct Around {
    /// Which of its position it is.
    which: u32,
    place: u32,
    /// The token before it at its position.
    before: u32,
    /// At its place in the three frames before.
    past: [u32; 3],
    left: u32,
    up: u32,
    flags: u32,
}

impl Around {
    /// Around token `k` of position `(x, y)` of frame `t`. `codes` are in the order frame, row, column, token.
    #[inline(always)]
    pub(super) fn at(
        codes: &[u16],
        shape: Shape,
        none: u32,
        (t, y, x, k): (usize, usize, usize, usize),
    ) -> Self {
        let Shape { channels, height, width, .. } = shape;
        let row = width * channels;
        let plane = height * row;
        let here = t * plane + y * row + x * channels + k;
        let (left, up, right) = (x > 0, y > 0, x + 1 < width);
        // How far back a token is, if it is there.
        let token = |there: bool, back: usize| if there { u32::from(codes[here - back]) } else { none };
        let past = [1, 2, 3].map(|n| token(t >= n, n * plane));
        // Left, up, both, up and right, and with the frames before; right is known of these alone.
        let beside = [
            (left, channels),
            (up, row),
            (up && left, row + channels),
            (up && right, row.wrapping_sub(channels)),
        ];
        let now = beside.map(|(there, back)| token(there, back));
        let before = beside.map(|(there, back)| token(t > 0 && there, back.wrapping_add(plane)));
        let older_left = token(t > 1 && left, 2 * plane + channels);
        let right_before = token(t > 0 && right, plane.wrapping_sub(channels));
        let right_older = token(t > 1 && right, (2 * plane).wrapping_sub(channels));
        let same = [
            past[0] == past[1],
            now[0] == before[0],
            now[1] == before[1],
            past[0] == past[2],
            before[0] == older_left,
            right_before == right_older,
            now[2] == before[2],
            now[3] == before[3],
        ];
        let flags = same.iter().enumerate().fold(0, |flags, (i, &same)| flags | u32::from(same) << i);
        Self {
            which: k as u32,
            place: (y * width + x) as u32,
            before: if k > 0 { u32::from(codes[here - 1]) } else { none },
            past,
            left: now[0],
            up: now[1],
            flags,
        }
    }

    /// Which neighbours are what they were.
    pub(super) fn flags(&self) -> u32 {
        self.flags
    }

    /// The surroundings that the whole coder looks at, as hashes.
    #[inline(always)]
    pub(super) fn whole(&self) -> [u32; WHOLE] {
        let Self { which, place, before, past: [p, q, _], left, up, .. } = *self;
        [
            hash(0, which, [p, 0, 0]),
            hash(1, which, [place, 0, 0]),
            hash(2, which, [p, q, 0]),
            hash(3, which, [left, place, 0]),
            hash(4, which, [up, place, 0]),
            hash(5, which, [p, left, up]),
            hash(6, which, [before, 0, 0]),
            hash(7, which, [q, 0, 0]),
        ]
    }

    /// The surroundings that the light coder looks at, as hashes.
    #[inline(always)]
    pub(super) fn light(&self) -> [u32; LIGHT] {
        let Self { which, place, past: [p, ..], left, up, .. } = *self;
        [
            hash(0, which, [p, 0, 0]),
            hash(1, which, [place, 0, 0]),
            hash(2, which, [left, place, 0]),
            hash(3, which, [p, left, up]),
        ]
    }
}

#[inline(always)]
fn hash(list: u32, which: u32, parts: [u32; 3]) -> u32 {
    let start = (list + 8 * which + 1).wrapping_mul(0x9E37_79B1);
    parts.iter().fold(start, |hash, part| (hash ^ part).wrapping_mul(0x85EB_CA6B).rotate_left(13))
}
