//! Opening models that others are told against.

use crate::encode::{Input, input_of};
use crate::inputs::hash_item;
use crate::items::{Content, Item};
use crate::options::{AssetKind, EncodeOptions};
use crate::{EncodeError, Result};
use mcodec_decode::{
    AssetBase, BaseDescription, BaseModel, DecodeError, ModelHasher, ReadOptions, Reader, base_of_asset,
};
use mcodec_format::registry;
use rayon::prelude::*;
use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Opens models to be used as bases, in any order: mcodec files (every model in them, `first_asset` of the first file before the others),
/// whose own bases may be among them, and whatever else can be encoded as a model, which is read once for its content hash.
///
/// # Errors
/// If one cannot be opened as a model.
pub fn open_bases(
    paths: &[PathBuf],
    first_asset: Option<&str>,
    options: &EncodeOptions,
) -> Result<Vec<Arc<dyn BaseModel>>> {
    let mut opened: Vec<Vec<Arc<dyn BaseModel>>> = vec![Vec::new(); paths.len()];
    let mut waiting: Vec<(usize, Container)> = Vec::new();
    for (at, path) in paths.iter().enumerate() {
        if is_container(path)? {
            waiting.push((at, Container::open(path, first_asset.filter(|_| at == 0), options)?));
        } else {
            opened[at] = vec![Arc::new(Source::open(path, options)?)];
        }
    }
    loop {
        let known: Vec<Arc<dyn BaseModel>> = opened.iter().flatten().cloned().collect();
        let ready =
            |c: &Container| c.needs.iter().all(|hash| known.iter().any(|k| k.content_hash() == *hash));
        // What needs a base that is not there is of use for what does not.
        let Some(next) = waiting.iter().position(|(_, c)| ready(c)).or(waiting.len().checked_sub(1)) else {
            return Ok(known);
        };
        let (at, container) = waiting.remove(next);
        opened[at] = container.into_bases(known)?;
    }
}

fn is_container(path: &Path) -> Result<bool> {
    if std::fs::metadata(path).map_err(EncodeError::io("open", path))?.is_dir() {
        return Ok(false);
    }
    let mut head = Vec::new();
    let file = File::open(path).map_err(EncodeError::io("open", path))?;
    file.take(8).read_to_end(&mut head).map_err(EncodeError::io("read", path))?;
    Ok(head == registry::MAGIC)
}

/// An mcodec file.
struct Container {
    reader: Reader<File>,
    /// Names of its models, in the order in which they are bases.
    models: Vec<String>,
    /// Content hashes that its assets are told against.
    needs: Vec<[u8; 32]>,
}

impl Container {
    fn open(path: &Path, first: Option<&str>, options: &EncodeOptions) -> Result<Self> {
        let file = File::open(path).map_err(EncodeError::io("open", path))?;
        let read = ReadOptions::default().limits(options.limits).threads(options.threads);
        let reader = Reader::open(file, read)?;
        let assets = reader.assets()?;
        let needs = assets.iter().filter_map(base_of_asset).map(|(hash, _)| hash).collect();
        let is_model = |a: &&mcodec_format::Asset| a.kind == registry::asset::MODEL;
        let mut models: Vec<String> = assets.iter().filter(is_model).map(|a| a.name.clone()).collect();
        if let Some(first) = first {
            let at = models.iter().position(|name| name == first);
            let missing = || EncodeError::Request(format!("{} has no model {first:?}", path.display()));
            models.swap(0, at.ok_or_else(missing)?);
        }
        if models.is_empty() {
            return Err(EncodeError::Request(format!("{} has no model to be a base", path.display())));
        }
        Ok(Self { reader, models, needs })
    }

    fn into_bases(self, known: Vec<Arc<dyn BaseModel>>) -> Result<Vec<Arc<dyn BaseModel>>> {
        let reader = Arc::new(self.reader.with_bases(known));
        let mut all: Vec<Arc<dyn BaseModel>> = Vec::with_capacity(self.models.len());
        for name in &self.models {
            all.push(Arc::new(AssetBase::new(Arc::clone(&reader), Some(name))?));
        }
        Ok(all)
    }
}

/// A model that is no mcodec file.
struct Source {
    name: String,
    tensors: HashMap<String, Item<'static>>,
    hash: [u8; 32],
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Source").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Source {
    fn open(path: &Path, options: &EncodeOptions) -> Result<Self> {
        let input = match input_of(path, Some(AssetKind::Model), options)?.0 {
            Input::Asset(asset) => *asset,
            #[cfg(feature = "images")]
            Input::Pictures(_) => {
                return Err(EncodeError::Request(format!("{} is no model", path.display())));
            }
        };
        let pool = rayon::ThreadPoolBuilder::new().num_threads(options.threads).build();
        let pool = pool.map_err(|e| EncodeError::Request(format!("cannot start threads: {e}")))?;
        let tensors: Vec<Item<'static>> = input.items.into_iter().filter(Item::is_tensor).collect();
        let hashes: Vec<blake3::Hash> =
            pool.install(|| tensors.par_iter().map(hash_item).collect::<Result<_>>())?;
        let mut hasher = ModelHasher::default();
        for (item, hash) in tensors.iter().zip(hashes) {
            if let Content::Tensor { dtype_name, shape, .. } = &item.content {
                hasher.add(&item.name, dtype_name, shape, *hash.as_bytes());
            }
        }
        let tensors = tensors.into_iter().map(|item| (item.name.clone(), item)).collect();
        Ok(Self { name: input.name, tensors, hash: hasher.finish() })
    }
}

impl BaseModel for Source {
    fn content_hash(&self) -> [u8; 32] {
        self.hash
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn describe(&self, name: &str) -> Result<Option<BaseDescription>, DecodeError> {
        Ok(self.tensors.get(name).and_then(|item| match &item.content {
            Content::Tensor { dtype_name, shape, .. } => Some(BaseDescription {
                dtype_name: dtype_name.clone(),
                shape: shape.clone(),
                byte_len: item.byte_len,
            }),
            _ => None,
        }))
    }

    fn read_into(&self, name: &str, range: Range<u64>, out: &mut [u8]) -> Result<(), DecodeError> {
        let fail = |why: String| DecodeError::Base { name: name.to_owned(), base: self.name.clone(), why };
        let item = self.tensors.get(name).ok_or_else(|| fail("has no such tensor".into()))?;
        if range.end > item.byte_len {
            return Err(fail(format!("has no bytes {range:?} of it")));
        }
        (item.read)(range.start, out).map_err(|e| fail(format!("cannot be read: {e}")))
    }
}
