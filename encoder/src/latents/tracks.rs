//! What a caller says of one track: where it comes from, and what it is.

use super::levels::Levels;
use super::precision::Precision;
use std::path::PathBuf;

/// What is said of a track. What is absent is as [`super::LatentsOptions`] says, or usual.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TrackOptions {
    /// Its name in the file.
    pub name: String,
    /// The name of its array; or of two, of which the first holds the first position in time on a finer grid.
    pub keys: Vec<String>,
    /// Letters of its axes.
    pub axes: Option<String>,
    /// What it is for.
    pub role: Option<String>,
    /// What its elements are.
    pub dtype: Option<String>,
    /// How much may be lost.
    pub precision: Option<Precision>,
    /// It holds tokens, of such levels.
    pub tokens: Option<Levels>,
    /// Tokens of finite scalar quantisation with these levels are stored with it.
    pub quantise: Option<Vec<u16>>,
    /// Whether its model's normalisation is applied.
    pub normalised: Option<bool>,
    /// A JSON file with lists `mean` and `std`.
    pub statistics: Option<PathBuf>,
    /// The model that it is of.
    pub model: Option<String>,
    /// Frames, rows and columns of the source that a position stands for.
    pub factors: Option<[u64; 3]>,
    /// Frames of the source that the first position in time stands for.
    pub first_frames: Option<u64>,
}

impl TrackOptions {
    /// Reads `NAME=KEY:AXES,role=ROLE,...`. All but the name may be left out; two keys have a `+` between them.
    ///
    /// # Errors
    /// What is not understood.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parts = text.split(',');
        let head = parts.next().unwrap_or_default();
        let (name, from) = head.split_once('=').unwrap_or((head, head));
        let (keys, axes) = match from.rsplit_once(':') {
            Some((keys, axes)) => (keys, Some(axes)),
            None => (from, None),
        };
        let keys = if keys.is_empty() { name } else { keys };
        if name.is_empty() {
            return Err(format!("{text:?}: a track is NAME=KEY:AXES"));
        }
        let mut track = Self {
            name: name.to_owned(),
            keys: keys.split('+').map(str::to_owned).collect(),
            axes: axes.map(str::to_owned),
            ..Self::default()
        };
        if track.keys.len() > 2 || track.keys.iter().any(String::is_empty) {
            return Err(format!("{text:?}: a track is of one array, or of two with a + between them"));
        }
        for part in parts {
            track.set(part).map_err(|why| format!("{text:?}: {why}"))?;
        }
        Ok(track)
    }

    fn set(&mut self, part: &str) -> Result<(), String> {
        let (what, value) = part.split_once('=').unwrap_or((part, ""));
        let number = || value.parse::<f64>().map_err(|_| format!("{what}={value}: not a number"));
        let owned = || Some(value.to_owned());
        match what {
            "role" => self.role = owned(),
            "dtype" => self.dtype = owned(),
            "model" => self.model = owned(),
            "stats" => self.statistics = Some(value.into()),
            "lossless" if value.is_empty() => self.precision = Some(Precision::Lossless),
            "step" => self.precision = Some(Precision::Step(number()?).checked()?),
            "snr" => self.precision = Some(Precision::SignalToNoise(number()?).checked()?),
            "bits" => self.precision = Some(Precision::Bits(number()?).checked()?),
            "vocab" => {
                let count = value.parse().map_err(|_| format!("vocab={value}: not a number"))?;
                self.tokens = Some(Levels::vocabulary(count)?);
            }
            "quantise" => self.quantise = Some(Levels::quantiser(value, 'x')?),
            "fsq" => self.tokens = Some(Levels::parse(value, 'x')?),
            "normalised" => {
                self.normalised = Some(match value {
                    "yes" => true,
                    "no" => false,
                    _ => return Err(format!("normalised={value}: yes or no")),
                });
            }
            "factors" => {
                let all: Result<Vec<u64>, _> = value.split('x').map(str::parse).collect();
                let all = all.ok().and_then(|all| <[u64; 3]>::try_from(all).ok());
                self.factors = Some(all.ok_or("factors are as 4x8x8: frames, rows, columns")?);
            }
            "first" => {
                self.first_frames = Some(value.parse().map_err(|_| format!("first={value}: not a number"))?);
            }
            _ => {
                return Err(format!(
                    "{what:?} is none of role, dtype, step, snr, bits, lossless, quantise, fsq, vocab, normalised, stats, model, factors, first"
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tracks_are_read() {
        let vae = TrackOptions::parse("vae=moments:CHW,role=distribution,step=0.25").unwrap();
        assert_eq!(
            (vae.name.as_str(), vae.keys[0].as_str(), vae.axes.as_deref()),
            ("vae", "moments", Some("CHW"))
        );
        assert_eq!((vae.role.as_deref(), vae.precision), (Some("distribution"), Some(Precision::Step(0.25))));
        let cls = TrackOptions::parse("cls").unwrap();
        assert_eq!((cls.keys, cls.axes), (vec!["cls".to_owned()], None));
        let tokens =
            TrackOptions::parse("t=first+rest:THWK,fsq=8x8x5,factors=4x8x8,first=1,normalised=no").unwrap();
        assert_eq!(tokens.keys, ["first", "rest"]);
        assert_eq!(tokens.tokens, Some(Levels::Fsq(vec![8, 8, 5])));
        assert_eq!(
            (tokens.factors, tokens.first_frames, tokens.normalised),
            (Some([4, 8, 8]), Some(1), Some(false))
        );
        for bad in [
            "",
            "=a",
            "a=b+c+d",
            "a=b,rolle=x",
            "a=b,step=x",
            "a=b,step=-1",
            "a=b,fsq=1x2",
            "a=b,factors=1x2",
        ] {
            assert!(TrackOptions::parse(bad).is_err(), "{bad}");
        }
    }
}
