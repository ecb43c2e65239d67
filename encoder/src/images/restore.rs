//! How much of a picture is damage: noise, or what JPEG rounded away.
//!
//! A fit of few Gaussians takes up what is smooth or has edges before it takes up noise and the edges of blocks. The PSNR at which what is left is as
//! large as the damage (Morozov's discrepancy principle) therefore comes near the undamaged picture.

use super::picture::Picture;

/// The least damage that is worth a fit that leaves it out, of 1: below it a picture counts as clean.
const LEAST: f64 = 1.0 / 255.0;
/// By how much less than the noise, in dB, a fit leaves out: it takes up some of it.
const NOISE_MARGIN: f64 = 0.4;
/// All that JPEG's rounding changes in red, green and blue, as a multiple of what it changes in those coefficients of luma that are not zero: 6 to 8 on photographs
/// at qualities 10 to 75.
const ALL_OF_JPEG: f64 = 7.0;
/// Of JPEG: by how much the fit is nearer to the damaged picture than that is to the undamaged one, in dB. Not all of the error is of a kind that a fit leaves out.
const JPEG_MARGIN: f64 = 4.0;
/// Side of the blocks that noise is measured in.
const NOISE_BLOCK: usize = 16;
/// Part of the blocks with the least noise that is taken for flat.
const FLAT: f64 = 0.3;
/// What the noise of those blocks is short of the mean, by their choice.
const CHOSEN: f64 = 1.06;
/// The median of the absolute values of a normal distribution of deviation 1.
const MEDIAN: f64 = 0.674_490;

/// The PSNR (dB) to fit a picture up to. `None`: it is not damaged. `steps`: of luma, if it comes from a JPEG file, row by row.
pub(super) fn target(picture: &Picture, steps: Option<&[u16; 64]>) -> Option<f64> {
    let of_noise = noise(picture);
    let noisy = (of_noise >= LEAST).then(|| -NOISE_MARGIN - 20.0 * of_noise.log10());
    let of_jpeg = steps.map_or(0.0, |steps| jpeg_error(picture, steps));
    let rounded = (of_jpeg >= LEAST).then(|| JPEG_MARGIN - 20.0 * of_jpeg.log10());
    match (noisy, rounded) {
        (Some(noisy), Some(rounded)) => Some(noisy.min(rounded)),
        (noisy, rounded) => noisy.or(rounded),
    }
}

/// The standard deviation of noise, as a root of the mean over channels: from diagonal differences (Donoho and Johnstone's estimate) in the flattest
/// blocks.
fn noise(picture: &Picture) -> f64 {
    let (width, height) = (picture.width as usize, picture.height as usize);
    let squares: f64 = picture.channels.iter().map(|plane| channel_noise(plane, width, height).powi(2)).sum();
    (squares / picture.channels.len().max(1) as f64).sqrt()
}

fn channel_noise(plane: &[f32], width: usize, height: usize) -> f64 {
    let mut deviations = Vec::new();
    let mut block = Vec::with_capacity(NOISE_BLOCK * NOISE_BLOCK / 4);
    for top in (0..height.saturating_sub(NOISE_BLOCK - 1)).step_by(NOISE_BLOCK) {
        for left in (0..width.saturating_sub(NOISE_BLOCK - 1)).step_by(NOISE_BLOCK) {
            block.clear();
            for y in (top..top + NOISE_BLOCK).step_by(2) {
                for x in (left..left + NOISE_BLOCK).step_by(2) {
                    let (above, below) = (&plane[y * width + x..][..2], &plane[(y + 1) * width + x..][..2]);
                    block.push((above[0] - above[1] - below[0] + below[1]).abs() / 2.0);
                }
            }
            block.sort_by(f32::total_cmp);
            deviations.push(f64::from(block[block.len() / 2]) / MEDIAN);
        }
    }
    deviations.sort_by(f64::total_cmp);
    let flat = (deviations.len() as f64 * FLAT) as usize;
    deviations.get(flat).map_or(0.0, |deviation| deviation * CHOSEN)
}

/// The root of the mean squared error that JPEG's rounding made.
fn jpeg_error(picture: &Picture, steps: &[u16; 64]) -> f64 {
    (ALL_OF_JPEG * kept_error(picture, steps)).sqrt() / 255.0
}

/// The part of the mean squared error of luma (of 255) that lies in coefficients which are not zero: they err evenly within their step.
fn kept_error(picture: &Picture, steps: &[u16; 64]) -> f64 {
    let (across, down) = (picture.width as usize / 8, picture.height as usize / 8);
    if picture.channels.is_empty() {
        return 0.0;
    }
    let mut sum = 0.0;
    for at in 0..across * down {
        let coefficients = cosines(&luma(picture, at % across * 8, at / across * 8));
        for (value, &step) in coefficients.iter().zip(steps) {
            let step = f64::from(step);
            if f64::from(value.abs()) >= step / 2.0 {
                sum += step * step / 12.0;
            }
        }
    }
    sum / (across * down * 64).max(1) as f64
}

/// A block of luma, -128 to 127 (JFIF's weights).
fn luma(picture: &Picture, left: usize, top: usize) -> [[f32; 8]; 8] {
    let width = picture.width as usize;
    let weights: &[f32] = if picture.channels.len() >= 3 { &[0.299, 0.587, 0.114] } else { &[1.0] };
    let mut block = [[0.0; 8]; 8];
    for (y, row) in block.iter_mut().enumerate() {
        for (x, value) in row.iter_mut().enumerate() {
            let at = (top + y) * width + left + x;
            let sum: f32 = weights.iter().zip(&picture.channels).map(|(w, channel)| w * channel[at]).sum();
            *value = sum * 255.0 - 128.0;
        }
    }
    block
}

/// The coefficients of a block, row by row: JPEG's discrete cosine transform (ITU-T T.81, A.3.3).
fn cosines(block: &[[f32; 8]; 8]) -> [f32; 64] {
    let basis = |k: usize, n: usize| {
        let scale = if k == 0 { 0.125f32.sqrt() } else { 0.5 };
        scale * (core::f32::consts::PI * (2 * n + 1) as f32 * k as f32 / 16.0).cos()
    };
    let basis: [[f32; 8]; 8] = core::array::from_fn(|k| core::array::from_fn(|n| basis(k, n)));
    let rows: [[f32; 8]; 8] = core::array::from_fn(|y| {
        core::array::from_fn(|u| basis[u].iter().zip(&block[y]).map(|(a, b)| a * b).sum())
    });
    core::array::from_fn(|at| (0..8).map(|y| basis[at / 8][y] * rows[y][at % 8]).sum())
}

/// Places of coefficients in the order of a JPEG file (ITU-T T.81, figure A.6).
#[cfg(any(feature = "images", test))]
const ZIGZAG: [u8; 64] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7,
    14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39,
    46, 53, 60, 61, 54, 47, 55, 62, 63,
];

/// The steps of luma of a JPEG file, row by row, from its first table (ITU-T T.81, B.2.4.1). `None` if it has none before its pixels.
#[cfg(any(feature = "images", test))]
pub(super) fn steps_of_jpeg(file: &[u8]) -> Option<[u16; 64]> {
    let mut rest = file.strip_prefix(&[0xff, 0xd8])?;
    loop {
        let &[0xff, marker, high, low, ..] = rest else { return None };
        let len = usize::from(u16::from_be_bytes([high, low]));
        let segment = rest.get(4..2 + len)?;
        if marker == 0xda {
            return None;
        }
        if let (0xdb, Some((&head, table))) = (marker, segment.split_first())
            && head & 15 == 0
        {
            let mut steps = [0; 64];
            for (at, &place) in ZIGZAG.iter().enumerate() {
                steps[usize::from(place)] = if head >> 4 == 0 {
                    u16::from(*table.get(at)?)
                } else {
                    u16::from_be_bytes([*table.get(at * 2)?, *table.get(at * 2 + 1)?])
                };
            }
            return Some(steps);
        }
        rest = rest.get(2 + len..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mcodec_format::{ChannelGroup, GroupKind};

    fn grey(width: u32, height: u32, value: impl Fn(u32, u32) -> f32) -> Picture {
        let group = ChannelGroup::of(GroupKind::Grey);
        let plane = (0..width * height).map(|i| value(i % width, i / width)).collect();
        Picture { width, height, groups: vec![group], channels: vec![plane], wraps: [false; 2] }
    }

    /// Noise of deviation 1, the same for each place.
    fn normal(x: u32, y: u32) -> f32 {
        // Splitmix64, and the sum of twelve even numbers.
        let mut state = (u64::from(x) << 32 | u64::from(y)).wrapping_mul(0xd6e8_feb8_6659_fd93);
        state = (state ^ state >> 32).wrapping_mul(0xd6e8_feb8_6659_fd93);
        let mut even = || {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
            ((z ^ z >> 31) >> 40) as f32 / (1u32 << 24) as f32
        };
        (0..12).map(|_| even()).sum::<f32>() - 6.0
    }

    fn smooth(x: u32, y: u32) -> f32 {
        0.5 + 0.3 * (x as f32 * 0.05).sin() * (y as f32 * 0.04).cos()
    }

    #[test]
    fn noise_is_measured_where_the_picture_is_flat() {
        for deviation in [5.0, 25.0] {
            let picture = grey(128, 96, |x, y| {
                let stripes = if x > 64 { (x % 2) as f32 * 0.2 } else { 0.0 };
                smooth(x, y) + stripes + normal(x, y) * deviation / 255.0
            });
            let measured = noise(&picture) * 255.0;
            assert!((measured / f64::from(deviation) - 1.0).abs() < 0.15, "{measured} {deviation}");
            let wanted = 20.0 * (255.0 / f64::from(deviation)).log10();
            assert!((target(&picture, None).unwrap() - wanted).abs() < 1.5);
        }
        assert_eq!(target(&grey(128, 96, smooth), None), None);
        assert_eq!(target(&grey(3, 3, smooth), Some(&[9; 64])), None);
    }

    #[test]
    fn rounding_of_coefficients_is_measured_by_its_steps() {
        let steps = [40u16; 64];
        let original = |x: u32, y: u32| smooth(x * 5, y * 7) + normal(x / 3, y / 3) * 0.05;
        let source = grey(128, 128, original);
        let mut rounded = source.clone();
        let mut error = 0.0;
        for (row, column) in (0..16).flat_map(|row| (0..16).map(move |column| (row, column))) {
            let coefficients = cosines(&luma(&source, column * 8, row * 8));
            let kept = coefficients.map(|value| (value / 40.0).round() * 40.0);
            let changes = coefficients.iter().zip(&kept).filter(|(_, kept)| **kept != 0.0);
            error += changes.map(|(value, kept)| f64::from(value - kept).powi(2)).sum::<f64>();
            for (y, x) in (0..8).flat_map(|y| (0..8).map(move |x| (y, x))) {
                // The transform is orthogonal: its transpose inverts it.
                let mut one = [[0.0; 8]; 8];
                one[y][x] = 1.0;
                let back: f32 = kept.iter().zip(cosines(&one)).map(|(value, basis)| value * basis).sum();
                rounded.channels[0][(row * 8 + y) * 128 + column * 8 + x] = (back + 128.0) / 255.0;
            }
        }
        let (wanted, measured) = (error / (128.0 * 128.0), kept_error(&rounded, &steps));
        assert!(wanted > 1.0 && (measured / wanted - 1.0).abs() < 0.2, "{measured} {wanted}");
    }

    #[test]
    fn the_steps_of_a_file_are_found() {
        let mut file = vec![0xff, 0xd8, 0xff, 0xe0, 0, 4, 1, 2, 0xff, 0xdb, 0, 67, 0];
        file.extend(1..=64u8);
        file.extend([0xff, 0xda, 0, 2]);
        let steps = steps_of_jpeg(&file).unwrap();
        assert_eq!((steps[0], steps[1], steps[8], steps[63]), (1, 2, 3, 64));
        (0..file.len() - 4).for_each(|len| assert!(steps_of_jpeg(&file[..len]).is_none(), "{len}"));
        assert!(steps_of_jpeg(b"\x89PNG").is_none());
    }
}
