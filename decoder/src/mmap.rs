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
