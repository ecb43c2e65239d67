//! Colours of a set, each predicted from those of the Gaussians around it (`SPEC.md` section 7.7.4).

use super::card::{Card, ColourCard, PRICED};
use super::integer::{cosine, lg, root, root_of_small, sine};
use super::neighbours::Neighbours;
use super::numbers::Numbers;
use super::quantiser::Symbols;
use super::set::{Image, rounded};
use crate::error::{Result, corrupt};

/// Neighbours that predict a colour, at most.
const PREDICTORS: usize = 12;
/// Colour indices lie within this on both sides.
pub const MAX_COLOUR: i32 = 1 << 22;
/// Colours count at most this in predictions: 8, in units of 2^-24.
const MOST: i64 = 8 << 24;
/// Weight of the mean of all colours so far: 0.02, in units of 2^-24.
const MEAN_WEIGHT: i64 = 335_544;

/// The colours of a set while they are coded.
pub(super) struct Colours<'a> {
    image: &'a Image,
    symbols: &'a [Symbols],
    neighbours: &'a Neighbours,
    /// The first of the set: those before are of the layers below.
    from: usize,
    /// Covariances xx, xy and yy, in units of 2^-8 square pixels.
    covariances: Vec<[i64; 3]>,
    /// Centres in eighths of a pixel.
    centres: Vec<[i64; 2]>,
    done: Vec<bool>,
    /// Colours that are done, in units of 2^-24.
    values: Vec<i64>,
}

/// What the neighbours say of one Gaussian.
struct Neighbourhood {
    /// Number and weight of each, of so many.
    all: [(u32, i64); PREDICTORS],
    count: usize,
    /// Sum of the weights and of the mean's, and its logarithm.
    weight: i64,
    lg_weight: i32,
}

impl Neighbourhood {
    fn used(&self) -> &[(u32, i64)] {
        &self.all[..self.count]
    }
}

impl<'a> Colours<'a> {
    /// Of a set's Gaussians, after those of the layers below, whose colours are known.
    pub(super) fn new(
        image: &'a Image,
        symbols: &'a [Symbols],
        neighbours: &'a Neighbours,
        below: &[i32],
    ) -> Self {
        let quantiser = &image.quantiser;
        let centre =
            |s: &Symbols| [quantiser.centre_fixed(s.scales, s.x), quantiser.centre_fixed(s.scales, s.y)];
        let planes = quantiser.planes();
        let mut values = vec![0; symbols.len() * planes];
        for (i, (value, &index)) in values.iter_mut().zip(below).enumerate() {
            let step = quantiser.colour_step_fixed(symbols[i / planes].scales, i % planes);
            *value = (i64::from(index) * i64::from(step)).clamp(-MOST, MOST);
        }
        let mut done = vec![false; symbols.len()];
        done[..below.len() / planes].fill(true);
        Self {
            image,
            symbols,
            neighbours,
            from: below.len() / planes,
            covariances: symbols.iter().map(|symbols| covariance(image, symbols)).collect(),
            centres: symbols.iter().map(centre).collect(),
            done,
            values,
        }
    }

    /// Codes the colours of all: those given are written, or those read are returned.
    pub(super) fn code(
        &mut self,
        numbers: &mut impl Numbers,
        given: Option<&[i32]>,
        mut cards: Option<&mut Vec<Card>>,
    ) -> Result<Vec<i32>> {
        let planes = self.image.quantiser.planes();
        let size = |symbols: &Symbols| (u32::from(symbols.scales[0]) + u32::from(symbols.scales[1])) / 3;
        let mut order: Vec<u32> = (self.from as u32..self.symbols.len() as u32).collect();
        order.sort_by_key(|&i| u32::MAX - size(&self.symbols[i as usize]));
        let mut indices = vec![0; order.len() * planes];
        let mut sums = vec![0i64; planes];
        for values in self.values[..self.from * planes].chunks_exact(planes) {
            sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
        }
        for (done, &i) in (self.from..).zip(&order) {
            let i = i as usize;
            let own = i - self.from;
            let near = self.neighbourhood(i);
            let mut before = Before::default();
            for plane in 0..planes {
                let mean = if done == 0 { 0 } else { sums[plane] / done as i64 };
                let (step, lg_step) = self.image.quantiser.colour_step_and_lg(self.symbols[i].scales, plane);
                let step = i64::from(step);
                let (expected, contexts) = self.contexts(plane, &near, mean, (step, lg_step), &mut before);
                let predicted = rounded(expected, step) as i32;
                let given = given.map_or(0, |given| given[own * planes + plane]);
                let role = self.image.roles[plane] as usize;
                if let (Some(cards), Some((model, mixer))) = (&mut cards, numbers.known()) {
                    let mut bits = [0.0; 2 * PRICED + 1];
                    model.colours[role].bits(mixer, contexts, &mut bits);
                    cards[own].colours.push(ColourCard { expected: expected as f32 / 16_777_216.0, bits });
                }
                let residual = numbers.colour(given.wrapping_sub(predicted), role, contexts)?;
                let index = predicted + residual;
                if index.abs() > MAX_COLOUR {
                    return Err(corrupt("colour of a Gaussian"));
                }
                before.residual(residual);
                indices[own * planes + plane] = index;
                let value = (i64::from(index) * step).clamp(-MOST, MOST);
                self.values[i * planes + plane] = value;
                sums[plane] += value;
            }
            self.done[i] = true;
        }
        Ok(indices)
    }

    /// Weights of the nearest that are done.
    fn neighbourhood(&self, i: usize) -> Neighbourhood {
        let mut all = [(0, 0); PREDICTORS];
        let (mut count, mut weight) = (0, MEAN_WEIGHT);
        let near = self.neighbours.of(i).iter().filter(|near| self.done[near.index()]);
        for (near, slot) in near.zip(&mut all) {
            let j = near.index();
            let [a, b] = [self.covariances[i], self.covariances[j]];
            let [xx, xy, yy] = core::array::from_fn(|k| a[k] / 2 + b[k] + if k == 1 { 0 } else { 256 });
            let [dx, dy] = core::array::from_fn(|k| self.centres[i][k] - self.centres[j][k]);
            // The square of the distance in standard deviations, in units of 2^-8: of 2^-14 over 2^-6.
            let area = ((xx * yy - xy * xy) >> 10).max(1);
            // Centres are less than 2^18 apart, as sets have at most 2^11 cells of 2^6 eighths along an axis; covariances are below 2^23.
            let square = yy * (dx * dx) - 2 * xy * (dx * dy) + xx * (dy * dy);
            let square = (square.max(0) / area).min(1 << 24) as u64 + 38;
            let scaled = square << 8;
            let root = u32::try_from(scaled)
                .map_or_else(|_| root(scaled), |scaled| u64::from(root_of_small(scaled)));
            let each = ((1u64 << 40) / (square * root)) as i64;
            *slot = (j as u32, each);
            count += 1;
            weight += each;
        }
        Neighbourhood { all, count, weight, lg_weight: lg(weight as u64) }
    }

    /// The value expected of a plane, and the contexts of how far it is off.
    fn contexts(
        &self,
        plane: usize,
        near: &Neighbourhood,
        mean: i64,
        (step, lg_step): (i64, i32),
        before: &mut Before,
    ) -> (i64, [usize; 4]) {
        let planes = self.image.quantiser.planes();
        let (mut sum, mut squares) = (MEAN_WEIGHT * mean, MEAN_WEIGHT * (mean >> 12).pow(2));
        for &(j, weight) in near.used() {
            let value = self.values[j as usize * planes + plane];
            sum += weight * value;
            squares += weight * (value >> 12).pow(2);
        }
        let expected = sum.div_euclid(near.weight);
        // In units of 2^-12, as its square is of 2^-24.
        let deviation = root((squares / near.weight - (expected >> 12).pow(2)).max(0) as u64);
        let spread = 2 * (lg((deviation << 12).max(step as u64 / 4)) - lg_step) + (4 << 16);
        let spread = ((spread + (1 << 15)) >> 16).clamp(0, 15) as usize;
        let strength = ((near.lg_weight - (18 << 16)) >> 16).clamp(0, 12) as usize;
        if plane == 0 {
            let fineness = 2 * ((24 << 16) - lg_step);
            before.fineness = ((fineness + (1 << 15)) >> 16).clamp(0, 31) as usize;
            before.spread = spread;
        }
        let contexts = [
            spread * 5 + near.count.min(4),
            strength * 32 + 2 * before.size.min(12) as usize + usize::from(plane > 0),
            before.fineness * 16 + before.spread,
            before.side * 64 + before.size.min(6) as usize * 8 + spread / 2,
        ];
        (expected, contexts)
    }
}

/// What the planes before say of a Gaussian's next one.
#[derive(Default)]
struct Before {
    /// Of the residuals so far: twice the magnitude plus 1, averaged with what was before.
    size: u32,
    /// The sign of the last residual, plus 1; 0 before the first.
    side: usize,
    spread: usize,
    fineness: usize,
}

impl Before {
    fn residual(&mut self, residual: i32) {
        self.size = self.size.saturating_add(residual.unsigned_abs().saturating_mul(2)).saturating_add(1) / 2;
        self.side = (residual.signum() + 1) as usize;
    }
}

/// Covariance of a Gaussian.
fn covariance(image: &Image, symbols: &Symbols) -> [i64; 3] {
    let quantiser = &image.quantiser;
    let [major, minor] = symbols.scales.map(|level| {
        let sigma = i64::from(quantiser.sigma_fixed(level));
        (sigma * sigma) >> 24
    });
    let angle = u32::from(symbols.angle) << (8 - quantiser.angle_bits(symbols.scales));
    // Half of the angle's circle: angles are over pi.
    let (c, s) = half_circle(angle);
    let (c, s) = (i64::from(c), i64::from(s));
    [
        (c * c * major + s * s * minor) >> 28,
        (c * s * (major - minor)) >> 28,
        (s * s * major + c * c * minor) >> 28,
    ]
}

/// Cosine and sine of `angle` pi / 256, in units of 2^-14.
fn half_circle(angle: u32) -> (i32, i32) {
    if angle.is_multiple_of(2) {
        (cosine(angle / 2), sine(angle / 2))
    } else {
        let (low, high) = (angle / 2, angle / 2 + 1);
        ((cosine(low) + cosine(high)) / 2, (sine(low) + sine(high)) / 2)
    }
}
