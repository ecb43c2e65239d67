//! Changing a file without rewriting it: a new generation at its end (SPEC sections 2.2 and 4.1 of the design: append).

use crate::checkpoints::choose;
use crate::encode::{Input, add_asset, input_of};
use crate::import::ModelSource;
use crate::inputs::AssetInput;
use crate::inputs::bytes_item;
use crate::items::{Content, Item, encode_items};
use crate::options::{AssetKind, EncodeOptions, EncodeReport};
use crate::writer::{AppendBase as Appended, ContainerWriter, Draft, write_slot};
use crate::{EncodeError, Result};
use mcodec_decode::{ReadOptions, Reader, hex};
use mcodec_format::{Asset, LeafPointer, Page, RootBody, SlotState, registry};
use std::collections::HashMap;
use std::fs::File;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

/// A record to be bound to an asset.
#[derive(Debug, Clone, Copy)]
pub struct Attachment<'a> {
    /// Name of the record, as `eval/2026-11`.
    pub name: &'a str,
    /// The asset: its name, or `blake3:` and the hex of its content hash. `None`: the only one.
    pub asset: Option<&'a str>,
    /// Schema id.
    pub schema: &'a str,
    /// A reader that does not know the schema must not decode the asset.
    pub required: bool,
    /// The JSON text.
    pub json: &'a [u8],
    /// A safetensors file with the record's tensors.
    pub tensors: Option<&'a Path>,
}

/// A file opened to be changed: locked, its whole index in a draft.
struct Edit {
    file: File,
    base: Appended,
    draft: Draft,
}

/// Adds the asset that `input` makes as a new generation of `target`, told against what the options say. Nothing that is there is rewritten.
///
/// # Errors
/// If either cannot be read, the target is being changed by another process, or has an asset of that name.
pub fn append(
    target: &Path,
    input: &Path,
    kind: Option<AssetKind>,
    options: &EncodeOptions,
) -> Result<EncodeReport> {
    let (input, mut notes) = input_of(input, kind, options)?;
    let edit = Edit::open(target, options)?;
    let names: Vec<String> = match &input {
        Input::Asset(asset) => vec![asset.name.clone()],
        #[cfg(feature = "images")]
        Input::Pictures(pictures) => pictures.iter().map(|(_, name)| name.clone()).collect(),
    };
    let mut report = add_to(edit, target, &names, |edit, ordinal| match input {
        Input::Asset(asset) => append_asset(edit, target, ordinal, *asset, options),
        #[cfg(feature = "images")]
        Input::Pictures(pictures) => append_pictures(edit.writer(target)?, ordinal, &pictures, options),
    })?;
    notes.append(&mut report.notes);
    report.notes = notes;
    Ok(report)
}

/// Adds assets of these names through a writer, which `add` is given with the ordinal of the first.
pub(crate) fn append_by(
    target: &Path,
    names: &[String],
    options: &EncodeOptions,
    add: impl FnOnce(ContainerWriter, u32) -> Result<EncodeReport>,
) -> Result<EncodeReport> {
    add_to(Edit::open(target, options)?, target, names, |edit, ordinal| add(edit.writer(target)?, ordinal))
}

fn add_to(
    edit: Edit,
    target: &Path,
    names: &[String],
    add: impl FnOnce(Edit, u32) -> Result<EncodeReport>,
) -> Result<EncodeReport> {
    if let Some(name) = names.iter().find(|name| edit.draft.assets.iter().any(|a| a.name == **name)) {
        return Err(EncodeError::Request(format!("{} has an asset {name:?} already", target.display())));
    }
    let ordinal = edit.draft.assets.iter().map(|a| a.ordinal).max().map_or(Some(0), |o| o.checked_add(1));
    let ordinal = ordinal.ok_or_else(|| EncodeError::Request("no asset ordinal is left".into()))?;
    let committed = edit.base.slot.committed;
    add(edit, ordinal).inspect_err(|_| {
        // What was written belongs to no generation; if it cannot be cut, readers pass over it.
        _ = File::options().write(true).open(target).and_then(|file| file.set_len(committed));
    })
}

/// Adds an asset of items, told against what the options say.
fn append_asset(
    edit: Edit,
    target: &Path,
    ordinal: u32,
    asset: AssetInput<'_>,
    options: &EncodeOptions,
) -> Result<EncodeReport> {
    let against = choose(target, &edit.draft, &asset, options)?;
    let mut writer = edit.writer(target)?;
    let mut report = add_asset(&mut writer, ordinal, asset, true, against.as_ref(), options)?;
    report.output_bytes = writer.finish(options)?;
    Ok(report)
}

/// Adds pictures, each as an asset.
#[cfg(feature = "images")]
fn append_pictures(
    mut writer: ContainerWriter,
    first: u32,
    pictures: &[crate::images::paths::Named],
    options: &EncodeOptions,
) -> Result<EncodeReport> {
    let mut all = EncodeReport::default();
    for (ordinal, (path, name)) in (first..).zip(pictures) {
        let report = crate::images::paths::add_path(&mut writer, ordinal, path, name, options)?;
        all.input_bytes += report.input_bytes;
        all.notes.extend(report.notes);
        (all.asset, all.content_hash) = (report.asset, report.content_hash);
        all.image = report.image.filter(|_| pictures.len() == 1);
    }
    all.output_bytes = crate::images::file::finish(writer, options)?;
    Ok(all)
}

/// Binds a record to an asset of `target`, as a new generation.
///
/// # Errors
/// If the JSON is not JSON, the asset is not there, or it has a record of that name.
pub fn attach(target: &Path, attachment: &Attachment<'_>, options: &EncodeOptions) -> Result<()> {
    if let Err(e) = serde_json::from_slice::<serde::de::IgnoredAny>(attachment.json) {
        return Err(EncodeError::Request(format!("record {:?} is not JSON: {e}", attachment.name)));
    }
    if !mcodec_decode::is_safe_path(attachment.name) || attachment.schema.is_empty() {
        return Err(EncodeError::Request(format!("{:?} cannot name a record", attachment.name)));
    }
    let tensors = match attachment.tensors {
        Some(path) => Some(ModelSource::open(path, &options.import)?),
        None => None,
    };
    let edit = Edit::open(target, options)?;
    let asset = find_asset(&edit.draft.assets, attachment.asset)?;
    let taken = |r: &mcodec_format::EntryRow| {
        r.asset == asset && r.kind == registry::entry::RECORD && r.name == attachment.name
    };
    if edit.draft.rows.iter().any(taken) {
        return Err(EncodeError::Request(format!(
            "there is a record {:?} already; detach it first",
            attachment.name
        )));
    }
    let first_id = edit.draft.next_id(asset);
    let bound = edit.draft.assets[asset].hash;
    let record =
        Content::Record { schema: attachment.schema.to_owned(), bound, required: attachment.required };
    let mut items = vec![bytes_item(attachment.name.to_owned(), record, attachment.json.to_vec())];
    if let Some(source) = &tensors {
        items.extend(record_tensors(source, attachment.name, first_id)?);
    }
    let mut writer = edit.writer(target)?;
    encode_items(&mut writer, asset, first_id, &items, options)?;
    writer.finish(options)?;
    Ok(())
}

fn record_tensors(source: &ModelSource, record: &str, owner: u32) -> Result<Vec<Item<'static>>> {
    let files: Vec<Arc<_>> =
        source.shards.iter().map(|s| s.open().map(Arc::new)).collect::<Result<_, _>>()?;
    let items = source.natural_tensors().into_iter().filter_map(|at| {
        let (shard, tensor) = source.tensor(at)?;
        let file = Arc::clone(files.get(at.shard)?);
        let begin = shard.data_offset + tensor.begin;
        let (dtype_name, shape) = (tensor.dtype.clone(), tensor.shape.clone());
        Some(Item {
            name: format!("{record}/{}", tensor.name),
            content: Content::Tensor { dtype_name, shape, owner: Some(owner) },
            byte_len: tensor.byte_len(),
            array: false,
            alias_of: None,
            base: None,
            read: Box::new(move |offset, buf| Ok(file.read_at(begin + offset, buf)?)),
        })
    });
    Ok(items.collect())
}

/// Takes a record, with its tensors, out of the index of `target`, as a new generation. `pack` drops its bytes.
///
/// # Errors
/// If the asset or the record is not there.
pub fn detach(target: &Path, asset: Option<&str>, name: &str, options: &EncodeOptions) -> Result<()> {
    let mut edit = Edit::open(target, options)?;
    let at = find_asset(&edit.draft.assets, asset)?;
    let is_record =
        |r: &&mcodec_format::EntryRow| r.asset == at && r.kind == registry::entry::RECORD && r.name == name;
    let Some(id) = edit.draft.rows.iter().find(is_record).map(|r| r.id) else {
        let asset = &edit.draft.assets[at].name;
        return Err(EncodeError::Request(format!("asset {asset:?} has no record {name:?}")));
    };
    let owner =
        |r: &mcodec_format::EntryRow| r.fields.varint("descriptor", registry::field::OWNER).ok().flatten();
    edit.draft.rows.retain(|r| r.asset != at || (r.id != id && owner(r) != Some(u64::from(id))));
    edit.writer(target)?.finish(options)?;
    Ok(())
}

fn find_asset(assets: &[Asset], wanted: Option<&str>) -> Result<usize> {
    let names = || assets.iter().map(|a| format!("{:?}", a.name)).collect::<Vec<_>>().join(", ");
    match wanted {
        None if assets.len() == 1 => Ok(0),
        None => Err(EncodeError::Request(format!("name one of the assets: {}", names()))),
        Some(wanted) => {
            let hash = wanted.strip_prefix("blake3:");
            let is =
                |a: &Asset| a.name == wanted || hash.is_some_and(|h| hex(&a.hash) == h.to_ascii_lowercase());
            assets.iter().position(is).ok_or_else(|| {
                EncodeError::Request(format!("there is no asset {wanted:?}; there are {}", names()))
            })
        }
    }
}

impl Edit {
    fn open(target: &Path, options: &EncodeOptions) -> Result<Self> {
        let open = || File::options().read(true).write(true).open(target);
        let file = open().map_err(EncodeError::io("open", target))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => {
                return Err(EncodeError::Busy { path: target.to_owned() });
            }
            // Not every file system has locks; a lone writer needs none.
            Err(std::fs::TryLockError::Error(e)) if e.kind() == ErrorKind::Unsupported => {}
            Err(std::fs::TryLockError::Error(e)) => return Err(EncodeError::io("lock", target)(e)),
        }
        let again = file.try_clone().map_err(EncodeError::io("open", target))?;
        let reader = Reader::open(again, ReadOptions::default().limits(options.limits))?;
        let index = reader.index();
        let pointers: Vec<Option<LeafPointer>> = match &index.root().body {
            RootBody::Inline(_) => vec![None],
            RootBody::Leaves(leaves) => leaves.iter().cloned().map(Some).collect(),
        };
        let mut draft = Draft::default();
        let mut kept: Vec<(LeafPointer, Page)> = Vec::new();
        let mut places: HashMap<u32, usize> = HashMap::new();
        for (leaf, pointer) in pointers.into_iter().enumerate() {
            let page = reader.leaf(leaf)?;
            for asset in &page.assets {
                places.entry(asset.ordinal).or_insert_with(|| draft.add_asset(asset.clone()));
            }
            for row in page.rows.iter().filter(|r| !r.copy) {
                let asset =
                    page.asset_of(row).and_then(|a| places.get(&a.ordinal)).copied().unwrap_or_default();
                draft.adopt(mcodec_format::EntryRow { asset, ..row.clone() });
            }
            if let Some(pointer) = pointer {
                kept.push((pointer, (*page).clone()));
            }
        }
        let base = Appended {
            preamble: index.preamble().clone(),
            slot: *index.slot(),
            data_base: index.root().data_base,
            leaves: kept,
        };
        Ok(Self { file, base, draft })
    }

    /// Starts the new generation. First makes sure that a slot holds the present one, which a streaming file's trailer only does while
    /// it is the file's end.
    fn writer(mut self, target: &Path) -> Result<ContainerWriter> {
        let slots = &mut self.base.preamble.slots;
        if !slots.contains(&SlotState::Whole(self.base.slot)) {
            let slot = self.base.slot;
            write_slot(&mut self.file, 1, &slot).map_err(EncodeError::io("write", target))?;
            slots[1] = SlotState::Whole(slot);
        }
        ContainerWriter::append(self.file, target, self.base, self.draft)
    }
}
