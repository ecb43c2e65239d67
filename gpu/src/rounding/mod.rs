//! Weights to integer codes: the one pass of a quantiser that is the same for all weights.

use crate::device::Gpu;
use crate::error::{GpuError, Result};
use crate::gaussians::kernel::{Text, Work, bind_alone, storage, uniform, workgroups, zeros};

/// Step exponents are within this of 0, in quarters of an octave.
pub const MAX_EXPONENT: i16 = 240;
/// Bytes of weights that are on the device at once, about.
const AT_ONCE: u64 = 64 << 20;
/// Invocations of a workgroup.
const GROUP: usize = 64;

const ROUND: Text = Text("rounding of weights", &[include_str!("round.wgsl")]);

/// Codes of `weights`, in rows of `columns.len()`: each the integer nearest its weight over its step, 2^((row + column) / 4), of two the even
/// one, at most 2^24 - 1 in magnitude. The quotient is rounded to binary32 first, as a processor does that: the codes are those of
/// `(weight / step).round_ties_even()`, on any device. A weight that is no number has code 0.
///
/// # Errors
/// [`GpuError::Input`] if numbers of weights, rows and columns do not match, or a step exponent is further than [`MAX_EXPONENT`] from 0; what
/// the device says.
pub fn round(gpu: &Gpu, weights: &[f32], rows: &[i16], columns: &[i16]) -> Result<Vec<i32>> {
    if rows.len().checked_mul(columns.len()) != Some(weights.len()) {
        return Err(GpuError::Input("weights that are not rows times columns"));
    }
    if rows.iter().chain(columns).any(|e| e.unsigned_abs() > MAX_EXPONENT.unsigned_abs()) {
        return Err(GpuError::Input("a step exponent out of range"));
    }
    let mut codes = vec![0; weights.len()];
    if codes.is_empty() {
        return Ok(codes);
    }
    let n = columns.len();
    let at_once = (AT_ONCE.min(gpu.max_binding()) as usize / (4 * n)).clamp(1, rows.len());
    let elements = zeros(gpu, "weights", at_once * n)?;
    let parts = weights.chunks(at_once * n).zip(rows.chunks(at_once)).zip(codes.chunks_mut(at_once * n));
    for ((weights, rows), codes) in parts {
        let groups = workgroups(weights.len(), GROUP);
        let shape = [n as u32, weights.len() as u32, groups[0] * GROUP as u32, 0];
        let shape = uniform(gpu, "shape of weights", bytemuck::cast_slice(&shape))?;
        let exponents: Vec<i32> = columns.iter().chain(rows).map(|&e| e.into()).collect();
        let exponents = storage(gpu, "steps of weights", bytemuck::cast_slice(&exponents))?;
        gpu.write(&elements, 0, bytemuck::cast_slice(weights))?;
        let bound = bind_alone(gpu, ROUND, &[&shape, &exponents, &elements])?;
        let mut work = Work::new(gpu);
        work.run([(&bound, groups)]);
        work.submit()?;
        let read = gpu.read(&elements, 0..4 * codes.len() as u64)?;
        bytemuck::cast_slice_mut(codes).copy_from_slice(&read);
    }
    Ok(codes)
}
