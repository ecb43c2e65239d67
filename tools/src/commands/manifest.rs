//! `mcodec manifest`.

use crate::cli::{Common, Manifest};
use crate::console::Console;
use crate::input::{self, FileReader};
use crate::outcome::{Outcome, usage};
use crate::sink::{Sink, is_std};
use anyhow::Context;
use mcodec_decode::hex;
use mcodec_format::natural_order::natural_cmp;
use mcodec_format::{EntryDescriptor, registry};
use serde::Serialize;
use std::collections::HashMap;
use std::io::Write;
use std::path::{Path, PathBuf};

/// What files hold, sample by sample.
#[derive(Debug, Serialize)]
struct Listing {
    /// Assets of all files.
    samples: u64,
    /// Files, in order.
    files: Vec<FileListing>,
}

#[derive(Debug, Serialize)]
struct FileListing {
    path: String,
    /// Bytes of the file: a manifest of another length is stale.
    bytes: u64,
    /// Number of the file's first sample, over all files.
    first: u64,
    /// Its samples, in the order of their names.
    samples: Vec<Sample>,
}

#[derive(Debug, Serialize)]
struct Sample {
    name: String,
    kind: &'static str,
    content_hash: String,
    tensors: Vec<TensorListing>,
}

#[derive(Debug, Serialize)]
struct TensorListing {
    name: String,
    dtype: String,
    shape: Vec<u64>,
    bytes: u64,
}

/// Lists the assets of files.
pub(crate) fn run(args: &Manifest, common: &Common, console: &Console) -> anyhow::Result<Outcome> {
    let to = console.output()?;
    let mut listing = Listing { samples: 0, files: Vec::new() };
    for path in files_of(&args.inputs)? {
        console.cancel().check()?;
        let reader = input::open(&path, common, console)?;
        let samples = samples_of(&reader).with_context(|| path.display().to_string())?;
        let (first, bytes) = (listing.samples, reader.index().file_len());
        listing.samples += samples.len() as u64;
        listing.files.push(FileListing { path: path.display().to_string(), bytes, first, samples });
    }
    let mut text = serde_json::to_string_pretty(&listing)?;
    text.push('\n');
    let mut sink = Sink::create(to, common.force)?;
    sink.write_all(text.as_bytes()).context("writing the manifest")?;
    sink.commit()?;
    Ok(Outcome::Done)
}

/// The files that are named, and those of folders in natural order.
fn files_of(inputs: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for input in inputs {
        if is_std(input) {
            return Err(usage("a manifest is of files, not of the standard input"));
        }
        if !input.is_dir() {
            files.push(input.clone());
            continue;
        }
        let mut found = Vec::new();
        for entry in std::fs::read_dir(input).with_context(|| format!("cannot read {}", input.display()))? {
            let path = entry?.path();
            if path.is_file() && path.extension().is_some_and(|e| e == "mcodec") {
                found.push(path);
            }
        }
        let name = |path: &Path| path.as_os_str().to_string_lossy().into_owned();
        found.sort_by(|a, b| natural_cmp(name(a).as_bytes(), name(b).as_bytes()));
        files.extend(found);
    }
    if files.is_empty() {
        return Err(usage("there is no mcodec file in the folders"));
    }
    Ok(files)
}

fn samples_of(reader: &FileReader) -> anyhow::Result<Vec<Sample>> {
    let mut samples = Vec::new();
    let mut places = HashMap::new();
    for leaf in 0..reader.index().leaf_count() {
        let page = reader.leaf(leaf)?;
        for row in page.rows.iter().filter(|r| !r.copy && r.first_chunk == 0) {
            let Some(asset) = page.asset_of(row) else { continue };
            let at = *places.entry(asset.ordinal).or_insert_with(|| {
                samples.push(Sample {
                    name: asset.name.clone(),
                    kind: registry::name_of(&registry::asset::ALL, asset.kind).unwrap_or("unknown"),
                    content_hash: format!("blake3:{}", hex(&asset.hash)),
                    tensors: Vec::new(),
                });
                samples.len() - 1
            });
            if let Ok(EntryDescriptor::Tensor(t)) =
                EntryDescriptor::parse(row.kind, &row.fields, reader.limits())
                && t.owner.is_none()
            {
                let (name, dtype, bytes) = (row.name.clone(), t.dtype_name.clone(), t.chunking.byte_len);
                samples[at].tensors.push(TensorListing { name, dtype, shape: t.shape, bytes });
            }
        }
    }
    Ok(samples)
}
