//! Symbols of a component: out of the bytes of blocks, and back into them.

use super::types::{BlockType, Component};

/// Where a part of a symbol lies in its block.
#[derive(Debug, Clone, Copy)]
struct Bits {
    symbol: u16,
    byte: u16,
    shift: u8,
    mask: u8,
    up: u8,
}

/// The places of all symbols of a component.
#[derive(Debug)]
pub(super) struct Places {
    bits: Vec<Bits>,
    count: usize,
}

impl Places {
    pub(super) fn of(component: &Component) -> Self {
        let mut bits = Vec::new();
        let mut start = 0;
        for segment in component.segments {
            for plane in segment.planes {
                let mask = (u16::MAX >> (16 - plane.width)) as u8;
                for j in 0..segment.count {
                    let (byte, shift) = plane.place(j);
                    bits.push(Bits { symbol: start + j, byte, shift, mask, up: plane.up });
                }
            }
            start += segment.count;
        }
        Self { bits, count: component.count() }
    }

    /// Reads the symbols of a block into `out`, which has room for them.
    fn gather(&self, block: &[u8], out: &mut [u8]) {
        out.fill(0);
        for b in &self.bits {
            if let (Some(byte), Some(symbol)) =
                (block.get(usize::from(b.byte)), out.get_mut(usize::from(b.symbol)))
            {
                *symbol |= (byte >> b.shift & b.mask) << b.up;
            }
        }
    }

    /// Puts the symbols of a block where they belong; their bits there are zero.
    pub(super) fn scatter(&self, symbols: &[u16], block: &mut [u8]) {
        for b in &self.bits {
            if let (Some(byte), Some(symbol)) =
                (block.get_mut(usize::from(b.byte)), symbols.get(usize::from(b.symbol)))
            {
                *byte |= (*symbol as u8 >> b.up & b.mask) << b.shift;
            }
        }
    }
}

/// The symbols of a component in all blocks of `bytes`, block by block.
pub(super) fn symbols(bytes: &[u8], kind: &BlockType, component: &Component) -> Vec<u8> {
    let places = Places::of(component);
    let blocks = bytes.chunks_exact(usize::from(kind.block_bytes));
    let mut out = vec![0; blocks.len() * places.count];
    for (block, out) in blocks.zip(out.chunks_exact_mut(places.count)) {
        places.gather(block, out);
    }
    out
}

/// The keys of a component's groups in all blocks of `bytes`, block by block.
pub(super) fn keys(bytes: &[u8], kind: &BlockType, component: &Component) -> Vec<u16> {
    let groups = component.groups();
    let blocks = bytes.chunks_exact(usize::from(kind.block_bytes));
    blocks.flat_map(|block| (0..groups).map(move |group| component.key.of(block, group))).collect()
}
