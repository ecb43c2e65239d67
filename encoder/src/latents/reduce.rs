//! Positions that are dropped because what is before or beside them is like them. What stands for them is put in their place, so that the
//! coders, which copy what repeats, need nothing for them, and any decoder fills them.

use super::array::Array;
use mcodec_coding::latents::{Element, Statistics};

/// Which positions of continuous latents are dropped. A position is all channels at one time, row and column; how far two are apart is the
/// root of their mean squared difference over the channels, in standard deviations of each.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Reduction {
    /// Those at most so far from what is held there in the frame before.
    pub threshold: Option<f64>,
    /// Of the others in a frame, all but this share: those that are nearest to what is held to their left or above them.
    pub rate: Option<f64>,
}

/// What was dropped of a track.
#[derive(Debug, Clone, PartialEq)]
pub struct ReducedTrack {
    /// The asset.
    pub asset: String,
    /// The track.
    pub track: String,
    /// Positions in time and space.
    pub positions: u64,
    /// Those that hold what the frame before does.
    pub dropped: u64,
    /// Those that hold what a neighbour does.
    pub merged: u64,
    /// The mean squared error over positions and channels, in deviations.
    pub error: f64,
}

/// Doublings of a distance, and halvings of the gap, to find the one that gives a rate.
const DOUBLINGS: usize = 12;
const HALVINGS: usize = 16;

impl Reduction {
    /// Reads `temporal:thr=T,spatial:rate=R`, of which either may be left out.
    ///
    /// # Errors
    /// What is not understood.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut all = Self::default();
        for part in text.split(',') {
            let (what, value) = part.rsplit_once('=').unwrap_or((part, ""));
            let number = value.parse().ok().filter(|n: &f64| n.is_finite() && *n >= 0.0);
            let place = match what {
                "temporal:thr" => &mut all.threshold,
                "spatial:rate" if number.is_none_or(|n| n <= 1.0) => &mut all.rate,
                "spatial:rate" => {
                    return Err(format!("{part:?}: the rate is the share that is kept, at most 1"));
                }
                _ => return Err(format!("{part:?} is neither temporal:thr=T nor spatial:rate=R")),
            };
            let number = number.ok_or_else(|| format!("{part:?}: not a number of 0 or more"))?;
            if place.replace(number).is_some() {
                return Err(format!("{what} is said twice"));
            }
        }
        Ok(all)
    }

    /// Whether anything is dropped at all.
    #[must_use]
    pub fn is_some(&self) -> bool {
        self.threshold.is_some() || self.rate.is_some()
    }

    /// Puts into dropped positions what stands for them.
    pub(super) fn apply(
        &self,
        array: &mut Array,
        element: Element,
        statistics: &Statistics,
    ) -> (u64, u64, f64) {
        let [frames, channels, height, width] = array.shape;
        let (area, size) = (height * width, element.bytes());
        let (mut dropped, mut merged, mut squares) = (0, 0, 0.0);
        let mut before: Option<Held> = None;
        for t in 0..frames {
            let start = t * channels * area * size;
            let own = scaled(&array.bytes[start..][..channels * area * size], element, statistics, area);
            let mut held = Held { values: own.clone(), from: (0..area).map(|p| t * area + p).collect() };
            let mut fixed = vec![false; area];
            if let (Some(threshold), Some(before)) = (self.threshold, &before) {
                for (p, fixed) in fixed.iter_mut().enumerate() {
                    if distance(&own, p, &before.values, p, channels) <= threshold {
                        held.values[p * channels..][..channels]
                            .copy_from_slice(&before.values[p * channels..][..channels]);
                        held.from[p] = before.from[p];
                        *fixed = true;
                        dropped += 1;
                    }
                }
            }
            if let Some(rate) = self.rate {
                merged += merge_share(&mut held, &fixed, [channels, width], rate);
            }
            for (p, &from) in held.from.iter().enumerate().filter(|(p, from)| **from != t * area + p) {
                squares += distance(&own, p, &held.values, p, channels).powi(2);
                for c in 0..channels {
                    let at = |t: usize, p: usize| ((t * channels + c) * area + p) * size;
                    let source = at(from / area, from % area);
                    array.bytes.copy_within(source..source + size, at(t, p));
                }
            }
            before = Some(held);
        }
        (dropped, merged, squares / (frames * area) as f64)
    }
}

impl ReducedTrack {
    /// The share of positions that hold their own.
    #[must_use]
    pub fn kept(&self) -> f64 {
        1.0 - (self.dropped + self.merged) as f64 / self.positions.max(1) as f64
    }

    /// The ratio of signal to noise in dB, as [`super::Precision::SignalToNoise`] counts it; `None` if nothing was lost.
    #[must_use]
    pub fn snr(&self) -> Option<f64> {
        (self.error > 0.0).then(|| -10.0 * self.error.log10())
    }
}

/// What was dropped of all tracks, in words.
pub(super) fn note(all: &[ReducedTrack]) -> Option<String> {
    let positions = all.iter().map(|t| t.positions).sum::<u64>().max(1) as f64;
    let error = all.iter().map(|t| t.error * t.positions as f64).sum::<f64>() / positions;
    let share = |of: u64| 100.0 * of as f64 / positions;
    let (dropped, merged) = (all.iter().map(|t| t.dropped).sum(), all.iter().map(|t| t.merged).sum());
    let lost =
        if error > 0.0 { format!("SNR {:.2} dB", -10.0 * error.log10()) } else { "nothing lost".into() };
    (!all.is_empty()).then(|| {
        format!(
            "{:.1}% of the positions are kept, {:.1}% hold what the frame before does, {:.1}% what a neighbour does: {lost}",
            100.0 - share(dropped) - share(merged),
            share(dropped),
            share(merged)
        )
    })
}

/// What positions of a frame hold.
struct Held {
    /// Channels by position, in deviations.
    values: Vec<f64>,
    /// The position (counted over all frames) whose own that is.
    from: Vec<usize>,
}

/// A frame's values in deviations, channels innermost.
pub(super) fn scaled(frame: &[u8], element: Element, statistics: &Statistics, area: usize) -> Vec<f64> {
    let all = statistics.channels();
    let mut out = vec![0.0; area * all.len()];
    for (c, (plane, &(_, deviation))) in frame.chunks_exact(area * element.bytes()).zip(all).enumerate() {
        for (p, bytes) in plane.chunks_exact(element.bytes()).enumerate() {
            out[p * all.len() + c] = element.value(bytes) / f64::from(deviation);
        }
    }
    out
}

/// How far position `p` of `a` is from position `q` of `b`, in deviations; no number if a value is not finite.
pub(super) fn distance(a: &[f64], p: usize, b: &[f64], q: usize, channels: usize) -> f64 {
    let pairs = a[p * channels..][..channels].iter().zip(&b[q * channels..][..channels]);
    (pairs.map(|(a, b)| (a - b) * (a - b)).sum::<f64>() / channels as f64).sqrt()
}

/// Merges positions into their neighbours until about a share is left of those that are not fixed.
fn merge_share(held: &mut Held, fixed: &[bool], [channels, width]: [usize; 2], rate: f64) -> u64 {
    let free = fixed.iter().filter(|f| !**f).count();
    let most = (free as f64 * (1.0 - rate)).round() as u64;
    let tried = |limit: f64| merge(&held.values, fixed, [channels, width], limit);
    // What repeats is merged in any case: it costs nothing.
    let (mut low, mut best) = (0.0, tried(0.0));
    let mut high = 1.0 / 16.0;
    for _ in 0..DOUBLINGS {
        let all = tried(high);
        if all.count > most || best.count >= most {
            break;
        }
        (low, best) = (high, all);
        high *= 2.0;
    }
    for _ in 0..HALVINGS {
        if best.count >= most {
            break;
        }
        let middle = (low + high) / 2.0;
        let all = tried(middle);
        if all.count <= most { (low, best) = (middle, all) } else { high = middle }
    }
    for (p, into) in best.into.iter().enumerate() {
        if let Some(q) = *into {
            held.from[p] = held.from[q];
        }
    }
    held.values = best.values;
    best.count
}

/// A frame some of whose positions hold what a neighbour does.
struct Merged {
    values: Vec<f64>,
    /// The neighbour.
    into: Vec<Option<usize>>,
    count: u64,
}

/// Merges each position that is at most so far from what the nearer of its neighbours to the left and above holds: from that, not from what
/// the neighbour once was, so that errors do not add up along a slope.
fn merge(own: &[f64], fixed: &[bool], [channels, width]: [usize; 2], limit: f64) -> Merged {
    let mut all = Merged { values: own.to_vec(), into: vec![None; fixed.len()], count: 0 };
    for p in (0..fixed.len()).filter(|&p| !fixed[p]) {
        let left = (p % width > 0).then(|| p - 1);
        let near = left.into_iter().chain(p.checked_sub(width));
        let near = near.map(|q| (distance(own, p, &all.values, q, channels), q));
        let Some((_, q)) = near.filter(|(d, _)| *d <= limit).min_by(|a, b| a.0.total_cmp(&b.0)) else {
            continue;
        };
        all.values.copy_within(q * channels..(q + 1) * channels, p * channels);
        all.into[p] = Some(q);
        all.count += 1;
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use mcodec_format::registry::Dtype;
    use mcodec_format::track::AxisOrder;

    fn array(shape: [usize; 4], values: &[f32]) -> Array {
        let (dtype, axes) = (Dtype::by_name("F32").unwrap(), AxisOrder::parse("TCHW").unwrap());
        let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        Array { name: "x".into(), dtype, axes, shape, bytes }
    }

    fn reduced(text: &str, array: &mut Array) -> (u64, u64, f64) {
        let element = Element::by_id(array.dtype.id).unwrap();
        let statistics = Statistics::new(vec![(0.0, 1.0); array.shape[1]]).unwrap();
        Reduction::parse(text).unwrap().apply(array, element, &statistics)
    }

    fn values(array: &Array) -> Vec<f32> {
        array.bytes.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()
    }

    #[test]
    fn positions_hold_what_was_last_kept_there() {
        // A slope of 0.4 each frame: held until it has gone further than the threshold.
        let mut slope = array([5, 1, 1, 1], &[0.0, 0.4, 0.8, 1.2, f32::NAN]);
        let (dropped, merged, error) = reduced("temporal:thr=0.5", &mut slope);
        assert_eq!(values(&slope)[..4], [0.0, 0.0, 0.8, 0.8]);
        assert!(values(&slope)[4].is_nan());
        assert_eq!((dropped, merged), (2, 0));
        assert!((error - 2.0 * 0.16 / 5.0).abs() < 1e-6, "{error}");
    }

    #[test]
    fn the_share_of_a_frame_that_is_asked_for_is_kept() {
        let noise = |i: u32| {
            let hash = (i.wrapping_mul(0x9e37_79b1) ^ 0x5bd1_e995).wrapping_mul(i | 1);
            ((hash ^ (hash >> 15)).wrapping_mul(0x2c1b_3c6d) >> 12) as f32 / 500_000.0
        };
        let numbers: Vec<f32> = (0..2 * 400u32).map(noise).collect();
        for rate in [0.25, 0.5, 1.0] {
            let mut noise = array([1, 2, 20, 20], &numbers);
            let (_, merged, error) = reduced(&format!("spatial:rate={rate}"), &mut noise);
            assert!((merged as f64 / 400.0 - (1.0 - rate)).abs() < 0.02, "{rate}: {merged}");
            assert_eq!(error > 0.0, merged > 0);
        }
        // A slope is not flattened: what is held counts.
        let slope: Vec<f32> = (0..100).map(|i| i as f32).collect();
        let mut slope = array([1, 1, 1, 100], &slope);
        let (_, merged, error) = reduced("spatial:rate=0.5", &mut slope);
        assert_eq!((merged, error), (50, 0.5));
    }

    #[test]
    fn what_is_no_reduction_is_refused() {
        let both = Reduction::parse("temporal:thr=0.25,spatial:rate=0.5").unwrap();
        assert_eq!(both, Reduction { threshold: Some(0.25), rate: Some(0.5) });
        for bad in ["", "temporal", "temporal:thr", "temporal:thr=-1", "spatial:rate=1.5", "spatial:rate=nan"]
        {
            assert!(Reduction::parse(bad).is_err(), "{bad}");
        }
        assert!(Reduction::parse("temporal:thr=1,temporal:thr=1").is_err());
    }
}
