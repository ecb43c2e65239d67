//! Encoding a whole input into a new file.

use crate::against::{Against, tell_against};
use crate::build::write_bundles;
use crate::copy::entries_of;
#[cfg(feature = "images")]
use crate::images::import::looks_like_picture as is_picture;
use crate::import::gguf::{GgufSource, looks_like_gguf};
use crate::import::safetensors::looks_like_safetensors;
use crate::import::{ImportError, ModelSource, looks_like_parts};
use crate::inputs::{
    AssetInput, asset_input, blob_input, find_duplicates, gguf_input, model_input, stream_input,
};
use crate::items::{Content, Item, encode_items};
use crate::options::{AssetKind, EncodeOptions, EncodeReport, Output};
use crate::pack::rows_of;
use crate::writer::{ContainerWriter, new_asset};
use crate::{EncodeError, Result};
use mcodec_decode::{ModelHasher, ReadOptions, Reader};
use mcodec_format::{Asset, Bundles, Dependency, Representation, registry};
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

/// What an input turned out to be.
enum Found {
    #[cfg(feature = "images")]
    Pictures(Vec<crate::images::paths::Named>),
    Model(Box<ModelSource>),
    Gguf(Box<GgufSource>),
    Blob,
    Container,
}

/// Encodes a safetensors, GGUF, PyTorch or NumPy file, a Hugging Face folder, an mcodec file (coded anew, records kept) or any other file (as a blob).
/// `kind` overrides what the content says.
///
/// # Errors
/// If the input is malformed or cannot be read, or the output cannot be written; the output is then as it was.
pub fn encode_path(
    input: &Path,
    kind: Option<AssetKind>,
    output: Output,
    options: &EncodeOptions,
) -> Result<EncodeReport> {
    let (found, mut notes) = recognise(input, kind, options)?;
    let mut report = match found {
        Found::Container => recode(input, output, options)?,
        #[cfg(feature = "images")]
        Found::Pictures(pictures) if input.is_dir() => {
            crate::images::paths::encode_pack(&pictures, output, options)?
        }
        #[cfg(feature = "images")]
        Found::Pictures(pictures) => crate::images::paths::encode_pictures(&pictures, output, options)?,
        found => {
            let mut writer = ContainerWriter::create(output)?;
            let asset = open_input(input, &found, writer.is_streaming())?;
            let twice = !writer.is_streaming();
            let mut report = add_asset(&mut writer, 0, asset, twice, base_of(options).as_ref(), options)?;
            report.output_bytes = writer.finish(options)?;
            report
        }
    };
    notes.append(&mut report.notes);
    report.notes = notes;
    Ok(report)
}

/// The model of another file that the options say to encode against.
pub(crate) fn base_of(options: &EncodeOptions) -> Option<Against> {
    options.bases.first().map(|model| Against { model: Arc::clone(model), place: None })
}

/// Opens what was found as an asset to be made. Only in a streaming file does every tensor's file need its own entry.
fn open_input(input: &Path, found: &Found, streaming: bool) -> Result<AssetInput<'static>> {
    match found {
        Found::Model(source) => model_input(source, streaming),
        Found::Gguf(source) => gguf_input(source),
        _ => blob_input(input),
    }
}

/// What an input adds to a file.
pub(crate) enum Input {
    /// An asset of items.
    Asset(Box<AssetInput<'static>>),
    /// Pictures, each an asset.
    #[cfg(feature = "images")]
    Pictures(Vec<crate::images::paths::Named>),
}

/// What `input` makes, for adding it to a file.
pub(crate) fn input_of(
    input: &Path,
    kind: Option<AssetKind>,
    options: &EncodeOptions,
) -> Result<(Input, Vec<String>)> {
    match recognise(input, kind, options)? {
        (Found::Container, _) => {
            let why =
                format!("{} is an mcodec file; append its source, or encode it as a blob", input.display());
            Err(EncodeError::Request(why))
        }
        #[cfg(feature = "images")]
        (Found::Pictures(pictures), notes) => Ok((Input::Pictures(pictures), notes)),
        (found, notes) => Ok((Input::Asset(Box::new(open_input(input, &found, false)?)), notes)),
    }
}

/// Opens a model, with its notes; what is none is refused.
pub(crate) fn open_model(
    input: &Path,
    kind: Option<AssetKind>,
    options: &EncodeOptions,
) -> Result<(AssetInput<'static>, Vec<String>)> {
    let (found, notes) = recognise(input, kind, options)?;
    match found {
        Found::Model(_) => Ok((open_input(input, &found, false)?, notes)),
        _ => Err(EncodeError::Request(format!(
            "{} is no model of floats, which could be quantised",
            input.display()
        ))),
    }
}

fn recognise(input: &Path, kind: Option<AssetKind>, options: &EncodeOptions) -> Result<(Found, Vec<String>)> {
    let model =
        || -> Result<Found> { Ok(Found::Model(Box::new(ModelSource::open(input, &options.import)?))) };
    let meta = std::fs::metadata(input).map_err(EncodeError::io("read", input))?;
    let is_gguf = !meta.is_dir() && looks_like_gguf(&head_of(input)?);
    match kind {
        Some(AssetKind::Model) if is_gguf => {
            return Ok((Found::Gguf(Box::new(GgufSource::open(input, &options.import.gguf)?)), Vec::new()));
        }
        Some(AssetKind::Model) => return Ok((model()?, Vec::new())),
        Some(AssetKind::Blob) if meta.is_dir() => {
            return Err(EncodeError::Request(format!("{} is a folder, not a blob", input.display())));
        }
        Some(AssetKind::Blob) => return Ok((Found::Blob, Vec::new())),
        #[cfg(feature = "images")]
        Some(AssetKind::Image) => {
            let pictures = pictures_in(input, meta.is_dir())?;
            if pictures.is_empty() {
                return Err(EncodeError::Request(format!("{} holds no pictures", input.display())));
            }
            return Ok((Found::Pictures(pictures), Vec::new()));
        }
        #[cfg(not(feature = "images"))]
        Some(AssetKind::Image) => {
            return Err(EncodeError::Request(
                "pictures are not read: this encoder was built without them".into(),
            ));
        }
        #[cfg(feature = "images")]
        None if meta.is_dir() => {
            // A model folder may hold pictures, but a folder of pictures holds no model.
            return match model() {
                Err(EncodeError::Import(ImportError::NoModel { .. })) => match pictures_in(input, true)? {
                    pictures if pictures.is_empty() => Ok((model()?, Vec::new())),
                    pictures => Ok((Found::Pictures(pictures), Vec::new())),
                },
                found => Ok((found?, Vec::new())),
            };
        }
        #[cfg(not(feature = "images"))]
        None if meta.is_dir() => return Ok((model()?, Vec::new())),
        None => {}
    }
    let head = head_of(input)?;
    if head.starts_with(&registry::MAGIC) {
        return Ok((Found::Container, Vec::new()));
    }
    #[cfg(feature = "images")]
    if crate::images::import::looks_like_picture(&head) {
        return Ok((Found::Pictures(vec![crate::images::paths::named(input)]), Vec::new()));
    }
    let named = input.extension().is_some_and(|e| e.eq_ignore_ascii_case("safetensors"));
    if named || looks_like_safetensors(&head, Some(meta.len())) {
        return Ok((model()?, Vec::new()));
    }
    if is_gguf {
        match GgufSource::open(input, &options.import.gguf) {
            Err(ImportError::Gguf { source, .. }) if source.is_unsupported() => {
                let note = format!("{}: {source} is not taken apart: encoded as a blob", input.display());
                return Ok((Found::Blob, vec![note]));
            }
            found => return Ok((Found::Gguf(Box::new(found?)), Vec::new())),
        }
    }
    // Of these not all can be taken apart, and none is refused: as a blob it comes back as it is.
    let why = if looks_like_parts(&head) {
        match model() {
            Ok(found) => return Ok((found, Vec::new())),
            Err(e @ EncodeError::Import(ImportError::Io { .. } | ImportError::Changed { .. })) => {
                return Err(e);
            }
            Err(e) => format!("{e}: encoded as a blob"),
        }
    } else {
        format!("{} is not a format that mcodec takes apart: encoded as a blob", input.display())
    };
    Ok((Found::Blob, vec![why]))
}

/// The picture of a file, or those of a folder.
#[cfg(feature = "images")]
fn pictures_in(input: &Path, is_dir: bool) -> Result<Vec<crate::images::paths::Named>> {
    if is_dir {
        crate::images::paths::pictures_of(input)
    } else {
        Ok(vec![crate::images::paths::named(input)])
    }
}

/// The first bytes of a file.
fn head_of(input: &Path) -> Result<Vec<u8>> {
    let mut head = Vec::new();
    let file = File::open(input).map_err(EncodeError::io("open", input))?;
    file.take(16).read_to_end(&mut head).map_err(EncodeError::io("read", input))?;
    Ok(head)
}

/// Encodes a safetensors, GGUF, PyTorch or NumPy file or (by `kind`, or if it is none) a blob that arrives through a pipe, under the asset name `name`.
///
/// # Errors
/// As [`encode_path`].
pub fn encode_stream(
    mut input: Box<dyn Read + Send>,
    name: &str,
    kind: Option<AssetKind>,
    output: Output,
    options: &EncodeOptions,
) -> Result<EncodeReport> {
    let fail = EncodeError::io("read", Path::new("standard input"));
    let mut head = Vec::new();
    (&mut input).take(16).read_to_end(&mut head).map_err(fail)?;
    // GGUF files have their alignment, and the others their directory, where a pipe has not come to.
    let gguf = looks_like_gguf(&head) && kind != Some(AssetKind::Blob);
    let spooled = head.starts_with(&registry::MAGIC) || looks_like_parts(&head) || is_picture(&head);
    let model = match kind {
        Some(kind) => kind == AssetKind::Model && !spooled,
        None => looks_like_safetensors(&head, None),
    };
    let mut input: Box<dyn Read + Send> = Box::new(std::io::Cursor::new(head).chain(input));
    if !model || !options.bases.is_empty() {
        // What is told against a base is compared with it first. The length of a blob must be known before its first chunk, and others are read at random: keep it on disk.
        let dir =
            tempfile::tempdir().map_err(EncodeError::io("create a folder in", &std::env::temp_dir()))?;
        let name = if name.is_empty() || name.contains('/') { "blob" } else { name };
        let path = dir.path().join(match () {
            () if gguf && !name.ends_with(".gguf") => format!("{name}.gguf"),
            () if model => format!("{name}.safetensors"),
            () => name.into(),
        });
        let mut file = File::create(&path).map_err(EncodeError::io("create", &path))?;
        std::io::copy(&mut input, &mut file).map_err(EncodeError::io("write", &path))?;
        drop(file);
        let kind = match kind {
            _ if spooled => kind,
            _ if model => Some(AssetKind::Model),
            _ => Some(AssetKind::Blob),
        };
        return encode_path(&path, kind, output, options);
    }
    let mut writer = ContainerWriter::create(output)?;
    let asset = stream_input(input, name)?;
    let mut report = add_asset(&mut writer, 0, asset, false, None, options)?;
    report.output_bytes = writer.finish(options)?;
    Ok(report)
}

#[cfg(not(feature = "images"))]
fn is_picture(_: &[u8]) -> bool {
    false
}

/// Adds an asset with everything in it to a writer. `twice`: its content may be read twice, to find duplicates.
pub(crate) fn add_asset(
    writer: &mut ContainerWriter,
    ordinal: u32,
    input: AssetInput<'_>,
    twice: bool,
    against: Option<&Against>,
    options: &EncodeOptions,
) -> Result<EncodeReport> {
    add_asset_with(writer, ordinal, input, twice, against, Bundles::default(), options)
}

/// As [`add_asset`], with what is cut together.
pub(crate) fn add_asset_with(
    writer: &mut ContainerWriter,
    ordinal: u32,
    mut input: AssetInput<'_>,
    twice: bool,
    against: Option<&Against>,
    bundles: Bundles,
    options: &EncodeOptions,
) -> Result<EncodeReport> {
    if input.name.contains('\0') || input.name.len() as u64 > options.limits.name_bytes {
        return Err(EncodeError::Request(format!("{:?} cannot be the name of an asset", input.name)));
    }
    let mut asset = new_asset(ordinal, input.kind, &input.name);
    asset.fields = input.fields;
    let aliases =
        if twice && !options.mappable { find_duplicates(&mut input.items, 0, options.threads)? } else { 0 };
    let mut deltas = 0;
    if let Some(against) = against.filter(|_| input.kind == registry::asset::MODEL) {
        (deltas, _) = tell_against(&mut input.items, against, options)?;
        against.note(&mut asset);
    }
    let at = writer.draft().add_asset(asset);
    // Records at the end that are bound to nothing yet are bound to what the other items hash to.
    let unbound =
        |item: &&Item<'_>| matches!(item.content, Content::Record { bound, .. } if bound == [0; 32]);
    let unbound = input.items.iter().rev().take_while(unbound).count();
    let mut records = input.items.split_off(input.items.len() - unbound);
    let hashes = encode_items(writer, at, 0, &input.items, options)?;
    let mut model = ModelHasher::default();
    let mut tensors = 0;
    let mut hash = hashes.first().copied().unwrap_or_default();
    for (item, bytes) in input.items.iter().zip(&hashes) {
        if item.array {
            continue;
        }
        if let Some((dtype_name, shape)) = tensor_of(&item.content) {
            model.add(&item.name, dtype_name, &shape, *bytes);
            tensors += 1;
        }
    }
    if registry::asset::is_of_tensors(input.kind) {
        hash = model.finish();
    }
    writer.draft().assets[at].hash = hash;
    if bundles != Bundles::default() {
        let id = writer.draft().next_id(at);
        write_bundles(writer, at, id, &input.items, bundles)?;
    }
    if !records.is_empty() {
        for record in &mut records {
            if let Content::Record { bound: to, .. } = &mut record.content {
                *to = hash;
            }
        }
        let first_id = writer.draft().next_id(at);
        encode_items(writer, at, first_id, &records, options)?;
    }
    Ok(EncodeReport {
        input_bytes: input.input_bytes,
        output_bytes: 0,
        tensors,
        aliases,
        deltas,
        notes: input.notes,
        content_hash: hash,
        asset: input.name,
        image: None,
        quantised: None,
        reduced: Vec::new(),
    })
}

/// What a content hash is told of an item that is a tensor: the name of its dtype, and its shape.
fn tensor_of<'c>(content: &'c Content<'_>) -> Option<(&'c str, Vec<u64>)> {
    Some(match content {
        Content::Tensor { dtype_name, shape, owner: None } => (dtype_name, shape.to_vec()),
        Content::Track(track) => (track.dtype().name, track.dimensions().to_vec()),
        Content::Masks(masks) => (masks.dtype().name, masks.dimensions().to_vec()),
        Content::Quantised(content) => (content.dtype().name, content.shape().to_vec()),
        Content::Coded(content) => (content.dtype().name, content.shape().to_vec()),
        Content::Built(content) => (content.dtype.name, content.shape.clone()),
        _ => return None,
    })
}

/// Codes every asset of an mcodec file anew.
fn recode(input: &Path, output: Output, options: &EncodeOptions) -> Result<EncodeReport> {
    let file = File::open(input).map_err(EncodeError::io("open", input))?;
    let read = ReadOptions::default().limits(options.limits).threads(options.threads);
    let reader = Arc::new(Reader::open(file, read)?.with_bases(options.bases.clone()));
    let mut writer = ContainerWriter::create(output)?;
    let mut all = EncodeReport::default();
    for (asset, base) in bases_first(&reader)? {
        if asset.kind == registry::asset::IMAGE {
            let hash = crate::images::write::recode_image(&mut writer, &reader, &asset)?;
            check_hash(&asset, hash)?;
            (all.asset, all.content_hash) = (asset.name, hash);
            continue;
        }
        if asset.kind == registry::asset::LATENTS {
            let name = &asset.name;
            let why = format!(
                "asset {name:?} holds latents, which are not coded anew: encode what they were made from; pack rewrites the file as it is"
            );
            return Err(EncodeError::Request(why));
        }
        if has_codes(&reader, &asset)? {
            copy_codes(&mut writer, &reader, &asset, input, &mut all)?;
            continue;
        }
        let twice = !writer.is_streaming();
        let against = match &base {
            Some(base) => Some(Against::asset(&reader, base, writer.draft())?),
            None => base_of(options),
        };
        let input = asset_input(&reader, &asset)?;
        let made = add_asset(&mut writer, asset.ordinal, input, twice, against.as_ref(), options)?;
        check_hash(&asset, made.content_hash)?;
        all.input_bytes += made.input_bytes;
        all.tensors += made.tensors;
        all.aliases += made.aliases;
        all.deltas += made.deltas;
        all.notes.extend(made.notes);
        all.asset = made.asset;
        all.content_hash = made.content_hash;
    }
    all.output_bytes = writer.finish(options)?;
    Ok(all)
}

/// Whether an asset has quantised tensors.
fn has_codes(reader: &Reader<File>, asset: &Asset) -> Result<bool> {
    for row in reader.rows(&asset.name)? {
        if row.get().kind == registry::entry::TENSOR
            && let Ok(entry) = reader.resolve(row)
            && matches!(
                entry.descriptor().representation(),
                Some(Representation::Quant | Representation::Built(_))
            )
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Copies an asset with quantised tensors as it is: what it was made from is gone, and floats that stand for codes take more than these.
fn copy_codes(
    writer: &mut ContainerWriter,
    reader: &Reader<File>,
    asset: &Asset,
    input: &Path,
    all: &mut EncodeReport,
) -> Result<()> {
    let name = &asset.name;
    if writer.is_streaming() {
        let why =
            format!("asset {name:?} holds quantised tensors, which are copied, and so into a file only");
        return Err(EncodeError::Request(why));
    }
    let at = writer.draft().add_asset(asset.clone());
    let rows = rows_of(reader, asset)?;
    for entry in entries_of(&rows) {
        all.input_bytes += entry.copy(reader.source(), input, asset.ordinal, writer, at)?;
    }
    all.tensors +=
        rows.iter().filter(|r| r.kind == registry::entry::TENSOR && r.first_chunk == 0).count() as u64;
    all.notes.push(format!("asset {name:?} holds quantised tensors: it is copied as it is"));
    (all.asset, all.content_hash) = (name.clone(), asset.hash);
    Ok(())
}

/// What was read of an asset must be what its hash says.
fn check_hash(asset: &Asset, hash: [u8; 32]) -> Result<()> {
    if hash == asset.hash {
        return Ok(());
    }
    Err(EncodeError::Request(format!("asset {:?} is not what its content hash says", asset.name)))
}

/// The assets of a file, each with the one of the same file that its tensors are told against, which comes before it.
fn bases_first(reader: &Reader<File>) -> Result<Vec<(Asset, Option<Asset>)>> {
    let mut waiting = reader.assets()?;
    let mut ordered: Vec<(Asset, Option<Asset>)> = Vec::with_capacity(waiting.len());
    while !waiting.is_empty() {
        let before = waiting.len();
        let mut later = Vec::new();
        for asset in waiting {
            let base = base_ordinal(reader, &asset)?;
            let known =
                base.and_then(|of| ordered.iter().find(|(a, _)| a.ordinal == of).map(|(a, _)| a.clone()));
            if base.is_some() && known.is_none() {
                later.push(asset);
            } else {
                ordered.push((asset, known));
            }
        }
        if later.len() == before {
            return Err(EncodeError::Request("assets of the file are told against each other".into()));
        }
        waiting = later;
    }
    Ok(ordered)
}

/// The ordinal of the asset of the same file that tensors of `asset` are told against.
fn base_ordinal(reader: &Reader<File>, asset: &Asset) -> Result<Option<u32>> {
    for row in reader.rows(&asset.name)? {
        let row = row.get();
        if let Some(Dependency::Other { asset: of, .. }) = row.dependencies.first()
            && row.kind == registry::entry::TENSOR
            && *of != asset.ordinal
        {
            return Ok(Some(*of));
        }
    }
    Ok(None)
}
