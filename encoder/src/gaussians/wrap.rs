//! What repeats: the copies of a Gaussian beyond the edges that reach into the picture.

use mcodec_decode::gaussians::Shape;

/// Pixels across and down after which a picture repeats, if it does.
pub(super) type Periods = [Option<f32>; 2];

/// Calls `found` with each copy of a Gaussian, not itself, that may reach the picture.
#[inline(always)]
pub(super) fn each_copy(shape: &Shape, periods: Periods, mut found: impl FnMut(Shape)) {
    if periods == [None, None] {
        return;
    }
    let steps = |at: f32, half: f32, period: Option<f32>| match period {
        None => 0..=0,
        Some(period) => {
            ((-half - at) / period).ceil() as i32..=((period + half - at) / period).floor() as i32
        }
    };
    for down in steps(shape.y, shape.half[1], periods[1]) {
        for across in steps(shape.x, shape.half[0], periods[0]) {
            if (across, down) != (0, 0) {
                let by = |steps: i32, axis: usize| steps as f32 * periods[axis].unwrap_or(0.0);
                let mut copy = *shape;
                (copy.x, copy.y) = (shape.x + by(across, 0), shape.y + by(down, 1));
                found(copy);
            }
        }
    }
}

/// A place of the picture: what is beyond an edge where it repeats comes back at the other.
pub(super) fn brought_back(at: f32, period: Option<f32>) -> f32 {
    match period {
        Some(period) if !(0.0..period).contains(&at) => {
            let back = at.rem_euclid(period);
            // A little below 0 is rounded up to the period itself.
            if back < period { back } else { 0.0 }
        }
        _ => at,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mcodec_decode::gaussians::Splat;

    #[test]
    fn copies_are_those_that_reach_the_picture() {
        let shape = Splat { x: 1.0, y: 50.0, sigma: [3.0, 3.0], angle: 0.0 }.shape();
        let copies = |periods| {
            let mut all = Vec::new();
            each_copy(&shape, periods, |copy| all.push((copy.x, copy.y)));
            all
        };
        assert_eq!(copies([None, None]), []);
        assert_eq!(copies([None, Some(100.0)]), []);
        assert_eq!(copies([Some(64.0), None]), [(65.0, 50.0)]);
        assert_eq!(copies([Some(64.0), Some(52.0)]), [(1.0, -2.0), (65.0, -2.0), (65.0, 50.0)]);
        assert_eq!(brought_back(-1.0, Some(64.0)), 63.0);
        assert_eq!(brought_back(-1e-9, Some(64.0)), 0.0);
        assert_eq!(brought_back(-1.0, None), -1.0);
    }
}
