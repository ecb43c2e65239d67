//! The predictor's sums over components, with AVX2 where the machine has it.
#![allow(unsafe_code)]

use crate::labelled::Level;

/// Columns whose sums are kept in registers while the components are gone through.
const BLOCK: usize = 32;

/// Sets each of `sums` to the sum over `terms` of the weight times the factor at its place, modulo 2^32. Each term has as many factors
/// as there are sums.
pub(super) fn add_up(level: Level, terms: &[(i32, &[i16])], sums: &mut [i32]) {
    #[cfg(target_arch = "x86_64")]
    if level >= Level::Avx2 {
        // SAFETY: the level says that the machine has these instructions.
        return unsafe { add_up_avx2(terms, sums) };
    }
    let _ = level;
    add_up_anywhere(terms, sums);
}

/// The same code, for the compiler to make AVX2 of.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn add_up_avx2(terms: &[(i32, &[i16])], sums: &mut [i32]) {
    add_up_anywhere(terms, sums);
}

#[inline(always)]
fn add_up_anywhere(terms: &[(i32, &[i16])], sums: &mut [i32]) {
    let (blocks, rest) = sums.as_chunks_mut::<BLOCK>();
    let done = blocks.len() * BLOCK;
    for (number, block) in blocks.iter_mut().enumerate() {
        *block = [0; BLOCK];
        for &(weight, factors) in terms {
            let Some(factors) = factors.as_chunks::<BLOCK>().0.get(number) else { continue };
            for (sum, &factor) in block.iter_mut().zip(factors) {
                *sum = sum.wrapping_add(weight.wrapping_mul(i32::from(factor)));
            }
        }
    }
    for (at, sum) in rest.iter_mut().enumerate() {
        let term = |&(weight, factors): &(i32, &[i16])| {
            weight.wrapping_mul(factors.get(done + at).copied().unwrap_or_default().into())
        };
        *sum = terms.iter().map(term).fold(0, i32::wrapping_add);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn sums_are_the_same_anywhere(
            columns in 0usize..100, weights in proptest::collection::vec(any::<i32>(), 0..6), seed in any::<i16>(),
        ) {
            let factors: Vec<Vec<i16>> = (0..weights.len())
                .map(|k| (0..columns).map(|j| seed.wrapping_mul((k * 977 + j * 31) as i16).wrapping_add(j as i16)).collect())
                .collect();
            let terms: Vec<(i32, &[i16])> = weights.iter().zip(&factors).map(|(&w, f)| (w, &f[..])).collect();
            let (mut scalar, mut best) = (vec![1; columns], vec![2; columns]);
            add_up(Level::Scalar, &terms, &mut scalar);
            add_up(Level::detect(), &terms, &mut best);
            prop_assert_eq!(&scalar, &best);
            for (j, &sum) in scalar.iter().enumerate() {
                let exact: i128 = weights.iter().zip(&factors).map(|(&w, f)| i128::from(w) * i128::from(f[j])).sum();
                prop_assert_eq!(sum, exact as i32);
            }
        }
    }
}
