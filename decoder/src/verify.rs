//! Verification of every byte of a file (SPEC section 2: a gap-free run of frames).

use crate::content_hash::hash_content;
use crate::index::RowRef;
use crate::source::{fetch, slice};
use crate::{DecodeError, ReadAt, Reader, Result, Warning, base_of_asset, check_record, content_hash};
use mcodec_format::{
    Asset, ChunkSpan, EntryDescriptor, FormatError, FrameHead, LEAF_MAX, Layout, Limits, PREAMBLE_LEN, Page,
    Root, RootBody, Tag, registry,
};
use std::collections::BTreeMap;
use std::ops::Range;

/// A place of a file that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// Offset in the file, where one is known.
    pub offset: Option<u64>,
    /// The entry it belongs to, where one is known.
    pub entry: Option<String>,
    /// What is wrong.
    pub what: String,
}

/// Something optional that this reader does not know and passed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unknown {
    /// What it is and where.
    pub what: String,
}

/// The outcome of a verification.
#[derive(Debug, Clone, Default)]
pub struct VerifyReport {
    /// Everything that is damaged; empty for a sound file.
    pub damage: Vec<Damage>,
    /// Optional things that were passed over.
    pub unknown: Vec<Unknown>,
    /// Chunks whose check was compared.
    pub chunks: u64,
    /// Bytes that were read and are covered by a check.
    pub bytes: u64,
    /// Entries that were decoded (deep verification).
    pub decoded: u64,
    /// Some content needs a base that was not given: its chunks were checked, but it was not decoded.
    pub undecoded: bool,
}

impl VerifyReport {
    fn add(&mut self, offset: Option<u64>, entry: Option<&str>, what: impl ToString) {
        self.damage.push(Damage { offset, entry: entry.map(str::to_owned), what: what.to_string() });
    }
}

impl VerifyReport {
    /// Notes, once, that a base was not given.
    fn missing(&mut self, hash: &str, hint: &str) {
        self.undecoded = true;
        let what = format!("content told against a base that was not given: blake3:{hash}{hint}");
        if !self.unknown.iter().any(|u| u.what == what) {
            self.unknown.push(Unknown { what });
        }
    }

    /// Notes why an entry cannot be read: as damage, or as something that this reader cannot judge.
    fn fault(&mut self, entry: &str, e: DecodeError) -> Result<()> {
        match e {
            e @ DecodeError::Io { .. } => return Err(e),
            e if e.is_damage() => self.add(None, Some(entry), e),
            DecodeError::Missing { hash, hint, .. } => self.missing(&hash, &hint),
            e => self.unknown.push(Unknown { what: e.to_string() }),
        }
        Ok(())
    }
}

/// A run of bytes that some generation's index says is there.
struct Extent {
    end: u64,
    row: RowRef,
}

/// Reads the whole file and checks every byte of it; with `deep`, decodes everything and compares content hashes as well.
///
/// # Errors
/// Only if the file cannot be read; damage is in the report.
pub fn verify<S: ReadAt>(reader: &Reader<S>, deep: bool) -> Result<VerifyReport> {
    let mut report = VerifyReport::default();
    for field in reader.index().root().fields.iter() {
        report.unknown.push(Unknown { what: format!("field {} of the file", field.id) });
    }
    for warning in reader.warnings() {
        match warning {
            Warning::UnknownFeature(_) | Warning::NewerMinor(_) => {
                report.unknown.push(Unknown { what: warning.to_string() });
            }
            damage => report.add(None, None, damage),
        }
    }
    let extents = extents(reader, &mut report)?;
    walk(reader, &extents, &mut report)?;
    check_entries(reader, deep, &mut report)?;
    Ok(report)
}

/// The rows of every generation, by the offset of their first byte.
fn extents<S: ReadAt>(reader: &Reader<S>, report: &mut VerifyReport) -> Result<BTreeMap<u64, Extent>> {
    let mut all = BTreeMap::new();
    let committed = reader.index().slot().committed;
    let mut add = |page: std::sync::Arc<Page>| {
        for (row, found) in page.rows.iter().enumerate() {
            if found.lengths.is_empty() || found.layout == Layout::Described {
                continue;
            }
            let ordinal = page.asset_of(found).map_or(0, |a| a.ordinal);
            // Only the rows of the current generation were checked against the file when it was opened.
            if let Some(end) = found.end(ordinal).filter(|&end| end <= committed) {
                let row = RowRef { page: page.clone(), row };
                all.entry(found.offset).or_insert(Extent { end, row });
            }
        }
    };
    for leaf in 0..reader.index().leaf_count() {
        match reader.leaf(leaf) {
            Ok(page) => add(page),
            Err(e) if e.is_damage() => {} // the walk meets and reports the frame itself
            Err(e) => return Err(e),
        }
    }
    let mut previous = reader.index().root().previous;
    let mut generation = reader.index().root().generation;
    while let Some(place) = previous {
        match older(reader, place, generation) {
            Ok((root, pages)) => {
                previous = root.previous;
                generation = root.generation;
                pages.into_iter().for_each(|page| add(page.into()));
            }
            Err(e @ DecodeError::Io { .. }) => return Err(e),
            Err(e) => {
                report.add(Some(place.0), None, format!("the previous generation's index: {e}"));
                previous = None;
            }
        }
    }
    let starts = all.iter().zip(all.keys().skip(1));
    for ((_, extent), &next) in starts.filter(|((_, extent), next)| extent.end > **next) {
        let name = &extent.row.get().name;
        report.add(Some(next), Some(name), "its chunks and those of another entry overlap");
    }
    Ok(all)
}

/// The root and pages of the generation before `generation`, whose root frame is at `place`.
fn older<S: ReadAt>(reader: &Reader<S>, place: (u64, u64), generation: u32) -> Result<(Root, Vec<Page>)> {
    let limits = reader.limits();
    let end = place.0.saturating_add(place.1);
    Limits::check("root page size", place.1, limits.root_bytes)?;
    let outside = || FormatError::Truncated { what: "root page", offset: place.0 };
    if end > reader.index().file_len() {
        return Err(outside().into());
    }
    let frame = fetch(reader.source(), &(place.0..end))?;
    let payload = crate::open::whole_frame(&frame, Tag::ROOT, place.0)?;
    let root = Root::parse(payload, end, limits)?;
    if root.generation >= generation {
        return Err(FormatError::corrupt("root page", place.0, "generations do not descend").into());
    }
    let mut pages = Vec::new();
    match &root.body {
        RootBody::Inline(page) => pages.push(page.clone()),
        RootBody::Leaves(leaves) => {
            for leaf in leaves {
                let range = leaf.offset..leaf.offset.saturating_add(leaf.len);
                if range.end > reader.index().file_len() {
                    return Err(outside().into());
                }
                let frame = fetch(reader.source(), &range)?;
                let base = if leaf.based { root.data_base } else { 0 };
                // A leaf that is damaged is reported where the walk meets it.
                pages.extend(crate::open::leaf_page(&frame, leaf.offset, base, limits).ok());
            }
        }
    }
    Ok((root, pages))
}

/// Goes through the file from the preamble to the committed length, frame by frame.
fn walk<S: ReadAt>(
    reader: &Reader<S>,
    extents: &BTreeMap<u64, Extent>,
    report: &mut VerifyReport,
) -> Result<()> {
    let committed = reader.index().slot().committed;
    report.bytes = PREAMBLE_LEN;
    let mut at = PREAMBLE_LEN;
    while at < committed {
        let next = match extents.get(&at) {
            Some(extent) => {
                check_row(reader, extent, report)?;
                Some(extent.end)
            }
            None => check_frame(reader, at, committed, report)?,
        };
        let found = next.filter(|&n| n > at);
        let resume = || extents.range(at + 1..).next().map_or(committed, |(&start, _)| start);
        at = found.unwrap_or_else(resume);
    }
    if at != committed {
        report.add(Some(committed), None, "the last frame goes beyond the committed length");
    }
    Ok(())
}

/// Checks the chunks of a row of the index, window by window.
fn check_row<S: ReadAt>(reader: &Reader<S>, extent: &Extent, report: &mut VerifyReport) -> Result<()> {
    let row = extent.row.get();
    let tag = if row.layout == Layout::Gathered { Tag::GATHERED } else { Tag::INDEXED };
    if row.layout == Layout::Gathered {
        let at = row.tag_offset();
        if fetch(reader.source(), &(at..at + 1))? != [tag.0] {
            report.add(Some(at), Some(&row.name), "the tag of the gathered run's checks is wrong");
        }
    }
    for span in row.spans(extent.row.asset().ordinal) {
        report.chunks += 1;
        let indexed = row.layout == Layout::Indexed;
        let fault = check_span(reader, &span, indexed.then_some(tag.0))?;
        if let Some(fault) = fault {
            report.add(
                Some(span.frame.start),
                Some(&row.name),
                format!("chunk {}: {fault}", span.place.chunk),
            );
        }
    }
    report.bytes += extent.end - row.offset;
    Ok(())
}

fn check_span<S: ReadAt>(
    reader: &Reader<S>,
    span: &ChunkSpan,
    tag: Option<u8>,
) -> Result<Option<FormatError>> {
    let whole = span.frame.start..span.frame.end;
    Limits::check("coded chunk length", whole.end - whole.start, reader.limits().memory)?;
    let frame = fetch(reader.source(), &whole)?;
    let at =
        |r: &Range<u64>| slice(&frame, &(r.start - whole.start..r.end - whole.start)).map(<[u8]>::to_vec);
    let payload = at(&span.payload).unwrap_or_default();
    let check = match tag {
        Some(_) => at(&span.check).unwrap_or_default(),
        None => fetch(reader.source(), &span.check)?,
    };
    if tag.is_some_and(|tag| frame.first() != Some(&tag)) {
        return Ok(Some(FormatError::corrupt("chunk", whole.start, "its frame has another tag")));
    }
    Ok(span.verify(&payload, &check).err())
}

/// Checks the described frame at `at`; returns its end, or `None` if the frame cannot be delimited.
fn check_frame<S: ReadAt>(
    reader: &Reader<S>,
    at: u64,
    end: u64,
    report: &mut VerifyReport,
) -> Result<Option<u64>> {
    let head = fetch(reader.source(), &(at..end.min(at + FrameHead::MAX_LEN)))?;
    let parsed = FrameHead::parse(&head).map_err(|e| e.at(at));
    let head = match parsed {
        Ok(head) => head,
        Err(e) => {
            report.add(Some(at), None, e);
            return Ok(None);
        }
    };
    let Some(frame_end) = head.frame_len().and_then(|n| at.checked_add(n)).filter(|&n| n <= end) else {
        report.add(Some(at), None, format!("the {} frame goes beyond the committed length", head.name()));
        return Ok(None);
    };
    let indexed = head.tag == Tag::LEAF || head.tag == Tag::ROOT;
    let bound = if indexed { reader.limits().root_bytes.max(LEAF_MAX) } else { reader.limits().memory };
    if head.payload_len > bound {
        report.add(Some(at), None, format!("the {} frame has {} bytes", head.name(), head.payload_len));
        return Ok(Some(frame_end));
    }
    let frame = fetch(reader.source(), &(at + head.head_len..frame_end))?;
    let payload = slice(&frame, &(0..head.payload_len)).unwrap_or_default();
    let check = slice(&frame, &(head.payload_len..frame.len() as u64)).unwrap_or_default();
    match head.verify(at, payload, check) {
        Ok(()) if head.name() == "frame" => {
            let what = format!("optional frame with tag 0x{:02x} at offset {at}", head.tag.0);
            report.unknown.push(Unknown { what });
        }
        Ok(()) => {}
        Err(e) => report.add(Some(at), None, e),
    }
    report.chunks += u64::from(head.tag == Tag::CHUNK);
    report.bytes += frame_end - at;
    Ok(Some(frame_end))
}

/// Resolves every entry of the current generation; deep: decodes it and compares the content hashes.
fn check_entries<S: ReadAt>(reader: &Reader<S>, deep: bool, report: &mut VerifyReport) -> Result<()> {
    let assets = match reader.assets() {
        Ok(assets) => assets,
        Err(e @ DecodeError::Io { .. }) => return Err(e),
        Err(e) => {
            report.add(None, None, e);
            return Ok(());
        }
    };
    if assets.len() as u64 != reader.index().root().assets {
        report.add(None, None, "the index lists another number of assets than its root says");
    }
    for asset in &assets {
        let unknown = asset.fields.unknown(&registry::asset_field::IDS);
        report
            .unknown
            .extend(unknown.map(|f| Unknown { what: format!("field {} of asset {:?}", f.id, asset.name) }));
        if registry::name_of(&registry::asset::ALL, asset.kind).is_none() {
            report.unknown.push(Unknown { what: format!("asset {:?} of kind {}", asset.name, asset.kind) });
        }
        if let Some((hash, name)) = base_of_asset(asset)
            && !reader.bases().iter().any(|base| base.content_hash() == hash)
        {
            report.missing(&crate::hex(&hash), &format!(" (it was called {name:?})"));
        }
        let before = report.damage.len();
        if let Err(e) = reader.bundles(&asset.name) {
            report.fault(&asset.name, e)?;
        }
        for row in reader.rows(&asset.name)? {
            check_entry(reader, row, deep, report)?;
        }
        if !deep {
            continue;
        }
        let whole = (report.damage.len() == before).then(|| content_hash(reader, asset));
        match whole {
            Some(Ok(Some(hash))) if hash != asset.hash => {
                report.add(None, Some(&asset.name), "the content hash of the asset differs from its content");
            }
            Some(Ok(_)) => {}
            Some(Err(e @ DecodeError::Io { .. })) => return Err(e),
            // Not all of it can be read: what can is decoded by itself.
            None | Some(Err(_)) if asset.kind == registry::asset::IMAGE => {
                if let Err(e) = content_hash(reader, asset) {
                    report.fault(&asset.name, e)?;
                }
            }
            None | Some(Err(_)) => decode_tensors(reader, asset, report)?,
        }
    }
    Ok(())
}

/// Decodes every tensor of a model that can be resolved, one by one.
fn decode_tensors<S: ReadAt>(reader: &Reader<S>, asset: &Asset, report: &mut VerifyReport) -> Result<()> {
    let rows =
        if registry::asset::is_of_tensors(asset.kind) { reader.rows(&asset.name)? } else { Vec::new() };
    for row in rows {
        let Ok(entry) = reader.resolve(row) else { continue };
        if !crate::is_hashed(&entry) {
            continue;
        }
        if let Err(e) = hash_content(reader, &entry) {
            report.fault(entry.name(), e)?;
        }
    }
    Ok(())
}

fn check_entry<S: ReadAt>(
    reader: &Reader<S>,
    row: RowRef,
    deep: bool,
    report: &mut VerifyReport,
) -> Result<()> {
    let name = row.get().name.clone();
    let kind = row.get().kind;
    if registry::name_of(&registry::entry::ALL, kind).is_none() {
        report.unknown.push(Unknown { what: format!("entry {name:?} of kind {kind}") });
        return Ok(());
    }
    for field in row.get().fields.unknown(&registry::field::IDS).filter(|f| !f.critical) {
        report.unknown.push(Unknown { what: format!("field {} of {name:?}", field.id) });
    }
    let entry = match reader.resolve(row) {
        Ok(entry) => entry,
        Err(e) => return report.fault(&name, e),
    };
    if let EntryDescriptor::Record(record) = entry.descriptor()
        && !registry::SCHEMAS.contains(&record.schema.as_str())
    {
        let required = if entry.row().critical { "required " } else { "" };
        let what = format!("schema {:?} of {required}record {name:?}", record.schema);
        report.unknown.push(Unknown { what });
    }
    if let Err(e) = check_record(&entry) {
        report.add(None, Some(&name), e);
    }
    // Every chunk that the descriptor promises must be in the chunk table.
    if let Err(e) = reader.plan(&entry, 0..entry.byte_len()) {
        report.fault(&name, e)?;
        return Ok(());
    }
    if deep {
        report.decoded += 1;
        // A model's own tensors are decoded for the content hash.
        if registry::asset::is_of_tensors(entry.asset().kind) && crate::is_hashed(&entry) {
            return Ok(());
        }
        // So are an image's layers.
        if entry.kind() == registry::entry::LAYER && entry.asset().kind == registry::asset::IMAGE {
            return Ok(());
        }
        if let Err(e) = hash_content(reader, &entry) {
            report.fault(&name, e)?;
        }
    }
    Ok(())
}
