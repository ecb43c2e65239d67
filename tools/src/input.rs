//! Opening mcodec files for random access, also from the standard input.

use crate::cli::{Bases, Common};
use crate::console::Console;
use crate::outcome::UsageError;
use crate::sink::is_std;
use crate::stdin;
use anyhow::{Context, bail};
use mcodec_decode::{BaseModel, ReadOptions, Reader, base_of_asset, hex};
use mcodec_encode::EncodeError;
use mcodec_format::registry::MAGIC;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;

/// A reader of a file on disk.
pub(crate) type FileReader = Reader<File>;

/// A model that others are told against.
pub(crate) type Base = Arc<dyn BaseModel>;

/// Opens the bases that are given.
pub(crate) fn bases(given: &Bases, common: &Common, console: &Console) -> anyhow::Result<Vec<Base>> {
    if given.paths.is_empty() {
        return Ok(Vec::new());
    }
    if given.paths.iter().any(|path| is_std(path)) {
        return Err(crate::outcome::usage("a base is a file or a folder, not the standard input"));
    }
    Ok(mcodec_encode::open_bases(&given.paths, None, &console.encode_options(common))?)
}

/// Refuses a file that is told against a model that is none of its bases: `asset`, or any asset, if it is told so.
pub(crate) fn check_bases(reader: &FileReader, path: &Path, asset: Option<&str>) -> anyhow::Result<()> {
    for asset in reader.assets()?.iter().filter(|a| asset.is_none_or(|name| a.name == name)) {
        let Some((hash, name)) = base_of_asset(asset) else { continue };
        let given = reader.bases();
        if given.iter().any(|base| base.content_hash() == hash) {
            continue;
        }
        let what = format!(
            "{}: asset {:?} is told against {name:?}, content hash blake3:{}",
            shown(path),
            asset.name,
            hex(&hash)
        );
        if given.is_empty() {
            bail!("{what}: name that model with --base");
        }
        let have: Vec<String> =
            given.iter().map(|b| format!("{:?} blake3:{}", b.name(), hex(&b.content_hash()))).collect();
        bail!("{what}; the bases that were given are others: {}", have.join(", "));
    }
    Ok(())
}

/// Opens `path`, or what comes through the standard input, with all warnings told.
pub(crate) fn open(path: &Path, common: &Common, console: &Console) -> anyhow::Result<FileReader> {
    let file = if is_std(path) {
        spool(&mut stdin::open(console.cancel())?, &[], console)?
    } else {
        open_file(path)?
    };
    open_reader(file, path, common, console)
}

/// Opens a file that was found or spooled.
pub(crate) fn open_reader(
    file: File,
    path: &Path,
    common: &Common,
    console: &Console,
) -> anyhow::Result<FileReader> {
    let options = ReadOptions::default().threads(common.threads());
    let reader = Reader::open(file, options).with_context(|| shown(path))?;
    for warning in reader.warnings() {
        console.note(&format!("{}: warning: {warning}", shown(path)));
    }
    Ok(reader)
}

/// Opens a regular file.
pub(crate) fn open_file(path: &Path) -> anyhow::Result<File> {
    let fail = || format!("cannot open {}", shown(path));
    if std::fs::metadata(path).with_context(fail)?.is_dir() {
        return Err(UsageError(format!("{} is a directory", shown(path)))).with_context(fail);
    }
    File::open(path).with_context(fail)
}

/// What the encoder says of the mcodec file at `path`, with its name.
pub(crate) fn about(path: &Path, e: EncodeError) -> anyhow::Error {
    let nameless = matches!(e, EncodeError::Decode(_));
    let e = anyhow::Error::from(e);
    if nameless { e.context(shown(path)) } else { e }
}

/// A path as messages show it.
pub(crate) fn shown(path: &Path) -> String {
    if is_std(path) { "the standard input".into() } else { path.display().to_string() }
}

/// Copies `head` and the rest of `input` to an unnamed temporary file.
pub(crate) fn spool(input: &mut dyn Read, head: &[u8], console: &Console) -> anyhow::Result<File> {
    let mut file = tempfile::tempfile().context("cannot make a temporary file")?;
    file.write_all(head).context("writing a temporary file")?;
    let mut buffer = vec![0u8; 1 << 20];
    loop {
        console.cancel().check()?;
        match input.read(&mut buffer) {
            Ok(0) => return Ok(file),
            Ok(n) => file.write_all(&buffer[..n]).context("writing a temporary file")?,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e).context("reading the standard input"),
        }
    }
}

/// Whether the file starts as an mcodec file does.
pub(crate) fn is_mcodec(path: &Path) -> bool {
    let mut magic = [0u8; 8];
    File::open(path).and_then(|mut file| file.read_exact(&mut magic)).is_ok() && magic == MAGIC
}
