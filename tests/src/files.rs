//! Making mcodec files in a folder of a test, and reading them back.

use mcodec_decode::{ReadOptions, Reader, Result, source_files};
use mcodec_encode::{AssetKind, EncodeOptions, Output, encode_path, encode_stream};
use std::fs::File;
use std::path::{Path, PathBuf};

/// Options with this many threads.
#[must_use]
pub fn options(threads: usize) -> EncodeOptions {
    let mut options = EncodeOptions::default();
    options.threads = threads;
    options
}

/// Writes `bytes` to `dir/name` and encodes it beside, in finished form.
///
/// # Panics
/// If that fails.
#[must_use]
pub fn finished(
    dir: &Path,
    name: &str,
    bytes: &[u8],
    kind: Option<AssetKind>,
    options: &EncodeOptions,
) -> PathBuf {
    let input = dir.join(name);
    std::fs::write(&input, bytes).expect("input is written");
    let path = dir.join(format!("{name}.mcodec"));
    let output = Output::File { path: path.clone(), force: true };
    encode_path(&input, kind, output, options).expect("input encodes");
    path
}

/// The streaming form of a safetensors file.
///
/// # Panics
/// If that fails.
#[must_use]
pub fn streaming(dir: &Path, bytes: &[u8], options: &EncodeOptions) -> PathBuf {
    let path = dir.join("stream.mcodec");
    let out = Box::new(File::create(&path).expect("output is made"));
    let input = Box::new(std::io::Cursor::new(bytes.to_vec()));
    encode_stream(input, "stream", None, Output::Stream(out), options).expect("input encodes");
    path
}

/// Opens bytes.
///
/// # Errors
/// As [`Reader::open`].
pub fn open(bytes: &[u8]) -> Result<Reader<Vec<u8>>> {
    Reader::open(bytes.to_vec(), ReadOptions::default())
}

/// The files of all assets, by `asset/file`.
///
/// # Errors
/// If something cannot be decoded.
pub fn decoded(reader: &Reader<Vec<u8>>) -> Result<Vec<(String, Vec<u8>)>> {
    let mut all = Vec::new();
    for asset in reader.assets()? {
        for file in source_files(reader, &asset)? {
            let bytes = file.read(reader)?;
            all.push((format!("{}/{}", asset.name, file.name), bytes));
        }
    }
    Ok(all)
}
