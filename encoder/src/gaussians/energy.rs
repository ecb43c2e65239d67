//! What each Gaussian of a finished set is worth.

use super::cloud::Cloud;
use super::step::Field;
use super::target::Target;
use rayon::prelude::*;

/// How much the weighted squared error rises if one Gaussian alone is dropped (section 2.4), for each but the first `frozen`.
#[must_use]
pub fn removal_energies(target: &Target, cloud: &Cloud, frozen: usize) -> Vec<f32> {
    let mut field = Field::new(target);
    if frozen > 0 {
        field.freeze(&cloud.first(frozen));
    }
    field.place(cloud);
    field.removal_energies(cloud)
}

/// The picture of a cloud, its planes as those of the target are.
#[must_use]
pub fn picture_of(target: &Target, cloud: &Cloud) -> Vec<f32> {
    let mut field = Field::new(target);
    field.place(cloud);
    let blend = field.render(cloud);
    (0..target.channels()).flat_map(|channel| blend.plane(channel)).copied().collect()
}

/// The weighted squared error of the picture of a cloud in each plane.
#[must_use]
pub fn plane_errors(target: &Target, cloud: &Cloud) -> Vec<f64> {
    let [errors] = errors_of(target, [cloud]);
    errors
}

/// The weighted squared errors of the pictures of some clouds.
#[must_use]
pub fn squared_errors<const N: usize>(target: &Target, clouds: [&Cloud; N]) -> [f64; N] {
    errors_of(target, clouds).map(|errors| errors.iter().sum())
}

fn errors_of<const N: usize>(target: &Target, clouds: [&Cloud; N]) -> [Vec<f64>; N] {
    let width = target.width;
    let mut field = Field::new(target);
    clouds.map(|cloud| {
        field.place(cloud);
        let blend = field.render(cloud);
        let error = |channel: usize| -> f64 {
            let rows =
                blend.plane(channel).par_chunks_exact(width).zip(target.plane(channel).par_chunks(width));
            let of_row = |(row, (blend, target_row)): (usize, (&[f32], &[f32]))| -> f64 {
                let weight = |x: usize| target.importance.as_ref().map_or(1.0, |map| map[row * width + x]);
                let pairs = blend.iter().zip(target_row).enumerate();
                pairs.map(|(x, (blend, target))| f64::from((blend - target).powi(2) * weight(x))).sum()
            };
            // In the same order whatever the threads.
            rows.enumerate().map(of_row).collect::<Vec<f64>>().iter().sum()
        };
        (0..target.channels()).map(error).collect()
    })
}
