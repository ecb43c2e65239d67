//! The report itself. Its serialised form is what `info --json` prints: fields may be added, none changes its meaning.

use super::image::{ImageInfo, image_info};
use super::inventory::{Inventory, Item, layout_name};
use super::ledger::{Ledger, ledger};
use super::masks::{LONGEST, MaskInfo, mask_info};
use super::packed::{self, PackedInfo};
use super::track::{LatentsInfo, TrackInfo, latents_info, track_info};
use crate::console::{Console, printable};
use crate::gguf::GgufHead;
use mcodec_decode::quantised::weights_of;
use mcodec_decode::{ReadAt, Reader, base_of_asset, check_asset, check_record, hex};
use mcodec_encode::import::gguf::Value;
use mcodec_encode::latents::MASK_RECORD;
use mcodec_encode::recipes::RECIPE_RECORD;
use mcodec_format::{Asset, EntryDescriptor, Page, Representation, SlotState, TensorDescriptor, registry};
use serde::Serialize;

/// A file.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// The path as given.
    pub(super) path: String,
    /// Bytes of the file.
    pub(super) bytes: u64,
    /// The same, beside `bits_per_weight`.
    pub(super) file_bytes: u64,
    /// Bits for each weight, if tensors are quantised: of these tensors if some were kept lossless by name, else of the whole file over all
    /// weights; null otherwise.
    pub(super) bits_per_weight: Option<f64>,
    /// Format version and features.
    pub(super) format: Format,
    /// `finished`, `streaming` or `appended`.
    pub(super) form: &'static str,
    /// Generation of the index in use.
    pub(super) generation: u32,
    /// Always false: information is not verification.
    pub(super) verified: bool,
    /// What a reader should know, damage that was noticed included.
    pub(super) warnings: Vec<String>,
    /// Things that this version does not know.
    pub(super) unknown: Vec<String>,
    /// Assets in the order of their names.
    pub(super) assets: Vec<AssetInfo>,
    /// Bytes by layer.
    pub(super) ledger: Ledger,
}

/// Version and features.
#[derive(Debug, Serialize)]
pub(crate) struct Format {
    /// Major version.
    pub(super) major: u16,
    /// Minor version of the writer.
    pub(super) minor: u16,
    /// Least minor version of a reader.
    pub(super) reader_minor: u16,
    /// Names of required features.
    pub(super) required_features: Vec<String>,
    /// Names of optional features.
    pub(super) optional_features: Vec<String>,
}

/// An asset.
#[derive(Debug, Serialize)]
pub(crate) struct AssetInfo {
    /// Name.
    pub(super) name: String,
    /// Name of its kind, or the kind's number.
    pub(super) kind: String,
    /// `blake3:` and hex.
    pub(super) content_hash: String,
    /// The asset of another file that its tensors are told against; null if they are not.
    pub(super) base: Option<BaseInfo>,
    /// Why this version does not decode it; null if it does.
    pub(super) refused: Option<String>,
    /// Tensors, those of records excluded.
    pub(super) tensor_count: u64,
    /// Elements of these tensors, aliases excluded.
    pub(super) parameters: u64,
    /// Decoded bytes of tensors and files.
    pub(super) bytes: u64,
    /// Bytes of all its chunks.
    pub(super) coded_bytes: u64,
    /// `bytes / coded_bytes`; null if nothing is coded.
    pub(super) ratio: Option<f64>,
    /// What the header of a GGUF file says besides its tensors; null if the asset was not made from one.
    pub(super) gguf: Option<GgufInfo>,
    /// What an image is; null if the asset is none.
    pub(super) image: Option<ImageInfo>,
    /// What is said of all tracks; null if the asset is not latents.
    pub(super) latents: Option<LatentsInfo>,
    /// Tensors in natural order, those of records included.
    pub(super) tensors: Vec<TensorInfo>,
    /// Files.
    pub(super) files: Vec<FileInfo>,
    /// Records.
    pub(super) records: Vec<RecordInfo>,
    /// Arrays that tensors are built from.
    pub(super) arrays: u64,
    /// Bundles of axes that are cut together.
    pub(super) bundles: u64,
    /// Variants: what can be read of it that is smaller.
    pub(super) variants: Vec<VariantInfo>,
}

/// What `decode --variant` gives.
#[derive(Debug, Serialize)]
pub(crate) struct VariantInfo {
    /// Name.
    pub(super) name: String,
    /// Bytes of the chunks that it needs.
    pub(super) bytes: u64,
}

/// What an asset is told against.
#[derive(Debug, Serialize)]
pub(crate) struct BaseInfo {
    /// What it was called when the file was made.
    pub(super) name: String,
    /// `blake3:` and hex.
    pub(super) content_hash: String,
}

/// The header of a GGUF file.
#[derive(Debug, Serialize)]
pub(crate) struct GgufInfo {
    /// Format version.
    pub(super) version: u32,
    /// `general.architecture`.
    pub(super) architecture: Option<String>,
    /// `tokenizer.ggml.model`.
    pub(super) tokenizer: Option<String>,
    /// Keys and values in the order of the file.
    pub(super) metadata: Vec<GgufPair>,
}

/// A metadata pair.
#[derive(Debug, Serialize)]
pub(crate) struct GgufPair {
    /// The key.
    pub(super) key: String,
    /// The value on one line, long ones shortened, control characters escaped.
    pub(super) value: String,
}

/// A tensor.
#[derive(Debug, Serialize)]
pub(crate) struct TensorInfo {
    /// Name.
    pub(super) name: String,
    /// Element type; null if the tensor is refused.
    pub(super) dtype: Option<String>,
    /// Dimensions, outermost first.
    pub(super) shape: Vec<u64>,
    /// How it is rebuilt.
    pub(super) representation: Option<&'static str>,
    /// Entry that it repeats, if it is an alias.
    pub(super) alias_of: Option<u32>,
    /// Entry id.
    pub(super) id: u32,
    /// Coding of its chunks.
    pub(super) coding: Option<&'static str>,
    /// How its chunks lie: `indexed`, `gathered` or `described`.
    pub(super) frames: &'static str,
    /// Chunks.
    pub(super) chunks: u64,
    /// Decoded bytes.
    pub(super) bytes: u64,
    /// Bytes of its chunks.
    pub(super) coded_bytes: u64,
    /// `bytes / coded_bytes`; null if nothing is coded.
    pub(super) ratio: Option<f64>,
    /// What it is as a track of latents; null if it is none.
    pub(super) track: Option<TrackInfo>,
    /// What it is as masks; null if it holds none.
    pub(super) masks: Option<MaskInfo>,
    /// Whose codes it holds, if another quantiser packed them; null if not.
    pub(super) packed: Option<PackedInfo>,
    /// It belongs to a record.
    pub(super) of_record: bool,
    /// Why this version does not decode it; null if it does.
    pub(super) refused: Option<String>,
}

/// A file entry.
#[derive(Debug, Serialize)]
pub(crate) struct FileInfo {
    /// Path in the asset.
    pub(super) name: String,
    /// `bytes`, or how the header of a safetensors file is kept.
    pub(super) layout: Option<&'static str>,
    /// Decoded bytes of the entry; for a safetensors file, of its layout.
    pub(super) bytes: u64,
    /// Bytes of its chunks.
    pub(super) coded_bytes: u64,
    /// Why this version does not decode it; null if it does.
    pub(super) refused: Option<String>,
}

/// A record.
#[derive(Debug, Serialize)]
pub(crate) struct RecordInfo {
    /// Name.
    pub(super) name: String,
    /// Schema id.
    pub(super) schema: Option<String>,
    /// This version knows the schema.
    pub(super) known: bool,
    /// Readers must know the schema.
    pub(super) required: bool,
    /// It is bound to the content of its asset.
    pub(super) bound: bool,
    /// Bytes of its JSON text.
    pub(super) bytes: u64,
    /// Bytes of its chunks.
    pub(super) coded_bytes: u64,
    /// How masks were made, of a record that tells it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) masks: Option<serde_json::Value>,
    /// What was done to a model before it was stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) recipe: Option<serde_json::Value>,
}

/// Looks at an open file; `deep` reads the chunks of tensors for the ledger.
pub(crate) fn report<S: ReadAt>(
    path: String,
    reader: &Reader<S>,
    deep: bool,
    console: &Console,
) -> anyhow::Result<Report> {
    let index = reader.index();
    let preamble = index.preamble();
    let inventory = Inventory::of(reader);
    let warnings = reader.warnings().iter().map(ToString::to_string).chain(inventory.faults.iter().cloned());
    let generation = index.root().generation;
    let streaming = preamble.slots.iter().all(|slot| *slot == SlotState::Empty);
    let form = match generation {
        1 if streaming => "streaming",
        1 => "finished",
        _ => "appended",
    };
    let ledger = ledger(reader, &inventory, deep, console.cancel())?;
    Ok(Report {
        path,
        bytes: index.file_len(),
        file_bytes: index.file_len(),
        bits_per_weight: bits_per_weight(&inventory, &ledger),
        format: Format {
            major: preamble.major,
            minor: preamble.minor,
            reader_minor: preamble.reader_minor,
            required_features: features(preamble.required, &registry::REQUIRED_FEATURES),
            optional_features: features(preamble.optional, &registry::OPTIONAL_FEATURES),
        },
        form,
        generation,
        verified: false,
        warnings: warnings.collect(),
        unknown: inventory.items.iter().flat_map(unknown_in).collect(),
        assets: inventory.assets.iter().map(|asset| asset_info(reader, asset, &inventory, deep)).collect(),
        ledger,
    })
}

/// Bits per weight as the encoder counts them.
fn bits_per_weight(inventory: &Inventory, ledger: &Ledger) -> Option<f64> {
    let of_quantised = ledger.quantised.as_ref()?.bits_per_weight;
    let kept = |asset: &Asset| {
        let text = asset.fields.get(registry::asset_field::QUANTISED)?;
        let said: serde_json::Value = serde_json::from_slice(text).ok()?;
        Some(!said.get("keep")?.as_array()?.is_empty())
    };
    if inventory.assets.iter().any(|asset| kept(asset).unwrap_or(true)) {
        return Some(of_quantised);
    }
    let rows = inventory.items.iter().map(|item| item.row.get());
    let weights = rows.map(weights_of).fold(0, u64::saturating_add);
    (weights > 0).then(|| 8.0 * ledger.total as f64 / weights as f64)
}

fn features(bits: u32, known: &[registry::Named]) -> Vec<String> {
    let name = |bit: u32| {
        let known = registry::name_of(known, bit.into());
        known.map_or_else(|| format!("unknown bit {bit}"), str::to_owned)
    };
    (0..32).filter(|bit| bits >> bit & 1 == 1).map(name).collect()
}

/// What this version does not know of an entry.
fn unknown_in(item: &Item) -> Vec<String> {
    let row = item.row.get();
    let (name, kind) = (&row.name, row.kind);
    let Some(kind) = registry::name_of(&registry::entry::ALL, kind) else {
        return vec![format!("entry {name:?} of kind {kind}")];
    };
    if let Err(why) = &item.descriptor {
        return vec![format!("{kind} {name:?}: {why}")];
    }
    let unknown = row.fields.unknown(&registry::field::IDS);
    unknown.map(|field| format!("field {} of {kind} {name:?}", field.id)).collect()
}

fn asset_info<S: ReadAt>(reader: &Reader<S>, asset: &Asset, inventory: &Inventory, deep: bool) -> AssetInfo {
    let items: Vec<&Item> = inventory.items.iter().filter(|item| item.is_of(asset)).collect();
    let mut pages: Vec<&Page> = items.iter().map(|item| &*item.row.page).collect();
    pages.dedup_by(|a, b| std::ptr::eq(*a, *b));
    let of_kind = |kind: u64| items.iter().copied().filter(move |item| item.kind() == kind);
    let mut tensors: Vec<TensorInfo> = of_kind(registry::entry::TENSOR).map(tensor_info).collect();
    let file_items: Vec<&Item> = of_kind(registry::entry::FILE).collect();
    packed::tell(reader, &file_items, &mut tensors);
    let files: Vec<FileInfo> = of_kind(registry::entry::FILE).map(file_info).collect();
    let own = || tensors.iter().filter(|t| !t.of_record);
    let elements = |t: &TensorInfo| t.shape.iter().fold(1u64, |n, &d| n.saturating_mul(d));
    let counted = own().filter(|t| t.alias_of.is_none() && t.refused.is_none());
    let bytes = own().map(|t| t.bytes).chain(files.iter().map(|f| f.bytes)).fold(0, u64::saturating_add);
    let coded_bytes = items.iter().map(|item| item.coded).fold(0, u64::saturating_add);
    let kind = registry::name_of(&registry::asset::ALL, asset.kind);
    let bundles = reader.bundles(&asset.name).ok().flatten().unwrap_or_default();
    AssetInfo {
        name: asset.name.clone(),
        kind: kind.map_or_else(|| format!("unknown kind {}", asset.kind), str::to_owned),
        content_hash: format!("blake3:{}", hex(&asset.hash)),
        base: base_of_asset(asset)
            .map(|(hash, name)| BaseInfo { name, content_hash: format!("blake3:{}", hex(&hash)) }),
        refused: check_asset(asset, pages.into_iter()).err().map(|e| e.to_string()),
        tensor_count: own().count() as u64,
        parameters: counted.map(elements).fold(0, u64::saturating_add),
        bytes,
        coded_bytes,
        ratio: ratio(bytes, coded_bytes),
        gguf: of_kind(registry::entry::FILE).find_map(|item| gguf_info(reader, item)),
        image: image_info(reader, asset, deep),
        latents: latents_info(asset),
        records: of_kind(registry::entry::RECORD).map(|item| record_info(reader, item)).collect(),
        arrays: of_kind(registry::entry::ARRAY).count() as u64,
        bundles: bundles.bundles.len() as u64,
        variants: bundles
            .variants
            .into_iter()
            .map(|v| VariantInfo { name: v.name, bytes: v.bytes })
            .collect(),
        tensors,
        files,
    }
}

/// What a GGUF file says that is kept in pieces: its header is its first literal.
fn gguf_info<S: ReadAt>(reader: &Reader<S>, item: &Item) -> Option<GgufInfo> {
    let header = GgufHead::of_entry(reader, &reader.resolve(item.row.clone()).ok()?)?.header;
    let text = |key: &str| {
        header.metadata.iter().find(|(k, _)| k == key).and_then(|(_, value)| match value {
            Value::Text { text, .. } => Some(printable(text)),
            _ => None,
        })
    };
    Some(GgufInfo {
        version: header.version,
        architecture: text("general.architecture"),
        tokenizer: text("tokenizer.ggml.model"),
        metadata: header
            .metadata
            .iter()
            .map(|(key, value)| GgufPair { key: printable(key), value: value.to_string() })
            .collect(),
    })
}

fn tensor_info(item: &Item) -> TensorInfo {
    let row = item.row.get();
    let mut info = TensorInfo {
        name: item.name().to_owned(),
        dtype: None,
        shape: Vec::new(),
        representation: None,
        alias_of: None,
        id: row.id,
        coding: None,
        frames: layout_name(row.layout),
        chunks: item.chunks,
        bytes: 0,
        coded_bytes: item.coded,
        ratio: None,
        track: track_info(item),
        masks: mask_info(item),
        packed: None,
        of_record: item.is_owned(),
        refused: None,
    };
    match &item.descriptor {
        Ok(EntryDescriptor::Tensor(t)) => describe(&mut info, t),
        Ok(_) => {}
        Err(why) => info.refused = Some(why.clone()),
    }
    info
}

fn describe(info: &mut TensorInfo, t: &TensorDescriptor) {
    info.dtype = Some(t.dtype_name.clone());
    info.shape.clone_from(&t.shape);
    info.bytes = t.chunking.byte_len;
    info.ratio = ratio(info.bytes, info.coded_bytes);
    if let Representation::Alias(of) = t.representation {
        info.alias_of = Some(of);
    }
    if !t.representation.is_borrowed() {
        info.coding = registry::name_of(&registry::coding::ALL, t.chunking.coding);
    }
    info.representation = registry::name_of(&registry::representation::ALL, t.representation.id());
}

fn file_info(item: &Item) -> FileInfo {
    let (layout, bytes) = match &item.descriptor {
        Ok(EntryDescriptor::File(f)) => {
            (registry::name_of(&registry::file_layout::ALL, f.layout), f.chunking.byte_len)
        }
        _ => (None, 0),
    };
    let name = if item.name().is_empty() { &item.row.asset().name } else { item.name() };
    let refused = item.descriptor.as_ref().err().cloned();
    FileInfo { name: name.to_owned(), layout, bytes, coded_bytes: item.coded, refused }
}

fn record_info<S: ReadAt>(reader: &Reader<S>, item: &Item) -> RecordInfo {
    let record = match &item.descriptor {
        Ok(EntryDescriptor::Record(r)) => Some(r),
        _ => None,
    };
    let schema = record.map(|r| r.schema.clone());
    let entry = reader.resolve(item.row.clone());
    let text_of = |schema: &str| -> Option<serde_json::Value> {
        record.filter(|r| r.schema == schema && r.chunking.byte_len <= LONGEST)?;
        serde_json::from_slice(&reader.read_all(entry.as_ref().ok()?).ok()?).ok()
    };
    RecordInfo {
        masks: text_of(MASK_RECORD),
        recipe: text_of(RECIPE_RECORD),
        name: item.name().to_owned(),
        known: schema.as_deref().is_some_and(|s| registry::SCHEMAS.contains(&s)),
        schema,
        required: item.row.get().critical,
        bound: entry.is_ok_and(|e| check_record(&e).is_ok()),
        bytes: record.map_or(0, |r| r.chunking.byte_len),
        coded_bytes: item.coded,
    }
}

fn ratio(bytes: u64, coded: u64) -> Option<f64> {
    (coded != 0).then(|| bytes as f64 / coded as f64)
}
