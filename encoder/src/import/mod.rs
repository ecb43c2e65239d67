//! Models that come in: files of safetensors, GGUF, PyTorch and NumPy, and Hugging Face folders.

pub mod error;
mod file;
pub mod folder;
pub mod gguf;
mod json;
pub mod numpy;
pub mod pieces;
pub mod safetensors;
pub mod tar;
pub mod torch;
pub mod zip;

#[cfg(test)]
#[cfg(unix)]
mod folder_tests;
#[cfg(test)]
mod numpy_tests;
#[cfg(test)]
mod safetensors_tests;

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use mcodec_decode::is_safe_path;
use mcodec_format::natural_order::natural_cmp;

pub use error::{HeaderError, ImportError};
pub use file::ShardFile;
use file::Stamp;
use folder::{FolderFile, FolderSource, MODEL_NAME, scan_folder};
use pieces::{Parts, shown};
use safetensors::{Header, HeaderEntry, HeaderLimits, read_header};
use zip::Source as _;

/// Bytes by which the format of a file is known.
const HEAD_LEN: u64 = 16;

/// Whether a file that starts with these bytes is of a format other than safetensors that may be taken apart into tensors.
#[must_use]
pub fn looks_like_parts(first_bytes: &[u8]) -> bool {
    gguf::looks_like_gguf(first_bytes)
        || numpy::looks_like_npy(first_bytes)
        || torch::legacy::looks_like_legacy(first_bytes)
        || zip::looks_like_zip(first_bytes)
}

/// How a model is read.
#[derive(Debug, Clone, Copy, Default)]
pub struct ImportOptions {
    /// Take every file of a folder and of the folders in it.
    pub all_files: bool,
    /// Take files that lie outside the folder, behind symbolic links.
    pub follow_links: bool,
    /// Bounds on each safetensors header.
    pub limits: HeaderLimits,
    /// Bounds on a GGUF header.
    pub gguf: gguf::GgufLimits,
}

/// How a [`Shard`] is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShardFormat {
    /// A safetensors file: a header, then tensors without gaps.
    Safetensors,
    /// Tensors and the bytes between them: see [`pieces`].
    Pieces,
}

/// A file with tensors of a model.
#[derive(Debug, Clone)]
pub struct Shard {
    /// The file's name, relative to the model.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
    /// How it is kept.
    pub format: ShardFormat,
    /// Its header as it stands: 8-byte length and JSON. Empty if it is no safetensors file.
    pub header_bytes: Vec<u8>,
    /// Its tensors.
    pub header: Header,
    /// What the tensors' places count from.
    pub data_offset: u64,
    stamp: Stamp,
}

impl Shard {
    /// Opens the file to read tensors from it, at [`Shard::data_offset`] plus [`HeaderEntry::begin`].
    ///
    /// # Errors
    /// [`ImportError::Changed`] if it is not the file whose header was read, or another error of opening it.
    pub fn open(&self) -> Result<ShardFile, ImportError> {
        ShardFile::reopen(&self.path, self.stamp)
    }

    /// The file's length.
    #[must_use]
    pub fn byte_len(&self) -> u64 {
        self.stamp.len()
    }
}

/// A file that travels with a model.
#[derive(Debug, Clone)]
pub struct SourceFile {
    /// The file's name, relative to the model.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
    /// Its length in bytes.
    pub len: u64,
    stamp: Stamp,
}

impl SourceFile {
    /// Opens the file.
    ///
    /// # Errors
    /// [`ImportError::Changed`] if it is not in the state it was found in, or another error of opening it.
    pub fn open(&self) -> Result<ShardFile, ImportError> {
        ShardFile::reopen(&self.path, self.stamp)
    }
}

/// The place of a tensor in a [`ModelSource`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TensorRef {
    /// Index into [`ModelSource::shards`].
    pub shard: usize,
    /// Index into [`Header::tensors`].
    pub index: usize,
}

/// A model that was found and checked, its tensors not yet read.
#[derive(Debug, Clone)]
pub struct ModelSource {
    /// The name of the file without its extension, or of the folder.
    pub name: String,
    /// The files with tensors, in bytewise order of their names.
    pub shards: Vec<Shard>,
    /// The files that travel along, in bytewise order of their names.
    pub files: Vec<SourceFile>,
    /// Names of what is left out; folders end with `/`.
    pub left_out: Vec<String>,
    /// What the user should be told.
    pub notes: Vec<String>,
    /// Whether the model was given as a folder.
    pub is_folder: bool,
}

impl ModelSource {
    /// Finds and checks the model at `path`: a file of safetensors, PyTorch or NumPy, or a folder (see [`scan_folder`]).
    ///
    /// # Errors
    /// [`ImportError`] if there is no model, or it is malformed.
    pub fn open(path: &Path, options: &ImportOptions) -> Result<Self, ImportError> {
        let meta = std::fs::metadata(path).map_err(|source| ImportError::io(path, source))?;
        if meta.is_dir() { Self::open_folder(path, options) } else { Self::open_file(path, options) }
    }

    fn open_file(path: &Path, options: &ImportOptions) -> Result<Self, ImportError> {
        let mut notes = Vec::new();
        let mut file_name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !is_safe_path(&file_name) {
            notes.push(format!(
                "{file_name:?} is kept as {MODEL_NAME:?}: not a name that every system can write"
            ));
            file_name = MODEL_NAME.into();
        }
        let shard = open_shard(FolderFile { path: path.to_owned(), name: file_name }, options, &mut notes)?;
        let name = match shard.format {
            ShardFormat::Safetensors => shard.name.strip_suffix(".safetensors"),
            ShardFormat::Pieces => {
                shard.name.rsplit_once('.').map(|(stem, _)| stem).filter(|stem| !stem.is_empty())
            }
        };
        let name = name.unwrap_or(&shard.name).to_owned();
        Ok(Self {
            name,
            shards: vec![shard],
            files: Vec::new(),
            left_out: Vec::new(),
            notes,
            is_folder: false,
        })
    }

    fn open_folder(path: &Path, options: &ImportOptions) -> Result<Self, ImportError> {
        let FolderSource { shards, index, verbatim, left_out, mut notes } = scan_folder(path, options)?;
        let mut shards: Vec<Shard> = shards
            .into_iter()
            .map(|file| open_shard(file, options, &mut notes))
            .collect::<Result<_, ImportError>>()?;
        tell_apart(&mut shards, &mut notes);
        let places = locate(&shards)?;
        if let Some((name, map)) = index {
            check_index(&path.join(name), &shards, &places, &map, &mut notes)?;
        }
        let files = verbatim.into_iter().map(open_verbatim).collect::<Result<_, ImportError>>()?;
        let real = std::fs::canonicalize(path).map_err(|source| ImportError::io(path, source))?;
        let name =
            real.file_name().map_or_else(|| "model".into(), |name| name.to_string_lossy().into_owned());
        Ok(Self { name, shards, files, left_out, notes, is_folder: true })
    }

    /// All tensors in natural order of their names.
    #[must_use]
    pub fn natural_tensors(&self) -> Vec<TensorRef> {
        let mut named: Vec<(&str, TensorRef)> = Vec::new();
        for (shard, source) in self.shards.iter().enumerate() {
            let tensors = source.header.tensors.iter().enumerate();
            named.extend(tensors.map(|(index, tensor)| (tensor.name.as_str(), TensorRef { shard, index })));
        }
        named.sort_by(|a, b| natural_cmp(a.0.as_bytes(), b.0.as_bytes()));
        named.into_iter().map(|(_, place)| place).collect()
    }

    /// The shard and the header entry of a tensor.
    #[must_use]
    pub fn tensor(&self, at: TensorRef) -> Option<(&Shard, &HeaderEntry)> {
        let shard = self.shards.get(at.shard)?;
        Some((shard, shard.header.tensors.get(at.index)?))
    }
}

fn open_shard(
    found: FolderFile,
    options: &ImportOptions,
    notes: &mut Vec<String>,
) -> Result<Shard, ImportError> {
    let FolderFile { path, name } = found;
    let file = ShardFile::open(&path)?;
    let stamp = file.stamp();
    if let Some(parts) = take_apart(&file, &name, options)? {
        notes.extend(parts.notes.into_iter().map(|note| format!("{:?}: {note}", shown(&name))));
        let header = Header { metadata: None, tensors: parts.tensors };
        let format = ShardFormat::Pieces;
        return Ok(Shard { name, path, format, header_bytes: Vec::new(), header, data_offset: 0, stamp });
    }
    let (header_bytes, header) = read_header(&mut file.file(), Some(file.len()), &options.limits)
        .map_err(|source| ImportError::Header { path: path.clone(), source })?;
    let data_offset = header_bytes.len() as u64;
    let format = ShardFormat::Safetensors;
    Ok(Shard { name, path, format, header_bytes, header, data_offset, stamp })
}

/// The parts of a file that says at its start that it is no safetensors file, but one that can be taken apart.
fn take_apart(file: &ShardFile, name: &str, options: &ImportOptions) -> Result<Option<Parts>, ImportError> {
    let limits = &options.limits;
    let path = || file.path().to_owned();
    let read_error = |source| ImportError::Io { path: path(), source };
    let head = zip::read_range(file, 0..file.byte_len().min(HEAD_LEN)).map_err(read_error)?;
    if gguf::looks_like_gguf(&head) {
        let header = gguf::GgufSource::open(file.path(), &options.gguf)?.header;
        let entry = |t: gguf::GgufTensor| HeaderEntry {
            dtype: t.dtype_name(),
            end: t.begin.saturating_add(t.byte_len),
            name: t.name,
            shape: t.shape,
            begin: t.begin,
        };
        let tensors = header.tensors.into_iter().map(entry).collect();
        return Ok(Some(Parts { tensors, notes: Vec::new() }));
    }
    if numpy::looks_like_npy(&head) {
        let base = name.rsplit('/').next().unwrap_or(name);
        let parts = numpy::npy_parts(file, numpy::npy_name(base), limits);
        return parts.map(Some).map_err(|e| match e {
            numpy::NpyError::Io(source) => read_error(source),
            source => ImportError::Npy { path: path(), source },
        });
    }
    let opaque = |reason: String| ImportError::Opaque { path: path(), reason };
    if torch::legacy::looks_like_legacy(&head) {
        let parts = torch::legacy::parts(file, limits).map_err(read_error)?;
        return parts
            .map(Some)
            .map_err(|why| opaque(format!("a file of torch.save before 1.6 that is not understood: {why}")));
    }
    if !zip::looks_like_zip(&head) {
        return Ok(None);
    }
    let members = zip::read_directory(file).map_err(|e| match e {
        zip::ZipError::Io(source) => read_error(source),
        source => ImportError::Zip { path: path(), source },
    })?;
    if let Some(root) = torch::root_of(&members) {
        return torch::parts(file, root, &members, limits).map(Some).map_err(read_error);
    }
    if !numpy::is_npz(&members) {
        return Err(opaque("a ZIP file that is neither PyTorch's nor NumPy's".into()));
    }
    let parts = numpy::npz_parts(file, &members, limits).map_err(read_error)?;
    let reason = "compressed arrays, which are not taken apart (np.savez writes them uncompressed)";
    parts.map(Some).ok_or_else(|| opaque(reason.into()))
}

/// Gives tensors of the same name in several files other names, where the names are made here and not the file's own.
fn tell_apart(shards: &mut [Shard], notes: &mut Vec<String>) {
    let mut taken: HashSet<String> = HashSet::new();
    for shard in shards {
        for tensor in &mut shard.header.tensors {
            if shard.format == ShardFormat::Pieces && taken.contains(&tensor.name) {
                let name = format!("{}/{}", shard.name, tensor.name);
                notes.push(format!(
                    "{:?} of {:?} is named {name:?}: another file has the name too",
                    tensor.name, shard.name
                ));
                tensor.name = name;
            }
            taken.insert(tensor.name.clone());
        }
    }
}

fn open_verbatim(found: FolderFile) -> Result<SourceFile, ImportError> {
    let stamp = ShardFile::open(&found.path)?.stamp();
    Ok(SourceFile { name: found.name, path: found.path, len: stamp.len(), stamp })
}

/// Maps each tensor to its shard; refuses a name that two shards have.
fn locate(shards: &[Shard]) -> Result<HashMap<&str, &Shard>, ImportError> {
    let mut places: HashMap<&str, &Shard> = HashMap::new();
    for shard in shards {
        for tensor in &shard.header.tensors {
            if let Some(first) = places.insert(&tensor.name, shard) {
                return Err(ImportError::Duplicate {
                    tensor: tensor.name.clone(),
                    first: first.name.clone(),
                    second: shard.name.clone(),
                });
            }
        }
    }
    Ok(places)
}

/// Checks that each tensor of the index is where it says. Tensors that it does not name are only noted, as other readers
/// take them too; likewise tensors of a file of PyTorch, which may be views that are not listed.
fn check_index(
    path: &Path,
    shards: &[Shard],
    places: &HashMap<&str, &Shard>,
    map: &[(String, String)],
    notes: &mut Vec<String>,
) -> Result<(), ImportError> {
    let opaque: HashSet<&str> =
        shards.iter().filter(|s| s.format == ShardFormat::Pieces).map(|s| s.name.as_str()).collect();
    for (tensor, shard) in map {
        if opaque.contains(shard.as_str()) {
            continue;
        }
        if places.get(tensor.as_str()).is_none_or(|found| found.name != *shard) {
            let (tensor, shard) = (tensor.clone(), shard.clone());
            return Err(ImportError::Missing { path: path.to_owned(), tensor, shard });
        }
    }
    let named: HashSet<&str> = map.iter().map(|(tensor, _)| tensor.as_str()).collect();
    for shard in shards {
        let mut extra = shard.header.tensors.iter().filter(|tensor| !named.contains(tensor.name.as_str()));
        if let Some(first) = extra.next() {
            let count = extra.count() + 1;
            notes.push(format!(
                "{:?} has {count} tensors that the index does not name, like {:?}",
                shard.name, first.name
            ));
        }
    }
    Ok(())
}
