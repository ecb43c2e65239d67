//! What can be encoded, as lists of items: models from safetensors and folders, assets of mcodec files, streams, opaque files.

use crate::import::gguf::{GgufSource, Run};
use crate::import::pieces::{Place, in_order};
use crate::import::safetensors::{Header, HeaderEntry, HeaderLimits, is_canonical, layout_for, read_header};
use crate::import::{ModelSource, Shard, ShardFile, ShardFormat, TensorRef};
use crate::items::{Content, Item};
use crate::{EncodeError, Result};
use mcodec_decode::layout::{Layout, Piece};
use mcodec_decode::{Entry, ReadAt, Reader};
use mcodec_format::natural_order::natural_cmp;
use mcodec_format::{Asset, EntryDescriptor, Fields, registry};
use std::collections::HashMap;
use std::io::Read;
use std::path::Path;
use std::sync::{Arc, Mutex};

/// An asset to be made: its items, in the order of their entry ids.
pub(crate) struct AssetInput<'a> {
    pub(crate) kind: u64,
    pub(crate) name: String,
    pub(crate) fields: Fields,
    pub(crate) items: Vec<Item<'a>>,
    pub(crate) input_bytes: u64,
    pub(crate) notes: Vec<String>,
}

/// The items of a model: its files first, then its tensors in natural order (`natural`) or in the order of the file.
pub(crate) fn model_input(source: &ModelSource, streaming: bool) -> Result<AssetInput<'static>> {
    let order = source.natural_tensors();
    let ids: HashMap<(usize, usize), u32> =
        (0u32..).zip(&order).map(|(i, t)| ((t.shard, t.index), i)).collect();
    let mut fields = Fields::default();
    let canonical = !streaming
        && !source.is_folder
        && source.shards.iter().all(|s| {
            s.format == ShardFormat::Safetensors
                && is_canonical(&s.header_bytes, &s.header)
                && s.name == format!("{}.safetensors", source.name)
        });
    let mut heads: Vec<Item<'static>> = Vec::new();
    let layouts = if canonical { 0 } else { source.shards.len() };
    let first_tensor = (layouts + source.files.len()) as u32;
    if canonical {
        fields.set(registry::asset_field::SOURCE, true, vec![1]);
    }
    let mut input_bytes = 0;
    let mut files = Vec::new();
    for (at, shard) in source.shards.iter().enumerate() {
        input_bytes += shard.byte_len();
        let file = Arc::new(shard.open()?);
        if !canonical {
            let id_of = |index| first_tensor + ids.get(&(at, index)).copied().unwrap_or_default();
            let layout = match shard.format {
                ShardFormat::Safetensors => layout_for(&shard.header_bytes, &shard.header, id_of),
                ShardFormat::Pieces => {
                    let natural = order.iter().filter(|t| t.shard == at).map(|t| t.index);
                    pieces_layout(&file, shard, natural, id_of)?
                }
            };
            heads.push(layout_item(&shard.name, &layout));
        }
        files.push(file);
    }
    for file in &source.files {
        input_bytes += file.len;
        heads.push(file_item(&file.name, Arc::new(file.open()?), registry::file_layout::BYTES));
    }
    let tensors = order.iter().filter_map(|&t| {
        let (shard, tensor) = source.tensor(t)?;
        Some(tensor_item(tensor, Arc::clone(files.get(t.shard)?), shard.data_offset))
    });
    let mut items = heads;
    items.extend(tensors);
    alias_same_places(source, &order, first_tensor, &mut items);
    let mut notes = source.notes.clone();
    if !source.left_out.is_empty() {
        notes.push(format!("left out (--all-files takes them): {}", source.left_out.join(", ")));
    }
    let name = source.name.clone();
    Ok(AssetInput { kind: registry::asset::MODEL, name, fields, items, input_bytes, notes })
}

/// The parts of a shard that is no safetensors file. Its tensors come in the order `natural`, of which the first at each place stands for all there.
fn pieces_layout(
    file: &ShardFile,
    shard: &Shard,
    natural: impl Iterator<Item = usize>,
    id_of: impl Fn(usize) -> u32,
) -> Result<Layout> {
    let mut pieces = Vec::new();
    for place in in_order(file, &shard.header.tensors, natural)? {
        pieces.push(match place {
            Place::Tensor(index) => Piece::Tensor(id_of(index)),
            Place::Between(begin, end) => {
                let mut bytes = vec![0; (end - begin) as usize];
                file.read_at(begin, &mut bytes)?;
                Piece::Literal(bytes)
            }
        });
    }
    Ok(Layout::Pieces(pieces))
}

/// Tensors at one place of a file are one, by several names: the first of them, in their order, has the bytes.
fn alias_same_places(source: &ModelSource, order: &[TensorRef], first_id: u32, items: &mut [Item<'_>]) {
    let mut owners: HashMap<(usize, u64), u32> = HashMap::new();
    for (id, at) in (first_id..).zip(order) {
        let Some((shard, tensor)) = source.tensor(*at) else { continue };
        if shard.format != ShardFormat::Pieces || tensor.byte_len() == 0 {
            continue;
        }
        let owner = *owners.entry((at.shard, tensor.begin)).or_insert(id);
        if owner != id
            && let Some(item) = items.get_mut(id as usize)
        {
            item.alias_of = Some(owner);
        }
    }
}

fn tensor_item(tensor: &HeaderEntry, file: Arc<ShardFile>, data_offset: u64) -> Item<'static> {
    let begin = data_offset + tensor.begin;
    Item {
        name: tensor.name.clone(),
        content: Content::Tensor {
            dtype_name: tensor.dtype.clone(),
            shape: tensor.shape.clone(),
            owner: None,
        },
        byte_len: tensor.byte_len(),
        array: false,
        alias_of: None,
        base: None,
        read: Box::new(move |offset, buf| Ok(file.read_at(begin + offset, buf)?)),
    }
}

fn layout_item(name: &str, layout: &Layout) -> Item<'static> {
    let (id, bytes) = layout.to_bytes();
    bytes_item(name.to_owned(), Content::File { layout: id }, bytes)
}

/// An item whose content is in memory.
pub(crate) fn bytes_item(name: String, content: Content<'static>, bytes: Vec<u8>) -> Item<'static> {
    let byte_len = bytes.len() as u64;
    let read = Box::new(move |offset: u64, buf: &mut [u8]| {
        let start = offset as usize;
        match bytes.get(start..start + buf.len()) {
            Some(part) => buf.copy_from_slice(part),
            None => return Err(EncodeError::Request("content was read beyond its end".into())),
        }
        Ok(())
    });
    Item { name, content, byte_len, array: false, alias_of: None, base: None, read }
}

fn file_item(name: &str, file: Arc<ShardFile>, layout: u64) -> Item<'static> {
    Item {
        name: name.to_owned(),
        content: Content::File { layout },
        byte_len: file.len(),
        array: false,
        alias_of: None,
        base: None,
        read: Box::new(move |offset, buf| Ok(file.read_at(offset, buf)?)),
    }
}

/// A GGUF file: its layout, then its tensors in natural order.
pub(crate) fn gguf_input(source: &GgufSource) -> Result<AssetInput<'static>> {
    let file = Arc::new(source.open_file()?);
    let tensors = &source.header.tensors;
    let mut order: Vec<usize> = (0..tensors.len()).collect();
    order.sort_by(|&a, &b| natural_cmp(tensors[a].name.as_bytes(), tensors[b].name.as_bytes()));
    let ids: HashMap<usize, u32> = order.iter().copied().zip(1u32..).collect();
    let mut pieces = Vec::new();
    for run in source.runs() {
        pieces.push(match run {
            Run::Tensor(at) => Piece::Tensor(ids.get(&at).copied().unwrap_or_default()),
            Run::Other(at, len) => {
                let mut bytes = vec![0; len as usize];
                file.read_at(at, &mut bytes)?;
                Piece::Literal(bytes)
            }
        });
    }
    let mut items = vec![layout_item(&source.file_name, &Layout::Pieces(pieces))];
    for at in order {
        let tensor = &tensors[at];
        let (begin, file) = (tensor.begin, Arc::clone(&file));
        let content =
            Content::Tensor { dtype_name: tensor.dtype_name(), shape: tensor.shape.clone(), owner: None };
        items.push(Item {
            name: tensor.name.clone(),
            content,
            byte_len: tensor.byte_len,
            array: false,
            alias_of: None,
            base: None,
            read: Box::new(move |offset, buf| Ok(file.read_at(begin + offset, buf)?)),
        });
    }
    Ok(AssetInput {
        kind: registry::asset::MODEL,
        name: source.name.clone(),
        fields: Fields::default(),
        items,
        input_bytes: source.byte_len,
        notes: Vec::new(),
    })
}

/// One opaque file.
pub(crate) fn blob_input(path: &Path) -> Result<AssetInput<'static>> {
    let file = Arc::new(ShardFile::open(path)?);
    let input_bytes = file.len();
    let name = path.file_name().map_or_else(|| "blob".into(), |n| n.to_string_lossy().into_owned());
    let items = vec![file_item("", file, registry::file_layout::BYTES)];
    Ok(AssetInput {
        kind: registry::asset::BLOB,
        name,
        fields: Fields::default(),
        items,
        input_bytes,
        notes: Vec::new(),
    })
}

type SharedInput = Arc<Mutex<Box<dyn Read + Send>>>;

/// A safetensors file that arrives through a pipe: items in the order of their bytes.
pub(crate) fn stream_input(mut input: Box<dyn Read + Send>, name: &str) -> Result<AssetInput<'static>> {
    let fail = |source| crate::import::ImportError::Header { path: "standard input".into(), source };
    let (header_bytes, header): (Vec<u8>, Header) =
        read_header(&mut input, None, &HeaderLimits::default()).map_err(fail)?;
    let order = header.data_order();
    let place: HashMap<usize, u32> = (1u32..).zip(&order).map(|(id, &index)| (index, id)).collect();
    let layout = layout_for(&header_bytes, &header, |index| place.get(&index).copied().unwrap_or_default());
    let input_bytes = header_bytes.len() as u64 + header.data_len();
    let shared: SharedInput = Arc::new(Mutex::new(input));
    let mut items = vec![layout_item(&format!("{name}.safetensors"), &layout)];
    let count = order.len();
    for (at, &index) in order.iter().enumerate() {
        let tensor = &header.tensors[index];
        let ends = at + 1 == count;
        items.push(stream_item(tensor, Arc::clone(&shared), ends));
    }
    if count == 0 {
        expect_end(&shared)?;
    }
    let kind = registry::asset::MODEL;
    Ok(AssetInput {
        kind,
        name: name.to_owned(),
        fields: Fields::default(),
        items,
        input_bytes,
        notes: Vec::new(),
    })
}

fn stream_item(tensor: &HeaderEntry, input: SharedInput, ends: bool) -> Item<'static> {
    let byte_len = tensor.byte_len();
    Item {
        name: tensor.name.clone(),
        content: Content::Tensor {
            dtype_name: tensor.dtype.clone(),
            shape: tensor.shape.clone(),
            owner: None,
        },
        byte_len,
        array: false,
        alias_of: None,
        base: None,
        read: Box::new(move |offset, buf| {
            read_exact(&input, buf)?;
            if ends && offset + buf.len() as u64 == byte_len { expect_end(&input) } else { Ok(()) }
        }),
    }
}

fn stdin_error(source: std::io::Error) -> EncodeError {
    EncodeError::Io { action: "read", path: "standard input".into(), source }
}

fn read_exact(input: &SharedInput, buf: &mut [u8]) -> Result<()> {
    let mut input = input.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    input.read_exact(buf).map_err(stdin_error)
}

/// Nothing may follow the last tensor.
fn expect_end(input: &SharedInput) -> Result<()> {
    let mut input = input.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let mut byte = [0u8];
    loop {
        match input.read(&mut byte) {
            Ok(0) => return Ok(()),
            Ok(_) => {
                return Err(EncodeError::Request("bytes follow the last tensor on standard input".into()));
            }
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(stdin_error(e)),
        }
    }
}

/// An asset of an mcodec file, to be coded anew. Records and their tensors come along.
pub(crate) fn asset_input<S: ReadAt + 'static>(
    reader: &Arc<Reader<S>>,
    asset: &Asset,
) -> Result<AssetInput<'static>> {
    let rows = reader.rows(&asset.name)?;
    mcodec_decode::check_asset(asset, rows.iter().map(|r| &*r.page))?;
    let mut entries = Vec::new();
    let mut notes = Vec::new();
    for row in rows {
        if registry::name_of(&registry::entry::ALL, row.get().kind).is_none() {
            notes.push(format!("entry {:?} of unknown kind {} is left out", row.get().name, row.get().kind));
            continue;
        }
        let entry = reader.resolve(row)?;
        if !registry::entry::is_shared_object(entry.kind()) {
            entries.push(entry);
        }
    }
    // Files first, as in a fresh encode.
    entries.sort_by_key(|e| (e.kind() != registry::entry::FILE, e.kind() == registry::entry::RECORD));
    let ids: HashMap<u32, u32> = (0u32..).zip(&entries).map(|(new, e)| (e.id(), new)).collect();
    let mut items = Vec::new();
    let mut input_bytes = 0;
    for entry in &entries {
        if entry.tensor().is_none_or(|t| t.representation == mcodec_format::Representation::Plain) {
            input_bytes += entry.byte_len();
        }
        items.push(entry_item(reader, entry, &ids)?);
    }
    let fields = asset.fields.clone();
    Ok(AssetInput { kind: asset.kind, name: asset.name.clone(), fields, items, input_bytes, notes })
}

fn entry_item<S: ReadAt + 'static>(
    reader: &Arc<Reader<S>>,
    entry: &Entry,
    ids: &HashMap<u32, u32>,
) -> Result<Item<'static>> {
    let content = match entry.descriptor() {
        EntryDescriptor::Tensor(t) => Content::Tensor {
            dtype_name: t.dtype_name.clone(),
            shape: t.shape.clone(),
            owner: t.owner.and_then(|o| ids.get(&o).copied()),
        },
        EntryDescriptor::Record(r) => {
            Content::Record { schema: r.schema.clone(), bound: r.bound, required: entry.row().critical }
        }
        EntryDescriptor::File(f) if f.layout != registry::file_layout::BYTES => {
            let fail =
                |e: &dyn std::fmt::Display| EncodeError::Request(format!("file {:?}: {e}", entry.name()));
            let layout = Layout::parse(f.layout, &reader.read_all(entry)?).map_err(|e| fail(&e))?;
            let new_id =
                |old| ids.get(&old).copied().ok_or_else(|| fail(&format!("tensor {old} is not there")));
            let layout = layout.renumbered(new_id)?;
            return Ok(layout_item(entry.name(), &layout));
        }
        _ => Content::File { layout: registry::file_layout::BYTES },
    };
    let (source, from) = (Arc::clone(reader), entry.clone());
    Ok(Item {
        name: entry.name().to_owned(),
        content,
        byte_len: entry.byte_len(),
        array: false,
        alias_of: None,
        base: None,
        read: Box::new(move |offset, buf| {
            Ok(source.read_into(&from, offset..offset + buf.len() as u64, buf)?)
        }),
    })
}

/// Finds tensors with the same dtype, shape and bytes: the later ones become aliases of the first.
pub(crate) fn find_duplicates(items: &mut [Item<'_>], first_id: u32, threads: usize) -> Result<u64> {
    /// Below this an alias costs as much as the bytes.
    const LEAST: u64 = 64;
    let mut groups: HashMap<(String, Vec<u64>), Vec<usize>> = HashMap::new();
    for (at, item) in items.iter().enumerate() {
        if let Content::Tensor { dtype_name, shape, .. } = &item.content
            && item.byte_len >= LEAST
            && !item.array
        {
            groups.entry((dtype_name.clone(), shape.clone())).or_default().push(at);
        }
    }
    let mut groups: Vec<Vec<usize>> = groups.into_values().filter(|g| g.len() > 1).collect();
    groups.sort_unstable();
    let candidates: Vec<usize> = groups.concat();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    let pool = pool.map_err(|e| EncodeError::Request(format!("cannot start {threads} threads: {e}")))?;
    let hash_all = || -> Result<HashMap<usize, blake3::Hash>> {
        use rayon::prelude::*;
        candidates.par_iter().map(|&at| Ok((at, hash_item(&items[at])?))).collect()
    };
    let hashes = pool.install(hash_all)?;
    let mut aliases = 0;
    for group in groups {
        let mut first: HashMap<blake3::Hash, usize> = HashMap::new();
        for at in group {
            match first.get(&hashes[&at]) {
                Some(&owner) => {
                    items[at].alias_of = Some(first_id + owner as u32);
                    aliases += 1;
                }
                None => {
                    first.insert(hashes[&at], at);
                }
            }
        }
    }
    Ok(aliases)
}

pub(crate) fn hash_item(item: &Item<'_>) -> Result<blake3::Hash> {
    let mut hasher = blake3::Hasher::new();
    let mut buf = vec![0u8; (1 << 20).min(item.byte_len as usize)];
    let mut at = 0;
    while at < item.byte_len {
        let n = (item.byte_len - at).min(buf.len() as u64) as usize;
        (item.read)(at, &mut buf[..n])?;
        hasher.update(&buf[..n]);
        at += n as u64;
    }
    Ok(hasher.finalize())
}
