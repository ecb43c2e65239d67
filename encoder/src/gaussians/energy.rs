//! What each Gaussian of a finished set is worth.

use super::cloud::Cloud;
use super::step::Field;
use super::target::Target;

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

/// The weighted squared error of the picture of a cloud in each plane.
#[must_use]
pub fn plane_errors(target: &Target, cloud: &Cloud) -> Vec<f64> {
    let mut field = Field::new(target);
    field.place(cloud);
    let blend = field.render(cloud);
    let error = |channel: usize| {
        let pairs = blend.plane(channel).iter().zip(target.plane(channel)).enumerate();
        let weight = |pixel: usize| target.importance.as_ref().map_or(1.0, |map| map[pixel]);
        pairs.map(|(pixel, (blend, target))| f64::from((blend - target).powi(2) * weight(pixel))).sum()
    };
    (0..target.channels()).map(error).collect()
}

/// The weighted squared error of the picture of a cloud.
#[must_use]
pub fn squared_error(target: &Target, cloud: &Cloud) -> f64 {
    plane_errors(target, cloud).iter().sum()
}
