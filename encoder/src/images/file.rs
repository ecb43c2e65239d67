//! Picture files into mcodec files.

use super::fit::{EncodedImage, encode_picture};
use super::layer::CodedLayer;
use super::options::ImageOptions;
use super::picture::Picture;
use super::write::add_image;
use crate::writer::ContainerWriter;
use crate::{EncodeError, EncodeOptions, EncodeReport, Output, Result};
use mcodec_format::ImageDescriptor;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Encodes a picture into a new file, as an asset of this name.
///
/// # Errors
/// As [`encode_picture`], or if the output cannot be written.
pub fn encode_image(
    picture: &Picture,
    name: &str,
    output: Output,
    image: &ImageOptions,
    options: &EncodeOptions,
) -> Result<(EncodeReport, EncodedImage)> {
    if name.contains('\0') || name.len() as u64 > options.limits.name_bytes {
        return Err(EncodeError::Request(format!("{name:?} cannot be the name of an asset")));
    }
    let pool = rayon::ThreadPoolBuilder::new().num_threads(options.threads).build();
    let pool =
        pool.map_err(|e| EncodeError::Request(format!("cannot start {} threads: {e}", options.threads)))?;
    let size_of =
        |descriptor: &ImageDescriptor, layers: &[CodedLayer]| size_of(name, descriptor, layers, options);
    let made = pool.install(|| encode_picture(picture, image, options, &size_of))?;
    let mut writer = ContainerWriter::create(output)?;
    let hash = add_image(&mut writer, 0, name, &made.descriptor, &made.layers)?;
    let finish = EncodeOptions { cancel: None, ..options.clone() };
    let report = EncodeReport {
        output_bytes: writer.finish(&finish)?,
        content_hash: hash,
        asset: name.to_owned(),
        ..EncodeReport::default()
    };
    Ok((report, made))
}

/// Bytes of a finished file of one image.
fn size_of(
    name: &str,
    descriptor: &ImageDescriptor,
    layers: &[CodedLayer],
    options: &EncodeOptions,
) -> Result<u64> {
    let count = Arc::new(AtomicU64::new(0));
    let mut writer = ContainerWriter::create_finished(Output::Stream(Box::new(Counter(Arc::clone(&count)))))?;
    add_image(&mut writer, 0, name, descriptor, layers)?;
    writer.finish(&EncodeOptions { cancel: None, ..options.clone() })?;
    Ok(count.load(Ordering::Relaxed))
}

/// Counts what is written to it.
struct Counter(Arc<AtomicU64>);

impl Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
