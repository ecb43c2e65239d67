//! Arrays of an input, in memory.

use crate::import::{ImportOptions, ModelSource};
use crate::{EncodeError, Result};
use mcodec_format::registry::Dtype;
use mcodec_format::track::{AXES, AxisOrder};
use std::path::Path;

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

/// What a caller says of the arrays of a file.
#[derive(Debug, Clone, Default)]
pub(super) struct ArrayOptions<'a> {
    pub(super) axes: Option<&'a str>,
    pub(super) dtype: Option<&'a str>,
    pub(super) tokens: bool,
    /// Of the array that is meant, if only one is.
    pub(super) name: Option<&'a str>,
}

/// Most bytes of one array.
const MOST: u64 = 4 << 30;

/// Reads the arrays of a file (`.npy`, `.npz`, `.safetensors`, `.pt`), in natural order of their names.
pub(super) fn read_arrays(
    path: &Path,
    options: &ArrayOptions<'_>,
    import: &ImportOptions,
) -> Result<Vec<Array>> {
    let source = ModelSource::open(path, import)?;
    let mut arrays = Vec::new();
    for at in source.natural_tensors() {
        let Some((shard, tensor)) = source.tensor(at) else { continue };
        if options.name.is_some_and(|name| name != tensor.name) {
            continue;
        }
        let fail =
            |why: String| EncodeError::Request(format!("{}: array {:?}: {why}", path.display(), tensor.name));
        if tensor.byte_len() > MOST {
            return Err(fail(format!("its {} bytes are above the limit of {MOST}", tensor.byte_len())));
        }
        let mut bytes = vec![0; tensor.byte_len() as usize];
        shard.open()?.read_at(shard.data_offset + tensor.begin, &mut bytes)?;
        let dtype = dtype_of(&tensor.dtype, options.dtype).map_err(fail)?;
        let axes = axes_of(options, tensor.shape.len()).map_err(fail)?;
        let array = Array::new(tensor.name.clone(), dtype, axes, &tensor.shape, &bytes);
        arrays.push(array.map_err(fail)?);
    }
    if arrays.is_empty() {
        let which =
            options.name.map_or_else(|| "no array".into(), |name| format!("no array called {name:?}"));
        return Err(EncodeError::Request(format!("{}: there is {which} in it", path.display())));
    }
    Ok(arrays)
}

fn dtype_of(stored: &str, wanted: Option<&str>) -> Result<Dtype, String> {
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

fn axes_of(options: &ArrayOptions<'_>, rank: usize) -> Result<AxisOrder, String> {
    let text = match (options.axes, options.tokens, rank) {
        (Some(text), ..) => text,
        (None, true, 4) => "THWC",
        (None, true, 3) => "THW",
        (None, true, 2) => "HW",
        (None, false, 4) => "TCHW",
        (None, false, 3) => "CHW",
        (None, false, 2) => "HW",
        (None, _, 1) => "C",
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
    fn new(name: String, dtype: Dtype, axes: AxisOrder, sizes: &[u64], bytes: &[u8]) -> Result<Self, String> {
        let places = axes.places();
        let mut shape = [1usize; AXES.len()];
        let mut strides = [0usize; AXES.len()];
        let mut stride = 1usize;
        for (&place, &size) in places.iter().zip(sizes).rev() {
            shape[place] = usize::try_from(size).map_err(|_| "a dimension is too large".to_owned())?;
            strides[place] = stride;
            stride = stride.checked_mul(shape[place]).ok_or("its dimensions are too large")?;
        }
        let size = dtype.bits as usize / 8;
        if stride == 0 || size == 0 {
            return Err("it has no elements".into());
        }
        if bytes.len() != stride * size {
            return Err("its bytes are not those of its dimensions".into());
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_are_put_in_order() {
        let u8s = Dtype::by_name("U8").unwrap();
        let bytes: Vec<u8> = (0..24).collect();
        let axes = AxisOrder::parse("HWC").unwrap();
        let array = Array::new("a".into(), u8s, axes, &[2, 3, 4], &bytes).unwrap();
        assert_eq!(array.shape, [1, 4, 2, 3]);
        assert_eq!(array.bytes[..7], [0, 4, 8, 12, 16, 20, 1]);
        let axes = AxisOrder::parse("CTHW").unwrap();
        let array = Array::new("a".into(), u8s, axes, &[2, 3, 2, 2], &bytes).unwrap();
        assert_eq!((array.shape, &array.bytes[..8]), ([3, 2, 2, 2], &[0, 1, 2, 3, 12, 13, 14, 15][..]));
        assert!(Array::new("a".into(), u8s, axes, &[2, 3, 2, 0], &[]).is_err());
        assert!(Array::new("a".into(), u8s, axes, &[2, 3, 2, 3], &bytes).is_err());
    }
}
