//! Nested order: an axis stored level by level, so that each level only adds ranges to the one before.

use super::model::{ArrayId, ModelBuilder, Role};
use crate::{EncodeError, Result};
use mcodec_format::{CutAxis, MatrixAxis, Member, NestOrder, built};

/// What of an axis each level keeps.
#[derive(Debug, Clone, Copy)]
pub struct Nest<'n> {
    /// The axis.
    pub axis: MatrixAxis,
    /// Which places of a unit come first.
    pub order: NestOrder,
    /// Places of a unit: all of the axis, or an attention head.
    pub unit: u64,
    /// Places of a unit that each level keeps, ascending, at least 1; the last is the unit.
    pub levels: &'n [u64],
}

impl ModelBuilder {
    /// A tensor whose `nest.axis` is stored level by level: what is new in each level is an array of its own. What a bundle names to cut it
    /// is returned: the array, its unit (all places), and the places that each level keeps.
    ///
    /// # Errors
    /// [`EncodeError::Request`] if the axis is not whole units, or levels do not rise to the unit.
    pub fn nested(
        &mut self,
        name: &str,
        dtype: &str,
        shape: &[u64],
        bytes: &[u8],
        nest: Nest<'_>,
    ) -> Result<(ArrayId, Member, Vec<u64>)> {
        let fail = |why: &str| Err(EncodeError::Request(format!("{name:?}: {why}")));
        let dtype_of = mcodec_format::registry::Dtype::by_name(dtype);
        let (Some((rows, columns)), Some(size)) =
            (built::matrix(shape), dtype_of.and_then(built::whole_bytes))
        else {
            return fail("it has no rows, or elements that are not whole bytes");
        };
        let places = if nest.axis == MatrixAxis::Rows { rows } else { columns };
        let Some(order) = stored_order(places, nest) else {
            return fail("its axis is not whole units, or its levels do not rise to one");
        };
        let (columns, size) = (columns as usize, size as usize);
        if bytes.len() != rows as usize * columns * size {
            return fail("another number of bytes than its shape says");
        }
        let units = places / nest.unit;
        let mut runs = Vec::new();
        let (mut start, mut kept) = (0usize, Vec::new());
        for (level, width) in nest.levels.iter().enumerate() {
            let end = (width * units) as usize;
            let of_level = &order[start..end];
            let part: Vec<u8> = if nest.axis == MatrixAxis::Rows {
                let row = columns * size;
                of_level.iter().flat_map(|&r| bytes[r * row..(r + 1) * row].iter().copied()).collect()
            } else {
                let cell = |row: usize, c: usize| &bytes[(row * columns + c) * size..][..size];
                (0..rows as usize)
                    .flat_map(|row| of_level.iter().flat_map(move |&c| cell(row, c).iter().copied()))
                    .collect()
            };
            let len = of_level.len() as u64;
            let part_shape = if nest.axis == MatrixAxis::Rows { [len, columns as u64] } else { [rows, len] };
            let part = self.plain(&format!("{name}.level-{level}"), Role::Array, dtype, &part_shape, part)?;
            runs.push((len, Some(part)));
            kept.push(end as u64);
            start = end;
        }
        let all =
            self.tiers(&format!("{name}.levels"), Role::Array, &[rows, columns as u64], nest.axis, &runs)?;
        let mut map = vec![None; order.len()];
        for (stored, &place) in order.iter().enumerate() {
            map[place] = Some(stored as u32);
        }
        let (row_map, column_map) =
            if nest.axis == MatrixAxis::Rows { (Some(&map[..]), None) } else { (None, Some(&map[..])) };
        let tensor = self.select(name, Role::Tensor, shape, all, row_map, column_map)?;
        let axis = if nest.axis == MatrixAxis::Rows { CutAxis::Rows } else { CutAxis::Columns };
        Ok((tensor, Member { entry: all.entry(), axis }, kept))
    }
}

/// The places of an axis in the order in which they are stored: level by level, of each level unit by unit.
fn stored_order(places: u64, nest: Nest<'_>) -> Option<Vec<usize>> {
    let rises =
        nest.levels.windows(2).all(|two| two[0] < two[1]) && nest.levels.first().is_some_and(|&l| l > 0);
    let paired = nest.order == NestOrder::Paired;
    let even = !paired || nest.levels.iter().all(|level| level.is_multiple_of(2));
    let whole = nest.unit > 0 && places.is_multiple_of(nest.unit) && nest.levels.last() == Some(&nest.unit);
    if !(rises && even && whole) {
        return None;
    }
    let parts = if paired { 2 } else { 1 };
    let (part, mut order, mut before) = (nest.unit / parts, Vec::new(), 0);
    for level in nest.levels {
        for first in (0..places).step_by(part as usize) {
            order.extend((first + before / parts..first + level / parts).map(|place| place as usize));
        }
        before = *level;
    }
    Some(order)
}
