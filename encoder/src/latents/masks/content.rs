//! Masks to be encoded: planes of bits in the order layer, head, step.

use mcodec_coding::CodingError;
use mcodec_coding::latents::{MAX_MASK_SIDE, Masks, encode_masks};
use mcodec_format::registry::{self, Dtype};
use mcodec_format::{Chunking, Fields, PLANE_AXES, PlaneOrder, Representation, TensorDescriptor};
use rayon::prelude::*;

/// Bits of a group at least, unless the caller says otherwise: fewer do not repay what each group has to learn anew.
const LEAST_BITS: usize = 1 << 16;
/// Bits of all planes at most.
const MOST_BITS: usize = 4 << 30;

/// Masks and what is said of them.
#[derive(Debug, Clone)]
pub(crate) struct MaskContent {
    dtype: Dtype,
    /// Sizes of layers, heads, steps, rows and columns.
    shape: [usize; 5],
    order: PlaneOrder,
    /// Planes of a chunk.
    group: usize,
}

/// Masks, as their source has them, put in the order of content.
#[derive(Debug, Clone)]
pub struct MaskArray {
    pub(super) name: String,
    pub(super) dtype: Dtype,
    pub(super) order: PlaneOrder,
    /// Sizes of layers, heads, steps, rows and columns.
    pub(super) shape: [usize; 5],
    /// 0 or 1 in a byte, in the order layer, head, step, row, column.
    pub(super) bits: Vec<u8>,
}

impl MaskArray {
    /// Of an array whose axes are in the order of `order`.
    pub(super) fn new(
        name: String,
        dtype: Dtype,
        order: PlaneOrder,
        sizes: &[u64],
        bytes: &[u8],
    ) -> Result<Self, String> {
        let places = order.places();
        if places.len() != sizes.len() {
            return Err(format!(
                "it has {} axes, and {:?} names {}",
                sizes.len(),
                order.text(),
                places.len()
            ));
        }
        let strided = order.strided(sizes).filter(|&(.., all)| all <= MOST_BITS);
        let (shape, strides, all) = strided.ok_or("it is too large")?;
        let [layers, heads, steps, rows, columns] = shape;
        if all == 0 || rows > MAX_MASK_SIDE || columns > MAX_MASK_SIDE {
            return Err(format!("masks of {rows} x {columns} blocks: 1 to {MAX_MASK_SIDE} each"));
        }
        if bytes.len() != all {
            return Err("its bytes are not those of its dimensions".into());
        }
        if let Some(at) = bytes.iter().position(|&b| b > 1) {
            return Err(format!("element {at} is {}: bits of masks are 0 or 1", bytes[at]));
        }
        let mut bits = Vec::with_capacity(all);
        for plane in 0..layers * heads * steps {
            let (layer, head, step) = (plane / steps / heads, plane / steps % heads, plane % steps);
            let from = layer * strides[0] + head * strides[1] + step * strides[2];
            for row in 0..rows {
                let row = from + row * strides[3];
                bits.extend((0..columns).map(|column| bytes[row + column * strides[4]]));
            }
        }
        Ok(Self { name, dtype, order, shape, bits })
    }

    /// The share of bits that are set.
    #[must_use]
    pub fn density(&self) -> f64 {
        self.bits.iter().map(|&b| u64::from(b)).sum::<u64>() as f64 / self.bits.len().max(1) as f64
    }

    /// Sizes of steps, layers, heads, rows and columns.
    #[must_use]
    pub fn sizes(&self) -> [usize; 5] {
        let [layers, heads, steps, rows, columns] = self.shape;
        [steps, layers, heads, rows, columns]
    }

    /// The bits in the order of the source's axes.
    #[must_use]
    pub fn in_order(&self) -> Vec<u8> {
        let mut strides = [1usize; PLANE_AXES.len()];
        for at in (0..PLANE_AXES.len() - 1).rev() {
            strides[at] = strides[at + 1] * self.shape[at + 1];
        }
        let mut offsets = vec![0usize];
        for place in self.order.places() {
            let (size, stride) = (self.shape[place], strides[place]);
            offsets = offsets.iter().flat_map(|at| (0..size).map(move |i| at + i * stride)).collect();
        }
        offsets.iter().map(|&at| self.bits[at]).collect()
    }

    /// Planes of a group: what the caller says (0: all), or whole heads of enough bits.
    pub(super) fn content(&self, group: Option<usize>) -> MaskContent {
        let [layers, heads, steps, rows, columns] = self.shape;
        let all = layers * heads * steps;
        let group = match group {
            Some(0) => all,
            Some(group) => group.min(all),
            None => (steps * LEAST_BITS.div_ceil(steps * rows * columns)).min(all),
        };
        MaskContent { dtype: self.dtype, shape: self.shape, order: self.order, group }
    }
}

impl MaskContent {
    fn plane_bytes(&self) -> usize {
        self.shape[3] * self.shape[4]
    }

    /// Bytes of a group of planes.
    pub(crate) fn chunk_len(&self) -> u64 {
        (self.plane_bytes() * self.group) as u64
    }

    pub(crate) fn dtype(&self) -> Dtype {
        self.dtype
    }

    pub(crate) fn dimensions(&self) -> [u64; 5] {
        self.shape.map(|n| n as u64)
    }

    pub(crate) fn fields(&self) -> Fields {
        let byte_len = self.shape.iter().product::<usize>() as u64;
        let tensor = TensorDescriptor {
            dtype: Some(self.dtype),
            dtype_name: self.dtype.name.into(),
            shape: self.dimensions().to_vec(),
            representation: Representation::Plain,
            chunking: Chunking { coding: registry::coding::MASKS, chunk_len: self.chunk_len(), byte_len },
            owner: None,
            groups: None,
        };
        let mut fields = tensor.to_fields();
        self.order.put(&mut fields);
        fields
    }

    /// Codes the groups that bytes `start..` of the content, `bytes`, are made of.
    pub(crate) fn encode(&self, start: u64, bytes: &[u8]) -> Result<Vec<Vec<u8>>, CodingError> {
        let [_, _, steps, rows, columns] = self.shape;
        let first = start as usize / self.plane_bytes();
        let code = |(at, bits): (usize, &[u8])| {
            let first = ((first + at * self.group) % steps) as u64;
            encode_masks(&Masks { rows, columns, steps: steps as u64, first, bits })
        };
        bytes.par_chunks(self.chunk_len() as usize).enumerate().map(code).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_are_put_in_order_and_back() {
        let dtype = Dtype::by_name("BOOL").unwrap();
        let bytes: Vec<u8> = (0..2 * 3 * 2 * 2 * 3).map(|i| u8::from(i % 7 < 3)).collect();
        let make = |axes: &str, sizes: &[u64], bytes: &[u8]| {
            MaskArray::new("m".into(), dtype, PlaneOrder::parse(axes).unwrap(), sizes, bytes)
        };
        let masks = make("SLHQK", &[2, 3, 2, 2, 3], &bytes).unwrap();
        assert_eq!(masks.shape, [3, 2, 2, 2, 3]);
        assert_eq!(masks.sizes(), [2, 3, 2, 2, 3]);
        // Layer 1, head 0, step 1 begins with plane 1 x 6 + 2 of the source.
        assert_eq!(masks.bits[(2 * 2 + 1) * 6..][..6], bytes[(6 + 2) * 6..][..6]);
        assert_eq!(masks.in_order(), bytes);
        let flat = make("KQ", &[12, 6], &bytes).unwrap();
        assert_eq!((flat.shape, flat.in_order()), ([1, 1, 1, 6, 12], bytes.clone()));
        assert_eq!(flat.content(None).group, 1);
        assert!(make("QK", &[12, 6, 1], &bytes).is_err());
        assert!(make("QK", &[12, 7], &bytes).is_err());
        assert!(make("QK", &[0, 7], &[]).is_err());
        assert!(make("QK", &[1, 2], &[1, 2]).unwrap_err().contains("element 1 is 2"));
        assert!(make("QK", &[u64::MAX, u64::MAX], &[1, 2]).is_err());
    }
}
