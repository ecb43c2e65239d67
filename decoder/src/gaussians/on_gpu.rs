//! Pictures of Gaussians, drawn on a GPU.

use mcodec_format::Limits;
use mcodec_format::{ChannelGroup, Depth, GroupKind, ImageDescriptor, Transfer};
use mcodec_gpu::gaussians::{Form, Scene as Uploaded, Target, Texels, View as Centres};
use mcodec_gpu::{DeviceBuffer, Gpu};

use super::render::Prepared;
use super::{Scene, View};
use crate::images::ALPHA_SCALE;
use crate::{DecodeError, Result};

/// Bytes of output that are drawn at once, unless one row has more.
const BAND: u64 = 64 << 20;

/// A scene in the memory of a device, for any number of views.
#[derive(Debug)]
pub struct DeviceScene<'g> {
    gpu: &'g Gpu,
    scene: Scene,
    uploaded: Uploaded<'g>,
}

impl Scene {
    /// Uploads the Gaussians, so that views are drawn there.
    ///
    /// # Errors
    /// What the device says.
    pub fn on_gpu<'g>(&self, gpu: &'g Gpu) -> Result<DeviceScene<'g>> {
        let form = |splat: &super::Splat| {
            let shape = splat.shape();
            Form {
                centre: [shape.x, shape.y],
                covariance: shape.covariance,
                determinant: shape.determinant(),
                padding: [0.0; 2],
            }
        };
        let forms: Vec<Form> = self.splats.iter().map(form).collect();
        let uploaded = Uploaded::new(gpu, &self.mean, &forms, &self.colours)?;
        Ok(DeviceScene { gpu, scene: self.clone(), uploaded })
    }
}

impl DeviceScene<'_> {
    /// What is drawn.
    #[must_use]
    pub fn scene(&self) -> &Scene {
        &self.scene
    }

    /// Draws a view, as [`Scene::render`] does, into the front of a buffer of the same device: the planes of each pixel as f32, row by row.
    /// The work is submitted; what is submitted to the device later sees the picture.
    ///
    /// # Errors
    /// As [`Scene::render`]; [`DecodeError::Gpu`](crate::DecodeError::Gpu) if the buffer is too small, the view above what the device binds at once, or the device fails.
    pub fn draw(&self, view: &View, limits: &Limits, out: &DeviceBuffer) -> Result<()> {
        let centres = self.centres(view, limits)?;
        Ok(self.uploaded.draw(&centres, out)?)
    }

    /// Draws a view of one group of an image's channels into a texture of the same device, as [`texels`](crate::images::texels) makes them: as they are
    /// coded into bytes, proportional to light into floats. The work is submitted; what is submitted to the device later sees the picture.
    ///
    /// # Errors
    /// As [`Scene::render`]; [`DecodeError::Request`] if there is no such group, or a texel cannot hold it;
    /// [`DecodeError::Gpu`](crate::DecodeError::Gpu) if the texture cannot be written or is too small, or the device fails.
    pub fn draw_texture(
        &self,
        view: &View,
        (image, group): (&ImageDescriptor, usize),
        limits: &Limits,
        target: &Target<'_>,
    ) -> Result<()> {
        let texels = texels_of(image, group, target.is_float())?;
        let centres = self.centres(view, limits)?;
        Ok(self.uploaded.draw_texels(&centres, &texels, target)?)
    }

    /// Draws a view, as [`Scene::render`] does, and copies it from the device.
    ///
    /// # Errors
    /// As [`Scene::render`], and what the device says.
    pub fn render(&self, view: &View, limits: &Limits) -> Result<Vec<f32>> {
        let whole = self.centres(view, limits)?;
        let row = 4 * view.width as u64 * self.scene.planes() as u64;
        let most = BAND.min(self.gpu.max_binding());
        let rows = ((most / row) as usize).clamp(1, view.height);
        let buffer = self.gpu.buffer(row * rows as u64)?;
        let mut out = Vec::with_capacity(view.width * view.height * self.scene.planes());
        for down in whole.down.chunks(rows) {
            let band = Centres { across: whole.across.clone(), down: down.to_vec(), ..whole };
            self.uploaded.draw(&band, &buffer)?;
            let bytes = self.gpu.download(&buffer, 0..row * down.len() as u64)?;
            out.extend(bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)));
        }
        Ok(out)
    }

    /// The pixels of a view, if it may be drawn.
    fn centres(&self, view: &View, limits: &Limits) -> Result<Centres> {
        let prepared = Prepared::checked(&self.scene, view, limits)?;
        prepared.starts()?;
        let across = prepared.across.iter().flatten().take(view.width).copied().collect();
        Ok(Centres { across, down: prepared.down, widening: view.widening() })
    }
}

/// What the planes of a group mean to a texture.
fn texels_of(image: &ImageDescriptor, group: usize, is_float: bool) -> Result<Texels> {
    let Some((before, [of, ..])) = image.groups.split_at_checked(group) else {
        return Err(DecodeError::Request(format!("the image has {} groups of channels", image.groups.len())));
    };
    let channels = of.channel_count();
    if channels > 4 {
        return Err(DecodeError::Request(format!("a texel holds 4 channels, not {channels}")));
    }
    if of.depth == Depth::Float && !is_float {
        return Err(DecodeError::Request("the channels are floats: a texture of floats holds them".into()));
    }
    let has_alpha = matches!(of.kind, GroupKind::ColourAlpha | GroupKind::GreyAlpha);
    Ok(Texels {
        planes: [before.iter().map(ChannelGroup::channel_count).sum(), channels],
        alpha: has_alpha.then_some(ALPHA_SCALE),
        is_luma: matches!(of.kind, GroupKind::Colour | GroupKind::ColourAlpha),
        is_grey: matches!(of.kind, GroupKind::Grey | GroupKind::GreyAlpha),
        bounds: of.bounds,
        is_log: of.transfer == Transfer::Log2,
        to_light: is_float && of.transfer == Transfer::Srgb,
    })
}
