//! From integer symbols to what is drawn.

use mcodec_coding::gaussians::{Quantiser, Symbols};

use super::Splat;

/// The splat that symbols stand for. A level that the quantiser has not counts as its last.
#[must_use]
pub fn splat_of(quantiser: &Quantiser, symbols: &Symbols) -> Splat {
    let last = (quantiser.levels() - 1) as u8;
    let scales = symbols.scales.map(|level| level.min(last));
    let step = quantiser.position_step(scales);
    let angles = (1u32 << quantiser.angle_bits(scales)) as f32;
    Splat {
        x: (symbols.x as f32 + 0.5) * step,
        y: (symbols.y as f32 + 0.5) * step,
        sigma: scales.map(|level| quantiser.sigma(level)),
        angle: f32::from(symbols.angle) * std::f32::consts::PI / angles,
    }
}
