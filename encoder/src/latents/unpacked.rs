//! NumPy files whose arrays cannot be read by position: members of `.npz` files that are compressed, arrays in Fortran order. They are written
//! anew, as `np.savez` does of arrays in C order, into a folder that is there as long as they are read.

use super::array::MOST;
use crate::import::ShardFile;
use crate::import::numpy::{Header, dtype_of, is_npz, looks_like_npy, read_header};
use crate::import::zip::{Kept, Member, Source, looks_like_zip, read_directory};
use crate::{EncodeError, Result};
#[cfg(feature = "deflate")]
use std::io::Read;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Bytes of an array in which its header is looked for.
#[cfg(feature = "deflate")]
const HEAD: u64 = 1 << 16;
/// The number of the method of compression that is read.
const DEFLATE: u16 = 8;

/// A file that was written anew.
pub(super) struct Unpacked {
    pub(super) path: PathBuf,
    _folder: tempfile::TempDir,
}

/// The file with its arrays as they can be read; `None` if they can be already, or it is no such file.
///
/// # Errors
/// If an array is malformed, too large, or compressed in another way than by deflation, or the copy cannot be written.
pub(super) fn unpacked(path: &Path) -> Result<Option<Unpacked>> {
    let file = ShardFile::open(path)?;
    let mut first = [0; 8];
    let len = usize::try_from(file.byte_len()).unwrap_or(usize::MAX).min(first.len());
    file.read(0, &mut first[..len]).map_err(EncodeError::io("read", path))?;
    if looks_like_npy(&first) {
        return of_array(path, &file);
    }
    if looks_like_zip(&first) {
        // What is no sound ZIP file is told where it is opened.
        if let Ok(members) = read_directory(&file) {
            return of_archive(path, &file, &members);
        }
    }
    Ok(None)
}

fn of_array(path: &Path, file: &ShardFile) -> Result<Option<Unpacked>> {
    let Ok(header) = read_header(file, 0..file.byte_len()) else { return Ok(None) };
    let by_column = header.fortran_order && header.shape.iter().filter(|d| **d != 1).count() > 1;
    if !by_column || file.byte_len() > MOST || dtype_of(&header.descr).is_none() {
        return Ok(None);
    }
    let mut bytes = vec![0; file.byte_len() as usize];
    file.read(0, &mut bytes).map_err(EncodeError::io("read", path))?;
    let Some(bytes) = by_rows(&header, &bytes) else { return Ok(None) };
    let name = path.file_name().map_or_else(|| "array.npy".into(), PathBuf::from);
    written(&name, |out| out.write_all(&bytes)).map(Some)
}

fn of_archive(path: &Path, file: &ShardFile, members: &[Member]) -> Result<Option<Unpacked>> {
    let arrays = || members.iter().filter(|m| m.name.ends_with(".npy"));
    let by_column = |member: &&Member| {
        member.kept == Kept::Stored
            && read_header(file, member.body.clone()).is_ok_and(|header| header.fortran_order)
    };
    if !is_npz(members) || !(arrays().any(|m| m.kept != Kept::Stored) || arrays().any(|m| by_column(&m))) {
        return Ok(None);
    }
    let mut total = 0u64;
    let mut all = Vec::new();
    for member in arrays() {
        let fail = |why: String| {
            EncodeError::Request(format!("{}: member {:?}: {why}", path.display(), member.name))
        };
        let bytes = content_of(file, member).map_err(fail)?;
        total = total.saturating_add(bytes.len() as u64);
        if total > MOST {
            return Err(fail(format!(
                "with those before it, its arrays are above the limit of {MOST} bytes"
            )));
        }
        // What is no array is told, or left out, where the copy is opened.
        let header = read_header(&bytes[..], 0..bytes.len() as u64).ok().filter(|h| h.fortran_order);
        let bytes = header.and_then(|header| by_rows(&header, &bytes)).unwrap_or(bytes);
        all.push((member.name.as_str(), bytes));
    }
    let name = path.file_name().map_or_else(|| "arrays.npz".into(), PathBuf::from);
    let write = |out: &mut std::fs::File| -> std::io::Result<()> {
        let mut archive = rawzip::ZipArchiveWriter::new(out);
        for (name, bytes) in &all {
            let stored = rawzip::CompressionMethod::STORE;
            let (mut entry, config) =
                archive.new_file(*name).compression_method(stored).start().map_err(std::io::Error::other)?;
            let mut data = config.wrap(&mut entry);
            data.write_all(bytes)?;
            let (_, descriptor) = data.finish().map_err(std::io::Error::other)?;
            entry.finish(descriptor).map_err(std::io::Error::other)?;
        }
        archive.finish().map_err(std::io::Error::other)?;
        Ok(())
    };
    written(&name, write).map(Some)
}

/// A file of this name in a folder of its own.
fn written(name: &Path, write: impl FnOnce(&mut std::fs::File) -> std::io::Result<()>) -> Result<Unpacked> {
    let folder = tempfile::tempdir().map_err(EncodeError::io("create a folder in", &std::env::temp_dir()))?;
    let path = folder.path().join(name);
    let mut file = std::fs::File::create(&path).map_err(EncodeError::io("create", &path))?;
    write(&mut file).map_err(EncodeError::io("write", &path))?;
    Ok(Unpacked { path, _folder: folder })
}

/// The bytes of a member that is an array.
fn content_of(file: &ShardFile, member: &Member) -> Result<Vec<u8>, String> {
    let len = member.body.end - member.body.start;
    match member.kept {
        Kept::Stored | Kept::Compressed(DEFLATE) if len > MOST => {
            Err(format!("its {len} bytes are above the limit of {MOST}"))
        }
        Kept::Stored | Kept::Compressed(DEFLATE) => {
            let mut bytes = vec![0; len as usize];
            file.read(member.body.start, &mut bytes).map_err(|e| e.to_string())?;
            if member.kept == Kept::Stored { Ok(bytes) } else { inflated(&bytes) }
        }
        Kept::Compressed(method) => {
            Err(format!("it is compressed by method {method}: only deflation (8) is read"))
        }
        Kept::Encrypted => Err("it is encrypted".into()),
    }
}

#[cfg(feature = "deflate")]
fn inflated(bytes: &[u8]) -> Result<Vec<u8>, String> {
    let mut source = flate2::read::DeflateDecoder::new(bytes);
    let mut out = Vec::new();
    let damaged = |e: std::io::Error| format!("it cannot be inflated: {e}");
    source.by_ref().take(HEAD).read_to_end(&mut out).map_err(damaged)?;
    // An array is as long as its header says, whatever else a few bytes inflate to.
    let header = read_header(&out[..], 0..u64::from(u32::MAX)).map_err(|e| e.to_string())?;
    let (_, width) = dtype_of(&header.descr).ok_or("its elements are of a type that is not known")?;
    let count = header.shape.iter().try_fold(width, |n, d| n.checked_mul(*d));
    let whole = count.and_then(|n| n.checked_add(header.len)).filter(|n| *n <= MOST);
    let whole = whole.ok_or_else(|| format!("its array is above the limit of {MOST} bytes"))?;
    source.by_ref().take(whole.saturating_sub(out.len() as u64)).read_to_end(&mut out).map_err(damaged)?;
    let rest = source.read(&mut [0]).map_err(damaged)?;
    if out.len() as u64 != whole || rest > 0 {
        return Err(format!("it has not the {whole} bytes that its header says"));
    }
    Ok(out)
}

#[cfg(not(feature = "deflate"))]
fn inflated(_: &[u8]) -> Result<Vec<u8>, String> {
    Err("it is compressed, and this build does not inflate: save it as np.savez does".into())
}

/// An array in Fortran order as a file of one in C order; `None` of elements of no fixed width, or if it breaks off.
fn by_rows(header: &Header, bytes: &[u8]) -> Option<Vec<u8>> {
    let (_, width) = dtype_of(&header.descr)?;
    let width = usize::try_from(width).ok()?;
    let shape: Vec<usize> = header.shape.iter().map(|d| usize::try_from(*d).ok()).collect::<Option<_>>()?;
    let count = shape.iter().try_fold(1usize, |n, d| n.checked_mul(*d))?;
    let source = bytes.get(usize::try_from(header.len).ok()?..)?.get(..count.checked_mul(width)?)?;
    let sizes: Vec<String> = shape.iter().map(|d| format!("{d},")).collect();
    let text =
        format!("{{'descr': '{}', 'fortran_order': False, 'shape': ({}), }}", header.descr, sizes.join(" "));
    let mut out = b"\x93NUMPY\x01\0".to_vec();
    let padded = (text.len() + 11).next_multiple_of(64) - 10;
    out.extend(u16::try_from(padded).ok()?.to_le_bytes());
    out.extend(text.as_bytes());
    out.resize(10 + padded - 1, b' ');
    out.push(b'\n');
    let mut strides = vec![1usize; shape.len()];
    for axis in 1..shape.len() {
        strides[axis] = strides[axis - 1] * shape[axis - 1];
    }
    let (mut place, mut at) = (vec![0usize; shape.len()], 0usize);
    for _ in 0..count {
        out.extend_from_slice(&source[at * width..][..width]);
        for axis in (0..shape.len()).rev() {
            place[axis] += 1;
            at += strides[axis];
            if place[axis] < shape[axis] {
                break;
            }
            at -= strides[axis] * shape[axis];
            place[axis] = 0;
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_become_rows() {
        let header = Header { descr: "<u2".into(), fortran_order: true, shape: vec![2, 3], len: 0 };
        let bytes: Vec<u8> = (0..6u16).flat_map(u16::to_le_bytes).collect();
        let out = by_rows(&header, &bytes).unwrap();
        let back = read_header(&out[..], 0..out.len() as u64).unwrap();
        assert_eq!((back.fortran_order, &back.shape, back.len % 64), (false, &vec![2, 3], 0));
        let data: Vec<u16> =
            out[back.len as usize..].chunks(2).map(|b| u16::from_le_bytes([b[0], b[1]])).collect();
        assert_eq!(data, [0, 2, 4, 1, 3, 5]);
        assert!(by_rows(&header, &bytes[..9]).is_none());
    }
}
