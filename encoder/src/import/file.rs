//! Files read by position that notice when they change.

use std::fs::{File, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::error::ImportError;

/// What identifies the state of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    len: u64,
    modified: Option<SystemTime>,
    inode: Option<(u64, u64)>,
}

impl Stamp {
    fn of(meta: &Metadata) -> Self {
        Self { len: meta.len(), modified: meta.modified().ok(), inode: inode(meta) }
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }
}

#[cfg(unix)]
fn inode(meta: &Metadata) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt as _;
    Some((meta.dev(), meta.ino()))
}

#[cfg(not(unix))]
fn inode(_: &Metadata) -> Option<(u64, u64)> {
    None
}

/// An open file of a model, read by position from any number of threads.
#[derive(Debug)]
pub struct ShardFile {
    path: PathBuf,
    file: File,
    stamp: Stamp,
    #[cfg(not(unix))]
    position: std::sync::Mutex<()>,
}

impl ShardFile {
    /// Opens a regular file.
    ///
    /// # Errors
    /// [`ImportError::Io`] if that fails, [`ImportError::Special`] if it is something else.
    pub fn open(path: &Path) -> Result<Self, ImportError> {
        let fail = |source| ImportError::io(path, source);
        // Opening a pipe would wait for a writer.
        if !std::fs::metadata(path).map_err(fail)?.is_file() {
            return Err(ImportError::Special { path: path.to_owned() });
        }
        let file = File::open(path).map_err(fail)?;
        let stamp = Stamp::of(&file.metadata().map_err(fail)?);
        Ok(Self {
            path: path.to_owned(),
            file,
            stamp,
            #[cfg(not(unix))]
            position: std::sync::Mutex::new(()),
        })
    }

    /// Opens a file that was seen before, in the state `stamp`.
    pub(super) fn reopen(path: &Path, stamp: Stamp) -> Result<Self, ImportError> {
        let file = Self::open(path)?;
        if file.stamp != stamp {
            return Err(ImportError::Changed { path: file.path });
        }
        Ok(file)
    }

    /// The file's length when it was opened.
    #[expect(clippy::len_without_is_empty, reason = "a file, not a collection")]
    #[must_use]
    pub fn len(&self) -> u64 {
        self.stamp.len
    }

    /// The path it was opened by.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn stamp(&self) -> Stamp {
        self.stamp
    }

    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// Fills `buffer` with the bytes at `offset` of the file.
    ///
    /// # Errors
    /// [`ImportError::Changed`] if the file is not in the state it was opened in, [`ImportError::Io`] if reading fails or the
    /// range is not in the file.
    pub fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), ImportError> {
        let fail = |source| ImportError::io(&self.path, source);
        if offset.checked_add(buffer.len() as u64).is_none_or(|end| end > self.stamp.len) {
            return Err(fail(io::Error::new(io::ErrorKind::UnexpectedEof, "read past the end of the file")));
        }
        let filled = fill(offset, buffer, |offset, rest| self.read_some(offset, rest)).map_err(fail)?;
        // Checked after reading: bytes read from a file that has not changed since are good.
        if !filled || Stamp::of(&self.file.metadata().map_err(fail)?) != self.stamp {
            return Err(ImportError::Changed { path: self.path.clone() });
        }
        Ok(())
    }

    #[cfg(unix)]
    fn read_some(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        std::os::unix::fs::FileExt::read_at(&self.file, buffer, offset)
    }

    #[cfg(not(unix))]
    fn read_some(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        read_by_seeking(&self.file, &self.position, offset, buffer)
    }
}

/// Fills `buffer` through short and interrupted reads; false if the input ended first.
fn fill(
    mut offset: u64,
    mut buffer: &mut [u8],
    read: impl Fn(u64, &mut [u8]) -> io::Result<usize>,
) -> io::Result<bool> {
    while !buffer.is_empty() {
        match read(offset, buffer) {
            Ok(0) => return Ok(false),
            Ok(count) => {
                offset = offset.saturating_add(count as u64);
                buffer = buffer.get_mut(count..).unwrap_or_default();
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

/// For systems without positional reads.
#[cfg(any(not(unix), test))]
fn read_by_seeking(
    mut file: &File,
    position: &std::sync::Mutex<()>,
    offset: u64,
    buffer: &mut [u8],
) -> io::Result<usize> {
    use std::io::{Read as _, Seek as _};
    // Nothing is left half done by a panic under this lock.
    let _held = position.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    file.seek(io::SeekFrom::Start(offset))?;
    file.read(buffer)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::io::Write as _;

    use super::*;

    #[test]
    fn reads_by_position_both_ways() {
        let mut temp = tempfile::NamedTempFile::new().unwrap();
        temp.write_all(b"0123456789").unwrap();
        let file = ShardFile::open(temp.path()).unwrap();
        assert_eq!((file.len(), file.path()), (10, temp.path()));
        let mut bytes = [0; 4];
        file.read_at(6, &mut bytes).unwrap();
        assert_eq!(&bytes, b"6789");
        file.read_at(10, &mut []).unwrap();
        assert!(matches!(file.read_at(7, &mut bytes), Err(ImportError::Io { .. })));
        assert!(matches!(file.read_at(u64::MAX, &mut bytes), Err(ImportError::Io { .. })));

        let lock = std::sync::Mutex::new(());
        assert!(fill(2, &mut bytes, |at, rest| read_by_seeking(&file.file, &lock, at, rest)).unwrap());
        assert_eq!(&bytes, b"2345");
    }

    #[test]
    fn short_and_interrupted_reads_go_on() {
        let data = b"abcdefgh";
        let calls = Cell::new(0);
        let read = |at: u64, rest: &mut [u8]| {
            calls.set(calls.get() + 1);
            if calls.get() % 2 == 1 {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let Some(byte) = data.get(at as usize) else { return Ok(0) };
            rest[0] = *byte;
            Ok(1)
        };
        let mut out = [0; 5];
        assert!(fill(3, &mut out, read).unwrap());
        assert_eq!(&out, b"defgh");
        assert!(!fill(4, &mut out, read).unwrap());
        let blocked = fill(0, &mut out, |_, _| Err(io::ErrorKind::WouldBlock.into()));
        assert_eq!(blocked.unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn changes_are_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        std::fs::write(&path, b"0123456789").unwrap();
        let read = |file: &ShardFile| file.read_at(0, &mut [0; 4]);

        let file = ShardFile::open(&path).unwrap();
        std::fs::write(&path, b"0123").unwrap();
        assert!(matches!(read(&file), Err(ImportError::Changed { .. })), "truncated");
        assert!(matches!(file.read_at(4, &mut [0; 6]), Err(ImportError::Changed { .. })), "truncated");

        let file = ShardFile::open(&path).unwrap();
        std::fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(b"4").unwrap();
        assert!(matches!(read(&file), Err(ImportError::Changed { path: p }) if p == path), "grown");

        let file = ShardFile::open(&path).unwrap();
        let stamp = file.stamp();
        assert_eq!(stamp.len(), 5);
        let later = SystemTime::now() + std::time::Duration::from_secs(60);
        File::options().write(true).open(&path).unwrap().set_modified(later).unwrap();
        assert!(matches!(read(&file), Err(ImportError::Changed { .. })), "rewritten in place");

        std::fs::write(dir.path().join("y"), b"01234").unwrap();
        std::fs::rename(dir.path().join("y"), &path).unwrap();
        assert!(matches!(ShardFile::reopen(&path, stamp), Err(ImportError::Changed { .. })), "replaced");
        assert!(matches!(ShardFile::open(dir.path()), Err(ImportError::Special { .. })));
    }
}
