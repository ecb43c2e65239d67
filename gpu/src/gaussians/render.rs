//! Drawing: a set of Gaussians on the device, and views of it.

use bytemuck::{Pod, Zeroable};
use wgpu::Buffer;

use super::MAX_CHANNELS;
use super::grid::{Grid, TILE};
use super::kernel::{Text, Work, bind, storage, uniform, workgroups, zeros};
use crate::device::{DeviceBuffer, Gpu};
use crate::error::{GpuError, Result};

/// Gaussians that one pass lists and draws.
const AT_ONCE: usize = 1 << 16;

/// Pixels of a side at most: tiles of a dispatch.
const MOST_SIDE: usize = 65535 * TILE;

pub(super) const BIN: Text = Text("lists of Gaussians", &[include_str!("bin.wgsl")]);
const SHAPE: Text = Text("widened Gaussians", &[include_str!("shape_view.wgsl")]);
const DRAW: Text = Text("drawing of Gaussians", &[include_str!("sums.wgsl"), include_str!("draw.wgsl")]);

/// Where a Gaussian is, and its form. Lengths are source pixels.
#[derive(Debug, Clone, Copy, Default, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct Form {
    /// Centre.
    pub centre: [f32; 2],
    /// Covariance: xx, xy, yy.
    pub covariance: [f32; 3],
    /// Determinant of the covariance, as exact as it can be had.
    pub determinant: f32,
    /// Not used.
    pub padding: [f32; 2],
}

/// What is drawn of a scene.
#[derive(Debug, Clone, PartialEq)]
pub struct View {
    /// Centre of each column of pixels in the source, rising.
    pub across: Vec<f32>,
    /// Centre of each row.
    pub down: Vec<f32>,
    /// What is added to variances across and down, square pixels of the source.
    pub widening: [f32; 2],
}

/// Gaussians on a device.
pub struct Scene<'g> {
    gpu: &'g Gpu,
    channels: usize,
    count: usize,
    forms: Buffer,
    colours: Buffer,
    mean: Buffer,
    /// As they are for the last view.
    shapes: Buffer,
}

impl std::fmt::Debug for Scene<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scene").field("channels", &self.channels).field("count", &self.count).finish()
    }
}

impl<'g> Scene<'g> {
    /// Uploads Gaussians in drawing order, a colour for each channel of each, and the colour where none are.
    ///
    /// # Errors
    /// [`GpuError::Input`] if numbers of values do not match, or values are not numbers; what the device says.
    pub fn new(gpu: &'g Gpu, mean: &[f32], forms: &[Form], colours: &[f32]) -> Result<Self> {
        let channels = mean.len();
        if !(1..=MAX_CHANNELS).contains(&channels) || colours.len() != forms.len() * channels {
            return Err(GpuError::Input("channels of Gaussians"));
        }
        let is_form = |form: &Form| {
            let [xx, xy, yy] = form.covariance;
            form.centre.iter().chain([&xy]).all(|v| v.is_finite())
                && [xx, yy, form.determinant].iter().all(|v| v.is_finite() && *v > 0.0)
        };
        if !forms.iter().all(is_form) || !colours.iter().chain(mean).all(|c| c.is_finite()) {
            return Err(GpuError::Input("a Gaussian that is not of sound numbers"));
        }
        Ok(Self {
            gpu,
            channels,
            count: forms.len(),
            forms: storage(gpu, "Gaussians", bytemuck::cast_slice(forms))?,
            colours: storage(gpu, "colours of Gaussians", bytemuck::cast_slice(colours))?,
            mean: storage(gpu, "mean colour", bytemuck::cast_slice(mean))?,
            shapes: zeros(gpu, "Gaussians of a view", 12 * forms.len().max(1))?,
        })
    }

    /// Number of Gaussians.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count
    }

    pub(super) fn gpu(&self) -> &'g Gpu {
        self.gpu
    }

    pub(super) fn channels(&self) -> usize {
        self.channels
    }

    /// There are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Draws a view into the front of `out`: the channels of each pixel as f32, row by row. Submits the work and does not wait for it.
    ///
    /// # Errors
    /// [`GpuError::Input`] if the view has no pixels or `out` is too small; [`GpuError::TooLarge`] if the view is above what can be bound; what
    /// the device says.
    pub fn draw(&self, view: &View, out: &DeviceBuffer) -> Result<()> {
        let (width, height) = (view.across.len(), view.down.len());
        let samples = width.saturating_mul(height).saturating_mul(self.channels);
        if samples == 0 || out.len() / 4 < samples as u64 || width.max(height) > MOST_SIDE {
            return Err(GpuError::Input("a view without pixels, or above its output"));
        }
        let widening = [view.widening[0].to_bits(), view.widening[1].to_bits(), self.count as u32, 0];
        let widening = uniform(self.gpu, "widening", bytemuck::cast_slice(&widening))?;
        let shape = bind(self.gpu, SHAPE, self.channels, &[&widening, &self.forms, &self.shapes])?;
        let mut work = Work::new(self.gpu);
        work.run([(&shape, workgroups(self.count, 64))]);
        let centres: Vec<f32> = view.across.iter().chain(&view.down).copied().collect();
        let centres = storage(self.gpu, "pixels of a view", bytemuck::cast_slice(&centres))?;
        let counts = storage(self.gpu, "number of Gaussians", bytemuck::bytes_of(&(self.count as u32)))?;
        let at_once = self.count.clamp(1, AT_ONCE);
        let passes = self.count.div_ceil(at_once).max(1);
        let mut grid = Grid::new(width, height, at_once);
        let lists = zeros(self.gpu, "lists of Gaussians", grid.words())?;
        let sums = if passes > 1 { width * height * (1 + self.channels) } else { 1 };
        let kept = zeros(self.gpu, "sums of a view", sums)?;
        for pass in 0..passes {
            (grid.first, grid.end) = ((pass * at_once) as u32, ((pass + 1) * at_once).min(self.count) as u32);
            (grid.goes_on, grid.not_last) = (u32::from(pass > 0), u32::from(pass + 1 < passes));
            let grid_buffer = uniform(self.gpu, "grid", bytemuck::bytes_of(&grid))?;
            let bin =
                bind(self.gpu, BIN, self.channels, &[&grid_buffer, &centres, &counts, &self.shapes, &lists])?;
            let buffers =
                [&grid_buffer, &centres, &lists, &self.shapes, &self.colours, &self.mean, &kept, out.wgpu()];
            let draw = bind(self.gpu, DRAW, self.channels, &buffers)?;
            work.run([(&bin, grid.squares), (&draw, grid.tiles)]);
        }
        work.submit()
    }
}
