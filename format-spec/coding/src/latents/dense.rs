//! The dense coder: blended predictors and a mixture of experts, one decision after another. Both directions are one piece of code.

use super::ahead::{Ahead, Ends, PLACES};
use super::avx2::{self, Work};
use super::beside::Beside;
use super::cells::{Cells, VALUE_LIMIT};
use super::counters::{COUNTERS, Counters};
use super::digits::Bounds;
use super::least_squares::{FEATURE_LIMIT, LANES, LocalSquares, OWN_KNOWN, OwnSquares};
use super::mixing::{Correction, Mixer};
use super::neighbours::Neighbours;
use super::position::{Frame, Position};
pub(super) use super::profile::{Counted, Light, Profile, Refined, Whole};
use super::quantiles::{MANY, QUANTILES, Quantiles};
use super::search::Search;
use super::tables::{STRETCH_LIMIT, Tables};
use crate::binary::{BinaryDecoder, BinaryEncoder};
use core::marker::PhantomData;

/// Takes or gives decisions.
pub(super) trait Decisions {
    /// Codes a decision that is a one with `one` 65536ths; `bit` is what it is, if that is known.
    fn code(&mut self, bit: bool, one: u32) -> bool;

    /// Codes one of `count` numbers (up to 2^16) that are equally likely; `number` is which, if that is known.
    fn code_even(&mut self, number: u32, count: u32) -> u32;
}

impl Decisions for BinaryEncoder {
    #[inline(always)]
    fn code(&mut self, bit: bool, one: u32) -> bool {
        self.encode(bit, one);
        bit
    }

    #[inline(always)]
    fn code_even(&mut self, number: u32, count: u32) -> u32 {
        self.encode_even(number, count);
        number
    }
}

impl Decisions for BinaryDecoder<'_> {
    #[inline(always)]
    fn code(&mut self, _: bool, one: u32) -> bool {
        self.decode(one)
    }

    #[inline(always)]
    fn code_even(&mut self, _: u32, count: u32) -> u32 {
        self.decode_even(count)
    }
}

/// Size of what is coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Frames.
    pub frames: usize,
    /// Channels of a position.
    pub channels: usize,
    /// Rows of a frame.
    pub height: usize,
    /// Positions of a row.
    pub width: usize,
}

impl Shape {
    /// Numbers in all.
    #[must_use]
    pub fn count(&self) -> usize {
        self.frames * self.channels * self.height * self.width
    }
}

/// Predictors without least squares, and the place of the blend among what errors are kept of.
pub(super) const FIXED: usize = 4;
pub(super) const BLEND: usize = 4;
/// The predictors of least squares.
pub(super) const OWN_GUESS: usize = 5;
pub(super) const LOCAL_GUESS: usize = 6;
pub(super) const TRACKED: usize = 7;
/// Logarithm of how many counters there are.
const COUNTER_BITS: u32 = 18;
/// Inputs of mixers.
pub(super) const INPUTS: usize = EXPERTS;
/// The same with counters.
pub(super) const COUNTED_INPUTS: usize = EXPERTS + COUNTERS;
/// The same with what places ahead tell.
pub(super) const REFINED_INPUTS: usize = EXPERTS + PLACES;
/// The most experts.
pub(super) const EXPERTS: usize = 8;
/// The expert that looks at the next frame, where digits of it are known.
const AHEAD: usize = 7;

/// What errors are kept of, under a profile.
#[inline(always)]
pub(super) fn tracked<P: Profile>() -> usize {
    if P::LEAST_SQUARES { TRACKED } else { BLEND + 1 }
}

/// Whether `k`, of what errors are kept of, is a predictor of the profile.
#[inline(always)]
fn is_predictor<P: Profile>(k: usize) -> bool {
    k < FIXED || (P::LEAST_SQUARES && k > BLEND)
}
const NODES: usize = 32;
pub(super) const CLASSES: usize = 32;
/// Steps of a tail.
const TAIL: usize = 8;

/// What a channel's scale is learned from.
#[derive(Clone, Copy)]
struct Scale {
    /// Mean magnitude of the error, in sixteenths.
    mean: u32,
    seen: u32,
}

#[derive(Clone)]
pub(super) struct Dense<P: Profile, const N: usize> {
    profile: PhantomData<P>,
    tables: &'static Tables,
    cells: Cells,
    shape: Shape,
    lanes: usize,
    shift: u32,
    now: Frame,
    before: Frame,
    own: OwnSquares,
    /// What a first frame, and the others, begin with.
    own_starts: [OwnSquares; 2],
    local: LocalSquares,
    position: Position,
    scales: [Vec<Scale>; EXPERTS],
    divisors: [u32; 128],
    by_node: Mixer<N>,
    by_channel: Mixer<N>,
    by_class: Mixer<N>,
    counters: Counters,
    /// Of each channel, how many numbers there are.
    counts: Vec<i32>,
    node_correction: Correction,
    channel_correction: Correction,
    quantiles: Quantiles,
    copies: [u16; 16],
    /// If it is asked whether positions are what is beside them.
    beside: Option<Beside>,
    ahead: Ahead,
    scratch: Vec<i32>,
    /// Means of the scales that the number at hand is coded with.
    means: [u32; EXPERTS],
}

/// How far the steps of a tail are from the middle, in scales, in units of 2^-10.
const TAILS: [i64; TAIL] = [4309, 5845, 7381, 8917, 11221, 14293, 20437, 32725];

impl<P: Profile, const N: usize> Dense<P, N> {
    pub(super) fn new(cells: Cells, shape: Shape, shift: u32) -> Self {
        let lanes = shape.channels.next_multiple_of(LANES);
        let positions = shape.height * shape.width;
        let tables = Tables::get();
        let own_lanes = if P::LEAST_SQUARES { lanes } else { 0 };
        let keys = CLASSES * CLASSES;
        let contexts: [usize; EXPERTS] = [keys, keys, keys, keys, keys, keys, shape.channels * CLASSES, keys];
        let start = core::array::from_fn(|i| match i {
            EXPERTS.. if P::AHEAD => 2000,
            _ if !P::COUNTERS => 9011,
            0..EXPERTS => 4000,
            _ => 3000,
        });
        let rate = if P::COUNTERS { 2 } else { 3 };
        Self {
            profile: PhantomData,
            tables,
            cells,
            shape,
            lanes,
            shift,
            now: Frame::new(positions, lanes),
            before: Frame::new(positions, lanes),
            own: OwnSquares::new(own_lanes, 8),
            own_starts: core::array::from_fn(|_| OwnSquares::new(own_lanes, 8)),
            local: LocalSquares::new(shape.width, lanes),
            position: Position::new(lanes),
            scales: contexts.map(|n| vec![Scale { mean: 0, seen: 0 }; n]),
            divisors: core::array::from_fn(|n| (131_072 / (2 * n + 3)) as u32),
            by_node: Mixer::new(NODES, start, rate),
            by_channel: Mixer::new(shape.channels * 8, start, rate),
            by_class: Mixer::new(CLASSES * 8, start, rate),
            node_correction: Correction::new(NODES, tables),
            channel_correction: Correction::new(shape.channels * NODES, tables),
            quantiles: Quantiles::new(if P::LEAST_SQUARES { 0 } else { shape.channels }),
            counters: Counters::new(if P::COUNTERS { COUNTER_BITS } else { 0 }),
            counts: vec![cells.count(); shape.channels],
            copies: [1 << 12; 16],
            beside: None,
            ahead: Ahead::new(),
            scratch: Vec::new(),
            means: [0; EXPERTS],
        }
    }

    /// With numbers of each channel below these.
    pub(super) fn with_counts(mut self, counts: Vec<i32>) -> Self {
        self.counts = counts;
        self
    }

    /// Asking whether positions are what is beside them.
    pub(super) fn with_beside(mut self, asked: bool) -> Self {
        self.beside = asked.then(|| Beside::new(self.shape.height * self.shape.width));
        self
    }

    /// Begins anew with frames of another size, knowing what was learned.
    pub(super) fn restart(&mut self, shape: Shape) {
        let Shape { frames, height, width, .. } = shape;
        self.shape = Shape { frames, height, width, ..self.shape };
        (self.now, self.before) =
            (Frame::new(height * width, self.lanes), Frame::new(height * width, self.lanes));
        self.local.restart(width);
    }

    /// Bytes in memory, about.
    pub(super) fn memory(&self) -> usize {
        let frames = 2 * (TRACKED + 2) * size_of_val(&self.now.values[..]);
        let scales: usize = self.scales.iter().map(|scales| size_of_val(&scales[..])).sum();
        let mixers = self.by_node.memory() + self.by_channel.memory() + self.by_class.memory();
        let corrections = self.node_correction.memory() + self.channel_correction.memory();
        frames
            + scales
            + mixers
            + corrections
            + self.quantiles.memory()
            + self.counters.memory()
            + 3 * self.own.memory()
    }

    /// Codes all numbers, frame by frame, row by row, the channels of a position together. `numbers` are in this order.
    pub(super) fn code(&mut self, decisions: &mut impl Decisions, bounds: &impl Bounds, numbers: &mut [u16]) {
        avx2::run(Bounded { dense: self, bounds, decisions, numbers });
    }

    /// The same, with the instructions of the caller.
    #[inline(always)]
    fn code_all(&mut self, decisions: &mut impl Decisions, bounds: &impl Bounds, numbers: &mut [u16]) {
        let Shape { frames, channels, height, width } = self.shape;
        let plane = height * width * channels;
        for frame in 0..frames {
            if P::LEAST_SQUARES {
                if frame < 2 {
                    self.own.begin_as(&self.own_starts[frame]);
                }
                self.local.reset();
            }
            let (old, new) = numbers.split_at_mut(frame * plane);
            let old = if frame == 0 { &old[..0] } else { &old[(frame - 1) * plane..] };
            for y in 0..height {
                for x in 0..width {
                    let at = (y * width + x) * channels;
                    let old = old.get(at..at + channels).unwrap_or_default();
                    let (done, new) = new.split_at_mut(at);
                    self.code_position(decisions, bounds, frame, (x, y), (old, done), &mut new[..channels]);
                }
            }
            core::mem::swap(&mut self.now, &mut self.before);
            if let Some(beside) = &mut self.beside {
                beside.next_frame();
            }
            if P::LEAST_SQUARES && (frame == 0 || frame + 1 == frames) {
                self.own_starts[frame.min(1)].clone_from(&self.own);
            }
        }
    }

    #[inline(always)]
    fn code_position<B: Bounds>(
        &mut self,
        decisions: &mut impl Decisions,
        bounds: &B,
        frame: usize,
        (x, y): (usize, usize),
        (old, done): (&[u16], &[u16]),
        numbers: &mut [u16],
    ) {
        let at = Neighbours::at(x, y, self.shape.width, self.shape.height, self.lanes);
        let spot = (frame * self.shape.height + y) * self.shape.width + x;
        let limits = |c: usize, count: i32| bounds.of(spot, c, count);
        let mut copied = self.code_copied::<B>(decisions, &at, old, numbers, limits);
        if let Some(beside) = &mut self.beside {
            if copied {
                beside.pass((x, y), self.shape.width);
            } else {
                copied = beside.code(decisions, (x, y), self.shape.width, done, numbers);
            }
        }
        self.position.prepare::<P>(frame, &at, &self.now, &self.before);
        if P::LEAST_SQUARES {
            self.own.known(&self.position.own, &mut self.position.own_known);
            self.local.begin(x, y, &self.position.local, self.shift + 1);
        }
        let mut before = [0i32; 3];
        let mut heard = [0i32; TRACKED];
        for first in (0..self.lanes).step_by(LANES) {
            if P::LEAST_SQUARES {
                self.local.predict(first, &self.position.local, &mut self.position.local_guess);
            }
            let end = self.shape.channels.min(first + LANES);
            for (c, number) in numbers.iter_mut().enumerate().take(end).skip(first) {
                let mut guess = [0i32; TRACKED];
                self.guess(c, &before, &mut guess);
                guess[BLEND] = self.blend(c, &guess, &heard);
                if P::COUNTERS && !copied {
                    self.surround(c, &at, &before);
                }
                if !copied {
                    if P::AHEAD {
                        self.look_ahead(bounds, (frame, spot), &at, c);
                    }
                    let ends = limits(c, self.counts[c]);
                    let known = i32::from(*number);
                    *number = self.code_number::<B>(decisions, c, ends, &guess, &heard, known) as u16;
                }
                let value = self.cells.value(i32::from(*number));
                let here = at.here + c;
                let mut track = |k: usize, guess: i32| {
                    let error = (value - guess).abs();
                    self.now.errors[k][here] = error;
                    heard[k] += if c == 0 { error } else { (error - heard[k]) >> 2 };
                };
                for (k, guess) in guess.iter().enumerate().take(tracked::<P>()) {
                    track(k, *guess);
                }
                let change = value - self.position.base[c];
                self.now.values[here] = value;
                self.now.changes[here] = change;
                self.position.target[c] = change.clamp(-FEATURE_LIMIT, FEATURE_LIMIT);
                before = [self.position.target[c], before[0], before[1]];
            }
            if P::LEAST_SQUARES {
                self.local.learn(first, &self.position.target, self.shift + 1);
            }
        }
        if P::LEAST_SQUARES {
            self.local.end(x, y);
            self.own.learn(&self.position.own, &self.position.target, self.shift, &mut self.scratch);
        }
    }

    /// Codes whether the position is what it was in the frame before.
    #[inline(always)]
    fn code_copied<B: Bounds>(
        &mut self,
        decisions: &mut impl Decisions,
        at: &Neighbours,
        old: &[u16],
        numbers: &mut [u16],
        limits: impl Fn(usize, i32) -> (i32, i32),
    ) -> bool {
        let (zero, counts) = (self.cells.zero(), &self.counts);
        let old = |c: usize| old.get(c).copied().unwrap_or(zero.min(counts[c] - 1) as u16);
        if B::NARROW {
            let can_be = |c: usize| {
                let (first, end) = limits(c, counts[c]);
                (first..end).contains(&i32::from(old(c)))
            };
            if !(0..numbers.len()).all(can_be) {
                self.now.copied[at.here / self.lanes] = false;
                return false;
            }
        }
        let same = numbers.iter().enumerate().all(|(c, &n)| n == old(c));
        let place = |at: usize| at / self.lanes;
        let context = usize::from(self.now.copied[place(at.left)])
            + 2 * usize::from(self.now.copied[place(at.up)])
            + 4 * usize::from(self.before.copied[place(at.here)])
            + 8 * usize::from(self.now.copied[place(at.up_right)]);
        let one = u32::from(self.copies[context]);
        let same = decisions.code(same, one.clamp(16, 65_520));
        let target = if same { 65_535i32 } else { 0 };
        self.copies[context] = (one as i32 + ((target - one as i32) >> 5)) as u16;
        if same {
            for (c, number) in numbers.iter_mut().enumerate() {
                *number = old(c);
            }
        }
        self.now.copied[place(at.here)] = same;
        same
    }

    /// Where the values of places ahead lie.
    #[inline(always)]
    fn look_ahead(&mut self, bounds: &impl Bounds, (frame, spot): (usize, usize), at: &Neighbours, c: usize) {
        let plane = self.shape.height * self.shape.width;
        let ends = |place: usize| {
            let (first, end) = bounds.of(place, c, self.counts[c]);
            self.ends(c, first, end)
        };
        let frames = core::array::from_fn(|k| {
            (frame + 1 + k < self.shape.frames).then(|| ends(spot + (1 + k) * plane))
        });
        let beside = [at.around[1], at.around[3]].map(|to| {
            (to != at.here).then(|| (ends(frame * plane + to / self.lanes), self.before.values[to + c]))
        });
        (self.ahead.frames, self.ahead.beside) = (frames, beside);
    }

    /// Where the values lie of numbers from `first` to below `end`.
    #[inline(always)]
    fn ends(&self, c: usize, first: i32, end: i32) -> Ends {
        let low = if first > 0 { self.cells.bound(first) } else { -VALUE_LIMIT };
        let high = if end < self.counts[c] { self.cells.bound(end) } else { VALUE_LIMIT };
        Ends { low, high }
    }

    #[inline(always)]
    fn guess(&mut self, c: usize, before: &[i32; 3], guess: &mut [i32; TRACKED]) {
        let position = &mut self.position;
        let base = position.base[c];
        for (guess, fixed) in guess.iter_mut().zip(&position.fixed[..4]) {
            *guess = fixed[c];
        }
        if !P::LEAST_SQUARES {
            return;
        }
        let mut own = position.own_known[c];
        for (i, change) in before.iter().enumerate() {
            position.own[(OWN_KNOWN + i) * self.lanes + c] = *change;
            own += self.own.term(OWN_KNOWN + i, c, *change);
        }
        guess[OWN_GUESS] =
            (i64::from(base) + (own >> 16)).clamp(i64::from(-VALUE_LIMIT), i64::from(VALUE_LIMIT)) as i32;
        guess[LOCAL_GUESS] = (base.saturating_add(position.local_guess[c])).clamp(-VALUE_LIMIT, VALUE_LIMIT);
    }

    /// What counters look at.
    #[inline(always)]
    fn surround(&mut self, c: usize, at: &Neighbours, changes: &[i32; 3]) {
        let digit = |value: i32| (value >> 15) as u32 & 0xff;
        let now = |place: usize| digit(self.now.values[place + c]);
        let old = |place: usize| digit(self.before.values[place + c]);
        let change = |place: usize| digit(self.now.changes[place + c]);
        let (p, l, u, ul, ur) = (old(at.here), now(at.left), now(at.up), now(at.up_left), now(at.up_right));
        let q = digit(self.before.values[at.here + c] - self.before.changes[at.here + c]);
        let [pl, pr, pu, pd] = [0, 1, 2, 3].map(|i| old(at.around[i]));
        let (dl, du) = (change(at.left), change(at.up));
        let [d1, d2, d3] = changes.map(digit);
        let c = c as u32;
        self.counters.surround([
            [c, p, l, u, 0, 0],
            [c, p, q, 0, 0, 0],
            [c, p, dl, du, 0, 0],
            [p, dl, du, d1, 0, 0],
            [c, p, d1, d2, 0, 0],
            [c, l, u, ul, 0, 0],
            [p, d1, d2, d3, 0, 0],
            [c, p, pl, pr, pu, pd],
            [c, p, l, pr, pd, 0],
            [c, p, l | u << 8, ur, q, 1],
        ]);
    }

    #[inline(always)]
    fn blend(&self, c: usize, guess: &[i32; TRACKED], heard: &[i32; TRACKED]) -> i32 {
        let base = self.position.base[c];
        let near = c.min(8) as i32;
        let mut logs = [0i32; TRACKED];
        let mut least = i32::MAX;
        for (k, log) in logs.iter_mut().enumerate().filter(|(k, _)| is_predictor::<P>(*k)) {
            let expected = self.position.activity[k][c] + ((heard[k] >> 3) * near);
            *log = self.tables.log2(expected as u32 + 1);
            least = least.min(*log);
        }
        let (mut sum, mut all) = (0i64, 0i64);
        for (_, (log, guess)) in logs.iter().zip(guess).enumerate().filter(|(k, _)| is_predictor::<P>(*k)) {
            // 2^(-1.75 d): 448/256 of 64ths to each 256th.
            let weight = i64::from(self.tables.power((((log - least) * 7) >> 4) as u32));
            sum += weight * i64::from(guess - base);
            all += weight;
        }
        (i64::from(base) + sum / all) as i32
    }

    /// What each expert expects: its middle, and the inverse of its scale in units of 2^-35; and where its scale is from.
    #[inline(always)]
    fn experts(
        &mut self,
        c: usize,
        guess: &[i32; TRACKED],
        heard: &[i32; TRACKED],
    ) -> ([i32; EXPERTS], [usize; EXPERTS], [i64; EXPERTS], i64, usize) {
        let class = |x: i32, from: i32| ((x - 1024).max(0) >> from) as usize;
        let (mut key, mut middle, mut inverse) = ([0; EXPERTS], [0; EXPERTS], [0i64; EXPERTS]);
        let mut pair = [0usize; TRACKED];
        let mut activity = [0i32; TRACKED];
        for k in 0..tracked::<P>() {
            let a1 = self.position.activity[k][c];
            let a2 = if c == 0 { a1 } else { heard[k] };
            let (c1, c2) = (self.tables.log2(a1 as u32 + 1), self.tables.log2(a2 as u32 + 1));
            activity[k] = (a1 >> 1) + (a2 >> 1);
            pair[k] = class(c1, 7).min(31) * CLASSES + class(c2, 7).min(31);
        }
        let log = self.tables.log2(activity[BLEND] as u32 + 1);
        let half = class(log, 7).min(31);
        let among = &guess[..tracked::<P>()];
        let spread = among.iter().max().unwrap_or(&0) - among.iter().min().unwrap_or(&0);
        let spread = class(self.tables.log2(spread as u32 + 1), 7).min(31);
        let mut scale0 = 0;
        for (i, &k) in P::SOURCE.iter().enumerate() {
            key[i] = match i {
                0 if P::LEAST_SQUARES => class(log, 6).min(63),
                6 => c * CLASSES + half,
                7 => spread * CLASSES + half,
                _ => pair[k],
            };
            middle[i] = guess[k];
            let scale = self.scales[i][key[i]];
            let mean = if scale.seen == 0 { (activity[k] as u32) << 4 } else { scale.mean };
            self.means[i] = mean;
            let s = ((u64::from(mean) * 739) >> 10).max(64) as i64;
            if i == 0 {
                scale0 = s;
            }
            inverse[i] = (1 << 39) / s;
        }
        (middle, key, inverse, scale0, half)
    }

    #[allow(clippy::too_many_arguments)]
    #[inline(always)]
    fn code_number<B: Bounds>(
        &mut self,
        decisions: &mut impl Decisions,
        c: usize,
        (first, end): (i32, i32),
        guess: &[i32; TRACKED],
        heard: &[i32; TRACKED],
        number: i32,
    ) -> i32 {
        let (mut middle, key, inverse, scale0, half) = self.experts(c, guess, heard);
        if P::AHEAD {
            self.ahead.expect(guess[BLEND], scale0, inverse[0]);
            if let Some(next) = self.ahead.frames[0] {
                // What changes little is now about where it will be.
                middle[AHEAD] = next.clamp(middle[AHEAD]);
            }
        }
        let blend = guess[BLEND];
        let mut search = Search {
            low: first,
            high: end,
            at_low: [0; EXPERTS],
            at_high: [1 << 31; EXPERTS],
            middle,
            inverse,
            channel: c,
            class: half,
        };
        if B::NARROW {
            self.look_at_ends(&mut search);
        }
        let place = |z: i64| blend.saturating_add(((z * scale0) >> 14).clamp(-(1 << 27), 1 << 27) as i32);
        let cells = self.cells;
        let cut = |low: usize| cells.near(place(QUANTILES[low - 1]));
        let low = if !P::LEAST_SQUARES && !B::NARROW && cells.are_floats() && cut(15) - cut(1) >= MANY {
            let low = self.quantiles.code(decisions, c, half, |low| number >= cut(low));
            search.between(if low > 0 { cut(low) } else { 0 }, if low < 15 { cut(low + 1) } else { end });
            if low == 0 || low == 15 || !cells.are_of_one_exponent(search.low, search.high) {
                self.look_at_ends(&mut search);
            }
            low
        } else {
            // The quantiles, as a balanced tree.
            let (mut low, mut width, mut node) = (0usize, 16usize, 1usize);
            while width > 1 {
                width /= 2;
                let above = self.decide(decisions, &mut search, cut(low + width), node, number);
                node = 2 * node + usize::from(above);
                low += if above { width } else { 0 };
            }
            low
        };
        if low == 0 || low == 15 {
            let up = low == 15;
            for (i, z) in TAILS.iter().enumerate() {
                let cut = self.cells.near(place(if up { *z } else { -z }));
                let above =
                    self.decide(decisions, &mut search, cut, 16 + i + if up { TAIL } else { 0 }, number);
                if above != up {
                    break;
                }
            }
        }
        while search.high - search.low > 1 {
            if !P::LEAST_SQUARES && cells.are_of_one_exponent(search.low, search.high) {
                let count = (search.high - search.low) as u32;
                search.low += decisions.code_even((number - search.low) as u32, count) as i32;
                break;
            }
            let cut = (search.low + search.high) >> 1;
            self.halve(decisions, &mut search, cut, number);
        }
        let number = search.low;
        self.learn_scales(&key, &middle, self.cells.value(number));
        number
    }

    /// What experts give to all below the ends of what is searched.
    #[inline(always)]
    fn look_at_ends(&self, search: &mut Search) {
        for i in 0..P::SOURCE.len() {
            let below = |index: i32| {
                let x = (i64::from(self.cells.bound(index) - search.middle[i]) * search.inverse[i]) >> 20;
                self.tables.logistic(x)
            };
            if search.low > 0 {
                search.at_low[i] = below(search.low);
            }
            if search.high < self.counts[search.channel] {
                search.at_high[i] = below(search.high).max(search.at_low[i]);
            }
        }
    }

    #[inline(always)]
    fn halve(&self, decisions: &mut impl Decisions, search: &mut Search, cut: i32, number: i32) {
        let bound = self.cells.bound(cut);
        let x = (i64::from(bound - search.middle[0]) * search.inverse[0]) >> 20;
        let at = self.tables.logistic(x).clamp(search.at_low[0], search.at_high[0]);
        let above = u64::from(search.at_high[0] - at) + 24;
        let all = u64::from(search.at_high[0] - search.at_low[0]) + 48;
        let one = ((above << 16) / all) as u32;
        if decisions.code(number >= cut, one.clamp(24, 65_512)) {
            search.low = cut;
            search.at_low[0] = at;
        } else {
            search.high = cut;
            search.at_high[0] = at;
        }
    }

    /// Codes whether the number is at or above `cut`, if that is not known.
    #[inline(always)]
    fn decide(
        &mut self,
        decisions: &mut impl Decisions,
        search: &mut Search,
        cut: i32,
        node: usize,
        number: i32,
    ) -> bool {
        if cut <= search.low {
            return true;
        }
        if cut >= search.high {
            return false;
        }
        let bound = self.cells.bound(cut);
        let mut inputs = [0i32; N];
        let mut at = [0u32; EXPERTS];
        for i in 0..P::SOURCE.len() {
            let x = (i64::from(bound - search.middle[i]) * search.inverse[i]) >> 20;
            at[i] = self.tables.logistic(x).clamp(search.at_low[i], search.at_high[i]);
            inputs[i] = self.tables.log2(search.at_high[i] - at[i] + 48)
                - self.tables.log2(at[i] - search.at_low[i] + 48);
        }
        if P::AHEAD {
            let ends = self.ends(search.channel, search.low, search.high);
            self.ahead.inputs(self.tables, bound, ends, &mut inputs[EXPERTS.min(N)..]);
        }
        let decision = (search.low as u32) | (search.high as u32) << 9 | (cut as u32) << 18;
        if P::COUNTERS {
            self.counters.look(decision, self.tables, &mut inputs[EXPERTS.min(N)..]);
        }
        let few = node.min(7);
        let (by_channel, by_class) = (search.channel * 8 + few, search.class * 8 + few);
        let mixed = if P::LEAST_SQUARES {
            [
                self.by_node.mix(node, &inputs),
                self.by_channel.mix(by_channel, &inputs),
                self.by_class.mix(by_class, &inputs),
            ]
        } else {
            [inputs[0].clamp(-STRETCH_LIMIT, STRETCH_LIMIT); 3]
        };
        let together = ((mixed[0] + mixed[1] + mixed[2]) * 21_845) >> 16;
        let one = self.tables.squash(together);
        let channel_node = search.channel * NODES + node;
        let (first, first_point) = self.node_correction.look(node, together);
        let (second, second_point) = self.channel_correction.look(channel_node, together);
        let one = (2 * one + first + second) >> 2;
        let bit = decisions.code(number >= cut, one.clamp(24, 65_512));
        let target = if bit { 65_536 } else { 0 };
        if P::LEAST_SQUARES {
            self.by_node.learn(node, &inputs, self.tables.squash(mixed[0]), target);
            self.by_channel.learn(by_channel, &inputs, self.tables.squash(mixed[1]), target);
            self.by_class.learn(by_class, &inputs, self.tables.squash(mixed[2]), target);
        }
        if P::COUNTERS {
            self.counters.learn(bit);
        }
        self.node_correction.learn(node, first_point, bit);
        self.channel_correction.learn(channel_node, second_point, bit);
        if bit {
            search.low = cut;
            search.at_low = at;
        } else {
            search.high = cut;
            search.at_high = at;
        }
        bit
    }

    #[inline(always)]
    fn learn_scales(&mut self, key: &[usize; EXPERTS], middle: &[i32; EXPERTS], value: i32) {
        for i in 0..P::SOURCE.len() {
            let error = (value - middle[i]).unsigned_abs().min(1 << 26) << 4;
            let scale = &mut self.scales[i][key[i]];
            if P::COUNTERS && scale.seen == 0 {
                // Of few digits, what is around them says more than the first of them.
                *scale = Scale { mean: self.means[i], seen: 2 };
            }
            if scale.seen == 0 {
                scale.mean = error;
            } else {
                let step = (i64::from(error) - i64::from(scale.mean))
                    * i64::from(self.divisors[scale.seen as usize]);
                scale.mean = (i64::from(scale.mean) + (step >> 16)) as u32;
            }
            scale.seen = (scale.seen + 1).min(100);
        }
    }
}

/// A coder, numbers, and what is known of them.
struct Bounded<'a, C, B, D> {
    dense: &'a mut C,
    bounds: &'a B,
    decisions: &'a mut D,
    numbers: &'a mut [u16],
}

impl<P: Profile, B: Bounds, D: Decisions, const N: usize> Work for Bounded<'_, Dense<P, N>, B, D> {
    type Done = ();

    #[inline(always)]
    fn work(self) {
        self.dense.code_all(self.decisions, self.bounds, self.numbers);
    }
}
