//! Structural similarity (Wang et al. 2004) and its form over scales (Wang et al. 2003), of planes from 0 to 255.

/// Standard deviation of the window, and its radius.
const SIGMA: f64 = 1.5;
const RADIUS: usize = 5;
const C1: f64 = (0.01 * 255.0) * (0.01 * 255.0);
const C2: f64 = (0.03 * 255.0) * (0.03 * 255.0);
/// Weights of the scales, the finest first.
const WEIGHTS: [f64; 5] = [0.0448, 0.2856, 0.3001, 0.2363, 0.1333];

/// Means under the window; beyond the edges the plane is mirrored.
fn blur(plane: &[f64], width: usize) -> Vec<f64> {
    let height = plane.len() / width;
    let mut kernel: Vec<f64> = (0..=2 * RADIUS)
        .map(|i| (-(i as f64 - RADIUS as f64).powi(2) / (2.0 * SIGMA * SIGMA)).exp())
        .collect();
    let sum: f64 = kernel.iter().sum();
    kernel.iter_mut().for_each(|w| *w /= sum);
    let mirrored = |at: isize, size: usize| {
        let period = 2 * size as isize;
        let at = at.rem_euclid(period);
        (if at < size as isize { at } else { period - 1 - at }) as usize
    };
    let mut across = vec![0f64; plane.len()];
    for y in 0..height {
        for x in 0..width {
            let sum = kernel
                .iter()
                .enumerate()
                .map(|(k, w)| w * plane[y * width + mirrored((x + k) as isize - RADIUS as isize, width)]);
            across[y * width + x] = sum.sum();
        }
    }
    let mut out = vec![0f64; plane.len()];
    for y in 0..height {
        for (k, w) in kernel.iter().enumerate() {
            let row = mirrored((y + k) as isize - RADIUS as isize, height) * width;
            let (out, from) = (&mut out[y * width..][..width], &across[row..][..width]);
            out.iter_mut().zip(from).for_each(|(out, from)| *out += w * from);
        }
    }
    out
}

/// Mean similarity, and that of contrast and structure alone.
pub(super) fn ssim(a: &[f64], b: &[f64], width: usize) -> (f64, f64) {
    let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).collect::<Vec<f64>>();
    let (mean_a, mean_b) = (blur(a, width), blur(b, width));
    let (aa, bb, ab) =
        (blur(&product(a, a), width), blur(&product(b, b), width), blur(&product(a, b), width));
    let (mut whole, mut structure) = (0.0, 0.0);
    for i in 0..a.len() {
        let (ma, mb) = (mean_a[i], mean_b[i]);
        let (va, vb, vab) = (aa[i] - ma * ma, bb[i] - mb * mb, ab[i] - ma * mb);
        let cs = (2.0 * vab + C2) / (va + vb + C2);
        structure += cs;
        whole += cs * (2.0 * ma * mb + C1) / (ma * ma + mb * mb + C1);
    }
    (whole / a.len() as f64, structure / a.len() as f64)
}

/// Over five scales, each half as large as the one before; `None` if the smallest would have a side below the window.
pub(super) fn ms_ssim(mut a: Vec<f64>, mut b: Vec<f64>, mut width: usize) -> Option<f64> {
    if width.min(a.len() / width.max(1)) >> (WEIGHTS.len() - 1) < 2 * RADIUS + 1 {
        return None;
    }
    let mut product = 1.0;
    for (scale, weight) in WEIGHTS.iter().enumerate() {
        let (whole, structure) = ssim(&a, &b, width);
        let value = if scale + 1 == WEIGHTS.len() { whole } else { structure };
        product *= value.max(1e-6).powf(*weight);
        (a, b) = (halved(&a, width), halved(&b, width));
        width /= 2;
    }
    Some(product)
}

/// Means of two by two pixels.
fn halved(plane: &[f64], width: usize) -> Vec<f64> {
    let (columns, rows) = (width / 2, plane.len() / width / 2);
    let at = |x: usize, y: usize| plane[y * width + x];
    let mean = |x: usize, y: usize| {
        (at(2 * x, 2 * y) + at(2 * x + 1, 2 * y) + at(2 * x, 2 * y + 1) + at(2 * x + 1, 2 * y + 1)) / 4.0
    };
    (0..rows).flat_map(|y| (0..columns).map(move |x| mean(x, y))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_pictures_are_alike_and_noise_is_not() {
        let noise = |seed: u64| -> Vec<f64> {
            let value = |i: u64| {
                ((i + seed).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32).wrapping_mul(0x85eb_ca6b) >> 20 & 255
            };
            (0..200 * 180).map(|i| value(i) as f64).collect()
        };
        let (a, b) = (noise(1), noise(1 << 40));
        assert!((ssim(&a, &a, 200).0 - 1.0).abs() < 1e-6);
        assert!((ms_ssim(a.clone(), a.clone(), 200).unwrap() - 1.0).abs() < 1e-6);
        assert!(ssim(&a, &b, 200).0 < 0.3);
        assert_eq!(ms_ssim(a[..100].to_vec(), b[..100].to_vec(), 10), None);
    }
}
