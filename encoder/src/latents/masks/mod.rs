//! Masks of block-sparse attention (Video-BLADE, arXiv 2508.10774): from arrays, or made from queries and keys, to assets.

mod content;
mod gilbert;
mod rule;
mod settings;

pub use content::MaskArray;
pub(crate) use content::MaskContent;
pub use settings::{Curve, MaskSettings};

use super::add_each;
use super::array::{Stored, read_arrays};
use super::clips::{Clip, clips_of};
use super::resolve::about;
use crate::edit::append_by;
use crate::encode::add_asset;
use crate::inputs::{AssetInput, bytes_item};
use crate::items::Content;
use crate::options::{EncodeOptions, EncodeReport, Output};
use crate::writer::ContainerWriter;
use crate::{EncodeError, Result};
use mcodec_coding::latents::Element;
use mcodec_format::registry::{self, Dtype};
use mcodec_format::{Fields, PlaneOrder};
use rule::Vectors;
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The schema of the record that tells how masks were made, which is also its name.
pub const MASK_RECORD: &str = "masks";

/// How masks are taken.
#[derive(Debug, Clone, Default)]
pub struct MaskOptions {
    /// Letters of the axes of arrays: S(tep), L(ayer), H(ead), Q(uery blocks), K(ey blocks); `None`: the last of `SLHQK`.
    pub axes: Option<String>,
    /// Planes of a group, the unit of access, in the order layer, head, step; 0: all. `None`: the steps of one head, or of as many as make a group
    /// of 65536 bits.
    pub group: Option<usize>,
    /// How they were made: members of a record.
    pub settings: Map<String, Value>,
}

/// Where queries and keys, or scores, are.
#[derive(Debug, Clone)]
pub enum MaskSource {
    /// A file of arrays `q` and `k`, or of one array of scores of blocks; `softmax`: it has still to be taken, over each row.
    One {
        /// The file.
        path: PathBuf,
        /// Of scores: they are what goes into a softmax.
        softmax: bool,
    },
    /// A file of queries and a file of keys, each of one array.
    Two(PathBuf, PathBuf),
}

/// Encodes masks: an asset for each file, or sample of a tar. Arrays are bool or u8, of 0 and 1.
///
/// # Errors
/// If an input is malformed, holds other elements, or cannot be read; or the output cannot be written.
pub fn encode_mask_files(
    input: &Path,
    masks: &MaskOptions,
    output: Output,
    options: &EncodeOptions,
) -> Result<EncodeReport> {
    let clips = clips_of(input)?;
    let mut writer = ContainerWriter::create(output)?;
    let mut report = add_all(&mut writer, 0, &clips, masks, options)?;
    report.output_bytes = writer.finish(options)?;
    Ok(report)
}

/// Adds the masks of an input to a file, as a new generation.
///
/// # Errors
/// As [`encode_mask_files`], or if the file has an asset of such a name, or is being changed by another process.
pub fn append_mask_files(
    target: &Path,
    input: &Path,
    masks: &MaskOptions,
    options: &EncodeOptions,
) -> Result<EncodeReport> {
    let clips = clips_of(input)?;
    let names: Vec<String> = clips.iter().map(|clip| clip.name.clone()).collect();
    append_by(target, &names, options, |mut writer, first| {
        let mut report = add_all(&mut writer, first, &clips, masks, options)?;
        report.output_bytes = writer.finish(options)?;
        Ok(report)
    })
}

fn add_all(
    writer: &mut ContainerWriter,
    first: u32,
    clips: &[Clip],
    masks: &MaskOptions,
    options: &EncodeOptions,
) -> Result<EncodeReport> {
    add_each(writer, first, clips, options, |clip, _| {
        let arrays = read_arrays(clip, &options.import)?;
        let arrays: Result<Vec<MaskArray>> =
            arrays.into_iter().map(|array| mask_of(clip, array, masks)).collect();
        Ok(asset_of(&clip.name, arrays?, masks))
    })
}

fn mask_of(clip: &Clip, array: Stored, masks: &MaskOptions) -> Result<MaskArray> {
    let fail = |why: String| about(&clip.shown(), &array.name, why);
    let usual = &"SLHQK"[5usize.saturating_sub(array.shape.len())..];
    if masks.axes.is_none() && !(2..=5).contains(&array.shape.len()) {
        return Err(fail(format!("{} axes are not those of masks: 2 to 5 of SLHQK", array.shape.len())));
    }
    let text = masks.axes.as_deref().unwrap_or(usual);
    let order = PlaneOrder::parse(text)
        .ok_or_else(|| fail(format!("axes {text:?} are not letters of SLHQK, each once")))?;
    let dtype = Dtype::by_name(&array.dtype).filter(|d| matches!(d.name, "BOOL" | "U8"));
    let dtype =
        dtype.ok_or_else(|| fail(format!("its elements are {}: masks are bool or u8", array.dtype)))?;
    MaskArray::new(array.name.clone(), dtype, order, &array.shape, &array.bytes).map_err(fail)
}

fn asset_of(name: &str, arrays: Vec<MaskArray>, masks: &MaskOptions) -> AssetInput<'static> {
    let input_bytes = arrays.iter().map(|a| a.bits.len() as u64).sum();
    let mut items = Vec::new();
    for array in arrays {
        let content = array.content(masks.group);
        items.push(bytes_item(array.name, Content::Masks(Arc::new(content)), array.bits));
    }
    if !masks.settings.is_empty() {
        // It is bound to the asset once its hash is known.
        let record = Content::Record { schema: MASK_RECORD.into(), bound: [0; 32], required: false };
        items.push(bytes_item(
            MASK_RECORD.into(),
            record,
            Value::Object(masks.settings.clone()).to_string().into_bytes(),
        ));
    }
    AssetInput {
        kind: registry::asset::LATENTS,
        name: name.into(),
        fields: Fields::default(),
        items,
        input_bytes,
        notes: Vec::new(),
    }
}

/// Makes masks by the published rule: of queries and keys `[step, layer, head, token, number]`, or of scores `[step, layer, head, row, column]`;
/// of each the first axes may be left out.
///
/// # Errors
/// If the input is malformed, does not fit the settings, or has numbers that are not finite (of scores: below 0, but for those that a
/// softmax has still to be taken of).
pub fn make_masks(
    source: &MaskSource,
    settings: &MaskSettings,
    options: &EncodeOptions,
) -> Result<MaskArray> {
    let settings = settings.clone().checked().map_err(EncodeError::Request)?;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(options.threads).build();
    let pool =
        pool.map_err(|e| EncodeError::Request(format!("cannot start {} threads: {e}", options.threads)))?;
    let read = |path: &Path| -> Result<Vec<Numbers>> {
        let mut all = Vec::new();
        for clip in &clips_of(path)? {
            for array in read_arrays(clip, &options.import)? {
                all.push(numbers_of(path, array)?);
            }
        }
        Ok(all)
    };
    let single = |path: &Path| -> Result<Numbers> {
        let mut all = read(path)?;
        match (all.pop(), all.pop()) {
            (Some(array), None) => Ok(array),
            _ => Err(request(path, "it holds more than one array")),
        }
    };
    match source {
        MaskSource::Two(q, k) => pool.install(|| of_vectors(&single(q)?, &single(k)?, &settings, options)),
        MaskSource::One { path, softmax } => {
            let mut all = read(path)?;
            let named = |name: &str| all.iter().position(|a| a.name == name);
            if let (Some(q), Some(k)) = (named("q"), named("k")) {
                return pool.install(|| of_vectors(&all[q], &all[k], &settings, options));
            }
            match (all.pop(), all.pop()) {
                (Some(scores), None) => of_scores(path, scores, *softmax, &settings),
                _ => Err(request(path, "it holds neither arrays q and k nor one array of scores")),
            }
        }
    }
}

/// Writes masks that were made as an asset called `name`.
///
/// # Errors
/// If the output cannot be written.
pub fn encode_made_masks(
    name: &str,
    array: MaskArray,
    masks: &MaskOptions,
    output: Output,
    options: &EncodeOptions,
) -> Result<EncodeReport> {
    let mut writer = ContainerWriter::create(output)?;
    let mut report = add_asset(&mut writer, 0, asset_of(name, vec![array], masks), false, None, options)?;
    report.output_bytes = writer.finish(options)?;
    Ok(report)
}

/// An array of floats.
struct Numbers {
    path: PathBuf,
    name: String,
    /// Steps, layers, heads, then rows and columns of scores, or tokens and numbers of a vector.
    shape: [usize; 5],
    values: Vec<f32>,
}

fn request(path: &Path, why: &str) -> EncodeError {
    EncodeError::Request(format!("{}: {why}", path.display()))
}

fn numbers_of(path: &Path, array: Stored) -> Result<Numbers> {
    let fail = |why: &str| about(&path.display().to_string(), &array.name, why);
    let element =
        Dtype::by_name(&array.dtype).and_then(|d| Element::by_id(d.id)).filter(|e| e.float().is_some());
    let element = element.ok_or_else(|| fail(&format!("its elements are {}, not floats", array.dtype)))?;
    let rank = array.shape.len();
    if !(2..=5).contains(&rank) || array.shape.contains(&0) {
        return Err(fail("it has not 2 to 5 axes, or no elements"));
    }
    let mut shape = [1usize; 5];
    for (size, &of_array) in shape[5 - rank..].iter_mut().zip(&array.shape) {
        *size = usize::try_from(of_array).unwrap_or(usize::MAX);
    }
    let values =
        array.bytes.chunks_exact(element.bytes()).map(|b| element.value(b) as f32).collect::<Vec<_>>();
    if let Some(at) = values.iter().position(|v| !v.is_finite()) {
        return Err(fail(&format!("element {at} is {}: not finite", values[at])));
    }
    Ok(Numbers { path: path.into(), name: array.name, shape, values })
}

/// What masks that are made are called, and their axes.
fn made(shape: [usize; 5], bits: &[u8]) -> Result<MaskArray, String> {
    let dtype = Dtype::by_name("BOOL").ok_or("no type for masks")?;
    let order = PlaneOrder::parse("SLHQK").ok_or("axes of masks")?;
    MaskArray::new(MASK_RECORD.into(), dtype, order, &shape.map(|n| n as u64), bits)
}

fn of_vectors(
    q: &Numbers,
    k: &Numbers,
    settings: &MaskSettings,
    options: &EncodeOptions,
) -> Result<MaskArray> {
    let fail = |why: String| request(&q.path, &why);
    if q.shape[..3] != k.shape[..3] || q.shape[4] != k.shape[4] {
        return Err(fail(format!("queries are {:?}, and keys {:?}", q.shape, k.shape)));
    }
    let order = |numbers: &Numbers| {
        settings
            .order(numbers.shape[3])
            .map_err(|why| request(&numbers.path, &format!("array {:?}: {why}", numbers.name)))
    };
    let (of_queries, of_keys) = (order(q)?, order(k)?);
    let (rows, columns) = (settings.blocks(q.shape[3]), settings.blocks(k.shape[3]));
    let planes = q.shape[..3].iter().product::<usize>();
    let mut bits = Vec::with_capacity(planes * rows * columns);
    for plane in 0..planes {
        options.check_cancel()?;
        let pair = [q, k].map(|of| {
            let len = of.shape[3] * of.shape[4];
            Vectors { numbers: &of.values[plane * len..][..len], dim: of.shape[4] }
        });
        let scores = settings.scores(pair, [&of_queries, &of_keys], plane as u64);
        bits.extend(settings.keep(&scores, columns));
    }
    let [steps, layers, heads, ..] = q.shape;
    made([steps, layers, heads, rows, columns], &bits).map_err(fail)
}

fn of_scores(path: &Path, mut scores: Numbers, softmax: bool, settings: &MaskSettings) -> Result<MaskArray> {
    let columns = scores.shape[4];
    if softmax {
        MaskSettings::softmax(&mut scores.values, columns);
    } else if let Some(at) = scores.values.iter().position(|&v| v < 0.0) {
        let why = format!(
            "score {at} is {}: below 0; has a softmax still to be taken (--softmax)?",
            scores.values[at]
        );
        return Err(request(path, &why));
    }
    made(scores.shape, &settings.keep(&scores.values, columns)).map_err(|why| request(path, &why))
}
