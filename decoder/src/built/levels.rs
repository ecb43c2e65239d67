//! Levels: what is kept of the axes of arrays.

use crate::built::Parts;
use crate::{Entry, ReadAt, Reader, Result, RowRef};
use mcodec_format::{
    Bundle, Bundles, CutAxis, Dependency, FormatError, MatrixAxis, NestOrder, Variant, built, registry,
};
use std::collections::HashMap;
use std::ops::Range;

/// The places of an axis that are kept: the first of each unit, or of each half of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    /// Places of a unit, or of half of one; at least 1.
    pub unit: u64,
    /// How many of them are kept, from the first on.
    pub width: u64,
}

impl Kept {
    /// Whether a place is kept.
    #[must_use]
    pub fn has(&self, place: u64) -> bool {
        place.checked_rem(self.unit.max(1)).unwrap_or(0) < self.width
    }

    /// Whether one of these places is kept.
    #[must_use]
    pub fn has_any(&self, places: &Range<u64>) -> bool {
        let unit = self.unit.max(1);
        let whole = places.end.saturating_sub(places.start) >= unit;
        // Else within two units: the first place is kept, or the next unit's first is there.
        !places.is_empty()
            && self.width > 0
            && (whole
                || self.has(places.start)
                || places.start.div_ceil(unit).saturating_mul(unit) < places.end)
    }
}

/// What is kept of an array.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AxisLevels {
    /// Of its rows.
    pub rows: Option<Kept>,
    /// Of its columns.
    pub columns: Option<Kept>,
    /// How many terms of a product.
    pub rank: Option<u64>,
}

/// What is kept of each array; all of those that are not named.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Levels(HashMap<(u32, u32), AxisLevels>);

impl Levels {
    /// The levels that a variant names.
    #[must_use]
    pub fn of(asset: u32, bundles: &Bundles, variant: &Variant) -> Self {
        let mut all = Self::default();
        for (bundle, level) in bundles.bundles.iter().zip(&variant.levels) {
            let width = usize::try_from(*level).ok().and_then(|at| bundle.levels.get(at));
            let Some(&width) = width.filter(|&&width| width < bundle.unit) else { continue };
            for member in &bundle.members {
                all.cut((asset, member.entry), member.axis, bundle, width);
            }
        }
        all
    }

    fn cut(&mut self, entry: (u32, u32), axis: CutAxis, bundle: &Bundle, width: u64) {
        let of = self.0.entry(entry).or_default();
        let kept = match bundle.order {
            NestOrder::Prefix => Kept { unit: bundle.unit, width },
            NestOrder::Paired => Kept { unit: bundle.unit / 2, width: width / 2 },
        };
        match axis {
            CutAxis::Rows => of.rows = Some(kept),
            CutAxis::Columns => of.columns = Some(kept),
            CutAxis::Rank => of.rank = Some(width),
        }
    }

    /// With this many terms of the product that entry `entry` of the asset with ordinal `asset` is.
    #[must_use]
    pub fn with_rank(mut self, asset: u32, entry: u32, rank: u64) -> Self {
        self.0.entry((asset, entry)).or_default().rank = Some(rank);
        self
    }

    /// With these levels of entry `entry` of the asset with ordinal `asset`.
    #[must_use]
    pub fn with(mut self, asset: u32, entry: u32, levels: AxisLevels) -> Self {
        self.0.insert((asset, entry), levels);
        self
    }

    /// Whether everything is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether something of an array is not kept.
    pub(crate) fn cuts(&self, entry: &Entry) -> bool {
        self.get(entry) != AxisLevels::default()
    }

    /// What is kept of an array.
    pub(super) fn get(&self, entry: &Entry) -> AxisLevels {
        if self.0.is_empty() {
            return AxisLevels::default();
        }
        let at = entry.content();
        self.0.get(&(at.asset().ordinal, at.get().id)).copied().unwrap_or_default()
    }
}

/// Checks that what a bundle cuts is there, is whole units, and is cut by one map.
pub(super) fn check<S: ReadAt>(reader: &Reader<S>, asset: &str, bundles: &Bundles) -> Result<()> {
    let fail = |why: String| Err(FormatError::corrupt("bundles", 0, why).into());
    let rows: HashMap<u32, RowRef> = reader.rows(asset)?.into_iter().map(|row| (row.get().id, row)).collect();
    let mut cut: HashMap<(u32, CutAxis), &str> = HashMap::new();
    for bundle in &bundles.bundles {
        let mut map: Option<Dependency> = None;
        for member in &bundle.members {
            let (name, id) = (&bundle.name, member.entry);
            let is_array =
                |row: &&RowRef| matches!(row.get().kind, registry::entry::TENSOR | registry::entry::ARRAY);
            let Some(row) = rows.get(&id).filter(is_array) else {
                return fail(format!("bundle {name:?} cuts entry {id}, which is no array of the asset"));
            };
            if let Some(other) = cut.insert((id, member.axis), name) {
                return fail(format!("bundles {other:?} and {name:?} cut one axis of {:?}", row.get().name));
            }
            let entry = reader.resolve(row.clone())?;
            let Some(places) = places(&entry, member.axis) else {
                return fail(format!("bundle {name:?} cuts an axis that {:?} does not have", entry.name()));
            };
            if places == 0 || !places.is_multiple_of(bundle.unit) {
                let unit = bundle.unit;
                let of = entry.name();
                return fail(format!(
                    "bundle {name:?}: {places} places of {of:?} are no whole units of {unit}"
                ));
            }
            if let Some(own) = map_of(&entry, member.axis) {
                if map.as_ref().is_some_and(|other| *other != own) {
                    return fail(format!("arrays of bundle {name:?} are selected by different maps"));
                }
                map = Some(own);
            }
        }
    }
    Ok(())
}

/// Places along an axis of an array.
fn places(entry: &Entry, axis: CutAxis) -> Option<u64> {
    let (rows, columns) = built::matrix(&entry.tensor()?.shape)?;
    match (axis, entry.parts()) {
        (CutAxis::Rows, _) => Some(rows),
        (CutAxis::Columns, _) => Some(columns),
        (CutAxis::Rank, Some(Parts::LowRank { rank, .. })) => Some(*rank),
        (CutAxis::Rank, _) => None,
    }
}

/// The index map that an axis of a selection goes by.
fn map_of(entry: &Entry, axis: CutAxis) -> Option<Dependency> {
    let Some(Parts::Select { rows, columns, .. }) = entry.parts() else { return None };
    let axis = match axis {
        CutAxis::Rows => MatrixAxis::Rows,
        CutAxis::Columns => MatrixAxis::Columns,
        CutAxis::Rank => return None,
    };
    let at = match axis {
        MatrixAxis::Rows => rows.as_ref().map(|_| 1),
        MatrixAxis::Columns => columns.as_ref().map(|_| 1 + usize::from(rows.is_some())),
    };
    entry.content().get().dependencies.get(at?).cloned()
}
