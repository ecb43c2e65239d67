//! The labelled decoder on registers of 128 bits: NEON on AArch64, simd128 in WebAssembly. Same results as `symbols.rs` and
//! `merge.rs`, which end what is left over here.
//!
//! Both targets are told apart when compiling, and the decoder is written once: `neon.rs` and `simd128.rs` are the same instructions.
//! Neither can gather, so slots are read one by one, as the portable code does; all else is four, eight or sixteen lanes at a time.

mod merge;
#[cfg(target_arch = "aarch64")]
mod neon;
mod signs;
#[cfg(target_arch = "wasm32")]
mod simd128;
mod symbols;

#[cfg(target_arch = "aarch64")]
use neon as instructions;
#[cfg(target_arch = "wasm32")]
use simd128 as instructions;

/// For each set of words, which bytes of the next ones each word of the set takes; the others take zeros.
static EXPAND_WORDS: [[u8; 16]; 256] = {
    let mut all = [[0x80; 16]; 256];
    let mut set = 0;
    while set < 256 {
        let (mut lane, mut next) = (0, 0);
        while lane < 8 {
            if set >> lane & 1 == 1 {
                (all[set][2 * lane], all[set][2 * lane + 1]) = (next, next + 1);
                next += 2;
            }
            lane += 1;
        }
        set += 1;
    }
    all
};

/// For each set of double words, which bytes of the next words each double word of the set takes as its low half; the others take zeros.
static EXPAND_HALVES: [[u8; 16]; 16] = {
    let mut all = [[0x80; 16]; 16];
    let mut set = 0;
    while set < 16 {
        let (mut lane, mut next) = (0, 0);
        while lane < 4 {
            if set >> lane & 1 == 1 {
                (all[set][4 * lane], all[set][4 * lane + 1]) = (next, next + 1);
                next += 2;
            }
            lane += 1;
        }
        set += 1;
    }
    all
};
