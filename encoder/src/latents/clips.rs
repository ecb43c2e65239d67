//! Where clips are: a file, files of a folder, members of a tar of samples.

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
        /// What follows the first dot of its name, as `latent.npy`.
        extension: String,
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
            Self::Member { tar, extension, .. } => format!("{}: member .{extension}", tar.display()),
        }
    }

    /// The part as a file of its own.
    pub(super) fn on_disk(&self) -> Result<OnDisk<'_>> {
        let (tar, extension, offset, len) = match self {
            Self::File(path) => return Ok(OnDisk::Own(path)),
            Self::Member { tar, extension, offset, len } => (tar, extension, *offset, *len),
        };
        let folder =
            tempfile::tempdir().map_err(EncodeError::io("create a folder in", &std::env::temp_dir()))?;
        let form = extension.rsplit('.').next().unwrap_or_default();
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
            Self::Member { extension, .. } => match extension.rsplit_once('.') {
                Some((name, _)) if only => name.to_owned(),
                Some((name, "npz" | "safetensors" | "pt" | "pth")) => format!("{name}.{inside}"),
                _ if only && extension == "npy" => clip.to_owned(),
                _ => inside.to_owned(),
            },
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

const BLOCK: u64 = 512;
/// Most members of a tar.
const MOST_MEMBERS: usize = 1 << 22;
/// Longest name that a member of its own gives.
const LONGEST_NAME: u64 = 1 << 16;

/// The samples of a tar: members whose paths are the same up to the first dot of the name.
fn samples_of(tar: &Path) -> Result<Vec<Clip>> {
    let mut clips: Vec<Clip> = Vec::new();
    let mut places = std::collections::HashMap::new();
    for Member { path, offset, len } in members_of(tar)? {
        if !has_arrays(Path::new(&path)) {
            continue;
        }
        let file = path.rsplit('/').next().unwrap_or(&path);
        let Some((stem, extension)) = file.split_once('.').filter(|(stem, _)| !stem.is_empty()) else {
            continue;
        };
        let key = format!("{}{stem}", path.strip_suffix(file).unwrap_or_default());
        let key = key.trim_start_matches("./").to_owned();
        let part = Part::Member { tar: tar.to_owned(), extension: extension.to_owned(), offset, len };
        let at = *places.entry(key.clone()).or_insert(clips.len());
        match clips.get_mut(at) {
            Some(clip) => clip.parts.push(part),
            None => clips.push(Clip { name: key, parts: vec![part] }),
        }
    }
    Ok(clips)
}

/// A regular file in a tar.
struct Member {
    path: String,
    offset: u64,
    len: u64,
}

/// Regular files of a tar (ustar, GNU long names, pax paths), in its order.
fn members_of(tar: &Path) -> Result<Vec<Member>> {
    let io = |e| EncodeError::io("read", tar)(e);
    let fail = |at: u64, why: &str| EncodeError::Request(format!("{}: at byte {at}: {why}", tar.display()));
    let mut file = std::io::BufReader::new(File::open(tar).map_err(EncodeError::io("open", tar))?);
    let all = file.get_ref().metadata().map_err(io)?.len();
    let (mut members, mut at, mut long_name) = (Vec::new(), 0u64, None::<String>);
    while at + BLOCK <= all {
        let mut head = [0u8; BLOCK as usize];
        file.read_exact(&mut head).map_err(io)?;
        if head.iter().all(|&b| b == 0) {
            break;
        }
        let sum: u64 = head
            .iter()
            .enumerate()
            .map(|(i, &b)| if (148..156).contains(&i) { 32 } else { u64::from(b) })
            .sum();
        if number(&head[148..156]) != Some(sum) {
            return Err(fail(at, "this is no header of a tar"));
        }
        let len = number(&head[124..136]).ok_or_else(|| fail(at, "a member without a length"))?;
        let offset = at + BLOCK;
        let end = len.checked_next_multiple_of(BLOCK).and_then(|n| offset.checked_add(n));
        let end = end
            .filter(|_| offset + len <= all)
            .ok_or_else(|| fail(at, "a member beyond the end of the file"))?;
        let kind = head[156];
        if matches!(kind, b'L' | b'x') {
            if len > LONGEST_NAME {
                return Err(fail(at, "a name that is too long"));
            }
            let mut bytes = vec![0; len as usize];
            file.read_exact(&mut bytes).map_err(io)?;
            long_name = if kind == b'L' { Some(text(&bytes)) } else { pax_path(&bytes).or(long_name) };
            file.seek_relative((end - offset - len) as i64).map_err(io)?;
            at = end;
            continue;
        }
        if matches!(kind, b'0' | 0) {
            let (name, prefix) = (text(&head[..100]), text(&head[345..500]));
            let ustar = &head[257..262] == b"ustar" && head[262] == 0 && !prefix.is_empty();
            let path = long_name.take().unwrap_or(if ustar { format!("{prefix}/{name}") } else { name });
            members.push(Member { path, offset, len });
            if members.len() > MOST_MEMBERS {
                return Err(fail(at, "too many members"));
            }
        }
        if kind != b'g' {
            long_name = None;
        }
        file.seek_relative((end - offset) as i64).map_err(io)?;
        at = end;
    }
    Ok(members)
}

/// Text up to a zero byte.
fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|&b| b == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

/// A number of a header: octal digits, or base 256.
fn number(field: &[u8]) -> Option<u64> {
    if field[0] == 0x80 {
        return field[1..].iter().try_fold(0u64, |n, &b| n.checked_mul(256)?.checked_add(b.into()));
    }
    let text = text(field);
    let digits = text.trim();
    if digits.is_empty() { None } else { u64::from_str_radix(digits, 8).ok() }
}

/// The path that records of pax say.
fn pax_path(records: &[u8]) -> Option<String> {
    let mut rest = records;
    while !rest.is_empty() {
        let space = rest.iter().position(|&b| b == b' ')?;
        let len: usize = std::str::from_utf8(&rest[..space]).ok()?.parse().ok()?;
        let record = rest.get(space + 1..len)?;
        if let Some(path) = record.strip_prefix(b"path=") {
            return Some(String::from_utf8_lossy(path.strip_suffix(b"\n").unwrap_or(path)).into_owned());
        }
        rest = rest.get(len..).filter(|_| len > 0)?;
    }
    None
}
