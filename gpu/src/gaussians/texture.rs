//! Drawing into a texture of the caller's: planes as texels.

use bytemuck::{Pod, Zeroable};
use wgpu::{BindingResource, TextureDimension, TextureFormat, TextureUsages, TextureViewDescriptor};

use super::MAX_CHANNELS;
use super::kernel::{Text, Work, bind_resources, uniform};
use super::render::{Scene, View};
use crate::device::Gpu;
use crate::error::{GpuError, Result};

const RGBA8: Text = Text(
    "texels of bytes",
    &["alias Texture = texture_storage_2d<rgba8unorm, write>;\n", include_str!("texels.wgsl")],
);
const RGBA16: Text = Text(
    "texels of halves",
    &["alias Texture = texture_storage_2d<rgba16float, write>;\n", include_str!("texels.wgsl")],
);
const RGBA32: Text = Text(
    "texels of floats",
    &["alias Texture = texture_storage_2d<rgba32float, write>;\n", include_str!("texels.wgsl")],
);

/// Bytes of planes that are turned into texels at once, unless one row has more.
const BAND: u64 = 32 << 20;
/// Texels along a workgroup.
const SIDE: usize = 8;

/// What the planes of a pixel mean: at most four of them become red, green, blue and alpha.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Texels {
    /// The first plane, and how many there are; with alpha that is the last.
    pub planes: [usize; 2],
    /// The last plane is alpha times this, and colours are mixed with middle grey by it.
    pub alpha: Option<f32>,
    /// The first three are Y, U and V of red, green and blue.
    pub is_luma: bool,
    /// The only colour is red, green and blue alike.
    pub is_grey: bool,
    /// What 0 and 1 stand for.
    pub bounds: [f32; 2],
    /// Colours are base-2 logarithms of what is stored.
    pub is_log: bool,
    /// Colours are coded as sRGB codes them, which is undone.
    pub to_light: bool,
}

/// A place in a texture: a mip level and layer of it, and the texel there that the first pixel goes to.
#[derive(Debug, Clone, Copy)]
pub struct Target<'t> {
    texture: &'t wgpu::Texture,
    mip: u32,
    layer: u32,
    origin: [u32; 2],
}

impl<'t> Target<'t> {
    /// The first texel of the first layer at full size. The texture is of two dimensions, has the usage `STORAGE_BINDING`, and is of
    /// `Rgba8Unorm`, `Rgba16Float` or `Rgba32Float`; a view of it may say `Rgba8UnormSrgb` where it is sampled.
    #[must_use]
    pub fn new(texture: &'t wgpu::Texture) -> Self {
        Self { texture, mip: 0, layer: 0, origin: [0; 2] }
    }

    /// Another mip level.
    #[must_use]
    pub fn mip(mut self, mip: u32) -> Self {
        self.mip = mip;
        self
    }

    /// Another layer of an array.
    #[must_use]
    pub fn layer(mut self, layer: u32) -> Self {
        self.layer = layer;
        self
    }

    /// Another texel, across and down.
    #[must_use]
    pub fn at(mut self, x: u32, y: u32) -> Self {
        self.origin = [x, y];
        self
    }

    /// Whether its texels are floats, for which colours are wanted proportional to light.
    #[must_use]
    pub fn is_float(&self) -> bool {
        self.texture.format() != TextureFormat::Rgba8Unorm
    }

    /// The kernel for its form, and the largest value that it holds.
    fn form(&self) -> Option<(Text, f32)> {
        match self.texture.format() {
            TextureFormat::Rgba8Unorm => Some((RGBA8, 1.0)),
            TextureFormat::Rgba16Float => Some((RGBA16, 65504.0)),
            TextureFormat::Rgba32Float => Some((RGBA32, f32::MAX)),
            _ => None,
        }
    }

    /// Whether so many pixels fit there.
    fn holds(&self, width: usize, height: usize) -> bool {
        let texture = self.texture;
        let side = |side: u32| (side >> self.mip.min(31)).max(1) as usize;
        texture.dimension() == TextureDimension::D2
            && texture.sample_count() == 1
            && texture.usage().contains(TextureUsages::STORAGE_BINDING)
            && self.mip < texture.mip_level_count()
            && self.layer < texture.depth_or_array_layers()
            && (self.origin[0] as usize).saturating_add(width) <= side(texture.width())
            && (self.origin[1] as usize).saturating_add(height) <= side(texture.height())
    }

    fn view(&self) -> wgpu::TextureView {
        self.texture.create_view(&TextureViewDescriptor {
            dimension: Some(wgpu::TextureViewDimension::D2),
            base_mip_level: self.mip,
            mip_level_count: Some(1),
            base_array_layer: self.layer,
            array_layer_count: Some(1),
            ..TextureViewDescriptor::default()
        })
    }
}

/// As the kernel reads it.
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Rule {
    size: [u32; 2],
    origin: [u32; 2],
    first: u32,
    channels: u32,
    colours: u32,
    is_luma: u32,
    is_log: u32,
    to_light: u32,
    most: f32,
    low: f32,
    high: f32,
    has_alpha: u32,
    alpha_scale: f32,
    is_grey: u32,
}

impl Texels {
    /// Whether they are planes of a picture of so many, and a texel holds them.
    fn are_sound(&self, channels: usize) -> bool {
        let [first, count] = self.planes;
        let colours = count.saturating_sub(usize::from(self.alpha.is_some()));
        (1..=4).contains(&count)
            && channels <= MAX_CHANNELS
            && first.checked_add(count).is_some_and(|end| end <= channels)
            && (!self.is_luma || colours == 3)
            && (!self.is_grey || colours == 1)
            && self.bounds.iter().all(|bound| bound.is_finite())
            && self.alpha.is_none_or(|scale| scale.is_finite() && scale > 0.0)
    }
}

impl Scene<'_> {
    /// Draws a view into a texture. Submits the work and does not wait for it. What is held meanwhile is the view's planes, at most 32 MiB or a row of them.
    ///
    /// # Errors
    /// [`GpuError::Input`] if the view has no pixels, does not fit there, or the texture cannot be written; as [`Scene::draw`] besides.
    pub fn draw_texels(&self, view: &View, texels: &Texels, target: &Target<'_>) -> Result<()> {
        let (width, height) = (view.across.len(), view.down.len());
        let Some((text, most)) = target.form().filter(|_| target.holds(width, height)) else {
            return Err(GpuError::Input(
                "a texture that cannot hold the view, or cannot be written by kernels",
            ));
        };
        if !texels.are_sound(self.channels()) || width == 0 {
            return Err(GpuError::Input("planes that are no texels"));
        }
        let gpu = self.gpu();
        let row = 4 * width as u64 * self.channels() as u64;
        let rows = (BAND.min(gpu.max_binding()) / row).clamp(1, height.max(1) as u64) as usize;
        let planes = gpu.buffer(row * rows as u64)?;
        for (band, down) in view.down.chunks(rows).enumerate() {
            let part = View { across: view.across.clone(), down: down.to_vec(), widening: view.widening };
            self.draw(&part, &planes)?;
            let rule = texels.rule(most, [width, down.len()], target, band * rows);
            store(gpu, self.channels(), text, &rule, &planes, target)?;
        }
        Ok(())
    }
}

impl Texels {
    fn rule(&self, most: f32, size: [usize; 2], target: &Target<'_>, below: usize) -> Rule {
        let [first, channels] = self.planes;
        Rule {
            size: size.map(|side| side as u32),
            origin: [target.origin[0], target.origin[1] + below as u32],
            first: first as u32,
            channels: channels as u32,
            colours: (channels - usize::from(self.alpha.is_some())) as u32,
            is_luma: self.is_luma.into(),
            is_log: self.is_log.into(),
            to_light: self.to_light.into(),
            most,
            low: self.bounds[0],
            high: self.bounds[1],
            has_alpha: self.alpha.is_some().into(),
            alpha_scale: self.alpha.unwrap_or(1.0),
            is_grey: self.is_grey.into(),
        }
    }
}

/// Writes what was drawn.
fn store(
    gpu: &Gpu,
    channels: usize,
    text: Text,
    rule: &Rule,
    planes: &crate::DeviceBuffer,
    target: &Target<'_>,
) -> Result<()> {
    let uniform = uniform(gpu, "texels", bytemuck::bytes_of(rule))?;
    let view = gpu.scoped("view of a texture", 0, || target.view())?;
    let resources =
        [uniform.as_entire_binding(), planes.wgpu().as_entire_binding(), BindingResource::TextureView(&view)];
    let bound = bind_resources(gpu, text, channels, &resources)?;
    let groups = rule.size.map(|side| (side as usize).div_ceil(SIDE) as u32);
    let mut work = Work::new(gpu);
    work.run([(&bound, groups)]);
    work.submit()
}
