//! Merging: the assets of several files in one, chunks copied as they are.

use crate::copy::entries_of;
use crate::options::{EncodeOptions, EncodeReport, Output};
use crate::writer::ContainerWriter;
use crate::{EncodeError, Result};
use mcodec_decode::{ReadOptions, Reader};
use mcodec_format::{Asset, Dependency, EntryRow, registry};
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::path::{Path, PathBuf};

/// Writes the assets of `inputs` into one file in finished form, those of the first file first. Nothing is decoded: files that were
/// written on different machines become one as fast as they are copied.
///
/// # Errors
/// If two assets have one name, a chunk is damaged, or the output cannot be written; the output is then as it was.
pub fn merge(inputs: &[PathBuf], output: Output, options: &EncodeOptions) -> Result<EncodeReport> {
    let mut readers = Vec::new();
    for path in inputs {
        let file = File::open(path).map_err(EncodeError::io("open", path))?;
        let reader = Reader::open(file, ReadOptions::default().limits(options.limits));
        readers.push((path.as_path(), reader.map_err(|e| about(path, e.into()))?));
    }
    let mut report = EncodeReport {
        input_bytes: readers.iter().map(|(_, reader)| reader.index().file_len()).sum(),
        ..EncodeReport::default()
    };
    let mut merged = Merged { names: HashMap::new(), next: 0, done: 0 };
    let mut writer = ContainerWriter::create_finished(output)?;
    for (path, reader) in &readers {
        merged.add(path, reader, &mut writer, &mut report, options).map_err(|e| about(path, e))?;
    }
    report.output_bytes = writer.finish(options)?;
    Ok(report)
}

/// Names the file that an error is of.
fn about(path: &Path, e: EncodeError) -> EncodeError {
    match e {
        EncodeError::Decode(e) => EncodeError::Request(format!("{}: {e}", path.display())),
        other => other,
    }
}

/// What was merged so far.
struct Merged {
    /// The file that each name of an asset is from.
    names: HashMap<String, PathBuf>,
    /// The next ordinal.
    next: u32,
    done: u64,
}

impl Merged {
    fn add(
        &mut self,
        path: &Path,
        reader: &Reader<File>,
        writer: &mut ContainerWriter,
        report: &mut EncodeReport,
        options: &EncodeOptions,
    ) -> Result<()> {
        let mut ordinals = HashMap::new();
        let mut assets = reader.assets()?;
        assets.sort_by_key(|asset| asset.ordinal);
        for asset in &assets {
            if let Some(other) = self.names.insert(asset.name.clone(), path.to_owned()) {
                let (name, other, path) = (&asset.name, other.display(), path.display());
                return Err(EncodeError::Request(format!("{other} and {path} both have an asset {name:?}")));
            }
            ordinals.insert(asset.ordinal, self.next);
            let next = self.next.checked_add(1);
            self.next = next.ok_or_else(|| EncodeError::Request("no asset ordinal is left".into()))?;
        }
        let mut rows = rows_by_asset(reader, &ordinals)?;
        for asset in &assets {
            let new = ordinals.get(&asset.ordinal).copied().unwrap_or_default();
            let at = writer.draft().add_asset(Asset { ordinal: new, ..asset.clone() });
            let rows = rows.remove(&asset.ordinal).unwrap_or_default();
            for entry in entries_of(&rows) {
                options.check_cancel()?;
                self.done += entry.copy(reader.source(), path, asset.ordinal, writer, at)?;
                options.report_bytes(self.done, report.input_bytes);
            }
            let tensors: HashSet<u32> =
                rows.iter().filter(|r| r.kind == registry::entry::TENSOR).map(|r| r.id).collect();
            report.tensors += tensors.len() as u64;
            report.asset.clone_from(&asset.name);
            report.content_hash = asset.hash;
        }
        Ok(())
    }
}

/// Every row of each asset, parts included; dependencies of other assets by their new ordinals.
fn rows_by_asset(reader: &Reader<File>, ordinals: &HashMap<u32, u32>) -> Result<HashMap<u32, Vec<EntryRow>>> {
    let mut all: HashMap<u32, Vec<EntryRow>> = HashMap::new();
    for leaf in 0..reader.index().leaf_count() {
        let page = reader.leaf(leaf)?;
        for row in page.rows.iter().filter(|r| !r.copy) {
            let Some(asset) = page.asset_of(row) else { continue };
            let mut row = row.clone();
            for dependency in &mut row.dependencies {
                if let Dependency::Other { asset, .. } = dependency {
                    *asset = ordinals.get(asset).copied().ok_or_else(|| {
                        EncodeError::Request(format!(
                            "entry {:?} depends on an asset that is not there",
                            row.name
                        ))
                    })?;
                }
            }
            all.entry(asset.ordinal).or_default().push(row);
        }
    }
    Ok(all)
}
