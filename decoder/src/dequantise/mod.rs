//! Elements of quantised blocks as f32, bit for bit as ggml's reference (`dequantize_row_*` in `ggml-quants.c`) and the
//! `gguf` Python package have them; halves and brain floats are widened.

mod float4;
mod grid_tables;
mod grids;
mod half;
mod k_blocks;
mod one_scale;
mod ternary;

use crate::{DecodeError, Result};
use mcodec_format::registry::Dtype;

/// What turns blocks of one type into numbers; lengths fit.
type Decode = fn(&[u8], &mut [f32]);

/// Whether elements of this type can be had as f32 without loss of what they stand for.
#[must_use]
pub fn is_dequantisable(dtype: Dtype) -> bool {
    decoder_of(dtype).is_some()
}

/// The elements of whole blocks of `dtype`, in order, each as f32; `out` has room for just them.
///
/// # Errors
/// [`DecodeError::Request`] if the type has no such form, or the lengths do not fit.
pub fn dequantise(dtype: Dtype, bytes: &[u8], out: &mut [f32]) -> Result<()> {
    let Some(decode) = decoder_of(dtype) else {
        return Err(DecodeError::Request(format!("{} has no f32 form", dtype.name)));
    };
    let block_bytes = (dtype.bits / 8) as usize;
    let elements = (bytes.len() / block_bytes).checked_mul(dtype.block as usize);
    if !bytes.len().is_multiple_of(block_bytes) || elements != Some(out.len()) {
        let (have, room, name) = (bytes.len(), out.len(), dtype.name);
        return Err(DecodeError::Request(format!("{have} bytes of {name} are not {room} elements")));
    }
    decode(bytes, out);
    Ok(())
}

fn decoder_of(dtype: Dtype) -> Option<Decode> {
    Some(match dtype.name {
        "F32" => |bytes, out| each(bytes, out, |b: &[u8; 4], y: &mut [f32; 1]| y[0] = f32::from_le_bytes(*b)),
        "F16" => |bytes, out| each(bytes, out, |b: &[u8; 2], y: &mut [f32; 1]| y[0] = half::f16(*b)),
        "BF16" => |bytes, out| each(bytes, out, |b: &[u8; 2], y: &mut [f32; 1]| y[0] = half::bf16(*b)),
        "Q4_0" => |bytes, out| each(bytes, out, one_scale::q4_0),
        "Q4_1" => |bytes, out| each(bytes, out, one_scale::q4_1),
        "Q5_0" => |bytes, out| each(bytes, out, one_scale::q5_0),
        "Q5_1" => |bytes, out| each(bytes, out, one_scale::q5_1),
        "Q8_0" => |bytes, out| each(bytes, out, one_scale::q8_0),
        "Q8_1" => |bytes, out| each(bytes, out, one_scale::q8_1),
        "Q1_0" => |bytes, out| each(bytes, out, one_scale::q1_0),
        "IQ4_NL" => |bytes, out| each(bytes, out, one_scale::iq4_nl),
        "Q2_K" => |bytes, out| each(bytes, out, k_blocks::q2_k),
        "Q3_K" => |bytes, out| each(bytes, out, k_blocks::q3_k),
        "Q4_K" => |bytes, out| each(bytes, out, k_blocks::q4_k),
        "Q5_K" => |bytes, out| each(bytes, out, k_blocks::q5_k),
        "Q6_K" => |bytes, out| each(bytes, out, k_blocks::q6_k),
        "Q8_K" => |bytes, out| each(bytes, out, k_blocks::q8_k),
        "IQ4_XS" => |bytes, out| each(bytes, out, k_blocks::iq4_xs),
        "IQ2_XXS" => |bytes, out| each(bytes, out, grids::iq2_xxs),
        "IQ2_XS" => |bytes, out| each(bytes, out, grids::iq2_xs),
        "IQ2_S" => |bytes, out| each(bytes, out, grids::iq2_s),
        "IQ3_XXS" => |bytes, out| each(bytes, out, grids::iq3_xxs),
        "IQ3_S" => |bytes, out| each(bytes, out, grids::iq3_s),
        "IQ1_S" => |bytes, out| each(bytes, out, grids::iq1_s),
        "IQ1_M" => |bytes, out| each(bytes, out, grids::iq1_m),
        "TQ1_0" => |bytes, out| each(bytes, out, ternary::tq1_0),
        "TQ2_0" => |bytes, out| each(bytes, out, ternary::tq2_0),
        "MXFP4" => |bytes, out| each(bytes, out, float4::mxfp4),
        "NVFP4" => |bytes, out| each(bytes, out, float4::nvfp4),
        _ => return None,
    })
}

/// Block after block.
fn each<const B: usize, const N: usize>(
    bytes: &[u8],
    out: &mut [f32],
    decode: impl Fn(&[u8; B], &mut [f32; N]),
) {
    for (block, out) in bytes.as_chunks::<B>().0.iter().zip(out.as_chunks_mut::<N>().0) {
        decode(block, out);
    }
}
