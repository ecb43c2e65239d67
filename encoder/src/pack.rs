//! Packing: the finished form of any file, without what later generations left behind.

use crate::copy::entries_of;
use crate::options::{EncodeOptions, EncodeReport, Output};
use crate::writer::ContainerWriter;
use crate::{EncodeError, Result};
use mcodec_decode::{ReadAt, ReadOptions, Reader};
use mcodec_format::{Asset, EntryRow};
use std::fs::File;
use std::path::Path;

/// Writes the current generation of `input` in finished form, chunks copied as they are.
///
/// # Errors
/// If a chunk is damaged (see [`crate::recover`]), or the output cannot be written; the output is then as it was.
pub fn pack(input: &Path, output: Output, options: &EncodeOptions) -> Result<EncodeReport> {
    let file = File::open(input).map_err(EncodeError::io("open", input))?;
    let reader = Reader::open(file, ReadOptions::default().limits(options.limits))?;
    let mut writer = ContainerWriter::create_finished(output)?;
    let mut report = EncodeReport { input_bytes: reader.index().file_len(), ..EncodeReport::default() };
    let assets = reader.assets()?;
    let mut done = 0;
    for asset in &assets {
        let at = writer.draft().add_asset(asset.clone());
        let rows = rows_of(&reader, asset)?;
        for entry in entries_of(&rows) {
            options.check_cancel()?;
            done += entry.copy(reader.source(), input, asset.ordinal, &mut writer, at)?;
            options.report_bytes(done, report.input_bytes);
        }
        report.tensors +=
            rows.iter().filter(|r| r.kind == mcodec_format::registry::entry::TENSOR).count() as u64;
        report.asset.clone_from(&asset.name);
        report.content_hash = asset.hash;
    }
    report.output_bytes = writer.finish(options)?;
    Ok(report)
}

/// Every row of an asset, parts included.
pub(crate) fn rows_of<S: ReadAt>(reader: &Reader<S>, asset: &Asset) -> Result<Vec<EntryRow>> {
    let mut all = Vec::new();
    for leaf in 0..reader.index().leaf_count() {
        let page = reader.leaf(leaf)?;
        let of_asset = page
            .rows
            .iter()
            .filter(|r| !r.copy && page.asset_of(r).is_some_and(|a| a.ordinal == asset.ordinal));
        all.extend(of_asset.cloned());
    }
    Ok(all)
}
