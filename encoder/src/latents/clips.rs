//! Where clips are: a file, files of a folder, members of a tar of samples.

use crate::import::ShardFile;
use crate::import::tar::{Member, read_members};
use crate::{EncodeError, Result};
use mcodec_format::natural_order::natural_cmp;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// What becomes one asset.
#[derive(Debug)]
pub(super) struct Clip {
    pub(super) name: String,
    pub(super) parts: Vec<Part>,
}

impl Clip {
    /// What to call it in a message.
    pub(super) fn shown(&self) -> String {
        match &self.parts[..] {
            [part] => part.shown(),
            _ => format!("{:?}", self.name),
        }
    }
}

/// A file of arrays.
#[derive(Debug)]
pub(super) enum Part {
    File(PathBuf),
    /// A member of a tar.
    Member {
        tar: PathBuf,
        path: String,
        offset: u64,
        len: u64,
    },
}

/// A file that is there as long as this is held.
pub(super) enum OnDisk<'a> {
    Own(&'a Path),
    Copy { path: PathBuf, _folder: tempfile::TempDir },
}

impl OnDisk<'_> {
    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Own(path) => path,
            Self::Copy { path, .. } => path,
        }
    }
}

impl Part {
    /// What to call it in a message.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Member { tar, path, .. } => format!("{}: member {path:?}", tar.display()),
        }
    }

    /// What went wrong with the part, which was read at `path`: of a member, a copy that nobody knows of.
    pub(super) fn named(&self, path: &Path, error: impl Into<EncodeError>) -> EncodeError {
        let error = error.into();
        if let Self::File(_) = self {
            return error;
        }
        let text = error.to_string().replace(&format!("{path:?}: "), "");
        let text = text.replace(&format!("{}: ", path.display()), "");
        EncodeError::Request(format!("{}: {text}", self.shown()))
    }

    /// The part as a file of its own.
    pub(super) fn on_disk(&self) -> Result<OnDisk<'_>> {
        let (tar, member, offset, len) = match self {
            Self::File(path) => return Ok(OnDisk::Own(path)),
            Self::Member { tar, path, offset, len } => (tar, path, *offset, *len),
        };
        let folder =
            tempfile::tempdir().map_err(EncodeError::io("create a folder in", &std::env::temp_dir()))?;
        let form = member.rsplit('.').next().unwrap_or_default();
        let path = folder.path().join(format!("arrays.{form}"));
        let mut file = File::open(tar).map_err(EncodeError::io("open", tar))?;
        file.seek(SeekFrom::Start(offset)).map_err(EncodeError::io("read", tar))?;
        let mut copy = File::create(&path).map_err(EncodeError::io("create", &path))?;
        let copied =
            std::io::copy(&mut file.take(len), &mut copy).map_err(EncodeError::io("write", &path))?;
        if copied != len {
            return Err(EncodeError::Request(format!("{}: it ends within a member", tar.display())));
        }
        Ok(OnDisk::Copy { path, _folder: folder })
    }

    /// The name of an array that its file calls `inside`; `only`: it is the only one.
    pub(super) fn array_name(&self, inside: &str, only: bool, clip: &str) -> String {
        match self {
            Self::File(_) => inside.to_owned(),
            Self::Member { path, .. } => {
                // What follows the first dot of the name, as `latent.npy`.
                let extension = split(path).map_or("", |(_, extension)| extension);
                match extension.rsplit_once('.') {
                    Some((name, _)) if only => name.to_owned(),
                    Some((name, "npz" | "safetensors" | "pt" | "pth")) => format!("{name}.{inside}"),
                    _ if only && extension == "npy" => clip.to_owned(),
                    _ => inside.to_owned(),
                }
            }
        }
    }
}

/// Extensions of files that are clips.
const EXTENSIONS: [&str; 5] = ["npy", "npz", "safetensors", "pt", "pth"];

fn has_arrays(path: &Path) -> bool {
    path.extension().is_some_and(|e| EXTENSIONS.iter().any(|x| e.eq_ignore_ascii_case(x)))
}

fn is_tar(path: &Path) -> bool {
    path.extension().is_some_and(|e| e.eq_ignore_ascii_case("tar"))
}

/// The clips of an input, in natural order of their names.
pub(super) fn clips_of(input: &Path) -> Result<Vec<Clip>> {
    let name = |path: &Path| path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let mut clips = Vec::new();
    if !input.is_dir() {
        if is_tar(input) {
            clips = samples_of(input)?;
        } else {
            return Ok(vec![Clip { name: name(input), parts: vec![Part::File(input.to_owned())] }]);
        }
    } else {
        let fail = |e| EncodeError::io("read", input)(e);
        for file in std::fs::read_dir(input).map_err(fail)? {
            let path = file.map_err(fail)?.path();
            if !path.is_file() {
                continue;
            }
            if has_arrays(&path) {
                clips.push(Clip { name: name(&path), parts: vec![Part::File(path)] });
            } else if is_tar(&path) {
                clips.extend(samples_of(&path)?);
            }
        }
    }
    clips.sort_by(|a, b| natural_cmp(a.name.as_bytes(), b.name.as_bytes()).then(a.name.cmp(&b.name)));
    if clips.is_empty() {
        return Err(EncodeError::Request(format!(
            "{} holds no clips: no .npy, .npz, .safetensors, .pt",
            input.display()
        )));
    }
    if let Some(twice) = clips.windows(2).find(|w| w[0].name == w[1].name) {
        return Err(EncodeError::Request(format!(
            "two clips of {} are called {:?}",
            input.display(),
            twice[0].name
        )));
    }
    Ok(clips)
}

/// The samples of a tar: members whose paths are the same up to the first dot of the name.
fn samples_of(tar: &Path) -> Result<Vec<Clip>> {
    let mut clips: Vec<Clip> = Vec::new();
    let mut places = std::collections::HashMap::new();
    let wanted = |path: &str| has_arrays(Path::new(path)) && split(path).is_some();
    let members = read_members(&ShardFile::open(tar)?, wanted)
        .map_err(|e| EncodeError::Request(format!("{}: {e}", tar.display())))?;
    for Member { path, offset, len } in members {
        let Some((key, _)) = split(&path) else { continue };
        let at = *places.entry(key.to_owned()).or_insert(clips.len());
        if at == clips.len() {
            clips.push(Clip { name: key.to_owned(), parts: Vec::new() });
        }
        clips[at].parts.push(Part::Member { tar: tar.to_owned(), path, offset, len });
    }
    Ok(clips)
}

/// The path of a member up to the first dot of its name, and what follows that; `None` of hidden files and those without one.
fn split(path: &str) -> Option<(&str, &str)> {
    let name = path.rfind('/').map_or(0, |slash| slash + 1);
    let dot = path[name..].find('.').filter(|&dot| dot > 0)? + name;
    Some((&path[..dot], &path[dot + 1..]))
}
