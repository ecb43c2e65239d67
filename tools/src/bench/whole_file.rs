//! mcodec itself, from file to file and back into memory.

use super::codec::Codec;
use crate::entry_stream::read_parts;
use mcodec_decode::{ReadAt, ReadOptions, Reader, SourceFile, source_files};
use mcodec_encode::{EncodeOptions, Output, encode_path};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Bytes read at once where a file is only compared.
const PIECE: usize = 1 << 20;

/// mcodec at one effort on one file.
pub(super) struct WholeFile {
    input: PathBuf,
    input_bytes: usize,
    coded: PathBuf,
    options: EncodeOptions,
    /// Where `coded` is, if it goes away with this.
    _folder: Option<TempDir>,
}

impl WholeFile {
    /// Prepares; reads the file once, so that it is in the system's cache. It is encoded to `coded`, else to a temporary file.
    pub(super) fn open(path: &Path, options: EncodeOptions, coded: Option<PathBuf>) -> anyhow::Result<Self> {
        let mut input_bytes = 0;
        pieces(path, |piece| {
            input_bytes += piece.len();
            true
        })?;
        let (coded, folder) = match coded {
            Some(coded) => (coded, None),
            None => {
                let folder = tempfile::tempdir()?;
                (folder.path().join("coded.mcodec"), Some(folder))
            }
        };
        Ok(Self { input: path.to_owned(), input_bytes, coded, options, _folder: folder })
    }
}

impl Codec for WholeFile {
    fn version(&self) -> String {
        env!("CARGO_PKG_VERSION").to_owned()
    }

    fn input_bytes(&self) -> usize {
        self.input_bytes
    }

    fn encode(&mut self) -> anyhow::Result<u64> {
        let output = Output::File { path: self.coded.clone(), force: true };
        encode_path(&self.input, None, output, &self.options)?;
        Ok(std::fs::metadata(&self.coded)?.len())
    }

    fn decode(&mut self, out: &mut [u8]) -> anyhow::Result<()> {
        let reader =
            Reader::open(File::open(&self.coded)?, ReadOptions::default().threads(self.options.threads))?;
        let asset = reader.asset(None)?;
        let files = source_files(&reader, &asset)?;
        let [file] = files.as_slice() else {
            anyhow::bail!("the asset is made from {} files", files.len());
        };
        let left = read_source(&reader, file, out)?;
        anyhow::ensure!(left == 0, "{left} bytes of the file are missing");
        Ok(())
    }

    fn matches(&self, out: &[u8]) -> anyhow::Result<bool> {
        let mut rest = out;
        let same = pieces(&self.input, |piece| match rest.strip_prefix(piece) {
            Some(after) => {
                rest = after;
                true
            }
            None => false,
        })?;
        Ok(same && rest.is_empty())
    }
}

/// Writes a source file to the start of `out`; returns how many bytes of `out` are left.
pub(super) fn read_source<S: ReadAt>(
    reader: &Reader<S>,
    file: &SourceFile,
    out: &mut [u8],
) -> anyhow::Result<usize> {
    read_parts(reader, &file.parts, out)
}

/// Reads a file piece by piece while `each` wants more; returns whether it wanted them all.
fn pieces(path: &Path, mut each: impl FnMut(&[u8]) -> bool) -> anyhow::Result<bool> {
    let mut file = File::open(path)?;
    let mut buffer = vec![0; PIECE];
    loop {
        let n = file.read(&mut buffer)?;
        if n == 0 {
            return Ok(true);
        }
        if !each(&buffer[..n]) {
            return Ok(false);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip(name: &str, content: &[u8]) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        let mut options = EncodeOptions::default();
        (options.effort, options.threads) = (1, 1);
        let mut codec = WholeFile::open(&path, options, None).unwrap();
        assert!(codec.encode().unwrap() > 0);
        let mut out = vec![1; codec.input_bytes()];
        codec.decode(&mut out).unwrap();
        assert!(codec.matches(&out).unwrap());
        assert!(!codec.matches(&out[1..]).unwrap());
    }

    #[test]
    fn models_and_blobs_come_back() {
        let header = br#"{"b":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"a":{"dtype":"U8","shape":[3],"data_offsets":[8,11]}}"#;
        let model = [&(header.len() as u64).to_le_bytes()[..], header, b"0123456789A"].concat();
        round_trip("model.safetensors", &model);
        round_trip("other.bin", &[7; 3000]);
    }
}
