//! From floats to symbols (section 3.1).

use mcodec_coding::gaussians::{GaussianSet, Quantiser, Symbols};
use mcodec_decode::gaussians::{Splat, splat_of};

use super::cloud::Cloud;

/// The nearest symbols of a cloud.
#[must_use]
pub fn quantise(cloud: &Cloud, quantiser: &Quantiser) -> GaussianSet {
    let mut out = GaussianSet::default();
    for i in 0..cloud.len() {
        let splat = cloud.splat(i);
        let scales = splat.sigma.map(|sigma| quantiser.nearest_level(sigma));
        out.symbols.push(place(quantiser, scales, &splat));
        let index = |(plane, &c): (usize, &f32)| (c / quantiser.colour_step(scales, plane)).round() as i32;
        out.colours.extend(cloud.colours(i).iter().enumerate().map(index));
    }
    out
}

/// What quantised Gaussians stand for.
#[must_use]
pub fn dequantise(set: &GaussianSet, quantiser: &Quantiser) -> Cloud {
    let planes = quantiser.planes();
    let mut cloud = Cloud::new(planes);
    for (symbols, colours) in set.symbols.iter().zip(set.colours.chunks_exact(planes)) {
        cloud.push(&splat_of(quantiser, symbols), &values(quantiser, symbols.scales, colours));
    }
    cloud
}

/// Symbols of a splat on the grids of these scales.
pub(crate) fn place(quantiser: &Quantiser, scales: [u8; 2], splat: &Splat) -> Symbols {
    let step = quantiser.position_step(scales);
    let index = |at: f32| (at / step - 0.5).round().max(0.0) as u32;
    let angles = 1i32 << quantiser.angle_bits(scales);
    let angle = (splat.angle * angles as f32 / std::f32::consts::PI).round() as i32;
    Symbols { x: index(splat.x), y: index(splat.y), scales, angle: angle.rem_euclid(angles) as u8 }
}

/// Values of colour symbols.
pub(super) fn values(quantiser: &Quantiser, scales: [u8; 2], colours: &[i32]) -> Vec<f32> {
    let value = |(plane, &index): (usize, &i32)| index as f32 * quantiser.colour_step(scales, plane);
    colours.iter().enumerate().map(value).collect()
}
