//! The float fit on a GPU: the same algorithm and the same schedule, in `mcodec-gpu`.
//!
//! Nothing is read back but the error, for the progress, once in [`TOLD`] steps, and what was fitted.

use std::ops::ControlFlow;

use mcodec_gpu::gaussians::{Fit, Picture, Plan};
use mcodec_gpu::{Gpu, GpuError};

use super::cloud::Cloud;
use super::fit::{
    FitOptions, Fitted, MOVES, MOVES_TOGETHER, Moves, Progress, growth, is_relocation,
    is_relocation_together, rate, rate_together,
};
use super::target::Target;

/// Steps between two looks at the error.
const TOLD: usize = 100;

impl Target {
    /// As the device's crate takes it.
    pub(super) fn picture(&self) -> Picture<'_> {
        Picture {
            width: self.width,
            height: self.height,
            planes: &self.planes,
            mean: &self.mean,
            importance: self.importance.as_deref(),
        }
    }
}

impl Moves {
    /// As the device's crate takes it.
    fn on_gpu(self) -> mcodec_gpu::gaussians::Moves {
        mcodec_gpu::gaussians::Moves { part: self.part, trust: self.trust }
    }
}

/// As [`fit`](super::fit()), on a GPU. The same on one device each time; `progress` knows the PSNR of the last hundred steps' end.
///
/// # Errors
/// What the device says: [`GpuError::TooLarge`] for pictures above what it binds at once.
pub fn fit_on(
    gpu: &Gpu,
    target: &Target,
    options: &FitOptions,
    frozen: &Cloud,
    progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<Fitted, GpuError> {
    let steps = options.steps.max(1);
    let rates: Vec<f32> = (0..steps).map(|step| rate(step, steps)).collect();
    let room = options.gaussians.max(frozen.len());
    let (mut before, mut most_moved) = (frozen.len(), ((room - frozen.len()) as f64 * MOVES.part) as usize);
    for step in 0..steps {
        if let Some(count) = growth(step, steps, options.gaussians, frozen.len()) {
            most_moved = most_moved.max(count.saturating_sub(before));
            before = count;
        }
    }
    let plan = Plan {
        values: &frozen.values,
        frozen: frozen.len(),
        room,
        most_moved,
        rates: &rates,
        gains: &target.gains,
        prefixes: &[],
    };
    let fit = Fit::new(gpu, &target.picture(), &plan)?;
    run(&fit, target, steps, progress, |step| {
        if let Some(count) = growth(step, steps, options.gaussians, frozen.len()) {
            fit.grow(count)?;
        }
        if is_relocation(step, steps) {
            fit.relocate(MOVES.on_gpu())?;
        }
        fit.step()
    })
}

/// As [`fit_prefixes`](super::fit_prefixes), on a GPU.
///
/// # Errors
/// As [`fit_on`].
pub fn fit_prefixes_on(
    gpu: &Gpu,
    target: &Target,
    cloud: &Cloud,
    prefixes: &[(usize, f32)],
    steps: usize,
    progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<Cloud, GpuError> {
    if steps == 0 || cloud.is_empty() {
        return Ok(cloud.clone());
    }
    let rates: Vec<f32> = (0..steps).map(|step| rate_together(step, steps)).collect();
    let (values, room) = (&cloud.values[..], cloud.len());
    let most_moved = (room as f64 * MOVES_TOGETHER.part) as usize;
    let plan = Plan { values, frozen: 0, room, most_moved, rates: &rates, gains: &target.gains, prefixes };
    let fit = Fit::new(gpu, &target.picture(), &plan)?;
    let step = |step| {
        if is_relocation_together(step, steps) {
            fit.relocate_together(MOVES_TOGETHER.on_gpu())?;
        }
        fit.step()
    };
    Ok(run(&fit, target, steps, progress, step)?.cloud)
}

/// Submits all steps, looks at the error now and then, and takes what was fitted.
fn run(
    fit: &Fit<'_>,
    target: &Target,
    steps: usize,
    progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    mut step: impl FnMut(usize) -> Result<(), GpuError>,
) -> Result<Fitted, GpuError> {
    let mut psnr = 0.0;
    for done in 1..=steps {
        step(done - 1)?;
        if done.is_multiple_of(TOLD) && done + TOLD <= steps {
            psnr = target.psnr(fit.error()?);
        }
        if progress(Progress { done, of: steps, psnr }).is_break() {
            break;
        }
    }
    let (values, error) = fit.finish()?;
    let mut cloud = Cloud::new(target.channels());
    cloud.values = values;
    Ok(Fitted { cloud, psnr: target.psnr(error) })
}
