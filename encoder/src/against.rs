//! Which tensors of an asset are told against those of another, of the same file or of one besides.

use crate::items::{Content, Item, ItemBase};
use crate::writer::Draft;
use crate::{EncodeError, EncodeOptions, Result};
use mcodec_decode::{AssetBase, BaseModel, ReadAt, Reader};
use mcodec_format::{Asset, Dependency, EntryRow, registry};
use rayon::prelude::*;
use std::collections::HashMap;
use std::sync::Arc;

/// Tensors of fewer bytes are not told against others: saying so takes as much.
const LEAST: u64 = 64;
/// Bytes compared at once.
const PIECE: usize = 1 << 20;
/// A sample is this many runs of this many bytes.
const RUNS: u64 = 16;
const RUN: u64 = 4096;
/// The share of what a tensor takes by itself that its difference must stay below, by estimate.
const GAIN: f64 = 0.97;

/// The model that an asset's tensors are told against.
#[derive(Debug, Clone)]
pub(crate) struct Against {
    pub(crate) model: Arc<dyn BaseModel>,
    /// Where it is in the file that is made; `None`: in another file.
    pub(crate) place: Option<Place>,
}

/// An asset of the file that is made.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) ordinal: u32,
    /// Entry ids of its tensors.
    pub(crate) ids: HashMap<String, u32>,
}

impl Against {
    /// `asset` of `reader`, whose tensors are in `draft` too.
    pub(crate) fn asset<S>(reader: &Arc<Reader<S>>, asset: &Asset, draft: &Draft) -> Result<Self>
    where
        S: ReadAt + std::fmt::Debug + 'static,
    {
        let of_asset =
            |row: &&EntryRow| draft.assets.get(row.asset).is_some_and(|a| a.ordinal == asset.ordinal);
        let tensors = draft.rows.iter().filter(of_asset).filter(|r| r.kind == registry::entry::TENSOR);
        let ids = tensors.map(|row| (row.name.clone(), row.id)).collect();
        let model = AssetBase::new(Arc::clone(reader), Some(&asset.name))?;
        Ok(Self { model: Arc::new(model), place: Some(Place { ordinal: asset.ordinal, ids }) })
    }

    fn dependency(&self, name: &str) -> Option<Dependency> {
        match &self.place {
            // An empty name is the tensor's own.
            None => Some(Dependency::External { hash: self.model.content_hash(), name: String::new() }),
            Some(place) => {
                place.ids.get(name).map(|&entry| Dependency::Other { asset: place.ordinal, entry })
            }
        }
    }

    /// Says in the asset what it is told against.
    pub(crate) fn note(&self, asset: &mut Asset) {
        if self.place.is_none() {
            let value = [&self.model.content_hash()[..], self.model.name().as_bytes()].concat();
            asset.fields.set(registry::asset_field::BASE, false, value);
        }
    }
}

/// Gives the tensors of `items` that are nearer to those of the same name of `against` than to nothing their base. Returns how many have
/// one, and how many of these are the same in every byte.
pub(crate) fn tell_against(
    items: &mut [Item<'_>],
    against: &Against,
    options: &EncodeOptions,
) -> Result<(u64, u64)> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(options.threads).build();
    let pool =
        pool.map_err(|e| EncodeError::Request(format!("cannot start {} threads: {e}", options.threads)))?;
    let find = |item: &Item<'_>| base_of(item, against, options);
    let found: Vec<Option<ItemBase<'static>>> =
        pool.install(|| items.par_iter().map(find).collect::<Result<_>>())?;
    let (mut all, mut same) = (0, 0);
    for (item, base) in items.iter_mut().zip(found) {
        all += u64::from(base.is_some());
        same += u64::from(base.as_ref().is_some_and(|b| b.same.is_some()));
        item.base = base;
    }
    Ok((all, same))
}

fn base_of(item: &Item<'_>, against: &Against, options: &EncodeOptions) -> Result<Option<ItemBase<'static>>> {
    let Some(mut base) = candidate(item, against, options)? else { return Ok(None) };
    base.same = hash_if_same(item, &base)?;
    let tell = base.same.is_some() || sample(item, &base)?.is_near();
    Ok(tell.then_some(base))
}

/// The tensor of the same name, dtype and shape that `item` could be told against.
fn candidate(
    item: &Item<'_>,
    against: &Against,
    options: &EncodeOptions,
) -> Result<Option<ItemBase<'static>>> {
    options.check_cancel()?;
    let Content::Tensor { dtype_name, shape, owner: None } = &item.content else { return Ok(None) };
    if item.alias_of.is_some() || item.byte_len < LEAST {
        return Ok(None);
    }
    let Some(dependency) = against.dependency(&item.name) else { return Ok(None) };
    let Some(found) = against.model.describe(&item.name)? else { return Ok(None) };
    if (&found.dtype_name, &found.shape, found.byte_len) != (dtype_name, shape, item.byte_len) {
        return Ok(None);
    }
    let (model, name) = (Arc::clone(&against.model), item.name.clone());
    let read = Box::new(move |offset: u64, buf: &mut [u8]| {
        Ok(model.read_into(&name, offset..offset + buf.len() as u64, buf)?)
    });
    Ok(Some(ItemBase { dependency, same: None, read }))
}

/// About how many bits the tensors of `items` take if they are told against those of `against`: by samples.
pub(crate) fn estimate(items: &[Item<'_>], against: &Against, options: &EncodeOptions) -> Result<f64> {
    let mut bits = 0.0;
    for item in items.iter().filter(|i| i.is_tensor() && i.alias_of.is_none()) {
        bits += match candidate(item, against, options)? {
            Some(base) => sample(item, &base)?.bits() * item.byte_len as f64,
            None => 8.0 * item.byte_len as f64,
        };
    }
    Ok(bits)
}

/// BLAKE3 of the content, if it is the base's.
fn hash_if_same(item: &Item<'_>, base: &ItemBase<'_>) -> Result<Option<[u8; 32]>> {
    let len = PIECE.min(usize::try_from(item.byte_len).unwrap_or(PIECE));
    let (mut own, mut other) = (vec![0; len], vec![0; len]);
    let mut hasher = blake3::Hasher::new();
    let mut at = 0;
    while at < item.byte_len {
        let n = (item.byte_len - at).min(len as u64) as usize;
        (item.read)(at, &mut own[..n])?;
        (base.read)(at, &mut other[..n])?;
        if own[..n] != other[..n] {
            return Ok(None);
        }
        hasher.update(&own[..n]);
        at += n as u64;
    }
    Ok(Some(*hasher.finalize().as_bytes()))
}

/// Looks at runs of a tensor and its base.
fn sample(item: &Item<'_>, base: &ItemBase<'_>) -> Result<Sample> {
    let size = u64::from(item.element().unit_bits() / 8);
    let mut sample = Sample::default();
    let run = RUN.min(item.byte_len);
    let runs = (item.byte_len / run).min(RUNS);
    for number in 0..runs {
        let start = (item.byte_len - run) / runs.max(1) * number / size * size;
        let (mut own, mut other) = (vec![0; run as usize], vec![0; run as usize]);
        (item.read)(start, &mut own)?;
        (base.read)(start, &mut other)?;
        sample.add(&own, &other, size as usize, item.element().exponent().is_some());
    }
    Ok(sample)
}

/// Lengths of units and of their differences, in bits.
#[derive(Default)]
struct Sample {
    apart: HashMap<u32, u64>,
    together: HashMap<u64, u64>,
    /// Bits below those that are counted.
    apart_bits: u64,
    together_bits: u64,
    /// Bytes looked at.
    bytes: u64,
}

impl Sample {
    fn add(&mut self, own: &[u8], base: &[u8], size: usize, is_float: bool) {
        let word = |bytes: &[u8]| {
            let mut word = [0; 8];
            word[..size].copy_from_slice(bytes);
            u64::from_le_bytes(word)
        };
        let bits = 8 * size as u64;
        self.bytes += own.len() as u64;
        for (own, base) in own.chunks_exact(size).zip(base.chunks_exact(size)) {
            let (own, base) = (word(own), word(base));
            let up = 64 - bits as u32;
            let step = (own.wrapping_sub(base) << up) as i64 >> up;
            let len = 64 - step.unsigned_abs().leading_zeros();
            *self.apart.entry(len).or_default() += 1;
            // The sign, and what follows the first bit.
            self.apart_bits += u64::from(len);
            // Sign and exponent of floats, the upper byte of others.
            let low = if is_float { bits - bits.min(if size == 2 { 8 } else { 9 }) } else { bits - 8 };
            *self.together.entry(own >> low).or_default() += 1;
            self.together_bits += low;
        }
    }

    /// Bits of the differences, and of the units by themselves.
    fn costs(&self) -> (f64, f64) {
        let apart = entropy(self.apart.values()) + self.apart_bits as f64;
        (apart, entropy(self.together.values()) + self.together_bits as f64)
    }

    /// Whether the difference is shorter than the tensor itself.
    fn is_near(&self) -> bool {
        let (apart, together) = self.costs();
        apart < GAIN * together
    }

    /// Bits of a byte.
    fn bits(&self) -> f64 {
        let (apart, together) = self.costs();
        apart.min(together) / (self.bytes as f64).max(1.0)
    }
}

/// Bits of symbols that come so often.
fn entropy<'a>(counts: impl Iterator<Item = &'a u64>) -> f64 {
    // Sorted, so that the sum does not depend on the map's order.
    let mut counts: Vec<u64> = counts.copied().collect();
    counts.sort_unstable();
    let n = counts.iter().sum::<u64>() as f64;
    counts.iter().map(|&c| c as f64 * (n / c as f64).log2()).sum()
}
