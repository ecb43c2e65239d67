//! Several checkpoints of one model in a file: which of those that are there the next is told against.

use crate::against::{Against, estimate};
use crate::encode::base_of;
use crate::inputs::AssetInput;
use crate::writer::Draft;
use crate::{EncodeError, EncodeOptions, Result};
use mcodec_decode::{DecodeError, ReadOptions, Reader};
use mcodec_format::{Asset, Dependency, registry};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

/// Assets in a row of which each is told against the one before, at most: reading the last reads all, and a path of dependencies is at most
/// 8 long.
const MOST_IN_A_ROW: usize = 6;

/// What an asset that is added to a file is told against.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum AppendBase {
    /// The first asset, the last, or the base of the options, whichever is nearest by a sample of all tensors; nothing, if none has tensors
    /// of the same names and shapes that are nearer than none.
    #[default]
    Auto,
    /// Nothing but the base of the options, if there is one.
    Nothing,
    /// The asset of this name.
    Asset(String),
}

/// Chooses what `input`, to be added to `target` with the index `draft`, is told against.
pub(crate) fn choose(
    target: &Path,
    draft: &Draft,
    input: &AssetInput<'_>,
    options: &EncodeOptions,
) -> Result<Option<Against>> {
    let external = base_of(options);
    let file = File::open(target).map_err(EncodeError::io("open", target))?;
    let read = ReadOptions::default().limits(options.limits).threads(options.threads);
    let reader = Arc::new(Reader::open(file, read)?.with_bases(options.bases.clone()));
    let depths = depths(draft);
    match &options.append_base {
        AppendBase::Nothing => Ok(external),
        AppendBase::Asset(name) => {
            let asset = draft.assets.iter().find(|a| a.name == *name && a.kind == registry::asset::MODEL);
            let refuse = |why: String| EncodeError::Request(format!("{}: {why}", target.display()));
            let asset = asset.ok_or_else(|| refuse(format!("there is no model {name:?} in it")))?;
            if depths.get(&asset.ordinal).copied().unwrap_or(0) >= MOST_IN_A_ROW {
                return Err(refuse(format!(
                    "{name:?} is the last of {MOST_IN_A_ROW} assets told one against another"
                )));
            }
            Ok(Some(Against::asset(&reader, asset, draft)?))
        }
        AppendBase::Auto if options.mappable || input.kind != registry::asset::MODEL => Ok(external),
        AppendBase::Auto => {
            let fits = |a: &&Asset| {
                a.kind == registry::asset::MODEL
                    && depths.get(&a.ordinal).copied().unwrap_or(0) < MOST_IN_A_ROW
            };
            let first = draft.assets.iter().filter(fits).min_by_key(|a| a.ordinal);
            let last = draft.assets.iter().filter(fits).max_by_key(|a| a.ordinal);
            let last = last.filter(|last| first.is_none_or(|first| first.ordinal != last.ordinal));
            let mut candidates: Vec<Against> = external.into_iter().collect();
            for asset in first.into_iter().chain(last) {
                candidates.push(Against::asset(&reader, asset, draft)?);
            }
            nearest(candidates, input, options)
        }
    }
}

/// The candidate with the lowest estimate, the first of equals; `None` if there is none that can be read.
fn nearest(
    candidates: Vec<Against>,
    input: &AssetInput<'_>,
    options: &EncodeOptions,
) -> Result<Option<Against>> {
    let mut best: Option<(f64, Against)> = None;
    for candidate in candidates {
        let bits = match estimate(&input.items, &candidate, options) {
            // Its own base is not at hand.
            Err(EncodeError::Decode(DecodeError::Missing { .. } | DecodeError::Base { .. })) => continue,
            bits => bits?,
        };
        if best.as_ref().is_none_or(|(least, _)| bits < *least) {
            best = Some((bits, candidate));
        }
    }
    Ok(best.map(|(_, candidate)| candidate))
}

/// How many assets in a row each is told against.
fn depths(draft: &Draft) -> BTreeMap<u32, usize> {
    let mut bases: BTreeMap<u32, BTreeSet<u32>> = BTreeMap::new();
    for row in draft.rows.iter().filter(|r| r.kind == registry::entry::TENSOR) {
        let own = draft.assets.get(row.asset).map_or(0, |a| a.ordinal);
        if let Some(Dependency::Other { asset, .. }) = row.dependencies.first() {
            bases.entry(own).or_default().insert(*asset);
        }
    }
    let mut depths: BTreeMap<u32, usize> = BTreeMap::new();
    // A path is at most as long as there are assets, and no longer than is told apart.
    for _ in 0..=MOST_IN_A_ROW {
        for (&own, of) in &bases {
            let deepest = of.iter().map(|base| depths.get(base).copied().unwrap_or(0)).max().unwrap_or(0);
            depths.insert(own, deepest + 1);
        }
    }
    depths
}
