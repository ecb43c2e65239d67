//! What tracks of latents say of themselves.

use super::inventory::Item;
use super::redundancy::RedundancyInfo;
use crate::console::printable;
use mcodec_format::track::{AXES, Track};
use mcodec_format::{Asset, EntryDescriptor, registry, wire};
use serde::Serialize;

/// What is said of all tracks of an asset.
#[derive(Debug, Serialize)]
pub(crate) struct LatentsInfo {
    /// Frames of the source in a second: numerator and denominator.
    pub(super) frame_rate: Option<(u64, u64)>,
    /// The model.
    pub(super) model: Option<String>,
    /// A hash of it, in hexadecimal digits.
    pub(super) model_hash: Option<String>,
}

/// A track.
#[derive(Debug, Serialize)]
pub(crate) struct TrackInfo {
    /// Axes of the source, outermost first.
    pub(super) axes: String,
    /// Positions in time, on its line; channels (or tokens of a position); rows; columns.
    pub(super) grid: [u64; 4],
    /// What it is for.
    pub(super) role: Option<String>,
    /// What the source calls it, if that is not its name.
    pub(super) key: Option<String>,
    /// The model, if it is not the asset's.
    pub(super) model: Option<String>,
    /// The time line that it is a part of.
    pub(super) line: Option<String>,
    /// Its first position in time.
    pub(super) start: u64,
    /// Frames, rows and columns of the source for each position.
    pub(super) factors: Option<[u64; 3]>,
    /// Frames of the source that the first position stands for.
    pub(super) first_frames: Option<u64>,
    /// Whether a normalisation is applied; null if it is not said.
    pub(super) normalised: Option<bool>,
    /// Channels whose shift and scale are given.
    pub(super) normalised_channels: u64,
    /// Positions in time of a group, the unit of access.
    pub(super) group: u64,
    /// Tokens of its grid that it was found not to be quantised to: these are two tracks.
    pub(super) apart: Option<String>,
    /// It is a coarser level of a track.
    pub(super) is_level: bool,
    /// What its positions repeat; null unless that was asked for.
    pub(super) redundancy: Option<RedundancyInfo>,
}

/// What an asset says of its tracks; `None` if it has none.
pub(super) fn latents_info(asset: &Asset) -> Option<LatentsInfo> {
    if asset.kind != registry::asset::LATENTS {
        return None;
    }
    let text = |id| asset.fields.get(id).map(|b| printable(&String::from_utf8_lossy(b)));
    let rate = asset.fields.get(registry::asset_field::FRAME_RATE).and_then(|value| {
        let (rest, above) = wire::finish("frame rate", value, wire::varint(value)).ok()?;
        let (rest, below) = wire::finish("frame rate", rest, wire::varint(rest)).ok()?;
        (rest.is_empty() && below > 0).then_some((above, below))
    });
    let hash = asset.fields.get(registry::asset_field::MODEL_HASH);
    Some(LatentsInfo {
        frame_rate: rate,
        model: text(registry::asset_field::MODEL),
        model_hash: hash.map(|bytes| bytes.iter().map(|b| format!("{b:02x}")).collect()),
    })
}

/// What the tensor of a row says of itself as a track, if it does.
pub(super) fn track_info(item: &Item) -> Option<TrackInfo> {
    let row = item.row.get();
    let Ok(EntryDescriptor::Tensor(tensor)) = &item.descriptor else { return None };
    let track = Track::parse(&row.fields).ok()?;
    let grid = <[u64; AXES.len()]>::try_from(tensor.shape.as_slice()).ok()?;
    let frame = tensor.chunking.byte_len / grid[0].max(1);
    let channels = track.normalisation.as_ref().map_or(0, |n| match n.statistics {
        Some(_) => grid[1],
        None => n.channels.len() as u64,
    });
    let shown = |text: Option<String>| text.map(|t| printable(&t));
    Some(TrackInfo {
        axes: track.axes?.text(),
        grid,
        role: shown(track.role),
        key: shown(track.key),
        model: shown(track.model),
        line: shown(track.line),
        start: track.start.unwrap_or(0),
        factors: track.factors,
        first_frames: track.first_frames,
        normalised: track.normalisation.as_ref().map(|n| n.applied),
        normalised_channels: channels,
        group: tensor.chunking.chunk_len.checked_div(frame).unwrap_or(0),
        apart: shown(track.apart),
        is_level: row.fields.get(registry::field::LEVEL).is_some(),
        redundancy: None,
    })
}

impl LatentsInfo {
    /// On one line.
    pub(super) fn line(&self) -> Option<String> {
        let rate = self.frame_rate.map(|(above, below)| match below {
            1 => format!("{above} frames per second"),
            _ => format!("{above}/{below} frames per second"),
        });
        let hash = self.model_hash.as_ref().map(|h| format!(" (hash {h})")).unwrap_or_default();
        let model = self.model.as_ref().map(|m| format!("model {m}{hash}"));
        let all: Vec<String> = model.into_iter().chain(rate).collect();
        (!all.is_empty()).then(|| all.join(", "))
    }
}

impl TrackInfo {
    /// On one line.
    pub(super) fn line(&self) -> String {
        let [frames, channels, height, width] = self.grid;
        let mut out = format!("axes {}: {frames} x {channels} x {height} x {width}", self.axes);
        let mut say = |text: String| {
            out.push_str(", ");
            out.push_str(&text);
        };
        if let Some(line) = &self.line {
            say(format!("positions {}..{} of {line:?}", self.start, self.start.saturating_add(frames)));
        }
        if self.group < frames {
            say(format!("groups of {}", self.group));
        }
        if self.is_level {
            say("a coarser level of precision".into());
        }
        if let Some(tokens) = &self.apart {
            say(format!("not quantised to {tokens:?}, which is a track of its own"));
        }
        if let Some(role) = &self.role {
            say(format!("role {role}"));
        }
        match self.key.as_deref() {
            Some("") => say("made when the file was".into()),
            Some(key) => say(format!("from {key:?}")),
            None => {}
        }
        if let Some(model) = &self.model {
            say(format!("model {model}"));
        }
        if let Some([t, y, x]) = self.factors {
            say(format!("{t} x {y} x {x} of the source"));
        }
        match (self.first_frames, self.factors) {
            (Some(first), Some([t, ..])) => say(format!("frames {first} + {t} n")),
            (Some(first), None) => say(format!("first of {first} frames")),
            _ => {}
        }
        if let Some(applied) = self.normalised {
            let what = if applied { "normalised" } else { "not normalised" };
            say(match self.normalised_channels {
                0 => what.to_owned(),
                n => format!("{what} (shift and scale of {n} channels)"),
            });
        }
        out
    }
}
