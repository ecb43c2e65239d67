//! Arrays of an input, in memory.

use super::clips::Clip;
use super::unpacked::unpacked;
use crate::import::numpy::{BY_COLUMN, COMPRESSED};
use crate::import::{ImportOptions, ModelSource};
use crate::{EncodeError, Result};
use mcodec_format::registry::Dtype;
use mcodec_format::track::AxisOrder;

/// An array as its file has it.
#[derive(Debug, Clone)]
pub(super) struct Stored {
    pub(super) name: String,
    /// The name of its element type.
    pub(super) dtype: String,
    pub(super) shape: Vec<u64>,
    pub(super) bytes: Vec<u8>,
}

/// An array with named axes.
#[derive(Debug, Clone)]
pub(super) struct Array {
    pub(super) name: String,
    pub(super) dtype: Dtype,
    pub(super) axes: AxisOrder,
    /// Sizes of time, channels, rows and columns.
    pub(super) shape: [usize; 4],
    /// Elements in that order.
    pub(super) bytes: Vec<u8>,
}

/// Most bytes of one array, and of all of a clip.
pub(super) const MOST: u64 = 4 << 30;

/// Reads the arrays of a clip, in natural order of their names.
pub(super) fn read_arrays(clip: &Clip, import: &ImportOptions) -> Result<Vec<Stored>> {
    let mut arrays: Vec<Stored> = Vec::new();
    let mut total = 0u64;
    for part in &clip.parts {
        let file = part.on_disk()?;
        let unpacked = unpacked(file.path()).map_err(|e| part.named(file.path(), e))?;
        let path = unpacked.as_ref().map_or(file.path(), |unpacked| &unpacked.path);
        let source = ModelSource::open(path, import).map_err(|e| part.named(path, e))?;
        let lost = |note: &&String| note.contains(BY_COLUMN) || note.contains(COMPRESSED);
        if let Some(note) = source.notes.iter().find(lost) {
            return Err(EncodeError::Request(format!(
                "{}: {note}; for latents, save it as np.savez does, of np.ascontiguousarray",
                part.shown()
            )));
        }
        let order = source.natural_tensors();
        let only = order.len() == 1;
        for at in order {
            let Some((shard, tensor)) = source.tensor(at) else { continue };
            let name = part.array_name(&tensor.name, only, &clip.name);
            let fail = |why: String| EncodeError::Request(format!("{}: array {name:?}: {why}", part.shown()));
            total = total.saturating_add(tensor.byte_len());
            if total > MOST {
                let own = tensor.byte_len();
                return Err(fail(format!(
                    "with its {own} bytes, the clip has {total}: above the limit of {MOST}"
                )));
            }
            if arrays.iter().any(|a| a.name == name) {
                return Err(fail("the clip has two arrays of this name".into()));
            }
            let mut bytes = vec![0; tensor.byte_len() as usize];
            shard.open()?.read_at(shard.data_offset + tensor.begin, &mut bytes)?;
            arrays.push(Stored { name, dtype: tensor.dtype.clone(), shape: tensor.shape.clone(), bytes });
        }
    }
    if arrays.is_empty() {
        return Err(EncodeError::Request(format!("{}: there is no array in it", clip.shown())));
    }
    arrays.sort_by(|a, b| {
        mcodec_format::natural_order::natural_cmp(a.name.as_bytes(), b.name.as_bytes())
            .then_with(|| a.name.cmp(&b.name))
    });
    Ok(arrays)
}

/// The type of elements stored as `stored` that are said to be `wanted`.
pub(super) fn dtype_of(stored: &str, wanted: Option<&str>) -> Result<Dtype, String> {
    let found = Dtype::by_name(stored).ok_or_else(|| format!("its type {stored:?} is not one of numbers"))?;
    let Some(wanted) = wanted else { return Ok(found) };
    let name = match wanted.to_ascii_uppercase().as_str() {
        "FP16" => "F16".to_owned(),
        "FP32" => "F32".to_owned(),
        "FP8" => "F8_E4M3".to_owned(),
        name => name.to_owned(),
    };
    let dtype = Dtype::by_name(&name).ok_or_else(|| format!("{wanted:?} is not a type of elements"))?;
    let is_container = found == dtype || found.name.starts_with('U') || found.name.starts_with('I');
    if dtype.bits != found.bits || dtype.block != 1 || !is_container {
        return Err(format!("its elements are {stored} and cannot be {}", dtype.name));
    }
    Ok(dtype)
}

/// The axes of an array of `rank` axes, as `text` names them or by what is usual.
pub(super) fn axes_of(text: Option<&str>, tokens: bool, rank: usize) -> Result<AxisOrder, String> {
    let text = match (text, tokens, rank) {
        (Some(text), ..) => text,
        (None, true, 4) => "THWC",
        (None, true, 3) => "THW",
        (None, true, 2) => "HW",
        (None, false, 4) => "TCHW",
        (None, false, 3) => "CHW",
        (None, false, 2) => "HW",
        (None, _, 1) => "C",
        (None, _, 0) => "",
        _ => return Err(format!("which of its {rank} axes is which? say it with --axes")),
    };
    let axes =
        AxisOrder::parse(text).ok_or_else(|| format!("axes {text:?} are not letters of TCHW, each once"))?;
    if axes.letters().len() != rank {
        return Err(format!("it has {rank} axes, and {text:?} names {}", axes.letters().len()));
    }
    Ok(axes)
}

impl Array {
    /// Puts the elements in the order time, channels, rows, columns.
    pub(super) fn new(stored: Stored, dtype: Dtype, axes: AxisOrder) -> Result<Self, String> {
        let Stored { name, shape: sizes, bytes, .. } = stored;
        let (shape, strides, all) = axes.strided(&sizes).ok_or("its dimensions are too large")?;
        let size = dtype.bits as usize / 8;
        if all == 0 || size == 0 {
            return Err("it has no elements".into());
        }
        if bytes.len() != all * size {
            return Err("its bytes are not those of its dimensions".into());
        }
        if axes.places().is_sorted() {
            return Ok(Self { name, dtype, axes, shape, bytes });
        }
        let mut ordered = Vec::with_capacity(bytes.len());
        for t in 0..shape[0] {
            for c in 0..shape[1] {
                for h in 0..shape[2] {
                    let row = t * strides[0] + c * strides[1] + h * strides[2];
                    if strides[3] == 1 {
                        ordered.extend_from_slice(&bytes[row * size..][..shape[3] * size]);
                        continue;
                    }
                    for w in 0..shape[3] {
                        ordered.extend_from_slice(&bytes[(row + w * strides[3]) * size..][..size]);
                    }
                }
            }
        }
        Ok(Self { name, dtype, axes, shape, bytes: ordered })
    }

    /// Elements of one position.
    pub(super) fn channels(&self) -> usize {
        self.shape[1]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn array(axes: &str, sizes: &[u64], bytes: &[u8]) -> Result<Array, String> {
        let stored =
            Stored { name: "a".into(), dtype: "U8".into(), shape: sizes.to_vec(), bytes: bytes.to_vec() };
        Array::new(stored, Dtype::by_name("U8").unwrap(), AxisOrder::parse(axes).unwrap())
    }

    #[test]
    fn axes_are_put_in_order() {
        let bytes: Vec<u8> = (0..24).collect();
        let hwc = array("HWC", &[2, 3, 4], &bytes).unwrap();
        assert_eq!(hwc.shape, [1, 4, 2, 3]);
        assert_eq!(hwc.bytes[..7], [0, 4, 8, 12, 16, 20, 1]);
        let cthw = array("CTHW", &[2, 3, 2, 2], &bytes).unwrap();
        assert_eq!((cthw.shape, &cthw.bytes[..8]), ([3, 2, 2, 2], &[0, 1, 2, 3, 12, 13, 14, 15][..]));
        assert_eq!(array("CHW", &[2, 3, 4], &bytes).unwrap().bytes, bytes);
        assert!(array("CTHW", &[2, 3, 2, 0], &[]).is_err());
        assert!(array("CTHW", &[2, 3, 2, 3], &bytes).is_err());
    }
}
