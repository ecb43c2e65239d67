//! mcodec itself, from memory to memory: as the peers that know no files.

use super::codec::Codec;
use super::whole_file::read_source;
use mcodec_decode::{ReadOptions, Reader, source_files};
use mcodec_encode::import::safetensors::looks_like_safetensors;
use mcodec_encode::{EncodeOptions, Output, encode_stream};
use std::io::{self, Cursor, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// mcodec at one effort on one safetensors file, which is in memory, into a buffer that is kept: the streaming form.
pub(super) struct InMemory {
    input: Arc<[u8]>,
    coded: Coded,
    options: EncodeOptions,
}

impl InMemory {
    /// Reads the file; None if it is no safetensors file: only these are encoded without a file in between.
    pub(super) fn open(path: &Path, options: EncodeOptions) -> anyhow::Result<Option<Self>> {
        let input: Arc<[u8]> = std::fs::read(path)?.into();
        if !looks_like_safetensors(&input, Some(input.len() as u64)) {
            return Ok(None);
        }
        Ok(Some(Self { input, coded: Coded::default(), options }))
    }
}

impl Codec for InMemory {
    fn version(&self) -> String {
        env!("CARGO_PKG_VERSION").to_owned()
    }

    fn input_bytes(&self) -> usize {
        self.input.len()
    }

    fn encode(&mut self) -> anyhow::Result<u64> {
        self.coded.bytes().clear();
        let input = Box::new(Cursor::new(Arc::clone(&self.input)));
        let output = Output::Stream(Box::new(self.coded.clone()));
        encode_stream(input, "model", None, output, &self.options)?;
        Ok(self.coded.bytes().len() as u64)
    }

    fn decode(&mut self, out: &mut [u8]) -> anyhow::Result<()> {
        let coded = self.coded.bytes();
        let reader = Reader::open(coded.as_slice(), ReadOptions::default().threads(self.options.threads))?;
        let files = source_files(&reader, &reader.asset(None)?)?;
        let [file] = files.as_slice() else {
            anyhow::bail!("the asset is made from {} files", files.len());
        };
        let left = read_source(&reader, file, out)?;
        anyhow::ensure!(left == 0, "{left} bytes of the file are missing");
        Ok(())
    }

    fn matches(&self, out: &[u8]) -> anyhow::Result<bool> {
        Ok(out == &*self.input)
    }

    /// Its process keeps what it frees, so that nothing is new.
    fn has_new_memory(&self) -> bool {
        false
    }
}

/// A buffer that an encoder writes to, and that keeps its memory when it is cleared.
#[derive(Clone, Default)]
struct Coded(Arc<Mutex<Vec<u8>>>);

impl Coded {
    fn bytes(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Write for Coded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_come_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("m");
        let header = br#"{"b":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#;
        std::fs::write(&path, [&(header.len() as u64).to_le_bytes()[..], header, b"01234567"].concat())
            .unwrap();
        for threads in [1, 2] {
            let mut options = EncodeOptions::default();
            options.threads = threads;
            let mut codec = InMemory::open(&path, options).unwrap().unwrap();
            for _ in 0..2 {
                assert!(codec.encode().unwrap() > 0);
                let mut out = vec![1; codec.input_bytes()];
                codec.decode(&mut out).unwrap();
                assert!(codec.matches(&out).unwrap());
            }
        }
        std::fs::write(&path, b"else").unwrap();
        assert!(InMemory::open(&path, EncodeOptions::default()).unwrap().is_none());
    }
}
