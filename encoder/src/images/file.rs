//! Picture files into mcodec files: one, a folder of them, or several as one stack.

use super::fit::{EncodedImage, encode_picture};
use super::layer::CodedLayer;
use super::picture::Picture;
use super::write::add_image;
use crate::writer::ContainerWriter;
use crate::{EncodeError, EncodeOptions, EncodeReport, ImageReport, Output, Result};
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
    options: &EncodeOptions,
) -> Result<(EncodeReport, EncodedImage)> {
    let mut writer = ContainerWriter::create(output)?;
    let (mut report, made) = add_picture(&mut writer, 0, picture, name, options)?;
    report.output_bytes = finish(writer, options)?;
    Ok((report, made))
}

/// Writes the index. What was interrupted and is to be kept is not stopped any more.
pub(crate) fn finish(writer: ContainerWriter, options: &EncodeOptions) -> Result<u64> {
    let cancel = options.cancel.clone().filter(|_| !options.image.save_on_interrupt);
    writer.finish(&EncodeOptions { cancel, ..options.clone() })
}

/// Fits a picture and adds it to a writer, as asset `ordinal` of this name.
pub(crate) fn add_picture(
    writer: &mut ContainerWriter,
    ordinal: u32,
    picture: &Picture,
    name: &str,
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
    let made = pool.install(|| encode_picture(picture, &options.image, options, &size_of))?;
    let report = EncodeReport {
        content_hash: add_image(writer, ordinal, name, &made.descriptor, &made.layers)?,
        asset: name.to_owned(),
        image: Some(ImageReport {
            size: [made.descriptor.width, made.descriptor.height],
            gaussians: made.gaussians(),
            psnr: made.psnr,
            interrupted: made.interrupted,
        }),
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
