//! Which vector instructions the machine has, and the tables in the form that they look up.

use std::sync::atomic::{AtomicU8, Ordering};

use super::classes::{BUCKETS, Classes, SYMBOLS};

/// Set by [`Level::cap`].
static CAP: AtomicU8 = AtomicU8::new(u8::MAX);

/// What a decoder may use; each level has all that the ones before it have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Portable code alone.
    Scalar,
    /// Registers of 128 bits: NEON on AArch64, simd128 in WebAssembly. What a program is compiled for decides.
    Vector128,
    /// AVX2 with BMI2.
    Avx2,
    /// AVX-512 with byte permutations (F, BW, VL, VBMI).
    Avx512,
}

impl Level {
    /// The best that this machine has and [`Level::cap`] allows.
    #[must_use]
    pub fn detect() -> Self {
        let cap = match CAP.load(Ordering::Relaxed) {
            0 => Self::Scalar,
            1 => Self::Vector128,
            2 => Self::Avx2,
            _ => Self::Avx512,
        };
        Self::of_machine().min(cap)
    }

    /// Lets this process use no more than `self` from now on: for tests and measurements.
    pub fn cap(self) {
        CAP.store(self as u8, Ordering::Relaxed);
    }

    /// This level, or the best below it that the machine has and [`Level::cap`] allows.
    #[must_use]
    pub fn available(self) -> Self {
        match self.min(Self::detect()) {
            Self::Vector128 if cfg!(target_arch = "x86_64") => Self::Scalar,
            level => level,
        }
    }

    fn of_machine() -> Self {
        if cfg!(any(
            all(target_arch = "aarch64", target_feature = "neon", target_endian = "little"),
            all(target_arch = "wasm32", target_feature = "simd128")
        )) {
            return Self::Vector128;
        }
        #[cfg(target_arch = "x86_64")]
        {
            use std::arch::is_x86_feature_detected as has;
            // Emulated, with AVX2.
            if cfg!(test) && has!("avx2") && has!("bmi2") {
                return Self::Avx512;
            }
            if has!("avx512f") && has!("avx512bw") && has!("avx512vl") && has!("avx512vbmi") && has!("bmi2") {
                return Self::Avx512;
            }
            if has!("avx2") && has!("bmi2") {
                return Self::Avx2;
            }
        }
        Self::Scalar
    }
}

/// Tables as bytes, 64 for each table and attribute, looked up by bucket or by symbol.
#[derive(Debug, Clone)]
pub(super) struct ByteTables {
    /// By bucket: how many of its slots are its own symbol's; 0 where all belong to the alias.
    pub(super) own: Vec<[u8; SYMBOLS]>,
    /// By bucket: the symbol of its other slots.
    pub(super) alias: Vec<[u8; SYMBOLS]>,
    /// By bucket: added to a slot's place in it, its rank among those of the alias. Low and high byte.
    pub(super) rank: [Vec<[u8; SYMBOLS]>; 2],
    /// By symbol: its frequency. Low and high byte.
    pub(super) freq: [Vec<[u8; SYMBOLS]>; 2],
}

impl ByteTables {
    pub(super) fn new(classes: &Classes) -> Self {
        let mut tables =
            Self { own: Vec::new(), alias: Vec::new(), rank: Default::default(), freq: Default::default() };
        let bucket_slots = 1u32 << (classes.precision() - SYMBOLS.ilog2());
        for (layout, freqs) in classes.layouts() {
            let (mut own, mut alias) = ([0; SYMBOLS], [0; SYMBOLS]);
            let mut rank = [0u16; SYMBOLS];
            for (bucket, (of_own, symbol, first)) in layout.buckets().enumerate().take(SYMBOLS) {
                // A bucket of one symbol: all its slots are the alias's, which is itself.
                let is_whole = of_own == bucket_slots;
                own[bucket] = if is_whole { 0 } else { of_own as u8 };
                alias[bucket] = if is_whole { bucket } else { symbol } as u8;
                rank[bucket] = if is_whole { 0 } else { first.wrapping_sub(of_own) as u16 };
            }
            tables.own.push(own);
            tables.alias.push(alias);
            for (byte, (ranks, freq)) in tables.rank.iter_mut().zip(&mut tables.freq).enumerate() {
                ranks.push(rank.map(|v| (v >> (8 * byte)) as u8));
                freq.push(freqs.map(|v| (v >> (8 * byte)) as u8));
            }
        }
        // Lookups are made in 1, 2, 4, 8 or 16 tables.
        let count = tables.own.len().next_power_of_two();
        let [rank_low, rank_high] = &mut tables.rank;
        let [freq_low, freq_high] = &mut tables.freq;
        for list in [&mut tables.own, &mut tables.alias, rank_low, rank_high, freq_low, freq_high] {
            list.resize(count, [0; SYMBOLS]);
        }
        tables
    }
}

/// The buckets of all tables, in order, packed.
pub(super) fn buckets(classes: &Classes) -> Box<[u64; BUCKETS]> {
    let mut packed = Box::new([0; BUCKETS]);
    for (packed, table) in packed.as_chunks_mut::<SYMBOLS>().0.iter_mut().zip(classes.bucket_tables()) {
        *packed = table.map(|bucket| bucket.packed());
    }
    packed
}
