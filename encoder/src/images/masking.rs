//! How much errors count where texture hides them: as the eye weighs them, by the contrast around each pixel.

use super::picture::Picture;

/// Pixels around a pixel, to each side, whose texture hides errors in it.
const AROUND: u32 = 4;
/// Variance of luma that hides no errors.
const CALM: f64 = 1e-3;
/// How much more or less than the mean a pixel counts at most.
const RANGE: f64 = 4.0;
/// Rows that are looked at at once for the mean.
const STRIP: u32 = 256;

/// Contrast masking, as in the adaptive quantisers of video encoders.
#[derive(Debug, Clone, Copy)]
pub(super) struct Masking {
    /// Mean over the picture of what pixels count before they are brought to a mean of 1.
    mean: f64,
}

impl Masking {
    /// Of a picture, strip after strip.
    pub(super) fn of(picture: &Picture) -> Self {
        let mut sum = 0.0;
        for top in (0..picture.height).step_by(STRIP as usize) {
            let size = [picture.width, STRIP.min(picture.height - top)];
            sum += weights(picture, [0, i64::from(top)], size).sum::<f64>();
        }
        Self { mean: sum / (f64::from(picture.width) * f64::from(picture.height)).max(1.0) }
    }

    /// What the pixels of a part count, row by row; the mean over the picture is about 1.
    pub(super) fn part(&self, picture: &Picture, corner: [i64; 2], size: [u32; 2]) -> Vec<f32> {
        let brought = |w: f64| (w / self.mean).clamp(RANGE.recip(), RANGE) as f32;
        weights(picture, corner, size).map(brought).collect()
    }
}

/// The reciprocal of the contrast around each pixel of a part. Beyond an edge there is nothing; or what is at the opposite one, if the part reaches there.
fn weights(picture: &Picture, corner: [i64; 2], size: [u32; 2]) -> impl Iterator<Item = f64> {
    // The part with what is around it, and where it lies in that.
    let ends = [picture.width, picture.height];
    let within: [(i64, i64, i64); 2] = std::array::from_fn(|axis| {
        let (from, end) = (corner[axis], corner[axis] + i64::from(size[axis]));
        let (least, most) = (from.min(0), end.max(i64::from(ends[axis])));
        let (first, last) = ((from - i64::from(AROUND)).max(least), (end + i64::from(AROUND)).min(most));
        (first, last, from - first)
    });
    let [(left, right, x0), (top, low, y0)] = within;
    let (width, height) = ((right - left) as usize, (low - top) as usize);
    let sums = sums_of(picture, [left, top], [width as u32, height as u32]);
    let (x0, y0, around) = (x0 as usize, y0 as usize, AROUND as usize);
    let columns = size[0] as usize;
    (0..columns * size[1] as usize).map(move |at| {
        let (x, y) = (x0 + at % columns, y0 + at / columns);
        let (left, right) = (x.saturating_sub(around), (x + around + 1).min(width));
        let (top, low) = (y.saturating_sub(around), (y + around + 1).min(height));
        let sum = |i: usize| {
            let at = |x: usize, y: usize| sums[y * (width + 1) + x][i];
            at(right, low) - at(left, low) - at(right, top) + at(left, top)
        };
        let count = ((right - left) * (low - top)) as f64;
        let mean = sum(0) / count;
        ((sum(1) / count - mean * mean).max(0.0) + CALM).sqrt().recip()
    })
}

/// Sums over the rectangles from a part's corner, of luma and of its square.
fn sums_of(picture: &Picture, corner: [i64; 2], size: [u32; 2]) -> Vec<[f64; 2]> {
    let colours = picture.channels.len().clamp(1, 3);
    let (width, height) = (size[0] as usize, size[1] as usize);
    let mut luma = vec![0.0f64; width * height];
    for channel in &picture.channels[..colours] {
        let part = picture.gather(channel, corner, size);
        luma.iter_mut().zip(part).for_each(|(sum, value)| *sum += f64::from(value) / colours as f64);
    }
    let mut sums = vec![[0.0f64; 2]; (width + 1) * (height + 1)];
    for y in 0..height {
        let mut row = [0.0; 2];
        for x in 0..width {
            let value = luma[y * width + x];
            row = [row[0] + value, row[1] + value * value];
            let above = sums[y * (width + 1) + x + 1];
            sums[(y + 1) * (width + 1) + x + 1] = [above[0] + row[0], above[1] + row[1]];
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;
    use mcodec_format::{ChannelGroup, GroupKind};

    #[test]
    fn parts_are_those_of_the_whole() {
        let (width, height) = (70, 600);
        let value = |i: u32| (i % width * 7 % 13) as f32 / 13.0 * ((i / width) as f32 / 600.0);
        let picture = Picture {
            width,
            height,
            groups: vec![ChannelGroup::of(GroupKind::Grey)],
            channels: vec![(0..width * height).map(value).collect()],
            wraps: [false; 2],
        };
        let masking = Masking::of(&picture);
        let whole = masking.part(&picture, [0; 2], [width, height]);
        assert!(whole[0] > 2.0 * whole[whole.len() - 1]);
        for (corner, size) in [([0, 0], [20, 20]), ([30, 290], [40, 310]), ([11, 100], [9, 3])] {
            for (i, part) in masking.part(&picture, corner, size).into_iter().enumerate() {
                let (x, y) =
                    (corner[0] as usize + i % size[0] as usize, corner[1] as usize + i / size[0] as usize);
                assert!((part - whole[y * width as usize + x]).abs() < 1e-4);
            }
        }
        // Beyond the edges: what is at the opposite ones.
        assert_eq!(masking.part(&picture, [-5, -5], [80, 610]).len(), 80 * 610);
    }
}
