//! The planes of a picture as they are fitted: relative to their means, and each as large as its errors count.

use super::masking::Masking;
use super::picture::Picture;
use mcodec_format::ImageDescriptor;
use rayon::prelude::*;

/// Rows of a strip that a picture's means are taken from.
const STRIP: u32 = 64;

/// Where what is fitted comes from.
#[derive(Debug, Clone)]
pub(super) struct Source<'a> {
    pub(super) picture: &'a Picture,
    /// What is taken off each plane, and by how much it is then multiplied.
    means: Vec<f32>,
    pub(super) gains: Vec<f32>,
    /// How much squared errors count at each pixel, ...
    map: Option<&'a [f32]>,
    /// ... or by what rule.
    masking: Option<Masking>,
}

impl<'a> Source<'a> {
    /// A picture as an image says it, errors weighed by a map, or else by a rule.
    pub(super) fn new(
        picture: &'a Picture,
        image: &ImageDescriptor,
        map: Option<&'a [f32]>,
        masking: Option<Masking>,
    ) -> Self {
        Self { picture, means: image.plane_means(), gains: image.plane_gains(), map, masking }
    }

    /// The planes of all of it, one after another, each row by row, and how much errors count.
    pub(super) fn whole(&self) -> (Vec<f32>, Option<Vec<f32>>) {
        let size = [self.picture.width, self.picture.height];
        let by_rule = || self.masking.as_ref().map(|masking| masking.part(self.picture, [0; 2], size));
        (self.planes(self.picture), self.map.map(<[f32]>::to_vec).or_else(by_rule))
    }

    /// The same of a part of it.
    pub(super) fn part(&self, corner: [i64; 2], size: [u32; 2]) -> (Vec<f32>, Option<Vec<f32>>) {
        let by_rule = || self.masking.as_ref().map(|masking| masking.part(self.picture, corner, size));
        let importance = self.map.map(|map| self.picture.gather(map, corner, size)).or_else(by_rule);
        (self.planes(&self.picture.part(corner, size)), importance)
    }

    fn planes(&self, picture: &Picture) -> Vec<f32> {
        let mut planes = picture.planes();
        let pixels = picture.width as usize * picture.height as usize;
        for (plane, (&mean, &gain)) in planes.chunks_exact_mut(pixels).zip(self.means.iter().zip(&self.gains))
        {
            plane.par_iter_mut().for_each(|value| *value = (*value - mean) * gain);
        }
        planes
    }
}

/// Means of the planes of a picture, without the planes of all of it at once.
pub(super) fn means_of(picture: &Picture) -> Vec<f64> {
    let strips = (0..picture.height).into_par_iter().step_by(STRIP as usize).map(|top| {
        let size = [picture.width, STRIP.min(picture.height - top)];
        let planes = picture.part([0, i64::from(top)], size).planes();
        let planes = planes.chunks_exact((size[0] * size[1]) as usize);
        planes.map(|plane| plane.iter().map(|&p| f64::from(p)).sum()).collect::<Vec<f64>>()
    });
    let mut sums = vec![0.0f64; picture.channels.len()];
    for strip in strips.collect::<Vec<_>>() {
        sums.iter_mut().zip(strip).for_each(|(sum, of_strip)| *sum += of_strip);
    }
    let pixels = f64::from(picture.width) * f64::from(picture.height);
    sums.into_iter().map(|sum| sum / pixels).collect()
}
