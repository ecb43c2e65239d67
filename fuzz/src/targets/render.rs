//! Gaussians with any floats drawn into any view: an error, or a picture whose pixels are numbers within what is blended, alike wherever they are drawn.

use mcodec_decode::gaussians::{Sampler, Scene, Splat, View};
use mcodec_format::Limits;

/// Most Gaussians, and pixels along a side, of a picture here.
const MOST: usize = 256;
const MOST_SIDE: u8 = 48;
/// Words before those of Gaussians: planes, width, height, wraps and size of the view; the view's corner and scale; then means and gains.
const HEAD: usize = 4;

/// Runs the target.
pub fn run(bytes: &[u8]) {
    let words: Vec<[u8; 4]> = bytes.as_chunks::<4>().0.to_vec();
    let Some((head, rest)) = words.split_first_chunk::<HEAD>() else { return };
    let [[planes, width, height, how], corner_x, corner_y, scale] = *head;
    let planes = usize::from(planes % 17);
    let float = |word: &[u8; 4]| f32::from_le_bytes(*word);
    if rest.len() < 2 * planes {
        return;
    }
    let (of_planes, gaussians) = rest.split_at(2 * planes);
    let floats: Vec<f32> = of_planes.iter().map(float).collect();
    let Ok(scene) = Scene::new(floats[..planes].to_vec()) else { return };
    let plain = scene.clone();
    let mut scene = scene.with_gains(&floats[planes..]).unwrap_or(plain);
    let (mut low, mut high) = (floats[..planes].to_vec(), floats[..planes].to_vec());
    for gaussian in gaussians.chunks_exact(5 + planes).take(MOST) {
        let [x, y, a, b, angle] = core::array::from_fn(|i| float(&gaussian[i]));
        let colours: Vec<f32> = gaussian[5..].iter().map(float).collect();
        if scene.push(Splat { x, y, sigma: [a, b], angle }, &colours).is_ok() {
            for (plane, colour) in colours.into_iter().enumerate() {
                (low[plane], high[plane]) = (low[plane].min(colour), high[plane].max(colour));
            }
        }
    }
    let (width, height) = (1 + u32::from(width % MOST_SIDE), 1 + u32::from(height % MOST_SIDE));
    let wraps = [how & 1 != 0, how & 2 != 0];
    if scene.repeat([width, height], wraps, 0.0).is_err() {
        return;
    }
    let limits = Limits::strict();
    let view = View::of_region(0, 0, width, height);
    let Ok(drawn) = scene.render(&view, &limits) else { return };
    check(&drawn, (&low, &high));
    if let Ok(sampler) = Sampler::new(scene.clone(), width, height) {
        let mut pixel = vec![0.0; planes];
        for (at, drawn) in drawn.chunks_exact(planes).enumerate().step_by(7) {
            let (x, y) = (at as u32 % width, at as u32 / width);
            sampler.sample(x as f32 + 0.5, y as f32 + 0.5, &mut pixel);
            for (plane, (a, b)) in pixel.iter().zip(drawn).enumerate() {
                let span = (high[plane] - low[plane]).max(low[plane].abs()).max(high[plane].abs());
                assert!(
                    (a - b).abs() <= span / 255.0 + 1e-30,
                    "({x}, {y}), plane {plane}: {a} sampled, {b} drawn"
                );
            }
        }
    }
    // Any view: what is said of it may be nonsense.
    let [left, top, scale] = [corner_x, corner_y, scale].map(|word| f64::from(float(&word)));
    let across = 1 + usize::from(how >> 2);
    let view = View { left, top, step: [scale, scale.recip()], width: across, height: 1 + across / 3 };
    if let Ok(drawn) = scene.render(&view, &limits) {
        check(&drawn, (&low, &high));
    }
}

/// Pixels are numbers, and not far outside of what is blended.
fn check(drawn: &[f32], (low, high): (&[f32], &[f32])) {
    for pixel in drawn.chunks_exact(low.len()) {
        for (plane, value) in pixel.iter().enumerate() {
            let slack = 1e-3 * (low[plane].abs() + high[plane].abs()) + 1e-30;
            assert!(
                (low[plane] - slack..=high[plane] + slack).contains(value),
                "plane {plane}: {value} of {} to {}",
                low[plane],
                high[plane]
            );
        }
    }
}
