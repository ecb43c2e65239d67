//! What a caller chooses.

use crate::images::ImageOptions;
use crate::import::ImportOptions;
use crate::{AppendBase, Device, EncodeError, Result};
use mcodec_decode::BaseModel;
use mcodec_format::Limits;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// How far work has come.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Work {
    /// Bytes of the input.
    Bytes {
        /// Done.
        done: u64,
        /// In all; 0: not known.
        total: u64,
    },
    /// Steps of fitting a picture. Each picture starts anew, and so does a stack after its planes were weighed.
    Steps {
        /// Done.
        done: u64,
        /// In all.
        total: u64,
        /// How good the picture is so far: PSNR in dB over its planes, weighted as they are fitted; of large pictures that of the part that is
        /// fitted just now. `None` where it is not known.
        psnr: Option<f64>,
    },
}

/// Called as work proceeds.
pub type Progress = Arc<dyn Fn(Work) + Send + Sync>;

/// How the symbols of floats are coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum SymbolCodes {
    /// rANS: the smallest, and the fastest to decode with vector instructions.
    #[default]
    Rans,
    /// Prefix codes, looked up one by one: some thousandths larger, and the fastest to decode without vector instructions. Signs are not
    /// coded, and no GPU decodes them.
    Prefix,
}

/// How to encode.
#[derive(Clone)]
#[non_exhaustive]
pub struct EncodeOptions {
    /// 1 (fastest) to 9 (smallest).
    pub effort: u8,
    /// How the symbols of labelled floats are coded. What else there is (blocks of quantised types, integers, differences) does not change.
    pub codes: SymbolCodes,
    /// Encoding threads; 0: all cores. The bytes do not depend on it.
    pub threads: usize,
    /// Store tensors raw and 64-byte aligned, to be used from a memory mapping.
    pub mappable: bool,
    /// Bytes that a chunk decodes to at most, unless one element is wider: the unit of random access. 64 bytes to 16 MiB.
    pub chunk_len: u64,
    /// Bytes of tensors that are in memory and share tables at once; less than the default for tests alone. The encoded bytes depend on it.
    #[doc(hidden)]
    pub segment_len: u64,
    /// Models whose content hash files name: what mcodec files that are read are told against. The first is also what is encoded against.
    pub bases: Vec<Arc<dyn BaseModel>>,
    /// What an asset that is added to a file is told against.
    pub append_base: AppendBase,
    /// How models are read.
    pub import: ImportOptions,
    /// How images are made.
    pub image: ImageOptions,
    /// Where pictures are fitted and weights are rounded. The codes of weights do not depend on it.
    pub device: Device,
    /// Bounds for reading mcodec files.
    pub limits: Limits,
    /// Called as work proceeds.
    pub progress: Option<Progress>,
    /// Set by another thread to stop: the output is then left as it was.
    pub cancel: Option<Arc<AtomicBool>>,
}

impl Default for EncodeOptions {
    fn default() -> Self {
        Self {
            effort: 5,
            codes: SymbolCodes::Rans,
            threads: 0,
            mappable: false,
            chunk_len: 256 << 10,
            segment_len: 32 << 20,
            bases: Vec::new(),
            append_base: AppendBase::Auto,
            import: ImportOptions::default(),
            image: ImageOptions::default(),
            device: Device::default(),
            limits: Limits::default(),
            progress: None,
            cancel: None,
        }
    }
}

impl std::fmt::Debug for EncodeOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EncodeOptions")
            .field("effort", &self.effort)
            .field("codes", &self.codes)
            .field("threads", &self.threads)
            .field("mappable", &self.mappable)
            .finish_non_exhaustive()
    }
}

impl EncodeOptions {
    pub(crate) fn check_cancel(&self) -> Result<()> {
        match &self.cancel {
            Some(flag) if flag.load(Ordering::Relaxed) => Err(EncodeError::Cancelled),
            _ => Ok(()),
        }
    }

    pub(crate) fn check(&self) -> Result<()> {
        if !(1..=9).contains(&self.effort) {
            return Err(EncodeError::Request(format!("effort {} is not within 1..=9", self.effort)));
        }
        if !(64..=16 << 20).contains(&self.chunk_len) {
            return Err(EncodeError::Request(format!(
                "chunks of {} bytes are not within 64 bytes to 16 MiB",
                self.chunk_len
            )));
        }
        Ok(())
    }

    pub(crate) fn report(&self, work: Work) {
        if let Some(progress) = &self.progress {
            progress(work);
        }
    }

    pub(crate) fn report_bytes(&self, done: u64, total: u64) {
        self.report(Work::Bytes { done, total });
    }
}

/// What kind of asset to make of an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AssetKind {
    /// A model: tensors by name.
    Model,
    /// One opaque file.
    Blob,
    /// A picture, as Gaussians: lossy.
    Image,
}

/// Where to write.
pub enum Output {
    /// A file, written beside its place and renamed when it is whole: finished form.
    File {
        /// Its path.
        path: PathBuf,
        /// Replace a file that is there.
        force: bool,
    },
    /// A pipe or any other writer: streaming form.
    Stream(Box<dyn Write + Send>),
}

/// What was written.
#[derive(Debug, Clone, Default)]
pub struct EncodeReport {
    /// Bytes of the input.
    pub input_bytes: u64,
    /// Bytes of the file that was made, or that were added to it.
    pub output_bytes: u64,
    /// Tensors of the asset.
    pub tensors: u64,
    /// Tensors among them that are stored as the bytes of another.
    pub aliases: u64,
    /// Tensors that are told against a base, those that are the same as in it included.
    pub deltas: u64,
    /// What the user should be told.
    pub notes: Vec<String>,
    /// Content hash of the asset.
    pub content_hash: [u8; 32],
    /// Name of the asset.
    pub asset: String,
    /// Of an image: how it was fitted.
    pub image: Option<ImageReport>,
    /// What was quantised, if something was.
    pub quantised: Option<crate::quantise::QuantiseReport>,
    /// What was dropped of tracks of latents.
    pub reduced: Vec<crate::latents::ReducedTrack>,
}

/// How an image was fitted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ImageReport {
    /// Pixels across and down.
    pub size: [u32; 2],
    /// Gaussians of all layers.
    pub gaussians: usize,
    /// PSNR (dB) over all channels, before rounding to whole numbers.
    pub psnr: f64,
    /// The work was interrupted: it is what there was.
    pub interrupted: bool,
}
