//! What the blocks of each type consist of (`SPEC.md` section 7.5).

use super::key::Key;

/// Bits of a run of bytes, one symbol after another.
///
/// Symbol j lies in byte `base + (j / G) * stride + j % lanes` of the block, from bit
/// `first + (j % G) / lanes * width` up, with G = `lanes * per_byte`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plane {
    base: u16,
    lanes: u16,
    stride: u16,
    pub(super) width: u8,
    first: u8,
    per_byte: u16,
    /// Where the bits go in the symbol.
    pub(super) up: u8,
}

impl Plane {
    /// Byte within the block, and lowest bit in it, of symbol `j`.
    pub(super) const fn place(&self, j: u16) -> (u16, u8) {
        let group = self.lanes * self.per_byte;
        let within = j % group;
        (
            self.base + j / group * self.stride + within % self.lanes,
            self.first + (within / self.lanes) as u8 * self.width,
        )
    }

    const fn up(mut self, up: u8) -> Self {
        self.up = up;
        self
    }

    const fn stride(mut self, stride: u16) -> Self {
        self.stride = stride;
        self
    }

    /// One symbol of each byte, from bit `first` up.
    const fn only(mut self, first: u8) -> Self {
        self.first = first;
        self.per_byte = 1;
        self
    }
}

/// Symbols of `width` bits in runs of `lanes` bytes: first the low bits of all of them, then the next.
const fn plane(base: u16, lanes: u16, width: u8) -> Plane {
    Plane { base, lanes, stride: lanes, width, first: 0, per_byte: 8 / width as u16, up: 0 }
}

/// Bytes as symbols.
const fn bytes(base: u16) -> Plane {
    plane(base, 1, 8)
}

/// Symbols of a block whose bits come from the same planes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Segment {
    pub(super) count: u16,
    pub(super) planes: &'static [Plane],
}

/// Symbols of a block that are coded together.
#[derive(Debug, Clone, Copy)]
pub(super) struct Component {
    /// The symbols of a block, in this order.
    pub(super) segments: &'static [Segment],
    /// What classes of symbols are told apart by.
    pub(super) key: Key,
    /// Symbols in a row that have one key.
    pub(super) per: u16,
}

impl Component {
    /// Symbols in a block.
    pub(super) fn count(&self) -> usize {
        self.segments.iter().map(|s| usize::from(s.count)).sum()
    }

    /// Bits of a symbol, at most 8.
    pub(super) fn width(&self) -> u8 {
        let planes = self.segments.iter().flat_map(|s| s.planes);
        planes.map(|p| p.up + p.width).max().unwrap_or(8)
    }

    /// Keys of a block: one, if symbols have none.
    pub(super) fn groups(&self) -> usize {
        self.count() / self.group_len()
    }

    /// Symbols that share a key; the block's, if they have none.
    pub(super) fn group_len(&self) -> usize {
        if matches!(self.key, Key::None) { self.count() } else { usize::from(self.per) }
    }
}

/// A block type.
#[derive(Debug, Clone, Copy)]
pub(super) struct BlockType {
    pub(super) id: u8,
    pub(super) block_bytes: u16,
    pub(super) components: &'static [Component],
}

/// The block type of an id.
pub(super) fn by_id(id: u8) -> Option<&'static BlockType> {
    TYPES.iter().find(|t| t.id == id)
}

macro_rules! component {
    ($count:literal x [$($plane:expr),+]) => { component!([$count x [$($plane),+]], Key::None, 1) };
    ($count:literal x [$($plane:expr),+], $key:expr, $per:literal) => {
        component!([$count x [$($plane),+]], $key, $per)
    };
    ([$($count:literal x [$($plane:expr),+]),+], $key:expr, $per:literal) => {
        Component {
            segments: &[$(Segment { count: $count, planes: &[$($plane),+] }),+],
            key: $key,
            per: $per,
        }
    };
}

/// One byte of each block.
macro_rules! byte {
    ($at:literal) => {
        component!(1 x [bytes($at)])
    };
}

macro_rules! block_type {
    ($id:literal, $bytes:literal, [$($component:expr),+ $(,)?]) => {
        BlockType { id: $id, block_bytes: $bytes, components: &[$($component),+] }
    };
}

/// All block types, each under its id as an element type.
pub(super) static TYPES: [BlockType; 26] = [
    // Q4_0
    block_type!(34, 18, [byte!(0), byte!(1), component!(32 x [plane(2, 16, 4)], Key::Half(0), 32)]),
    // Q4_1
    block_type!(
        35,
        20,
        [
            byte!(0),
            byte!(1),
            byte!(2),
            component!(1 x [bytes(3)], Key::Half(0), 1),
            component!(32 x [plane(4, 16, 4)], Key::Zero, 32),
        ]
    ),
    // Q5_0
    block_type!(
        38,
        22,
        [byte!(0), byte!(1), component!(32 x [plane(6, 16, 4), plane(2, 1, 1).up(4)], Key::Half(0), 32),]
    ),
    // Q5_1
    block_type!(
        39,
        24,
        [
            byte!(0),
            byte!(1),
            byte!(2),
            component!(1 x [bytes(3)], Key::Half(0), 1),
            component!(32 x [plane(8, 16, 4), plane(4, 1, 1).up(4)], Key::Zero, 32),
        ]
    ),
    // Q8_0
    block_type!(40, 34, [byte!(0), byte!(1), component!(32 x [bytes(2)], Key::Half(0), 32)]),
    // Q8_1
    block_type!(
        41,
        36,
        [byte!(0), byte!(1), byte!(2), byte!(3), component!(32 x [bytes(4)], Key::Half(0), 32),]
    ),
    // Q2_K
    block_type!(
        42,
        84,
        [
            byte!(80),
            byte!(81),
            byte!(82),
            byte!(83),
            component!(16 x [plane(0, 16, 4).only(0)]),
            component!(16 x [plane(0, 16, 4).only(4)], Key::Scale2, 1),
            component!(256 x [plane(16, 32, 2)], Key::Zero2, 16),
        ]
    ),
    // Q3_K
    block_type!(
        43,
        110,
        [
            byte!(108),
            byte!(109),
            component!(16 x [plane(96, 8, 4), plane(104, 4, 2).up(4)]),
            component!(256 x [plane(32, 32, 2), plane(0, 32, 1).up(2)], Key::Centred3, 16),
        ]
    ),
    // Q4_K
    block_type!(
        44,
        144,
        [
            byte!(0),
            byte!(1),
            byte!(2),
            byte!(3),
            SCALES_K,
            MINIMA_K,
            component!(256 x [plane(16, 32, 4)], Key::ZeroK, 32),
        ]
    ),
    // Q5_K
    block_type!(
        45,
        176,
        [
            byte!(0),
            byte!(1),
            byte!(2),
            byte!(3),
            SCALES_K,
            MINIMA_K,
            component!(256 x [plane(48, 32, 4), plane(16, 32, 1).up(4)], Key::ZeroK, 32),
        ]
    ),
    // Q6_K
    block_type!(
        46,
        210,
        [
            byte!(208),
            byte!(209),
            component!(16 x [bytes(192)]),
            component!(256 x [plane(0, 64, 4), plane(128, 32, 2).up(4)], Key::Signed(192), 16),
        ]
    ),
    // Q8_K
    block_type!(
        47,
        292,
        [
            byte!(0),
            byte!(1),
            byte!(2),
            byte!(3),
            component!(256 x [bytes(4)]),
            component!(16 x [bytes(260).stride(2)]),
            component!(16 x [bytes(261).stride(2)]),
        ]
    ),
    // IQ2_XXS
    block_type!(
        48,
        66,
        [
            byte!(0),
            byte!(1),
            component!(32 x [plane(2, 4, 8).stride(8)]),
            component!(24 x [plane(6, 3, 8).stride(8)]),
            component!(8 x [plane(9, 1, 4).stride(8).only(0)]),
            component!(8 x [plane(9, 1, 4).stride(8).only(4)]),
        ]
    ),
    // IQ2_XS
    block_type!(
        49,
        74,
        [
            byte!(0),
            byte!(1),
            component!(32 x [bytes(2).stride(2)]),
            component!(32 x [bytes(3).stride(2)]),
            component!(16 x [plane(66, 1, 4)]),
        ]
    ),
    // IQ3_XXS
    block_type!(
        50,
        98,
        [
            byte!(0),
            byte!(1),
            component!(64 x [bytes(2)]),
            component!(24 x [plane(66, 3, 8).stride(4)]),
            component!(8 x [plane(69, 1, 4).stride(4).only(0)]),
            component!(8 x [plane(69, 1, 4).stride(4).only(4)]),
        ]
    ),
    // IQ1_S
    block_type!(
        51,
        50,
        [
            byte!(0),
            byte!(1),
            component!(32 x [bytes(2)]),
            component!(8 x [bytes(34).stride(2)]),
            component!(8 x [plane(35, 1, 4).stride(2).only(0)]),
            component!(8 x [plane(35, 1, 4).stride(2).only(4)]),
        ]
    ),
    // IQ4_NL
    block_type!(52, 18, [byte!(0), byte!(1), component!(32 x [plane(2, 16, 4)], Key::Half(0), 32)]),
    // IQ3_S
    block_type!(
        53,
        110,
        [
            byte!(0),
            byte!(1),
            component!(64 x [bytes(2)]),
            component!(8 x [bytes(66)]),
            component!(32 x [bytes(74)]),
            component!(8 x [plane(106, 1, 4)]),
        ]
    ),
    // IQ2_S
    block_type!(
        54,
        82,
        [
            byte!(0),
            byte!(1),
            component!(32 x [bytes(2)]),
            component!(32 x [bytes(34)]),
            component!(8 x [bytes(66)]),
            component!(16 x [plane(74, 1, 4)]),
        ]
    ),
    // IQ4_XS
    block_type!(
        55,
        136,
        [
            byte!(0),
            byte!(1),
            component!(8 x [plane(4, 1, 4), plane(2, 1, 2).up(4)]),
            component!(256 x [plane(8, 16, 4)], Key::Centred4, 32),
        ]
    ),
    // IQ1_M
    block_type!(
        61,
        56,
        [
            component!(32 x [bytes(0)]),
            component!(32 x [plane(32, 1, 4)]),
            component!(4 x [bytes(48).stride(2)]),
            component!(4 x [plane(49, 1, 4).stride(2).only(0)]),
            component!(4 x [plane(49, 1, 4).stride(2).only(4)]),
        ]
    ),
    // TQ1_0
    block_type!(66, 54, [byte!(52), byte!(53), component!(48 x [bytes(0)]), component!(4 x [bytes(48)]),]),
    // TQ2_0
    block_type!(67, 66, [byte!(64), byte!(65), component!(256 x [plane(0, 32, 2)])]),
    // MXFP4
    block_type!(71, 17, [byte!(0), component!(32 x [plane(1, 16, 4)], Key::Byte(0), 32)]),
    // NVFP4
    block_type!(72, 36, [component!(4 x [bytes(0)]), component!(64 x [plane(4, 8, 4)], Key::Byte(0), 16),]),
    // Q1_0
    block_type!(73, 18, [byte!(0), byte!(1), component!(16 x [bytes(2)])]),
];

/// The eight 6-bit scales of Q4_K and Q5_K.
const SCALES_K: Component = component!(
    [
        4 x [plane(4, 8, 6).only(0)],
        4 x [plane(12, 4, 4).only(0), plane(4, 4, 2).only(6).up(4)]
    ],
    Key::None,
    1
);

/// The eight 6-bit minima of Q4_K and Q5_K.
const MINIMA_K: Component = component!(
    [
        4 x [plane(8, 8, 6).only(0)],
        4 x [plane(12, 4, 4).only(4), plane(8, 4, 2).only(6).up(4)]
    ],
    Key::ScaleK,
    1
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bit_of_a_block_is_in_one_symbol() {
        for t in &TYPES {
            let mut bits = vec![0u8; usize::from(t.block_bytes)];
            for component in t.components {
                assert!(component.width() <= 8 && component.count() % component.group_len() == 0);
                for segment in component.segments {
                    let mut filled = 0u8;
                    for plane in segment.planes {
                        let mask = (u16::MAX >> (16 - plane.width)) as u8;
                        assert_eq!(filled & mask << plane.up, 0, "type {}", t.id);
                        filled |= mask << plane.up;
                        for j in 0..segment.count {
                            let (byte, shift) = plane.place(j);
                            let at = &mut bits[usize::from(byte)];
                            assert_eq!(*at & mask << shift, 0, "type {} byte {byte}", t.id);
                            assert!(shift + plane.width <= 8);
                            *at |= mask << shift;
                        }
                    }
                }
            }
            assert!(bits.iter().all(|&b| b == 0xFF), "type {}: {bits:x?}", t.id);
        }
    }

    #[test]
    fn keys_come_from_components_before() {
        for t in &TYPES {
            let mut known = vec![0u8; usize::from(t.block_bytes)];
            for component in t.components {
                // What is not decoded yet must not change a key.
                for group in 0..component.groups() {
                    let of = |noise: u8| {
                        let block: Vec<u8> = known.iter().map(|&k| (k & 0x5B) | (!k & noise)).collect();
                        component.key.of(&block, group)
                    };
                    assert_eq!(of(0), of(0xFF), "type {}", t.id);
                }
                for (segment, plane) in
                    component.segments.iter().flat_map(|s| s.planes.iter().map(move |p| (s, p)))
                {
                    for j in 0..segment.count {
                        let (byte, shift) = plane.place(j);
                        known[usize::from(byte)] |= ((u16::MAX >> (16 - plane.width)) as u8) << shift;
                    }
                }
            }
        }
    }
}
