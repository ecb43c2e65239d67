//! A source that counts what is read from it.

use mcodec_decode::ReadAt;
use std::io;
use std::ops::Range;
use std::sync::Mutex;

/// Reads from `T`, noting each range.
#[derive(Debug)]
pub struct Counting<T> {
    inner: T,
    reads: Mutex<Vec<Range<u64>>>,
}

impl<T> Counting<T> {
    /// Counts reads of `inner`.
    pub fn new(inner: T) -> Self {
        Self { inner, reads: Mutex::default() }
    }

    /// The ranges read since the last call.
    pub fn take(&self) -> Vec<Range<u64>> {
        std::mem::take(&mut *self.reads.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }
}

impl<T: ReadAt> ReadAt for Counting<T> {
    fn size(&self) -> io::Result<u64> {
        self.inner.size()
    }

    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let range = offset..offset + buf.len() as u64;
        self.reads.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(range);
        self.inner.read_exact_at(offset, buf)
    }
}

/// Bytes in these ranges.
#[must_use]
pub fn bytes_of(reads: &[Range<u64>]) -> u64 {
    reads.iter().map(|r| r.end - r.start).sum()
}
