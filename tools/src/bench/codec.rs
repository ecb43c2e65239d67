//! The peers that run in this binary.

use super::input::Numbers;
use super::shuffle::{shuffle, unshuffle};
use anyhow::Context;
use std::fs;
use std::path::Path;

/// One way to code one input. What it encoded it keeps, for decoding.
pub(super) trait Codec {
    /// Version of what does the work.
    fn version(&self) -> String;

    /// Bytes that one call codes.
    fn input_bytes(&self) -> usize;

    /// Encodes; returns the bytes that it takes.
    fn encode(&mut self) -> anyhow::Result<u64>;

    /// Decodes into `out`, which has [`Codec::input_bytes`].
    fn decode(&mut self, out: &mut [u8]) -> anyhow::Result<()>;

    /// Whether `out` is what was coded.
    fn matches(&self, out: &[u8]) -> anyhow::Result<bool>;

    /// Whether memory that is allocated anew is new to the process, so that decoding into it is worth a figure of its own.
    fn has_new_memory(&self) -> bool {
        true
    }
}

/// A copy, each way.
pub(super) struct Memcpy {
    input: Vec<u8>,
    copy: Vec<u8>,
}

impl Memcpy {
    /// Of a file.
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        Ok(Self { input: fs::read(path)?, copy: Vec::new() })
    }
}

impl Codec for Memcpy {
    fn version(&self) -> String {
        String::new()
    }

    fn input_bytes(&self) -> usize {
        self.input.len()
    }

    fn encode(&mut self) -> anyhow::Result<u64> {
        self.copy.resize(self.input.len(), 0);
        self.copy.copy_from_slice(&self.input);
        Ok(self.copy.len() as u64)
    }

    fn decode(&mut self, out: &mut [u8]) -> anyhow::Result<()> {
        out.copy_from_slice(&self.copy);
        Ok(())
    }

    fn matches(&self, out: &[u8]) -> anyhow::Result<bool> {
        Ok(out == self.input)
    }
}

/// zstd in one piece, maybe after a byte shuffle.
pub(super) struct Zstd {
    input: Vec<u8>,
    /// Bytes of an element; 1: no shuffle.
    width: usize,
    shuffled: Vec<u8>,
    coded: Vec<u8>,
    compressor: zstd::bulk::Compressor<'static>,
    decompressor: zstd::bulk::Decompressor<'static>,
}

impl Zstd {
    /// Of a file's bytes.
    pub(super) fn open(path: &Path, level: i32) -> anyhow::Result<Self> {
        Self::new(fs::read(path)?, level, 1)
    }

    /// Of a file's numbers, shuffled; `None` if they have one byte each.
    pub(super) fn open_shuffled(path: &Path, level: i32) -> anyhow::Result<Option<Self>> {
        let file = fs::read(path)?;
        let numbers = Numbers::find(&file);
        if numbers.width == 1 {
            return Ok(None);
        }
        Self::new(numbers.payload(&file), level, numbers.width).map(Some)
    }

    fn new(input: Vec<u8>, level: i32, width: usize) -> anyhow::Result<Self> {
        Ok(Self {
            input,
            width,
            shuffled: Vec::new(),
            coded: Vec::new(),
            compressor: zstd::bulk::Compressor::new(level)?,
            decompressor: zstd::bulk::Decompressor::new()?,
        })
    }
}

impl Codec for Zstd {
    fn version(&self) -> String {
        zstd::zstd_safe::version_string().to_owned()
    }

    fn input_bytes(&self) -> usize {
        self.input.len()
    }

    fn encode(&mut self) -> anyhow::Result<u64> {
        let input = if self.width == 1 {
            &self.input
        } else {
            self.shuffled.resize(self.input.len(), 0);
            shuffle(&self.input, self.width, &mut self.shuffled);
            &self.shuffled
        };
        self.coded.clear();
        self.coded.reserve(zstd::zstd_safe::compress_bound(input.len()));
        self.compressor.compress_to_buffer(input, &mut self.coded).context("zstd, encoding")?;
        Ok(self.coded.len() as u64)
    }

    fn decode(&mut self, out: &mut [u8]) -> anyhow::Result<()> {
        let to = if self.width == 1 { &mut *out } else { self.shuffled.as_mut_slice() };
        let n = self.decompressor.decompress_to_buffer(&self.coded, to).context("zstd, decoding")?;
        anyhow::ensure!(n == self.input.len(), "zstd gave {n} bytes back");
        if self.width > 1 {
            unshuffle(&self.shuffled, self.width, out);
        }
        Ok(())
    }

    fn matches(&self, out: &[u8]) -> anyhow::Result<bool> {
        Ok(out == self.input)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_codec_gives_back_what_it_was_given() {
        let input: Vec<u8> = (0..10_001u32).map(|i| (i * i / 77) as u8).collect();
        let zstd = |width| Zstd::new(input.clone(), 3, width).unwrap();
        let copy = Memcpy { input: input.clone(), copy: Vec::new() };
        let all: [Box<dyn Codec>; 4] =
            [Box::new(copy), Box::new(zstd(1)), Box::new(zstd(2)), Box::new(zstd(4))];
        for mut codec in all {
            for _ in 0..2 {
                assert!(codec.encode().unwrap() > 0);
                let mut out = vec![1; codec.input_bytes()];
                codec.decode(&mut out).unwrap();
                assert!(codec.matches(&out).unwrap());
                out[5000] ^= 1;
                assert!(!codec.matches(&out).unwrap());
            }
        }
    }
}
