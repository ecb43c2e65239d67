//! Means and deviations of channels: measured, or as a file states them.

use super::array::Array;
use crate::{EncodeError, Result};
use mcodec_coding::latents::{Element, Statistics};
use std::path::Path;

/// Sums over the values of each channel.
#[derive(Debug, Clone, Default)]
pub(super) struct Moments {
    channels: Vec<(f64, f64, f64)>,
}

impl Moments {
    /// Adds the finite values of an array; `false` if it has another number of channels.
    pub(super) fn add(&mut self, array: &Array, element: Element) -> bool {
        let [_, channels, height, width] = array.shape;
        if self.channels.is_empty() {
            self.channels.resize(channels, (0.0, 0.0, 0.0));
        }
        if self.channels.len() != channels {
            return false;
        }
        let planes = array.bytes.chunks_exact(height * width * element.bytes());
        for (at, plane) in planes.enumerate() {
            let (count, sum, squares) = &mut self.channels[at % channels];
            for value in
                plane.chunks_exact(element.bytes()).map(|b| element.value(b)).filter(|v| v.is_finite())
            {
                *count += 1.0;
                *sum += value;
                *squares += value * value;
            }
        }
        true
    }

    /// Means and deviations; a channel that does not vary has deviation 1.
    pub(super) fn statistics(&self) -> Result<Statistics> {
        let pair = |&(count, sum, squares): &(f64, f64, f64)| {
            let mean = sum / f64::max(count, 1.0);
            let deviation = (squares / f64::max(count, 1.0) - mean * mean).max(0.0).sqrt() as f32;
            (mean as f32, if deviation > 1e-20 { deviation } else { 1.0 })
        };
        let channels = self.channels.iter().map(pair).collect();
        Statistics::new(channels)
            .map_err(|_| EncodeError::Request("the values have no finite mean and deviation".into()))
    }
}

/// Statistics of numbers that are normalised.
pub(super) fn identity(channels: usize) -> Statistics {
    Statistics::new(vec![(0.0, 1.0); channels]).unwrap_or_else(|_| unreachable!("tracks have channels"))
}

/// Whether the numbers look like those that `known` was applied to, rather than like those that it is of.
pub(super) fn is_applied(array: &Array, element: Element, known: &Statistics) -> bool {
    let mut moments = Moments::default();
    moments.add(array, element);
    let Ok(measured) = moments.statistics() else { return false };
    let (mut as_is, mut normalised) = (0.0, 0.0);
    for (&(mean, deviation), &(shift, scale)) in measured.channels().iter().zip(known.channels()) {
        let (mean, deviation) = (f64::from(mean), f64::from(deviation));
        let (shift, scale) = (f64::from(shift), f64::from(scale));
        // How far a Gaussian is from another: its mean in deviations, its scale as a logarithm.
        as_is += ((mean - shift) / scale).abs() + (deviation / scale).ln().abs();
        normalised += mean.abs() + deviation.ln().abs();
    }
    normalised < as_is
}

/// Reads a JSON file with lists `mean` and `std`.
pub(super) fn read_statistics(path: &Path) -> Result<Statistics> {
    let fail = |why: &str| EncodeError::Request(format!("{}: {why}", path.display()));
    let text = std::fs::read_to_string(path).map_err(EncodeError::io("read", path))?;
    let value: serde_json::Value = serde_json::from_str(&text).map_err(|e| fail(&e.to_string()))?;
    let list = |name: &str| -> Option<Vec<f32>> {
        value.get(name)?.as_array()?.iter().map(|v| Some(v.as_f64()? as f32)).collect()
    };
    match (list("mean"), list("std")) {
        (Some(mean), Some(std)) if mean.len() == std.len() => {
            let all = mean.into_iter().zip(std).collect();
            Statistics::new(all).map_err(|_| fail("a mean is not finite, or a deviation not above 0"))
        }
        _ => Err(fail("statistics are a JSON object with lists \"mean\" and \"std\" of one length")),
    }
}
