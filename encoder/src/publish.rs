//! Publishing a file whole or not at all: temporary file beside the target, fsync, rename, fsync of the folder.

use crate::{EncodeError, Result};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// A file that appears at its target only when it is committed. Dropped, it leaves nothing behind.
#[derive(Debug)]
pub struct AtomicFile {
    temp: NamedTempFile,
    target: PathBuf,
    force: bool,
}

impl AtomicFile {
    /// Starts a file that will appear at `target`. A symbolic link is followed: the file it leads to is replaced.
    ///
    /// # Errors
    /// [`EncodeError::Exists`] if something is there and `force` is not set; [`EncodeError::Request`] if it is not a regular file.
    pub fn create(target: &Path, force: bool) -> Result<Self> {
        let mut target = target.to_owned();
        if let Ok(meta) = fs::metadata(&target) {
            if meta.is_dir() {
                return Err(EncodeError::Request(format!("{} is a directory", target.display())));
            }
            if !meta.is_file() {
                return Err(EncodeError::Request(format!("{} is not a regular file", target.display())));
            }
            if !force {
                return Err(EncodeError::Exists { path: target });
            }
            target = fs::canonicalize(&target).map_err(EncodeError::io("resolve", &target))?;
        }
        let temp = builder()
            .tempfile_in(folder_of(&target))
            .map_err(EncodeError::io("create a file beside", &target))?;
        Ok(Self { temp, target, force })
    }

    /// The file, to be written.
    pub fn file(&mut self) -> &mut File {
        self.temp.as_file_mut()
    }

    /// The target.
    #[must_use]
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// Makes the file appear at its target, on disk.
    ///
    /// # Errors
    /// The system's error, with the target as it was; [`EncodeError::Exists`] if a file has appeared there meanwhile.
    pub fn commit(self) -> Result<()> {
        let Self { temp, target, force } = self;
        temp.as_file().sync_all().map_err(EncodeError::io("write", &target))?;
        let renamed = if force { temp.persist(&target) } else { temp.persist_noclobber(&target) };
        match renamed {
            Ok(_) => {}
            Err(e) if e.error.kind() == std::io::ErrorKind::AlreadyExists => {
                return Err(EncodeError::Exists { path: target });
            }
            Err(e) => return Err(EncodeError::io("rename the new file to", &target)(e.error)),
        }
        sync_folder(folder_of(&target));
        Ok(())
    }
}

/// An unnamed file in the folder of `target`, or in the system's folder for such if there is no target.
pub(crate) fn spool_beside(target: Option<&Path>) -> Result<File> {
    match target {
        Some(target) => {
            tempfile::tempfile_in(folder_of(target)).map_err(EncodeError::io("create a file beside", target))
        }
        None => tempfile::tempfile().map_err(EncodeError::io("create a file in", &std::env::temp_dir())),
    }
}

fn builder() -> tempfile::Builder<'static, 'static> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".mcodec-").suffix(".tmp");
    // As any new file: the process's mask decides, not the privacy of a temporary one.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder
}

fn folder_of(target: &Path) -> &Path {
    match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Makes a rename durable. Folders cannot be synced on every system, and the file itself is safe already.
fn sync_folder(folder: &Path) {
    if let Ok(folder) = File::open(folder) {
        _ = folder.sync_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_dropped_file_leaves_nothing_and_a_committed_one_appears() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("out");
        let mut file = AtomicFile::create(&target, false).unwrap();
        file.file().write_all(b"half").unwrap();
        drop(file);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        let mut file = AtomicFile::create(&target, false).unwrap();
        file.file().write_all(b"whole").unwrap();
        file.commit().unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"whole");
        assert!(matches!(AtomicFile::create(&target, false), Err(EncodeError::Exists { .. })));
        assert!(matches!(AtomicFile::create(dir.path(), true), Err(EncodeError::Request(_))));
    }

    #[test]
    fn of_two_writers_without_force_one_wins() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("out");
        let (a, b) =
            (AtomicFile::create(&target, false).unwrap(), AtomicFile::create(&target, false).unwrap());
        a.commit().unwrap();
        assert!(matches!(b.commit(), Err(EncodeError::Exists { .. })));
    }
}
