//! What of a file is asked for: assets, tensors by name or pattern, rows.

use crate::outcome::usage;
use crate::rows::Rows;
use anyhow::bail;
use globset::{GlobBuilder, GlobMatcher};
use mcodec_decode::images::Region;
use mcodec_decode::{DecodeError, Entry, ReadAt, Reader, RowRef, check_asset, hex, is_dequantisable};
use mcodec_format::registry::Dtype;
use mcodec_format::{Asset, EntryDescriptor, Page, registry};
use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

/// The part of an image that is asked for.
#[cfg(feature = "images")]
#[derive(Debug, Clone, Default)]
pub(crate) struct ImagePart {
    /// In source pixels; absent: the whole.
    pub(crate) region: Option<Region>,
    /// How many times as large.
    pub(crate) scale: Option<f64>,
    /// The last layer.
    pub(crate) level: Option<usize>,
    /// The name of a group of channels.
    pub(crate) channels: Option<String>,
}

/// The region `x,y,width,height` of a command line.
pub(crate) fn parse_region(text: &str) -> Result<Region, String> {
    let numbers: Vec<u32> = text
        .split(',')
        .map(|part| part.trim().parse().map_err(|_| format!("{part:?} is no number of pixels")))
        .collect::<Result<_, _>>()?;
    match numbers[..] {
        [x, y, width, height] if width > 0 && height > 0 => Ok(Region { x, y, width, height }),
        [_, _, _, _] => Err("a region has at least one pixel".into()),
        _ => Err("a region is x,y,width,height".into()),
    }
}

/// A tensor, or some rows of it.
#[derive(Debug, Clone)]
pub(crate) struct Picked {
    /// The tensor.
    pub(crate) entry: Entry,
    /// The bytes of its content that are wanted.
    pub(crate) range: Range<u64>,
    /// Dimensions of what is wanted.
    pub(crate) shape: Vec<u64>,
    /// Elements of this type are to come out as f32.
    pub(crate) as_f32: Option<Dtype>,
}

impl Picked {
    fn whole(entry: Entry) -> Self {
        let shape = entry.tensor().map(|t| t.shape.clone()).unwrap_or_default();
        Self { range: 0..entry.byte_len(), shape, entry, as_f32: None }
    }

    /// Bytes that come out.
    pub(crate) fn byte_len(&self) -> u64 {
        let stored = self.range.end - self.range.start;
        self.as_f32.map_or(stored, |dtype| {
            let blocks = stored / u64::from(dtype.bits / 8).max(1);
            blocks.saturating_mul(4 * u64::from(dtype.block))
        })
    }

    /// Asks for the elements as f32.
    pub(crate) fn widened(self) -> anyhow::Result<Self> {
        let tensor = self.entry.tensor();
        let dtype = tensor.and_then(|t| t.dtype).filter(|dtype| is_dequantisable(*dtype));
        let Some(dtype) = dtype else {
            let name = tensor.map_or("", |t| t.dtype_name.as_str());
            let what = self.entry.name();
            return Err(usage(format!("--as f32: {what:?} is of type {name:?}, which has no f32 form")));
        };
        Ok(Self { as_f32: Some(dtype), ..self })
    }
}

/// The asset called `wanted` (a name, or `blake3:` and its content hash), or the only one.
pub(crate) fn asset<S: ReadAt>(reader: &Reader<S>, wanted: Option<&str>) -> anyhow::Result<Asset> {
    let found = reader.asset(wanted);
    let Some(hash) = wanted.and_then(|w| w.strip_prefix("blake3:")) else { return Ok(found?) };
    if let Ok(asset) = found {
        return Ok(asset);
    }
    let fits = |a: &Asset| hex(&a.hash).eq_ignore_ascii_case(hash);
    match reader.assets()?.into_iter().find(fits) {
        Some(asset) => Ok(asset),
        None => bail!("there is no asset with content hash blake3:{hash} in this file"),
    }
}

/// Refuses an asset that needs a newer reader.
pub(crate) fn check_decodable<S: ReadAt>(reader: &Reader<S>, asset: &Asset) -> anyhow::Result<()> {
    let mut pages: Vec<Arc<Page>> = Vec::new();
    for row in reader.rows(&asset.name)? {
        if !pages.last().is_some_and(|page| Arc::ptr_eq(page, &row.page)) {
            pages.push(row.page);
        }
    }
    Ok(check_asset(asset, pages.iter().map(|page| &**page))?)
}

/// The tensors of `asset` whose names are, or match, one of `patterns`, in natural order; all but those of records if there is
/// no pattern.
pub(crate) fn tensors<S: ReadAt>(
    reader: &Reader<S>,
    asset: &Asset,
    patterns: &[String],
    rows: Option<Rows>,
) -> anyhow::Result<Vec<Picked>> {
    let all: Vec<RowRef> =
        reader.rows(&asset.name)?.into_iter().filter(|r| r.get().kind == registry::entry::TENSOR).collect();
    if all.is_empty() {
        return Err(usage(format!("asset {:?} has no tensors", asset.name)));
    }
    let mut wanted: HashSet<u32> = HashSet::new();
    for pattern in patterns {
        let before = wanted.len();
        match all.iter().find(|row| row.get().name == *pattern) {
            Some(row) => _ = wanted.insert(row.get().id),
            None => {
                let matcher = glob(pattern)?;
                let fits = |row: &&RowRef| matcher.is_match(&row.get().name) && !is_owned(row);
                wanted.extend(all.iter().filter(fits).map(|row| row.get().id));
                if wanted.len() == before && !all.iter().any(|row| matcher.is_match(&row.get().name)) {
                    bail!("no tensor of asset {:?} is called or matches {pattern:?}", asset.name);
                }
            }
        }
    }
    let is_wanted = |row: &RowRef| {
        if patterns.is_empty() { !is_owned(row) } else { wanted.contains(&row.get().id) }
    };
    let picked: Vec<Entry> = all
        .into_iter()
        .filter(is_wanted)
        .map(|row| reader.resolve(row))
        .collect::<Result<_, DecodeError>>()?;
    match rows {
        None => Ok(picked.into_iter().map(Picked::whole).collect()),
        Some(rows) => Ok(vec![pick_rows(picked, rows)?]),
    }
}

fn pick_rows(picked: Vec<Entry>, rows: Rows) -> anyhow::Result<Picked> {
    let count = picked.len();
    let Ok([entry]) = <[Entry; 1]>::try_from(picked) else {
        return Err(usage(format!(
            "--rows is for one tensor, and {count} are selected: name one with --tensor"
        )));
    };
    let mut shape = entry.tensor().map(|t| t.shape.clone()).unwrap_or_default();
    let rows = rows.of(shape.first().copied().unwrap_or(0));
    let range = entry.row_bytes(rows.clone())?;
    if let Some(first) = shape.first_mut() {
        *first = rows.end.saturating_sub(rows.start);
    }
    Ok(Picked { entry, range, shape, as_f32: None })
}

/// Whether the tensor belongs to a record.
pub(crate) fn is_owned(row: &RowRef) -> bool {
    row.get().fields.get(registry::field::OWNER).is_some()
}

fn glob(pattern: &str) -> anyhow::Result<GlobMatcher> {
    let glob = GlobBuilder::new(pattern).build();
    Ok(glob.map_err(|e| usage(format!("{pattern:?} is not a pattern: {e}")))?.compile_matcher())
}

/// The record of this name.
pub(crate) fn record<S: ReadAt>(reader: &Reader<S>, asset: &Asset, name: &str) -> anyhow::Result<Entry> {
    let entry = reader.entry(&asset.name, registry::entry::RECORD, name)?;
    mcodec_decode::check_record(&entry)?;
    Ok(entry)
}

/// The id of the layout that a `file` entry holds instead of the file's bytes.
pub(crate) fn layout_id(entry: &Entry) -> Option<u64> {
    match entry.descriptor() {
        EntryDescriptor::File(file) if file.layout != registry::file_layout::BYTES => Some(file.layout),
        _ => None,
    }
}
