//! Products of factors, to the bit: each sum is made term by term in the order of ranks, every operation rounded to binary32.

use mcodec_coding::codes::Element;
use rayon::prelude::*;

/// The part of both factors that a block of a product needs.
#[derive(Debug, Clone, Copy)]
pub struct Factors<'f> {
    /// `rows x rank` numbers.
    pub left: &'f [f32],
    /// `rank x columns` numbers.
    pub right: &'f [f32],
    /// Terms of each sum.
    pub rank: usize,
    /// Columns of the product.
    pub columns: usize,
}

/// Adds the product to `values` (`rows x columns`), rows in parallel if `parallel`. A sum that is NaN is that of bits 7FC00000.
pub fn multiply(factors: &Factors<'_>, values: &mut [f32], parallel: bool) {
    if factors.columns == 0 {
        return;
    }
    let one = |(row, out): (usize, &mut [f32])| {
        let first = row.saturating_mul(factors.rank);
        let left = factors.left.get(first..first.saturating_add(factors.rank)).unwrap_or_default();
        for (a, right) in left.iter().zip(factors.right.chunks_exact(factors.columns)) {
            for (sum, b) in out.iter_mut().zip(right) {
                let product = a * b;
                *sum += product;
            }
        }
        for sum in out.iter_mut().filter(|sum| sum.is_nan()) {
            *sum = f32::from_bits(0x7FC0_0000);
        }
    };
    if parallel {
        values.par_chunks_mut(factors.columns).enumerate().for_each(one);
    } else {
        values.chunks_mut(factors.columns).enumerate().for_each(one);
    }
}

/// The type of float of this name, which a check of descriptors has seen.
pub(super) fn element(name: &str) -> Element {
    Element::by_name(name).unwrap_or(Element::F32)
}
