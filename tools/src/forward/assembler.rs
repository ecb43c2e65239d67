//! Puts the parts of a file together as they come: straight to a file, or in order to a pipe.

use crate::sink::Sink;
use anyhow::{Context, bail};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

/// A file whose parts come in any order, each once.
pub(crate) struct Assembler {
    sink: Sink,
    /// Everything before this is written.
    cursor: u64,
    /// Parts beyond the cursor: start and end. In `spool` when the output cannot seek.
    waiting: BTreeMap<u64, u64>,
    spool: Option<File>,
    placed: u64,
}

const WRITING: &str = "writing the output";
const SPOOLING: &str = "using a temporary file";

impl Assembler {
    /// Starts on `path`.
    pub(crate) fn create(path: &Path, force: bool) -> anyhow::Result<Self> {
        Ok(Self::over(Sink::create(path, force)?))
    }

    fn over(sink: Sink) -> Self {
        Self { sink, cursor: 0, waiting: BTreeMap::new(), spool: None, placed: 0 }
    }

    /// Bytes placed so far.
    pub(crate) fn placed(&self) -> u64 {
        self.placed
    }

    /// Places `bytes` at offset `at`.
    pub(crate) fn put(&mut self, at: u64, bytes: &[u8]) -> anyhow::Result<()> {
        let end = at.saturating_add(bytes.len() as u64);
        if bytes.is_empty() {
            return Ok(());
        }
        let before = self.waiting.range(..end).next_back();
        if at < self.cursor || before.is_some_and(|(_, &e)| e > at) {
            bail!("the stream brings bytes {at}..{end} of the file twice");
        }
        self.placed += bytes.len() as u64;
        match &mut self.sink {
            Sink::File(file) => {
                let file = file.file();
                file.seek(SeekFrom::Start(at)).and_then(|_| file.write_all(bytes)).context(WRITING)?;
                self.wait(at, end);
                while let Some(end) = self.waiting.remove(&self.cursor) {
                    self.cursor = end;
                }
                Ok(())
            }
            Sink::Stream(out) if at == self.cursor => {
                out.write_all(bytes).context(WRITING)?;
                self.cursor = end;
                self.drain()
            }
            Sink::Stream(_) => {
                let spool = match &mut self.spool {
                    Some(spool) => spool,
                    none => none.insert(tempfile::tempfile().context(SPOOLING)?),
                };
                spool.seek(SeekFrom::Start(at)).and_then(|_| spool.write_all(bytes)).context(SPOOLING)?;
                self.wait(at, end);
                Ok(())
            }
        }
    }

    /// Notes a part beyond the cursor, joined to the one before it.
    fn wait(&mut self, at: u64, end: u64) {
        match self.waiting.range_mut(..at).next_back() {
            Some((_, e)) if *e == at => *e = end,
            _ => _ = self.waiting.insert(at, end),
        }
    }

    /// Sends what waits at the cursor.
    fn drain(&mut self) -> anyhow::Result<()> {
        let (Sink::Stream(out), Some(spool)) = (&mut self.sink, &mut self.spool) else { return Ok(()) };
        let mut buffer = Vec::new();
        while let Some(end) = self.waiting.remove(&self.cursor) {
            buffer.resize(1 << 20, 0);
            spool.seek(SeekFrom::Start(self.cursor)).context(SPOOLING)?;
            while self.cursor < end {
                let n = (end - self.cursor).min(1 << 20) as usize;
                spool.read_exact(&mut buffer[..n]).context(SPOOLING)?;
                out.write_all(&buffer[..n]).context(WRITING)?;
                self.cursor += n as u64;
            }
        }
        Ok(())
    }

    /// Publishes the file, which must be whole and `len` bytes long.
    pub(crate) fn commit(self, len: u64) -> anyhow::Result<()> {
        if self.cursor != len || !self.waiting.is_empty() {
            bail!("the stream lacks parts of the file: it is whole up to byte {} of {len}", self.cursor);
        }
        self.sink.commit()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(buf)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn parts_in_any_order_make_the_file() {
        let parts: [(u64, &[u8]); 5] = [(0, b"ab"), (2, b"c"), (3, b"defg"), (7, b"h"), (8, b"ij")];
        for seed in 0..120usize {
            let mut order: Vec<usize> = (0..5).collect();
            let mut left = seed;
            for i in (1..5).rev() {
                order.swap(i, left % (i + 1));
                left /= i + 1;
            }
            let pipe = Shared::default();
            let mut piped = Assembler::over(Sink::Stream(Box::new(pipe.clone())));
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("out");
            let mut filed = Assembler::create(&path, false).unwrap();
            for out in [&mut piped, &mut filed] {
                for &i in &order {
                    out.put(parts[i].0, parts[i].1).unwrap();
                    assert!(out.put(parts[i].0, parts[i].1).is_err());
                }
            }
            piped.commit(10).unwrap();
            filed.commit(10).unwrap();
            assert_eq!(*pipe.0.lock().unwrap(), b"abcdefghij");
            assert_eq!(std::fs::read(&path).unwrap(), b"abcdefghij");
        }
    }

    #[test]
    fn a_gap_is_no_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out");
        let mut out = Assembler::create(&path, false).unwrap();
        out.put(1, b"x").unwrap();
        assert!(out.commit(2).is_err());
        assert!(!path.exists());
    }
}
