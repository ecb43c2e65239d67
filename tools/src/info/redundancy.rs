//! What positions of tracks repeat: their elements are decoded for it.

use super::report::Report;
use crate::console::{Console, percent};
use mcodec_decode::latents::describe_track;
use mcodec_decode::{ReadAt, Reader};
use mcodec_encode::latents::{Redundancy, Repeats, redundancy};
use mcodec_format::registry;
use serde::Serialize;

/// What positions of a track repeat.
#[derive(Debug, Serialize)]
pub(crate) struct RedundancyInfo {
    /// How far apart two positions that are near are at most, in deviations; null of elements that are no floats.
    within: Option<f64>,
    /// The same place in the frame before.
    temporal: RepeatsInfo,
    /// The neighbour to the left.
    left: RepeatsInfo,
    /// The neighbour above.
    above: RepeatsInfo,
    /// Any of the two.
    spatial: RepeatsInfo,
}

/// How many positions repeat another.
#[derive(Debug, Serialize)]
struct RepeatsInfo {
    /// Positions that have the other one.
    positions: u64,
    /// Those that are bit for bit the same.
    same: u64,
    /// Those that are the same or near it.
    near: u64,
}

impl From<Repeats> for RepeatsInfo {
    fn from(repeats: Repeats) -> Self {
        let Repeats { positions, same, near } = repeats;
        Self { positions, same, near }
    }
}

impl From<Redundancy> for RedundancyInfo {
    fn from(found: Redundancy) -> Self {
        let Redundancy { within, before, left, above, beside } = found;
        Self {
            within,
            temporal: before.into(),
            left: left.into(),
            above: above.into(),
            spatial: beside.into(),
        }
    }
}

impl RedundancyInfo {
    /// On one line.
    pub(super) fn line(&self) -> String {
        let share = |repeats: &RepeatsInfo| {
            let same = percent(repeats.same, repeats.positions);
            match self.within {
                Some(within) => {
                    format!("{same} ({} within {within})", percent(repeats.near, repeats.positions))
                }
                None => same,
            }
        };
        format!(
            "as the frame before: {}; as the left: {}; as above: {}; as any of these two: {}",
            share(&self.temporal),
            share(&self.left),
            share(&self.above),
            share(&self.spatial)
        )
    }
}

/// Decodes the tracks of all assets of latents and says what their positions repeat.
pub(crate) fn add_redundancy<S: ReadAt>(
    report: &mut Report,
    reader: &Reader<S>,
    within: f64,
    console: &Console,
) -> anyhow::Result<()> {
    for asset in reader.assets()? {
        if asset.kind != registry::asset::LATENTS {
            continue;
        }
        let told = report.assets.iter_mut().filter(|info| info.name == asset.name && info.refused.is_none());
        for info in told.flat_map(|info| &mut info.tensors) {
            console.cancel().check()?;
            let Some(track) = info.track.as_mut() else { continue };
            let entry = reader.tensor(&asset.name, &info.name)?;
            let (_, shape) = describe_track(&entry)?;
            let Some(dtype) = entry.tensor().and_then(|t| t.dtype) else { continue };
            let found = redundancy(dtype, shape, reader.read_all(&entry)?, within);
            track.redundancy = found.map(RedundancyInfo::from);
        }
    }
    Ok(())
}
