//! Tokens of a codebook, coded one decision of a tree after another under what is around them (`SPEC.md` section 7.11.2).

use super::avx2::{self, Work};
use super::dense::{Decisions, Shape};
use super::mixing::{Correction, Mixer};
use super::surroundings::{Around, LIGHT, WHOLE};
use super::tables::{STRETCH_LIMIT, Tables};

/// Codes of a codebook at most.
pub(super) const MAX_VOCABULARY: u32 = 65_535;
/// Inputs of a mixer for each surroundings: what is counted, twice, and what came last.
const KINDS: usize = 3;
const INPUTS: usize = KINDS * WHOLE;
/// Counters are believed by the decisions they have seen; in sixteenths.
const TRUST: [i32; 16] = [0, 4, 6, 8, 9, 10, 10, 11, 11, 12, 12, 13, 13, 14, 14, 15];
/// Decisions a counter remembers.
const MEMORY: u8 = 120;
/// Classes of how often the same token came of the same surroundings; the last is of the token before it.
const REPEATS: usize = 32;
/// Sets of weights by node, and by place.
const NODES: u32 = 1 << 12;
const PLACES: usize = 1 << 10;

#[derive(Debug, Clone, Copy)]
struct Counter {
    one: u16,
    seen: u8,
    check: u8,
}

/// What came of surroundings last.
#[derive(Debug, Clone, Copy)]
struct Recent {
    last: u16,
    /// What came before it that was another.
    previous: u16,
    check: u16,
    repeats: u8,
    /// How many of the two there are.
    known: u8,
}

const NEW: Recent = Recent { last: 0, previous: 0, check: 0, repeats: 0, known: 0 };

/// How codes are coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CodeForm {
    /// Codes are below this: 2 to [`MAX_VOCABULARY`].
    pub(super) vocabulary: u32,
    /// Whether all there is looks at them.
    pub(super) whole: bool,
    /// Logarithm of how many counters there are: [`LEAST_COUNTERS`] to [`MOST_COUNTERS`].
    pub(super) counters: u8,
}

/// The least logarithm of a number of counters.
pub(super) const LEAST_COUNTERS: u8 = 10;
/// The greatest.
pub(super) const MOST_COUNTERS: u8 = 22;

/// Codes tokens and learns from them.
#[derive(Clone)]
pub(super) struct CodeCoder {
    tables: &'static Tables,
    form: CodeForm,
    depth: u32,
    /// Of what is coded.
    shape: Shape,
    counters: Vec<Counter>,
    recent: Vec<Recent>,
    recent_shift: u32,
    /// That what came last comes again, by surroundings, class and bit.
    agreed: Vec<u16>,
    by_node: Mixer<INPUTS>,
    by_place: Mixer<INPUTS>,
    by_flags: Mixer<INPUTS>,
    last: Mixer<3>,
    light: Mixer<LIGHT>,
    node_correction: Correction,
    hashed_correction: Correction,
    divisors: [i64; 256],
}

/// What is known of a token while it is searched for.
struct Search {
    hashes: [u32; WHOLE],
    recent: [Recent; WHOLE],
    flags: usize,
    place: usize,
    /// Whether the decision's parent had been met in these surroundings.
    met: [bool; WHOLE],
    /// Counters of the decision.
    slots: [usize; WHOLE],
    /// Of what came last: its place in `agreed`, and the bit.
    expected: [Option<(usize, bool)>; WHOLE],
}

impl CodeCoder {
    pub(super) fn new(form: CodeForm) -> Self {
        let tables = Tables::get();
        let depth = u32::BITS - (form.vocabulary - 1).leading_zeros();
        let recent_bits = if form.whole { u32::from(form.counters).saturating_sub(3).max(8) } else { 1 };
        let bits = depth as usize;
        let nodes = NODES.min(1 << depth) as usize;
        // Weights are of the coder that uses them alone.
        let (many, few) = if form.whole { (1, 0) } else { (0, 1) };
        let again = |at: usize| match at / bits % REPEATS {
            class if class + 1 == REPEATS => 32_768,
            class => (65_536 - 65_536 / (3 + 2 * class)) as u16,
        };
        Self {
            tables,
            form,
            depth,
            shape: Shape { frames: 0, channels: 1, height: 1, width: 1 },
            counters: vec![Counter { one: 1 << 15, seen: 0, check: 0 }; 1 << form.counters],
            recent: vec![NEW; 1 << recent_bits],
            recent_shift: 32 - recent_bits,
            agreed: (0..WHOLE * REPEATS * bits).map(again).collect(),
            by_node: Mixer::new(many * nodes, [4000; INPUTS], 20),
            by_place: Mixer::new(many * PLACES * bits, [4000; INPUTS], 20),
            by_flags: Mixer::new(many * 256 * bits, [4000; INPUTS], 20),
            last: Mixer::new(many * nodes, [21_845; 3], 2),
            light: Mixer::new(few * nodes, [21_845; LIGHT], 12),
            node_correction: Correction::new(many * nodes, tables),
            hashed_correction: Correction::new(many << 16, tables),
            divisors: core::array::from_fn(|n| 131_072 / (2 * n as i64 + 3)),
        }
    }

    /// Bytes in memory.
    pub(super) fn memory(&self) -> usize {
        let mixers = self.by_node.memory()
            + self.by_place.memory()
            + self.by_flags.memory()
            + self.light.memory()
            + self.last.memory();
        let corrections = self.node_correction.memory() + self.hashed_correction.memory();
        4 * self.counters.len() + 8 * self.recent.len() + 2 * self.agreed.len() + mixers + corrections
    }

    /// Codes tokens of frames, each in the order row, column, token of the position.
    pub(super) fn code(&mut self, decisions: &mut impl Decisions, shape: Shape, codes: &mut [u16]) {
        self.shape = shape;
        avx2::run(Coding { coder: self, decisions, codes });
    }

    #[inline(always)]
    fn code_all(&mut self, decisions: &mut impl Decisions, codes: &mut [u16]) {
        let shape = self.shape;
        let Shape { frames, channels, height, width } = shape;
        for t in 0..frames {
            for y in 0..height {
                for x in 0..width {
                    for k in 0..channels {
                        let around = Around::at(codes, shape, self.form.vocabulary, (t, y, x, k));
                        let at = ((t * height + y) * width + x) * channels + k;
                        let code = codes[at];
                        codes[at] = if self.form.whole {
                            self.code_whole(decisions, &around, y * width + x, code)
                        } else {
                            self.code_light(decisions, &around, code)
                        };
                    }
                }
            }
        }
    }

    /// The code with this start whose next bit could be a one, or else it is a zero.
    #[inline(always)]
    fn is_open(&self, node: u32, bit: u32) -> bool {
        let start = (node << 1 | 1) << (self.depth - 1 - bit);
        start ^ 1 << self.depth < self.form.vocabulary
    }

    #[inline(always)]
    fn slot(&self, hash: u32, node: u32) -> (usize, u8) {
        let mixed = (hash ^ node.wrapping_mul(0xC2B2_AE35)).wrapping_mul(0x9E37_79B1);
        let mixed = mixed ^ mixed >> 15;
        ((mixed & ((1 << self.form.counters) - 1)) as usize, (mixed >> 24) as u8)
    }

    #[inline(always)]
    fn code_light(&mut self, decisions: &mut impl Decisions, around: &Around, code: u16) -> u16 {
        let hashes = around.light();
        let mut node = 1u32;
        for bit in 0..self.depth {
            if !self.is_open(node, bit) {
                node *= 2;
                continue;
            }
            let (mut inputs, mut slots) = ([0i32; LIGHT], [0usize; LIGHT]);
            for ((hash, slot), input) in hashes.iter().zip(&mut slots).zip(&mut inputs) {
                let (at, check) = self.slot(*hash, node);
                let counter = &mut self.counters[at];
                if counter.check != check {
                    *counter = Counter { one: 1 << 15, seen: 0, check };
                }
                *slot = at;
                let trust = TRUST[usize::from(counter.seen.min(15))];
                *input = (self.tables.stretch(counter.one) * trust) >> 4;
            }
            let set = (node % NODES) as usize;
            let mixed = self.light.mix(set, &inputs);
            let one = self.tables.squash(mixed);
            let wanted = code >> (self.depth - 1 - bit) & 1 == 1;
            let one_bit = decisions.code(wanted, one.clamp(24, 65_512));
            self.light.learn(set, &inputs, one, if one_bit { 65_536 } else { 0 });
            for slot in &slots {
                self.count(*slot, one_bit);
            }
            node = 2 * node + u32::from(one_bit);
        }
        (node ^ 1 << self.depth) as u16
    }

    #[inline(always)]
    fn count(&mut self, slot: usize, bit: bool) {
        let counter = &mut self.counters[slot];
        let gap = i64::from(if bit { 65_535i32 } else { 0 } - i32::from(counter.one));
        let step = (gap * self.divisors[usize::from(counter.seen)]) >> 16;
        counter.one = (i64::from(counter.one) + step).clamp(32, 65_504) as u16;
        counter.seen = (counter.seen + 1).min(MEMORY);
    }

    #[inline(always)]
    fn code_whole(
        &mut self,
        decisions: &mut impl Decisions,
        around: &Around,
        place: usize,
        code: u16,
    ) -> u16 {
        let hashes = around.whole();
        let mut search = Search {
            hashes,
            recent: hashes.map(|hash| {
                let recent = self.recent[self.recent_place(hash)];
                if recent.check == hash as u16 { recent } else { NEW }
            }),
            flags: around.flags() as usize,
            place: place % PLACES,
            met: [true; WHOLE],
            slots: [usize::MAX; WHOLE],
            expected: [None; WHOLE],
        };
        let mut node = 1u32;
        for bit in 0..self.depth {
            if !self.is_open(node, bit) {
                node *= 2;
                continue;
            }
            let wanted = code >> (self.depth - 1 - bit) & 1 == 1;
            node = 2 * node + u32::from(self.decide(decisions, &mut search, node, bit, wanted));
        }
        let code = (node ^ 1 << self.depth) as u16;
        for (hash, known) in hashes.iter().zip(&search.recent) {
            let at = self.recent_place(*hash);
            self.recent[at] = match known.known {
                0 => Recent { last: code, check: *hash as u16, known: 1, ..NEW },
                _ if known.last == code => Recent { repeats: (known.repeats + 1).min(30), ..*known },
                _ => Recent { last: code, previous: known.last, repeats: 0, known: 2, ..*known },
            };
        }
        code
    }

    #[inline(always)]
    fn recent_place(&self, hash: u32) -> usize {
        ((hash ^ hash >> 15).wrapping_mul(0x9E37_79B1) >> self.recent_shift) as usize
    }

    /// The bit that a token has next, if it begins as the node does.
    #[inline(always)]
    fn next_of(&self, token: u16, node: u32, bit: u32) -> Option<bool> {
        let path = u32::from(token) | 1 << self.depth;
        (path >> (self.depth - bit) == node).then_some(path >> (self.depth - 1 - bit) & 1 == 1)
    }

    #[inline(always)]
    fn look(&mut self, search: &mut Search, node: u32, bit: u32) -> [i32; INPUTS] {
        let mut inputs = [0i32; INPUTS];
        for i in 0..WHOLE {
            let recent = search.recent[i];
            let last = if recent.known > 0 { self.next_of(recent.last, node, bit) } else { None };
            let previous = if recent.known > 1 && last.is_none() {
                self.next_of(recent.previous, node, bit)
            } else {
                None
            };
            search.slots[i] = usize::MAX;
            if search.met[i] {
                let (slot, check) = self.slot(search.hashes[i], node);
                let counter = &mut self.counters[slot];
                if counter.check != check {
                    // A first visit left nothing here but what came of it.
                    let (one, seen) = match last.or(previous) {
                        Some(true) => (54_612, 1),
                        Some(false) => (10_923, 1),
                        None => (1 << 15, 0),
                    };
                    *counter = Counter { one, seen, check };
                }
                let trust = TRUST[usize::from(counter.seen.min(15))];
                inputs[i] = (self.tables.stretch(counter.one) * trust) >> 4;
                inputs[WHOLE + i] = ((i32::from(counter.one) - 32_768) * trust) >> 9;
                search.met[i] = counter.seen > 0;
                search.slots[i] = slot;
            }
            let class = if last.is_some() { usize::from(recent.repeats) } else { REPEATS - 1 };
            let at = (i * REPEATS + class) * self.depth as usize + bit as usize;
            search.expected[i] = last.or(previous).map(|bit| (at, bit));
            if let Some((at, bit)) = search.expected[i] {
                let again = self.tables.stretch(self.agreed[at]).clamp(-STRETCH_LIMIT, STRETCH_LIMIT);
                inputs[2 * WHOLE + i] = if bit { again } else { -again };
            }
        }
        inputs
    }

    #[inline(always)]
    fn decide(
        &mut self,
        decisions: &mut impl Decisions,
        search: &mut Search,
        node: u32,
        bit: u32,
        wanted: bool,
    ) -> bool {
        let inputs = self.look(search, node, bit);
        let set = (node % NODES) as usize;
        let place = search.place * self.depth as usize + bit as usize;
        let flags = search.flags * self.depth as usize + bit as usize;
        let mixed = [
            self.by_node.mix(set, &inputs),
            self.by_place.mix(place, &inputs),
            self.by_flags.mix(flags, &inputs),
        ];
        let together = self.last.mix(set, &mixed);
        let said = self.tables.squash(together);
        // Of the surroundings that are the token in the frame before.
        let mixed_hash = (search.hashes[0] ^ node.wrapping_mul(0x9E37_79B1)).wrapping_mul(0x85EB_CA6B);
        let hashed = (mixed_hash >> 16) as usize;
        let (first, first_point) = self.node_correction.look(set, together);
        let (second, second_point) = self.hashed_correction.look(hashed, together);
        let one = (2 * said + first + second) >> 2;
        let one_bit = decisions.code(wanted, one.clamp(24, 65_512));
        let target = if one_bit { 65_536 } else { 0 };
        self.by_node.learn(set, &inputs, self.tables.squash(mixed[0]), target);
        self.by_place.learn(place, &inputs, self.tables.squash(mixed[1]), target);
        self.by_flags.learn(flags, &inputs, self.tables.squash(mixed[2]), target);
        self.last.learn(set, &mixed, said, target);
        self.node_correction.learn(set, first_point, one_bit);
        self.hashed_correction.learn(hashed, second_point, one_bit);
        for i in 0..WHOLE {
            if search.slots[i] != usize::MAX {
                self.count(search.slots[i], one_bit);
            }
            if let Some((at, bit)) = search.expected[i] {
                let agreed = i32::from(self.agreed[at]);
                let target = if bit == one_bit { 65_535 } else { 0 };
                self.agreed[at] = (agreed + ((target - agreed) >> 6)) as u16;
            }
        }
        one_bit
    }
}

/// Codes, and what codes them.
struct Coding<'a, D> {
    coder: &'a mut CodeCoder,
    decisions: &'a mut D,
    codes: &'a mut [u16],
}

impl<D: Decisions> Work for Coding<'_, D> {
    type Done = ();

    #[inline(always)]
    fn work(self) {
        self.coder.code_all(self.decisions, self.codes);
    }
}
