//! What a quantiser is told of the factors of products, so that it makes codes of them as it does of whole matrices.
//!
//! With y = U V x, errors of V count as those of a matrix that reads x, each of its rows by how much it moves what counts of y; errors of U
//! as those of a matrix that reads V x and gives y, whose Gram matrix is V G V^T.

use super::bench::{Gram, Matrix, Workbench};
use crate::Result;
use rayon::prelude::*;
use std::ops::Range;

/// What is known of a layer whose matrix becomes products.
pub(super) struct Layer {
    /// Name of what it reads.
    input: String,
    gram: Gram,
    /// How much its outputs matter.
    fisher: Option<Vec<f32>>,
}

impl Layer {
    /// That of a matrix, if there are statistics of it.
    pub(super) fn of(bench: &Workbench<'_>, matrix: &Matrix) -> Result<Option<Self>> {
        let Some(statistics) = bench.statistics else { return Ok(None) };
        let input = statistics.input_of(&matrix.name).to_owned();
        let gram = match statistics.gram(&input, matrix.columns)? {
            Some(gram) => Some(Gram::Whole(gram)),
            None => statistics.diagonal(&input, matrix.columns)?.map(Gram::Diagonal),
        };
        let Some(gram) = gram else { return Ok(None) };
        Ok(Some(Self { input, gram, fisher: statistics.fisher(&matrix.name, matrix.rows)? }))
    }

    /// Tells of both factors of some rows of the matrix: `left` is turned, `terms` rows of a number for each of the matrix's rows, and
    /// `right` has as many rows of `n` numbers. Both are cut into arrays of `step` rows.
    pub(super) fn tell(
        &self,
        bench: &mut Workbench<'_>,
        name: &str,
        (left, right): (&[f32], &[f32]),
        (rows, n): (Range<usize>, usize),
        step: usize,
    ) -> Result<()> {
        let terms = right.len() / n.max(1);
        let fisher = self.fisher.as_ref().map(|all| all[rows.clone()].to_vec());
        let through = fisher.as_ref().map(|fisher| {
            let term = |u: &[f32]| u.iter().zip(fisher).map(|(u, f)| u * u * f).sum::<f32>();
            left.chunks(rows.len()).map(term).collect::<Vec<f32>>()
        });
        for (array, of) in arrays(&format!("{name}.right"), terms, step) {
            let fisher = through.as_ref().map(|all| all[of].to_vec());
            bench.know_as(&array, &self.input, fisher);
        }
        tell_left(bench, name, (&product(right, &self.gram, n), terms), fisher, step)
    }

    /// Tells of the left factor of the columns `columns` of the matrix, the right one being these rows of a number for each of the columns.
    pub(super) fn tell_reader(
        &self,
        bench: &mut Workbench<'_>,
        name: &str,
        right: &[f32],
        columns: Range<usize>,
        step: usize,
    ) -> Result<()> {
        let (n, terms) = (columns.len(), right.len() / columns.len().max(1));
        let own = cut(&self.gram, columns);
        tell_left(bench, name, (&product(right, &own, n), terms), self.fisher.clone(), step)
    }
}

fn tell_left(
    bench: &mut Workbench<'_>,
    name: &str,
    (gram, terms): (&Gram, usize),
    fisher: Option<Vec<f32>>,
    step: usize,
) -> Result<()> {
    for (array, of) in arrays(&format!("{name}.left"), terms, step) {
        bench.know_turned(&array, cut(gram, of), fisher.clone())?;
    }
    Ok(())
}

/// The arrays that a factor of so many terms is stored as, and the terms of each.
pub(super) fn arrays(name: &str, terms: usize, step: usize) -> Vec<(String, Range<usize>)> {
    if step >= terms {
        return vec![(name.to_owned(), 0..terms)];
    }
    let starts = (0..terms).step_by(step);
    starts.enumerate().map(|(at, start)| (format!("{name}.{at}"), start..(start + step).min(terms))).collect()
}

/// Of the inputs of these places alone.
fn cut(gram: &Gram, of: Range<usize>) -> Gram {
    match gram {
        Gram::Diagonal(all) => Gram::Diagonal(all[of].to_vec()),
        Gram::Whole(all) => {
            let n = all.len().isqrt();
            let rows = all[of.start * n..of.end * n].chunks(n.max(1));
            Gram::Whole(rows.flat_map(|row| row[of.clone()].iter().copied()).collect())
        }
    }
}

/// The Gram matrix of what `rows` of `n` numbers make of inputs that have `gram`.
fn product(rows: &[f32], gram: &Gram, n: usize) -> Gram {
    let gram = match gram {
        Gram::Diagonal(all) => {
            let of = |row: &[f32]| row.iter().zip(all).map(|(v, g)| v * v * g).sum::<f32>();
            return Gram::Diagonal(rows.chunks(n).map(of).collect());
        }
        Gram::Whole(all) => all,
    };
    let of = |row: &[f32]| {
        let mut through = vec![0f32; n];
        for (v, gram) in row.iter().zip(gram.chunks(n)) {
            through.iter_mut().zip(gram).for_each(|(sum, g)| *sum += v * g);
        }
        let with = |other: &[f32]| {
            other.iter().zip(&through).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>() as f32
        };
        rows.chunks(n).map(with).collect::<Vec<f32>>()
    };
    Gram::Whole(rows.par_chunks(n).flat_map_iter(of).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grams_of_products() {
        let gram = Gram::Whole(vec![2.0, 1.0, 0.0, 1.0, 3.0, 0.0, 0.0, 0.0, 4.0]);
        let Gram::Whole(found) = product(&[1.0, -1.0, 0.0, 0.0, 1.0, 2.0], &gram, 3) else { unreachable!() };
        assert_eq!(found, [3.0, -2.0, -2.0, 19.0]);
        let Gram::Whole(part) = cut(&gram, 1..3) else { unreachable!() };
        assert_eq!(part, [3.0, 0.0, 0.0, 4.0]);
        let diagonal = Gram::Diagonal(vec![2.0, 3.0, 4.0]);
        let Gram::Diagonal(found) = product(&[1.0, -1.0, 0.0, 0.0, 1.0, 2.0], &diagonal, 3) else {
            unreachable!()
        };
        assert_eq!(found, [5.0, 19.0]);
        let cut = arrays("f", 5, 2);
        assert_eq!(cut, [("f.0".into(), 0..2), ("f.1".into(), 2..4), ("f.2".into(), 4..5)]);
    }
}
