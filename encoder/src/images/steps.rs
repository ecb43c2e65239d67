//! How fine the colours of an image are: their step follows from what the float fit leaves.

use crate::gaussians::{Cloud, Target, dequantise, quantise, squared_errors};
use mcodec_coding::gaussians::{Constants, Quantiser};

/// Squared error that rounding the colours of a float fit may add, as a part of that fit's own. The descent takes most of it away again.
const SHARE: f64 = 0.5;
/// A step is changed only to less than this part of the usual one: up to here the usual one is as good.
const WORTHWHILE: f64 = 0.75;

/// These constants with finer colours, where the fit is so near its target that the usual ones would spoil it: smooth pictures of 16 bits above all.
pub(super) fn fitting_constants(
    target: &Target,
    cloud: &Cloud,
    usual: Constants,
    factors: &[u8],
) -> Constants {
    let quantiser = Quantiser::new(usual, factors);
    let rounded = dequantise(&quantise(cloud, &quantiser), &quantiser);
    let mut coloured = Cloud::new(cloud.channels());
    for index in 0..cloud.len() {
        coloured.push(&cloud.splat(index), rounded.colours(index));
    }
    let [fit, coloured] = squared_errors(target, [cloud, &coloured]);
    let added = (coloured - fit).max(f64::MIN_POSITIVE);
    // What rounding adds is as the square of the step.
    let part = (SHARE * fit / added).sqrt();
    if part >= WORTHWHILE {
        return usual;
    }
    let colour = (f64::from(usual.colour) * part).round().clamp(1.0, 255.0) as u8;
    Constants { colour, ..usual }
}
