//! The two sides of a comparison, whatever they are stored as.

use crate::cli::Common;
use crate::console::Console;
use crate::export::safetensors::metadata_of;
use crate::gguf::GgufHead;
use crate::input::{self, Base, FileReader, is_mcodec, shown};
use crate::outcome::usage;
use crate::selection;
use crate::sink::is_std;
use anyhow::Context;
use mcodec_decode::{Entry, ReadAt};
use mcodec_encode::import::gguf::{GgufLimits, GgufSource, GgufTensor, looks_like_gguf};
use mcodec_encode::import::safetensors::looks_like_safetensors;
use mcodec_encode::import::{ImportOptions, ModelSource, ShardFile, looks_like_parts};
use mcodec_format::{Asset, EntryDescriptor, registry};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::rc::Rc;

/// Fills a buffer with the content's bytes at an offset.
type ReadPart = Box<dyn Fn(u64, &mut [u8]) -> anyhow::Result<()>>;

/// A named run of bytes.
pub(crate) struct Part {
    pub(super) dtype: String,
    pub(super) shape: Vec<u64>,
    pub(super) len: u64,
    /// Why it cannot be read by this version.
    pub(super) refused: Option<String>,
    pub(super) read: ReadPart,
}

/// One side: a model, or a file.
pub(crate) struct Side {
    pub(super) label: String,
    pub(super) is_model: bool,
    pub(super) tensors: BTreeMap<String, Part>,
    /// `None` if this side cannot have files beside its tensors.
    pub(super) files: Option<BTreeMap<String, Part>>,
    /// `None` if this side cannot have records.
    pub(super) records: Option<BTreeMap<String, Part>>,
    pub(super) metadata: String,
}

/// Two sides to compare; one is missing if only the other has the asset.
pub(crate) type Pair = (Option<Side>, Option<Side>);

enum Opened {
    Container(Rc<FileReader>),
    Model(Box<ModelSource>),
    Gguf(Box<GgufSource>),
    Other(File),
}

/// Opens both inputs and pairs what is to be compared.
pub(crate) fn pairs(
    a: &Path,
    b: &Path,
    asset: Option<&str>,
    bases: &[Base],
    common: &Common,
    console: &Console,
) -> anyhow::Result<Vec<Pair>> {
    if is_std(a) && is_std(b) {
        return Err(usage("only one of the inputs can be the standard input"));
    }
    let (one, two) = (open(a, bases, common, console)?, open(b, bases, common, console)?);
    if let (Opened::Container(one), Opened::Container(two)) = (&one, &two) {
        return containers((a, one), (b, two), asset);
    }
    // A model beside a file that is none: both as bytes.
    let as_model = matches!((&one, &two), (Opened::Other(_), _) | (_, Opened::Other(_)));
    let one_side = side(a, &one, &two, b, asset, as_model)?;
    let two_side = side(b, &two, &one, a, asset, as_model)?;
    let blob = |s: &Side| !s.is_model;
    // A blob beside a model is compared with the model's file.
    let one_side =
        if blob(&two_side) && !blob(&one_side) { bytes_of(a, &one)?.unwrap_or(one_side) } else { one_side };
    let two_side =
        if blob(&one_side) && !blob(&two_side) { bytes_of(b, &two)?.unwrap_or(two_side) } else { two_side };
    Ok(vec![(Some(one_side), Some(two_side))])
}

fn open(path: &Path, bases: &[Base], common: &Common, console: &Console) -> anyhow::Result<Opened> {
    if is_std(path) || is_mcodec(path) {
        let reader = input::open(path, common, console)?.with_bases(bases.to_vec());
        return Ok(Opened::Container(Rc::new(reader)));
    }
    let meta = std::fs::metadata(path).with_context(|| format!("cannot open {}", shown(path)))?;
    let model = || -> anyhow::Result<Opened> {
        Ok(Opened::Model(Box::new(ModelSource::open(path, &ImportOptions::default())?)))
    };
    if meta.is_dir() {
        return model();
    }
    let file = input::open_file(path)?;
    let mut head = Vec::new();
    (&file).take(16).read_to_end(&mut head).with_context(|| format!("cannot read {}", shown(path)))?;
    let named = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("safetensors"));
    if looks_like_safetensors(&head, Some(meta.len())) || named {
        return model();
    }
    if looks_like_gguf(&head)
        && let Ok(source) = GgufSource::open(path, &GgufLimits::default())
    {
        return Ok(Opened::Gguf(Box::new(source)));
    }
    // What is not taken apart is compared as bytes, as it is encoded.
    if looks_like_parts(&head)
        && let Ok(found) = model()
    {
        return Ok(found);
    }
    Ok(Opened::Other(file))
}

/// Assets of two containers, by name; the only ones are a pair whatever they are called.
fn containers(
    (a, one): (&Path, &Rc<FileReader>),
    (b, two): (&Path, &Rc<FileReader>),
    asset: Option<&str>,
) -> anyhow::Result<Vec<Pair>> {
    if asset.is_some() {
        let (x, y) = (selection::asset(one, asset)?, selection::asset(two, asset)?);
        return Ok(vec![(Some(asset_side(a, one, &x)?), Some(asset_side(b, two, &y)?))]);
    }
    let (xs, ys) = (one.assets()?, two.assets()?);
    if let ([x], [y]) = (&xs[..], &ys[..]) {
        return Ok(vec![(Some(asset_side(a, one, x)?), Some(asset_side(b, two, y)?))]);
    }
    let mut all = Vec::new();
    for x in &xs {
        let y = ys.iter().find(|y| y.name == x.name).map(|y| asset_side(b, two, y)).transpose()?;
        all.push((Some(asset_side(a, one, x)?), y));
    }
    for y in ys.iter().filter(|y| !xs.iter().any(|x| x.name == y.name)) {
        all.push((None, Some(asset_side(b, two, y)?)));
    }
    Ok(all)
}

/// One input as a side, given the other.
fn side(
    path: &Path,
    this: &Opened,
    other: &Opened,
    other_path: &Path,
    asset: Option<&str>,
    bytes: bool,
) -> anyhow::Result<Side> {
    match this {
        Opened::Container(reader) => {
            let fits = match other {
                Opened::Model(source) => source.name.clone(),
                Opened::Gguf(source) => source.name.clone(),
                _ => other_path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            };
            let asset = match asset {
                None if reader.index().root().assets > 1 => Some(fits.as_str()),
                asset => asset,
            };
            asset_side(path, reader, &selection::asset(reader, asset)?)
        }
        Opened::Model(source) if !bytes || source.is_folder => source_side(path, source),
        Opened::Gguf(source) if !bytes => gguf_side(path, source),
        _ => match bytes_of(path, this)? {
            Some(side) => Ok(side),
            None => Err(usage(format!("{} cannot be compared byte by byte", shown(path)))),
        },
    }
}

/// A plain file as one run of bytes.
fn bytes_of(path: &Path, opened: &Opened) -> anyhow::Result<Option<Side>> {
    let file = match opened {
        Opened::Other(file) => file.try_clone()?,
        Opened::Model(source) if !source.is_folder => File::open(path)?,
        Opened::Gguf(_) => File::open(path)?,
        _ => return Ok(None),
    };
    let len = file.size()?;
    let read: ReadPart = Box::new(move |at, buf| Ok(file.read_exact_at(at, buf)?));
    Ok(Some(blob_side(shown(path), Part::of_bytes(len, read))))
}

fn blob_side(label: String, content: Part) -> Side {
    Side {
        label,
        is_model: false,
        tensors: BTreeMap::new(),
        files: Some(BTreeMap::from([(String::new(), content)])),
        records: None,
        metadata: String::new(),
    }
}

impl Part {
    fn of_bytes(len: u64, read: ReadPart) -> Self {
        Self { dtype: String::new(), shape: Vec::new(), len, refused: None, read }
    }

    fn of_entry(reader: &Rc<FileReader>, entry: Entry) -> Self {
        let (dtype, shape) =
            entry.tensor().map(|t| (t.dtype_name.clone(), t.shape.clone())).unwrap_or_default();
        let (reader, len) = (Rc::clone(reader), entry.byte_len());
        let read: ReadPart =
            Box::new(move |at, buf| Ok(reader.read_into(&entry, at..at + buf.len() as u64, buf)?));
        Self { dtype, shape, ..Self::of_bytes(len, read) }
    }

    fn refused(why: String) -> Self {
        let read: ReadPart = Box::new(|_, _| anyhow::bail!("it cannot be read"));
        Self { refused: Some(why), ..Self::of_bytes(0, read) }
    }
}

fn asset_side(path: &Path, reader: &Rc<FileReader>, asset: &Asset) -> anyhow::Result<Side> {
    selection::check_decodable(reader, asset)?;
    let label = format!("{} ({})", shown(path), asset.name);
    let mut side = Side {
        label,
        is_model: registry::asset::is_of_tensors(asset.kind),
        tensors: BTreeMap::new(),
        files: Some(BTreeMap::new()),
        records: Some(BTreeMap::new()),
        metadata: match GgufHead::of_asset(reader, asset) {
            Some(head) => head.metadata_text(),
            None => metadata_of(reader, asset)?,
        },
    };
    for row in reader.rows(&asset.name)? {
        let (name, kind) = (row.get().name.clone(), row.get().kind);
        let (part, layout, owned) = match reader.resolve(row) {
            Ok(entry) => {
                let layout = selection::layout_id(&entry).is_some();
                let owned = entry.tensor().is_some_and(|t| t.owner.is_some());
                let table = matches!(entry.descriptor(), EntryDescriptor::Shared);
                (Part::of_entry(reader, entry), layout || table, owned)
            }
            Err(e) => (Part::refused(e.to_string()), false, false),
        };
        let records = side.records.get_or_insert_default();
        match kind {
            registry::entry::TENSOR if !owned => _ = side.tensors.insert(name, part),
            registry::entry::TENSOR | registry::entry::RECORD => _ = records.insert(name, part),
            registry::entry::FILE if !layout => _ = side.files.get_or_insert_default().insert(name, part),
            _ => {}
        }
    }
    Ok(side)
}

fn source_side(path: &Path, source: &ModelSource) -> anyhow::Result<Side> {
    let mut tensors = BTreeMap::new();
    for shard in &source.shards {
        let file = Rc::new(shard.open()?);
        for tensor in &shard.header.tensors {
            let start = shard.data_offset + tensor.begin;
            let part = Part::of_bytes(tensor.byte_len(), read_of(&file, start));
            let part = Part { dtype: tensor.dtype.clone(), shape: tensor.shape.clone(), ..part };
            tensors.insert(tensor.name.clone(), part);
        }
    }
    let mut files = BTreeMap::new();
    for file in &source.files {
        let open = Rc::new(file.open()?);
        files.insert(file.name.clone(), Part::of_bytes(file.len, read_of(&open, 0)));
    }
    let files = source.is_folder.then_some(files);
    let mut metadata = source.shards.iter().map(|s| s.header.metadata.clone().unwrap_or_default());
    let first = metadata.next().unwrap_or_default();
    let metadata = if metadata.all(|m| m == first) { first } else { String::new() };
    Ok(Side { label: shown(path), is_model: true, tensors, files, records: None, metadata })
}

/// The tensors of a GGUF file, and what is none of them as its metadata.
fn gguf_side(path: &Path, source: &GgufSource) -> anyhow::Result<Side> {
    let file = Rc::new(source.open_file()?);
    let part = |tensor: &GgufTensor| {
        let part = Part::of_bytes(tensor.byte_len, read_of(&file, tensor.begin));
        (tensor.name.clone(), Part { dtype: tensor.dtype_name(), shape: tensor.shape.clone(), ..part })
    };
    let tensors = source.header.tensors.iter().map(part).collect();
    let mut head = vec![0; source.header.end as usize];
    file.read_at(0, &mut head)?;
    let metadata = GgufHead::of(head).map_or_else(String::new, |head| head.metadata_text());
    Ok(Side { label: shown(path), is_model: true, tensors, files: None, records: None, metadata })
}

fn read_of(file: &Rc<ShardFile>, start: u64) -> ReadPart {
    let file = Rc::clone(file);
    Box::new(move |at, buf| Ok(file.read_at(start + at, buf)?))
}
