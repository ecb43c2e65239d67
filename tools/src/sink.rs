//! Where a single output goes: a file that appears when it is whole, a device, or the standard output.

use crate::outcome::usage;
use anyhow::Context;
use mcodec_encode::publish::AtomicFile;
use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::path::Path;

/// An output that is written from start to end. Dropped before [`Sink::commit`], it leaves no file.
pub(crate) enum Sink {
    /// A file beside its place.
    File(AtomicFile),
    /// The standard output, a pipe or a device.
    Stream(Box<dyn Write + Send>),
}

/// Whether `path` stands for a standard stream.
pub(crate) fn is_std(path: &Path) -> bool {
    path == Path::new("-")
}

impl Sink {
    /// Starts on `path`.
    pub(crate) fn create(path: &Path, force: bool) -> anyhow::Result<Self> {
        if is_std(path) {
            return Ok(Self::Stream(stdout()?));
        }
        if std::fs::metadata(path).is_ok_and(|meta| !meta.is_file() && !meta.is_dir()) {
            let file = File::options().write(true).open(path);
            return Ok(Self::Stream(Box::new(
                file.with_context(|| format!("cannot open {}", path.display()))?,
            )));
        }
        Ok(Self::File(AtomicFile::create(path, force)?))
    }

    /// Publishes what was written.
    pub(crate) fn commit(self) -> anyhow::Result<()> {
        match self {
            Self::File(file) => Ok(file.commit()?),
            Self::Stream(mut out) => out.flush().context("writing the output"),
        }
    }
}

impl Write for Sink {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match self {
            Self::File(file) => file.file().write(buf),
            Self::Stream(out) => out.write(buf),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::File(file) => file.file().flush(),
            Self::Stream(out) => out.flush(),
        }
    }
}

/// The standard output for binary data; a terminal is refused.
pub(crate) fn stdout() -> anyhow::Result<Box<dyn Write + Send>> {
    if io::stdout().is_terminal() {
        return Err(usage("binary data is not written to a terminal: name a file with -o, or use a pipe"));
    }
    // Without the line buffer of `Stdout`, which searches everything for line ends.
    #[cfg(unix)]
    {
        use std::os::fd::AsFd;
        let owned = io::stdout().as_fd().try_clone_to_owned().context("opening the standard output")?;
        Ok(Box::new(File::from(owned)))
    }
    #[cfg(not(unix))]
    Ok(Box::new(io::stdout()))
}
