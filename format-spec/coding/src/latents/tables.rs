//! Tables of the dense latents coder, made by integer arithmetic alone (`SPEC.md` section 7.9.1).

use std::sync::LazyLock;

/// Cells of the logistic table for one unit of its argument.
const LOGISTIC_CELLS: usize = 128;
/// The logistic table reaches this far to either side of 0.
const LOGISTIC_REACH: usize = 16;
/// `exp(-1/128) * 2^63`, rounded.
const STEP_OF_LOGISTIC: u64 = 9_151_595_186_215_228_390;
/// Fraction bits of the argument of [`Tables::logistic`].
pub(super) const LOGISTIC_BITS: u32 = 15;

/// Fraction bits of logarithms.
pub(super) const LOG_BITS: u32 = 8;
/// Mantissa bits that a logarithm looks at.
const LOG_MANTISSA: u32 = 10;
/// The largest magnitude of a stretched probability, in units of 2^-8.
pub(super) const STRETCH_LIMIT: i32 = 12 * 256 - 1;
/// Entries of the table of powers.
const POWERS: usize = 16 * 64;

pub(super) struct Tables {
    /// `2^31 / (1 + exp(-x))` at `x = i/128 - 16`.
    logistic: [u32; 2 * LOGISTIC_CELLS * LOGISTIC_REACH + 2],
    /// `log2(1 + i / 1024)` in units of 2^-8.
    log2: [u16; 1 << LOG_MANTISSA],
    /// Probability of a one, in 65536ths, for a stretched one of `i - 3071` in units of 2^-8.
    squash: [u16; 2 * STRETCH_LIMIT as usize + 1],
    /// `2^(-i/64)` in units of 2^-16.
    powers: [u32; POWERS],
    /// Of every probability in 65536ths, its stretched form.
    stretched: Vec<i16>,
}

static TABLES: LazyLock<Box<Tables>> = LazyLock::new(|| Box::new(Tables::new()));

impl Tables {
    pub(super) fn get() -> &'static Self {
        &TABLES
    }

    fn new() -> Self {
        let mut logistic = [0; 2 * LOGISTIC_CELLS * LOGISTIC_REACH + 2];
        let middle = LOGISTIC_CELLS * LOGISTIC_REACH;
        let mut power = 1u128 << 63;
        for i in 0..=middle {
            let upper = ((1u128 << 94) / ((1u128 << 63) + power)) as u32;
            logistic[middle + i] = upper;
            logistic[middle - i] = (1 << 31) - upper;
            power = (power * u128::from(STEP_OF_LOGISTIC)) >> 63;
        }
        logistic[2 * middle + 1] = logistic[2 * middle];
        let log2 = core::array::from_fn(|i| log2_of_mantissa(i as u64));
        let powers = core::array::from_fn(|i| (power_of_two(i as u32 * 4) >> 15) as u32);
        let squash = core::array::from_fn(|i| {
            // A one's odds are 2^x.
            let x = i as i32 - STRETCH_LIMIT;
            let small = power_of_two(x.unsigned_abs());
            let rare = ((u128::from(small) << 16) / (u128::from(small) + (1 << 31))) as u32;
            (if x < 0 { rare } else { 65536 - rare }).clamp(1, 65535) as u16
        });
        let mut tables = Self { logistic, log2, squash, powers, stretched: Vec::new() };
        tables.stretched = (0..=u16::MAX).map(|one| tables.stretch(one) as i16).collect();
        tables
    }

    /// The logistic function, in units of 2^-31, of an argument in units of 2^-15.
    #[inline(always)]
    pub(super) fn logistic(&self, x: i64) -> u32 {
        const REACH: i64 = (LOGISTIC_REACH as i64) << LOGISTIC_BITS;
        let x = (x.clamp(-REACH, REACH) + REACH) as usize;
        let (cell, within) = (x >> 8, (x & 255) as u64);
        let (low, high) = (self.logistic[cell], self.logistic[cell + 1]);
        low + ((u64::from(high - low) * within) >> 8) as u32
    }

    /// `log2(x)` in units of 2^-8; `x` is at least 1.
    #[inline(always)]
    pub(super) fn log2(&self, x: u32) -> i32 {
        let zeros = x.leading_zeros();
        let mantissa = (x << zeros << 1) >> (32 - LOG_MANTISSA);
        (31 - zeros as i32) * 256 + i32::from(self.log2[mantissa as usize])
    }

    /// The stretched form of a probability in 65536ths (0 counts as 1), in units of 2^-8.
    #[inline(always)]
    pub(super) fn stretch(&self, one: u16) -> i32 {
        let one = u32::from(one).max(1);
        self.log2(one) - self.log2(65_536 - one)
    }

    /// [`Tables::stretch`] of every probability.
    #[inline(always)]
    pub(super) fn stretched(&self) -> &[i16] {
        &self.stretched
    }

    /// The probability of a one, in 65536ths, from its stretched form in units of 2^-8.
    #[inline(always)]
    pub(super) fn squash(&self, x: i32) -> u32 {
        self.squash[(x.clamp(-STRETCH_LIMIT, STRETCH_LIMIT) + STRETCH_LIMIT) as usize].into()
    }

    /// `2^(-x/64)` in units of 2^-16, 0 from `x = 1024` on.
    #[inline(always)]
    pub(super) fn power(&self, x: u32) -> u32 {
        self.powers.get(x as usize).copied().unwrap_or(0)
    }
}

/// `log2(1 + i/1024) * 256`, rounded down, by repeated squaring.
fn log2_of_mantissa(i: u64) -> u16 {
    let mut x = ((1 << LOG_MANTISSA) + i) << (31 - LOG_MANTISSA);
    let mut log = 0;
    for _ in 0..LOG_BITS {
        x = (x * x) >> 31;
        log <<= 1;
        if x >= 1 << 32 {
            x >>= 1;
            log |= 1;
        }
    }
    log
}

/// `2^(-x/256)` in units of 2^-31, rounded down at every step.
fn power_of_two(x: u32) -> u64 {
    /// `2^(-2^-k)` for k = 8, 7, ... 1, in units of 2^-31, rounded.
    const ROOTS: [u64; 8] = [
        2_141_676_973,
        2_135_885_998,
        2_124_350_982,
        2_101_467_502,
        2_056_437_387,
        1_969_251_188,
        1_805_811_301,
        1_518_500_250,
    ];
    let mut power = 1u64 << 31;
    for (bit, root) in ROOTS.iter().enumerate() {
        if x >> bit & 1 == 1 {
            power = (power * root) >> 31;
        }
    }
    power >> (x >> 8).min(63)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_what_they_stand_for() {
        let tables = Tables::get();
        for i in -2000..2000i64 {
            let x = i as f64 / 120.0;
            let want = 2f64.powi(31) / (1.0 + (-x.clamp(-16.0, 16.0)).exp());
            let got = f64::from(tables.logistic((x * 32768.0) as i64));
            assert!((want - got).abs() < 2e4, "{x} {want} {got}");
        }
        for x in [1u32, 2, 3, 1000, 1 << 20, u32::MAX] {
            assert!((f64::from(tables.log2(x)) / 256.0 - f64::from(x).log2()).abs() < 0.006, "{x}");
        }
        for x in -3000..3000 {
            let want = 65536.0 / (1.0 + 2f64.powf(-f64::from(x) / 256.0));
            assert!((want - f64::from(tables.squash(x))).abs() < 1.2, "{x}");
        }
        for x in 0..1100u32 {
            let want = 65536.0 * 2f64.powf(-f64::from(x) / 64.0);
            assert!((want - f64::from(tables.power(x))).abs() < 1.2, "{x}");
        }
    }
}
