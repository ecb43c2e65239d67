//! What a tensor of a `latents` asset says of itself beyond its elements (SPEC section 5.9).

use crate::axes::Axes;
use crate::registry::field;
use crate::wire;
use crate::{Fields, FormatError, Result};

const WHAT: &str = "track";

/// The axes of a track in the order of its content.
pub const AXES: [u8; 4] = *b"TCHW";

/// The order that a track's axes had where it came from: letters of [`AXES`].
pub type AxisOrder = Axes<4>;

impl AxisOrder {
    /// Reads the letters; `K`, several tokens at a position, is another name of `C`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let renamed = text.bytes().map(|letter| if matches!(letter, b'K' | b'k') { b'C' } else { letter });
        Self::read(AXES, renamed)
    }
}

/// Shift and scale of each channel: what a model works on is `(x - shift) / scale` of what its encoder gives.
#[derive(Debug, Clone, PartialEq)]
pub struct Normalisation {
    /// Whether the numbers of the track are what a model works on.
    pub applied: bool,
    /// Shift and scale of each channel; none if only `applied` is known, or `statistics` has them.
    pub channels: Vec<(f32, f32)>,
    /// Which dependency of the track has them, an entry `statistics`.
    pub statistics: Option<u64>,
}

/// What a track says of itself.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Track {
    /// The order of its axes in the source.
    pub axes: Option<AxisOrder>,
    /// What it is for.
    pub role: Option<String>,
    /// Frames, rows and columns of the source that a position stands for.
    pub factors: Option<[u64; 3]>,
    /// Frames of the source that the first position in time stands for.
    pub first_frames: Option<u64>,
    /// Its normalisation.
    pub normalisation: Option<Normalisation>,
    /// The time line that it is a part of: tracks of one line are one track, on grids that change.
    pub line: Option<String>,
    /// Its first position in time, on its line or by itself; 0 if it is not said.
    pub start: Option<u64>,
    /// The model that it is of, if not that of the asset.
    pub model: Option<String>,
    /// What the source calls it, if that is not its name.
    pub key: Option<String>,
    /// Tokens of the same grid that it was found not to be quantised to.
    pub apart: Option<String>,
}

impl Track {
    /// Reads the fields.
    ///
    /// # Errors
    /// If one is malformed.
    pub fn parse(fields: &Fields) -> Result<Self> {
        let corrupt = |why: &str| FormatError::corrupt(WHAT, 0, why);
        let axes = match fields.text(WHAT, field::AXES)? {
            None => None,
            Some(text) => Some(AxisOrder::parse(text).ok_or_else(|| corrupt("axes are letters of TCHW"))?),
        };
        let mut factors = None;
        if let Some(mut rest) = fields.get(field::FACTORS) {
            let mut all = [0u64; 3];
            for factor in &mut all {
                (rest, *factor) = wire::finish(WHAT, rest, wire::varint(rest))?;
            }
            if !rest.is_empty() {
                return Err(corrupt("factors are three numbers"));
            }
            factors = Some(all);
        }
        let normalisation = match fields.get(field::NORMALISATION).map(<[u8]>::split_first) {
            None => None,
            Some(Some((&applied @ 0..=1, rest))) if rest.len().is_multiple_of(8) => {
                let float = |b: &[u8]| b.first_chunk().map_or(0.0, |b| f32::from_le_bytes(*b));
                let pair = |b: &[u8]| (float(b), float(b.get(4..).unwrap_or_default()));
                let channels = rest.chunks_exact(8).map(pair).collect();
                Some(Normalisation { applied: applied == 1, channels, statistics: None })
            }
            Some(Some((&flags @ 2..=3, rest))) => {
                let (rest, dependency) = wire::finish(WHAT, rest, wire::varint(rest))?;
                if !rest.is_empty() {
                    return Err(corrupt("something follows the statistics of a normalisation"));
                }
                let statistics = Some(dependency);
                Some(Normalisation { applied: flags == 3, channels: Vec::new(), statistics })
            }
            Some(_) => return Err(corrupt("a normalisation is a byte, then two floats for each channel")),
        };
        Ok(Self {
            axes,
            role: fields.text(WHAT, field::ROLE)?.map(str::to_owned),
            factors,
            first_frames: fields.varint(WHAT, field::FIRST_FRAMES)?,
            normalisation,
            line: fields.text(WHAT, field::LINE)?.map(str::to_owned),
            start: fields.varint(WHAT, field::START)?,
            model: fields.text(WHAT, field::TRACK_MODEL)?.map(str::to_owned),
            key: fields.text(WHAT, field::KEY)?.map(str::to_owned),
            apart: fields.text(WHAT, field::APART)?.map(str::to_owned),
        })
    }

    /// Adds what is known to an entry's fields.
    pub fn put(&self, fields: &mut Fields) {
        if let Some(axes) = &self.axes {
            fields.set(field::AXES, false, axes.text().into_bytes());
        }
        if let Some(role) = &self.role {
            fields.set(field::ROLE, false, role.clone().into_bytes());
        }
        if let Some(factors) = &self.factors {
            let mut value = Vec::new();
            factors.iter().for_each(|f| wire::put_varint(&mut value, *f));
            fields.set(field::FACTORS, false, value);
        }
        if let Some(first) = self.first_frames {
            fields.set_varint(field::FIRST_FRAMES, false, first);
        }
        if let Some(Normalisation { applied, channels, statistics }) = &self.normalisation {
            let mut value = vec![u8::from(*applied)];
            if let Some(dependency) = statistics {
                value = vec![2 | u8::from(*applied)];
                wire::put_varint(&mut value, *dependency);
            }
            for (shift, scale) in channels.iter().filter(|_| statistics.is_none()) {
                value.extend_from_slice(&shift.to_le_bytes());
                value.extend_from_slice(&scale.to_le_bytes());
            }
            fields.set(field::NORMALISATION, false, value);
        }
        if let Some(line) = &self.line {
            fields.set(field::LINE, false, line.clone().into_bytes());
        }
        if let Some(start) = self.start {
            fields.set_varint(field::START, false, start);
        }
        if let Some(model) = &self.model {
            fields.set(field::TRACK_MODEL, false, model.clone().into_bytes());
        }
        if let Some(key) = &self.key {
            fields.set(field::KEY, false, key.clone().into_bytes());
        }
        if let Some(apart) = &self.apart {
            fields.set(field::APART, false, apart.clone().into_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tracks_round_trip() {
        let track = Track {
            axes: AxisOrder::parse("cthw"),
            role: Some("latents".into()),
            factors: Some([4, 8, 8]),
            first_frames: Some(1),
            normalisation: Some(Normalisation {
                applied: true,
                channels: vec![(0.5, 2.0), (-1.0, 1.0)],
                statistics: None,
            }),
            line: Some("tokens".into()),
            start: Some(1),
            model: Some("wan2.1".into()),
            key: Some("moments".into()),
            apart: Some("tokens".into()),
        };
        let mut fields = Fields::default();
        track.put(&mut fields);
        assert_eq!(Track::parse(&fields).unwrap(), track);
        let shared = Normalisation { applied: false, channels: Vec::new(), statistics: Some(300) };
        let track = Track { normalisation: Some(shared), ..track };
        track.put(&mut fields);
        assert_eq!(Track::parse(&fields).unwrap(), track);
        assert_eq!(Track::parse(&Fields::default()).unwrap(), Track::default());
        assert_eq!(AxisOrder::parse("THWK").unwrap().places(), [0, 2, 3, 1]);
        assert_eq!(AxisOrder::parse("TCHWC"), None);
        assert_eq!(AxisOrder::parse("TX"), None);
        assert!(AxisOrder::parse("").unwrap().places().is_empty());
        for (id, value) in [
            (field::AXES, &b"TT"[..]),
            (field::FACTORS, &[1, 2]),
            (field::NORMALISATION, &[2]),
            (field::NORMALISATION, &[3, 1, 1]),
            (field::NORMALISATION, &[4]),
            (field::NORMALISATION, &[]),
        ] {
            let mut fields = Fields::default();
            fields.set(id, false, value.to_vec());
            assert!(Track::parse(&fields).is_err());
        }
    }
}
