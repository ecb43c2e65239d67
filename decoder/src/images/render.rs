//! Rendering: planes of any rectangle of an image at any scale (SPEC section 5.8.3).

use super::reader::Region;
use crate::gaussians::exp::exp2;
use crate::gaussians::{CUT, MEAN_WEIGHT, Shape, Splat, splat_of};
use mcodec_coding::gaussians::{GaussianSet, Image};
use rayon::prelude::*;

/// Rows of pixels that are drawn at once.
const BAND: usize = 16;

/// Gaussians ready to be drawn.
#[derive(Debug, Clone)]
pub struct Scene {
    splats: Vec<Splat>,
    /// Planes of each.
    colours: Vec<f32>,
    /// Mean of each plane.
    means: Vec<f32>,
}

/// What is drawn of a scene, and how large.
#[derive(Debug, Clone, Copy)]
pub struct View {
    /// The part, in source pixels.
    pub region: Region,
    /// Pixels of the output across and down.
    pub size: [u32; 2],
}

impl View {
    /// The region at `scale` times its size, rounded, at least one pixel.
    #[must_use]
    pub fn scaled(region: Region, scale: f64) -> Self {
        let side = |pixels: u32| (f64::from(pixels) * scale).round().clamp(1.0, f64::from(u32::MAX)) as u32;
        Self { region, size: [side(region.width), side(region.height)] }
    }
}

/// A Gaussian in a view: its shape, and what its values are multiplied by.
struct Drawn {
    shape: Shape,
    strength: f32,
    index: usize,
}

impl Scene {
    /// The Gaussians of a set.
    #[must_use]
    pub fn new(image: &Image, set: &GaussianSet) -> Self {
        let quantiser = &image.quantiser;
        let planes = quantiser.planes();
        let mut colours = Vec::with_capacity(set.colours.len());
        for (symbols, indices) in set.symbols.iter().zip(set.colours.chunks_exact(planes)) {
            let colour =
                |(plane, &index): (usize, &i32)| index as f32 * quantiser.colour_step(symbols.scales, plane);
            colours.extend(indices.iter().enumerate().map(colour));
        }
        let splats = set.symbols.iter().map(|symbols| splat_of(quantiser, symbols)).collect();
        let means = image.means.iter().map(|&mean| mean as f32 / 100.0).collect();
        Self { splats, colours, means }
    }

    /// Number of planes.
    #[must_use]
    pub fn planes(&self) -> usize {
        self.means.len()
    }

    /// The planes of a view, pixel after pixel, row by row.
    #[must_use]
    pub fn render(&self, view: &View) -> Vec<f32> {
        let [width, height] = view.size.map(|side| side as usize);
        let drawn = self.drawn(view);
        let planes = self.planes();
        let mut out = vec![0f32; width * height * planes];
        let bands = height.div_ceil(BAND);
        let mut lists: Vec<Vec<u32>> = vec![Vec::new(); bands];
        let step = f64::from(view.region.height) / height as f64;
        for (number, drawn) in drawn.iter().enumerate() {
            let row = |y: f32| ((f64::from(y) - f64::from(view.region.y)) / step - 0.5) / BAND as f64;
            let first = row(drawn.shape.y - drawn.shape.half[1]).floor().max(0.0) as usize;
            let last = row(drawn.shape.y + drawn.shape.half[1]).floor();
            if last >= 0.0 {
                (first..=(last as usize).min(bands - 1)).for_each(|band| lists[band].push(number as u32));
            }
        }
        out.par_chunks_mut(width * planes * BAND).zip(&lists).enumerate().for_each(|(band, (out, list))| {
            let mut sums = vec![0f32; width * (planes + 1)];
            for (row, out) in out.chunks_exact_mut(width * planes).enumerate() {
                sums.fill(0.0);
                self.row(view, band * BAND + row, list.iter().map(|&i| &drawn[i as usize]), &mut sums);
                self.resolve(&sums, out);
            }
        });
        out
    }

    /// The Gaussians as a view sees them, widened where it has fewer pixels than the source.
    fn drawn(&self, view: &View) -> Vec<Drawn> {
        let step = |source: u32, out: u32| f64::from(source) / f64::from(out);
        let step = step(view.region.width, view.size[0]).max(step(view.region.height, view.size[1])).max(1.0);
        // What a box of that many pixels adds to the variance of one of a pixel.
        let variance = ((step * step - 1.0) / 12.0) as f32;
        let (left, top) = (view.region.x as f32, view.region.y as f32);
        let (right, bottom) = (left + view.region.width as f32, top + view.region.height as f32);
        let sound = self.splats.iter().enumerate().filter(|(_, splat)| splat.is_sound());
        let drawn = sound.map(|(index, splat)| {
            let shape = if variance > 0.0 { splat.widened(variance) } else { splat.shape() };
            let area = |sigma: f32| sigma / (sigma * sigma + variance).sqrt();
            Drawn { shape, strength: splat.sigma.iter().map(|&sigma| area(sigma)).product(), index }
        });
        drawn
            .filter(|drawn| {
                let ([half_width, half_height], shape) = (drawn.shape.half, &drawn.shape);
                shape.x + half_width >= left
                    && shape.x - half_width <= right
                    && shape.y + half_height >= top
                    && shape.y - half_height <= bottom
            })
            .collect()
    }

    /// Adds up the Gaussians of one row: of each pixel the weight, then the planes.
    fn row<'s>(&self, view: &View, row: usize, drawn: impl Iterator<Item = &'s Drawn>, sums: &mut [f32]) {
        let planes = self.planes();
        let [width, height] = view.size;
        let step_x = f64::from(view.region.width) / f64::from(width);
        let step_y = f64::from(view.region.height) / f64::from(height);
        let y = (f64::from(view.region.y) + (row as f64 + 0.5) * step_y) as f32;
        for Drawn { shape, strength, index } in drawn {
            let dy = y - shape.y;
            let Some((left, right)) = shape.columns(dy, dy) else { continue };
            let column = |x: f32| (f64::from(x) - f64::from(view.region.x)) / step_x - 0.5;
            let first = column(shape.x + left).ceil().max(0.0) as usize;
            let end = (column(shape.x + right).floor() + 1.0).clamp(0.0, f64::from(width)) as usize;
            let colours = &self.colours[index * planes..][..planes];
            for pixel in first..end {
                let x = (f64::from(view.region.x) + (pixel as f64 + 0.5) * step_x) as f32;
                let dx = x - shape.x;
                let (u, v) = (shape.across * dx + shape.along * dy, shape.down * dy);
                let weight = (exp2(-(u * u) - v * v) - CUT).max(0.0) * strength;
                let sums = &mut sums[pixel * (planes + 1)..][..=planes];
                sums[0] += weight;
                sums[1..].iter_mut().zip(colours).for_each(|(sum, colour)| *sum += weight * colour);
            }
        }
    }

    fn resolve(&self, sums: &[f32], out: &mut [f32]) {
        let planes = self.planes();
        for (sums, out) in sums.chunks_exact(planes + 1).zip(out.chunks_exact_mut(planes)) {
            let scale = 1.0 / (sums[0] + MEAN_WEIGHT);
            for ((out, sum), mean) in out.iter_mut().zip(&sums[1..]).zip(&self.means) {
                *out = (sum + MEAN_WEIGHT * mean) * scale;
            }
        }
    }
}
