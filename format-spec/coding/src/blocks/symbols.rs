//! Symbols of a component: out of the bytes of blocks, and back into them.

use super::types::{BlockType, Component};

/// Parts of symbols in a row that lie in bytes in a row, at the same bits.
#[derive(Debug, Clone, Copy)]
struct Run {
    symbol: usize,
    byte: usize,
    len: usize,
    shift: u8,
    mask: u8,
    up: u8,
}

/// The places of all symbols of a component.
#[derive(Debug)]
pub(super) struct Places {
    runs: Vec<Run>,
    count: usize,
}

impl Places {
    pub(super) fn of(component: &Component) -> Self {
        let mut runs: Vec<Run> = Vec::new();
        let mut start = 0;
        for segment in component.segments {
            for plane in segment.planes {
                let (mask, up) = ((u16::MAX >> (16 - plane.width)) as u8, plane.up);
                let first = runs.len();
                for j in 0..segment.count {
                    let (byte, shift) = plane.place(j);
                    let (symbol, byte) = (usize::from(start + j), usize::from(byte));
                    let joins = |run: &&mut Run| {
                        run.symbol + run.len == symbol && run.byte + run.len == byte && run.shift == shift
                    };
                    match runs.get_mut(first..).and_then(<[Run]>::last_mut).filter(joins) {
                        Some(run) => run.len += 1,
                        None => runs.push(Run { symbol, byte, len: 1, shift, mask, up }),
                    }
                }
            }
            start += segment.count;
        }
        Self { runs, count: component.count() }
    }

    /// Reads the symbols of a block into `out`, which has room for them.
    fn gather(&self, block: &[u8], out: &mut [u8]) {
        out.fill(0);
        for run in &self.runs {
            let bytes = block.get(run.byte..run.byte + run.len).unwrap_or_default();
            let symbols = out.get_mut(run.symbol..run.symbol + run.len).unwrap_or_default();
            for (symbol, byte) in symbols.iter_mut().zip(bytes) {
                *symbol |= (byte >> run.shift & run.mask) << run.up;
            }
        }
    }

    /// Puts the symbols of a block where they belong; their bits there are zero.
    pub(super) fn scatter(&self, symbols: &[u16], block: &mut [u8]) {
        for run in &self.runs {
            let bytes = block.get_mut(run.byte..run.byte + run.len).unwrap_or_default();
            let symbols = symbols.get(run.symbol..run.symbol + run.len).unwrap_or_default();
            for (byte, symbol) in bytes.iter_mut().zip(symbols) {
                *byte |= (*symbol as u8 >> run.up & run.mask) << run.shift;
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
