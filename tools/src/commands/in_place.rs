//! Commands that change a file in place, or (with an output) a copy of it.

use crate::console::Console;
use crate::outcome::usage;
use crate::sink::is_std;
use anyhow::Context;
use mcodec_encode::EncodeError;
use std::path::{Path, PathBuf};

/// A file that is being changed.
pub(crate) struct Target {
    path: PathBuf,
    copy: Option<(tempfile::TempPath, PathBuf, bool)>,
}

impl Target {
    /// `path` itself, or a copy that will appear at the output.
    pub(crate) fn of(path: &Path, output: Option<&Path>, force: bool) -> anyhow::Result<Self> {
        if is_std(path) || output.is_some_and(is_std) {
            return Err(usage("this command changes a file in place; it cannot work on a stream"));
        }
        let Some(output) = output else { return Ok(Self { path: path.to_owned(), copy: None }) };
        if output.is_dir() {
            return Err(usage(format!("{} is a directory", output.display())));
        }
        if !force && output.try_exists().unwrap_or(true) {
            return Err(EncodeError::Exists { path: output.to_owned() }.into());
        }
        let folder = match output.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let copy = tempfile::Builder::new().prefix(".mcodec-").suffix(".tmp").tempfile_in(folder);
        let copy = copy.with_context(|| format!("cannot create a file in {}", folder.display()))?;
        let copy = copy.into_temp_path();
        // Also gives the copy the mode of the file.
        std::fs::copy(path, &copy).with_context(|| format!("cannot copy {}", path.display()))?;
        Ok(Self { path: copy.to_path_buf(), copy: Some((copy, output.to_owned(), force)) })
    }

    /// The file to change.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Publishes the copy, if it is one.
    pub(crate) fn commit(self, console: &Console) -> anyhow::Result<()> {
        console.cancel().check()?;
        let Some((copy, output, force)) = self.copy else { return Ok(()) };
        let moved = if force { copy.persist(&output) } else { copy.persist_noclobber(&output) };
        moved.map_err(|e| e.error).with_context(|| format!("cannot write {}", output.display()))
    }
}
