//! What each Gaussian of a finished set is worth.

use super::cloud::Cloud;
use super::step::Field;
use super::target::Target;

/// How much the weighted squared error rises if one Gaussian alone is dropped, for each (section 2.4).
#[must_use]
pub fn removal_energies(target: &Target, cloud: &Cloud) -> Vec<f32> {
    let mut field = Field::new(target);
    field.place(cloud);
    field.removal_energies(cloud)
}
