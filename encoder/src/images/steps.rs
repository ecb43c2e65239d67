//! How fine the steps of an image are: as its float fit asks for.

use crate::gaussians::{Cloud, Target, dequantise, quantise, squared_errors};
use mcodec_coding::gaussians::{Constants, Quantiser};

/// Squared error that rounding the colours of a float fit may add, as a part of that fit's own, by the square of their step: 0.12 at the usual step, and
/// more where the usual step is finer, as less is to be had there.
const COLOURS: f64 = 432.0;
/// The same of rounding its forms. The descent takes most of it away again.
const FORMS: f64 = 4.0;
/// Squared error of a fit of one level as a part of that of a fit of several, about: theirs asks for steps as fine.
const OF_ONE_LEVEL: f64 = 0.75;
/// A step is changed only to less than this part of the usual one: up to here the usual one is as good.
const WORTHWHILE: f64 = 0.75;
/// Steps of scales, positions and angles are not below these: finer scales would not reach the largest Gaussians.
const FINEST: [u8; 3] = [44, 10, 20];

/// These constants with finer steps, where the fit is so near its target that the usual ones would spoil it: smooth pictures of 16 bits above all.
pub(super) fn fitting_constants(
    target: &Target,
    cloud: &Cloud,
    usual: Constants,
    (factors, levels): (&[u8], usize),
) -> Constants {
    let quantiser = Quantiser::new(usual, factors);
    let rounded = dequantise(&quantise(cloud, &quantiser), &quantiser);
    let (mut coloured, mut formed) = (Cloud::new(cloud.channels()), Cloud::new(cloud.channels()));
    for index in 0..cloud.len() {
        coloured.push(&cloud.splat(index), rounded.colours(index));
        formed.push(&rounded.splat(index), cloud.colours(index));
    }
    let [fit, coloured, formed] = squared_errors(target, [cloud, &coloured, &formed]);
    let allowed = if levels > 1 { OF_ONE_LEVEL * fit } else { fit };
    // What rounding adds is as the square of the step.
    let part = |with: f64, share: f64| (share * allowed / (with - fit).max(f64::MIN_POSITIVE)).sqrt();
    let finer = |usual: u8, part: f64, least: u8| {
        if part < WORTHWHILE { (f64::from(usual) * part).round().max(least.into()) as u8 } else { usual }
    };
    let share = COLOURS / f64::from(usual.colour).powi(2);
    let (colours, forms) = (part(coloured, share), part(formed, FORMS));
    Constants {
        scale: finer(usual.scale, forms, FINEST[0]),
        position: finer(usual.position, forms, FINEST[1]),
        angle: finer(usual.angle, forms, FINEST[2]),
        colour: finer(usual.colour, colours, 1),
        ..usual
    }
}
