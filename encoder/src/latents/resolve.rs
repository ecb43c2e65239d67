//! What holds for one array: what is said of its track, else of all, else what its model's preset says.

use super::LatentsOptions;
use super::array::{Array, Stored, axes_of, dtype_of};
use super::levels::Levels;
use super::precision::Precision;
use super::presets::{Preset, preset};
use super::statistics::read_statistics;
use super::tracks::TrackOptions;
use crate::{EncodeError, Result};
use mcodec_coding::latents::{Element, MAX_CHANNELS, Statistics};
use mcodec_format::registry::Dtype;
use std::path::PathBuf;

/// Names of the arrays of a clip whose first position in time has a finer grid.
const LIST: [&str; 2] = ["first", "rest"];

/// What an array becomes.
#[derive(Debug, Clone)]
pub(super) struct Resolved<'a> {
    /// Name of the track.
    pub(super) name: String,
    /// Its time line and first position on it, if it is a part of one.
    pub(super) line: Option<(String, u64)>,
    spec: Option<&'a TrackOptions>,
    preset: Option<&'static Preset>,
    latents: &'a LatentsOptions,
    /// What measured statistics go by: all tracks of this name, over all clips, are measured together.
    pub(super) slot: String,
}

impl<'a> Resolved<'a> {
    /// What each array of a clip becomes.
    pub(super) fn of_clip(arrays: &[Stored], latents: &'a LatentsOptions) -> Result<Vec<Self>, String> {
        for track in &latents.tracks {
            if let Some(missing) = track.keys.iter().find(|key| !arrays.iter().any(|a| a.name == **key))
                && !(arrays.len() == 1 && track.keys.len() == 1 && latents.tracks.len() == 1)
            {
                let names: Vec<&str> = arrays.iter().take(8).map(|a| a.name.as_str()).collect();
                return Err(format!("no array is called {missing:?} (there are {names:?})"));
            }
        }
        let listed = arrays.len() == 2 && LIST.iter().all(|name| arrays.iter().any(|a| a.name == *name));
        arrays.iter().map(|array| Self::of(array, arrays.len() == 1, listed, latents)).collect()
    }

    fn of(array: &Stored, single: bool, listed: bool, latents: &'a LatentsOptions) -> Result<Self, String> {
        let tracks = &latents.tracks;
        let of_key = |t: &&TrackOptions| t.keys.contains(&array.name) || (single && tracks.len() == 1);
        let mut specs = tracks.iter().filter(of_key);
        let spec = specs.next();
        if specs.next().is_some() {
            return Err(format!("array {:?} is named by two tracks", array.name));
        }
        let place =
            spec.filter(|t| t.keys.len() == 2).and_then(|t| t.keys.iter().position(|k| *k == array.name));
        let line = match (spec, place) {
            (Some(track), Some(place)) => Some((track.name.clone(), place as u64)),
            (None, _) if listed => {
                let of = if latents.are_tokens || latents.tokens.is_some() { "tokens" } else { "latents" };
                Some((of.to_owned(), u64::from(array.name == LIST[1])))
            }
            _ => None,
        };
        let name = match (spec, &line) {
            (Some(track), None) => track.name.clone(),
            (Some(track), Some(_)) => format!("{}.{}", track.name, array.name),
            (None, _) => array.name.clone(),
        };
        let model = spec.and_then(|t| t.model.as_deref()).or(latents.model.as_deref());
        let slot = if single && spec.is_none() { String::new() } else { name.clone() };
        Ok(Self { name, line, spec, preset: model.and_then(preset), latents, slot })
    }

    /// What is said of the track, else of all.
    fn said<T>(
        &self,
        of_track: impl Fn(&'a TrackOptions) -> Option<T>,
        of_all: impl Fn(&'a LatentsOptions) -> Option<T>,
    ) -> Option<T> {
        self.spec.and_then(of_track).or_else(|| of_all(self.latents))
    }

    /// Whether nothing is said of the array, and it is of no kind that tracks are of.
    pub(super) fn is_odd(&self, array: &Stored) -> bool {
        let long = matches!(array.shape[..], [n] if n > MAX_CHANNELS as u64);
        self.spec.is_none() && (long || Dtype::by_name(&array.dtype).is_none())
    }

    /// What its elements are.
    pub(super) fn dtype(&self, array: &Stored) -> Result<Dtype, String> {
        let of_track = self.spec.and_then(|t| t.dtype.as_deref());
        if of_track.is_some() {
            return dtype_of(&array.dtype, of_track);
        }
        // What is said of all is of those that it can be of.
        let of_all = self.latents.dtype.as_deref();
        match dtype_of(&array.dtype, of_all) {
            Err(_) if !self.latents.tracks.is_empty() => dtype_of(&array.dtype, None),
            found => found,
        }
    }

    /// What its tokens are made of, if it holds tokens.
    pub(super) fn tokens(&self, dtype: Dtype) -> Result<Option<Levels>, String> {
        let integer = dtype.name.starts_with(['U', 'I']) && dtype.bits >= 8 && dtype.block == 1;
        if let Some(levels) = self.spec.and_then(|t| t.tokens.clone()) {
            return if integer { Ok(Some(levels)) } else { Err(not_tokens(dtype)) };
        }
        let alone = self.latents.tracks.is_empty();
        if !(self.latents.are_tokens || self.latents.tokens.is_some()) || !(integer || alone) {
            return Ok(None);
        }
        if !integer {
            return Err(not_tokens(dtype));
        }
        let levels = self.latents.tokens.clone().or_else(|| self.preset.and_then(Preset::levels));
        levels.map(Some).ok_or_else(|| "which tokens? say it with --fsq, --vocab or --model".into())
    }

    /// The array with its axes in order.
    pub(super) fn array(&self, stored: Stored, dtype: Dtype, tokens: bool) -> Result<Array, String> {
        let rank = stored.shape.len();
        let of_track = self.spec.and_then(|t| t.axes.as_deref());
        let of_all = self.latents.axes.as_deref();
        // What is said of all arrays is of those that have so many axes.
        let of_all = of_all.filter(|axes| self.latents.tracks.is_empty() || axes.len() == rank);
        let text = of_track.or(of_all);
        let of_preset = self.preset.filter(|_| !tokens).and_then(|p| p.axes_of(&stored.shape));
        let axes = axes_of(text.or(of_preset), tokens, rank)?;
        Array::new(stored, dtype, axes)
    }

    pub(super) fn precision(&self) -> Precision {
        self.spec.and_then(|t| t.precision).unwrap_or(self.latents.precision)
    }

    /// Levels of tokens that it is quantised to.
    pub(super) fn quantise(&self) -> Option<&'a [u16]> {
        let of_all = self.latents.quantise.as_deref().filter(|_| self.latents.tracks.is_empty());
        self.spec.and_then(|t| t.quantise.as_deref()).or(of_all)
    }

    pub(super) fn role(&self) -> Option<String> {
        self.spec.and_then(|t| t.role.clone())
    }

    /// The model of the track, if it is not that of the asset.
    pub(super) fn model(&self) -> Option<String> {
        self.spec.and_then(|t| t.model.clone()).filter(|m| Some(m) != self.latents.model.as_ref())
    }

    pub(super) fn normalised(&self) -> Option<bool> {
        self.said(|t| t.normalised, |l| l.normalised)
    }

    fn statistics_path(&self) -> Option<&'a PathBuf> {
        self.said(|t| t.statistics.as_ref(), |l| l.statistics.as_ref())
    }

    /// The preset, if the array can be its model's.
    fn fitting(&self, channels: usize) -> Option<&'static Preset> {
        self.preset.filter(|p| p.channels == channels)
    }

    /// The statistics that a file gives.
    pub(super) fn given(&self) -> Result<Option<Statistics>> {
        self.statistics_path().map(|path| read_statistics(path)).transpose()
    }

    /// The statistics that the model's preset gives.
    pub(super) fn published(&self, channels: usize) -> Option<Statistics> {
        self.fitting(channels)?.statistics()
    }

    /// Frames, rows and columns of the source that a position stands for.
    pub(super) fn factors(&self, channels: usize) -> Option<[u64; 3]> {
        self.spec.and_then(|t| t.factors).or_else(|| self.of_tokenizer(channels).map(|p| p.factors))
    }

    pub(super) fn first_frames(&self, channels: usize) -> Option<u64> {
        let first = |p: &Preset| if p.factors[0] > 1 { Some(p.first_frames) } else { None };
        self.spec.and_then(|t| t.first_frames).or_else(|| self.of_tokenizer(channels).and_then(first))
    }

    /// The preset, if it is of tokens or of so many channels.
    fn of_tokenizer(&self, channels: usize) -> Option<&'static Preset> {
        self.preset.filter(|p| p.levels().is_some() || p.channels == channels)
    }

    pub(super) fn frame_rate(&self) -> Option<(u64, u64)> {
        self.preset.and_then(|p| p.frame_rate)
    }
}

fn not_tokens(dtype: Dtype) -> String {
    format!("elements of type {} are not tokens", dtype.name)
}

/// The type of elements that a grid is made of, if these are such; else the array is kept as it is.
pub(super) fn element_of(dtype: Dtype, channels: usize) -> Result<Option<Element>, String> {
    if channels > MAX_CHANNELS {
        return Err(format!(
            "{channels} channels are more than {MAX_CHANNELS}: is its order of axes as --axes says?"
        ));
    }
    Ok(Element::by_id(dtype.id))
}

/// Names the array that an error is of.
pub(super) fn about(clip: &str, array: &str, why: impl std::fmt::Display) -> EncodeError {
    EncodeError::Request(format!("{clip}: array {array:?}: {why}"))
}
