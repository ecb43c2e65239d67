//! How much of continuous latents may be lost.

use super::array::Array;
use super::content::numbers_of;
use mcodec_coding::latents::{Coder, Element, Grid, GridContent, Quantiser, Shape, Statistics, encode};

/// What is kept of continuous latents.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Precision {
    /// Everything.
    #[default]
    Lossless,
    /// Steps of this many standard deviations of a channel.
    Step(f64),
    /// A ratio of signal to noise, in dB: the variance of the channels over the mean squared error, in deviations.
    SignalToNoise(f64),
    /// Bits for each value, about.
    Bits(f64),
}

/// Steps that are tried when a rate is asked for.
const TRIALS: usize = 7;
const LEAST: f64 = 1.0 / 4096.0;
const MOST: f64 = 64.0;

impl Precision {
    /// Itself, if its number makes sense.
    ///
    /// # Errors
    /// If not.
    pub fn checked(self) -> Result<Self, String> {
        let fine = match self {
            Self::Lossless => true,
            Self::Step(number) | Self::Bits(number) => number > 0.0 && number.is_finite(),
            Self::SignalToNoise(number) => number.is_finite(),
        };
        if fine {
            Ok(self)
        } else {
            Err("steps and bits are numbers above 0, a ratio of signal to noise is a number".into())
        }
    }

    /// The step to take.
    pub(super) fn step(
        &self,
        array: &Array,
        element: Element,
        statistics: &Statistics,
        coder: Coder,
    ) -> Result<f32, String> {
        match *self {
            Self::Lossless => Err("nothing is to be rounded".into()),
            Self::Step(step) => Ok(step as f32),
            Self::SignalToNoise(wanted) => {
                // The noise of even steps is step^2 / 12 of the variance.
                let mut step = (12.0 * 10f64.powf(-wanted / 10.0)).sqrt().clamp(LEAST, MOST);
                for _ in 0..4 {
                    let noise = noise_of(array, element, step as f32, statistics)?;
                    let gap = -10.0 * noise.max(1e-30).log10() - wanted;
                    step = (step * 10f64.powf(gap / 20.0)).clamp(LEAST, MOST);
                }
                Ok(step as f32)
            }
            Self::Bits(wanted) => {
                let (mut low, mut high) = (LEAST.log2(), MOST.log2());
                for _ in 0..TRIALS {
                    let middle = (low + high) / 2.0;
                    let bits = bits_of(array, element, middle.exp2() as f32, statistics, coder)?;
                    if bits > wanted { low = middle } else { high = middle }
                }
                Ok(high.exp2() as f32)
            }
        }
    }
}

/// Mean squared error in units of channels' variances.
fn noise_of(array: &Array, element: Element, step: f32, statistics: &Statistics) -> Result<f64, String> {
    let numbers = numbers_of(array, element, step, statistics)?;
    let quantiser = Quantiser { step, statistics, dependency: None };
    let [_, channels, height, width] = array.shape;
    let mut sum = 0.0;
    let mut out = vec![0; element.bytes()];
    for (i, (number, bytes)) in numbers.iter().zip(array.bytes.chunks_exact(element.bytes())).enumerate() {
        let c = i / (height * width) % channels;
        quantiser.put(c, i32::from(*number), element, &mut out);
        let error = (element.value(bytes) - element.value(&out)) / f64::from(statistics.channels()[c].1);
        sum += error * error;
    }
    Ok(sum / numbers.len() as f64)
}

fn bits_of(
    array: &Array,
    element: Element,
    step: f32,
    statistics: &Statistics,
    coder: Coder,
) -> Result<f64, String> {
    // Too fine for numbers of 16 bits: more bits than anybody asks for.
    let Ok(numbers) = numbers_of(array, element, step, statistics) else { return Ok(f64::INFINITY) };
    let [frames, channels, height, width] = array.shape;
    let shape = Shape { frames, channels, height, width };
    let quantiser = Quantiser { step, statistics, dependency: None };
    let grid = Grid { shape, element, content: GridContent::Quantised(&numbers, quantiser) };
    let bytes = encode(&grid, coder).map_err(|e| e.to_string())?;
    Ok(bytes.len() as f64 * 8.0 / numbers.len() as f64)
}
