//! Saving what is whole in a truncated or damaged file.

use crate::copy::{EntryParts, entries_of, read_chunk};
use crate::options::{EncodeOptions, Output};
use crate::salvage::Salvage;
use crate::writer::ContainerWriter;
use crate::{EncodeError, Result};
use mcodec_decode::{ReadOptions, Reader, content_hash};
use mcodec_format::{Asset, Dependency, EntryDescriptor, EntryRow, Limits, Representation, registry};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::File;
use std::path::Path;

/// What a recovery saved.
#[derive(Debug, Clone, Default)]
pub struct RecoverReport {
    /// Entries that were saved, as `asset/entry`.
    pub saved: Vec<String>,
    /// What was lost, as `asset/entry: why`.
    pub lost: Vec<String>,
    /// Nothing was lost.
    pub complete: bool,
    /// Bytes of the new file.
    pub output_bytes: u64,
}

/// Writes a finished file with every entry of `input` that is whole.
///
/// An asset that lost tensors keeps the others under a new content hash, without the layout of its files and without its records, which
/// were about what it was.
///
/// # Errors
/// If nothing is left, or the output cannot be written.
pub fn recover(input: &Path, output: Output, options: &EncodeOptions) -> Result<RecoverReport> {
    let file = File::open(input).map_err(EncodeError::io("open", input))?;
    let found = Salvage::of(&file, input, options.limits)?;
    if found.assets.is_empty() {
        let why = found.faults.first().cloned().unwrap_or_else(|| "it holds nothing".into());
        return Err(EncodeError::Request(format!("nothing of {} can be saved: {why}", input.display())));
    }
    let mut by_asset: BTreeMap<u32, Vec<EntryRow>> = BTreeMap::new();
    for ((asset, _, _), row) in found.rows {
        by_asset.entry(asset).or_default().push(row);
    }
    let salvage = Whole { file: &file, input, assets: &found.assets, rows: &by_asset, options };
    let dir = tempfile::tempdir().map_err(EncodeError::io("create a folder in", &std::env::temp_dir()))?;
    let trial = dir.path().join("saved.mcodec");
    salvage.write(Output::File { path: trial.clone(), force: false }, &BTreeMap::new())?;
    let hashes = hashes_of(&trial, options)?;
    drop(dir);
    let mut report = salvage.write(output, &hashes)?;
    // Damage outside of every entry (a torn slot, a lost index page) loses nothing if all entries are there.
    report.complete = report.lost.is_empty();
    Ok(report)
}

/// Content hashes of the assets of a file, from their content.
fn hashes_of(path: &Path, options: &EncodeOptions) -> Result<BTreeMap<u32, [u8; 32]>> {
    let file = File::open(path).map_err(EncodeError::io("open", path))?;
    let read = ReadOptions::default().limits(options.limits).threads(options.threads);
    let reader = Reader::open(file, read)?;
    let mut hashes = BTreeMap::new();
    for asset in reader.assets()? {
        // What cannot be decoded here (a representation of tomorrow) keeps the hash it had.
        if let Ok(Some(hash)) = content_hash(&reader, &asset) {
            hashes.insert(asset.ordinal, hash);
        }
    }
    Ok(hashes)
}

/// What was found, to be written out: once to learn the content hashes of assets with losses, once for good.
struct Whole<'a> {
    file: &'a File,
    input: &'a Path,
    assets: &'a BTreeMap<u32, Asset>,
    rows: &'a BTreeMap<u32, Vec<EntryRow>>,
    options: &'a EncodeOptions,
}

impl Whole<'_> {
    fn write(&self, output: Output, hashes: &BTreeMap<u32, [u8; 32]>) -> Result<RecoverReport> {
        let mut report = RecoverReport::default();
        let mut writer = ContainerWriter::create_finished(output)?;
        let faults = self.faults()?;
        for (ordinal, asset) in self.assets {
            let rows = self.rows.get(ordinal).map_or(&[][..], Vec::as_slice);
            let of_asset = faults.iter().filter(|((of, _), _)| of == ordinal);
            let faults = of_asset.map(|((_, id), why)| (*id, why.clone())).collect();
            self.save(asset, rows, &faults, hashes.get(ordinal), &mut writer, &mut report)?;
        }
        report.output_bytes = writer.finish(self.options)?;
        Ok(report)
    }

    /// Why entries are lost, by asset ordinal and entry id.
    fn faults(&self) -> Result<HashMap<(u32, u32), String>> {
        let mut faults = HashMap::new();
        for (&ordinal, asset) in self.assets {
            let rows = self.rows.get(&ordinal).map_or(&[][..], Vec::as_slice);
            for entry in entries_of(rows) {
                self.options.check_cancel()?;
                if let Some(why) = fault_of(self.file, self.input, asset, &entry, &self.options.limits) {
                    faults.insert((ordinal, entry.rows[0].id), why);
                }
            }
        }
        spread_faults(self.rows, &mut faults);
        Ok(faults)
    }

    fn save(
        &self,
        asset: &Asset,
        rows: &[EntryRow],
        faults: &HashMap<u32, String>,
        hash: Option<&[u8; 32]>,
        writer: &mut ContainerWriter,
        report: &mut RecoverReport,
    ) -> Result<()> {
        let entries = entries_of(rows);
        let content = |e: &EntryParts<'_>| match asset.kind {
            kind if registry::asset::is_of_tensors(kind) => e.rows[0].kind == registry::entry::TENSOR,
            _ => e.rows[0].kind == registry::entry::FILE,
        };
        let complete = asset.hash == [0; 32] || hash.is_none_or(|hash| *hash == asset.hash);
        let known_loss = entries.iter().any(|e| content(e) && faults.contains_key(&e.rows[0].id));
        let whole = complete && !known_loss;
        let kept = |e: &&EntryParts<'_>| {
            let row = e.rows[0];
            let has = |field| row.fields.get(field).is_some();
            let tied = matches!(row.kind, registry::entry::RECORD | registry::entry::BUNDLES)
                || has(registry::field::OWNER)
                || has(registry::field::FILE_LAYOUT);
            !faults.contains_key(&row.id) && (whole || !tied)
        };
        let mut saved = asset.clone();
        if !whole {
            saved.fields = mcodec_format::Fields::default();
        }
        if let Some(hash) = hash.filter(|_| !whole || asset.hash == [0; 32]) {
            saved.hash = *hash;
        }
        let at = writer.draft().add_asset(saved);
        for entry in entries.iter().filter(kept) {
            entry.copy(self.file, self.input, asset.ordinal, writer, at)?;
        }
        for entry in &entries {
            let row = entry.rows[0];
            let name = format!("{}/{}", asset.name, row.name);
            match faults.get(&row.id) {
                Some(why) => report.lost.push(format!("{name}: {why}")),
                None if kept(&entry) => report.saved.push(name),
                None => {
                    report.lost.push(format!("{name}: it belongs to the asset as it was before the damage"));
                }
            }
        }
        if !complete && !known_loss {
            report.lost.push(format!("{}: parts of it that no index names any more", asset.name));
        }
        Ok(())
    }
}

/// Why an entry is not whole, if it is not.
fn fault_of(
    file: &File,
    path: &Path,
    asset: &Asset,
    entry: &EntryParts<'_>,
    limits: &Limits,
) -> Option<String> {
    let first = entry.rows[0];
    let descriptor = EntryDescriptor::parse(first.kind, &first.fields, limits).ok();
    let borrowed =
        descriptor.as_ref().and_then(|d| d.representation()).is_some_and(Representation::is_borrowed);
    if let Some(chunking) = descriptor.and_then(|d| d.chunking()).filter(|_| !borrowed) {
        let mut next = 0;
        for row in &entry.rows {
            if row.first_chunk != next {
                return Some(format!("chunk {next} is missing"));
            }
            next += row.lengths.len() as u64;
        }
        if next < chunking.chunk_count() {
            return Some(format!("it ends after {next} of {} chunks", chunking.chunk_count()));
        }
    }
    entry.spans(asset.ordinal).find_map(|span| {
        read_chunk(file, path, &span).err().map(|e| format!("chunk {}: {e}", span.place.chunk))
    })
}

/// An entry is lost with what it depends on, in its own asset or another.
fn spread_faults(rows: &BTreeMap<u32, Vec<EntryRow>>, faults: &mut HashMap<(u32, u32), String>) {
    let ids: HashSet<(u32, u32)> =
        rows.iter().flat_map(|(&asset, rows)| rows.iter().map(move |row| (asset, row.id))).collect();
    loop {
        let mut more = Vec::new();
        for (&asset, rows) in rows {
            for row in rows.iter().filter(|row| !faults.contains_key(&(asset, row.id))) {
                let lost = row.dependencies.iter().find_map(|d| {
                    let key = match d {
                        Dependency::Entry(id) => (asset, *id),
                        Dependency::Other { asset, entry } => (*asset, *entry),
                        Dependency::External { .. } => return None,
                    };
                    (faults.contains_key(&key) || !ids.contains(&key)).then_some(key)
                });
                if let Some((of, id)) = lost {
                    let place = if of == asset { String::new() } else { format!(" of asset {of}") };
                    more.push(((asset, row.id), format!("entry {id}{place}, which it needs, is lost")));
                }
            }
        }
        if more.is_empty() {
            return;
        }
        faults.extend(more);
    }
}
