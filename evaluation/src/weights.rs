//! Where weights come from: an mcodec file or an ordinary folder, read tensor by tensor.

use crate::error::{io, tensor};
use crate::{EvaluationError, Result};
use mcodec_decode::{Entry, ReadOptions, Reader, dequantise, hex};
use mcodec_encode::import::{ImportOptions, ModelSource};
use mcodec_format::registry::{self, Dtype};
use std::collections::HashMap;
use std::fs::File;
use std::ops::Range;
use std::path::Path;

/// A model's tensors by name, and its files.
pub trait Weights: Sync {
    /// The dimensions of a tensor; `None` if there is none of this name.
    fn shape(&self, name: &str) -> Option<Vec<usize>>;

    /// Rows `rows` of the first dimension, as f32.
    ///
    /// # Errors
    /// If there is no such tensor, it has no such rows, is not of floats, or cannot be read.
    fn rows(&self, name: &str, rows: Range<usize>) -> Result<Vec<f32>>;

    /// Names of all tensors, in no order.
    fn names(&self) -> Vec<String>;

    /// A file of the model, as `config.json`; `None` if it has none of this name.
    ///
    /// # Errors
    /// If it cannot be read.
    fn file(&self, name: &str) -> Result<Option<Vec<u8>>>;

    /// What tells this model from others, in words.
    fn identity(&self) -> Identity;
}

/// What tells a model from others.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize)]
pub struct Identity {
    /// The asset's or folder's name.
    pub name: String,
    /// `blake3:` and hex digits: content hash of the asset; none of a folder.
    pub content_hash: Option<String>,
    /// What the file says of how it was quantised.
    pub quantised: Option<serde_json::Value>,
}

/// Opens what is at `path`: an mcodec file, or a model folder or file.
///
/// # Errors
/// If it is neither, or cannot be read.
pub fn open_weights(path: &Path, asset: Option<&str>, threads: usize) -> Result<Box<dyn Weights>> {
    let mut magic = [0u8; 8];
    let is_container = path.is_file()
        && File::open(path)
            .and_then(|mut file| std::io::Read::read_exact(&mut file, &mut magic))
            .is_ok_and(|()| magic == registry::MAGIC);
    if is_container {
        return Ok(Box::new(Container::open(path, asset, threads)?));
    }
    Ok(Box::new(Folder { source: ModelSource::open(path, &ImportOptions::default())? }))
}

/// The numbers of floats of a type, by its name.
fn floats(name: &str, dtype: &str, bytes: &[u8]) -> Result<Vec<f32>> {
    let dtype = Dtype::by_name(dtype)
        .filter(|d| matches!(d.name, "F32" | "F16" | "BF16"))
        .ok_or_else(|| tensor(name, format!("is of {dtype}, not of F32, F16 or BF16")))?;
    let mut out = vec![0f32; bytes.len() / (dtype.bits / 8) as usize];
    dequantise(dtype, bytes, &mut out)?;
    Ok(out)
}

fn dimensions(shape: &[u64]) -> Vec<usize> {
    shape.iter().map(|&n| usize::try_from(n).unwrap_or(usize::MAX)).collect()
}

/// The bytes of some rows of a tensor.
fn row_range(name: &str, shape: &[u64], byte_len: u64, rows: &Range<usize>) -> Result<Range<u64>> {
    let count = shape.first().copied().unwrap_or(1).max(1);
    let (start, end) = (rows.start as u64, rows.end as u64);
    if start > end || end > count {
        return Err(tensor(name, format!("has {count} rows, not {start}..{end}")));
    }
    Ok(byte_len / count * start..byte_len / count * end)
}

/// The model of an mcodec file.
struct Container {
    reader: Reader<File>,
    asset: mcodec_format::Asset,
    tensors: HashMap<String, Entry>,
    files: HashMap<String, Entry>,
}

impl Container {
    fn open(path: &Path, asset: Option<&str>, threads: usize) -> Result<Self> {
        let file = File::open(path).map_err(io("open", path))?;
        let reader = Reader::open(file, ReadOptions::default().threads(threads))?;
        let asset = reader.asset(asset)?;
        let rows = reader.rows(&asset.name)?;
        mcodec_decode::check_asset(&asset, rows.iter().map(|row| &*row.page))?;
        let (mut tensors, mut files) = (HashMap::new(), HashMap::new());
        for row in rows {
            let kind = row.get().kind;
            if kind != registry::entry::TENSOR && kind != registry::entry::FILE {
                continue;
            }
            let entry = reader.resolve(row)?;
            if entry.tensor().is_some_and(|t| t.owner.is_some()) {
                continue;
            }
            let into = if kind == registry::entry::TENSOR { &mut tensors } else { &mut files };
            into.insert(entry.name().to_owned(), entry);
        }
        Ok(Self { reader, asset, tensors, files })
    }

    fn tensor(&self, name: &str) -> Result<(&Entry, &mcodec_format::TensorDescriptor)> {
        let found = self.tensors.get(name).and_then(|entry| Some((entry, entry.tensor()?)));
        found.ok_or_else(|| tensor(name, "is not in the model"))
    }
}

impl Weights for Container {
    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        Some(dimensions(&self.tensor(name).ok()?.1.shape))
    }

    fn rows(&self, name: &str, rows: Range<usize>) -> Result<Vec<f32>> {
        let (entry, of) = self.tensor(name)?;
        let range = row_range(name, &of.shape, entry.byte_len(), &rows)?;
        floats(name, &of.dtype_name, &self.reader.read(entry, range)?)
    }

    fn names(&self) -> Vec<String> {
        self.tensors.keys().cloned().collect()
    }

    fn file(&self, name: &str) -> Result<Option<Vec<u8>>> {
        self.files.get(name).map(|entry| Ok(self.reader.read_all(entry)?)).transpose()
    }

    fn identity(&self) -> Identity {
        let quantised = self.asset.fields.get(registry::asset_field::QUANTISED);
        Identity {
            name: self.asset.name.clone(),
            content_hash: Some(format!("blake3:{}", hex(&self.asset.hash))),
            quantised: quantised.and_then(|said| serde_json::from_slice(said).ok()),
        }
    }
}

/// A model folder, or one file of tensors.
struct Folder {
    source: ModelSource,
}

impl Folder {
    fn find(
        &self,
        name: &str,
    ) -> Option<(&mcodec_encode::import::Shard, &mcodec_encode::import::safetensors::HeaderEntry)> {
        let within =
            |shard: &mcodec_encode::import::Shard| shard.header.tensors.iter().position(|t| t.name == name);
        self.source.shards.iter().find_map(|shard| Some((shard, &shard.header.tensors[within(shard)?])))
    }
}

impl Weights for Folder {
    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        Some(dimensions(&self.find(name)?.1.shape))
    }

    fn rows(&self, name: &str, rows: Range<usize>) -> Result<Vec<f32>> {
        let (shard, of) = self.find(name).ok_or_else(|| tensor(name, "is not in the model"))?;
        let range = row_range(name, &of.shape, of.byte_len(), &rows)?;
        let mut bytes = vec![0u8; (range.end - range.start) as usize];
        shard.open()?.read_at(shard.data_offset + of.begin + range.start, &mut bytes)?;
        floats(name, &of.dtype, &bytes)
    }

    fn names(&self) -> Vec<String> {
        self.source.shards.iter().flat_map(|s| &s.header.tensors).map(|t| t.name.clone()).collect()
    }

    fn file(&self, name: &str) -> Result<Option<Vec<u8>>> {
        let Some(file) = self.source.files.iter().find(|file| file.name == name) else { return Ok(None) };
        let mut bytes = vec![0u8; file.len as usize];
        file.open()?.read_at(0, &mut bytes)?;
        Ok(Some(bytes))
    }

    fn identity(&self) -> Identity {
        Identity { name: self.source.name.clone(), ..Identity::default() }
    }
}

/// A model with some of its tensors replaced.
pub struct Replaced<'a> {
    of: &'a dyn Weights,
    tensors: HashMap<String, Vec<f32>>,
}

impl<'a> Replaced<'a> {
    /// `of`, with these tensors of the same shapes in the place of its own.
    ///
    /// # Errors
    /// If one has no counterpart, or is of another length.
    pub fn new(of: &'a dyn Weights, tensors: HashMap<String, Vec<f32>>) -> Result<Self> {
        for (name, values) in &tensors {
            if of.shape(name).map(|shape| shape.iter().product()) != Some(values.len()) {
                return Err(EvaluationError::Tensor {
                    name: name.clone(),
                    why: "is not what it replaces in shape".into(),
                });
            }
        }
        Ok(Self { of, tensors })
    }
}

impl Weights for Replaced<'_> {
    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.of.shape(name)
    }

    fn rows(&self, name: &str, rows: Range<usize>) -> Result<Vec<f32>> {
        let Some(values) = self.tensors.get(name) else { return self.of.rows(name, rows) };
        let count = self.shape(name).and_then(|s| s.first().copied()).unwrap_or(1).max(1);
        let per = values.len() / count;
        let part = values.get(rows.start * per..rows.end * per);
        Ok(part.ok_or_else(|| tensor(name, format!("has {count} rows, not {rows:?}")))?.to_vec())
    }

    fn names(&self) -> Vec<String> {
        self.of.names()
    }

    fn file(&self, name: &str) -> Result<Option<Vec<u8>>> {
        self.of.file(name)
    }

    fn identity(&self) -> Identity {
        self.of.identity()
    }
}
