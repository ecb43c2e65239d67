//! Repeatable choices.

/// A small generator of random numbers.
#[derive(Debug, Clone)]
pub struct Dice(u64);

/// Numbers at which arithmetic breaks.
const EDGES: [u64; 28] = [
    0,
    1,
    2,
    3,
    7,
    8,
    63,
    64,
    96,
    127,
    128,
    255,
    256,
    4095,
    4096,
    65_535,
    65_536,
    1 << 20,
    (1 << 31) - 1,
    1 << 31,
    (1 << 32) - 1,
    1 << 32,
    1 << 40,
    (1 << 62) - 1,
    (1 << 63) - 1,
    1 << 63,
    u64::MAX - 1,
    u64::MAX,
];

impl Dice {
    /// A generator for this seed.
    #[must_use]
    pub fn new(seed: u32) -> Self {
        Self(u64::from(seed) ^ 0x9E37_79B9_7F4A_7C15)
    }

    /// The next 64 bits.
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `n`; 0 if `n` is 0.
    pub fn below(&mut self, n: u32) -> u32 {
        (self.roll() >> 32) as u32 % n.max(1)
    }

    /// An index into something of `len` items.
    pub fn index(&mut self, len: usize) -> usize {
        (self.roll() >> 16) as usize % len.max(1)
    }

    /// True once in `n` times.
    pub fn one_in(&mut self, n: u32) -> bool {
        self.below(n) == 0
    }

    /// Another number in the place of `old`: near it, at an edge, or small.
    pub fn number(&mut self, old: u64) -> u64 {
        match self.below(6) {
            0 => old.wrapping_add(1),
            1 => old.wrapping_sub(1),
            2 => EDGES[self.index(EDGES.len())],
            3 => old ^ 1 << self.below(64),
            4 => old.wrapping_add(self.below(256).into()).wrapping_sub(128),
            _ => self.below(16).into(),
        }
    }
}
