//! Steps of every attribute of a Gaussian, as integers (`SPEC.md` section 7.7.3).

use super::integer::lg;

/// Most levels of a scale.
pub const MAX_LEVELS: usize = 64;
/// No Gaussian has a standard deviation above this, in pixels.
pub const MAX_SIGMA: u32 = 110;
/// Most planes of an image.
pub const MAX_PLANES: usize = 16;

/// What the steps follow from: bytes of the image's descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Constants {
    /// Step of scales, in units of 1/400: at 4 pixels a scale is this part of itself above the one before.
    pub scale: u8,
    /// Step of positions as a part of the smaller standard deviation, in units of 1/240.
    pub position: u8,
    /// Step of angles, in units of 1/400.
    pub angle: u8,
    /// Step of the first plane's colour at 4 pixels, in units of 1/2000.
    pub colour: u8,
    /// How fast steps of colours fall with the footprint, in units of 1/100.
    pub footprint: u8,
}

impl Constants {
    /// For up to about half a bit per pixel.
    pub const LOW_RATE: Self = Self { scale: 80, position: 42, angle: 80, colour: 60, footprint: 75 };
    /// For 0.7 bits per pixel and more.
    pub const HIGH_RATE: Self = Self { scale: 60, position: 30, angle: 60, colour: 36, footprint: 75 };

    /// As they are stored.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 5] {
        [self.scale, self.position, self.angle, self.colour, self.footprint]
    }

    /// From the stored bytes; `None` if one of the first four is zero.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 5]) -> Option<Self> {
        let [scale, position, angle, colour, footprint] = bytes;
        (bytes[..4].iter().all(|&byte| byte != 0)).then_some(Self {
            scale,
            position,
            angle,
            colour,
            footprint,
        })
    }
}

/// A plane's factor of the colour step, in units of 1/60: of the first plane of a colour.
pub const PLAIN_FACTOR: u8 = 60;
/// Of the two chroma planes of a colour.
pub const CHROMA_FACTOR: u8 = 78;

/// One quantised Gaussian; its colours lie in an array of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Symbols {
    /// The column: the centre is at `(x + 1/2)` steps.
    pub x: u32,
    /// The row, likewise.
    pub y: u32,
    /// Levels of the standard deviations along and across the angle.
    pub scales: [u8; 2],
    /// The angle, in units of pi over the number of angles that the scales allow.
    pub angle: u8,
}

/// Steps by level of scale. One of an image serves all of its Gaussians.
#[derive(Debug, Clone)]
pub struct Quantiser {
    constants: Constants,
    factors: Vec<u8>,
    /// Standard deviation of each level, in units of 2^-16 pixels.
    sigmas: Vec<u32>,
    /// Of each level as the smaller: log2 of the position step, in quarter pixels.
    position_bits: Vec<u8>,
    /// Of each pair of levels: log2 of the number of angles, and the colour step's power of the root of 2 plus 4.
    pairs: Vec<(u8, u8)>,
    /// Of each level [`lg`] of its standard deviation.
    lg_sigmas: Vec<i32>,
    /// Of each power of the root of 2 and each plane its colour step in units of 2^-24, and that step's [`lg`].
    colour_steps: Vec<(u32, i32)>,
}

/// `round(65536 * 2^(h / 2))`, h = -4..=2.
const HALF_OCTAVES: [u64; 7] = [16384, 23170, 32768, 46341, 65536, 92682, 131_072];

impl Quantiser {
    /// The steps for these constants and a factor (not 0) for each plane.
    #[must_use]
    pub fn new(constants: Constants, factors: &[u8]) -> Self {
        let mut sigmas = Vec::new();
        for level in 0..MAX_LEVELS as u64 {
            // sigma = 4 v^4, v = (1/8)^(1/4) + level * step / 4, in units of 2^-16.
            let v = 38968 + (level * u64::from(constants.scale) * 4096 + 50) / 100;
            let sigma = (4 * u128::from(v).pow(4)) >> 48;
            if sigma > u128::from(MAX_SIGMA) << 16 {
                break;
            }
            sigmas.push(sigma as u32);
        }
        let position_bits = sigmas.iter().map(|&sigma| {
            let step = lg(u64::from(constants.position) * u64::from(sigma) / 60) - (16 << 16);
            ((step + (1 << 15)) >> 16).clamp(0, 3) as u8
        });
        let position_bits = position_bits.collect();
        let pair =
            |a: u32, b: u32| (angle_bits(constants, a.max(b), a.min(b)), colour_power(constants, a, b));
        let pairs = sigmas.iter().flat_map(|&a| sigmas.iter().map(move |&b| pair(a, b))).collect();
        let lg_sigmas = sigmas.iter().map(|&sigma| lg(u64::from(sigma))).collect();
        let steps = HALF_OCTAVES.iter().flat_map(|power| {
            factors.iter().map(move |&factor| {
                let step = u64::from(constants.colour) * power * u64::from(factor) * 256 / 120_000;
                let step = step.max(1) as u32;
                (step, lg(u64::from(step)))
            })
        });
        let colour_steps = steps.collect();
        Self { constants, factors: factors.to_vec(), sigmas, position_bits, pairs, lg_sigmas, colour_steps }
    }

    /// What it was made from.
    #[must_use]
    pub fn constants(&self) -> Constants {
        self.constants
    }

    /// The factor of each plane.
    #[must_use]
    pub fn factors(&self) -> &[u8] {
        &self.factors
    }

    /// Number of planes.
    #[must_use]
    pub fn planes(&self) -> usize {
        self.factors.len()
    }

    /// Number of levels of a scale; at least 1.
    #[must_use]
    pub fn levels(&self) -> usize {
        self.sigmas.len()
    }

    /// Standard deviation of a level below [`Self::levels`], in units of 2^-16 pixels.
    #[must_use]
    pub fn sigma_fixed(&self, level: u8) -> u32 {
        self.sigmas[usize::from(level)]
    }

    /// Standard deviation of a level, in pixels.
    #[must_use]
    pub fn sigma(&self, level: u8) -> f32 {
        self.sigma_fixed(level) as f32 / 65536.0
    }

    /// The level nearest to a standard deviation in pixels, on the scale of the levels. For encoders.
    #[must_use]
    pub fn nearest_level(&self, sigma: f32) -> u8 {
        let step = f64::from(self.constants.scale) / 1600.0;
        let level = ((f64::from(sigma.max(0.0)) / 4.0).powf(0.25) - 38968.0 / 65536.0) / step;
        (level.round() as i64).clamp(0, self.levels() as i64 - 1) as u8
    }

    /// log2 of the position step in quarter pixels: 0 to 3.
    #[must_use]
    pub fn position_bits(&self, scales: [u8; 2]) -> u32 {
        u32::from(self.position_bits[usize::from(scales[0].min(scales[1]))])
    }

    /// The position step in pixels: 1/4 to 2.
    #[must_use]
    pub fn position_step(&self, scales: [u8; 2]) -> f32 {
        0.25 * (1u32 << self.position_bits(scales)) as f32
    }

    fn pair(&self, scales: [u8; 2]) -> (u8, u8) {
        self.pairs[usize::from(scales[0]) * self.levels() + usize::from(scales[1])]
    }

    /// log2 of the number of angles: 0 (a circle) to 8.
    #[must_use]
    pub fn angle_bits(&self, scales: [u8; 2]) -> u32 {
        u32::from(self.pair(scales).0)
    }

    /// The colour step of plane `plane`, in units of 2^-24.
    #[must_use]
    pub fn colour_step_fixed(&self, scales: [u8; 2], plane: usize) -> u32 {
        self.colour_step_and_lg(scales, plane).0
    }

    /// The same, and its [`lg`].
    #[inline]
    pub(super) fn colour_step_and_lg(&self, scales: [u8; 2], plane: usize) -> (u32, i32) {
        self.colour_steps[usize::from(self.pair(scales).1) * self.planes() + plane]
    }

    /// [`lg`] of [`Self::sigma_fixed`].
    #[inline]
    pub(super) fn lg_sigma(&self, level: u8) -> i32 {
        self.lg_sigmas[usize::from(level)]
    }

    /// The colour step of plane `plane`.
    #[must_use]
    pub fn colour_step(&self, scales: [u8; 2], plane: usize) -> f32 {
        self.colour_step_fixed(scales, plane) as f32 / 16_777_216.0
    }

    /// How many powers of the root of 2 the colour step is above its least: 0 to 6.
    #[must_use]
    pub fn colour_class(&self, scales: [u8; 2]) -> u32 {
        u32::from(self.pair(scales).1)
    }

    /// The centre of a Gaussian along an axis, in eighths of a pixel.
    #[must_use]
    pub fn centre_fixed(&self, scales: [u8; 2], index: u32) -> i64 {
        (2 * i64::from(index) + 1) << self.position_bits(scales)
    }
}

/// log2 of the number of angles for standard deviations `major >= minor` in units of 2^-16 pixels.
fn angle_bits(constants: Constants, major: u32, minor: u32) -> u8 {
    if major == minor {
        return 0;
    }
    let (major, minor) = (u64::from(major >> 8), u64::from(minor >> 8));
    // pi sinh(ln(major / minor)) / step; 643398 = 2^10 * 400 pi / 2.
    let angles = (major * major).saturating_sub(minor * minor) * 643_398;
    let unit = (major * minor * u64::from(constants.angle)) << 10;
    ((lg(angles) - lg(unit) + (1 << 15)) >> 16).clamp(1, 8) as u8
}

/// The colour step's power of the root of 2, plus 4.
fn colour_power(constants: Constants, a: u32, b: u32) -> u8 {
    // log2(a b / 16), in units of 2^-16.
    let footprint = i64::from(lg(u64::from(a >> 8) * u64::from(b >> 8))) - (20 << 16);
    let fall = (i64::from(constants.footprint) * footprint + (50 << 16)).div_euclid(100 << 16);
    (4 - fall).clamp(0, 6) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_those_of_the_formulas() {
        for constants in [Constants::LOW_RATE, Constants::HIGH_RATE] {
            let quantiser = Quantiser::new(constants, &[PLAIN_FACTOR, CHROMA_FACTOR]);
            let ds = f64::from(constants.scale) / 400.0;
            let sigma =
                |k: u8| 4.0 * ((f64::from(k) + (0.5f64 / 4.0).powf(0.25) / (ds * 0.25)) * ds * 0.25).powi(4);
            for a in 0..quantiser.levels() as u8 {
                let s = sigma(a);
                assert!((f64::from(quantiser.sigma(a)) / s - 1.0).abs() < 2e-4, "{a}");
                assert_eq!(quantiser.nearest_level(s as f32), a);
                let j = (f64::from(constants.position) / 60.0 * s).log2();
                assert!((f64::from(quantiser.position_bits([a, a])) - j.clamp(0.0, 3.0)).abs() < 0.501);
                for b in 0..a {
                    let (major, minor) = (sigma(a), sigma(b));
                    let angles = core::f64::consts::PI * (major / minor).ln().sinh()
                        / (f64::from(constants.angle) / 400.0);
                    let bits = quantiser.angle_bits([a, b]);
                    assert!((f64::from(bits) - angles.log2().clamp(1.0, 8.0)).abs() < 0.51, "{a} {b} {bits}");
                    assert_eq!(bits, quantiser.angle_bits([b, a]));
                    let h = -2.0 * 0.75 * ((major * minor).sqrt() / 4.0).log2();
                    assert!(
                        (f64::from(quantiser.colour_class([a, b])) - 4.0 - h.clamp(-4.0, 2.0)).abs() < 0.51
                    );
                }
            }
            assert!(quantiser.levels() > 30);
            assert!((quantiser.sigma(quantiser.levels() as u8 - 1) - 100.0).abs() < 10.0);
        }
        let quantiser = Quantiser::new(Constants::LOW_RATE, &[PLAIN_FACTOR, CHROMA_FACTOR]);
        let level = quantiser.nearest_level(4.0);
        assert!((quantiser.colour_step([level, level], 0) - 0.03).abs() < 1e-6);
        assert!((quantiser.colour_step([level, level], 1) - 0.039).abs() < 1e-6);
    }

    #[test]
    fn any_constants_make_steps() {
        for byte in [1, 2, 7, 100, 255] {
            let constants = Constants::from_bytes([byte, byte, byte, byte, byte]).unwrap();
            assert!(Quantiser::new(constants, &[1, 255]).levels() >= 1);
        }
        assert_eq!(Constants::from_bytes([0, 1, 1, 1, 1]), None);
    }
}
