//! Sums of magnitudes along rows and columns, compiled for what the machine has. Each sum has a fixed order: the result is the same
//! everywhere.
#![allow(unsafe_code)]

use mcodec_coding::labelled::FloatFormat;

use super::matrix::{SIGN, TOP};

/// Sums side by side in a row.
const LANES: usize = 16;
/// The exponent of a binary32 lies here in its bits, from where the top mantissa bits of a high part go below it.
const HIGH_SHIFT: u32 = 23 - TOP;
/// The middle of what a high part leaves open.
const HALF: u32 = 1 << (HIGH_SHIFT - 1);
/// High parts of the normal binary32 numbers.
const LEAST: i32 = 1 << TOP;
const MOST: i32 = (255 << TOP) - 1;
const BIAS: i32 = 127;

/// The magnitude that a high part (see [`super::matrix::Matrix::highs`]) stands for, in the middle of what it leaves open; 0 for what
/// is not finite.
#[derive(Debug, Clone, Copy)]
pub(super) struct Magnitudes {
    /// Takes the format's exponents to those of binary32.
    rebase: i32,
    /// The first high part that is not finite.
    end: i32,
    /// Numbers below the normal ones, by what their bits would be if they were normal: times this, less that.
    tiny: (f32, f32),
    /// All elements are normal numbers of a range that binary32 has.
    is_plain: bool,
    #[cfg(target_arch = "x86_64")]
    has_avx2: bool,
}

macro_rules! compiled_twice {
    ($($(#[$doc:meta])* $name:ident as $avx2:ident = $body:ident($self:ident, $($arg:ident: $t:ty),*) $(-> $r:ty)?;)*) => {
        impl Magnitudes {$(
            $(#[$doc])*
            pub(super) fn $name(&$self, $($arg: $t),*) $(-> $r)? {
                #[cfg(target_arch = "x86_64")]
                if $self.has_avx2 {
                    // SAFETY: `has_avx2` says so.
                    return unsafe { $self.$avx2($($arg),*) };
                }
                if $self.is_plain { $self.$body::<true>($($arg),*) } else { $self.$body::<false>($($arg),*) }
            }

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2")]
            fn $avx2(&$self, $($arg: $t),*) $(-> $r)? {
                if $self.is_plain { $self.$body::<true>($($arg),*) } else { $self.$body::<false>($($arg),*) }
            }
        )*}
    };
}

compiled_twice! {
    /// The sum of a row.
    sum as sum_avx2 = sum_of(self, highs: &[u16]) -> f32;
    /// The sum of a row, each element times its column's factor; there are at least as many of these.
    sum_scaled as sum_scaled_avx2 = sum_scaled_of(self, highs: &[u16], factors: &[f32]) -> f32;
    /// Adds a row's elements times `factor` to their columns' sums; there are at least as many of these.
    add_columns as add_columns_avx2 = add_columns_of(self, highs: &[u16], factor: f32, sums: &mut [f32]);
}

impl Magnitudes {
    /// Of a format whose high parts here, without their sign, are in `range`.
    pub(super) fn new(format: FloatFormat, range: (u16, u16)) -> Self {
        let bias = (1 << (format.exponent_bits() - 1)) - 1;
        let end = ((1 << format.exponent_bits()) - 1) << TOP;
        let (least, most) = (i32::from(range.0), i32::from(range.1));
        let tiny = if format == FloatFormat::F16 { (2.0, f32::powi(2.0, 1 - bias)) } else { (0.0, 0.0) };
        Self {
            rebase: (BIAS - bias) << TOP,
            end,
            tiny,
            is_plain: format != FloatFormat::F64 && least >= LEAST && most < end,
            #[cfg(target_arch = "x86_64")]
            has_avx2: std::arch::is_x86_feature_detected!("avx2"),
        }
    }

    #[inline(always)]
    fn of<const PLAIN: bool>(&self, high: u16) -> f32 {
        let high = i32::from(high & !SIGN);
        let moved = high + self.rebase;
        if PLAIN {
            return f32::from_bits((moved as u32) << HIGH_SHIFT | HALF);
        }
        let normal = f32::from_bits((moved.clamp(LEAST, MOST) as u32) << HIGH_SHIFT | HALF);
        let tiny =
            f32::from_bits((moved.clamp(0, MOST) as u32) << HIGH_SHIFT | HALF) * self.tiny.0 - self.tiny.1;
        let finite = if high < LEAST { tiny } else { normal };
        if high < self.end { finite } else { 0.0 }
    }

    #[inline(always)]
    fn sum_of<const PLAIN: bool>(&self, highs: &[u16]) -> f32 {
        let mut sums = [0.0; LANES];
        let (groups, rest) = highs.as_chunks::<LANES>();
        for group in groups {
            sums.iter_mut().zip(group).for_each(|(sum, &high)| *sum += self.of::<PLAIN>(high));
        }
        sums.iter_mut().zip(rest).for_each(|(sum, &high)| *sum += self.of::<PLAIN>(high));
        sums.iter().sum()
    }

    #[inline(always)]
    fn sum_scaled_of<const PLAIN: bool>(&self, highs: &[u16], factors: &[f32]) -> f32 {
        let mut sums = [0.0; LANES];
        let (groups, rest) = highs.as_chunks::<LANES>();
        let (factor_groups, rest_factors) = factors[..highs.len()].as_chunks::<LANES>();
        for (group, factors) in groups.iter().zip(factor_groups) {
            for ((sum, &high), factor) in sums.iter_mut().zip(group).zip(factors) {
                *sum += self.of::<PLAIN>(high) * factor;
            }
        }
        for ((sum, &high), factor) in sums.iter_mut().zip(rest).zip(rest_factors) {
            *sum += self.of::<PLAIN>(high) * factor;
        }
        sums.iter().sum()
    }

    #[inline(always)]
    fn add_columns_of<const PLAIN: bool>(&self, highs: &[u16], factor: f32, sums: &mut [f32]) {
        sums[..highs.len()]
            .iter_mut()
            .zip(highs)
            .for_each(|(sum, &high)| *sum += self.of::<PLAIN>(high) * factor);
    }
}
