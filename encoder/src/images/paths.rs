//! Pictures by path: one file, a folder as a pack, several files as a stack.

use super::file::{add_picture, finish};
use super::fit::LEVELS;
use super::import::{Imported, looks_like_picture, read_picture};
use super::names::{type_by_content, type_by_name};
use super::options::{ImageOptions, Rate};
use super::picture::Picture;
use crate::writer::ContainerWriter;
use crate::{EncodeError, EncodeOptions, EncodeReport, Output, Result};
use mcodec_format::natural_order::natural_cmp;
use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// A picture file and the name of its asset.
pub(crate) type Named = (PathBuf, String);

/// Folders within folders that are looked into.
const MAX_DEPTH: usize = 16;

/// Whether the file holds a picture that is read here.
pub(crate) fn is_picture(path: &Path) -> bool {
    let mut head = Vec::new();
    File::open(path).and_then(|file| file.take(16).read_to_end(&mut head)).is_ok()
        && looks_like_picture(&head)
}

/// The name of a file without its extension.
fn stem(path: &Path) -> String {
    path.file_stem().map_or_else(|| "image".into(), |stem| stem.to_string_lossy().into_owned())
}

/// The picture of a path, under its file's name.
pub(crate) fn named(path: &Path) -> Named {
    (path.to_owned(), stem(path))
}

/// The pictures of a folder, in natural order of their names: paths within it, without extensions unless two would be the same.
pub(crate) fn pictures_of(folder: &Path) -> Result<Vec<Named>> {
    let mut found = Vec::new();
    collect(folder, "", 0, &mut found)?;
    let mut count: HashMap<String, usize> = HashMap::new();
    found.iter().for_each(|(_, name)| *count.entry(name.clone()).or_default() += 1);
    for (path, name) in &mut found {
        if count.get(name).copied() > Some(1) {
            let extension = path.extension().unwrap_or_default().to_string_lossy();
            *name = format!("{name}.{extension}");
        }
    }
    found.sort_by(|a, b| natural_cmp(a.1.as_bytes(), b.1.as_bytes()));
    Ok(found)
}

fn collect(folder: &Path, prefix: &str, depth: usize, found: &mut Vec<Named>) -> Result<()> {
    for file in std::fs::read_dir(folder).map_err(EncodeError::io("read", folder))? {
        let file = file.map_err(EncodeError::io("read", folder))?;
        let (path, kind) = (file.path(), file.file_type().map_err(EncodeError::io("read", folder))?);
        if kind.is_dir() && depth < MAX_DEPTH {
            let inner = format!("{prefix}{}/", file.file_name().to_string_lossy());
            collect(&path, &inner, depth + 1, found)?;
        } else if kind.is_file() && is_picture(&path) {
            let name = format!("{prefix}{}", stem(&path));
            found.push((path, name));
        }
    }
    Ok(())
}

/// Encodes the pictures of a folder into a new file, with as many levels each as those of packs usually have.
pub(crate) fn encode_pack(
    pictures: &[Named],
    output: Output,
    options: &EncodeOptions,
) -> Result<EncodeReport> {
    let levels = options.image.levels.or(Some(LEVELS));
    let image = ImageOptions { levels, ..options.image.clone() };
    encode_pictures(pictures, output, &EncodeOptions { image, ..options.clone() })
}

/// Encodes pictures into a new file, each as an asset.
pub(crate) fn encode_pictures(
    pictures: &[Named],
    output: Output,
    options: &EncodeOptions,
) -> Result<EncodeReport> {
    let mut writer = ContainerWriter::create(output)?;
    let mut all = EncodeReport::default();
    for (ordinal, (path, name)) in (0u32..).zip(pictures) {
        let report = add_path(&mut writer, ordinal, path, name, options)?;
        all.input_bytes += report.input_bytes;
        all.notes.extend(report.notes);
        all.content_hash = report.content_hash;
        all.image = report.image.filter(|_| pictures.len() == 1);
        all.asset = report.asset;
    }
    all.output_bytes = finish(writer, options)?;
    Ok(all)
}

/// Adds the picture of a path to a writer.
pub(crate) fn add_path(
    writer: &mut ContainerWriter,
    ordinal: u32,
    path: &Path,
    name: &str,
    options: &EncodeOptions,
) -> Result<EncodeReport> {
    let mut imported = read_picture(path)?;
    type_by_name(&mut imported.picture, &stem(path));
    let rate = options.image.rate.of_picture(&imported.picture, imported.jpeg_steps.as_deref());
    if options.image.rate == Rate::Restore && !matches!(rate, Rate::Near(_)) {
        imported.notes.push(format!("{}: it looks clean: nothing is restored", path.display()));
    }
    let own = EncodeOptions { image: ImageOptions { rate, ..options.image.clone() }, ..options.clone() };
    let (mut report, _) = add_picture(writer, ordinal, &imported.picture, name, &own)?;
    report.input_bytes = std::fs::metadata(path).map_err(EncodeError::io("read", path))?.len();
    report.notes = imported.notes;
    Ok(report)
}

/// Encodes pictures of one size as one image, the channels of each a group under its file's name.
///
/// # Errors
/// If a picture cannot be read, sizes differ, or there are more than 16 channels.
pub fn encode_stack(
    paths: &[PathBuf],
    name: &str,
    output: Output,
    options: &EncodeOptions,
) -> Result<EncodeReport> {
    let mut stack: Option<Picture> = None;
    let mut notes = Vec::new();
    let mut input_bytes = 0;
    for path in paths {
        let Imported { mut picture, notes: more, .. } = read_picture(path)?;
        notes.extend(more);
        input_bytes += std::fs::metadata(path).map_err(EncodeError::io("read", path))?.len();
        type_by_name(&mut picture, &stem(path));
        type_by_content(&mut picture);
        picture.groups.iter_mut().for_each(|group| group.name = stem(path));
        stack = Some(match stack {
            None => picture,
            Some(below) => below
                .stacked(picture)
                .map_err(|why| EncodeError::Request(format!("{}: {why}", path.display())))?,
        });
    }
    let stack = stack.ok_or_else(|| EncodeError::Request("a stack of no pictures".into()))?;
    let mut writer = ContainerWriter::create(output)?;
    let (mut report, _) = add_picture(&mut writer, 0, &stack, name, options)?;
    report.output_bytes = finish(writer, options)?;
    report.input_bytes = input_bytes;
    report.notes = notes;
    Ok(report)
}
