//! The whole reader: everything is verified and decoded.

use super::front_door;
use mcodec_decode::images::{ImageReader, Region};
use mcodec_decode::{
    DecodeError, Entry, Part, ReadAt, ReadOptions, Reader, check_asset, source_files, verify,
};
use mcodec_format::{Asset, Limits, registry};
use std::io;

/// Entries of an asset that are read in all ways.
const ENTRIES: usize = 64;

/// Small bounds, so that an input cannot make the target slow.
fn limits() -> Limits {
    let mut limits = Limits::strict();
    limits.chunk_bytes = 1 << 18;
    limits.output_bytes = 1 << 18;
    limits.memory = 1 << 20;
    limits
}

/// Bytes that can only be fetched, and never beyond their end.
struct Bytes<'a>(&'a [u8]);

impl ReadAt for Bytes<'_> {
    fn size(&self) -> io::Result<u64> {
        Ok(self.0.len() as u64)
    }

    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let start = usize::try_from(offset).expect("offset");
        let part = start.checked_add(buf.len()).and_then(|end| self.0.get(start..end));
        buf.copy_from_slice(part.expect("the reader reads beyond the end of the file"));
        Ok(())
    }
}

/// Runs the target.
pub fn run(bytes: &[u8]) {
    let _visit = front_door::visit(bytes);
    let Ok(reader) = Reader::open(Bytes(bytes), ReadOptions::default().limits(limits())) else { return };
    let deep = verify(&reader, true).map(|report| report.damage);
    let shallow = verify(&reader, false).map(|report| report.damage);
    if let (Ok(deep), Ok(shallow)) = (&deep, &shallow) {
        assert!(deep.len() >= shallow.len(), "deep verification finds less: {deep:?} {shallow:?}");
    }
    let sound = deep.is_ok_and(|damage| damage.is_empty());
    let Ok(assets) = reader.assets() else { return };
    for asset in assets.iter().take(ENTRIES) {
        _ = check_asset(asset, std::iter::empty());
        let Ok(rows) = reader.rows(&asset.name) else { continue };
        for row in rows.into_iter().take(ENTRIES) {
            // Of an entry of unknown kind, verification looks at nothing.
            let known = registry::name_of(&registry::entry::ALL, row.get().kind).is_some();
            let entry = reader.resolve(row);
            let read = entry.and_then(|entry| match entry.kind() {
                // Sets of Gaussians are no bytes.
                registry::entry::LAYER => Ok(()),
                _ => read_entry(&reader, &entry),
            });
            if let Err(fault) = read {
                assert!(!(sound && known && fault.is_damage()), "verify finds the file sound, but: {fault}");
            }
        }
        if asset.kind == registry::asset::IMAGE
            && let Err(fault) = read_image(&reader, asset)
        {
            assert!(!(sound && fault.is_damage()), "verify finds the file sound, but: {fault}");
        }
        let Ok(files) = source_files(&reader, asset) else { continue };
        for file in files {
            let entries = file.parts.iter().filter(|part| matches!(part, Part::Entry(_)));
            assert!(entries.count() <= 1 << 14);
        }
    }
}

/// Reads each layer of an image as a whole, and chunk by chunk: the Gaussians must be the same.
fn read_image(reader: &Reader<Bytes<'_>>, asset: &Asset) -> Result<(), DecodeError> {
    let image = ImageReader::new(reader, asset)?;
    let chunks: Vec<u64> = image.layers().map(|(entry, _)| entry.byte_len()).collect();
    for (layer, &chunks) in chunks.iter().enumerate().take(ENTRIES) {
        let chunks = chunks.min(ENTRIES as u64);
        let all = image.read_chunks(layer, 0..chunks)?;
        let pieces: Result<Vec<_>, _> =
            (0..chunks).map(|chunk| image.read_chunks(layer, chunk..chunk + 1)).collect();
        assert!(all == pieces?.concat(), "layer {layer} reads differently in pieces");
    }
    let corner = Region { width: 1, height: 1, ..image.whole() };
    _ = image.plan(corner, 0.5, None)?;
    _ = image.load(corner, 0.5, None)?;
    Ok(())
}

/// Reads an entry as a whole, in two pieces, and one row of it: the bytes must be the same.
fn read_entry(reader: &Reader<Bytes<'_>>, entry: &Entry) -> Result<(), DecodeError> {
    if let Ok(row) = entry.row_bytes(0..1) {
        _ = reader.read(entry, row);
    }
    _ = reader.read(entry, 0..1);
    let all = reader.read_all(entry)?;
    let middle = entry.byte_len() / 2;
    let mut pieces = reader.read(entry, 0..middle)?;
    pieces.extend(reader.read(entry, middle..entry.byte_len())?);
    assert!(all == pieces, "{:?} reads differently in pieces", entry.name());
    Ok(())
}
