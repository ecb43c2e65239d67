//! The JSON twin of a file: everything that a reader finds in it.

use crate::image_twin::{image_twin, layer_content, reaches};
use crate::walk;
use mcodec_coding::CodingError;
use mcodec_coding::fields::SPARSE;
use mcodec_coding::labelled::{FORM, LabelledLedger};
use mcodec_decode::{
    DecodeError, ReadOptions, Reader, base_of_asset, check_asset, check_record, hex, source_files, verify,
};
use mcodec_format::registry::{
    self, asset_field, coding, entry, field, file_layout, name_of, representation,
};
use mcodec_format::{
    Asset, Dependency, EntryRow, Field, Fields, Layout, LeafPointer, PREAMBLE_LEN, Page, RootBody, Slot,
    SlotState, wire,
};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Content up to this length is in the twin itself.
const SHOWN: usize = 64;

pub type Source = Reader<Vec<u8>>;
/// The rows of each entry, by asset ordinal and entry id, with the page of each.
type Entries = BTreeMap<(u32, u32), Vec<(Arc<Page>, EntryRow)>>;

/// Opens bytes.
pub fn open(bytes: &[u8]) -> Result<Source, DecodeError> {
    Reader::open(bytes.to_vec(), ReadOptions::default())
}

/// The twin of a file.
pub fn of(bytes: &[u8]) -> Value {
    let built = open(bytes).and_then(|reader| {
        let pages =
            (0..reader.index().leaf_count()).map(|leaf| reader.leaf(leaf)).collect::<Result<Vec<_>, _>>()?;
        Ok((reader, pages))
    });
    match built {
        Ok((reader, pages)) => opened(bytes, &reader, &pages),
        Err(e) => json!({ "refused": e.to_string() }),
    }
}

fn opened(bytes: &[u8], reader: &Source, pages: &[Arc<Page>]) -> Value {
    let index = reader.index();
    let mut unknown = unknown_of_file(reader);
    let report = verify(reader, true).expect("bytes in memory are read");
    let entries = by_entry(pages);
    let entry_twins: Vec<Value> =
        entries.values().map(|rows| entry_twin(bytes, reader, rows, &mut unknown)).collect();
    let mut assets = reader.assets().expect("pages were read");
    assets.sort_by_key(|a| a.ordinal);
    let assets: Vec<Value> = assets.iter().map(|a| asset_twin(reader, a, pages, &mut unknown)).collect();
    let frames = walk::frames(bytes, reader, &mut unknown);
    unknown.sort();
    json!({
        "length": bytes.len(),
        "found_by": found_by(index.slot(), &index.preamble().slots),
        "preamble": {
            "major": index.preamble().major,
            "minor": index.preamble().minor,
            "least_minor": index.preamble().reader_minor,
            "required": index.preamble().required,
            "optional": index.preamble().optional,
            "slots": index.preamble().slots.iter().map(slot_twin).collect::<Vec<_>>(),
        },
        "root": root_twin(reader),
        "frames": frames,
        "assets": assets,
        "entries": entry_twins,
        "unknown": unknown,
        "damage": report.damage.iter().map(|d| d.what.clone()).collect::<Vec<_>>(),
    })
}

fn slot_twin(slot: &SlotState) -> Value {
    match slot {
        SlotState::Empty => json!("empty"),
        SlotState::Damaged => json!("damaged"),
        SlotState::Whole(s) => json!({
            "generation": s.generation,
            "root_offset": s.root_offset,
            "root_length": s.root_len,
            "committed": s.committed,
        }),
    }
}

fn found_by(used: &Slot, slots: &[SlotState; 2]) -> &'static str {
    match slots {
        [SlotState::Whole(a), _] if a == used => "slot A",
        [_, SlotState::Whole(b)] if b == used => "slot B",
        [SlotState::Damaged, _] if used.root_offset == PREAMBLE_LEN => "root at 96",
        _ => "trailer",
    }
}

fn root_twin(reader: &Source) -> Value {
    let (root, slot) = (reader.index().root(), reader.index().slot());
    let leaf = |l: &LeafPointer| {
        json!({
            "offset": l.offset,
            "length": l.len,
            "base": u8::from(l.based),
            "generation": l.generation,
            "separator": hex(&l.separator),
            "first_chunk": l.first_chunk,
        })
    };
    let leaves: Vec<Value> = match &root.body {
        RootBody::Inline(_) => Vec::new(),
        RootBody::Leaves(leaves) => leaves.iter().map(leaf).collect(),
    };
    let (previous_offset, previous_length) = root.previous.unwrap_or_default();
    json!({
        "offset": slot.root_offset,
        "length": slot.root_len,
        "generation": root.generation,
        "asset_count": root.assets,
        "data_base": root.data_base,
        "previous": [previous_offset, previous_length],
        "fields": unknown_fields(&root.fields, &[]),
        "leaves": leaves,
    })
}

fn unknown_fields(fields: &Fields, known: &[u64]) -> Vec<Value> {
    fields
        .unknown(known)
        .map(|f| json!({ "id": f.id, "critical": f.critical, "value": hex(&f.value) }))
        .collect()
}

fn unknown_of_file(reader: &Source) -> Vec<String> {
    let preamble = reader.index().preamble();
    let mut all = Vec::new();
    if preamble.minor > registry::MINOR {
        all.push(format!("minor version {}", preamble.minor));
    }
    all.extend(
        (0..32).filter(|bit| preamble.optional >> bit & 1 == 1).map(|bit| format!("optional feature {bit}")),
    );
    all.extend(reader.index().root().fields.iter().map(|f| format!("file field {}", f.id)));
    all
}

fn by_entry(pages: &[Arc<Page>]) -> Entries {
    let mut all = Entries::new();
    for page in pages {
        for row in page.rows.iter().filter(|r| !r.copy) {
            let ordinal = page.asset_of(row).expect("row has an asset").ordinal;
            all.entry((ordinal, row.id)).or_default().push((Arc::clone(page), row.clone()));
        }
    }
    all.values_mut().for_each(|rows| rows.sort_by_key(|(_, r)| r.first_chunk));
    all
}

fn entry_twin(
    bytes: &[u8],
    reader: &Source,
    rows: &[(Arc<Page>, EntryRow)],
    unknown: &mut Vec<String>,
) -> Value {
    let (page, row) = &rows[0];
    let asset = page.asset_of(row).expect("row has an asset");
    let place = format!("of {}/{}", asset.ordinal, row.name);
    let known_kind = name_of(&entry::ALL, row.kind);
    if known_kind.is_none() {
        unknown.push(format!("entry kind {} {place}", row.kind));
    }
    unknown.extend(
        row.fields.unknown(&field::IDS).filter(|f| !f.critical).map(|f| format!("field {} {place}", f.id)),
    );
    if row.kind == entry::RECORD && !row.critical {
        let schema = String::from_utf8_lossy(row.fields.get(field::SCHEMA).unwrap_or_default()).into_owned();
        unknown.extend((!registry::SCHEMAS.contains(&&*schema)).then(|| format!("schema {schema} {place}")));
    }
    let entry = reader.entry(&asset.name, row.kind, &row.name).ok();
    let ledger = |chunk| reader.labelled_ledger(entry.as_ref()?, chunk).ok()?;
    let mut twin = json!({
        "asset": asset.ordinal,
        "id": row.id,
        "kind": known_kind.map_or(json!(row.kind), Value::from),
        "critical": row.critical,
        "name": row.name,
        "descriptor": descriptor(&row.fields),
        "dependencies": row.dependencies.iter().map(dependency).collect::<Vec<_>>(),
        "parts": rows.iter().map(|(_, r)| part(bytes, asset.ordinal, r, &ledger)).collect::<Vec<_>>(),
    });
    let shown = if row.kind == entry::LAYER {
        layer_content(reader, asset, &row.name)
    } else {
        content(reader, asset, row).map(|content| bytes_twin(&content))
    };
    match shown {
        Ok(shown) => twin["content"] = shown,
        Err(e) => twin["refused"] = e.to_string().into(),
    }
    twin
}

fn bytes_twin(content: &[u8]) -> Value {
    let mut shown = json!({ "length": content.len(), "blake3": blake3::hash(content).to_hex().as_str() });
    if content.len() <= SHOWN {
        shown["hex"] = hex(content).into();
    }
    shown
}

fn content(reader: &Source, asset: &Asset, row: &EntryRow) -> Result<Vec<u8>, DecodeError> {
    let entry = reader.entry(&asset.name, row.kind, &row.name)?;
    check_record(&entry)?;
    reader.read_all(&entry)
}

fn part(
    bytes: &[u8],
    ordinal: u32,
    row: &EntryRow,
    ledger: &impl Fn(u64) -> Option<LabelledLedger>,
) -> Value {
    let layout = match row.layout {
        Layout::Indexed => "indexed",
        Layout::Gathered => "gathered",
        Layout::Described => "described",
    };
    let coding = row.fields.varint("coding", field::CODING).map(|c| c.unwrap_or(coding::FIELDS));
    let is_labelled = coding == Ok(coding::LABELLED);
    let is_difference = coding == Ok(coding::DIFFERENCE);
    let is_coded = (is_labelled || is_difference || coding == Ok(coding::FIELDS))
        && !entry::is_shared_object(row.kind)
        && row.kind != entry::LAYER
        && name_of(&entry::ALL, row.kind).is_some();
    let chunk = |span: mcodec_format::ChunkSpan| {
        let mut twin = json!({
            "ordinal": span.place.chunk,
            "offset": span.payload.start,
            "length": span.payload.end - span.payload.start,
            "check_at": span.check.start,
            "check_bytes": span.check.end - span.check.start,
        });
        let payload = bytes.get(span.payload.start as usize..span.payload.end as usize);
        let payload = payload.filter(|_| is_coded);
        if is_difference {
            if let Some(head) = payload.and_then(difference_head) {
                twin["difference"] = head;
                if let Some(found) = ledger(span.place.chunk) {
                    twin["difference"]["bytes"] = json!({
                        "labels": found.labels,
                        "states": found.states,
                        "packed": found.packed,
                        "entropy_coded": found.entropy_coded,
                    });
                }
            }
        } else if let Some(payload) = payload.filter(|p| is_labelled && p.first() == Some(&FORM)) {
            if let Some(head) = labelled_head(payload) {
                twin["labelled"] = head;
                if let Some(found) = ledger(span.place.chunk) {
                    twin["labelled"]["lanes"] = found.lanes.into();
                    twin["labelled"]["bytes"] = json!({
                        "labels": found.labels,
                        "states": found.states,
                        "packed": found.packed,
                        "entropy_coded": found.entropy_coded,
                    });
                }
            }
        } else if let Some(modes) = payload.and_then(|p| field_heads(p).ok()) {
            twin["fields"] = modes;
        }
        twin
    };
    json!({
        "first_chunk": row.first_chunk,
        "layout": layout,
        "chunks": row.spans(ordinal).map(chunk).collect::<Vec<_>>(),
    })
}

/// `[unit, [width, mode]...]` of a payload of coding `fields`, `[2, unit, filler, count]` of a sparse one, as far as its heads can be told.
fn field_heads(payload: &[u8]) -> Result<Value, CodingError> {
    let cut = || CodingError::Truncated { what: "field heads" };
    let number = |rest| wire::varint(rest).map_err(|_| cut());
    let (&unit, rest) = payload.split_first().ok_or_else(cut)?;
    let mut all = vec![json!(unit)];
    if unit == 0 {
        return Ok(all.into());
    }
    if unit == SPARSE {
        let (&sparse_unit, rest) = rest.split_first().ok_or_else(cut)?;
        let (rest, filler) = number(rest)?;
        let (_, count) = number(rest)?;
        return Ok(json!([unit, sparse_unit, filler, count]));
    }
    let (&count, mut rest) = rest.split_first().ok_or_else(cut)?;
    for _ in 0..count {
        let (&[width, mode], after) = rest.split_first_chunk().ok_or_else(cut)?;
        all.push(json!([
            width,
            name_of(&registry::FIELD_MODES, mode.into()).map_or(json!(mode), Value::from)
        ]));
        rest = after;
        for _ in 0..[0, 1, 1, 1, 2].get(usize::from(mode)).copied().unwrap_or(0) {
            rest = number(rest)?.0;
        }
    }
    Ok(all.into())
}

/// What a labelled payload begins with, as far as it can be told.
fn labelled_head(payload: &[u8]) -> Option<Value> {
    let (&[_, flags], rest) = payload.split_first_chunk()?;
    let (rest, classes) = wire::varint(rest).ok()?;
    let (rest, columns) = wire::varint(rest).ok()?;
    let (_, first_column) = wire::varint(rest).ok()?;
    let is_sound = flags < 16 && (1..=1 << 40).contains(&columns) && first_column < columns;
    let labels = *["none", "shared", "inline"].get(usize::from(flags & 3))?;
    is_sound.then(|| {
        json!({
            "classes": classes,
            "columns": columns,
            "first_column": first_column,
            "labels": labels,
            "row_zeros": flags & 4 != 0,
            "absorbed": flags & 8 != 0,
        })
    })
}

/// What a payload of differences begins with, as far as it can be told.
fn difference_head(payload: &[u8]) -> Option<Value> {
    let (&form, rest) = payload.split_first()?;
    let name = name_of(&registry::DIFFERENCE_FORMS, form.into()).map_or(json!(form), Value::from);
    if form != FORM {
        return Some(json!({ "form": name }));
    }
    let (&[flags, format], rest) = rest.split_first_chunk()?;
    let (rest, tables) = wire::varint(rest).ok()?;
    let rest = if flags == 1 { wire::varint(rest).ok()?.0 } else { rest };
    let (rest, columns) = wire::varint(rest).ok()?;
    let (_, first_column) = wire::varint(rest).ok()?;
    let is_sound = format < 4 && (1..=1 << 40).contains(&columns) && first_column < columns;
    let columns_at = *["none", "shared", "inline"].get(usize::from(flags))?;
    is_sound.then(|| {
        json!({
            "form": name,
            "tables": tables,
            "columns": columns,
            "first_column": first_column,
            "columns_at": columns_at,
        })
    })
}

/// The fields of a descriptor by name, whether or not this version supports what they say.
fn descriptor(fields: &Fields) -> Value {
    let mut twin = Map::new();
    for f in fields.iter() {
        let name = field::ALL.iter().find(|known| known.0 == f.id).map(|known| known.1);
        let value = match name {
            Some(_) => field_value(f).unwrap_or_else(|| json!({ "malformed": hex(&f.value) })),
            None => json!({ "critical": f.critical, "value": hex(&f.value) }),
        };
        twin.insert(name.map_or_else(|| f.id.to_string(), str::to_owned), value);
    }
    twin.into()
}

fn field_value(f: &Field) -> Option<Value> {
    let number = || match wire::varint(&f.value) {
        Ok(([], value)) => Some(value),
        _ => None,
    };
    let named =
        |table: &[registry::Named]| number().map(|id| name_of(table, id).map_or(json!(id), Value::from));
    match f.id {
        field::DTYPE => match number()? {
            registry::OPAQUE_DTYPE => Some(json!("opaque")),
            id => Some(registry::Dtype::by_id(id).map_or(json!(id), |d| json!(d.name))),
        },
        field::NORMALISATION => Some(json!(hex(&f.value))),
        field::SHAPE | field::FACTORS => {
            let (mut rest, mut dims) = (&f.value[..], Vec::new());
            while !rest.is_empty() {
                let (after, dim) = wire::varint(rest).ok()?;
                dims.push(dim);
                rest = after;
            }
            Some(json!(dims))
        }
        field::REPRESENTATION => {
            let (rest, id) = wire::varint(&f.value).ok()?;
            Some(json!([name_of(&representation::ALL, id).map_or(json!(id), Value::from), hex(rest)]))
        }
        field::CODING => named(&coding::ALL),
        field::FILE_LAYOUT => named(&file_layout::ALL),
        field::DTYPE_NAME
        | field::SCHEMA
        | field::AXES
        | field::ROLE
        | field::LINE
        | field::TRACK_MODEL
        | field::KEY
        | field::PLANES
        | field::APART => std::str::from_utf8(&f.value).ok().map(Value::from),
        field::DEPENDENCY_GROUPS => {
            let (rest, chunks) = wire::varint(&f.value).ok()?;
            match wire::varint(rest).ok()? {
                ([], dependencies) if chunks > 0 => Some(json!([chunks, dependencies])),
                _ => None,
            }
        }
        field::BOUND_HASH => Some(json!(hex(&f.value))),
        field::REACH => reaches(&f.value),
        _ => number().map(Value::from),
    }
}

fn dependency(d: &Dependency) -> Value {
    match d {
        Dependency::Entry(id) => json!({ "kind": "same-asset", "entry": id }),
        Dependency::Other { asset, entry } => {
            json!({ "kind": "other-asset", "asset": asset, "entry": entry })
        }
        Dependency::External { hash, name } => {
            json!({ "kind": "other-file", "content_hash": hex(hash), "name": name })
        }
    }
}

fn asset_twin(reader: &Source, asset: &Asset, pages: &[Arc<Page>], unknown: &mut Vec<String>) -> Value {
    let kind = name_of(&registry::asset::ALL, asset.kind);
    let optional = asset.fields.unknown(&asset_field::IDS).filter(|f| !f.critical);
    unknown.extend(optional.map(|f| format!("asset field {} of {}", f.id, asset.ordinal)));
    if kind.is_none() && !asset.critical {
        unknown.push(format!("asset kind {} of {}", asset.kind, asset.ordinal));
    }
    let mut twin = json!({
        "ordinal": asset.ordinal,
        "kind": kind.map_or(json!(asset.kind), Value::from),
        "critical": asset.critical,
        "name": asset.name,
        "content_hash": hex(&asset.hash),
        "source": asset.fields.varint("asset", asset_field::SOURCE).ok().flatten(),
        "unknown_fields": unknown_fields(&asset.fields, &asset_field::IDS),
    });
    if let Some((hash, name)) = base_of_asset(asset) {
        twin["base"] = json!({ "content_hash": hex(&hash), "name": name });
    }
    let image = (asset.kind == registry::asset::IMAGE).then(|| image_twin(reader, asset));
    let checked = check_asset(asset, pages.iter().map(|p| &**p));
    match checked.and(image.transpose()) {
        Err(e) => twin["refused"] = e.to_string().into(),
        Ok(Some(image)) => twin["image"] = image,
        Ok(None) if kind.is_some() => twin["files"] = files(reader, asset).map_or(Value::Null, Value::from),
        Ok(None) => {}
    }
    twin
}

/// The files that the asset was made from; `None` if something of them cannot be decoded.
fn files(reader: &Source, asset: &Asset) -> Option<Vec<Value>> {
    let mut all = Vec::new();
    for file in source_files(reader, asset).ok()? {
        let bytes = file.read(reader).ok()?;
        all.push(json!({ "name": file.name, "length": bytes.len(), "blake3": blake3::hash(&bytes).to_hex().as_str() }));
    }
    Some(all)
}
