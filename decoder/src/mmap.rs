//! A file as a memory mapping.
#![allow(unsafe_code)]

use crate::ReadAt;
use memmap2::Mmap;
use std::fs::File;
use std::io;

/// A mapped file. Reads are copies of, or slices into, the mapping.
#[derive(Debug)]
pub struct MappedFile(Mmap);

impl MappedFile {
    /// Maps `file`.
    ///
    /// # Safety
    /// The file must not be truncated or written to, by any process, while the mapping lives: a truncated one ends the process with a
    /// bus error, a written one changes bytes that Rust takes for constant.
    ///
    /// # Errors
    /// The system's error.
    pub unsafe fn open(file: &File) -> io::Result<Self> {
        // SAFETY: the caller promises that the file stays as it is.
        unsafe { Mmap::map(file) }.map(Self)
    }
}

impl ReadAt for MappedFile {
    fn size(&self) -> io::Result<u64> {
        Ok(self.0.len() as u64)
    }
    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.0[..].read_exact_at(offset, buf)
    }
    fn as_slice(&self) -> Option<&[u8]> {
        Some(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapping_reads_as_the_file() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        let bytes = std::fs::read(path).unwrap();
        // SAFETY: nothing writes to the manifest while this test runs.
        let mapped = unsafe { MappedFile::open(&File::open(path).unwrap()) }.unwrap();
        assert_eq!(mapped.size().unwrap(), bytes.len() as u64);
        assert_eq!(mapped.as_slice(), Some(&bytes[..]));
        let mut part = [0u8; 9];
        mapped.read_exact_at(3, &mut part).unwrap();
        assert_eq!(part, bytes[3..12]);
        assert!(mapped.read_exact_at(bytes.len() as u64 - 8, &mut part).is_err());
        assert!(mapped.read_exact_at(u64::MAX, &mut part).is_err());
    }
}
