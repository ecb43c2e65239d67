//! Several files that appear together: written in a folder of their own, moved to their places when all are whole.

use crate::outcome::usage;
use anyhow::{Context, bail};
use mcodec_encode::EncodeError;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A folder that is being filled. Dropped before [`FolderOutput::commit`], it leaves nothing.
pub(crate) struct FolderOutput {
    target: PathBuf,
    exists: bool,
    /// Holds the staging folder; removed when dropped.
    _holder: TempDir,
    staging: PathBuf,
    names: Vec<String>,
}

impl FolderOutput {
    /// Starts on files of these names in `target`; a folder that exists must be forced, and then only these files are replaced.
    pub(crate) fn create(target: &Path, names: &[String], force: bool) -> anyhow::Result<Self> {
        let exists = match fs::metadata(target) {
            Ok(meta) if meta.is_dir() => true,
            Ok(_) => {
                return Err(usage(format!(
                    "{} is not a folder, and there are several files to write",
                    target.display()
                )));
            }
            Err(_) => false,
        };
        if !exists && target.is_symlink() {
            return Err(usage(format!("{} is a symbolic link that leads nowhere", target.display())));
        }
        if exists && !force {
            return Err(EncodeError::Exists { path: target.to_owned() }.into());
        }
        if exists {
            names.iter().try_for_each(|name| check_place(target, name))?;
        }
        let beside = if exists { target } else { parent_of(target) };
        let holder = tempfile::Builder::new()
            .prefix(".mcodec-")
            .tempdir_in(beside)
            .with_context(|| format!("cannot make a folder in {}", beside.display()))?;
        // A temporary folder is private; the one within it has the mode of any new folder.
        let staging = holder.path().join("new");
        fs::create_dir(&staging).with_context(|| format!("cannot make {}", staging.display()))?;
        Ok(Self { target: target.to_owned(), exists, _holder: holder, staging, names: names.to_vec() })
    }

    /// Starts the file `name`.
    pub(crate) fn file(&self, name: &str) -> anyhow::Result<File> {
        let path = self.staging.join(name);
        let fail = || format!("cannot make {}", self.target.join(name).display());
        fs::create_dir_all(parent_of(&path)).with_context(fail)?;
        File::create_new(&path).with_context(fail)
    }

    /// Puts the files in their places.
    pub(crate) fn commit(self) -> anyhow::Result<()> {
        if !self.exists {
            fs::rename(&self.staging, &self.target)
                .with_context(|| format!("cannot make {}", self.target.display()))?;
            sync(parent_of(&self.target));
            return Ok(());
        }
        for name in &self.names {
            check_place(&self.target, name)?;
            let place = self.target.join(name);
            let fail = || format!("cannot write {}", place.display());
            fs::create_dir_all(parent_of(&place)).with_context(fail)?;
            fs::rename(self.staging.join(name), &place).with_context(fail)?;
        }
        sync(&self.target);
        Ok(())
    }
}

/// Refuses a place in `folder` that a symbolic link leads out of, or that is a folder itself.
fn check_place(folder: &Path, name: &str) -> anyhow::Result<()> {
    let mut at = folder.to_owned();
    let parts: Vec<&str> = name.split('/').collect();
    for (i, part) in parts.iter().enumerate() {
        at.push(part);
        let Ok(meta) = fs::symlink_metadata(&at) else { return Ok(()) };
        let last = i + 1 == parts.len();
        if !last && meta.is_symlink() {
            bail!("{} is a symbolic link; nothing is written through it", at.display());
        }
        if !last && !meta.is_dir() {
            bail!("{} is not a folder", at.display());
        }
        if last && meta.is_dir() {
            bail!("{} is a folder, where a file is to be written", at.display());
        }
    }
    Ok(())
}

fn parent_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Makes renames durable, where the system can.
fn sync(folder: &Path) {
    if let Ok(folder) = File::open(folder) {
        _ = folder.sync_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn names(list: &[&str]) -> Vec<String> {
        list.iter().map(|&n| n.to_owned()).collect()
    }

    #[test]
    fn files_appear_together_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("out");
        let all = names(&["a", "b/c"]);
        drop(FolderOutput::create(&target, &all, false).unwrap());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        let folder = FolderOutput::create(&target, &all, false).unwrap();
        for name in &all {
            folder.file(name).unwrap().write_all(name.as_bytes()).unwrap();
        }
        assert!(!target.exists());
        folder.commit().unwrap();
        assert_eq!(fs::read(target.join("b/c")).unwrap(), b"b/c");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        assert!(FolderOutput::create(&target, &all, false).is_err());
        fs::write(target.join("other"), b"x").unwrap();
        let folder = FolderOutput::create(&target, &names(&["a"]), true).unwrap();
        folder.file("a").unwrap().write_all(b"new").unwrap();
        folder.commit().unwrap();
        assert_eq!(fs::read(target.join("a")).unwrap(), b"new");
        assert_eq!(fs::read(target.join("other")).unwrap(), b"x");
        assert_eq!(fs::read_dir(&target).unwrap().count(), 3);
    }

    #[cfg(unix)]
    #[test]
    fn links_are_not_written_through() {
        let dir = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(outside.path(), dir.path().join("b")).unwrap();
        assert!(FolderOutput::create(dir.path(), &names(&["b/c"]), true).is_err());
        assert!(FolderOutput::create(dir.path(), &names(&["d"]), true).is_ok());
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
    }
}
