//! Eight f32 side by side, compiled for what the machine has: AVX2 with fused multiply-adds, or whatever the compiler makes of arrays.
//! All else is safe code over [`Lanes`]; one machine always takes the same copy, so its results do not vary.
#![allow(unsafe_code)]

use super::exp::{COEFFICIENTS, LEAST_EXPONENT, ROUNDER};

/// Numbers in one [`Lanes::F`].
pub const LANES: usize = 8;

/// Arithmetic on eight f32 at once. The value itself is a proof that the machine has the instructions.
pub trait Lanes: Copy + Send + Sync {
    /// Eight numbers.
    type F: Copy;

    /// One number in all lanes.
    fn splat(self, x: f32) -> Self::F;
    /// Eight numbers of memory.
    fn load(self, from: &[f32; LANES]) -> Self::F;
    /// To memory.
    fn store(self, a: Self::F, to: &mut [f32; LANES]);
    /// a + b.
    fn add(self, a: Self::F, b: Self::F) -> Self::F;
    /// a - b.
    fn sub(self, a: Self::F, b: Self::F) -> Self::F;
    /// a * b.
    fn mul(self, a: Self::F, b: Self::F) -> Self::F;
    /// a / b.
    fn div(self, a: Self::F, b: Self::F) -> Self::F;
    /// The greater of each two.
    fn max(self, a: Self::F, b: Self::F) -> Self::F;
    /// The less of each two.
    fn min(self, a: Self::F, b: Self::F) -> Self::F;
    /// Number j of row i becomes number i of row j.
    fn transpose(self, rows: [Self::F; LANES]) -> [Self::F; LANES];
    /// a * b + c, fused where the machine can.
    fn mul_add(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F;
    /// c - a * b, fused where the machine can.
    fn neg_mul_add(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F;
    /// [`Self::mul_add`] of single numbers.
    fn mul_add_one(self, a: f32, b: f32, c: f32) -> f32;
    /// `value` where `test` > 0, else 0.
    fn where_positive(self, test: Self::F, value: Self::F) -> Self::F;
    /// `value` where `test` >= 0, else 0.
    fn where_not_negative(self, test: Self::F, value: Self::F) -> Self::F;
    /// The square root of each, for numbers from 0 up.
    fn sqrt(self, a: Self::F) -> Self::F;
    /// [`super::exp::exp2`] of each, for t <= 0.
    fn exp2(self, t: Self::F) -> Self::F;
    /// The sum of all, always in the order ((0+4)+(2+6)) + ((1+5)+(3+7)).
    fn sum(self, a: Self::F) -> f32;
    /// [`Self::sum`] of each of eight.
    fn sums(self, all: [Self::F; LANES]) -> Self::F;
}

/// Work over [`Lanes`], to be compiled for each kind of machine. `run` must be `#[inline(always)]`.
pub trait Kernel {
    /// What it gives.
    type Output;
    /// Does the work.
    fn run<L: Lanes>(self, lanes: L) -> Self::Output;
}

/// Runs the copy of a kernel that is best on this machine.
#[inline]
pub fn run<K: Kernel>(kernel: K) -> K::Output {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma") {
        // SAFETY: the machine has both features.
        return unsafe { avx2::run(kernel) };
    }
    kernel.run(Portable)
}

/// Lanes as an array, for the compiler to vectorise.
#[derive(Debug, Clone, Copy)]
pub struct Portable;

impl Portable {
    #[inline(always)]
    fn each(a: [f32; LANES], b: [f32; LANES], f: impl Fn(f32, f32) -> f32) -> [f32; LANES] {
        let mut out = [0.0; LANES];
        for i in 0..LANES {
            out[i] = f(a[i], b[i]);
        }
        out
    }
}

impl Lanes for Portable {
    type F = [f32; LANES];

    #[inline(always)]
    fn splat(self, x: f32) -> Self::F {
        [x; LANES]
    }
    #[inline(always)]
    fn load(self, from: &[f32; LANES]) -> Self::F {
        *from
    }
    #[inline(always)]
    fn store(self, a: Self::F, to: &mut [f32; LANES]) {
        *to = a;
    }
    #[inline(always)]
    fn add(self, a: Self::F, b: Self::F) -> Self::F {
        Self::each(a, b, |a, b| a + b)
    }
    #[inline(always)]
    fn sub(self, a: Self::F, b: Self::F) -> Self::F {
        Self::each(a, b, |a, b| a - b)
    }
    #[inline(always)]
    fn mul(self, a: Self::F, b: Self::F) -> Self::F {
        Self::each(a, b, |a, b| a * b)
    }
    #[inline(always)]
    fn div(self, a: Self::F, b: Self::F) -> Self::F {
        Self::each(a, b, |a, b| a / b)
    }
    #[inline(always)]
    fn max(self, a: Self::F, b: Self::F) -> Self::F {
        Self::each(a, b, |a, b| if a > b { a } else { b })
    }
    #[inline(always)]
    fn min(self, a: Self::F, b: Self::F) -> Self::F {
        Self::each(a, b, |a, b| if a < b { a } else { b })
    }
    #[inline(always)]
    fn transpose(self, rows: [Self::F; LANES]) -> [Self::F; LANES] {
        std::array::from_fn(|j| std::array::from_fn(|i| rows[i][j]))
    }
    #[inline(always)]
    fn mul_add(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        self.add(self.mul(a, b), c)
    }
    #[inline(always)]
    fn neg_mul_add(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        self.sub(c, self.mul(a, b))
    }
    #[inline(always)]
    fn mul_add_one(self, a: f32, b: f32, c: f32) -> f32 {
        a * b + c
    }
    #[inline(always)]
    fn where_positive(self, test: Self::F, value: Self::F) -> Self::F {
        Self::each(test, value, |test, value| if test > 0.0 { value } else { 0.0 })
    }
    #[inline(always)]
    fn where_not_negative(self, test: Self::F, value: Self::F) -> Self::F {
        Self::each(test, value, |test, value| if test >= 0.0 { value } else { 0.0 })
    }
    #[inline(always)]
    fn sqrt(self, a: Self::F) -> Self::F {
        a.map(f32::sqrt)
    }
    #[inline(always)]
    fn exp2(self, t: Self::F) -> Self::F {
        let t = self.max(t, self.splat(LEAST_EXPONENT));
        let rounded = self.add(t, self.splat(ROUNDER));
        let r = self.sub(t, self.sub(rounded, self.splat(ROUNDER)));
        let polynomial =
            COEFFICIENTS.iter().rev().fold(self.splat(0.0), |sum, &c| self.mul_add(sum, r, self.splat(c)));
        Self::each(polynomial, rounded, |p, n| f32::from_bits(p.to_bits().wrapping_add(n.to_bits() << 23)))
    }
    #[inline(always)]
    fn sum(self, a: Self::F) -> f32 {
        ((a[0] + a[4]) + (a[2] + a[6])) + ((a[1] + a[5]) + (a[3] + a[7]))
    }
    #[inline(always)]
    fn sums(self, all: [Self::F; LANES]) -> Self::F {
        all.map(|a| self.sum(a))
    }
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use std::arch::x86_64::{
        __m256, _CMP_GE_OQ, _CMP_GT_OQ, _mm_add_ps, _mm_add_ss, _mm_cvtss_f32, _mm_movehl_ps, _mm_shuffle_ps,
        _mm256_add_epi32, _mm256_add_ps, _mm256_and_ps, _mm256_castps_si256, _mm256_castps256_ps128,
        _mm256_castsi256_ps, _mm256_cmp_ps, _mm256_div_ps, _mm256_extractf128_ps, _mm256_fmadd_ps,
        _mm256_fnmadd_ps, _mm256_loadu_ps, _mm256_max_ps, _mm256_min_ps, _mm256_mul_ps,
        _mm256_permute2f128_ps, _mm256_set1_ps, _mm256_setzero_ps, _mm256_shuffle_ps, _mm256_slli_epi32,
        _mm256_sqrt_ps, _mm256_storeu_ps, _mm256_sub_ps, _mm256_unpackhi_ps, _mm256_unpacklo_ps,
    };

    use super::{COEFFICIENTS, Kernel, LANES, LEAST_EXPONENT, Lanes, ROUNDER};

    /// Only [`run`] makes one.
    #[derive(Debug, Clone, Copy)]
    pub(super) struct Avx2(());

    #[target_feature(enable = "avx2,fma")]
    pub(super) fn run<K: Kernel>(kernel: K) -> K::Output {
        kernel.run(Avx2(()))
    }

    macro_rules! pass_on {
        ($($name:ident($($arg:ident),*) = $intrinsic:ident;)*) => {$(
            #[inline(always)]
            fn $name(self, $($arg: __m256),*) -> __m256 {
                // SAFETY: an `Avx2` exists only where the machine has the features.
                unsafe { $intrinsic($($arg),*) }
            }
        )*};
    }

    impl Lanes for Avx2 {
        type F = __m256;

        pass_on! {
            add(a, b) = _mm256_add_ps;
            sub(a, b) = _mm256_sub_ps;
            mul(a, b) = _mm256_mul_ps;
            div(a, b) = _mm256_div_ps;
            max(a, b) = _mm256_max_ps;
            min(a, b) = _mm256_min_ps;
            mul_add(a, b, c) = _mm256_fmadd_ps;
            neg_mul_add(a, b, c) = _mm256_fnmadd_ps;
        }

        #[inline(always)]
        fn splat(self, x: f32) -> __m256 {
            // SAFETY: as above.
            unsafe { _mm256_set1_ps(x) }
        }
        #[inline(always)]
        fn load(self, from: &[f32; LANES]) -> __m256 {
            // SAFETY: as above, and the array holds what is read.
            unsafe { _mm256_loadu_ps(from.as_ptr()) }
        }
        #[inline(always)]
        fn store(self, a: __m256, to: &mut [f32; LANES]) {
            // SAFETY: as above, and the array holds what is written.
            unsafe { _mm256_storeu_ps(to.as_mut_ptr(), a) }
        }
        #[inline(always)]
        fn transpose(self, [a, b, c, d, e, f, g, h]: [__m256; LANES]) -> [__m256; LANES] {
            // SAFETY: as above.
            unsafe {
                // Pairs of rows in turn, then fours, then the halves of eights.
                let (ab, cd) = (_mm256_unpacklo_ps(a, b), _mm256_unpacklo_ps(c, d));
                let (ef, gh) = (_mm256_unpacklo_ps(e, f), _mm256_unpacklo_ps(g, h));
                let (ab2, cd2) = (_mm256_unpackhi_ps(a, b), _mm256_unpackhi_ps(c, d));
                let (ef2, gh2) = (_mm256_unpackhi_ps(e, f), _mm256_unpackhi_ps(g, h));
                let low = [
                    _mm256_shuffle_ps::<0x44>(ab, cd),
                    _mm256_shuffle_ps::<0xee>(ab, cd),
                    _mm256_shuffle_ps::<0x44>(ab2, cd2),
                    _mm256_shuffle_ps::<0xee>(ab2, cd2),
                ];
                let high = [
                    _mm256_shuffle_ps::<0x44>(ef, gh),
                    _mm256_shuffle_ps::<0xee>(ef, gh),
                    _mm256_shuffle_ps::<0x44>(ef2, gh2),
                    _mm256_shuffle_ps::<0xee>(ef2, gh2),
                ];
                [
                    _mm256_permute2f128_ps::<0x20>(low[0], high[0]),
                    _mm256_permute2f128_ps::<0x20>(low[1], high[1]),
                    _mm256_permute2f128_ps::<0x20>(low[2], high[2]),
                    _mm256_permute2f128_ps::<0x20>(low[3], high[3]),
                    _mm256_permute2f128_ps::<0x31>(low[0], high[0]),
                    _mm256_permute2f128_ps::<0x31>(low[1], high[1]),
                    _mm256_permute2f128_ps::<0x31>(low[2], high[2]),
                    _mm256_permute2f128_ps::<0x31>(low[3], high[3]),
                ]
            }
        }
        #[inline(always)]
        fn mul_add_one(self, a: f32, b: f32, c: f32) -> f32 {
            a.mul_add(b, c)
        }
        #[inline(always)]
        fn where_positive(self, test: __m256, value: __m256) -> __m256 {
            // SAFETY: as above.
            unsafe { _mm256_and_ps(_mm256_cmp_ps::<_CMP_GT_OQ>(test, _mm256_setzero_ps()), value) }
        }
        #[inline(always)]
        fn where_not_negative(self, test: __m256, value: __m256) -> __m256 {
            // SAFETY: as above.
            unsafe { _mm256_and_ps(_mm256_cmp_ps::<_CMP_GE_OQ>(test, _mm256_setzero_ps()), value) }
        }
        #[inline(always)]
        fn sqrt(self, a: __m256) -> __m256 {
            // SAFETY: as above.
            unsafe { _mm256_sqrt_ps(a) }
        }
        #[inline(always)]
        fn exp2(self, t: __m256) -> __m256 {
            let t = self.max(t, self.splat(LEAST_EXPONENT));
            let rounded = self.add(t, self.splat(ROUNDER));
            let r = self.sub(t, self.sub(rounded, self.splat(ROUNDER)));
            let mut p = self.splat(COEFFICIENTS[4]);
            p = self.mul_add(p, r, self.splat(COEFFICIENTS[3]));
            p = self.mul_add(p, r, self.splat(COEFFICIENTS[2]));
            p = self.mul_add(p, r, self.splat(COEFFICIENTS[1]));
            p = self.mul_add(p, r, self.splat(COEFFICIENTS[0]));
            // SAFETY: as above.
            unsafe {
                let shifted = _mm256_slli_epi32::<23>(_mm256_castps_si256(rounded));
                _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(p), shifted))
            }
        }
        #[inline(always)]
        fn sum(self, a: __m256) -> f32 {
            // SAFETY: as above.
            unsafe {
                let four = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps::<1>(a));
                let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
                _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps::<1>(two, two)))
            }
        }
        #[inline(always)]
        fn sums(self, [a, b, c, d, e, f, g, h]: [__m256; LANES]) -> __m256 {
            // Halves of two are added at once, then quarters of four, then eighths of eight.
            // SAFETY: as above.
            unsafe {
                let two = |a, b| {
                    let (low, high) =
                        (_mm256_permute2f128_ps::<0x20>(a, b), _mm256_permute2f128_ps::<0x31>(a, b));
                    _mm256_add_ps(low, high)
                };
                let four =
                    |a, b| _mm256_add_ps(_mm256_shuffle_ps::<0x44>(a, b), _mm256_shuffle_ps::<0xee>(a, b));
                let (front, back) = (four(two(a, e), two(b, f)), four(two(c, g), two(d, h)));
                _mm256_add_ps(_mm256_shuffle_ps::<0x88>(front, back), _mm256_shuffle_ps::<0xdd>(front, back))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Check;

    impl Kernel for Check {
        type Output = ();
        #[inline(always)]
        fn run<L: Lanes>(self, l: L) {
            let a = [-0.1, -1.5, -2.5, -6.4, 0.0, -30.0, -100.0, -0.5];
            let mut out = [0.0; LANES];
            l.store(l.exp2(l.load(&a)), &mut out);
            for (t, e) in a.into_iter().zip(out) {
                let exact = super::super::exp::exp2(t);
                assert!((e - exact).abs() <= exact * 1e-6, "{t} {e} {exact}");
            }
            assert_eq!(l.sum(l.load(&[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0])), 255.0);
            l.store(l.where_positive(l.load(&a), l.splat(1.0)), &mut out);
            assert_eq!(out, [0.0; LANES]);
            l.store(l.min(l.load(&a), l.splat(-1.0)), &mut out);
            assert_eq!(out, a.map(|a: f32| a.min(-1.0)));
            l.store(l.where_not_negative(l.load(&a), l.splat(1.0)), &mut out);
            assert_eq!(out, a.map(|a: f32| f32::from(u8::from(a >= 0.0))));
            l.store(l.sqrt(l.splat(9.0)), &mut out);
            assert_eq!(out, [3.0; LANES]);
            let rows: [[f32; LANES]; LANES] =
                std::array::from_fn(|i| std::array::from_fn(|j| (10 * i + j) as f32));
            let uneven = rows.map(|row| row.map(|value| 1.0 / (1.0 + value)));
            l.store(l.sums(uneven.map(|row| l.load(&row))), &mut out);
            assert_eq!(out, uneven.map(|row| l.sum(l.load(&row))));
            for (j, row) in l.transpose(rows.map(|row| l.load(&row))).into_iter().enumerate() {
                l.store(row, &mut out);
                assert_eq!(out, std::array::from_fn(|i| (10 * i + j) as f32));
            }
            l.store(l.neg_mul_add(l.splat(2.0), l.splat(3.0), l.splat(10.0)), &mut out);
            assert_eq!(out, [4.0; LANES]);
        }
    }

    #[test]
    fn both_copies_compute_the_same() {
        run(Check);
        Check.run(Portable);
    }
}
