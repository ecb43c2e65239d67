//! Positions that are what the one to their left, or above them, is (`SPEC.md` section 7.10.2).

use super::dense::Decisions;

/// What a position was taken from.
const NONE: u8 = 0;
const LEFT: u8 = 1;
const UP: u8 = 2;

/// What is known of such positions.
#[derive(Clone)]
pub(super) struct Beside {
    /// Of each position of this frame and of the one before.
    now: Vec<u8>,
    before: Vec<u8>,
    /// Chances that a position is beside, and that it is the one above.
    taken: [u16; 8],
    above: [u16; 4],
}

impl Beside {
    pub(super) fn new(positions: usize) -> Self {
        Self {
            now: vec![NONE; positions],
            before: vec![NONE; positions],
            taken: [1 << 12; 8],
            above: [1 << 15; 4],
        }
    }

    /// Goes on with the next frame.
    pub(super) fn next_frame(&mut self) {
        core::mem::swap(&mut self.now, &mut self.before);
    }

    /// Says that position `(x, y)` is not asked of.
    pub(super) fn pass(&mut self, (x, y): (usize, usize), width: usize) {
        self.now[y * width + x] = NONE;
    }

    /// Codes whether the numbers of position `(x, y)` are those beside it, and puts them if so. `done` are the numbers of the frame before them.
    #[inline(always)]
    pub(super) fn code(
        &mut self,
        decisions: &mut impl Decisions,
        (x, y): (usize, usize),
        width: usize,
        done: &[u16],
        numbers: &mut [u16],
    ) -> bool {
        let (here, channels) = (y * width + x, numbers.len());
        self.now[here] = NONE;
        let back = |there: bool, positions: usize| {
            let from = done.len().checked_sub(positions * channels).filter(|_| there)?;
            done.get(from..from + channels)
        };
        let (left, up) = (back(x > 0, 1), back(y > 0, width));
        let (Some(first), both) = (left.or(up), left.is_some() && up.is_some()) else { return false };
        let of = |there: bool, positions: usize| if there { self.now[here - positions] } else { NONE };
        let (of_left, of_up) = (of(x > 0, 1), of(y > 0, width));
        let context = usize::from(of_left != NONE)
            + 2 * usize::from(of_up != NONE)
            + 4 * usize::from(self.before[here] != NONE);
        let is_first = *first == *numbers;
        let is_up = up.is_some_and(|up| *up == *numbers);
        if !decide(decisions, &mut self.taken[context], is_first || is_up) {
            return false;
        }
        let context = usize::from(of_left == UP) + 2 * usize::from(of_up == UP);
        let above = both && decide(decisions, &mut self.above[context], !is_first);
        let from = if above { up } else { Some(first) };
        self.now[here] = if above || left.is_none() { UP } else { LEFT };
        from.into_iter().for_each(|from| numbers.copy_from_slice(from));
        true
    }
}

/// Codes a decision, and learns from it.
fn decide(decisions: &mut impl Decisions, one: &mut u16, bit: bool) -> bool {
    let chance = u32::from(*one).clamp(16, 65_520);
    let bit = decisions.code(bit, chance);
    let target = if bit { 65_535i32 } else { 0 };
    *one = (i32::from(*one) + ((target - i32::from(*one)) >> 5)) as u16;
    bit
}

/// Whether it pays to ask of positions: one in so many is what one beside it is, and not what it was.
pub(super) fn pays(numbers: &[u16], channels: usize, (height, width): (usize, usize)) -> bool {
    let frame = height * width * channels;
    let mut found = 0;
    for (at, own) in numbers.chunks_exact(channels).enumerate() {
        let (p, from) = (at % (height * width), at * channels);
        let same = |there: bool, back: usize| there && numbers[from - back..from - back + channels] == *own;
        let beside = same(p % width > 0, channels) || same(p >= width, width * channels);
        found += usize::from(beside && !same(from >= frame, frame));
    }
    found * SHARE > numbers.len() / channels
}

const SHARE: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_beside_is_counted() {
        // Two frames of 2 x 3 positions of one channel: 1 1 2 / 1 4 4, then another.
        let numbers = [1, 1, 2, 1, 4, 4, 9, 9, 8, 7, 6, 5];
        assert!(pays(&numbers, 1, (2, 3)));
        let different: Vec<u16> = (0..600).collect();
        assert!(!pays(&different, 2, (10, 10)));
        // What was there before is copied already.
        assert!(!pays(&[3; 640], 1, (8, 8)) || pays(&[3; 64], 1, (8, 8)));
    }
}
