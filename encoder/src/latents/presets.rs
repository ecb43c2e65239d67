//! What is known of the tokenizers whose latents people keep.
//!
//! Factors, channels and frame rules are from the models' configurations (diffusers' `autoencoder_kl_*`, the Cosmos, VidTok, 1X and
//! commaVQ repositories); statistics are the per-channel `latents_mean` and `latents_std` of diffusers' `autoencoder_kl_wan.py`, or a
//! model's one scaling factor.

use super::levels::Levels;
use mcodec_coding::latents::Statistics;

/// A model's latents or tokens.
#[derive(Debug)]
pub(super) struct Preset {
    /// Names, in small letters and without what is between words.
    names: &'static [&'static str],
    /// Axes of a clip as the model gives it.
    pub(super) axes: &'static str,
    /// Channels, or tokens of a position.
    pub(super) channels: usize,
    pub(super) factors: [u64; 3],
    /// Frames that the first position stands for.
    pub(super) first_frames: u64,
    pub(super) normalisation: Scaling,
    pub(super) tokens: Vocabulary,
    pub(super) frame_rate: Option<(u64, u64)>,
}

/// What a model's normalisation is.
#[derive(Debug)]
pub(super) enum Scaling {
    Unknown,
    /// Of each channel.
    Channels {
        mean: &'static [f32],
        deviation: &'static [f32],
    },
    /// Latents are multiplied by this.
    Factor(f32),
}

/// What a model's tokens are.
#[derive(Debug)]
pub(super) enum Vocabulary {
    /// They are latents.
    None,
    Fsq(&'static [u16]),
    Count(u64),
}

const WAN21: Scaling = Scaling::Channels {
    mean: &[
        -0.7571, -0.7089, -0.9113, 0.1075, -0.1745, 0.9653, -0.1517, 1.5508, 0.4134, -0.0715, 0.5517,
        -0.3632, -0.1922, -0.9497, 0.2503, -0.2921,
    ],
    deviation: &[
        2.8184, 1.4541, 2.3275, 2.6558, 1.2196, 1.7708, 2.6052, 2.0743, 3.2687, 2.1526, 2.8652, 1.5579,
        1.6382, 1.1253, 2.8251, 1.9160,
    ],
};

const fn latents(
    names: &'static [&'static str],
    channels: usize,
    factors: [u64; 3],
    normalisation: Scaling,
) -> Preset {
    let (axes, tokens, frame_rate) = ("CTHW", Vocabulary::None, None);
    Preset { names, axes, channels, factors, first_frames: 1, normalisation, tokens, frame_rate }
}

const fn tokens(names: &'static [&'static str], factors: [u64; 3], tokens: Vocabulary) -> Preset {
    let normalisation = Scaling::Unknown;
    Preset {
        names,
        axes: "THW",
        channels: 1,
        factors,
        first_frames: 1,
        normalisation,
        tokens,
        frame_rate: None,
    }
}

const FSQ_64000: &[u16] = &[8, 8, 8, 5, 5, 5];

static PRESETS: [Preset; 21] = [
    latents(&["wan21", "wan", "qwenimage"], 16, [4, 8, 8], WAN21),
    latents(&["wan22", "wan225b"], 48, [4, 16, 16], Scaling::Unknown),
    latents(&["hunyuanvideo"], 16, [4, 8, 8], Scaling::Factor(0.476_986)),
    latents(&["hunyuanvideo15"], 32, [4, 16, 16], Scaling::Factor(1.036_82)),
    latents(&["cogvideox2b"], 16, [4, 8, 8], Scaling::Factor(1.152_584_3)),
    latents(&["cogvideox", "cogvideox5b", "cogvideox15"], 16, [4, 8, 8], Scaling::Factor(0.7)),
    latents(&["ltx", "ltxvideo", "ltx2"], 128, [8, 32, 32], Scaling::Unknown),
    Preset { axes: "TCHW", ..latents(&["flux2", "taef2"], 32, [1, 8, 8], Scaling::Unknown) },
    latents(&["cosmos", "cosmoscv4x8x8"], 16, [4, 8, 8], Scaling::Unknown),
    latents(&["cosmoscv8x8x8"], 16, [8, 8, 8], Scaling::Unknown),
    latents(&["cosmoscv8x16x16"], 16, [8, 16, 16], Scaling::Unknown),
    tokens(&["cosmosdv4x8x8"], [4, 8, 8], Vocabulary::Fsq(FSQ_64000)),
    tokens(&["cosmosdv8x8x8"], [8, 8, 8], Vocabulary::Fsq(FSQ_64000)),
    tokens(&["cosmosdv8x16x16"], [8, 16, 16], Vocabulary::Fsq(FSQ_64000)),
    latents(&["vidtok", "vidtokkl16"], 16, [4, 8, 8], Scaling::Unknown),
    latents(&["vidtokkl8"], 8, [4, 8, 8], Scaling::Unknown),
    latents(&["vidtokkl4"], 4, [4, 8, 8], Scaling::Unknown),
    tokens(&["vidtokfsq262144"], [4, 8, 8], Vocabulary::Count(262_144)),
    tokens(&["vidtokfsq32768"], [4, 8, 8], Vocabulary::Count(32_768)),
    tokens(&["magvitv2", "magvit2"], [1, 16, 16], Vocabulary::Count(262_144)),
    Preset { frame_rate: Some((20, 1)), ..tokens(&["commavq"], [1, 16, 16], Vocabulary::Count(1024)) },
];

/// The preset of a model's name, however its words are joined.
pub(super) fn preset(model: &str) -> Option<&'static Preset> {
    let plain: String =
        model.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    PRESETS.iter().find(|p| p.names.contains(&plain.as_str()))
}

impl Preset {
    /// What tokens of the model are.
    pub(super) fn levels(&self) -> Option<Levels> {
        match self.tokens {
            Vocabulary::None => None,
            Vocabulary::Fsq(levels) => Some(Levels::Fsq(levels.to_vec())),
            Vocabulary::Count(count) => Some(Levels::Vocabulary(count)),
        }
    }

    /// Shift and scale of each channel.
    pub(super) fn statistics(&self) -> Option<Statistics> {
        let channels = match self.normalisation {
            Scaling::Unknown => return None,
            Scaling::Channels { mean, deviation } => {
                mean.iter().copied().zip(deviation.iter().copied()).collect()
            }
            Scaling::Factor(factor) => vec![(0.0, 1.0 / factor); self.channels],
        };
        Statistics::new(channels).ok()
    }

    /// Axes of an array of these sizes: the model's order, or the one in which the channels are where their number is.
    pub(super) fn axes_of(&self, shape: &[u64]) -> Option<&'static str> {
        let channels = self.channels as u64;
        if !matches!(self.tokens, Vocabulary::None) {
            return None;
        }
        match shape {
            [a, b, ..] if shape.len() == 4 => Some(match (*a == channels, *b == channels) {
                (true, false) => "CTHW",
                (false, true) => "TCHW",
                _ => self.axes,
            }),
            [_, _, last] if *last == channels && shape[0] != channels => Some("HWC"),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_are_found_and_whole() {
        for preset in &PRESETS {
            if let Some(statistics) = preset.statistics() {
                assert_eq!(statistics.channels().len(), preset.channels, "{:?}", preset.names);
            }
            assert!(
                preset.names.iter().all(|n| n.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit()))
            );
        }
        let wan = preset("Wan 2.1").unwrap();
        assert_eq!(
            (wan.axes_of(&[16, 21, 60, 104]), wan.axes_of(&[21, 16, 60, 104])),
            (Some("CTHW"), Some("TCHW"))
        );
        assert_eq!(preset("commaVQ").unwrap().levels(), Some(Levels::Vocabulary(1024)));
        assert!(preset("MAGVIT-v2").is_some() && preset("none such").is_none());
    }
}
